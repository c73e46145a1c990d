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

impl Reading {
    /// What both clocks will show in `ms`, if nobody sets the wall clock.
    pub(crate) fn after(self, ms: Millis) -> Self {
        Self {
            wall_ms: self.wall_ms + ms,
            since_boot_ms: self.since_boot_ms.map(|since_boot_ms| since_boot_ms + ms),
        }
    }

    /// Whether neither clock has passed what it shows in `by`.
    pub(crate) fn is_by(self, by: Self) -> bool {
        let is_by = |(at_ms, by_ms)| at_ms <= by_ms;
        self.wall_ms <= by.wall_ms && self.since_boot_ms.zip(by.since_boot_ms).is_none_or(is_by)
    }
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
    /// What the clocks showed.
    pub(crate) reading: Reading,
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
                reading: Reading {
                    wall_ms: at_ms,
                    since_boot_ms: None,
                },
                sure_for_ms: Millis::MAX,
                corrected_ms: Millis::ZERO,
            },
        }
    }
}
