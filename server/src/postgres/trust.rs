//! Whether a database may be used: durable settings, the swap itself, and whether it is the one that was used before.

use std::time::Duration;

use pay_once_postgres_sql::{IDENTITY, Identity, LOAD, NO_TABLES, SETTINGS, SWAP, Settings, foreign};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::failure::Failure;
use crate::postgres::batch::{Batch, Entries};
use crate::postgres::connect::{Database, Link, failure};
use crate::postgres::schema::{form, meta};

/// How long the probe waits for a statement that nothing should hold up, in seconds.
const PROBE_TIMEOUT_S: u64 = 5;

/// How often it is tried whether a session is shared.
const SESSION_ATTEMPTS: usize = 5;

/// Checks a new connection before anything is stored through it. A commit there must be durable. The result says which database it is.
/// `is_replicated`: the deployment declares that an acknowledged commit is on a standby as well.
///
/// # Errors
/// One sentence that says what is wrong and what to change.
pub(crate) async fn check(client: &Client, is_replicated: bool) -> Result<Identity, Failure> {
    let said =
        |error: tokio_postgres::Error| failure("the database cannot be asked for its settings", &error);
    let row = client
        .query_one(&format!("SELECT {SETTINGS}"), &[])
        .await
        .map_err(said)?;
    let settings = Settings {
        is_standby: row.try_get(0).map_err(said)?,
        fsync: row.try_get(1).map_err(said)?,
        full_page_writes: row.try_get(2).map_err(said)?,
        synchronous_commit: row.try_get(3).map_err(said)?,
        read_only: row.try_get(4).map_err(said)?,
        version: row.try_get(5).map_err(said)?,
        standbys: row.try_get(6).map_err(said)?,
    };
    settings.check()?;
    let level = &settings.synchronous_commit;
    if is_replicated && !settings.is_replicated() {
        return Err(format!(
            "--store-failover is synchronous, and synchronous_commit is {level} with synchronous_standby_names '{}': no standby has what is acknowledged. Set both, or leave the argument out",
            settings.standbys
        )
        .into());
    }
    // A reload of the database's configuration does not change this session.
    client
        .execute("SELECT set_config('synchronous_commit', $1, false)", &[level])
        .await
        .map_err(said)?;
    let row = client
        .query_one(&format!("SELECT {IDENTITY}"), &[])
        .await
        .map_err(said)?;
    Ok(Identity {
        tables: row.try_get(0).map_err(said)?,
        timeline: row.try_get(1).map_err(said)?,
    })
}

/// Whether this build may serve the tables: they are its own, or those of a later build that lets this one run beside it.
///
/// # Errors
/// One sentence that says what to do.
pub(crate) async fn has_tables(client: &Client) -> Result<(), Failure> {
    let found = form(client).await;
    match found.map_err(|error| failure("the tables cannot be read", &error))? {
        Some(found) => found.is_served().map_err(Failure::Refused),
        None => Err(NO_TABLES.to_owned().into()),
    }
}

/// Binds the database to an installation, or checks that it is bound to this one.
///
/// # Errors
/// One sentence that says what to do.
pub(crate) async fn belongs_to(client: &Client, installation: &str) -> Result<(), Failure> {
    let said = |error: tokio_postgres::Error| failure("the installation cannot be read", &error);
    client
        .execute(
            "INSERT INTO pay_once.meta (name, value) VALUES ('installation', $1) ON CONFLICT (name) DO NOTHING",
            &[&installation],
        )
        .await
        .map_err(said)?;
    match meta(client, "installation").await.map_err(said)? {
        Some(found) if found == installation => Ok(()),
        found => Err(foreign(found.as_deref(), installation).into()),
    }
}

/// Tries on two connections what the promise rests on: that a swap is applied once, and that a connection is the same session throughout.
///
/// # Errors
/// One sentence that says what is wrong.
pub(crate) async fn probe(database: &Database) -> Result<(), Failure> {
    let said = |error: tokio_postgres::Error| failure("the probe failed", &error);
    let probed = async {
        let (first, second, third) = (
            database.connect(None).await.map_err(said)?,
            database.connect(None).await.map_err(said)?,
            database.connect(None).await.map_err(said)?,
        );
        is_one_session(&first.client, &[&second.client, &third.client]).await?;
        swaps_once(&first, &second).await
    };
    tokio::time::timeout(Duration::from_secs(PROBE_TIMEOUT_S), probed)
        .await
        .map_err(|_| {
            // The network does that as well.
            Failure::Temporary("the probe was not answered in time. A proxy that shares sessions between clients (PgBouncer in transaction mode) does that: connect to the database itself".to_owned())
        })?
}

