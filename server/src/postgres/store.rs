//! The store as the server's port. Any number of servers may share the database.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use pay_once_core::{AttemptId, Config, Found, Search, SearchError, UnixMillis};
use pay_once_postgres_sql::{FORM, Identity};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_postgres::{Client, Transaction};

use crate::counters::Counters;
use crate::failure::Failure;
use crate::ports::{Changed, Scan, Store, Swap, Swapped, Unavailable};
use crate::postgres::connect::{Database, failure, reason, runtime};
use crate::postgres::link::Shared;
use crate::postgres::schema::{Migrated, meta, migrate};
use crate::postgres::search;
use crate::postgres::side::Due;
use crate::postgres::trust::{belongs_to, check, has_tables, probe};
use crate::postgres::worker::{self, Channels, Load, Write};
use crate::search_queue::{self, Searcher};
use crate::store::health::{Health, now_ms};
use crate::store::note::RestoreNote;

/// How long a start waits for the checks of the database, and again for the comparison with the one before.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// The store of a server that is one of many.
#[derive(Debug)]
pub struct PostgresStore {
    loads: mpsc::UnboundedSender<Load>,
    writes: mpsc::UnboundedSender<Write>,
    dues: mpsc::UnboundedSender<Due>,
    searcher: Searcher,
    changed: Mutex<mpsc::UnboundedReceiver<Changed>>,
    health: Arc<Health>,
}

/// A store that may be served, and what its database notes of losses.
#[derive(Debug)]
pub struct OpenedStore {
    /// The store.
    pub store: PostgresStore,
    /// What may be missing.
    pub note: Option<RestoreNote>,
}

/// What a deployment says of the database.
#[derive(Clone, Copy, Debug, Default)]
pub struct Promises {
    /// A standby that is promoted has everything that was acknowledged (`synchronous_standby_names`), and the primary before it can
    /// acknowledge nothing more.
    pub failover_is_synchronous: bool,
    /// Largest difference between the clocks of two servers, in milliseconds.
    pub skew_ms: u64,
    /// How long a server may still send what it has dispatched, in milliseconds.
    pub send_window_ms: u64,
    /// An operator says that writes since this time may be missing, in milliseconds since the Unix epoch.
    pub suspect_loss_since_ms: Option<u64>,
}

impl Promises {
    /// By a configuration: the largest of its PSPs' constants.
    #[must_use]
    pub fn of(config: &Config, failover_is_synchronous: bool, suspect_loss_since_ms: Option<u64>) -> Self {
        let timings = || config.psps.values().map(|psp| psp.timing);
        let skew = timings().map(|timing| timing.max_clock_skew_ms).max();
        let window = timings().map(|timing| timing.send_window_ms).max();
        Self {
            failover_is_synchronous,
            skew_ms: skew.unwrap_or_default().get(),
            send_window_ms: window.unwrap_or_default().get(),
            suspect_loss_since_ms,
        }
    }

    /// After which time no server of before sends anything more that the database before had acknowledged.
    fn rest(&self) -> Duration {
        Duration::from_millis(self.send_window_ms.saturating_add(self.skew_ms))
    }

    /// Whether the database may lack what another one had acknowledged. A promoted standby has the same tables under another timeline.
    fn begins_loss(&self, known: Option<&str>, identity: &Identity) -> bool {
        known.is_some_and(|known| {
            let is_promoted = self.failover_is_synchronous && identity.has_tables_of(known);
            known != identity.word() && !is_promoted
        })
    }
}

impl PostgresStore {
    /// Connects, checks the database, and starts the thread behind the store.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to do.
    pub fn open(
        database: &Database,
        installation: &str,
        promises: Promises,
        counters: Arc<Counters>,
    ) -> Result<OpenedStore, Failure> {
        let (runtime, runtime_of_searches) = (runtime()?, runtime()?);
        let refused = |why: String| format!("the store in {database} is refused: {why}");
        let (identity, note) = runtime
            .block_on(trusted(database, installation, promises))
            .map_err(|failure| failure.map(refused))?;
        let health = Arc::new(Health::new(Path::new("")));
        let shared = Arc::new(Shared {
            database: database.clone(),
            identity,
            is_replicated: promises.failover_is_synchronous,
            unknowns: AtomicU64::new(0),
            health: Arc::clone(&health),
            counters,
        });
        let for_searches = Arc::clone(&shared);
        let (loads, asked_loads) = mpsc::unbounded_channel();
        let (writes, asked_writes) = mpsc::unbounded_channel();
        let (dues, asked_dues) = mpsc::unbounded_channel();
        let (changes, changed) = mpsc::unbounded_channel();
        let channels = Channels {
            loads: asked_loads,
            writes: asked_writes,
            dues: asked_dues,
            changed: changes,
        };
        thread::Builder::new()
            .name("store-postgres".to_owned())
            .spawn(move || runtime.block_on(worker::serve(shared, channels)))
            .map_err(|error| format!("the thread of the store cannot be started: {error}"))?;
        let (searcher, searches) = search_queue::queue();
        thread::Builder::new()
            .name("search-postgres".to_owned())
            .spawn(move || runtime_of_searches.block_on(search::serve(for_searches, searches)))
            .map_err(|error| format!("the thread of searches cannot be started: {error}"))?;
        Ok(OpenedStore {
            store: Self {
                loads,
                writes,
                dues,
                searcher,
                changed: Mutex::new(changed),
                health,
            },
            note,
        })
    }

