//! How the store is: what its writer did, and whether it may still acknowledge anything. Plain atomics, for metrics and
//! readiness.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A data directory with less free space than this is not ready for payments, in bytes: about a day of one payment a second.
pub const FREE_BYTES_MIN: u64 = 256 << 20;

/// The state of an open store. Counters begin at its opening.
#[derive(Debug)]
pub struct Health {
    dir: PathBuf,
    failure: OnceLock<String>,
    last_commit_ms: AtomicU64,
    last_commit_took_us: AtomicU64,
    commits: AtomicU64,
    failed_commits: AtomicU64,
    failed_in_a_row: AtomicU64,
    damaged_reads: AtomicU64,
    failed_marks: AtomicU64,
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
            last_commit_took_us: AtomicU64::default(),
            commits: AtomicU64::default(),
            failed_commits: AtomicU64::default(),
            failed_in_a_row: AtomicU64::default(),
            damaged_reads: AtomicU64::default(),
            failed_marks: AtomicU64::default(),
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

    /// A commit succeeded, within `took`.
    pub fn committed(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_commit_took_us.store(took_us, Ordering::Relaxed);
        self.last_commit_ms.store(now_ms(), Ordering::Relaxed);
        self.failed_in_a_row.store(0, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// The store was reached, and committed something of no account.
    pub fn reached(&self) {
        self.last_commit_ms.store(now_ms(), Ordering::Relaxed);
        self.failed_in_a_row.store(0, Ordering::Relaxed);
    }

    /// How long the last commit that succeeded took.
    #[must_use]
    pub fn commit_time(&self) -> Duration {
        Duration::from_micros(self.last_commit_took_us.load(Ordering::Relaxed))
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

    /// Whether payments may be served from it; if not, one sentence that says what is wrong.
    ///
    /// # Errors
    /// That sentence.
    pub fn is_ready(&self) -> Result<(), String> {
        let now = self.snapshot();
        if let Some(why) = now.failure {
            return Err(why);
        }
        if now.failed_in_a_row > 0 {
            return Err(format!(
                "the last {} commits failed: the disk is full or broken, or the database cannot be reached",
                now.failed_in_a_row
            ));
        }
        if now.damaged_reads > 0 {
            return Err("the database is damaged: run `pay-once check`".to_owned());
        }
        match now.free_bytes {
            Some(bytes) if bytes < FREE_BYTES_MIN => Err(format!(
                "the data directory has {bytes} bytes of free space, and needs {FREE_BYTES_MIN}"
            )),
            _ => Ok(()),
        }
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
            free_bytes: free_bytes(&self.dir),
        }
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
    fn a_failed_commit_is_forgotten_and_a_failure_is_not() {
        let health = Health::new(Path::new("/"));
        health.committed(Duration::ZERO);
        health.commit_failed();
        let now = health.snapshot();
        assert_eq!((now.commits, now.failed_commits, now.failed_in_a_row), (1, 1, 1));
        assert!(now.free_bytes.is_some_and(|bytes| bytes > 0));
        assert!(
            health
                .is_ready()
                .is_err_and(|why| why.contains("last 1 commits failed"))
        );
        health.committed(Duration::ZERO);
        assert_eq!(health.snapshot().failed_in_a_row, 0);
        health.fail("first".to_owned());
        health.fail("second".to_owned());
        assert_eq!(health.is_ready(), Err("first".to_owned()));
    }

    #[test]
    fn a_damaged_read_is_not_forgotten() {
        let health = Health::new(Path::new("/"));
        health.damaged();
        health.committed(Duration::ZERO);
        assert!(health.is_ready().is_err_and(|why| why.contains("pay-once check")));
    }
}
