//! Identifiers. The attempt's is derived from its create key; all others come from injected time and entropy.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::base::time::UnixMillis;

/// `pa_…`: the address of an attempt, a digest of (installation, merchant, create key).
///
/// The key is the address (`docs/store.md`, “The address”): a retried create finds the same record, and no index can disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId(u128);

impl AttemptId {
    /// The address that `key` has for `merchant` in this installation. An installation without a name (`""`) has the addresses
    /// that all had before there were names.
    #[must_use]
    pub fn derive(installation: &str, merchant: &str, key: &str) -> Self {
        let mut hash = Sha256::new();
        if installation.is_empty() {
            hash.update(b"pay-once attempt 1\0");
        } else {
            hash.update(b"pay-once attempt 2\0");
            hash.update((installation.len() as u64).to_be_bytes());
            hash.update(installation.as_bytes());
        }
        // The length keeps (“ab”, “c”) apart from (“a”, “bc”).
        hash.update((merchant.len() as u64).to_be_bytes());
        hash.update(merchant.as_bytes());
        hash.update(key.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut head = [0u8; 16];
        head.copy_from_slice(&digest[..16]);
        Self(u128::from_be_bytes(head))
    }

    /// Reads `pa_` and 26 characters of the ULID alphabet, upper case.
    ///
    /// # Errors
    /// `None` for anything that [`fmt::Display`] would not have written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix("pa_")?;
        let ulid = Ulid::from_string(encoded).ok()?;
        // The decoder also takes lower case and look-alikes: one attempt has one name.
        (ulid.to_string() == encoded).then_some(Self(u128::from_be_bytes(ulid.to_bytes())))
    }

    /// The 128 bits, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From the 128 bits, big-endian.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pa_{}", Ulid::from_bytes(self.0.to_be_bytes()))
    }
}

/// 128 random bits from the adapter. Core has no randomness of its own: entropy is an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entropy(pub u128);

/// A true ULID from injected time and entropy. Names a PSP call, an authorization (`auth_…`) or a capture (`cap_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LocalId(u128);

impl LocalId {
    /// Makes the `nth` identifier of one step. Different `nth` give different identifiers for the same entropy.
    #[must_use]
    pub fn new(now_ms: UnixMillis, entropy: Entropy, nth: u8) -> Self {
        let random = (entropy.0 >> 48) ^ (u128::from(nth) << 64);
        Self(u128::from_be_bytes(
            Ulid::from_parts(now_ms.get(), random).to_bytes(),
        ))
    }

    /// `prefix` and 26 characters.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> String {
        format!("{prefix}{}", Ulid::from_bytes(self.0.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_id_reads_back_and_has_one_spelling() {
        let id = AttemptId::derive("", "m", "k1");
        let text = id.to_string();
        assert_eq!(text.len(), 29);
        assert_eq!(AttemptId::parse(&text), Some(id));
        assert_eq!(AttemptId::parse(&text.to_lowercase()), None);
        assert_eq!(AttemptId::parse("pa_"), None);
        assert_eq!(
            AttemptId::parse("pa_ZZZZZZZZZZZZZZZZZZZZZZZZZZ"),
            None,
            "over 128 bits"
        );
        assert_eq!(AttemptId::parse("pa_é"), None);
    }

    #[test]
    fn merchant_and_key_do_not_run_into_each_other() {
        assert_ne!(AttemptId::derive("", "ab", "c"), AttemptId::derive("", "a", "bc"));
        assert_ne!(AttemptId::derive("", "m", "k1"), AttemptId::derive("", "m", "k2"));
    }

    #[test]
    fn local_ids_of_one_step_differ() {
        let e = Entropy(u128::MAX / 3);
        assert_ne!(
            LocalId::new(UnixMillis::new(1), e, 0),
            LocalId::new(UnixMillis::new(1), e, 1)
        );
        assert_eq!(
            LocalId::new(UnixMillis::new(1), e, 1),
            LocalId::new(UnixMillis::new(1), e, 1)
        );
        assert!(
            LocalId::new(UnixMillis::new(1_764_160_496_789), e, 0)
                .with_prefix("cap_")
                .starts_with("cap_01K")
        );
    }
}
