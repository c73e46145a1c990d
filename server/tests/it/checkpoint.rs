//! A checkpoint beside somebody who reads: commits do not wait for either.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pay_once::ports::{Store, Swapped};
use rusqlite::Connection;
use tokio::task::{JoinSet, LocalSet};

use crate::image::{block_on, insert, open, swap};
use crate::server::Dir;

/// Commits after which the log is checkpointed, and some more.
const COMMITS: u64 = 1_400;
/// How long a commit waits for a lock in vain.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How many swaps are under way at a time, so that the writer always has work.
const TOGETHER: u64 = 16;
/// How many beginnings of the log are waited for.
const BEGINNINGS: usize = 3;

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

#[test]
fn the_log_begins_anew_although_commits_follow_each_other() {
    let dir = Dir::new();
    let store = Rc::new(open(dir.path()).unwrap());
    let log = dir.path().join("pay-once.sqlite3-wal");
    let begun = Instant::now();
    let mut made = 0;
    let mut seen = BTreeSet::new();
    while seen.len() < BEGINNINGS {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "the log of {} bytes began {} times in {made} commits",
            fs::metadata(&log).unwrap().len(),
            seen.len()
        );
        // Before one group of them is on disk the next one waits.
        let swapped = block_on(LocalSet::new().run_until(async {
            let mut swaps = JoinSet::new();
            for n in made..made + TOGETHER {
                let store = Rc::clone(&store);
                swaps.spawn_local(async move { store.swap(swap(n, None)).await });
            }
            swaps.join_all().await
        }));
        assert!(swapped.iter().all(|swapped| *swapped == Swapped::Applied));
        made += TOGETHER;
        seen.insert(beginning(&log));
    }
}

/// How often the log began anew: its header says so (SQLite, “WAL-mode File Format”, checkpoint sequence number).
fn beginning(log: &Path) -> [u8; 4] {
    let mut header = [0; 16];
    fs::File::open(log).unwrap().read_exact(&mut header).unwrap();
    header[12..].try_into().unwrap()
}
