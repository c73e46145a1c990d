//! Tables, statements and settings of the database, and how a store of an older build becomes one of this build.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use crate::store::files::Place;
use crate::store::mark::Position;

/// How long a statement waits for another process's lock, in seconds.
pub(crate) const BUSY_TIMEOUT_S: u64 = 5;
/// The form of the tables, as SQLite's `user_version`. 0 is a new database, or one of a build before `ids` and `position`; 1 is one
/// of a build before the columns of a search.
pub const FORM: i64 = 2;

/// What every form has.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS records (
    -- Rows in order of arrival: payments of the same minute share pages, and a commit of many writes few.
    place INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    wake_at_ms INTEGER,
    bytes BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
-- A hint. Each start compares it with the table, and makes it anew if they differ.
CREATE INDEX IF NOT EXISTS records_by_wake ON records (wake_at_ms) WHERE wake_at_ms IS NOT NULL;
";
/// What form 1 adds. Money rests on the claim that a record is absent, and one damaged page of one tree could make it falsely. So
/// there are two trees, the unique index of `records` and the table `ids`, and a record is absent only if neither has its id.
const ADDED_BY_FORM_1: &str = "
CREATE TABLE ids (id BLOB PRIMARY KEY) WITHOUT ROWID;
INSERT INTO ids SELECT id FROM records NOT INDEXED;
CREATE TABLE position (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    store TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    commits INTEGER NOT NULL
);
";
/// What form 2 adds: by what a search finds a record ([`pay_once_core::IndexEntry`]). It is written with the record, and
/// `indexed_version` says of which version of the record it is.
const ADDED_BY_FORM_2: &str = "
ALTER TABLE records ADD COLUMN merchant TEXT;
ALTER TABLE records ADD COLUMN order_id TEXT;
ALTER TABLE records ADD COLUMN state TEXT;
ALTER TABLE records ADD COLUMN since_ms INTEGER;
ALTER TABLE records ADD COLUMN indexed_version INTEGER;
CREATE INDEX records_by_state ON records (state, merchant, since_ms, id);
CREATE INDEX records_by_order ON records (order_id, merchant, id) WHERE order_id IS NOT NULL;
CREATE INDEX records_not_indexed ON records (place) WHERE indexed_version IS NOT version;
";

pub(crate) const LOAD: &str = "SELECT bytes FROM records WHERE id = ?1";
pub(crate) const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM ids WHERE id = ?1)";
pub(crate) const INSERT: &str = "INSERT INTO records (id, version, wake_at_ms, bytes, merchant, order_id, state, since_ms, indexed_version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?2) ON CONFLICT (id) DO NOTHING";
pub(crate) const INSERT_ID: &str = "INSERT INTO ids (id) VALUES (?1) ON CONFLICT (id) DO NOTHING";
pub(crate) const TAKE_BACK: &str = "DELETE FROM records WHERE place = ?1";
pub(crate) const UPDATE: &str = "UPDATE records SET version = ?2, wake_at_ms = ?3, bytes = ?4, state = ?5, since_ms = ?6, indexed_version = ?2 WHERE id = ?1 AND version = ?7";
// Two statements: SQLite makes a table of its own for each RETURNING, which took twice as long as the commit itself.
pub(crate) const COUNT_COMMIT: &str = "UPDATE position SET commits = commits + 1";
pub(crate) const COMMITS: &str = "SELECT commits FROM position";
pub(crate) const DUE: &str =
    "SELECT id, wake_at_ms FROM records WHERE wake_at_ms <= ?1 ORDER BY wake_at_ms LIMIT ?2";

/// Opens a connection that writes, with the settings that durability needs.
///
/// # Errors
/// What SQLite says.
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(BUSY_TIMEOUT_S))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints have a thread of their own: none inside a commit.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    // A cell of a damaged page is refused when the page is read.
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

/// Opens a connection that changes nothing, beside a running server or without one.
///
/// # Errors
/// What SQLite says.
pub(crate) fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(BUSY_TIMEOUT_S))?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// The form of the tables.
///
/// # Errors
/// What SQLite says.
pub(crate) fn form(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// What to say of a database whose form this build does not know.
pub(crate) fn newer(form: i64) -> String {
    format!(
        "its tables have form {form}, and this build knows forms up to {FORM}: use the newer build that wrote it"
    )
}

/// Where in its life the store is, as the database says.
///
/// # Errors
/// What SQLite says.
pub(crate) fn position(connection: &Connection) -> rusqlite::Result<Position> {
    connection.query_row("SELECT store, epoch, commits FROM position", [], |row| {
        let unsigned =
            |at| Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(at)?).unwrap_or_default());
        Ok(Position {
            store: row.get(0)?,
            epoch: unsigned(1)?,
            commits: unsigned(2)?,
        })
    })
}

