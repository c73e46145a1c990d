//! Data directories with records in them, made by the store itself, for tests that damage or move their files.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pay_once::ports::{Store, Swap, Swapped};
use pay_once::store::sqlite::SqliteStore;
use pay_once_core::{AttemptId, IndexEntry, RecordVersion, SearchState, UnixMillis};

use crate::server::Dir;

/// The id of the `n`th record.
pub(crate) fn id(n: u64) -> AttemptId {
    AttemptId::derive("it", "shop", &n.to_string())
}

/// The bytes of the `n`th record: of about the length of a real one.
pub(crate) fn bytes(n: u64) -> Vec<u8> {
    let length = 300 + usize::try_from(n * 37 % 600).unwrap();
    (0..length).map(|at| (at as u64 * 7 + n) as u8).collect()
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn open(dir: &Path) -> Result<SqliteStore, String> {
    SqliteStore::open(dir, "it", Arc::default()).map_err(|error| error.to_string())
}

/// By what a search finds a record.
pub(crate) fn entry() -> IndexEntry {
    IndexEntry {
        merchant: "shop".into(),
        order_id: Some("ord_1".to_owned()),
        state: SearchState::Created,
        since_ms: UnixMillis::new(1),
    }
}

/// The first write of the `n`th record.
pub(crate) fn swap(n: u64, wake_at_ms: Option<u64>) -> Swap {
    Swap {
        id: id(n),
        expected_version: None,
        version: RecordVersion::new(1),
        bytes: bytes(n),
        wake_at_ms: wake_at_ms.map(UnixMillis::new),
        entry: entry(),
    }
}

pub(crate) fn insert(store: &SqliteStore, n: u64, wake_at_ms: Option<u64>) -> Swapped {
    block_on(store.swap(swap(n, wake_at_ms)))
}

/// A closed store with so many records, all of it in the database file.
pub(crate) fn closed(records: u64, wake_at_ms: impl Fn(u64) -> Option<u64>) -> Dir {
    let dir = Dir::new();
    let store = open(dir.path()).unwrap();
    for n in 0..records {
        assert_eq!(insert(&store, n, wake_at_ms(n)), Swapped::Applied);
    }
    drop(store);
    until_closed(dir.path());
    dir
}

/// Waits until nobody has the database open: the last one to close it empties the log and takes it away.
pub(crate) fn until_closed(dir: &Path) {
    let until = Instant::now() + Duration::from_secs(20);
    while dir.join("pay-once.sqlite3-wal").exists() {
        assert!(Instant::now() < until, "the store is not closed");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A copy of every file of a directory, modes included.
pub(crate) fn copy(from: &Path) -> Dir {
    let to = Dir::new();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            fs::DirBuilder::new().mode(0o700).create(&target).unwrap();
            copy_into(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Puts bytes in place of a file, for its owner alone.
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
