//! Connections that are opened when they are needed, checked, and opened again after they broke.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pay_once_postgres_sql::{ALIVE, Identity, signed};
use tokio::sync::mpsc;
use tokio_postgres::{Notification, Statement};

use crate::counters::Counters;
use crate::failure::Failure;
use crate::ports::Unavailable;
use crate::postgres::connect::{Database, Link, reason};
use crate::postgres::trust::{check, has_tables};
use crate::store::health::{Health, now_ms};

/// How long a statement may take, in seconds.
pub(super) const TIMEOUT_S: u64 = 5;
/// How long after a failed attempt to connect the next one is made, in milliseconds. What is asked meanwhile is refused at once.
pub(super) const RECONNECT_MS: u64 = 200;

/// What the tasks of the thread share.
pub(super) struct Shared {
    pub(super) database: Database,
    pub(super) identity: Identity,
    /// A commit is on a standby as well, once it is acknowledged.
    pub(super) is_replicated: bool,
    /// How many statements ended unknown.
    pub(super) unknowns: AtomicU64,
    pub(super) health: Arc<Health>,
    pub(super) counters: Arc<Counters>,
}

/// A connection that is opened when it is needed, and again after it broke.
pub(super) struct Kept {
    shared: Arc<Shared>,
    open: Option<(Link, Statement)>,
    statement: &'static str,
    next_attempt: Option<Instant>,
    /// How many connections are open of those that do the same work.
    peers: Arc<AtomicUsize>,
}

impl Kept {
    pub(super) fn new(shared: Arc<Shared>, statement: &'static str, peers: Arc<AtomicUsize>) -> Self {
        Self {
            shared,
            open: None,
            statement,
            next_attempt: None,
            peers,
        }
    }

    fn set(&mut self, open: Option<(Link, Statement)>) {
        match (self.open.is_some(), open.is_some()) {
            (false, true) => drop(self.peers.fetch_add(1, Ordering::AcqRel)),
            (true, false) => drop(self.peers.fetch_sub(1, Ordering::AcqRel)),
            (true, true) | (false, false) => {}
        }
        self.open = open;
    }

    /// Opens the connection before it is needed: the first requests after a start do not wait for it.
    pub(super) async fn warm_up(&mut self) {
        // If it fails, whoever needs it tries again.
        let _ = self.get().await;
    }

    /// Returns once the connection is open, or if no other one could do its work. A connection that is broken refuses at once what it
    /// takes, and so would take more than those that serve.
    pub(super) async fn is_of_use(&mut self) {
        while self.open.is_none() && self.peers.load(Ordering::Acquire) > 0 {
            if self.get().await.is_err() {
                tokio::time::sleep(Duration::from_millis(RECONNECT_MS)).await;
            }
        }
    }

    /// The connection, with its statement prepared.
    pub(super) async fn get(&mut self) -> Result<&(Link, Statement), Unavailable> {
        if let Some(why) = self.shared.health.failure() {
            return Err(Unavailable(why.to_owned()));
        }
        if self
            .open
            .as_ref()
            .is_some_and(|(link, _)| link.client.is_closed())
        {
            self.set(None);
        }
        if self.open.is_none() {
            if self.next_attempt.is_some_and(|at| Instant::now() < at) {
                return Err(Unavailable("the database cannot be reached".to_owned()));
            }
            match connect(&self.shared, None).await {
                Ok(link) => match bounded(link.client.prepare(self.statement)).await {
                    Ok(statement) => self.set(Some((link, statement))),
                    Err(error) => return Err(self.failed(&error)),
                },
                Err(why) => {
                    self.next_attempt = Some(Instant::now() + Duration::from_millis(RECONNECT_MS));
                    return Err(why);
                }
            }
        }
        self.open
            .as_ref()
            .ok_or_else(|| Unavailable("the database cannot be reached".to_owned()))
    }

    /// No answer came in time. The database may be frozen, and have a session for each connection that was given up.
    pub(super) fn timed_out(&mut self) -> Unavailable {
        self.next_attempt = Some(Instant::now() + Duration::from_secs(TIMEOUT_S));
        self.failed(&"no answer in time")
    }

    /// The connection is not used again.
    pub(super) fn failed(&mut self, error: &dyn std::fmt::Display) -> Unavailable {
        self.set(None);
        tracing::warn!(%error, "a statement failed; its connection is closed");
        Unavailable(error.to_string())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.set(None);
    }
}

/// Opens a connection, and checks that it leads to the database that this process began with.
pub(super) async fn connect(
    shared: &Shared,
    notified: Option<mpsc::UnboundedSender<Notification>>,
) -> Result<Link, Unavailable> {
    let opened = async {
        let link = shared
            .database
            .connect(notified)
            .await
            .map_err(|error| format!("the database cannot be reached: {}", reason(&error)))?;
        let said = |failure: Failure| failure.to_string();
        // A later build may have changed the tables since.
        has_tables(&link.client).await.map_err(said)?;
        let identity = check(&link.client, shared.is_replicated).await.map_err(said)?;
        if identity != shared.identity {
            shared.health.fail(format!(
                "the database is another one than at the start: it was {}, and is {}. It was restored, or a standby was promoted, and may lack acknowledged payments. Start again: the start notes what may be missing",
                shared.identity.word(),
                identity.word()
            ));
            return Err("the database is another one than at the start".to_owned());
        }
        Ok(link)
    };
    match tokio::time::timeout(shared.database.connect_timeout(), opened).await {
        Ok(opened) => opened.map_err(Unavailable),
        Err(_) => Err(Unavailable("the database did not answer in time".to_owned())),
    }
}

/// A statement that is not waited for longer than others.
pub(super) async fn bounded<T>(
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, String> {
    match tokio::time::timeout(Duration::from_secs(TIMEOUT_S), asked).await {
        Ok(said) => said.map_err(|error| reason(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

pub(super) async fn alive(link: &Link) -> Result<(), tokio_postgres::Error> {
    link.client.execute(ALIVE, &[&signed(now_ms())]).await.map(|_| ())
}

pub(super) fn id_of(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.try_into().ok()
}
