//! Acknowledged payments that a data directory has lost: the start refuses, and says what to do, instead of serving what is
//! left.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::image::put;
use crate::server::Server;
use crate::store::refused_start;

const NAME: &str = "pay-once.sqlite3";
const LOG: &str = "pay-once.sqlite3-wal";

/// A killed server with some records in the database file and five more in the log.
fn killed() -> Server {
    let mut server = Server::fast("stripe");
    for n in 0..5 {
        server.create(&format!("early-{n}"), "pm_card_visa");
    }
    let beside = Connection::open(server.data().join(NAME)).unwrap();
    let pages: i64 = beside
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2))
        .unwrap();
    assert!(pages > 0);
    // The last one to close a database empties its log: that must not be this one.
    drop(beside);
    for n in 0..5 {
        server.create(&format!("late-{n}"), "pm_card_visa");
    }
    server.kill();
    server
}

fn refused(server: &Server, expected: &str) {
    let data = server.data().to_str().unwrap();
    let said = refused_start(data, &[]);
    for expected in [expected, "pay-once restore FILE", "--suspect-loss-since TIME"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_log_that_is_deleted_after_a_kill() {
    let server = killed();
    fs::remove_file(server.data().join(LOG)).unwrap();
    refused(&server, "at least 5 are lost");
}

#[test]
fn a_log_that_is_deleted_before_anything_was_copied_from_it() {
    let mut server = Server::fast("stripe");
    server.create("k1", "pm_card_visa");
    server.kill();
    fs::remove_file(server.data().join(LOG)).unwrap();
    refused(&server, "commits were acknowledged");
}

#[test]
fn a_log_that_ends_at_a_flipped_byte() {
    let server = killed();
    let path = server.data().join(LOG);
    let mut log = fs::read(&path).unwrap();
    // SQLite reads a log up to the first frame whose sum is wrong: a header of 32 bytes, then 24 bytes before each page.
    let at = 32 + 24 + 100;
    log[at] ^= 1;
    put(&path, &log);
    refused(&server, "are lost");
}

#[test]
fn a_database_that_is_deleted_or_emptied() {
    let server = killed();
    for name in [NAME, LOG] {
        fs::remove_file(server.data().join(name)).unwrap();
    }
    refused(&server, "the database is empty or of an older build");
}

#[test]
fn an_older_database_that_is_put_in_place_by_hand() {
    let mut server = killed();
    let old: Vec<Vec<u8>> = [NAME, LOG]
        .map(|name| fs::read(server.data().join(name)).unwrap())
        .into();
    server.restart();
    server.create("later", "pm_card_visa");
    server.kill();
    for (name, bytes) in [NAME, LOG].iter().zip(&old) {
        put(&server.data().join(name), bytes);
    }
    refused(&server, "at least 1 are lost");
}

#[test]
fn a_database_of_another_store() {
    let (server, other) = (killed(), killed());
    for name in [NAME, LOG] {
        put(
            &server.data().join(name),
            &fs::read(other.data().join(name)).unwrap(),
        );
    }
    refused(&server, "the database is of another store");
}

#[test]
fn a_mark_that_is_missing_or_damaged() {
    let server = killed();
    let path = server.data().join("pay-once.mark");
    let mark = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    refused(&server, "pay-once.mark is missing");
    // One copy is enough.
    let mut damaged = mark.clone();
    damaged[60] ^= 1;
    damaged[512 + 60] ^= 1;
    put(&path, &damaged);
    refused(&server, "neither of its two copies is whole");
}

#[test]
fn a_start_after_a_suspected_loss() {
    let mut server = killed();
    fs::remove_file(server.data().join(LOG)).unwrap();
    let note = |server: &Server| -> Value {
        let text = fs::read_to_string(server.data().join("restore.toml")).unwrap();
        let note: pay_once::store::note::RestoreNote = toml::from_str(&text).unwrap();
        serde_json::to_value(note).unwrap()
    };
    server.add_arguments(&["--suspect-loss-since", "2026-11-29T10:00:00Z"]);
    server.restart();
    let noted = note(&server);
    assert_eq!(noted["loss_begins_at_ms"], 1_795_946_400_000_u64);
    assert!(noted["restored_at_ms"].as_u64() > noted["loss_begins_at_ms"].as_u64());
    assert_eq!(noted["epoch"], 2);
    server.create("k9", "pm_card_visa");
    server.kill();
    // The argument may stay where it is: it says nothing new.
    server.restart();
    assert_eq!(note(&server), noted);
    server.kill();
    server.drop_arguments(2);
    server.restart();
    server.create("k10", "pm_card_visa");
    server.kill();
    // It was for one loss: another one is refused, whether the argument stays or names a time that has not come.
    fs::remove_file(server.data().join(LOG)).unwrap();
    let data = server.data().to_str().unwrap();
    let stale = refused_start(data, &["--suspect-loss-since", "2026-11-29T10:00:00Z"]);
    assert!(stale.contains("an earlier loss"), "{stale}");
    let early = refused_start(data, &["--suspect-loss-since", "2999-01-01T00:00:00Z"]);
    assert!(early.contains("later than now"), "{early}");
    assert_eq!(note(&server), noted, "nothing is noted");
}
