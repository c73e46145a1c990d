//! What an adapter asks of its store, and what it learns: one linearizable compare-and-swap a record, nothing more
//! (`docs/store.md`, “Stores”).

use crate::base::id::AttemptId;
use crate::base::limits::{SWAP_CONFLICTS_MAX, SWAPS_LOST_MAX};
use crate::base::time::UnixMillis;
use crate::base::version::RecordVersion;
use crate::journal::indexed::IndexEntry;
use crate::journal::record::Record;
use crate::machine::step::Write;

/// A compare-and-swap.
#[derive(Clone, Debug)]
pub struct Swap {
    /// Which record.
    pub id: AttemptId,
    /// The version that must be there; `None` if nothing may be there.
    pub expected_version: Option<RecordVersion>,
    /// Its new version.
    pub version: RecordVersion,
    /// Its new bytes.
    pub bytes: Vec<u8>,
    /// By what a search finds it. A store that can search keeps it in the same write.
    pub entry: IndexEntry,
    /// When it wants to be woken, in milliseconds since the Unix epoch.
    pub wake_at_ms: Option<UnixMillis>,
}

/// What became of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// It is durable.
    Applied,
    /// Another version was there. Nothing changed.
    Conflict,
    /// It may or may not be durable: [`Swapped::read_back`] tells from what is there now.
    Unknown,
}

impl Swapped {
    /// What a swap of `written` onto `expected_version` came to whose end is unknown, told by what is durable `now`.
    /// Only `Applied` lets the writer carry its step out. `Unknown`, still: what it was to replace is there, so the swap
    /// was lost, or is yet to land; handling the input again is safe, since one of the two will conflict.
    #[must_use]
    pub fn read_back(
        now: Option<&Record>,
        written: &Record,
        expected_version: Option<RecordVersion>,
    ) -> Self {
        match now {
            Some(now) if now.proves_swap_of(written, expected_version) => Self::Applied,
            now if now.map(Record::version) == expected_version => Self::Unknown,
            Some(_) | None => Self::Conflict,
        }
    }
}

/// How often one step may fail to become durable: afterwards its store is unavailable, and whoever asked is told so.
#[derive(Clone, Debug, Default)]
pub struct RetryBudget {
    conflicts: usize,
    lost: usize,
}

impl RetryBudget {
    /// Why the step is to be given up, if it is, now that another of its swaps came to this. Otherwise its input is
    /// handled again, from what is durable then.
    #[must_use]
    pub fn record(&mut self, swapped: Swapped) -> Option<&'static str> {
        match swapped {
            Swapped::Applied => {}
            Swapped::Conflict => self.conflicts += 1,
            Swapped::Unknown => self.lost += 1,
        }
        if self.lost >= SWAPS_LOST_MAX {
            return Some("it takes no writes");
        }
        let why = "too many others wrote to this attempt at once";
        (self.conflicts >= SWAP_CONFLICTS_MAX).then_some(why)
    }
}

impl From<&Write> for Swap {
    fn from(write: &Write) -> Self {
        Self {
            id: write.record.id(),
            expected_version: write.expected_version,
            version: write.record.version(),
            bytes: write.record.encode(),
            entry: write.record.index_entry(),
            wake_at_ms: write.wake_at_ms,
        }
    }
}
