//! The `pay-once-sim` binary.
fn main() {}
