//! Digests of states: 128 bits by fixed keys, the same on every machine, thread and run. Nothing here is seeded, and
//! nothing iterates over a hash.

use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

/// A digest.
pub(super) type Digest = u128;

/// The digest of anything that can be hashed.
pub(super) fn of(value: &impl Hash) -> Digest {
    let mut hasher = SipHasher13::new_with_keys(0x5061_7920, 0x4f6e_6365);
    value.hash(&mut hasher);
    hasher.finish128().as_u128()
}

/// The digest of something of core's that can only be shown. Core's `Debug` forms leave out secrets and nothing else
/// that two states could differ in (the body of a call is added by the caller).
pub(super) fn of_shown(value: &impl Debug) -> Digest {
    of(&format!("{value:?}"))
}

/// A digest is its own hash.
#[derive(Default)]
pub(super) struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) ^ self.0.rotate_right(11) ^ u64::from(*byte);
        }
    }
    fn write_u128(&mut self, digest: u128) {
        self.0 = (digest >> 64) as u64 ^ digest as u64;
    }
}

/// How tables of digests are kept: their order is never looked at.
pub(super) type ByDigest = BuildHasherDefault<Itself>;
