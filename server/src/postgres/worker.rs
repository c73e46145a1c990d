//! The thread behind the store: connections, and statements that carry what many requests ask for.
//!
//! Whatever broke, or took too long, is unknown: the swap may have been applied, or may be yet. The loop reads it back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pay_once_core::{AttemptId, Swap, Swapped, UnixMillis};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Notification, Statement};

use crate::counters::{Count, Counters};
use crate::ports::Unavailable;
use crate::postgres::batch::{Batch, outcome, signed, split_twice};
use crate::postgres::connect::{Database, Link, reason};
use crate::postgres::schema::{ALIVE, CHANNEL, DUE, LOAD, NOTIFY, SWAP};
use crate::postgres::trust::{Identity, check};
use crate::store::health::{Health, now_ms};

/// Connections that write. While they wait for their commits, the next statement gathers what comes.
const WRITERS: usize = 4;
/// Most swaps, and most loads, of one statement.
const GROUP_MAX: usize = 256;
/// How long a statement may take, in seconds.
const TIMEOUT_S: u64 = 5;
/// How long after a failed attempt to connect the next one is made, in milliseconds. What is asked meanwhile is refused at once.
const RECONNECT_MS: u64 = 200;
/// How often a server writes down that it is alive, in milliseconds.
const ALIVE_EVERY_MS: u64 = 1_000;
/// For how long a server takes upon itself what is due, in milliseconds. If it ends meanwhile, another one does it then.
const TAKEN_FOR_MS: i64 = 15_000;
/// How often waiting requests look at the store while no notifications come, in milliseconds.
const POLL_MS: u64 = 50;
/// Most ids of one notification: 32 digits each, in 8,000 bytes.
const NOTIFIED_MAX: usize = 240;

/// A record that is asked for.
pub(super) struct Load {
    pub(super) id: AttemptId,
    pub(super) done: oneshot::Sender<Result<Option<Vec<u8>>, Unavailable>>,
}

/// A swap that is asked for.
pub(super) struct Write {
    pub(super) swap: Swap,
    pub(super) done: oneshot::Sender<Swapped>,
}

/// What is due is asked for.
pub(super) struct Due {
    pub(super) until_ms: UnixMillis,
    pub(super) limit: usize,
    pub(super) done: oneshot::Sender<Result<Vec<(AttemptId, UnixMillis)>, Unavailable>>,
}

/// What another server has changed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Changed {
    /// This record.
    One(AttemptId),
    /// Any record: notifications may have been lost.
    Any,
}

/// The ends of the channels that the thread reads from, and writes to.
pub(super) struct Channels {
    pub(super) loads: mpsc::UnboundedReceiver<Load>,
    pub(super) writes: mpsc::UnboundedReceiver<Write>,
    pub(super) dues: mpsc::UnboundedReceiver<Due>,
    pub(super) changed: mpsc::UnboundedSender<Changed>,
}

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

/// Serves until the store is dropped.
pub(super) async fn serve(shared: Arc<Shared>, channels: Channels) {
    let (committed, to_tell) = mpsc::unbounded_channel();
    let writes = Arc::new(Mutex::new(channels.writes));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        tasks.spawn(write(Arc::clone(&shared), Arc::clone(&writes), committed.clone()));
    }
    drop(committed);
    tasks.spawn(load(Arc::clone(&shared), channels.loads));
    let side = tokio::spawn(side(shared, channels.dues, to_tell, channels.changed));
    while tasks.join_next().await.is_some() {}
    side.abort();
}

/// A connection that is opened when it is needed, and again after it broke.
struct Kept {
    shared: Arc<Shared>,
    open: Option<(Link, Statement)>,
    statement: &'static str,
    next_attempt: Option<Instant>,
}

impl Kept {
    fn new(shared: Arc<Shared>, statement: &'static str) -> Self {
        Self {
            shared,
            open: None,
            statement,
            next_attempt: None,
        }
    }

