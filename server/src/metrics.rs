//! What operators measure, in OpenMetrics text. `docs/operating.md` has each name with its meaning and what to do about it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pay_once_core::{Config, Status, UnixMillis, WaitsFor, error_codes};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::bounds::BoundsState;

/// Upper bounds of answers and PSP calls, in seconds: the promise is 0.2 s, and the slowest call takes 30 s.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.4, 0.8, 2.0, 8.0, 30.0];
/// Upper bounds of a commit, in seconds.
const COMMIT_SECONDS: [f64; 9] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0];
/// Upper bounds of how many records share a commit.
const COMMIT_RECORDS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// For how long a count of the whole store is news.
const COUNT_HOLDS: Duration = Duration::from_secs(60);

/// An HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByStatus {
    /// `200`
    pub status: u16,
}

/// The code of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByCode {
    /// `DECLINED`
    pub code: &'static str,
}

/// A PSP of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByPsp {
    /// Its name there.
    pub psp: String,
}

/// The status of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByAttemptStatus {
    /// `AUTHORIZED`
    pub status: &'static str,
}

/// What attempts wait for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByWaitsFor {
    /// `operator`, `psp`, `customer` or `sending`.
    pub waits_for: &'static str,
}

/// How histograms of seconds are made.
type Seconds = fn() -> Histogram;

/// Measurements with labels or distributions. Counted at the place where each happens; [`crate::counters::Counters`] has the rest.
#[derive(Clone)]
pub struct Metrics {
    /// Requests answered, by HTTP status. 202 is an answer that is not final.
    pub answers: Family<ByStatus, Counter>,
    /// Requests refused, by the code of the refusal.
    pub errors: Family<ByCode, Counter>,
    /// From the request to its answer.
    pub answer_seconds: Histogram,
    /// PSP calls begun.
    pub psp_calls: Family<ByPsp, Counter>,
    /// PSP calls whose outcome was unknown when they ended.
    pub psp_unknowns: Family<ByPsp, Counter>,
    /// PSP calls that the PSP rejected: our credentials, our account or our request.
    pub psp_rejections: Family<ByPsp, Counter>,
    /// Declines by the PSP or the issuer.
    pub psp_declines: Family<ByPsp, Counter>,
    /// From the beginning of a PSP call to its end.
    pub psp_call_seconds: Family<ByPsp, Histogram, Seconds>,
    /// Commits of the store, the sync of the disk included.
    pub commit_seconds: Histogram,
    /// Records in a commit.
    pub commit_records: Histogram,
    /// Open attempts, by status.
    pub open_attempts: Family<ByAttemptStatus, Gauge>,
    /// Attempts that wait for something.
    pub waiting: Family<ByWaitsFor, Gauge>,
    /// Age of the oldest of them, in seconds.
    pub oldest: Family<ByWaitsFor, Gauge>,
    /// What waits in the whole of a store that several servers share.
    pub whole_store: WholeStore,
    /// Attempts that ended, by status.
    pub ended: Family<ByAttemptStatus, Counter>,
    /// 1 once the scan at the start has counted what was open; 0 while the count of a whole store is old.
    pub is_counted: Gauge,
    /// 1 while the store may lack payments of the PSP, since it was restored.
    pub restore_mode: Family<ByPsp, Gauge>,
    /// 1 while the clock is in doubt: nothing is proven absent.
    pub clock_in_doubt: Gauge,
    /// Where the bounds stand, as of the last scrape.
    pub bounds: BoundsMetrics,
}

/// Attempts that wait for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// For what.
    pub waits_for: WaitsFor,
    /// How many.
    pub count: i64,
    /// Since when the oldest has waited, in milliseconds since the Unix epoch.
    pub oldest_ms: Option<UnixMillis>,
}

/// What waits in the whole of a store, as it was counted last. Nothing, if the store does not count.
#[derive(Clone, Debug, Default)]
pub struct WholeStore(Arc<Mutex<Option<Counted>>>);

/// When it was counted, and what.
type Counted = (Instant, Vec<Waiting>);

