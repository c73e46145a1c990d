//! The thread behind the store: connections, and statements that carry what many requests ask for.
//!
//! Whatever broke, or took too long, is unknown: the swap may have been applied, or may be yet. The loop reads it back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pay_once_core::{AttemptId, Swap, Swapped};
use pay_once_postgres_sql::{LOAD, SWAP};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_postgres::types::ToSql;

use crate::counters::Count;
use crate::ports::{Changed, Unavailable};
use crate::postgres::batch::{Batch, outcome, split_twice};
use crate::postgres::connect::reason;
use crate::postgres::link::{Kept, Shared, TIMEOUT_S, alive, bounded, id_of};
use crate::postgres::side::{Due, side};

/// Connections that write. While they wait for their commits, the next statement gathers what comes.
const WRITERS: usize = 4;
/// How long a commit is the only one that is under way, in milliseconds. A quick database takes one after the other: the fewer there are,
/// the more swaps each has (measured at 16 payments in flight: 1,324 payments/s, and 1,201 with four at a time). A slow or silent one
/// keeps nobody from the other connections.
const ALONE_MS: u64 = 2;
/// Most swaps, and most loads, of one statement.
const GROUP_MAX: usize = 256;

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

/// The ends of the channels that the thread reads from, and writes to.
pub(super) struct Channels {
    pub(super) loads: mpsc::UnboundedReceiver<Load>,
    pub(super) writes: mpsc::UnboundedReceiver<Write>,
    pub(super) dues: mpsc::UnboundedReceiver<Due>,
    pub(super) changed: mpsc::UnboundedSender<Changed>,
}

/// Serves until the store is dropped.
pub(super) async fn serve(shared: Arc<Shared>, channels: Channels) {
    let (committed, to_tell) = mpsc::unbounded_channel();
    let writes = Arc::new(Mutex::new(channels.writes));
    let mut tasks = tokio::task::JoinSet::new();
    let writers = Arc::default();
    for _ in 0..WRITERS {
        let kept = Kept::new(Arc::clone(&shared), SWAP, Arc::clone(&writers));
        tasks.spawn(write(
            kept,
            Arc::clone(&shared),
            Arc::clone(&writes),
            committed.clone(),
        ));
    }
    drop(committed);
    tasks.spawn(load(Arc::clone(&shared), channels.loads));
    let side = tokio::spawn(side(shared, channels.dues, to_tell, channels.changed));
    while tasks.join_next().await.is_some() {}
    side.abort();
}

/// Carries swaps out, in groups, until nobody can ask for any more.
async fn write(
    mut kept: Kept,
    shared: Arc<Shared>,
    writes: Arc<Mutex<mpsc::UnboundedReceiver<Write>>>,
    committed: mpsc::UnboundedSender<Vec<AttemptId>>,
) {
    kept.warm_up().await;
    let mut group = Vec::new();
    loop {
        let mut turn = None;
        if group.is_empty() {
            kept.is_of_use().await;
            let mut writes = writes.lock().await;
            if writes.recv_many(&mut group, GROUP_MAX).await == 0 {
                return;
            }
            turn = Some(writes);
        }
        let (now, later) = split_twice(std::mem::take(&mut group), |write: &Write| write.swap.id);
        group = later;
        let applied = {
            let mut swapping = std::pin::pin!(swap(&mut kept, &shared, &now));
            tokio::select! {
                biased;
                applied = &mut swapping => applied,
                () = tokio::time::sleep(Duration::from_millis(ALONE_MS)) => {
                    drop(turn.take());
                    swapping.await
                }
            }
        };
        drop(turn);
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
    let arguments = batch.arguments();
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

/// Reads records, many with one statement, until nobody can ask for any more.
async fn load(shared: Arc<Shared>, mut loads: mpsc::UnboundedReceiver<Load>) {
    let mut kept = Kept::new(Arc::clone(&shared), LOAD, Arc::default());
    kept.warm_up().await;
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
