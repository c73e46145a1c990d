//! The embedded store: SQLite, WAL, `synchronous=FULL`. One writer thread commits swaps in groups, so that many
//! payments share one sync of the disk; readers see what is committed and nothing else.

use std::cell::RefCell;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use pay_once_core::{AttemptId, UnixMillis};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use crate::counters::{Count, Counters};
use crate::ports::{Store, Swap, Swapped, Unavailable};

/// Most swaps in one commit.
const GROUP_MAX: usize = 256;
/// Once swaps come in company, a commit waits this long for more of them, in microseconds. A lone swap never waits.
const GATHER_US: u64 = 300;
/// A commit that has this many swaps waits for no more.
const GATHER_ENOUGH: usize = 24;
/// The write-ahead log is checkpointed after this many commits and swaps, about 15 MB of it.
const CHECKPOINT_AFTER: u64 = 2_000;
/// How often that is looked at, in milliseconds.
const CHECKPOINT_EVERY_MS: u64 = 500;
/// How long a statement waits for another process's lock, in seconds.
const BUSY_TIMEOUT_S: u64 = 5;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS records (
    -- Rows in order of arrival: payments of the same minute share pages, and a commit of many writes few.
    place INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    wake_at_ms INTEGER,
    bytes BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS records_by_wake ON records (wake_at_ms) WHERE wake_at_ms IS NOT NULL;
";
const LOAD: &str = "SELECT bytes FROM records WHERE id = ?1";
const INSERT: &str = "INSERT INTO records (id, version, wake_at_ms, bytes) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING";
const UPDATE: &str =
    "UPDATE records SET version = ?2, wake_at_ms = ?3, bytes = ?4 WHERE id = ?1 AND version = ?5";
const DUE: &str = "SELECT id, wake_at_ms FROM records WHERE wake_at_ms <= ?1 ORDER BY wake_at_ms LIMIT ?2";

/// The store of one process, which holds its directory for itself.
#[derive(Debug)]
pub struct SqliteStore {
    /// Locked as long as the process lives, also by a `kill -9`.
    _lock: File,
    reader: RefCell<Connection>,
    writer: Sender<Job>,
}

#[derive(Debug)]
struct Job {
    swap: Swap,
    done: oneshot::Sender<Swapped>,
}

impl SqliteStore {
    /// Opens, or makes, the store of this installation in `dir`, and starts its threads.
    ///
    /// # Errors
    /// A sentence that says what is wrong: the directory, the file, a store that fails its probe, or one of another
    /// installation.
    pub fn open(dir: &Path, installation: &str, counters: Arc<Counters>) -> Result<Self, Unavailable> {
        let at = |what: &str| {
            let what = what.to_owned();
            move |error: rusqlite::Error| Unavailable(format!("{what} in {}: {error}", dir.display()))
        };
        std::fs::create_dir_all(dir).map_err(|error| {
            Unavailable(format!(
                "the data directory {} cannot be made: {error}",
                dir.display()
            ))
        })?;
        let lock = lock(dir)?;
        let path = dir.join("pay-once.sqlite3");
        let writing = connect(&path).map_err(at("the store cannot be opened"))?;
        writing
            .execute_batch(SCHEMA)
            .map_err(at("the store's tables cannot be made"))?;
        probe(&writing)
            .map_err(|why| Unavailable(format!("the store in {} is refused: {why}", dir.display())))?;
        belongs_to(&writing, installation)
            .map_err(|why| Unavailable(format!("the store in {} is refused: {why}", dir.display())))?;
        let reader = connect(&path).map_err(at("the store cannot be opened"))?;
        let checkpointing = connect(&path).map_err(at("the store cannot be opened"))?;
        let (writer, jobs) = channel();
        let for_checkpoints = Arc::clone(&counters);
        spawn("store-writer", move || write_groups(writing, &jobs, &counters))?;
        spawn("store-checkpoint", move || {
            checkpoint(&checkpointing, &for_checkpoints)
        })?;
        Ok(Self {
            _lock: lock,
            reader: RefCell::new(reader),
            writer,
        })
    }
}

impl Store for SqliteStore {
    fn is_exclusive(&self) -> bool {
        true
    }

    async fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, Unavailable> {
        let reader = self.reader.borrow();
        let mut statement = reader.prepare_cached(LOAD).map_err(unavailable)?;
        statement
            .query_row(params![id.to_bytes()], |row| row.get(0))
            .optional()
            .map_err(unavailable)
    }

    async fn swap(&self, swap: Swap) -> Swapped {
        let (done, result) = oneshot::channel();
        // A writer that is gone has taken nothing; a writer that goes away now may have.
        if self.writer.send(Job { swap, done }).is_err() {
            return Swapped::Unknown;
        }
        result.await.unwrap_or(Swapped::Unknown)
    }

    async fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(AttemptId, UnixMillis)>, Unavailable> {
        let reader = self.reader.borrow();
        let mut statement = reader.prepare_cached(DUE).map_err(unavailable)?;
        let until_ms = i64::try_from(until_ms.get()).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement
            .query_map(params![until_ms, limit], |row| {
                Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?))
            })
            .map_err(unavailable)?;
        rows.map(|row| {
            row.map(|(id, at)| {
                (
                    AttemptId::from_bytes(id),
                    UnixMillis::new(u64::try_from(at).unwrap_or(0)),
                )
            })
        })
        .collect::<Result<_, _>>()
        .map_err(unavailable)
    }
}