/// Moves the store to another epoch.
///
/// # Errors
/// What SQLite says.
pub(crate) fn set_epoch(connection: &Connection, epoch: u64) -> rusqlite::Result<()> {
    let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
    connection
        .execute("UPDATE position SET epoch = ?1", params![epoch])
        .map(|_| ())
}

/// Makes the tables of a new database, or brings those of an older build to this form, in one transaction: after a crash it is
/// done or not begun.
///
/// # Errors
/// What SQLite says.
pub(crate) fn bring_up(connection: &mut Connection, first: &Position) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = form(&transaction)?;
    if found == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(ADDED_BY_FORM_1)?;
        let (epoch, commits) = (first.epoch as i64, first.commits as i64);
        transaction.execute(
            "INSERT INTO position (only, store, epoch, commits) VALUES (1, ?1, ?2, ?3)",
            params![first.store, epoch, commits],
        )?;
    }
    if found < 2 {
        transaction.execute_batch(ADDED_BY_FORM_2)?;
        transaction.pragma_update(None, "user_version", FORM)?;
    }
    transaction.commit()
}

/// A store that fails its probe is refused, not trusted (`docs/store.md`, “The probe”): durable settings, and a swap that swaps
/// once.
pub(crate) fn probe(connection: &Connection) -> Result<(), String> {
    let text = |pragma: &str| {
        connection
            .query_row(&format!("PRAGMA {pragma}"), [], |row| {
                row.get::<_, rusqlite::types::Value>(0)
            })
            .map(|value| format!("{value:?}"))
            .map_err(|error| error.to_string())
    };
    let (journal, synchronous) = (text("journal_mode")?, text("synchronous")?);
    if !journal.to_lowercase().contains("wal") || !synchronous.contains('2') {
        return Err(format!(
            "journal_mode is {journal} and synchronous is {synchronous}, not WAL and FULL"
        ));
    }
    let outcome = || -> rusqlite::Result<[usize; 5]> {
        let transaction = connection.unchecked_transaction()?;
        let id = [0u8; 16];
        let none = None::<i64>;
        let insert =
            |v: i64| transaction.execute(INSERT, params![id, v, none, b"probe", none, none, none, none]);
        let update = |v: i64, expected: i64| {
            transaction.execute(UPDATE, params![id, v, none, b"probe", none, none, expected])
        };
        let counts = [
            insert(1)?,
            insert(2)?,
            update(2, 1)?,
            update(3, 1)?,
            update(3, 2)?,
        ];
        transaction.rollback()?;
        Ok(counts)
    };
    match outcome() {
        Ok([1, 0, 1, 0, 1]) => Ok(()),
        Ok(counts) => Err(format!(
            "its compare-and-swap is none: {counts:?} rows changed instead of [1, 0, 1, 0, 1]"
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// The installation that the store in `dir` belongs to, if there is one that has records or a note of it: for a quick start, which
/// has no configuration to say so.
#[must_use]
pub fn installation_of(dir: &Path) -> Option<String> {
    let connection = connect_to_read(&Place::new(dir).database()).ok()?;
    let known = "SELECT value FROM meta WHERE name = 'installation'";
    let noted = connection.query_row(known, [], |row| row.get(0)).ok();
    let has_records = || {
        let any = "SELECT EXISTS (SELECT 1 FROM records)";
        connection.query_row(any, [], |row| row.get(0)).unwrap_or(false)
    };
    noted.or_else(|| has_records().then(String::new))
}

/// A store belongs to one installation for life: under another name none of its attempts would be found, and each retry of a
/// create would be a new payment. What was begun before there were names has none.
pub(crate) fn belongs_to(connection: &Connection, installation: &str) -> Result<(), String> {
    let noted = || -> rusqlite::Result<String> {
        let transaction = connection.unchecked_transaction()?;
        let known = "SELECT value FROM meta WHERE name = 'installation'";
        if let Some(name) = transaction.query_row(known, [], |row| row.get(0)).optional()? {
            return Ok(name);
        }
        let has_records = "SELECT EXISTS (SELECT 1 FROM records)";
        let name = match transaction.query_row(has_records, [], |row| row.get(0))? {
            true => "",
            false => installation,
        };
        transaction.execute(
            "INSERT INTO meta (name, value) VALUES ('installation', ?1)",
            params![name],
        )?;
        transaction.commit()?;
        Ok(name.to_owned())
    };
    let noted = noted().map_err(|error| error.to_string())?;
    if noted == installation {
        return Ok(());
    }
    Err(format!(
        "it belongs to installation \"{noted}\", and this server is configured as \"{installation}\". A store keeps its installation for life: configure installation = \"{noted}\", or begin a new store with --data"
    ))
}
