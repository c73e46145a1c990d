//! What an adapter asks of its store, and what it learns: one linearizable compare-and-swap a record, nothing more
//! (DESIGN §3, “Stores”).

use crate::id::AttemptId;
use crate::machine::Write;

/// A compare-and-swap.
#[derive(Clone, Debug)]
pub struct Swap {
    /// Which record.
    pub id: AttemptId,
    /// The version that must be there; `None` if nothing may be there.
    pub expected_version: Option<u64>,
    /// Its new version.
    pub version: u64,
    /// Its new bytes.
    pub bytes: Vec<u8>,
    /// When it wants to be woken, in milliseconds since the Unix epoch.
    pub wake_at_ms: Option<u64>,
}

/// What became of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// It is durable.
    Applied,
    /// Another version was there. Nothing changed.
    Conflict,
    /// It may or may not be durable: [`crate::record::Record::proves_swap_of`] tells from what is there now.
    Unknown,
}

impl From<&Write> for Swap {
    fn from(write: &Write) -> Self {
        Self {
            id: write.record.id(),
            expected_version: write.expected_version,
            version: write.record.version(),
            bytes: write.record.encode(),
            wake_at_ms: write.wake_at_ms,
        }
    }
}
