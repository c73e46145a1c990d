//! The default authority: `spin:sqlite`, a local file or libSQL by Spin's own configuration.
//!
//! Every statement is awaited to its end: `execute` alone returns before it has run.

use std::cell::RefCell;
use std::rc::Rc;

use pay_once_core::{AttemptId, Found, Search, SearchError, UnixMillis};
use spin_sdk::sqlite::{Connection, Error, RowResult, Value};

use crate::decoded::readable;
use crate::ports::{Line, Store, StoreError, Swap, Swapped, World};
use crate::sqlite_search;
use crate::wasi::WasiWorld;

/// Run when a statement finds no table. WAL costs one sync a commit where the default costs three; libSQL has its own
/// way and refuses the pragma, which changes nothing.
const SCHEMA: [&str; 4] = [
    "PRAGMA journal_mode = WAL",
    "CREATE TABLE IF NOT EXISTS records (
        place INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        version INTEGER NOT NULL,
        wake_at_ms INTEGER,
        bytes BLOB NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS records_by_wake ON records (wake_at_ms) WHERE wake_at_ms IS NOT NULL",
];
/// Run when a statement finds a table of a build without the columns of a search. What is there already is left as it is.
const COLUMNS: [&str; 5] = [
    "ALTER TABLE records ADD COLUMN merchant TEXT",
    "ALTER TABLE records ADD COLUMN order_id TEXT",
    "ALTER TABLE records ADD COLUMN state TEXT",
    "ALTER TABLE records ADD COLUMN since_ms INTEGER",
    "ALTER TABLE records ADD COLUMN indexed_version INTEGER",
];
/// The indices of a search.
const INDICES: [&str; 3] = [
    "CREATE INDEX IF NOT EXISTS records_by_state ON records (state, merchant, since_ms, id)",
    "CREATE INDEX IF NOT EXISTS records_by_order ON records (order_id, merchant, id) WHERE order_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS records_not_indexed ON records (place) WHERE indexed_version IS NOT version",
];
/// SQLite's words for a table that is not there.
const NO_TABLE: &str = "no such table";
/// Its words for a column that is not there, in a statement that inserts and in any other.
const NO_COLUMN: [&str; 2] = ["has no column named", "no such column"];
/// Its words for a column that is there.
const HAS_COLUMN: &str = "duplicate column name";
/// The installation that the store belongs to: the one that is noted; `""` if there are records and no note, since those were
/// begun before there were names; NULL if there is nothing yet.
const NOTED: &str = "SELECT coalesce(
    (SELECT value FROM meta WHERE name = 'installation'), (SELECT '' FROM records LIMIT 1))";
/// Notes it, unless the store has one: of two that begin a store at once, one does.
const NOTE: &str = "INSERT INTO meta (name, value)
    SELECT 'installation', coalesce((SELECT '' FROM records LIMIT 1), ?1) WHERE true
    ON CONFLICT (name) DO NOTHING";
const LOAD: &str = "SELECT bytes FROM records WHERE id = ?1";
const INSERT: &str = "INSERT INTO records
    (id, version, wake_at_ms, bytes, state, since_ms, merchant, order_id, indexed_version)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?2)
    ON CONFLICT (id) DO NOTHING RETURNING version";
const UPDATE: &str =
    "UPDATE records SET version = ?2, wake_at_ms = ?3, bytes = ?4, state = ?5, since_ms = ?6,
    indexed_version = ?2 WHERE id = ?1 AND version = ?7 RETURNING version";
const DUE: &str = "SELECT id, wake_at_ms FROM records WHERE wake_at_ms <= ?1 ORDER BY wake_at_ms LIMIT ?2";
const MOVE: &str = "UPDATE records SET wake_at_ms = ?3 WHERE id = ?1 AND wake_at_ms = ?2 RETURNING id";

/// A [`Store`] on one database of `spin:sqlite`.
pub struct SqliteStore {
    database: String,
    installation: String,
    connection: RefCell<Option<Rc<Connection>>>,
    /// Whether the store is this installation's, once it is anybody's.
    verdict: RefCell<Option<Result<(), StoreError>>>,
}

impl SqliteStore {
    /// The database with this label, of this installation; it is opened when it is first needed.
    #[must_use]
    pub fn new(database: &str, installation: &str) -> Self {
        Self {
            database: database.to_owned(),
            installation: installation.to_owned(),
            connection: RefCell::default(),
            verdict: RefCell::default(),
        }
    }

    /// Nothing is read or written in a store of another installation. The first record of a store notes whose it is, and not the
    /// first look: a component that is up before it is configured looks too.
    async fn trusted(&self, begins: bool) -> Result<(), StoreError> {
        let known = self.verdict.borrow().clone();
        if let Some(verdict) = known {
            return verdict;
        }
        let mut noted = self.noted().await?;
        if noted.is_none() && begins {
            let note = vec![Value::Text(self.installation.clone())];
            self.run(NOTE, note).await.map_err(unavailable)?;
            noted = self.noted().await?;
        }
        let Some(noted) = noted else { return Ok(()) };
        let verdict = belongs_to(&noted, &self.installation);
        self.verdict.replace(Some(verdict.clone()));
        verdict
    }

    async fn noted(&self) -> Result<Option<String>, StoreError> {
        let rows = self.run(NOTED, Vec::new()).await.map_err(unavailable)?;
        let noted = rows.first().and_then(|row| row.get::<&str>(0));
        Ok(noted.map(str::to_owned))
    }

    async fn connection(&self) -> Result<Rc<Connection>, Error> {
        let open = self.connection.borrow().clone();
        if let Some(connection) = open {
            return Ok(connection);
        }
        let connection = Rc::new(Connection::open(&self.database).await?);
        self.connection.replace(Some(Rc::clone(&connection)));
        Ok(connection)
    }

