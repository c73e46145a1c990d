//! How the PSP signs what it sends.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The signature header of a notice that is sent at `at_s`, in seconds since the Unix epoch: `t=<at_s>,v1=<hex HMAC-SHA256 of
/// "at_s.body">`.
#[must_use]
pub fn sign(secret: &str, at_s: u64, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        unreachable!("any length is a key")
    };
    mac.update(format!("{at_s}.").as_bytes());
    mac.update(body);
    let mut header = format!("t={at_s},v1=");
    for byte in mac.finalize().into_bytes() {
        let Ok(()) = write!(header, "{byte:02x}") else {
            unreachable!("a text takes any text")
        };
    }
    header
}
