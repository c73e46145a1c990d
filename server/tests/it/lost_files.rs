//! Files that are taken away from a running server, and a disk that is full: nothing is acknowledged that a restart does
//! not know.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use pay_once::ports::{Store, Swapped};
use pay_once_core::UnixMillis;
use rusqlite::Connection;

use crate::http;
use crate::image::{block_on, copy, id, insert, open, put};
use crate::server::{Dir, Server};

const BODY: &[u8] = br#"{"order_id": "o", "amount": 1, "currency": "GBP"}"#;

fn create(server: &Server, key: &str) -> http::Answer {
    http::send(
        &server.address,
        "POST",
        "/attempts",
        &[("Idempotency-Key", key)],
        BODY,
    )
    .unwrap()
}

/// Takes something away under a running server: no later request is acknowledged, and what was stays as it is.
fn taken_away(take: impl Fn(&Path), what: &str) {
    let server = Server::fast("stripe");
    let before = server.create("before", "pm_card_visa");
    take(server.data());
    for n in 0..3 {
        let answer = create(&server, &format!("after-{n}"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "STORE_UNAVAILABLE"),
            "{what}: {answer:?}"
        );
    }
    // A copy in memory of what was durable may still be shown, or nothing.
    let shown = server.get(&format!("/attempts/{before}")).status;
    assert!([200, 503].contains(&shown), "{what}: {shown}");
    let until = Instant::now() + Duration::from_secs(20);
    while !server.output().contains("the store has failed") {
        assert!(Instant::now() < until, "{what}: {}", server.output());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_data_directory_that_is_deleted() {
    taken_away(|data| fs::remove_dir_all(data).unwrap(), "deleted");
    let anew = |data: &Path| {
        fs::remove_dir_all(data).unwrap();
        fs::DirBuilder::new().mode(0o700).create(data).unwrap();
    };
    taken_away(anew, "made anew");
}

#[test]
fn a_file_that_is_deleted_or_replaced() {
    for name in [
        "pay-once.sqlite3",
        "pay-once.sqlite3-wal",
        "pay-once.mark",
        "lock",
    ] {
        taken_away(|data| fs::remove_file(data.join(name)).unwrap(), name);
        let replace = |data: &Path| {
            let bytes = fs::read(data.join(name)).unwrap();
            put(&data.join(name), &bytes);
        };
        taken_away(replace, name);
    }
}

#[test]
fn a_store_knows_without_traffic_that_its_file_is_gone() {
    let dir = Dir::new();
    let store = open(dir.path()).unwrap();
    assert_eq!(insert(&store, 1, None), Swapped::Applied);
    let health = store.health();
    assert_eq!(health.snapshot().failure, None);
    let kept = copy(dir.path());
    fs::remove_file(dir.path().join("pay-once.sqlite3")).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let why = loop {
        if let Some(why) = health.snapshot().failure {
            break why;
        }
        assert!(Instant::now() < until, "nobody looks");
        thread::sleep(Duration::from_millis(20));
    };
    assert!(
        why.contains("pay-once.sqlite3 is not there any more") && why.contains("restore"),
        "{why}"
    );
    // What the file without a name says counts no more.
    assert!(block_on(store.load(id(1))).is_err());
    assert!(block_on(store.due(UnixMillis::MAX, 1)).is_err());
    assert_eq!(insert(&store, 2, None), Swapped::Unknown);
    drop(store);
    let store = open(kept.path()).unwrap();
    assert!(block_on(store.load(id(1))).unwrap().is_some());
}

#[test]
fn commits_that_fail_show_in_the_health_of_the_store() {
    let dir = Dir::new();
    let store = open(dir.path()).unwrap();
    assert_eq!(insert(&store, 1, None), Swapped::Applied);
    let health = store.health();
    let now = health.snapshot();
    assert_eq!((now.commits, now.failed_in_a_row), (1, 0));
    assert!(now.free_bytes.is_some_and(|bytes| bytes > 0));
    assert_eq!(health.is_ready(), Ok(()));
    let other = Connection::open(dir.path().join("pay-once.sqlite3")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Longer than the store waits for another's lock.
    assert_eq!(insert(&store, 2, None), Swapped::Unknown);
    assert_eq!(health.snapshot().failed_in_a_row, 1);
    assert!(health.is_ready().is_err());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(insert(&store, 2, None), Swapped::Applied);
    let now = health.snapshot();
    assert_eq!((now.commits, now.failed_commits, now.failed_in_a_row), (2, 1, 0));
}

/// The operating system lets no file of the server grow beyond 400 KiB: as on a disk that is full.
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let mut server = Server::start_through(
        "trap '' XFSZ; ulimit -f 800; exec \"$0\" \"$@\"",
        &["--sandbox-latency-ms", "0..0", "--log", "error"],
    );
    let mut told = Vec::new();
    let failed = (0..2_000).find(|n| {
        let answer = create(&server, &format!("k{n}"));
        if answer.status == 201 {
            told.push(answer.json()["attempt_id"].as_str().unwrap().to_owned());
        }
        answer.status != 201
    });
    assert!(failed.is_some() && told.len() > 10, "{failed:?}, {}", told.len());
    let answer = create(&server, "one-more");
    assert_eq!(answer.code(), "STORE_UNAVAILABLE", "{answer:?}");
    server.kill();
    server.restart();
    for id in told {
        assert_eq!(server.get(&format!("/attempts/{id}")).status, 200, "{id}");
    }
    assert_eq!(create(&server, "one-more").status, 201);
}

/// SQLite removes the log with the last connection: a thread that is still there after the store is closed would keep it, and could
/// commit or remove it beside a successor.
#[test]
fn a_closed_store_leaves_no_thread_behind() {
    let dir = Dir::new();
    for n in 1..=3 {
        let store = open(dir.path()).unwrap();
        assert_eq!(insert(&store, n, None), Swapped::Applied);
        drop(store);
        assert!(!dir.path().join("pay-once.sqlite3-wal").exists(), "{n}");
    }
    let store = open(dir.path()).unwrap();
    assert!(block_on(store.load(id(3))).unwrap().is_some());
}