    /// How the store is, from now on.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }
}

/// A start waits no longer than this for what it asks of the database: its connection may be silent, and never break. A supervisor
/// then starts it again.
async fn in_time<T>(limit: Duration, asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
        Err(Failure::Temporary(
            "the database did not answer in time".to_owned(),
        ))
    })
}

/// Which database it is and what it may lack, if it may be served.
async fn trusted(
    database: &Database,
    installation: &str,
    promises: Promises,
) -> Result<(Identity, Option<RestoreNote>), Failure> {
    let connecting = async {
        let link = database.connect(None).await;
        link.map_err(|error| Failure::Temporary(format!("it cannot be reached: {}", reason(&error))))
    };
    let mut link = in_time(database.connect_timeout(), connecting).await?;
    let client = &mut link.client;
    let checking = async {
        has_tables(client).await?;
        let identity = check(client, promises.failover_is_synchronous).await?;
        belongs_to(client, installation).await?;
        probe(database).await?;
        Ok(identity)
    };
    let identity = in_time(START_TIMEOUT, checking).await?;
    let comparing = same_as_before(client, &identity, promises);
    let note = in_time(START_TIMEOUT + promises.rest(), comparing).await?;
    Ok((identity, note))
}

/// Compares the database with the one that was served before. Other tables or another timeline are a copy that was restored or promoted:
/// it may lack what was acknowledged after its newest sign of life.
async fn same_as_before(
    client: &mut Client,
    identity: &Identity,
    promises: Promises,
) -> Result<Option<RestoreNote>, Failure> {
    let said = |error: tokio_postgres::Error| failure("its identity cannot be compared", &error);
    let known = meta(client, "system").await.map_err(said)?;
    if promises.begins_loss(known.as_deref(), identity) {
        // Servers of before may still send what the database before had acknowledged. The restore is noted after that.
        tokio::time::sleep(promises.rest()).await;
    }
    let transaction = client.transaction().await.map_err(said)?;
    // A statement of its own: what another server has noted meanwhile is read after it.
    lock(&transaction).await.map_err(said)?;
    let value = async |name: &str| meta(&transaction, name).await.map_err(said);
    let known = value("system").await?;
    let alive_at_ms = value("alive_at_ms")
        .await?
        .and_then(|text| text.parse::<u64>().ok());
    let alive_at_ms = alive_at_ms.unwrap_or_default();
    let mut note = parsed(value("restore_note").await?)?;
    let newest_ms = alive_at_ms.saturating_sub(promises.skew_ms);
    let begin = |before: Option<RestoreNote>, begins_ms: u64| {
        tracing::warn!(
            ?known,
            found = identity.word(),
            loss_begins_at_ms = begins_ms,
            "the database was restored, or a standby was promoted: what was written since may be missing"
        );
        let epoch = before.as_ref().map_or(1, |note| note.epoch + 1);
        RestoreNote::begin((epoch, 0), begins_ms, newest_ms, [before, None]).map(Some)
    };
    if promises.begins_loss(known.as_deref(), identity) {
        note = begin(note, alive_at_ms.saturating_sub(2 * promises.skew_ms))?;
    }
    if let Some(since_ms) = promises.suspect_loss_since_ms {
        if since_ms > now_ms() {
            return Err(
                "--suspect-loss-since is later than now; give a time that is certainly before the loss"
                    .to_owned()
                    .into(),
            );
        }
        let is_noted = note.as_ref().is_some_and(|note| note.has_loss_since(since_ms));
        if !is_noted {
            // Each loss is named by its own time.
            tokio::time::sleep(Duration::from_millis(2)).await;
            note = begin(note, since_ms)?;
        }
    }
    put(&transaction, "system", &identity.word())
        .await
        .map_err(said)?;
    if let Some(note) = &note {
        put(&transaction, "restore_note", &written(note)?)
            .await
            .map_err(said)?;
    }
    transaction.commit().await.map_err(said)?;
    Ok(note)
}

