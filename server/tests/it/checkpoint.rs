//! A checkpoint beside somebody who reads: commits do not wait for either.

use std::time::{Duration, Instant};

use pay_once::ports::Swapped;
use rusqlite::Connection;

use crate::image::{insert, open};
use crate::server::Dir;

/// Commits after which the log is checkpointed, and some more.
const COMMITS: u64 = 1_400;
/// How long a commit waits for a lock in vain.
const LOCK_WAIT: Duration = Duration::from_secs(5);

#[test]
fn commits_do_not_wait_for_a_checkpoint_that_meets_a_reader() {
    let dir = Dir::new();
    let store = open(dir.path()).unwrap();
    assert_eq!(insert(&store, 0, None), Swapped::Applied);
    // A search, a backup or a check.
    let reader = Connection::open(dir.path().join("pay-once.sqlite3")).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM records")
        .unwrap();
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    let mut made = 0;
    // Long enough for a look at the log after the last of these commits.
    while made < COMMITS || begun.elapsed() < Duration::from_secs(2) {
        made += 1;
        let asked = Instant::now();
        assert_eq!(insert(&store, made, None), Swapped::Applied);
        longest = longest.max(asked.elapsed());
    }
    reader.execute_batch("COMMIT").unwrap();
    assert!(longest < LOCK_WAIT / 2, "a commit took {longest:?}");
}