/// The installation that the store in `dir` belongs to, if there is one that has records or a note of it: for a quick start, which
/// has no configuration to say so.
#[must_use]
pub fn installation_of(dir: &Path) -> Option<String> {
    let path = dir.join("pay-once.sqlite3");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let known = "SELECT value FROM meta WHERE name = 'installation'";
    let noted = connection.query_row(known, [], |row| row.get(0)).ok();
    let has_records = || {
        let any = "SELECT EXISTS (SELECT 1 FROM records)";
        connection.query_row(any, [], |row| row.get(0)).unwrap_or(false)
    };
    noted.or_else(|| has_records().then(String::new))
}

fn lock(dir: &Path) -> Result<File, Unavailable> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(|error| {
        Unavailable(format!(
            "the lock file {} cannot be made: {error}",
            path.display()
        ))
    })?;
    file.try_lock().map_err(|_| {
        Unavailable(format!(
            "another process is serving from {}. Stop it, or choose another directory with --data",
            dir.display()
        ))
    })?;
    Ok(file)
}

fn unavailable(error: rusqlite::Error) -> Unavailable {
    Unavailable(error.to_string())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Unavailable> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(|_| ())
        .map_err(|error| Unavailable(format!("the thread {name} cannot be started: {error}")))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(BUSY_TIMEOUT_S))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints have a thread of their own: none inside a commit.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

/// A store that fails its probe is refused, not trusted (`docs/store.md`, “The probe”): durable settings, and a swap that swaps
/// once.
fn probe(connection: &Connection) -> Result<(), String> {
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
        let insert = |v: i64| transaction.execute(INSERT, params![id, v, None::<i64>, b"probe"]);
        let update = |v: i64, expected: i64| {
            transaction.execute(UPDATE, params![id, v, None::<i64>, b"probe", expected])
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

/// A store belongs to one installation for life: under another name none of its attempts would be found, and each retry of a
/// create would be a new payment. What was begun before there were names has none.
fn belongs_to(connection: &Connection, installation: &str) -> Result<(), String> {
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

fn write_groups(mut connection: Connection, jobs: &Receiver<Job>, counters: &Counters) {
    let mut last_group = 1;
    while let Ok(first) = jobs.recv() {
        let group = gather(first, jobs, last_group > 1);
        last_group = group.len();
        let began = Instant::now();
        let outcome = commit(&mut connection, &group);
        counters.add(Count::Commit);
        let metrics = &counters.metrics;
        metrics.commit_seconds.observe(began.elapsed().as_secs_f64());
        #[allow(clippy::cast_precision_loss)]
        metrics.commit_records.observe(group.len() as f64);
        let results = outcome.unwrap_or_else(|error| {
            tracing::error!(%error, swaps = group.len(), "a commit failed; its swaps ended unknown");
            vec![Swapped::Unknown; group.len()]
        });
        for (job, result) in group.into_iter().zip(results) {
            // Whoever waited may be gone; the swap stands.
            let _ = job.done.send(result);
        }
    }
}

/// Takes what is there, and, in company, waits a little for more: one sync for all of them.
fn gather(first: Job, jobs: &Receiver<Job>, in_company: bool) -> Vec<Job> {
    let mut group = vec![first];
    let until = Instant::now() + Duration::from_micros(GATHER_US);
    while group.len() < GROUP_MAX {
        match jobs.try_recv() {
            Ok(job) => group.push(job),
            Err(_) if !in_company || group.len() >= GATHER_ENOUGH => break,
            Err(_) => match jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(job) => group.push(job),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            },
        }
    }
    group
}

fn commit(connection: &mut Connection, group: &[Job]) -> rusqlite::Result<Vec<Swapped>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let results = group
        .iter()
        .map(|job| apply(&transaction, &job.swap))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    transaction.commit()?;
    Ok(results)
}

fn apply(transaction: &Transaction<'_>, swap: &Swap) -> rusqlite::Result<Swapped> {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let (id, version, wake) = (
        swap.id.to_bytes(),
        signed(swap.version.get()),
        swap.wake_at_ms.map(|at_ms| signed(at_ms.get())),
    );
    let changed = match swap.expected_version {
        None => transaction
            .prepare_cached(INSERT)?
            .execute(params![id, version, wake, swap.bytes])?,
        Some(expected) => transaction.prepare_cached(UPDATE)?.execute(params![
            id,
            version,
            wake,
            swap.bytes,
            signed(expected.get())
        ])?,
    };
    Ok(if changed == 1 {
        Swapped::Applied
    } else {
        Swapped::Conflict
    })
}

/// Keeps the write-ahead log short. The passive pass copies while commits go on; the restart that follows has little
/// left to do and lets the log begin anew in the same file, whose space is then there already.
fn checkpoint(connection: &Connection, counters: &Counters) {
    let mut done_at = 0;
    loop {
        thread::sleep(Duration::from_millis(CHECKPOINT_EVERY_MS));
        let now = counters.snapshot();
        let written = now.commits + now.durable_writes;
        if written < done_at + CHECKPOINT_AFTER {
            continue;
        }
        for pass in ["PASSIVE", "RESTART"] {
            if let Err(error) =
                connection.query_row(&format!("PRAGMA wal_checkpoint({pass})"), [], |_| Ok(()))
            {
                tracing::warn!(%error, pass, "a checkpoint did not finish; it is tried again");
            }
        }
        counters.add(Count::Checkpoint);
        done_at = written;
    }
}
