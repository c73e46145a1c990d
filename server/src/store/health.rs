//! How the store is: what its writer did, and whether it may still acknowledge anything. Plain atomics, for metrics and
//! readiness.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Upper bounds of the classes of commit latency, in microseconds. One class more is for what took longer.
pub const LATENCY_BOUNDS_US: [u64; 10] = [
    500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000,
];
/// Upper bounds of the classes of swaps in one commit. One class more is for larger ones.
pub const SWAPS_BOUNDS: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// The state of an open store. Counters begin at its opening.
#[derive(Debug)]
pub struct Health {
    dir: PathBuf,
    failure: OnceLock<String>,
    last_commit_ms: AtomicU64,
    commits: AtomicU64,
    failed_commits: AtomicU64,
    failed_in_a_row: AtomicU64,
    damaged_reads: AtomicU64,
    failed_marks: AtomicU64,
    latency_us: AtomicU64,
    latencies: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    swaps: AtomicU64,
    sizes: [AtomicU64; SWAPS_BOUNDS.len() + 1],
}

/// The state at one moment.
#[derive(Clone, Debug)]
pub struct HealthSnapshot {
    /// Why the store acknowledges nothing more until it is opened again, if so: a file lost its name.
    pub failure: Option<String>,
    /// When the last commit succeeded, in milliseconds since the Unix epoch; the opening counts as one.
    pub last_commit_ms: u64,
    /// Commits that succeeded.
    pub commits: u64,
    /// Commits that failed, so that their swaps ended unknown.
    pub failed_commits: u64,
    /// Commits that failed since the last one that succeeded. Not 0: the disk is full or broken.
    pub failed_in_a_row: u64,
    /// Reads that found the database damaged.
    pub damaged_reads: u64,
    /// High-water marks that could not be written or synced.
    pub failed_marks: u64,
    /// Duration of all commits together, in microseconds.
    pub latency_us: u64,
    /// Commits by duration, not cumulative, in the classes of [`LATENCY_BOUNDS_US`] and one more.
    pub latencies: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// Swaps in all commits together.
    pub swaps: u64,
    /// Commits by number of swaps, not cumulative, in the classes of [`SWAPS_BOUNDS`] and one more.
    pub sizes: [u64; SWAPS_BOUNDS.len() + 1],
    /// Free bytes of the file system that holds the data directory, if it can be asked.
    pub free_bytes: Option<u64>,
}

impl Health {
    /// The health of a store in `dir` that is being opened.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            failure: OnceLock::new(),
            last_commit_ms: AtomicU64::new(now_ms()),
            commits: AtomicU64::default(),
            failed_commits: AtomicU64::default(),
            failed_in_a_row: AtomicU64::default(),
            damaged_reads: AtomicU64::default(),
            failed_marks: AtomicU64::default(),
            latency_us: AtomicU64::default(),
            latencies: Default::default(),
            swaps: AtomicU64::default(),
            sizes: Default::default(),
        }
    }

    /// Why the store acknowledges nothing more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// The store acknowledges nothing more until it is opened again.
    pub fn fail(&self, why: String) {
        if self.failure.set(why.clone()).is_ok() {
            tracing::error!(why, "the store has failed");
        }
    }

    /// A commit of so many swaps succeeded after this long.
    pub fn committed(&self, swaps: usize, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let swaps = swaps as u64;
        self.last_commit_ms.store(now_ms(), Ordering::Relaxed);
        self.failed_in_a_row.store(0, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.latency_us.fetch_add(us, Ordering::Relaxed);
        self.swaps.fetch_add(swaps, Ordering::Relaxed);
        count(&self.latencies, &LATENCY_BOUNDS_US, us);
        count(&self.sizes, &SWAPS_BOUNDS, swaps);
    }

    /// A commit failed.
    pub fn commit_failed(&self) {
        self.failed_commits.fetch_add(1, Ordering::Relaxed);
        self.failed_in_a_row.fetch_add(1, Ordering::Relaxed);
    }

    /// A read or a write found the database damaged.
    pub fn damaged(&self) {
        self.damaged_reads.fetch_add(1, Ordering::Relaxed);
    }

    /// A high-water mark could not be written or synced.
    pub fn mark_failed(&self) {
        self.failed_marks.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything at this moment.
    #[must_use]
    pub fn snapshot(&self) -> HealthSnapshot {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HealthSnapshot {
            failure: self.failure.get().cloned(),
            last_commit_ms: get(&self.last_commit_ms),
            commits: get(&self.commits),
            failed_commits: get(&self.failed_commits),
            failed_in_a_row: get(&self.failed_in_a_row),
            damaged_reads: get(&self.damaged_reads),
            failed_marks: get(&self.failed_marks),
            latency_us: get(&self.latency_us),
            latencies: self.latencies.each_ref().map(get),
            swaps: get(&self.swaps),
            sizes: self.sizes.each_ref().map(get),
            free_bytes: free_bytes(&self.dir),
        }
    }
}

/// Counts a value in the first class whose bound it does not exceed, or in the last.
fn count(classes: &[AtomicU64], bounds: &[u64], value: u64) {
    let class = bounds.partition_point(|bound| *bound < value);
    if let Some(class) = classes.get(class) {
        class.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the file system has left for this user.
fn free_bytes(dir: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(dir).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

/// Milliseconds since the Unix epoch, by the machine's clock.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_by_size_and_duration() {
        let health = Health::new(Path::new("/"));
        health.committed(1, Duration::from_micros(500));
        health.committed(3, Duration::from_micros(501));
        health.committed(200, Duration::from_secs(60));
        health.commit_failed();
        let now = health.snapshot();
        assert_eq!((now.commits, now.swaps, now.failed_in_a_row), (3, 204, 1));
        assert_eq!(now.latencies, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(now.sizes, [1, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert!(now.free_bytes.is_some_and(|bytes| bytes > 0));
        health.committed(1, Duration::ZERO);
        assert_eq!(health.snapshot().failed_in_a_row, 0);
        health.fail("first".to_owned());
        health.fail("second".to_owned());
        assert_eq!(health.failure(), Some("first"));
    }
}
