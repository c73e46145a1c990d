//! What tells one request from another under the same key.

/// A digest of what a request means (`docs/http.md`, “Same body”).
pub type Fingerprint = [u8; 32];
