//! The fuzz targets of Pay Once as plain functions of bytes (`fuzz/README.md`): the same function runs under cargo-fuzz
//! and, for every input that is kept, on stable.
// A finding is a panic: that is how libFuzzer hears of it.
#![allow(clippy::panic, clippy::missing_panics_doc)]

pub mod acquirer;
pub mod bytes;
pub mod fingerprint;
pub mod http;
pub mod machine;
pub mod plan;
pub mod psp;
pub mod record;
pub mod seeds;
pub mod setup;
pub mod stripe;

/// A target: its name, and one execution of it.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 7] = [
    ("machine", machine::run),
    ("plan", plan::run),
    ("http", http::run),
    ("record", record::run),
    ("stripe", stripe::run),
    ("acquirer", acquirer::run),
    ("fingerprint", fingerprint::run),
];