    /// Runs a statement to its end; makes the tables if there are none.
    async fn run(&self, statement: &str, values: Vec<Value>) -> Result<Vec<RowResult>, Error> {
        let connection = self.connection().await?;
        match execute(&connection, statement, values.clone()).await {
            Err(Error::Io(why)) if why.contains(NO_TABLE) => {
                for statement in SCHEMA {
                    let made = execute(&connection, statement, Vec::new()).await;
                    if !statement.starts_with("PRAGMA") {
                        made?;
                    }
                }
                self.add_columns(&connection).await?;
                execute(&connection, statement, values).await
            }
            Err(Error::Io(why)) if NO_COLUMN.iter().any(|words| why.contains(words)) => {
                self.add_columns(&connection).await?;
                execute(&connection, statement, values).await
            }
            Err(error) => {
                // Whatever it was, the next statement gets a connection of its own.
                self.connection.replace(None);
                Err(error)
            }
            rows => rows,
        }
    }

    async fn add_columns(&self, connection: &Connection) -> Result<(), Error> {
        for statement in COLUMNS.into_iter().chain(INDICES) {
            match execute(connection, statement, Vec::new()).await {
                Err(Error::Io(why)) if why.contains(HAS_COLUMN) => {}
                done => drop(done?),
            }
        }
        Ok(())
    }
}

async fn execute(
    connection: &Connection,
    statement: &str,
    values: Vec<Value>,
) -> Result<Vec<RowResult>, Error> {
    connection.execute(statement, values).await?.collect().await
}

impl Store for SqliteStore {
    async fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, StoreError> {
        self.trusted(false).await?;
        let rows = self.run(LOAD, vec![blob(id)]).await.map_err(unavailable)?;
        let bytes = rows
            .into_iter()
            .next()
            .and_then(|row| row.values.into_iter().next());
        match bytes {
            None => Ok(None),
            Some(Value::Blob(bytes)) => Ok(Some(bytes)),
            Some(_) => Err(StoreError::Unavailable("a record is not a blob".to_owned())),
        }
    }

    async fn swap(&self, swap: Swap) -> Result<Swapped, StoreError> {
        self.trusted(true).await?;
        let wake_at = swap.wake_at_ms.map_or(Value::Null, time);
        let mut values = vec![
            blob(swap.id),
            integer(swap.version.get()),
            wake_at,
            Value::Blob(swap.bytes),
            Value::Text(swap.entry.state.as_str().to_owned()),
            time(swap.entry.since_ms),
        ];
        let statement = match swap.expected_version {
            None => {
                values.push(Value::Text(swap.entry.merchant.to_string()));
                values.push(swap.entry.order_id.map_or(Value::Null, Value::Text));
                INSERT
            }
            Some(version) => {
                values.push(integer(version.get()));
                UPDATE
            }
        };
        Ok(match self.run(statement, values).await {
            Ok(rows) if rows.is_empty() => Swapped::Conflict,
            Ok(_) => Swapped::Applied,
            Err(error) => {
                let line = format!("a swap's end is unknown: {error}");
                WasiWorld::default().log(&Line::warn(Some(swap.id), &line));
                Swapped::Unknown
            }
        })
    }

    async fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(AttemptId, UnixMillis)>, StoreError> {
        self.trusted(false).await?;
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let rows = self
            .run(DUE, vec![time(until_ms), integer(limit)])
            .await
            .map_err(unavailable)?;
        let read = |row: &RowResult| {
            let id: &[u8] = row.get(0)?;
            let at_ms = UnixMillis::new(row.get(1)?);
            Some((AttemptId::from_bytes(id.try_into().ok()?), at_ms))
        };
        Ok(readable(rows.iter().map(read)))
    }

    async fn search(&self, search: Search) -> Result<Found, SearchError> {
        self.trusted(false).await.map_err(|_| SearchError::Unavailable)?;
        sqlite_search::page(
            async |statement, values| self.run(statement, values).await,
            search,
        )
        .await
    }

    async fn index_missing(&self, limit: usize) -> Result<usize, StoreError> {
        self.trusted(false).await?;
        // A build that was cut off while it added them has left the columns alone, and no statement fails for want of an index.
        for statement in INDICES {
            self.run(statement, Vec::new()).await.map_err(unavailable)?;
        }
        let run = async |statement, values| self.run(statement, values).await;
        sqlite_search::index_missing(run, limit)
            .await
            .map_err(unavailable)
    }

    async fn move_wake(
        &self,
        id: AttemptId,
        at_ms: UnixMillis,
        to_ms: Option<UnixMillis>,
    ) -> Result<bool, StoreError> {
        self.trusted(false).await?;
        let values = vec![blob(id), time(at_ms), to_ms.map_or(Value::Null, time)];
        let rows = self.run(MOVE, values).await.map_err(unavailable)?;
        Ok(!rows.is_empty())
    }
}

/// A store has one installation for life: under another name none of its attempts would be found, and each retry of a create
/// would be a new payment.
fn belongs_to(noted: &str, installation: &str) -> Result<(), StoreError> {
    if noted == installation {
        return Ok(());
    }
    Err(StoreError::Unsafe(format!(
        "it belongs to installation \"{noted}\", and this deployment is configured as \"{installation}\". A store keeps its installation for life: configure installation = \"{noted}\", or give the component another database"
    )))
}

fn blob(id: AttemptId) -> Value {
    Value::Blob(id.to_bytes().to_vec())
}

/// SQLite's integers end at 2^63 − 1, some 292 million years from now.
fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn time(at_ms: UnixMillis) -> Value {
    integer(at_ms.get())
}

fn unavailable(error: Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
