//! Backups of a running server, and what a restore of one leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pay_once::store::note::RestoreNote;

use crate::http;
use crate::image::{copy, put};
use crate::server::{Dir, Server};
use crate::store::{refusal, refused_start, run};

const NAME: &str = "pay-once.sqlite3";

/// Runs a command that must succeed, and gives what it said.
pub(crate) fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn note(data: &std::path::Path) -> RestoreNote {
    toml::from_str(&fs::read_to_string(data.join("restore.toml")).unwrap()).unwrap()
}

/// Payments go on while the backup is taken: what was acknowledged before it began is in it.
#[test]
fn a_backup_of_a_running_server_has_all_that_was_acknowledged_before() {
    let mut server = Server::fast("stripe");
    let before: Vec<String> = (0..20)
        .map(|n| server.create(&format!("before-{n}"), "pm_card_visa"))
        .collect();
    let place = Dir::new();
    let file = place.path().join("backup.sqlite3");
    let (data, to) = (server.data().to_str().unwrap().to_owned(), file.to_str().unwrap());
    let is_over = AtomicBool::new(false);
    let said = thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let mut n = 0;
            while !is_over.load(Ordering::Relaxed) {
                server.create(&format!("meanwhile-{n}"), "pm_card_visa");
                n += 1;
            }
            n
        });
        let said = done(&["backup", "--data", &data, to]);
        is_over.store(true, Ordering::Relaxed);
        assert!(busy.join().unwrap() > 0);
        said
    });
    assert!(said.contains("epoch 1") && said.contains("checked"), "{said}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = fs::read_dir(place.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["backup.sqlite3"], "one file, and nothing beside it");
    let again = refusal(&["backup", "--data", &data, to]);
    assert!(again.contains("exists already"), "{again}");

    // What is written from here on is lost by a restore.
    let lost = server.create("lost", "pm_card_visa");
    let running = refusal(&["restore", "--data", &data, to, "--force"]);
    assert!(running.contains("a server is running"), "{running}");
    server.kill();
    let full = refusal(&["restore", "--data", &data, to]);
    assert!(
        full.contains("has a store already") && full.contains("--force"),
        "{full}"
    );
    let said = done(&["restore", "--data", &data, to, "--force"]);
    for expected in ["in epoch 2", "is missing", "restore.toml", "replaced-2.sqlite3"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let noted = note(server.data());
    assert_eq!(noted.epoch, 2);
    assert!(noted.loss_begins_at_ms < noted.restored_at_ms, "{noted:?}");
    server.restart();
    for id in &before {
        assert_eq!(server.get(&format!("/attempts/{id}")).status, 200);
    }
    assert_eq!(server.get(&format!("/attempts/{lost}")).status, 404);
    // The backup's commits count on.
    server.create("after", "pm_card_visa");
    server.kill();
    server.restart();
    assert!(done(&["check", "--data", &data]).contains("epoch 2"));
    // What was there before can still be read.
    let kept = rusqlite::Connection::open(server.data().join("replaced-2.sqlite3")).unwrap();
    let address = pay_once_core::AttemptId::parse(&lost).unwrap().to_bytes();
    let is_there: bool = kept
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM records WHERE id = ?1)",
            [address],
            |row| row.get(0),
        )
        .unwrap();
    assert!(is_there);
}

/// A server that was killed one payment after its backup, and the directory that has the backup.
fn killed_after_a_backup() -> (Server, Dir) {
    let mut server = Server::fast("stripe");
    server.create("early", "pm_card_visa");
    let place = Dir::new();
    let file = place.path().join("backup.sqlite3");
    let data = server.data().to_str().unwrap();
    done(&["backup", "--data", data, file.to_str().unwrap()]);
    server.create("late", "pm_card_visa");
    server.kill();
    (server, place)
}

