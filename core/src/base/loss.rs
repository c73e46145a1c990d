//! Writes that a store may have lost: a backup was restored, or a copy of the store is older than what was acknowledged.

use serde::Deserialize;

use crate::base::time::UnixMillis;

/// When the lost writes were made. A server of that time may have sent any request of any attempt, and the journal does not have
/// its dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The time of the backup, in milliseconds since the Unix epoch: what was written before is there.
    pub begins_ms: UnixMillis,
    /// When the store was restored, in milliseconds since the Unix epoch: what was written since is there. Nobody sends for the lost
    /// writes any more.
    pub restored_ms: UnixMillis,
}

impl Loss {
    /// One loss that covers both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            begins_ms: self.begins_ms.min(other.begins_ms),
            restored_ms: self.restored_ms.max(other.restored_ms),
        }
    }
}
