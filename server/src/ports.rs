//! What the server loop needs from the world. Each port has one real implementation here and may have another in a
//! simulator.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use pay_once_core::{AttemptId, Call, CallResult, Entropy, Millis, Reading, UnixMillis};
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

/// One record per attempt, with a linearizable compare-and-swap (`docs/store.md`, “Stores”).
pub trait Store: 'static {
    /// Whether nobody else can write to it. Only then may a server answer from records that it holds in memory.
    fn is_exclusive(&self) -> bool;
    /// How long the store's last commit took, without its wait for other commits.
    fn commit_time(&self) -> Duration {
        Duration::ZERO
    }
    /// The bytes of a record, if there is one.
    fn load(&self, id: AttemptId) -> impl Future<Output = Result<Option<Vec<u8>>, Unavailable>>;
    /// Puts `swap` in place if the version that it expects is there.
    fn swap(&self, swap: Swap) -> impl Future<Output = Swapped>;
    /// Records that want to be woken at `until_ms` or before, soonest first, at most `limit`.
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
