//! What the host counts: steps that make something durable.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start, shown at `GET /.host/counters`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Statements of `spin:sqlite` that changed rows.
    pub sqlite_writes: AtomicU64,
    /// Statements of `spin:sqlite` that changed none.
    pub sqlite_reads: AtomicU64,
    /// Statements of `spin:postgres` that changed rows and gave them.
    pub postgres_writes: AtomicU64,
    /// Other statements of `spin:postgres` that succeeded.
    pub postgres_reads: AtomicU64,
    /// Swaps of `wasi:keyvalue` that were applied, whatever was reported.
    pub swaps: AtomicU64,
    /// Values set without a condition.
    pub sets: AtomicU64,
    /// Values deleted.
    pub deletes: AtomicU64,
}

impl Counters {
    /// Counts one.
    pub fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// As JSON.
    pub fn json(&self) -> String {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        serde_json::json!({
            "sqlite_writes": get(&self.sqlite_writes),
            "sqlite_reads": get(&self.sqlite_reads),
            "postgres_writes": get(&self.postgres_writes),
            "postgres_reads": get(&self.postgres_reads),
            "swaps": get(&self.swaps),
            "sets": get(&self.sets),
            "deletes": get(&self.deletes),
        })
        .to_string()
    }
}
