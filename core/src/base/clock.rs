//! What a host's clocks show at a moment, and the time that core takes from them. `host/clock.rs` decides it.

use super::time::{Millis, UnixMillis};

/// Both clocks of a host, read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock. It may be set at any time.
    pub wall_ms: UnixMillis,
    /// The time since the machine started, on a clock that nobody sets and that counts suspended time (`CLOCK_BOOTTIME`). `None`: the
    /// host has no such clock, or lives for one request.
    pub since_boot_ms: Option<Millis>,
}

/// The time of a moment, and how well it is known.
///
/// A host without a monotonic clock gives the time of its wall clock (`From<UnixMillis>`): it is taken for right, and only the `Date`
/// of a look's own answer can contradict it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time, in milliseconds since the Unix epoch.
    pub at_ms: UnixMillis,
    pub(crate) trust: Trust,
}

/// How well a time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trust {
    /// What the wall clock showed.
    pub(crate) wall_ms: UnixMillis,
    /// How long ago, on the monotonic clock, the last time was taken that may have been wrong. Zero while the clock is in doubt.
    pub(crate) sure_for_ms: Millis,
    /// By how much the times that were taken before that may be wrong.
    pub(crate) corrected_ms: Millis,
}

impl Trust {
    /// By how much a time of the journal may be wrong, now that it is `now_ms`.
    pub(crate) fn may_be_off_by_ms(&self, now_ms: UnixMillis, journaled_ms: UnixMillis) -> Millis {
        // A clock that was ahead has left times that are still to come.
        let last_ms = now_ms - self.sure_for_ms + self.corrected_ms;
        if self.corrected_ms > Millis::ZERO && journaled_ms <= last_ms {
            self.corrected_ms
        } else {
            Millis::ZERO
        }
    }
}

impl From<UnixMillis> for Now {
    fn from(at_ms: UnixMillis) -> Self {
        Self {
            at_ms,
            trust: Trust {
                wall_ms: at_ms,
                sure_for_ms: Millis::MAX,
                corrected_ms: Millis::ZERO,
            },
        }
    }
}
