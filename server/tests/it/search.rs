//! What a search finds in the embedded store: the same as in all records, after crashes and after an upgrade as well.

use std::process::Command;

use pay_once_core::{AttemptId, Record};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::crash::{crashes, kill};
use crate::http;
use crate::random::Random;
use crate::server::{OPERATOR, Server, command};

const STATES: [&str; 10] = [
    "parked",
    "in_doubt",
    "unsent",
    "requires_action",
    "created",
    "authorized",
    "captured",
    "declined",
    "voided",
    "expired",
];

/// All attempts of a search, in order, by an operator, in pages of `limit`.
pub(crate) fn found(server: &Server, what: &str, limit: usize) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let target = format!("/attempts?{what}&limit={limit}{after}");
        let answer = http::send(&server.address, "GET", &target, &[OPERATOR], b"").unwrap();
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        let page = answer.json();
        for attempt in page["attempts"].as_array().unwrap() {
            ids.push(attempt["attempt_id"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return ids,
        }
    }
}

fn database(server: &Server) -> Connection {
    Connection::open(server.data().join("pay-once.sqlite3")).unwrap()
}

/// What a fold of all records says of a state: the attempts by merchant, age and id.
fn folded(server: &Server, state: &str) -> Vec<String> {
    let database = database(server);
    let mut statement = database.prepare("SELECT id, bytes FROM records").unwrap();
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Vec<u8>>(1)?))
    });
    let mut places = Vec::new();
    for row in rows.unwrap() {
        let (id, bytes) = row.unwrap();
        let id = AttemptId::from_bytes(id);
        let entry = Record::decode(id, &bytes).unwrap().index_entry();
        if entry.state.as_str() == state {
            places.push((entry.merchant, entry.since_ms, id));
        }
    }
    places.sort();
    places.iter().map(|(.., id)| id.to_string()).collect()
}

/// Nothing is to be mended.
fn checked(server: &Server) -> String {
    let said = command()
        .arg("check")
        .arg("--data")
        .arg(server.data())
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn after_crashes_a_search_finds_what_a_fold_of_all_records_says() {
    let dials = [
        "--sandbox-psp",
        "acquirer-queryable",
        "--sandbox-latency-ms",
        "0..40",
    ];
    let mut server = Server::start(&dials);
    let psp = server.sandbox.clone();
    server.turn(&json!({"hang_after_permille": 60, "error_after_permille": 60, "error_before_permille": 60}));
    let calm = || {
        let calm = json!({"hang_after_permille": 0, "error_after_permille": 0, "error_before_permille": 0});
        let answer = http::send(&psp, "PUT", "/dials", &[], calm.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200);
    };
    crashes(&mut server, &psp, Random::seed(), 3, kill, calm);
    let mut seen = 0;
    for state in STATES {
        let folded = folded(&server, state);
        for limit in [3, 100] {
            assert_eq!(
                found(&server, &format!("state={state}"), limit),
                folded,
                "{state}"
            );
        }
        seen += folded.len();
    }
    assert!(seen > 20, "{seen} attempts");
    assert!(!checked(&server).contains("reindex"));
}

/// As a build before the search left it.
fn make_old(server: &Server) {
    let old = "
        DROP INDEX records_by_state; DROP INDEX records_by_order; DROP INDEX records_not_indexed;
        ALTER TABLE records DROP COLUMN merchant; ALTER TABLE records DROP COLUMN order_id;
        ALTER TABLE records DROP COLUMN state; ALTER TABLE records DROP COLUMN since_ms;
        ALTER TABLE records DROP COLUMN indexed_version;
        PRAGMA user_version = 1;
    ";
    database(server).execute_batch(old).unwrap();
}

#[test]
fn a_start_indexes_what_an_older_build_has_written() {
    let mut server = Server::fast("stripe");
    let ids: Vec<String> = (0..30)
        .map(|n| server.create(&format!("k{n}"), "pm_card_visa"))
        .collect();
    server.kill();
    make_old(&server);
    let said = command()
        .arg("check")
        .arg("--data")
        .arg(server.data())
        .output()
        .unwrap();
    assert!(
        said.status.success(),
        "a backup of an older build can be checked: {said:?}"
    );
    server.restart();
    let mut known = found(&server, "state=created", 7);
    known.sort();
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(known, expected);
    assert_eq!(found(&server, "order_id=k7", 1), [ids[7].clone()]);
    let paid = server.post_wait(&format!("/attempts/{}/authorize", ids[7]), "a", &Value::Null);
    assert_eq!(paid.status, 200, "{paid:?}");
    assert_eq!(found(&server, "state=authorized", 1), [ids[7].clone()]);
}

#[test]
fn a_wrong_entry_is_told_by_check_and_mended_by_reindex() {
    let mut server = Server::fast("stripe");
    let id = server.create("k1", "pm_card_visa");
    server.create("k2", "pm_card_visa");
    let reindex = |server: &Server| -> std::process::Output {
        let mut command: Command = command();
        command
            .arg("reindex")
            .arg("--data")
            .arg(server.data())
            .output()
            .unwrap()
    };
    let refused = reindex(&server);
    assert!(!refused.status.success(), "a server is running: {refused:?}");
    server.kill();
    let wrong = "UPDATE records SET state = 'captured' WHERE order_id = ?1";
    assert_eq!(database(&server).execute(wrong, params!["k1"]).unwrap(), 1);
    let told = checked(&server);
    assert!(
        told.contains("does not find 1 of them") && told.contains("pay-once reindex"),
        "{told}"
    );
    let said = reindex(&server);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("2 records; the search entries of 1 were"), "{said}");
    assert!(!checked(&server).contains("reindex"));
    server.restart();
    assert!(found(&server, "state=captured", 10).is_empty());
    assert!(found(&server, "state=created", 10).contains(&id));
}

#[test]
fn an_entry_of_another_state_than_its_record_is_not_shown() {
    let server = Server::fast("stripe");
    server.create("k1", "pm_card_visa");
    let wrong = "UPDATE records SET state = 'captured'";
    database(&server).execute(wrong, []).unwrap();
    assert!(found(&server, "state=captured", 10).is_empty());
}
