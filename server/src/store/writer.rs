//! One writer thread commits swaps in groups, so that many payments share one sync of the disk. Another thread keeps the
//! write-ahead log short, and looks after the files when nobody writes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use crate::counters::{Count, Counters};
use crate::ports::{Swap, Swapped};
use crate::store::files::OpenFiles;
use crate::store::health::Health;
use crate::store::mark::{Mark, Position};
use crate::store::schema::{COMMITS, COUNT_COMMIT, INSERT, INSERT_ID, TAKE_BACK, UPDATE};

/// Most swaps in one commit.
const GROUP_MAX: usize = 256;
/// Once swaps come in company, a commit waits this long for more of them, in microseconds. A lone swap never waits.
const GATHER_US: u64 = 300;
/// A commit that has this many swaps waits for no more.
const GATHER_ENOUGH: usize = 24;
/// The write-ahead log is checkpointed after this many commits and swaps, about 15 MB of it.
const CHECKPOINT_AFTER: u64 = 2_000;
/// How often that is looked at, the mark is synced and the files are looked after, in milliseconds.
const LOOK_EVERY_MS: u64 = 500;

/// One swap, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) swap: Swap,
    pub(crate) done: oneshot::Sender<Swapped>,
}

/// What the threads of one open store share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) counters: Arc<Counters>,
    pub(crate) health: Arc<Health>,
    pub(crate) mark: Mark,
    pub(crate) files: OpenFiles,
}

impl Shared {
    /// Whether the open files still have their names; if not, the store has failed.
    fn files_are_in_place(&self) -> bool {
        if let Err(why) = self.files.are_in_place() {
            self.health.fail(why);
        }
        self.health.failure().is_none()
    }

    fn mark_failed(&self, error: &std::io::Error) {
        // The swaps are durable all the same: what is missing is the guard against a later loss.
        tracing::error!(%error, "the high-water mark cannot be written");
        self.health.mark_failed();
    }
}

/// Commits swaps until nobody can send any more.
pub(crate) fn write_groups(
    mut connection: Connection,
    jobs: &Receiver<Job>,
    shared: &Shared,
    mut position: Position,
) {
    let mut last_group = 1;
    while let Ok(first) = jobs.recv() {
        let group = gather(first, jobs, last_group > 1);
        last_group = group.len();
        let results = write(&mut connection, &group, shared, &mut position);
        for (job, result) in group.into_iter().zip(results) {
            // Whoever waited may be gone; the swap stands.
            let _ = job.done.send(result);
        }
    }
}

/// Commits a group, and says what may be acknowledged of it.
fn write(
    connection: &mut Connection,
    group: &[Job],
    shared: &Shared,
    position: &mut Position,
) -> Vec<Swapped> {
    let unknown = || vec![Swapped::Unknown; group.len()];
    if shared.health.failure().is_some() {
        return unknown();
    }
    let begin = Instant::now();
    let outcome = commit(connection, group, &shared.health);
    shared.counters.add(Count::Commit);
    let metrics = &shared.counters.metrics;
    let took = begin.elapsed();
    metrics.commit_seconds.observe(took.as_secs_f64());
    #[allow(clippy::cast_precision_loss)]
    metrics.commit_records.observe(group.len() as f64);
    match outcome {
        Ok((results, commits)) => {
            // What went to a file without a name is gone at the next start.
            if !shared.files_are_in_place() {
                return unknown();
            }
            position.commits = commits;
            if let Err(error) = shared.mark.write(position) {
                shared.mark_failed(&error);
            }
            shared.health.committed(took);
            results
        }
        Err(error) => {
            tracing::error!(%error, swaps = group.len(), "a commit failed; its swaps ended unknown");
            shared.health.commit_failed();
            unknown()
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

/// One transaction: what became of each swap, and how many commits the store has now.
fn commit(
    connection: &mut Connection,
    group: &[Job],
    health: &Health,
) -> rusqlite::Result<(Vec<Swapped>, u64)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let results = group
        .iter()
        .map(|job| apply(&transaction, &job.swap, health))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    transaction.prepare_cached(COUNT_COMMIT)?.execute([])?;
    let commits: i64 = transaction
        .prepare_cached(COMMITS)?
        .query_row([], |row| row.get(0))?;
    transaction.commit()?;
    Ok((results, u64::try_from(commits).unwrap_or_default()))
}

fn apply(transaction: &Transaction<'_>, swap: &Swap, health: &Health) -> rusqlite::Result<Swapped> {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let (id, version, wake) = (
        swap.id.to_bytes(),
        signed(swap.version.get()),
        swap.wake_at_ms.map(|at_ms| signed(at_ms.get())),
    );
    let entry = &swap.entry;
    let (state, since) = (entry.state.as_str(), signed(entry.since_ms.get()));
    let changed = match swap.expected_version {
        None => transaction.prepare_cached(INSERT)?.execute(params![
            id,
            version,
            wake,
            swap.bytes,
            &*entry.merchant,
            entry.order_id,
            state,
            since
        ])?,
        Some(expected) => transaction.prepare_cached(UPDATE)?.execute(params![
            id,
            version,
            wake,
            swap.bytes,
            state,
            since,
            signed(expected.get())
        ])?,
    };
    if changed != 1 {
        return Ok(Swapped::Conflict);
    }
    if swap.expected_version.is_none() {
        let place = transaction.last_insert_rowid();
        if transaction.prepare_cached(INSERT_ID)?.execute(params![id])? != 1 {
            // The record was there, and the index of the table did not find it.
            tracing::error!(attempt = %swap.id, "the database is damaged: the two trees of ids differ");
            health.damaged();
            transaction.prepare_cached(TAKE_BACK)?.execute(params![place])?;
            return Ok(Swapped::Unknown);
        }
    }
    Ok(Swapped::Applied)
}

/// Looks after the files until the store is closed. The passive pass of a checkpoint copies while commits go on; the restart that
/// follows has little left to do and lets the log begin anew in the same file, whose space is then there already.
pub(crate) fn look_after(connection: &Connection, shared: &Shared, is_running: &Receiver<()>) {
    let mut done_at = 0;
    // A restart takes the writer's lock and then waits for readers: commits would wait for a slow search with it. It is tried again
    // at the next checkpoint.
    if let Err(error) = connection.busy_timeout(Duration::ZERO) {
        tracing::warn!(%error, "checkpoints may wait for readers");
    }
    let pause = Duration::from_millis(LOOK_EVERY_MS);
    while is_running.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        if !shared.files_are_in_place() {
            continue;
        }
        if let Err(error) = shared.mark.sync() {
            shared.mark_failed(&error);
        }
        let now = shared.counters.snapshot();
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
        shared.counters.add(Count::Checkpoint);
        done_at = written;
    }
}
