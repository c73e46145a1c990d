//! A record as the key-value store keeps it: the record's bytes behind a stamp that says who wrote them. Whoever reads
//! his own token back knows that his swap was applied, whatever the backend reported.

use pay_once_core::{RecordVersion, UnixMillis};

/// First byte of every value.
const LAYOUT: u8 = 1;
/// Layout, token, version, wake-up time.
const STAMP_BYTES: usize = 1 + 16 + 8 + 8;
/// “Wants no waking.”
const NEVER_MS: UnixMillis = UnixMillis::MAX;

/// A stamped value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped<'a> {
    /// Drawn anew for each swap.
    pub token: u128,
    /// The record's version.
    pub version: RecordVersion,
    /// The time under which the due-index has it, in milliseconds since the Unix epoch.
    pub indexed_ms: Option<UnixMillis>,
    /// The record.
    pub record: &'a [u8],
}

impl<'a> Stamped<'a> {
    /// Reads a value; `None` if it is not of this layout.
    #[must_use]
    pub fn read(value: &'a [u8]) -> Option<Self> {
        let (stamp, record) = value.split_at_checked(STAMP_BYTES)?;
        let (layout, stamp) = stamp.split_first()?;
        let (token, stamp) = stamp.split_first_chunk::<16>()?;
        let (version, wake) = stamp.split_first_chunk::<8>()?;
        let indexed_ms = UnixMillis::new(u64::from_be_bytes(wake.try_into().ok()?));
        (*layout == LAYOUT).then_some(Self {
            token: u128::from_be_bytes(*token),
            version: RecordVersion::new(u64::from_be_bytes(*version)),
            indexed_ms: (indexed_ms != NEVER_MS).then_some(indexed_ms),
            record,
        })
    }

    /// The value.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(STAMP_BYTES + self.record.len());
        value.push(LAYOUT);
        value.extend_from_slice(&self.token.to_be_bytes());
        value.extend_from_slice(&self.version.get().to_be_bytes());
        value.extend_from_slice(&self.indexed_ms.unwrap_or(NEVER_MS).get().to_be_bytes());
        value.extend_from_slice(self.record);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back_and_anything_else_is_refused() {
        for indexed_ms in [None, Some(0), Some(1_795_000_000_000)].map(|ms| ms.map(UnixMillis::new)) {
            let stamped = Stamped {
                token: 7 << 100,
                version: RecordVersion::new(3),
                indexed_ms,
                record: b"record",
            };
            let value = stamped.write();
            assert_eq!(Stamped::read(&value), Some(stamped));
            assert_eq!(Stamped::read(&value[..STAMP_BYTES - 1]), None);
            assert_eq!(Stamped::read(&[&[2], &value[1..]].concat()), None);
        }
    }
}
