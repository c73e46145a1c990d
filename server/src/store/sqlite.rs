//! The embedded store as the server's port: SQLite, WAL, `synchronous=FULL`. Readers see what is committed and nothing else.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pay_once_core::{AttemptId, Found, Search, SearchError, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use crate::counters::Counters;
use crate::ports::{Store, Swap, Swapped, Unavailable};
use crate::search_queue::{self, Searcher};
use crate::store::files::{DirLock, NotLocked, OpenFiles, Place};
use crate::store::health::Health;
use crate::store::opening::{Opened, Opening, open};
use crate::store::schema::{DUE, KNOWN, LOAD, connect};
use crate::store::search;
use crate::store::writer::{Job, Shared, Task, look_after, write_groups};

/// The store of one process, which holds its directory for itself.
#[derive(Debug)]
pub struct SqliteStore {
    reader: RefCell<Connection>,
    /// `None` while the store closes.
    writer: Option<Sender<Task>>,
    /// `None` while the store closes.
    searcher: Option<Searcher>,
    /// The threads run until the senders are gone: the one that looks after the log has one of the writer's, and ends first.
    running: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
    // The last member: nobody else may open the directory before the threads have closed their connections.
    _lock: DirLock,
}

impl SqliteStore {
    /// Opens, or makes, the store of this installation in `dir`, and starts its threads.
    ///
    /// # Errors
    /// As [`SqliteStore::open_locked`]; or another process holds the directory.
    pub fn open(dir: &Path, installation: &str, counters: Arc<Counters>) -> Result<Self, Unavailable> {
        let place = Place::new(dir);
        let lock = DirLock::take(&place).map_err(|why| match why {
            NotLocked::Held => Unavailable(DirLock::held(&place)),
            NotLocked::Failed(why) => Unavailable(why),
        })?;
        Self::open_locked(&place, lock, installation, counters, &Opening::default())
    }

    /// Opens, or makes, the store of a directory that is locked already.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to do: the directory, the files, a database that is damaged or has lost commits,
    /// a store that fails its probe, or one of another installation.
    pub fn open_locked(
        place: &Place,
        lock: DirLock,
        installation: &str,
        counters: Arc<Counters>,
        opening: &Opening,
    ) -> Result<Self, Unavailable> {
        let Opened {
            connection: writing,
            mark,
            position,
        } = open(place, installation, opening).map_err(Unavailable)?;
        let open_again = || {
            connect(&place.database()).map_err(|error| {
                Unavailable(format!(
                    "the store cannot be opened in {}: {error}",
                    place.dir().display()
                ))
            })
        };
        let (reader, checkpointing) = (open_again()?, open_again()?);
        let shared = Arc::new(Shared {
            counters,
            health: Arc::new(Health::new(place.dir())),
            mark,
            files: OpenFiles::of(place).map_err(Unavailable)?,
        });
        let (writer, tasks) = channel();
        let writer_for_looking = writer.clone();
        let (running, is_running) = channel();
        let (searcher, mut searches) = search_queue::queue();
        let database = place.database();
        let (for_writer, for_looking) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            spawn("store-writer", move || {
                write_groups(writing, &tasks, &for_writer, position);
            })?,
            spawn("store-checkpoint", move || {
                look_after(&checkpointing, &for_looking, &writer_for_looking, &is_running);
            })?,
            spawn("store-search", move || search::serve(&mut searches, &database))?,
        ];
        Ok(Self {
            reader: RefCell::new(reader),
            writer: Some(writer),
            searcher: Some(searcher),
            running: Some(running),
            threads,
            shared,
            _lock: lock,
        })
    }

    /// How the store is, from now on.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.shared.health)
    }

    /// What a file without a name says is no answer.
    fn is_sound(&self) -> Result<(), Unavailable> {
        match self.shared.health.failure() {
            Some(why) => Err(Unavailable(why.to_owned())),
            None => Ok(()),
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // A thread that outlived the lock could commit, or close the log, beside a successor.
        drop((self.writer.take(), self.running.take(), self.searcher.take()));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
        if let Err(error) = self.shared.mark.sync() {
            tracing::error!(%error, "the high-water mark cannot be synced");
        }
    }
}

impl Store for SqliteStore {
    fn is_exclusive(&self) -> bool {
        true
    }

    fn commit_time(&self) -> Duration {
        self.shared.health.commit_time()
    }

    async fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, Unavailable> {
        self.is_sound()?;
        let reader = self.reader.borrow();
        let mut statement = reader.prepare_cached(LOAD).map_err(unavailable)?;
        let found = statement
            .query_row(params![id.to_bytes()], |row| row.get(0))
            .optional()
            .map_err(unavailable)?;
        if found.is_some() {
            return Ok(found);
        }
        // Absent only if both trees say so.
        let mut statement = reader.prepare_cached(KNOWN).map_err(unavailable)?;
        let is_known = statement
            .query_row(params![id.to_bytes()], |row| row.get(0))
            .map_err(unavailable)?;
        if is_known {
            // The writer may have committed it between the two.
            let mut statement = reader.prepare_cached(LOAD).map_err(unavailable)?;
            let again = statement.query_row(params![id.to_bytes()], |row| row.get(0));
            return again.map(Some).map_err(|_| {
                self.shared.health.damaged();
                Unavailable("the database is damaged: an attempt is in one of the two trees of ids and not in the other; run `pay-once check`".to_owned())
            });
        }
        Ok(None)
    }

    async fn swap(&self, swap: Swap) -> Swapped {
        let (done, result) = oneshot::channel();
        // A writer that is gone has taken nothing; a writer that goes away now may have.
        let Some(writer) = &self.writer else {
            return Swapped::Unknown;
        };
        if writer.send(Task::Swap(Job { swap, done })).is_err() {
            return Swapped::Unknown;
        }
        result.await.unwrap_or(Swapped::Unknown)
    }

    async fn search(&self, search: Search) -> Result<Found, SearchError> {
        let searcher = self.searcher.clone().ok_or(SearchError::Unavailable)?;
        self.is_sound().map_err(|_| SearchError::Unavailable)?;
        searcher.search(search).await
    }

    async fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(AttemptId, UnixMillis)>, Unavailable> {
        self.is_sound()?;
        let reader = self.reader.borrow();
        let mut statement = reader.prepare_cached(DUE).map_err(unavailable)?;
        let until_ms = i64::try_from(until_ms.get()).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement
            .query_map(params![until_ms, limit], |row| {
                Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?))
            })
            .map_err(unavailable)?;
        let due = |(id, at_ms): ([u8; 16], i64)| {
            let at_ms = UnixMillis::new(u64::try_from(at_ms).unwrap_or(0));
            (AttemptId::from_bytes(id), at_ms)
        };
        rows.map(|row| row.map(due))
            .collect::<Result<_, _>>()
            .map_err(unavailable)
    }
}

fn unavailable(error: rusqlite::Error) -> Unavailable {
    Unavailable(error.to_string())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Unavailable> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| Unavailable(format!("the thread {name} cannot be started: {error}")))
}
