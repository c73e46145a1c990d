//! Tables, and how a database of an older build becomes one of this build. The statements are in `pay_once_postgres_sql`.

use std::time::Duration;

use pay_once_postgres_sql::{FORM_MIN, Form};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient};

/// Migrations come one after the other: any number that nobody else locks by.
const MIGRATION_LOCK: i64 = 0x7061_795f_6f6e_6365;
/// How often a migration that waits for another one asks whether that is over, in milliseconds.
const LOCK_EVERY_MS: u64 = 100;
/// How often a change of the tables is tried while somebody reads them, and the pause in between, in milliseconds.
const LOCK_ATTEMPTS: u32 = 60;
const LOCK_PAUSE_MS: u64 = 1_000;

/// A step from one form to the next. A step that only adds lets servers of the build before go on beside it. Any other raises
/// [`FORM_MIN`].
struct Migration {
    form: i64,
    /// One transaction, which locks no table for long.
    sql: &'static str,
    /// Indices that are made while servers write: name, and what follows it.
    indices: &'static [(&'static str, &'static str)],
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        form: 1,
        sql: "
CREATE TABLE IF NOT EXISTS pay_once.records (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    version bigint NOT NULL,
    -- A hint: what is due follows from the record.
    wake_at_ms bigint,
    -- Until then one server has taken it upon itself to do what is due. A hint as well.
    taken_until_ms bigint NOT NULL DEFAULT 0,
    bytes bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS records_by_wake ON pay_once.records (wake_at_ms) WHERE wake_at_ms IS NOT NULL;
",
        indices: &[],
    },
    // By what a search finds a record (`pay_once_core::IndexEntry`). It is written with the record, and `indexed_version` says of which
    // version of the record it is: servers of form 1 do not write it.
    Migration {
        form: 2,
        sql: r#"
ALTER TABLE pay_once.records
    ADD COLUMN IF NOT EXISTS merchant text COLLATE "C",
    ADD COLUMN IF NOT EXISTS order_id text COLLATE "C",
    ADD COLUMN IF NOT EXISTS state text COLLATE "C",
    ADD COLUMN IF NOT EXISTS since_ms bigint,
    ADD COLUMN IF NOT EXISTS indexed_version bigint;
"#,
        indices: &[
            (
                "records_by_state",
                "ON pay_once.records (state, merchant, since_ms, id) WHERE state IS NOT NULL",
            ),
            (
                "records_by_order",
                "ON pay_once.records (order_id, merchant, id) WHERE order_id IS NOT NULL",
            ),
            (
                "records_not_indexed",
                "ON pay_once.records (id) WHERE indexed_version IS DISTINCT FROM version",
            ),
        ],
    },
];

/// What every form has.
const META: &str = "
CREATE SCHEMA IF NOT EXISTS pay_once;
CREATE TABLE IF NOT EXISTS pay_once.meta (name text PRIMARY KEY, value text NOT NULL);
";

/// A value of `meta`.
///
/// # Errors
/// What PostgreSQL says.
pub(crate) async fn meta(
    client: &impl GenericClient,
    name: &str,
) -> Result<Option<String>, tokio_postgres::Error> {
    let row = client
        .query_opt("SELECT value FROM pay_once.meta WHERE name = $1", &[&name])
        .await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// The form of the tables. `None`: there are none.
///
/// # Errors
/// What PostgreSQL says.
pub(crate) async fn form(client: &impl GenericClient) -> Result<Option<Form>, tokio_postgres::Error> {
    let said = client
        .query_one(
            "SELECT max(value) FILTER (WHERE name = 'form'), max(value) FILTER (WHERE name = 'form_min')
             FROM pay_once.meta",
            &[],
        )
        .await;
    let row = match said {
        Ok(row) => row,
        Err(error) if is_undefined(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Form::read(row.try_get(0)?, row.try_get(1)?))
}

fn is_undefined(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME)
    )
}

/// What a migration found, and what it left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migrated {
    pub(crate) before: Form,
    pub(crate) after: Form,
}

/// Brings the tables to this build's form. Servers may run meanwhile. Migrations come one after the other, and one that was cut off is
/// taken up again. Tables of this form or a later one are left as they are.
///
/// # Errors
/// What PostgreSQL says.
pub(crate) async fn migrate(client: &mut Client) -> Result<Migrated, tokio_postgres::Error> {
    // Who waits in a statement holds back the indices that another one makes: it is asked again and again instead.
    let lock = "SELECT pg_try_advisory_lock($1)";
    while !client
        .query_one(lock, &[&MIGRATION_LOCK])
        .await?
        .try_get::<_, bool>(0)?
    {
        tokio::time::sleep(Duration::from_millis(LOCK_EVERY_MS)).await;
    }
    let migrated = steps(client).await;
    // If the connection is broken, the lock is gone with it, and `migrated` says why.
    let _ = client
        .execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK])
        .await;
    migrated
}

async fn steps(client: &mut Client) -> Result<Migrated, tokio_postgres::Error> {
    client.batch_execute(META).await?;
    let before = form(client).await?.unwrap_or(Form {
        number: 0,
        oldest: FORM_MIN,
    });
    let mut after = before;
    for step in MIGRATIONS.iter().filter(|step| step.form > before.number) {
        add(client, step.sql).await?;
        for (name, definition) in step.indices {
            make_index(client, name, definition).await?;
        }
        after = Form {
            number: step.form,
            oldest: FORM_MIN,
        };
        for (name, value) in [("form", after.number), ("form_min", after.oldest)] {
            client
                .execute(
                    "INSERT INTO pay_once.meta (name, value) VALUES ($1, $2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    &[&name, &value.to_string()],
                )
                .await?;
        }
    }
    Ok(Migrated { before, after })
}

/// Changes tables, once nobody reads them for a moment. Servers wait behind a change that waits: it waits for a short time, and again
/// after a pause.
async fn add(client: &mut Client, sql: &str) -> Result<(), tokio_postgres::Error> {
    let mut attempts = 0;
    loop {
        let transaction = client.transaction().await?;
        transaction
            .batch_execute("SET LOCAL lock_timeout = '200ms'")
            .await?;
        let Err(error) = transaction.batch_execute(sql).await else {
            return transaction.commit().await;
        };
        transaction.rollback().await?;
        attempts += 1;
        if error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) || attempts == LOCK_ATTEMPTS {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(LOCK_PAUSE_MS)).await;
    }
}

/// Makes an index while servers write. One whose making was cut off is of no use, and is made again.
async fn make_index(client: &Client, name: &str, definition: &str) -> Result<(), tokio_postgres::Error> {
    let invalid =
        "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('pay_once.' || $1::text) AND NOT indisvalid";
    // It waits for everything that runs, and holds up nothing.
    client.batch_execute("SET lock_timeout = 0").await?;
    if client.query_opt(invalid, &[&name]).await?.is_some() {
        let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS pay_once.{name}");
        client.batch_execute(&drop).await?;
    }
    let create = format!("CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} {definition}");
    client.batch_execute(&create).await?;
    client.batch_execute("SET lock_timeout = 3000").await
}
