//! What the loop needs from the world. Each port has one implementation on Spin's interfaces, and another in tests.

use std::fmt;
use std::future::Future;

use futures::future::{Either, select};
use pay_once_core::{
    AttemptId, Call, CallResult, Entropy, Found, Measure, Millis, PspProblem, Search, SearchError,
    TraceParent, UnixMillis,
};
pub use pay_once_core::{Swap, Swapped};
use serde::Serialize;

/// The clock, randomness, and tasks that outlive a request.
pub trait World: 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> UnixMillis;
    /// Returns after `ms` milliseconds.
    fn sleep_ms(&self, ms: Millis) -> impl Future<Output = ()>;
    /// Fresh random bits.
    fn entropy(&self) -> Entropy;
    /// Starts a task that goes on after the answer, whether the client is still there or not.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
    /// Writes one line for people.
    fn log(&self, line: &Line<'_>);
}

/// One line of the log. No secret may be in it.
#[derive(Clone, Debug, Serialize)]
pub struct Line<'a> {
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a PspProblem>,
    #[serde(skip_serializing_if = "<[Measure]>::is_empty")]
    measures: &'a [Measure],
}

impl<'a> Line<'a> {
    /// About what needs somebody to look at it, and the attempt that it is about.
    #[must_use]
    pub fn error(id: Option<AttemptId>, message: &'a str) -> Self {
        Self {
            level: "ERROR",
            attempt: id.map(|id| id.to_string()),
            trace: None,
            message,
            problem: None,
            measures: &[],
        }
    }

    /// About what ends by itself, and the attempt that it is about.
    #[must_use]
    pub fn warn(id: Option<AttemptId>, message: &'a str) -> Self {
        Self {
            level: "WARN",
            ..Self::error(id, message)
        }
    }

    /// About something that is counted, and the attempt that it is about.
    #[must_use]
    pub fn measures(id: Option<AttemptId>, measures: &'a [Measure]) -> Self {
        Self {
            level: "INFO",
            measures,
            ..Self::error(id, "")
        }
    }

    /// With the trace that it belongs to.
    #[must_use]
    pub fn in_trace(self, trace: Option<TraceParent>) -> Self {
        Self {
            trace: trace.map(|trace| trace.trace_id()),
            ..self
        }
    }

    /// With what a PSP rejects.
    #[must_use]
    pub fn with(self, problem: &'a PspProblem) -> Self {
        Self {
            problem: Some(problem),
            ..self
        }
    }
}

/// One record per attempt, with a linearizable compare-and-swap (`docs/store.md`, “Stores”). Others write to it as well.
pub trait Store: 'static {
    /// The bytes of a record, if there is one.
    fn load(&self, id: AttemptId) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>>;
    /// Puts `swap` in place if the version that it expects is there.
    fn swap(&self, swap: Swap) -> impl Future<Output = Result<Swapped, StoreError>>;
    /// Records that want to be woken at `until_ms` or before, soonest first, at most `limit`.
    fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(AttemptId, UnixMillis)>, StoreError>>;
    /// The page of a search.
    fn search(&self, search: Search) -> impl Future<Output = Result<Found, SearchError>> {
        let _ = search;
        let why = "This deployment keeps its records in a key-value store, which has no index to search in. A deployment with the store \"sqlite\" has one.";
        std::future::ready(Err(SearchError::Unsupported(why)))
    }
    /// Makes what a search goes by for records that a build without it has written, at most `limit`. Says for how many.
    fn index_missing(&self, limit: usize) -> impl Future<Output = Result<usize, StoreError>> {
        let _ = limit;
        std::future::ready(Ok(0))
    }
    /// Moves the time at which a record wants to be woken, if it is still `at_ms`; `None`: it wants nothing. It is a hint: what is due follows from
    /// the record. Says whether it was moved, so that of several sweeps one wakes a record.
    fn move_wake(
        &self,
        id: AttemptId,
        at_ms: UnixMillis,
        to_ms: Option<UnixMillis>,
    ) -> impl Future<Output = Result<bool, StoreError>>;
}

/// A copy of records of attempts that have ended. Never the authority, so any key-value store may be it.
pub trait Finals: 'static {
    /// When it is asked.
    fn when(&self) -> FinalsWhen;
    /// The copy, if there is one.
    fn get(&self, id: AttemptId) -> impl Future<Output = Option<Vec<u8>>>;
    /// Keeps a copy, if that works.
    fn put(&self, id: AttemptId, bytes: Vec<u8>) -> impl Future<Output = ()>;
}

/// Whether what happens is counted in log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasuresTo {
    /// It is not.
    Off,
    /// One line for each answer, call and write.
    Log,
}

/// When a copy of a final answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalsWhen {
    /// Never; nothing is kept.
    Off,
    /// When the store does not answer.
    Fallback,
    /// Before the store: worth it if the store is far away.
    First,
}

/// The way to PSPs.
pub trait PspTransport: 'static {
    /// Sends one call, at most once, if `may_send` still says so right before, and waits for its answer.
    fn send(&self, call: &Call, may_send: impl Fn() -> bool) -> impl Future<Output = CallResult>;
}

/// Why the store was of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// It did not answer.
    Unavailable(String),
    /// It failed its probe. Nothing was read or written.
    Unsafe(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the store did not answer: {why}"),
            Self::Unsafe(why) => write!(f, "the store is refused: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// `task`, or `None` if it has not ended after `ms` milliseconds. It is dropped then.
pub async fn within<T>(world: &impl World, ms: Millis, task: impl Future<Output = T>) -> Option<T> {
    let (task, sleep) = (std::pin::pin!(task), std::pin::pin!(world.sleep_ms(ms)));
    match select(task, sleep).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