/// Notes are changed by one server at a time.
async fn lock(transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
    let statement = "SELECT 1 FROM pay_once.meta WHERE name = 'installation' FOR UPDATE";
    transaction.execute(statement, &[]).await.map(|_| ())
}

async fn put(transaction: &Transaction<'_>, name: &str, value: &str) -> Result<(), tokio_postgres::Error> {
    let statement = "INSERT INTO pay_once.meta (name, value) VALUES ($1, $2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    transaction.execute(statement, &[&name, &value]).await.map(|_| ())
}

fn parsed(note: Option<String>) -> Result<Option<RestoreNote>, String> {
    note.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| format!("restore_note in pay_once.meta is not a note of a restore: {error}"))
}

fn written(note: &RestoreNote) -> Result<String, String> {
    serde_json::to_string(note).map_err(|error| error.to_string())
}

/// Writes down what an operator has compared.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn write_note(database: &Database, note: &RestoreNote) -> Result<(), String> {
    let writing = async {
        let said = |error: tokio_postgres::Error| {
            format!("the note of the restore cannot be written: {}", reason(&error))
        };
        let mut link = database.connect(None).await.map_err(said)?;
        let transaction = link.client.transaction().await.map_err(said)?;
        lock(&transaction).await.map_err(said)?;
        let found = parsed(meta(&transaction, "restore_note").await.map_err(said)?)?;
        // Nothing that another server has noted meanwhile may be lost.
        if found.is_none_or(|found| (found.epoch, found.restored_at_ms) != (note.epoch, note.restored_at_ms))
        {
            return Err("another restore was noted meanwhile; start again".to_owned());
        }
        put(&transaction, "restore_note", &written(note)?)
            .await
            .map_err(said)?;
        transaction.commit().await.map_err(said)
    };
    let limit = database.connect_timeout() + START_TIMEOUT;
    let written = runtime()?.block_on(async { tokio::time::timeout(limit, writing).await });
    written
        .unwrap_or_else(|_| Err("the note of the restore cannot be written in time; start again".to_owned()))
}

/// Makes the tables, or brings them to this build's form.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn bring_up(database: &Database) -> Result<String, String> {
    runtime()?.block_on(async {
        let said = |error: tokio_postgres::Error| {
            format!("the tables in {database} cannot be made: {}", reason(&error))
        };
        let mut link = database.connect(None).await.map_err(said)?;
        let checked = check(&link.client, false).await;
        checked.map_err(|failure| failure.to_string())?;
        let Migrated { before, after } = migrate(&mut link.client).await.map_err(said)?;
        after.is_served()?;
        let installation = meta(&link.client, "installation").await.map_err(said)?;
        let bound = installation.map_or_else(
            || "bound to no installation yet".to_owned(),
            |name| format!("of installation {name:?}"),
        );
        let (before, after) = (before.number, after.number);
        Ok(if after > FORM {
            format!(
                "{database}, {bound}, has form {after} of a later build. This build, of form {FORM}, can run beside it. Nothing was changed."
            )
        } else if before == after {
            format!("{database}, {bound}, has form {after} already.")
        } else {
            format!("{database}, {bound}, has form {after} now; it had form {before}.")
        })
    })
}

impl Store for PostgresStore {
    fn is_exclusive(&self) -> bool {
        false
    }

    fn commit_time(&self) -> Duration {
        self.health.commit_time()
    }

    fn scan(&self) -> Scan {
        Scan::SHARED
    }

    async fn changed(&self) -> Changed {
        match self.changed.lock().await.recv().await {
            Some(changed) => changed,
            None => std::future::pending().await,
        }
    }

    async fn failed(&self) -> String {
        loop {
            if let Some(why) = self.health.failure() {
                return why.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, Unavailable> {
        let (done, loaded) = oneshot::channel();
        let gone = || Unavailable("the store's thread has ended".to_owned());
        self.loads.send(Load { id, done }).map_err(|_| gone())?;
        loaded.await.map_err(|_| gone())?
    }

    async fn swap(&self, swap: Swap) -> Swapped {
        let (done, swapped) = oneshot::channel();
        if self.writes.send(Write { swap, done }).is_err() {
            return Swapped::Unknown;
        }
        swapped.await.unwrap_or(Swapped::Unknown)
    }

    async fn search(&self, search: Search) -> Result<Found, SearchError> {
        self.searcher.search(search).await
    }

    async fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(AttemptId, UnixMillis)>, Unavailable> {
        let (done, due) = oneshot::channel();
        let gone = || Unavailable("the store's thread has ended".to_owned());
        let asked = Due {
            until_ms,
            limit,
            done,
        };
        self.dues.send(asked).map_err(|_| gone())?;
        due.await.map_err(|_| gone())?
    }
}