/// A backup that is copied over the database by hand is a loss that nobody noted.
#[test]
fn a_backup_that_is_put_in_place_by_hand_is_refused() {
    let (server, place) = killed_after_a_backup();
    let file = place.path().join("backup.sqlite3");
    let data = server.data().to_str().unwrap().to_owned();
    for name in ["pay-once.sqlite3-wal", "pay-once.sqlite3-shm"] {
        fs::remove_file(server.data().join(name)).unwrap();
    }
    put(&server.data().join(NAME), &fs::read(&file).unwrap());
    let said = refused_start(&data, &[]);
    assert!(
        said.contains("1 are lost") && said.contains("pay-once restore"),
        "{said}"
    );
    // Into an empty directory: no mark says anything of it, but the database does.
    let empty = Dir::new();
    put(&empty.path().join(NAME), &fs::read(&file).unwrap());
    let said = refused_start(empty.path().to_str().unwrap(), &[]);
    assert!(said.contains("pay-once.mark is missing"), "{said}");
    // By the command it can be restored there.
    let empty = Dir::new();
    let to = empty.path().join("data");
    done(&["restore", "--data", to.to_str().unwrap(), file.to_str().unwrap()]);
    assert_eq!(note(&to).epoch, 2);
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o700);
}

/// An old database of before a restore is of another epoch, although it may have more commits.
#[test]
fn the_database_of_before_a_restore_is_refused_afterwards() {
    let (server, place) = killed_after_a_backup();
    let file = place.path().join("backup.sqlite3");
    let data = server.data().to_str().unwrap().to_owned();
    let old = copy(server.data());
    done(&["restore", "--data", &data, file.to_str().unwrap(), "--force"]);
    for name in [NAME, "pay-once.sqlite3-wal"] {
        put(
            &server.data().join(name),
            &fs::read(old.path().join(name)).unwrap(),
        );
    }
    let said = refused_start(&data, &[]);
    assert!(
        said.contains("of epoch 1, and its high-water mark of epoch 2"),
        "{said}"
    );
    // As after a restore that was cut off before the database was replaced: it can be repeated.
    let said = done(&["restore", "--data", &data, file.to_str().unwrap(), "--force"]);
    assert!(said.contains("in epoch 3"), "{said}");
    assert!(done(&["check", "--data", &data]).contains("is sound: 1 records, epoch 3"));
}

#[test]
fn a_damaged_store_gives_no_backup_and_a_damaged_backup_no_store() {
    let mut server = Server::fast("stripe");
    let id = server.create("k1", "pm_card_visa");
    let place = Dir::new();
    let (good, bad) = (place.path().join("good"), place.path().join("bad"));
    let data = server.data().to_str().unwrap().to_owned();
    done(&["backup", "--data", &data, good.to_str().unwrap()]);
    let mut bytes = fs::read(&good).unwrap();
    let magic = bytes.windows(7).position(|seven| seven == b"payonce").unwrap();
    bytes[magic] ^= 1;
    put(&bad, &bytes);
    let empty = Dir::new();
    let said = refusal(&[
        "restore",
        "--data",
        empty.path().to_str().unwrap(),
        bad.to_str().unwrap(),
    ]);
    assert!(said.contains("is damaged") && said.contains(&id), "{said}");
    assert!(!empty.path().join(NAME).exists() && !empty.path().join("restore.toml").exists());
    server.kill();
    let database = rusqlite::Connection::open(server.data().join(NAME)).unwrap();
    database.execute("UPDATE records SET bytes = x'00'", []).unwrap();
    drop(database);
    let third = place.path().join("third");
    let said = refusal_with_progress(&["backup", "--data", &data, third.to_str().unwrap()]);
    assert!(said.contains("is damaged"), "{said}");
    assert!(!third.exists());
    let copied = refusal_with_progress(&[
        "restore",
        "--data",
        &data,
        server.data().join(NAME).to_str().unwrap(),
        "--force",
    ]);
    assert!(copied.contains("damaged"), "{copied}");
}

fn refusal_with_progress(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A file that is copied by hand has no time: nobody knows what it lacks.
#[test]
fn a_copied_database_is_no_backup() {
    let mut server = Server::fast("stripe");
    server.create("k1", "pm_card_visa");
    server.terminate();
    assert!(server.wait(Duration::from_secs(20)).success());
    let until = Instant::now() + Duration::from_secs(20);
    while http::connect(&server.address).is_ok() {
        assert!(Instant::now() < until);
    }
    let place = Dir::new();
    let file = place.path().join("copy");
    let from = rusqlite::Connection::open(server.data().join(NAME)).unwrap();
    from.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    put(&file, &fs::read(server.data().join(NAME)).unwrap());
    let to = place.path().join("data");
    let said = refusal_with_progress(&["restore", "--data", to.to_str().unwrap(), file.to_str().unwrap()]);
    assert!(
        said.contains("was not made by `pay-once backup`") && said.contains("--suspect-loss-since"),
        "{said}"
    );
}