/// A proxy may give each transaction another session. `LISTEN` and settings are then lost, without an error.
///
/// The first connection leaves a mark in its session. Then others hold transactions open: if the session can be given away, one of them
/// has it, and the first gets another one. Each statement is one message: a prepared one is closed later, behind what is tried here.
async fn is_one_session(first: &Client, others: &[&Client]) -> Result<(), Failure> {
    let said = |error: tokio_postgres::Error| failure("the probe failed", &error);
    for attempt in 0..SESSION_ATTEMPTS {
        let mark = format!("SELECT set_config('pay_once.probe', 'first {attempt}', false)");
        first.batch_execute(&mark).await.map_err(said)?;
        let mark = format!("first {attempt}");
        let mut is_shared = false;
        for other in others {
            other.batch_execute("BEGIN").await.map_err(said)?;
            is_shared |= marked(other).await.map_err(said)?.as_deref() == Some(&mark);
        }
        is_shared |= marked(first).await.map_err(said)?.as_deref() != Some(&mark);
        for other in others {
            other.batch_execute("ROLLBACK").await.map_err(said)?;
        }
        if is_shared {
            return Err("a proxy shares sessions between clients (PgBouncer in transaction mode): connect to the database itself, or through a pool in session mode".to_owned().into());
        }
    }
    Ok(())
}

/// The mark in the session of a connection.
async fn marked(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    let said = client
        .simple_query("SELECT current_setting('pay_once.probe', true)")
        .await?;
    Ok(said.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// Two connections insert one record: one of them wins, after the other has ended. Then one of two updates wins.
async fn swaps_once(first: &Link, second: &Link) -> Result<(), Failure> {
    let said = |error: tokio_postgres::Error| failure("the probe of the swap failed", &error);
    // No attempt has this id: it is no digest.
    let id = vec![0u8; 16];
    let one = |expected: Option<i64>, version: i64| Batch {
        ids: vec![id.clone()],
        expected: vec![expected],
        versions: vec![version],
        wakes: vec![None],
        bytes: vec![b"probe".to_vec()],
        entries: Entries::none(),
    };
    let swap = async |client: &Client, batch: &Batch| {
        let arguments = batch.arguments();
        client.query(SWAP, &arguments).await.map(|rows| rows.len())
    };
    first.client.batch_execute("BEGIN").await.map_err(said)?;
    let mut applied = vec![swap(&first.client, &one(None, 1)).await.map_err(said)?];
    let (insert, update) = (one(None, 2), one(Some(1), 2));
    // The second waits for the first to end. Nothing of the probe stays: the first is rolled back, and then the second applies.
    let waits = swap(&second.client, &insert);
    let ends = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        first.client.batch_execute("ROLLBACK").await
    };
    second.client.batch_execute("BEGIN").await.map_err(said)?;
    let (after, ended) = tokio::join!(waits, ends);
    ended.map_err(said)?;
    applied.push(after.map_err(said)?);
    applied.push(swap(&second.client, &one(None, 3)).await.map_err(said)?);
    applied.push(swap(&second.client, &update).await.map_err(said)?);
    applied.push(swap(&second.client, &one(Some(2), 3)).await.map_err(said)?);
    applied.push(swap(&second.client, &update).await.map_err(said)?);
    let rows = second
        .client
        .query(LOAD, &[&vec![id.clone()]])
        .await
        .map_err(said)?;
    second.client.batch_execute("ROLLBACK").await.map_err(said)?;
    // The insert of version 2 was applied, so that the update from 1 was not.
    if applied == [1, 1, 0, 0, 1, 0] && rows.len() == 1 {
        Ok(())
    } else {
        Err(format!(
            "the probe of the swap failed: it was applied {applied:?} times, and [1, 1, 0, 0, 1, 0] is right"
        )
        .into())
    }
}
