//! What was done, counted. The operators' listener shows it; tests and benchmarks assert it (performance is counted, not felt).

use std::time::Duration;

use pay_once_core::{Response, error_code};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde::Serialize;

use crate::metrics::{ByCode, ByStatus, Metrics};

/// Counters of one process since its start.
#[derive(Debug, Default)]
pub struct Counters {
    /// What has labels or a distribution.
    pub metrics: Metrics,
    requests: Counter,
    durable_writes: Counter,
    conflicts: Counter,
    commits: Counter,
    checkpoints: Counter,
    psp_money_calls: Counter,
    psp_other_calls: Counter,
    psp_unknown_outcomes: Counter,
    unwanted_effects: Counter,
    rejected_requests: Counter,
    foreign_objects: Counter,
    reversals: Counter,
    refused_records: Counter,
    clock_steps: Counter,
    proofs_held_back: Counter,
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
    /// Effects seen at a PSP that are to be undone, and captures of another amount (rules 8 and 14): each is a defect of a declared assumption, or late.
    pub unwanted_effects: u64,
    /// PSP calls that the PSP rejected: our credentials, our account or our request, not the payment.
    pub rejected_requests: u64,
    /// Objects seen at a PSP that carry an attempt's reference and are not its own (rule 13).
    pub foreign_objects: u64,
    /// Captures that the PSP or an issuer took back.
    pub reversals: u64,
    /// Records that could not be read, and were left as they are.
    pub refused_records: u64,
    /// How often the wall clock was set by more than the declared skew.
    pub clock_steps: u64,
    /// Reads and look-ups that would have proven absence if the clock could have been trusted (rule 6).
    pub proofs_held_back: u64,
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
    /// See [`Snapshot::clock_steps`].
    ClockStep,
    /// See [`Snapshot::proofs_held_back`].
    ProofHeldBack,
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
            Count::ClockStep => &self.clock_steps,
            Count::ProofHeldBack => &self.proofs_held_back,
        };
        counter.inc();
    }

    /// A request was answered with this status, refusals of the front door included.
    pub fn answered(&self, response: &Response, took: Duration) {
        self.add(Count::Request);
        let (metrics, status) = (&self.metrics, response.status);
        if let Some(code) = error_code(response) {
            metrics.errors.get_or_create(&ByCode { code }).inc();
        }
        metrics.answers.get_or_create(&ByStatus { status }).inc();
        metrics.answer_seconds.observe(took.as_secs_f64());
    }

    /// All values now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let get = |counter: &Counter| counter.get();
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
            clock_steps: get(&self.clock_steps),
            proofs_held_back: get(&self.proofs_held_back),
        }
    }

    /// A registry of all that operators measure.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("pay_once");
        let plain = [
            ("requests", "HTTP requests answered", &self.requests),
            ("durable_writes", "Records made durable", &self.durable_writes),
            (
                "conflicts",
                "Swaps that did not apply: another version was there, or the store lost them",
                &self.conflicts,
            ),
            ("commits", "Transactions committed", &self.commits),
            (
                "checkpoints",
                "Checkpoints of the write-ahead log",
                &self.checkpoints,
            ),
            (
                "psp_money_calls",
                "PSP calls that could move money",
                &self.psp_money_calls,
            ),
            (
                "psp_other_calls",
                "PSP calls that could not: preparations, reads, look-ups",
                &self.psp_other_calls,
            ),
            (
                "psp_unknown_outcomes",
                "Money calls whose outcome was unknown when they ended",
                &self.psp_unknown_outcomes,
            ),
            (
                "unwanted_effects",
                "Effects seen at a PSP that are to be undone, and captures of another amount (rules 8 and 14)",
                &self.unwanted_effects,
            ),
            (
                "rejected_requests",
                "PSP calls that the PSP rejected",
                &self.rejected_requests,
            ),
            (
                "foreign_objects",
                "Objects seen at a PSP that carry an attempt's reference and are not its own (rule 13)",
                &self.foreign_objects,
            ),
            (
                "reversals",
                "Captures that the PSP or an issuer took back",
                &self.reversals,
            ),
            (
                "refused_records",
                "Records that could not be read, and were left as they are",
                &self.refused_records,
            ),
            (
                "clock_steps",
                "How often the wall clock was set by more than the declared skew",
                &self.clock_steps,
            ),
            (
                "proofs_held_back",
                "Reads and look-ups that prove no absence, since the clock cannot be trusted (rule 6)",
                &self.proofs_held_back,
            ),
        ];
        for (name, help, counter) in plain {
            registry.register(name, help, counter.clone());
        }
        self.metrics.register(&mut registry);
        registry
    }
}
