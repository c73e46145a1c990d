//! What the server loop needs from the world. Each port has one real implementation here and may have another in a
//! simulator.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use pay_once_core::{
    AttemptId, Call, CallResult, Entropy, Found, Millis, Reading, Search, SearchError, UnixMillis,
};
pub use pay_once_core::{Swap, Swapped};

/// The clocks of the machine, and randomness. What time it is, core says from both clocks.
pub trait Clock: 'static {
    /// What both clocks show.
    fn reading(&self) -> Reading;
    /// Returns after `for_ms` or soon after, suspended time included, or earlier: who waits looks at the time again.
    fn sleep(&self, for_ms: Millis) -> impl Future<Output = ()>;
    /// Fresh random bits.
    fn entropy(&self) -> Entropy;
}

/// What a server hears of other servers' writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Another server has written this record.
    Record(AttemptId),
    /// Another server has written records, and cannot say which.
    Unnamed,
    /// This server has heard nothing for a while: any record may have been written.
    Unheard,
}

/// How a server looks in the store for records that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// How often it looks.
    pub every_ms: Millis,
    /// Records are found so long before they are due.
    pub ahead_ms: Millis,
    /// Records are found only so long after they are due.
    pub behind_ms: Millis,
    /// Most records that one look brings in; the next one brings more.
    pub limit: usize,
}

impl Scan {
    /// What is due soon comes into memory.
    pub const OWN: Self = Self {
        every_ms: Millis::new(30_000),
        ahead_ms: Millis::new(60_000),
        behind_ms: Millis::ZERO,
        limit: 10_000,
    };
    /// The server that wrote a record last does in time what is due. Others look for what it has not done, because it has ended.
    pub const SHARED: Self = Self {
        every_ms: Millis::new(4_000),
        ahead_ms: Millis::ZERO,
        behind_ms: Millis::new(2_000),
        limit: 500,
    };
}

/// One record per attempt, with a linearizable compare-and-swap (`docs/store.md`, “Stores”).
pub trait Store: 'static {
    /// Whether nobody else can write to it. Only then may a server answer from records that it holds in memory.
    fn is_exclusive(&self) -> bool;
    /// How long the store's last commit took, without its wait for other commits.
    fn commit_time(&self) -> Duration {
        Duration::ZERO
    }
    /// How a server looks for what is due.
    fn scan(&self) -> Scan {
        Scan::OWN
    }
    /// Returns when another server has changed a record. Only a hint.
    fn changed(&self) -> impl Future<Output = Changed> {
        std::future::pending()
    }
    /// Returns, with the reason, when the store will never answer again in this process.
    fn failed(&self) -> impl Future<Output = String> {
        std::future::pending()
    }
    /// The bytes of a record, if there is one.
    fn load(&self, id: AttemptId) -> impl Future<Output = Result<Option<Vec<u8>>, Unavailable>>;
    /// Puts `swap` in place if the version that it expects is there.
    fn swap(&self, swap: Swap) -> impl Future<Output = Swapped>;
    /// The page of a search.
    fn search(&self, search: Search) -> impl Future<Output = Result<Found, SearchError>> {
        let _ = search;
        std::future::ready(Err(SearchError::Unsupported(
            "This store has no index to search in.",
        )))
    }
    /// Records that want to be woken at `until_ms` or before, soonest first, at most `limit`. A shared store gives a record to one server at a
    /// time.
    fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(AttemptId, UnixMillis)>, Unavailable>>;
}

/// The way to PSPs.
pub trait PspTransport: 'static {
    /// Sends one call, at most once, if `may_send` still says so right before the first byte, and waits for its answer.
    fn send(&self, call: &Call, may_send: impl Fn() -> bool) -> impl Future<Output = CallResult>;
}

/// The store did not answer.
#[derive(Clone, Debug)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}