impl WholeStore {
    /// It was counted.
    pub fn put(&self, waiting: Vec<Waiting>) {
        // Whoever panicked while it held these numbers has not changed them.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), waiting));
    }

    /// Whether it was counted too long ago. What waits is shown all the same: it may still wait, and its age goes on.
    #[must_use]
    pub fn is_old(&self) -> bool {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.as_ref().is_some_and(|(at, _)| at.elapsed() > COUNT_HOLDS)
    }

    /// What waits for this.
    #[must_use]
    pub fn get(&self, waits_for: WaitsFor) -> Option<Waiting> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, all) = counted.as_ref()?;
        all.iter().find(|waiting| waiting.waits_for == waits_for).copied()
    }
}

/// Where the bounds of the server stand (`docs/operating.md`, “Limits”).
#[derive(Clone, Debug, Default)]
pub struct BoundsMetrics {
    connections: Gauge,
    connections_refused: Counter,
    requests_in_work: Gauge,
    requests_shed: Counter,
    psp_calls_under_way: Family<ByPsp, Gauge>,
    psp_calls_waiting: Family<ByPsp, Gauge>,
    psp_calls_refused: Family<ByPsp, Counter>,
    psp_circuit_open: Family<ByPsp, Gauge>,
}

impl BoundsMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Client connections", self.connections.clone());
        registry.register(
            "connections_refused",
            "Client connections that were refused or closed for others",
            self.connections_refused.clone(),
        );
        registry.register(
            "requests_in_work",
            "Requests that wait for the store or the processor",
            self.requests_in_work.clone(),
        );
        registry.register(
            "requests_shed",
            "Requests refused with OVERLOADED",
            self.requests_shed.clone(),
        );
        registry.register(
            "psp_calls_under_way",
            "PSP calls under way",
            self.psp_calls_under_way.clone(),
        );
        registry.register(
            "psp_calls_waiting",
            "PSP calls that wait for a place",
            self.psp_calls_waiting.clone(),
        );
        registry.register(
            "psp_calls_refused",
            "PSP calls that found no place: clients were refused, and recoveries put off",
            self.psp_calls_refused.clone(),
        );
        registry.register(
            "psp_circuit_open",
            "1 while a PSP is not called, since its calls were not answered",
            self.psp_circuit_open.clone(),
        );
    }

    /// Takes the state in.
    pub fn show(&self, state: &BoundsState) {
        set(&self.connections, state.connections.open);
        raise(
            &self.connections_refused,
            state.connections.refused + state.connections.displaced,
        );
        set(&self.requests_in_work, state.requests.in_work);
        raise(&self.requests_shed, state.requests.refused);
        for psp in &state.psps {
            let label = ByPsp { psp: psp.psp.clone() };
            set(&self.psp_calls_under_way.get_or_create(&label), psp.under_way);
            set(&self.psp_calls_waiting.get_or_create(&label), psp.waiting);
            raise(&self.psp_calls_refused.get_or_create(&label), psp.refused);
            let is_open = usize::from(psp.circuit != "closed");
            set(&self.psp_circuit_open.get_or_create(&label), is_open);
        }
    }
}

fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// A counter that somebody else counts.
fn raise(counter: &Counter, value: u64) {
    counter.inc_by(value.saturating_sub(counter.get()));
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: Seconds = || Histogram::new(SECONDS);
        Self {
            answers: Family::default(),
            errors: Family::default(),
            answer_seconds: seconds(),
            psp_calls: Family::default(),
            psp_unknowns: Family::default(),
            psp_rejections: Family::default(),
            psp_declines: Family::default(),
            psp_call_seconds: Family::new_with_constructor(seconds),
            commit_seconds: Histogram::new(COMMIT_SECONDS),
            commit_records: Histogram::new(COMMIT_RECORDS),
            open_attempts: Family::default(),
            waiting: Family::default(),
            oldest: Family::default(),
            whole_store: WholeStore::default(),
            ended: Family::default(),
            is_counted: Gauge::default(),
            restore_mode: Family::default(),
            clock_in_doubt: Gauge::default(),
            bounds: BoundsMetrics::default(),
        }
    }
}

