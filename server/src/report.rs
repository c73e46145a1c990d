//! What operators are told of a server: counters, metrics, log lines, and what PSPs reject at present.

use std::cell::RefCell;
use std::sync::Arc;

use pay_once_core::{
    Call, CallResult, ClockNote, Millis, Note, PspProblem, PspProblems, TraceParent, Turn, UnixMillis, Write,
};
use prometheus_client::registry::Registry;

use crate::bounds::BoundsState;
use crate::counters::{Count, Counters};
use crate::metrics::{ByAttemptStatus, ByPsp, text};
use crate::ports::Changed;
use crate::standings::Standings;

/// Everything that is reported of one server.
#[derive(Debug)]
pub struct Report {
    counters: Arc<Counters>,
    registry: Registry,
    standings: RefCell<Standings>,
    problems: RefCell<PspProblems>,
}

impl Report {
    /// Nothing has happened yet. `psps`: the names of the configuration.
    pub fn new<'a>(counters: Arc<Counters>, psps: impl Iterator<Item = &'a String>) -> Self {
        counters.metrics.begin(psps);
        Self {
            registry: counters.registry(),
            counters,
            standings: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// The counters, which threads beside this one share.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The counts of open attempts, for the scan at the start.
    #[must_use]
    pub fn standings(&self) -> &RefCell<Standings> {
        &self.standings
    }

    /// The metrics at this moment, in OpenMetrics text. `None`: the text cannot be written.
    #[must_use]
    pub fn metrics_text(&self, bounds: &BoundsState, now_ms: UnixMillis) -> Option<String> {
        let metrics = &self.counters.metrics;
        self.standings.borrow().show(metrics, now_ms);
        metrics.bounds.show(bounds);
        text(&self.registry).ok()
    }

    /// What PSPs reject at present.
    #[must_use]
    pub fn psp_problems(&self) -> Vec<PspProblem> {
        self.problems.borrow().open().cloned().collect()
    }

    /// A PSP call begins.
    pub fn call_began(&self, call: &Call) {
        self.counters.add(if call.moves_money {
            Count::PspMoneyCall
        } else {
            Count::PspOtherCall
        });
        let calls = &self.counters.metrics.psp_calls;
        calls.get_or_create(&of_psp(&call.psp)).inc();
    }

    /// A PSP call ended.
    pub fn call_ended(&self, call: &Call, result: &CallResult, took: Millis) {
        let (metrics, psp) = (&self.counters.metrics, of_psp(&call.psp));
        metrics
            .psp_call_seconds
            .get_or_create(&psp)
            .observe(seconds(took));
        if let CallResult::Unknown { reason } = result {
            self.counters.add(Count::PspUnknownOutcome);
            metrics.psp_unknowns.get_or_create(&psp).inc();
            let attempt = call.attempt.map(|id| id.to_string());
            let trace = trace_id(call.trace());
            tracing::warn!(attempt, trace, call = ?call.http, reason, "a PSP call's outcome is unknown");
        }
    }

    /// A write is durable: one line with the attempt's id and what is new. `trace`: of the request that caused it.
    pub fn committed(&self, write: &Write, trace: Option<TraceParent>) {
        self.counters.add(Count::DurableWrite);
        for _ in 0..write.unwanted_effects() {
            self.counters.add(Count::UnwantedEffect);
        }
        for _ in 0..write.foreign_objects() {
            self.counters.add(Count::ForeignObject);
            tracing::warn!(attempt = %write.record.id(), events = write.events().join("; "), "an object at the PSP carries this attempt's reference and was not made by it");
        }
        for _ in 0..write.reversals() {
            self.counters.add(Count::Reversal);
        }
        let metrics = &self.counters.metrics;
        for _ in 0..write.declines() {
            metrics.psp_declines.get_or_create(&of_psp(write.psp())).inc();
        }
        if tracing::enabled!(tracing::Level::INFO) {
            let (events, status) = (write.events().join("; "), write.status());
            let trace = trace_id(trace);
            tracing::info!(trace, attempt = %write.record.id(), version = write.record.version().get(), events, ?status);
        }
        if self.standings.borrow_mut().committed(&write.record) {
            let status = write.status().as_str();
            metrics.ended.get_or_create(&ByAttemptStatus { status }).inc();
        }
    }

    /// Another server has written: the attempt is counted there.
    pub fn changed_elsewhere(&self, changed: Changed) {
        let mut standings = self.standings.borrow_mut();
        match changed {
            Changed::Record(id) => standings.written_elsewhere(id),
            // A server that starts says no more than this. What is counted here is not less true for it.
            Changed::Unnamed => {}
            Changed::Unheard => standings.forget(),
        }
    }

    /// Tells the operators what became of the clock, and whether it is in doubt now.
    pub fn clock(&self, note: &ClockNote, is_in_doubt: bool) {
        self.counters.metrics.clock_in_doubt.set(i64::from(is_in_doubt));
        let message = note.message();
        match note {
            ClockNote::Stepped { .. } => {
                self.counters.add(Count::ClockStep);
                tracing::error!(message);
            }
            _ => tracing::warn!(message),
        }
    }

    /// Tells the operators.
    pub fn note(&self, turn: &Turn, note: &Note, now_ms: UnixMillis) {
        if let Note::Psp(report) = note {
            self.problems.borrow_mut().note(report, now_ms);
        }
        let Some(message) = note.message() else { return };
        let attempt = turn.id().map(|id| id.to_string());
        let trace = trace_id(turn.trace());
        match note {
            Note::Psp(report) => {
                self.counters.add(Count::RejectedRequest);
                let rejections = &self.counters.metrics.psp_rejections;
                rejections.get_or_create(&of_psp(&report.psp)).inc();
                let rejection = report.rejection.as_ref();
                tracing::error!(attempt, trace, psp = report.psp, call = ?report.call, ?rejection, message);
            }
            Note::RecordRefused(_) => {
                self.counters.add(Count::RefusedRecord);
                tracing::error!(attempt, trace, message);
            }
            Note::ProofHeldBack => {
                self.counters.add(Count::ProofHeldBack);
                tracing::warn!(attempt, trace, message);
            }
            Note::SwapUnknown => tracing::warn!(attempt, trace, message),
            // A note of a kind that is new is an error until somebody has said that it is less.
            _ => tracing::error!(attempt, trace, message),
        }
    }
}

fn trace_id(trace: Option<TraceParent>) -> Option<String> {
    trace.map(|trace| trace.trace_id())
}

fn of_psp(name: &str) -> ByPsp {
    ByPsp { psp: name.to_owned() }
}

#[allow(clippy::cast_precision_loss)]
fn seconds(took: Millis) -> f64 {
    took.get() as f64 / 1_000.0
}
