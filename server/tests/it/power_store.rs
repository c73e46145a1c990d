//! The store alone under power cuts, as fast as it can: what it called applied is there, whole, after any of them, also in the
//! middle of a checkpoint (`docs/store.md`, “Stores”).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;

use pay_once::ports::{Store, Swap, Swapped};
use pay_once::store::sqlite::SqliteStore;
use pay_once_core::{AttemptId, RecordVersion, UnixMillis};
use rusqlite::Connection;

use crate::image::entry;
use crate::power::{order, reports, shim};
use crate::random::Random;
use crate::server::Dir;

/// How many records there are.
const RECORDS: u8 = 6;
/// How often the power goes.
const CUTS: usize = 12;

/// By record: its version.
type Versions = BTreeMap<u8, u64>;

/// What a record of this version holds: of another length each time, over several pages.
fn bytes(number: u8, version: u64) -> Vec<u8> {
    vec![number ^ version as u8; 200 + (version as usize * 977) % 9_000]
}

/// Not a test of its own: the process whose disk is cut off. It swaps, and says what was applied.
#[test]
#[ignore = "a process of the test below"]
fn a_store_that_is_cut_off() {
    let dir = PathBuf::from(std::env::var("POWER_DIR").unwrap());
    let before = fs::read_to_string(dir.join("before")).unwrap();
    let before = versions(before.lines());
    let store = Rc::new(SqliteStore::open(&dir.join("data"), "", Arc::default()).unwrap());
    let local = tokio::task::LocalSet::new();
    // Not from 0: that is the id that the store probes itself with.
    for number in 1..=RECORDS {
        local.spawn_local(swap_for_ever(
            Rc::clone(&store),
            number,
            before.get(&number).copied(),
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(local);
}

async fn swap_for_ever(store: Rc<SqliteStore>, number: u8, mut expected_version: Option<u64>) {
    loop {
        let version = expected_version.map_or(1, |version| version + 1);
        let swap = Swap {
            id: AttemptId::from_bytes([number; 16]),
            expected_version: expected_version.map(RecordVersion::new),
            version: RecordVersion::new(version),
            bytes: bytes(number, version),
            wake_at_ms: Some(UnixMillis::new(version)),
            entry: entry(),
        };
        assert_eq!(store.swap(swap).await, Swapped::Applied, "{number}: {version}");
        // Past the test harness, which would keep it to itself.
        let mut out = std::io::stdout();
        out.write_all(format!("{number} {version}\n").as_bytes()).unwrap();
        out.flush().unwrap();
        expected_version = Some(version);
    }
}

fn versions<S: AsRef<str>>(lines: impl Iterator<Item = S>) -> Versions {
    lines
        .filter_map(|line| {
            let (number, version) = line.as_ref().split_once(' ')?;
            Some((number.parse().ok()?, version.parse().ok()?))
        })
        .collect()
}

/// One life, until the power goes: what it called applied.
fn live(orders: &Dir) -> Versions {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "power_store::a_store_that_is_cut_off",
            "--ignored",
            "--nocapture",
        ])
        .env("LD_PRELOAD", shim())
        .env("POWER_DIR", orders.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let said = versions(said.lines().map_while(Result::ok));
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "killed, and nothing else: {status}");
    said
}

/// What is on the disk: read from a copy, so that reading changes nothing.
fn stored(orders: &Dir) -> Versions {
    let copy = Dir::new();
    for entry in fs::read_dir(orders.path().join("data")).unwrap() {
        let entry = entry.unwrap();
        // The shared-memory index is made anew, as after a real power cut.
        if !entry.file_name().to_str().unwrap().ends_with("-shm") {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let database = Connection::open(copy.path().join("pay-once.sqlite3")).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let mut all = database
        .prepare("SELECT id, version, wake_at_ms, bytes FROM records")
        .unwrap();
    let rows = all.query_map([], |row| {
        let (id, version): ([u8; 16], i64) = (row.get(0)?, row.get(1)?);
        let (wake, kept): (i64, Vec<u8>) = (row.get(2)?, row.get(3)?);
        assert_eq!(
            (wake, &kept),
            (version, &bytes(id[0], version as u64)),
            "{id:?} is whole"
        );
        Ok((id[0], version as u64))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn remove_index(data: &Path) {
    let _ = fs::remove_file(data.join("pay-once.sqlite3-shm"));
}

#[test]
fn what_the_store_called_applied_is_there_after_any_power_cut() {
    let seed = Random::seed();
    let mut random = Random(seed);
    let orders = Dir::new();
    // Names of files are not what is tested: they are made first.
    drop(SqliteStore::open(&orders.path().join("data"), "", Arc::default()).unwrap());
    let mut before = Versions::new();
    let mut applied = 0;
    for nth in 0..CUTS {
        let lines: String = before
            .iter()
            .map(|(number, version)| format!("{number} {version}\n"))
            .collect();
        fs::write(orders.path().join("before"), lines).unwrap();
        let (what, calls) = match nth % 3 {
            0 => ("cut", 200),
            1 => ("cut", 4_000),
            _ => ("main", 60),
        };
        order(
            &orders,
            &format!("{what} {} {}", 1 + random.below(calls), random.below(1 << 30)),
        );
        let said = live(&orders);
        remove_index(&orders.path().join("data"));
        let now = stored(&orders);
        for (number, version) in before.iter().chain(&said) {
            let is = now.get(number).copied().unwrap_or_default();
            // One more may have been written than was told.
            assert!(
                is >= *version,
                "seed {seed}, cut {nth}: record {number} was {version}, is {is}"
            );
        }
        applied += said
            .iter()
            .map(|(n, v)| v - before.get(n).copied().unwrap_or_default())
            .sum::<u64>();
        before = now;
    }
    let cuts = reports(&orders, "cut");
    let sum = |at: usize| cuts.iter().map(|cut| cut[at]).sum::<u64>();
    let [writes, to_main_file, kept, lost] = [sum(0), sum(1), sum(2), sum(3)];
    println!(
        "seed {seed}: {applied} swaps, {} cuts: {writes} unsynced writes, {to_main_file} of them to the main file; {kept} sectors kept, {lost} lost",
        cuts.len()
    );
    assert_eq!(cuts.len(), CUTS, "seed {seed}");
    assert!(kept > 50 && lost > 50, "seed {seed}: hardly anything was torn");
    assert!(to_main_file > 0, "seed {seed}: no cut came in a checkpoint");
}
