//! A store of an older build becomes one of this build: all of it, in one transaction.

use rusqlite::{Connection, params};

use pay_once::ports::{Store, Swapped};
use pay_once_core::UnixMillis;

use crate::image::{block_on, bytes, id, insert, open, put};
use crate::server::Dir;

/// The tables as the build before `ids` and `position` made them.
const OLD: &str = "
PRAGMA journal_mode = WAL;
CREATE TABLE records (
    place INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    wake_at_ms INTEGER,
    bytes BLOB NOT NULL
);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE INDEX records_by_wake ON records (wake_at_ms) WHERE wake_at_ms IS NOT NULL;
INSERT INTO meta VALUES ('installation', 'it');
";

fn old(records: u64) -> Dir {
    let dir = Dir::new();
    let path = dir.path().join("pay-once.sqlite3");
    put(&path, b"");
    let database = Connection::open(&path).unwrap();
    database.execute_batch(OLD).unwrap();
    for n in 0..records {
        let row = "INSERT INTO records (id, version, wake_at_ms, bytes) VALUES (?1, 1, ?2, ?3)";
        database
            .execute(row, params![id(n).to_bytes(), n as i64 + 1, bytes(n)])
            .unwrap();
    }
    dir
}

#[test]
fn every_record_of_an_older_store_is_there() {
    let dir = old(50);
    for _ in 0..2 {
        let store = open(dir.path()).unwrap();
        for n in 0..50 {
            assert_eq!(block_on(store.load(id(n))).unwrap(), Some(bytes(n)));
            assert_eq!(insert(&store, n, None), Swapped::Conflict);
        }
        assert_eq!(block_on(store.due(UnixMillis::MAX, 100)).unwrap().len(), 50);
        assert_eq!(block_on(store.load(id(50))).unwrap(), None);
    }
    let store = open(dir.path()).unwrap();
    assert_eq!(insert(&store, 50, None), Swapped::Applied);
}

#[test]
fn a_store_of_a_newer_build_is_refused() {
    let dir = old(1);
    drop(open(dir.path()).unwrap());
    let database = Connection::open(dir.path().join("pay-once.sqlite3")).unwrap();
    database.pragma_update(None, "user_version", 3).unwrap();
    drop(database);
    let why = open(dir.path()).unwrap_err();
    assert!(
        why.contains("form 3") && why.contains("use the newer build"),
        "{why}"
    );
}
