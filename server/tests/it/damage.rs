//! A damaged database: a record that is there is never told to be absent, whichever byte is wrong, and a check finds what
//! is wrong.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pay_once::ports::{Store, Swapped};
use pay_once::store::files::{DirLock, Place};
use pay_once::store::opening::Opening;
use pay_once::store::sqlite::SqliteStore;
use pay_once::store::verify;
use pay_once_core::UnixMillis;

use crate::image::{block_on, bytes, closed, copy, id, insert, open, put};
use crate::random::Random;
use crate::server::{Dir, Server};
use crate::store::run;

const RECORDS: u64 = 24;

/// Opens without the check, as if the damage came after the start.
fn open_unchecked(dir: &Path) -> Result<SqliteStore, String> {
    let place = Place::new(dir);
    let lock = DirLock::take(&place).unwrap();
    let opening = Opening {
        skip_check: true,
        ..Opening::default()
    };
    SqliteStore::open_locked(&place, lock, "it", Arc::default(), &opening).map_err(|error| error.to_string())
}

/// How many records are told rightly. None may be told to be absent, and none may be begun anew.
fn told_rightly(store: &SqliteStore, what: &str) -> u64 {
    let mut right = 0;
    for n in 0..RECORDS {
        match block_on(store.load(id(n))) {
            Ok(Some(found)) if found == bytes(n) => right += 1,
            Ok(None) => panic!("{what}: record {n} is told to be absent"),
            // Other bytes are refused by core, whose chain does not match.
            Ok(Some(_)) | Err(_) => {
                assert_ne!(
                    insert(store, n, None),
                    Swapped::Applied,
                    "{what}: record {n} is begun anew"
                );
                assert_ne!(block_on(store.load(id(n))).ok(), Some(None), "{what}: {n}");
            }
        }
    }
    right
}

fn with_a_flip(image: &Dir, at: usize, bit: u8) -> Dir {
    let damaged = copy(image.path());
    let path = damaged.path().join("pay-once.sqlite3");
    let mut file = fs::read(&path).unwrap();
    file[at] ^= bit;
    put(&path, &file);
    damaged
}

/// Where ids are in the file (in the table, in its unique index, and in the table `ids`), and as many bytes anywhere.
fn places(image: &Dir, random: &mut Random) -> Vec<usize> {
    let file = fs::read(image.path().join("pay-once.sqlite3")).unwrap();
    let ids: Vec<[u8; 16]> = (0..RECORDS).map(|n| id(n).to_bytes()).collect();
    let of_ids: Vec<usize> = file
        .windows(16)
        .enumerate()
        .filter(|(_, window)| ids.iter().any(|id| id == window))
        .map(|(at, _)| at)
        .collect();
    assert!(of_ids.len() >= 3 * ids.len(), "{}", of_ids.len());
    let anywhere = (0..of_ids.len()).map(|_| random.below(file.len() as u64) as usize);
    let of_ids: Vec<usize> = of_ids.iter().map(|at| at + 2).collect();
    anywhere.chain(of_ids.iter().copied()).collect()
}

#[test]
fn a_flipped_byte_never_makes_a_record_absent() {
    let seed = Random::seed();
    let mut random = Random(seed);
    let image = closed(RECORDS, |n| Some(1_000_000 + n));
    let (mut refused, mut unnoticed) = (0, 0);
    for at in places(&image, &mut random) {
        let bit = 1 << random.below(8);
        let what = format!("seed {seed}, byte {at}, bit {bit:#x}");
        let damaged = with_a_flip(&image, at, bit);
        match open(damaged.path()) {
            Err(why) => {
                assert!(!why.contains("mode"), "{what}: {why}");
                refused += 1;
            }
            Ok(store) => {
                told_rightly(&store, &what);
            }
        }
        // The same damage, when the server runs already.
        let damaged = with_a_flip(&image, at, bit);
        if let Ok(store) = open_unchecked(damaged.path()) {
            let right = told_rightly(&store, &what);
            if right == RECORDS {
                unnoticed += 1;
            }
        }
    }
    println!("{refused} starts refused; {unnoticed} flips did no harm");
    assert!(refused > 20, "seed {seed}: {refused}");
}

#[test]
fn a_check_finds_damage_and_says_so_by_its_exit_code() {
    let mut server = Server::fast("stripe");
    let ids: Vec<String> = (0..20)
        .map(|n| server.create(&format!("k{n}"), "pm_card_visa"))
        .collect();
    let data = server.data().to_str().unwrap().to_owned();
    // Beside a running server.
    let output = run(&["check", "--data", &data]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("is sound: 20 records, epoch 1"), "{said}");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("records checked: 20 of 20")
    );
    server.kill();
    let database = rusqlite::Connection::open(server.data().join("pay-once.sqlite3")).unwrap();
    let address = pay_once_core::AttemptId::parse(&ids[7]).unwrap().to_bytes();
    database
        .execute(
            "UPDATE records SET bytes = CAST(x'00' || substr(bytes, 2) AS BLOB) WHERE id = ?1",
            [address],
        )
        .unwrap();
    drop(database);
    let output = run(&["check", "--data", &data]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("record {} is refused", ids[7])), "{said}");
    assert!(!said.contains(&ids[8]), "{said}");
}

#[test]
fn a_check_decodes_every_record() {
    // These are no records.
    let image = closed(3, |_| None);
    let found = verify::directory(&Place::new(image.path()), |_, _| {}).unwrap();
    assert_eq!(found.records, 3);
    assert_eq!(found.problems.len(), 3, "{found:?}");
    let absent = Dir::new();
    let why = verify::directory(&Place::new(absent.path()), |_, _| {}).unwrap_err();
    assert!(why.contains("does not exist"), "{why}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let image = closed(3, |_| None);
    put(&image.path().join("pay-once.sqlite3"), &[0x5A; 8_192]);
    let why = open(image.path()).map(drop).unwrap_err();
    assert!(
        why.contains("the database is damaged") && why.contains("pay-once restore"),
        "{why}"
    );
}

/// The time of a wake-up is in the table and in the index of wake-ups; whichever of the two is damaged, it is not lost.
#[test]
fn a_lost_wake_up_is_found_at_the_start() {
    const WAKE: u64 = 0x0123_4567_89AB;
    let image = closed(3, |n| (n == 1).then_some(WAKE));
    let file = fs::read(image.path().join("pay-once.sqlite3")).unwrap();
    let needle = &WAKE.to_be_bytes()[2..];
    let found: Vec<usize> = file
        .windows(needle.len())
        .enumerate()
        .filter(|(_, window)| *window == needle)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(found.len(), 2, "in the table and in the index");
    for at in found {
        // Later by years.
        let damaged = with_a_flip(&image, at, 0x40);
        let store = open(damaged.path()).unwrap();
        let due = block_on(store.due(UnixMillis::new(WAKE), 10)).unwrap();
        assert_eq!(due, [(id(1), UnixMillis::new(WAKE))], "byte {at}");
    }
}