impl Metrics {
    /// Begins each PSP's series, and those of common answers, at 0: an alert on an increase does not see the first one of a series.
    pub fn begin<'a>(&self, psps: impl Iterator<Item = &'a String>) {
        for name in psps {
            let psp = ByPsp { psp: name.clone() };
            for family in [
                &self.psp_calls,
                &self.psp_unknowns,
                &self.psp_rejections,
                &self.psp_declines,
            ] {
                drop(family.get_or_create(&psp));
            }
            drop(self.psp_call_seconds.get_or_create(&psp));
            drop(self.bounds.psp_calls_refused.get_or_create(&psp));
            for family in [
                &self.bounds.psp_calls_under_way,
                &self.bounds.psp_calls_waiting,
                &self.bounds.psp_circuit_open,
            ] {
                drop(family.get_or_create(&psp));
            }
        }
        for status in [200, 201, 202, 400, 402, 404, 409, 500, 503] {
            drop(self.answers.get_or_create(&ByStatus { status }));
        }
        for code in error_codes() {
            drop(self.errors.get_or_create(&ByCode { code }));
        }
        for status in Status::ALL.iter().filter(|status| status.is_final()) {
            let status = status.as_str();
            drop(self.ended.get_or_create(&ByAttemptStatus { status }));
        }
    }

    /// Takes in which PSPs' payments may be missing.
    pub fn show_losses(&self, config: &Config) {
        for name in config.psps.keys() {
            let psp = ByPsp { psp: name.clone() };
            let is_lost = usize::from(config.losses.contains_key(name));
            set(&self.restore_mode.get_or_create(&psp), is_lost);
        }
    }

    /// Names them all.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "answers",
            "Requests answered, by HTTP status",
            self.answers.clone(),
        );
        registry.register("errors", "Requests refused, by code", self.errors.clone());
        registry.register_with_unit(
            "answer",
            "Time from a request to its answer",
            Unit::Seconds,
            self.answer_seconds.clone(),
        );
        registry.register("psp_calls", "PSP calls begun", self.psp_calls.clone());
        registry.register(
            "psp_unknowns",
            "PSP calls whose outcome was unknown when they ended",
            self.psp_unknowns.clone(),
        );
        registry.register(
            "psp_rejections",
            "PSP calls that the PSP rejected: our credentials, our account or our request",
            self.psp_rejections.clone(),
        );
        registry.register(
            "psp_declines",
            "Declines by the PSP or the issuer",
            self.psp_declines.clone(),
        );
        registry.register_with_unit(
            "psp_call",
            "Time from the beginning of a PSP call to its end",
            Unit::Seconds,
            self.psp_call_seconds.clone(),
        );
        registry.register_with_unit(
            "commit",
            "Time of a commit of the store, the sync of the disk included",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register(
            "commit_records",
            "Records in a commit",
            self.commit_records.clone(),
        );
        self.register_attempts(registry);
        self.bounds.register(registry);
    }

    fn register_attempts(&self, registry: &mut Registry) {
        registry.register(
            "open_attempts",
            "Attempts that have not ended, by status",
            self.open_attempts.clone(),
        );
        registry.register(
            "waiting_attempts",
            "Attempts that wait: for an operator (parked), the PSP (in flight or in doubt), the customer, or sending",
            self.waiting.clone(),
        );
        registry.register_with_unit(
            "oldest_waiting",
            "Age of the oldest attempt that waits; 0 if none does",
            Unit::Seconds,
            self.oldest.clone(),
        );
        registry.register(
            "ended_attempts",
            "Attempts that ended since the start, by status",
            self.ended.clone(),
        );
        registry.register(
            "attempts_counted",
            "1 once the attempts that were open at the start are counted, and 0 while the count of a database is more than a minute old",
            self.is_counted.clone(),
        );
        registry.register(
            "restore_mode",
            "1 while the store may lack payments of the PSP, since it was restored",
            self.restore_mode.clone(),
        );
        registry.register(
            "clock_in_doubt",
            "1 while the wall clock was set and no Date of a PSP has told the time since",
            self.clock_in_doubt.clone(),
        );
    }
}

/// The text that a scrape gets.
///
/// # Errors
/// The text cannot be written.
pub fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}
