//! The version of a record: what a compare-and-swap compares, and what an operator's word names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of entries of a journal. Journals only grow, so no version comes twice. Stored and sent as that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordVersion(u64);

impl RecordVersion {
    /// The version of this number, as a store or a client gives it.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, as a store keeps it.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version of a journal of so many entries.
    #[must_use]
    pub fn of_entries(count: usize) -> Self {
        Self(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// How many entries a journal of this version has.
    #[must_use]
    pub fn entries(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for RecordVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
