//! What was done, counted. `/healthz` shows it; tests and benchmarks assert it (performance is counted, not felt).

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counters of one process since its start.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    durable_writes: AtomicU64,
    conflicts: AtomicU64,
    commits: AtomicU64,
    checkpoints: AtomicU64,
    psp_money_calls: AtomicU64,
    psp_other_calls: AtomicU64,
    psp_unknown_outcomes: AtomicU64,
    unwanted_effects: AtomicU64,
    rejected_requests: AtomicU64,
    foreign_objects: AtomicU64,
    reversals: AtomicU64,
    refused_records: AtomicU64,
}

/// Their values at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// HTTP requests answered.
    pub requests: u64,
    /// Records made durable.
    pub durable_writes: u64,
    /// Swaps that did not apply: another version was there, or the store lost them.
    pub conflicts: u64,
    /// Transactions committed: each is one sync of the disk, and may hold many writes.
    pub commits: u64,
    /// Checkpoints of the write-ahead log: two syncs each.
    pub checkpoints: u64,
    /// PSP calls that could move money.
    pub psp_money_calls: u64,
    /// PSP calls that could not: preparations, reads, look-ups.
    pub psp_other_calls: u64,
    /// Money calls whose outcome was unknown when they ended.
    pub psp_unknown_outcomes: u64,
    /// Effects seen at a PSP that must not stand (rules 8 and 14): each is a defect of a declared assumption, or late.
    pub unwanted_effects: u64,
    /// PSP calls that the PSP rejected: our credentials, our account or our request, not the payment.
    pub rejected_requests: u64,
    /// Objects seen at a PSP that carry an attempt's reference and are not its own (rule 13).
    pub foreign_objects: u64,
    /// Captures that the PSP or an issuer took back.
    pub reversals: u64,
    /// Records that could not be read, and were left as they are.
    pub refused_records: u64,
}

/// What can be counted.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// See [`Snapshot::requests`].
    Request,
    /// See [`Snapshot::durable_writes`].
    DurableWrite,
    /// See [`Snapshot::conflicts`].
    Conflict,
    /// See [`Snapshot::commits`].
    Commit,
    /// See [`Snapshot::checkpoints`].
    Checkpoint,
    /// See [`Snapshot::psp_money_calls`].
    PspMoneyCall,
    /// See [`Snapshot::psp_other_calls`].
    PspOtherCall,
    /// See [`Snapshot::psp_unknown_outcomes`].
    PspUnknownOutcome,
    /// See [`Snapshot::unwanted_effects`].
    UnwantedEffect,
    /// See [`Snapshot::rejected_requests`].
    RejectedRequest,
    /// See [`Snapshot::foreign_objects`].
    ForeignObject,
    /// See [`Snapshot::reversals`].
    Reversal,
    /// See [`Snapshot::refused_records`].
    RefusedRecord,
}

impl Counters {
    /// Counts one.
    pub fn add(&self, what: Count) {
        let counter = match what {
            Count::Request => &self.requests,
            Count::DurableWrite => &self.durable_writes,
            Count::Conflict => &self.conflicts,
            Count::Commit => &self.commits,
            Count::Checkpoint => &self.checkpoints,
            Count::PspMoneyCall => &self.psp_money_calls,
            Count::PspOtherCall => &self.psp_other_calls,
            Count::PspUnknownOutcome => &self.psp_unknown_outcomes,
            Count::UnwantedEffect => &self.unwanted_effects,
            Count::RejectedRequest => &self.rejected_requests,
            Count::ForeignObject => &self.foreign_objects,
            Count::Reversal => &self.reversals,
            Count::RefusedRecord => &self.refused_records,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// All values now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            requests: get(&self.requests),
            durable_writes: get(&self.durable_writes),
            conflicts: get(&self.conflicts),
            commits: get(&self.commits),
            checkpoints: get(&self.checkpoints),
            psp_money_calls: get(&self.psp_money_calls),
            psp_other_calls: get(&self.psp_other_calls),
            psp_unknown_outcomes: get(&self.psp_unknown_outcomes),
            unwanted_effects: get(&self.unwanted_effects),
            rejected_requests: get(&self.rejected_requests),
            foreign_objects: get(&self.foreign_objects),
            reversals: get(&self.reversals),
            refused_records: get(&self.refused_records),
        }
    }
}