    /// The connection, with its statement prepared.
    async fn get(&mut self) -> Result<&(Link, Statement), Unavailable> {
        if let Some(why) = self.shared.health.failure() {
            return Err(Unavailable(why.to_owned()));
        }
        if self
            .open
            .as_ref()
            .is_some_and(|(link, _)| link.client.is_closed())
        {
            self.open = None;
        }
        if self.open.is_none() {
            if self.next_attempt.is_some_and(|at| Instant::now() < at) {
                return Err(Unavailable("the database cannot be reached".to_owned()));
            }
            match connect(&self.shared, None).await {
                Ok(link) => match bounded(link.client.prepare(self.statement)).await {
                    Ok(statement) => self.open = Some((link, statement)),
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
    fn timed_out(&mut self) -> Unavailable {
        self.next_attempt = Some(Instant::now() + Duration::from_secs(TIMEOUT_S));
        self.failed(&"no answer in time")
    }

    /// The connection is not used again.
    fn failed(&mut self, error: &dyn std::fmt::Display) -> Unavailable {
        self.open = None;
        tracing::warn!(%error, "a statement failed; its connection is closed");
        Unavailable(error.to_string())
    }
}

/// Opens a connection, and checks that it leads to the database that this process began with.
async fn connect(
    shared: &Shared,
    notified: Option<mpsc::UnboundedSender<Notification>>,
) -> Result<Link, Unavailable> {
    let opened = async {
        let link = shared
            .database
            .connect(notified)
            .await
            .map_err(|error| format!("the database cannot be reached: {}", reason(&error)))?;
        let identity = check(&link.client, shared.is_replicated).await?;
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

/// Carries swaps out, in groups, until nobody can ask for any more.
async fn write(
    shared: Arc<Shared>,
    writes: Arc<Mutex<mpsc::UnboundedReceiver<Write>>>,
    committed: mpsc::UnboundedSender<Vec<AttemptId>>,
) {
    let mut kept = Kept::new(Arc::clone(&shared), SWAP);
    let mut group = Vec::new();
    loop {
        if group.is_empty() && writes.lock().await.recv_many(&mut group, GROUP_MAX).await == 0 {
            return;
        }
        let (now, later) = split_twice(std::mem::take(&mut group), |write: &Write| write.swap.id);
        group = later;
        let applied = swap(&mut kept, &shared, &now).await;
        let mut changed = Vec::new();
        for write in now {
            if applied.is_none() {
                shared.unknowns.fetch_add(1, Ordering::AcqRel);
            }
            let swapped = applied
                .as_ref()
                .map_or(Swapped::Unknown, |applied| outcome(applied, write.swap.id));
            if swapped == Swapped::Applied {
                changed.push(write.swap.id);
            }
            // Whoever waited may be gone; the swap stands.
            let _ = write.done.send(swapped);
        }
        if !changed.is_empty() {
            let _ = committed.send(changed);
        }
    }
}

/// One statement. `None`: it is not known what became of the swaps.
async fn swap(kept: &mut Kept, shared: &Shared, group: &[Write]) -> Option<BTreeSet<[u8; 16]>> {
    let batch = Batch::of(group.iter().map(|write| &write.swap));
    let begun = Instant::now();
    let (link, statement) = match kept.get().await {
        Ok(open) => open,
        Err(error) => {
            tracing::error!(%error, swaps = group.len(), "swaps ended unknown");
            shared.health.commit_failed();
            return None;
        }
    };
    let warnings = link.warnings.load(Ordering::Acquire);
    let arguments: [&(dyn ToSql + Sync); 5] = [
        &batch.ids,
        &batch.expected,
        &batch.versions,
        &batch.wakes,
        &batch.bytes,
    ];
    let asked = link.client.query(statement, &arguments);
    let said = tokio::time::timeout(Duration::from_secs(TIMEOUT_S), asked).await;
    shared.counters.add(Count::Commit);
    let metrics = &shared.counters.metrics;
    let took = begun.elapsed();
    metrics.commit_seconds.observe(took.as_secs_f64());
    #[allow(clippy::cast_precision_loss)]
    metrics.commit_records.observe(group.len() as f64);
    let rows = match said {
        // A warning may say that the commit is not replicated though it is acknowledged.
        Ok(Ok(_)) if link.warnings.load(Ordering::Acquire) != warnings => {
            kept.failed(&"the database answered with a warning");
            shared.health.commit_failed();
            return None;
        }
        Ok(Ok(rows)) => rows,
        Ok(Err(error)) => {
            kept.failed(&reason(&error));
            shared.health.commit_failed();
            return None;
        }
        Err(_) => {
            kept.timed_out();
            shared.health.commit_failed();
            return None;
        }
    };
    shared.health.committed(took);
    let mut applied = BTreeSet::new();
    for row in rows {
        applied.insert(id_of(row.try_get(0).ok()?)?);
    }
    Some(applied)
}

fn id_of(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.try_into().ok()
}

/// Reads records, many with one statement, until nobody can ask for any more.
async fn load(shared: Arc<Shared>, mut loads: mpsc::UnboundedReceiver<Load>) {
    let mut kept = Kept::new(Arc::clone(&shared), LOAD);
    let (mut group, mut unknowns) = (Vec::new(), 0);
    while loads.recv_many(&mut group, GROUP_MAX).await > 0 {
        let ids: BTreeSet<[u8; 16]> = group.iter().map(|load| load.id.to_bytes()).collect();
        let now = shared.unknowns.load(Ordering::Acquire);
        let found = match behind_unknowns(&mut kept, now != unknowns).await {
            Ok(()) => {
                unknowns = now;
                read(&mut kept, &ids).await
            }
            Err(error) => Err(error),
        };
        for load in group.drain(..) {
            let answer = match &found {
                Ok(found) => Ok(found.get(&load.id.to_bytes()).cloned()),
                Err(error) => Err(error.clone()),
            };
            let _ = load.done.send(answer);
        }
    }
}

/// After a swap that ended unknown, its record may show it before it is as durable as an acknowledged one: its wait for a standby may
/// have been cancelled. A commit that is acknowledged now is behind it in the log, and waits for it.
async fn behind_unknowns(kept: &mut Kept, is_needed: bool) -> Result<(), Unavailable> {
    if !is_needed {
        return Ok(());
    }
    let (link, _) = kept.get().await?;
    let warnings = link.warnings.load(Ordering::Acquire);
    match bounded(alive(link)).await {
        Ok(()) if link.warnings.load(Ordering::Acquire) == warnings => Ok(()),
        Ok(()) => Err(kept.failed(&"the database answered with a warning")),
        Err(_) => Err(kept.timed_out()),
    }
}

async fn read(kept: &mut Kept, ids: &BTreeSet<[u8; 16]>) -> Result<BTreeMap<[u8; 16], Vec<u8>>, Unavailable> {
    let ids: Vec<&[u8]> = ids.iter().map(|id| &id[..]).collect();
    let (link, statement) = kept.get().await?;
    let arguments: [&(dyn ToSql + Sync); 1] = [&ids];
    let asked = link.client.query(statement, &arguments);
    let rows = match tokio::time::timeout(Duration::from_secs(TIMEOUT_S), asked).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(error)) => return Err(kept.failed(&reason(&error))),
        Err(_) => return Err(kept.timed_out()),
    };
    let mut found = BTreeMap::new();
    for row in rows {
        let pair = (|| Some((id_of(row.try_get(0).ok()?)?, row.try_get(1).ok()?)))();
        let (id, bytes) =
            pair.ok_or_else(|| Unavailable("a row of pay_once.records is not a record".to_owned()))?;
        found.insert(id, bytes);
    }
    Ok(found)
}

/// Everything beside loads and swaps, on one connection: notifications both ways, what is due, and the sign of life.
async fn side(
    shared: Arc<Shared>,
    mut dues: mpsc::UnboundedReceiver<Due>,
    mut to_tell: mpsc::UnboundedReceiver<Vec<AttemptId>>,
    changed: mpsc::UnboundedSender<Changed>,
) {
    let mut told = Vec::new();
    loop {
        let (notified, mut notifications) = mpsc::unbounded_channel();
        let listening = async {
            let link = connect(&shared, Some(notified)).await?;
            let ours = bounded(listen(&link)).await.map_err(Unavailable)?;
            Ok((link, ours))
        };
        let (link, ours) = match listening.await {
            Ok(listening) => listening,
            Err(error) => {
                tracing::warn!(%error, "no notifications come; waiting requests poll");
                shared.health.commit_failed();
                if !without_link(&mut dues, &mut to_tell, &changed, &error).await {
                    return;
                }
                continue;
            }
        };
        // What changed until now was not notified.
        let _ = changed.send(Changed::Any);
        let mut beat = tokio::time::interval(Duration::from_millis(ALIVE_EVERY_MS));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                notification = notifications.recv() => match notification {
                    Some(notification) => {
                        if notification.process_id() != ours {
                            tell(&changed, notification.payload());
                        }
                        Ok(())
                    }
                    // The connection has ended.
                    None => break,
                },
                count = to_tell.recv_many(&mut told, GROUP_MAX) => {
                    if count == 0 {
                        return;
                    }
                    let sent = bounded(notify(&link, told.iter().flatten().copied())).await;
                    told.clear();
                    sent
                }
                due = dues.recv() => {
                    let Some(due) = due else { return };
                    bounded(take_due(&link, due)).await
                }
                _ = beat.tick() => {
                    let done = bounded(alive(&link)).await;
                    match &done {
                        Ok(()) => shared.health.reached(),
                        Err(_) => shared.health.commit_failed(),
                    }
                    done
                }
            };
            if let Err(error) = done {
                tracing::warn!(error, "a statement failed; its connection is opened again");
                break;
            }
        }
    }
}

/// Waits until the next attempt to connect, and has waiting requests poll. Whether the store is still open.
async fn without_link(
    dues: &mut mpsc::UnboundedReceiver<Due>,
    to_tell: &mut mpsc::UnboundedReceiver<Vec<AttemptId>>,
    changed: &mpsc::UnboundedSender<Changed>,
    why: &Unavailable,
) -> bool {
    for _ in 0..RECONNECT_MS / POLL_MS {
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        if changed.send(Changed::Any).is_err() {
            return false;
        }
        while let Ok(due) = dues.try_recv() {
            let _ = due.done.send(Err(why.clone()));
        }
        while to_tell.try_recv().is_ok() {}
    }
    true
}

/// A statement that is not waited for longer than others.
async fn bounded<T>(asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, String> {
    match tokio::time::timeout(Duration::from_secs(TIMEOUT_S), asked).await {
        Ok(said) => said.map_err(|error| reason(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn alive(link: &Link) -> Result<(), tokio_postgres::Error> {
    link.client.execute(ALIVE, &[&signed(now_ms())]).await.map(|_| ())
}

/// Listens, and returns the number of the session that listens.
async fn listen(link: &Link) -> Result<i32, tokio_postgres::Error> {
    // Nothing rests on what this connection writes: hints, and a sign of life that may be lost with what it stands behind in the log. Each
    // NOTIFY is a commit, and would wait for a sync of the log.
    let settings = format!("SET synchronous_commit = off; LISTEN {CHANNEL}");
    link.client.batch_execute(&settings).await?;
    // What this server could not tell the others while it had no connection: any record may have changed.
    link.client.query(NOTIFY, &[&""]).await?;
    link.client
        .query_one("SELECT pg_backend_pid()", &[])
        .await?
        .try_get(0)
}

fn tell(changed: &mpsc::UnboundedSender<Changed>, payload: &str) {
    for id in payload.split(' ') {
        let told = match u128::from_str_radix(id, 16) {
            Ok(id) => Changed::One(AttemptId::from_bytes(id.to_be_bytes())),
            Err(_) => Changed::Any,
        };
        let _ = changed.send(told);
    }
}

async fn notify(link: &Link, ids: impl Iterator<Item = AttemptId>) -> Result<(), tokio_postgres::Error> {
    let words: Vec<String> = ids
        .map(|id| format!("{:032x}", u128::from_be_bytes(id.to_bytes())))
        .collect();
    for words in words.chunks(NOTIFIED_MAX) {
        link.client.query(NOTIFY, &[&words.join(" ")]).await?;
    }
    Ok(())
}

async fn take_due(link: &Link, due: Due) -> Result<(), tokio_postgres::Error> {
    let now_ms = now_ms();
    let limit = i64::try_from(due.limit).unwrap_or(i64::MAX);
    let (until, now) = (signed(due.until_ms.get()), signed(now_ms));
    let taken_until = now.saturating_add(TAKEN_FOR_MS);
    let arguments: [&(dyn ToSql + Sync); 4] = [&until, &now, &taken_until, &limit];
    let rows = match link.client.query(DUE, &arguments).await {
        Ok(rows) => rows,
        Err(error) => {
            let _ = due.done.send(Err(Unavailable(reason(&error))));
            return Err(error);
        }
    };
    let mut found: Vec<(AttemptId, UnixMillis)> = rows
        .iter()
        .filter_map(|row| {
            let id = id_of(row.try_get(0).ok()?)?;
            let at_ms: i64 = row.try_get(1).ok()?;
            Some((
                AttemptId::from_bytes(id),
                UnixMillis::new(u64::try_from(at_ms).unwrap_or_default()),
            ))
        })
        .collect();
    found.sort_by_key(|(_, at_ms)| *at_ms);
    let _ = due.done.send(Ok(found));
    Ok(())
}
