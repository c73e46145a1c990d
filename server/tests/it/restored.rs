//! A store that is twenty payments old is restored: the PSP is asked for what the store has forgotten, and nothing is captured
//! twice (`docs/operating.md`, “Restore”).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::backup::done;
use crate::http::Answer;
use crate::power::compiled;
use crate::server::{Dir, Server, command};
use crate::store::refused_start;

/// How long recovery may take in all: the sandbox declares that a request lands within 6 s and is listed within 1 s.
const LIMIT: Duration = Duration::from_secs(30);
/// Payments of each kind.
const PAYMENTS: usize = 5;

fn body(n: usize) -> Value {
    json!({"order_id": format!("order-{n}"), "amount": 2599, "currency": "GBP", "payment_method": "pm_card_visa"})
}

/// What clients know of a payment: the keys that they used. All of them are sent again after the restore.
struct Payment {
    id: String,
    asks: Vec<(String, String, Value)>,
}

impl Payment {
    fn begin(server: &Server, target: &str, key: &str, n: usize) -> Self {
        let mut payment = Self {
            id: String::new(),
            asks: Vec::new(),
        };
        let answer = payment.ask(server, target.to_owned(), key.to_owned(), body(n));
        payment.id = answer.json()["attempt_id"].as_str().unwrap().to_owned();
        payment
    }

    fn operate(&mut self, server: &Server, operation: &str) -> Answer {
        let key = format!("{operation}-{}", self.id);
        self.ask(
            server,
            format!("/attempts/{}/{operation}", self.id),
            key,
            Value::Null,
        )
    }

    fn ask(&mut self, server: &Server, target: String, key: String, body: Value) -> Answer {
        let answer = server.post_wait(&target, &key, &body);
        self.asks.push((target, key, body));
        answer
    }
}

/// Clients that retry for as long as they are told to, each request in its order.
fn retry(server: &Server, payment: &Payment) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (target, key, body) in &payment.asks {
        let until = Instant::now() + LIMIT;
        loop {
            let answer = server.post(target, key, body);
            let is_parked = answer.status == 202 && answer.json()["operation"]["state"] == "parked";
            if answer.status != 202 || is_parked {
                answers.push(answer);
                break;
            }
            assert!(Instant::now() < until, "{answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    answers
}

/// Twenty payments that the restore loses, or part of them: five charges, five manual ones, five that the backup has as CREATED, and
/// five that it has as AUTHORIZED. Returns the server in restore mode, the payments, and the store's data directory.
fn restored(class: &str) -> (Server, Vec<Payment>, Dir) {
    let mut server = Server::fast(class);
    let mut created: Vec<Payment> = (0..PAYMENTS)
        .map(|n| Payment::begin(&server, "/attempts", &format!("created-{n}"), n))
        .collect();
    let mut authorized: Vec<Payment> = (0..PAYMENTS)
        .map(|n| {
            let mut payment = Payment::begin(&server, "/attempts", &format!("authorized-{n}"), n);
            assert_eq!(payment.operate(&server, "authorize").status, 200);
            payment
        })
        .collect();
    let place = Dir::new();
    let file = place.path().join("backup.sqlite3");
    let (data, to) = (
        server.data().to_str().unwrap().to_owned(),
        file.to_str().unwrap().to_owned(),
    );
    done(&["backup", "--data", &data, &to]);
    for payment in &mut created {
        assert_eq!(payment.operate(&server, "authorize").status, 200);
        assert_eq!(payment.operate(&server, "capture").status, 200);
    }
    for payment in &mut authorized {
        assert_eq!(payment.operate(&server, "capture").status, 200);
    }
    let mut lost: Vec<Payment> = (0..PAYMENTS)
        .map(|n| {
            let mut payment = Payment::begin(&server, "/attempts", &format!("lost-{n}"), n);
            assert_eq!(payment.operate(&server, "authorize").status, 200);
            assert_eq!(payment.operate(&server, "capture").status, 200);
            payment
        })
        .collect();
    lost.extend((0..PAYMENTS).map(|n| Payment::begin(&server, "/charge", &format!("charge-{n}"), n)));
    server.kill();
    done(&["restore", "--data", &data, &to, "--force"]);
    server.restart();
    let payments = created.into_iter().chain(authorized).chain(lost).collect();
    (server, payments, place)
}

fn parked(server: &Server, id: &str) -> bool {
    server.attempt(id)["operation"]["state"] == "parked"
}

/// The bar: nothing is captured twice in any class, and what cannot be asked is parked.
fn nothing_is_captured_twice(class: &str, is_asked: bool) {
    let (server, payments, _place) = restored(class);
    for payment in &payments {
        let answers = retry(&server, payment);
        let ledger = server.ledger(&payment.id);
        let what = format!(
            "{class}: {answers:#?}\n{ledger:#}\n{:#}",
            server.attempt(&payment.id)
        );
        assert_eq!(
            (&ledger["captures"], &ledger["captured_minor"]),
            (&json!(1), &json!(2599)),
            "{what}"
        );
        assert_eq!(ledger["authorizations"], 1, "{what}");
        if is_asked {
            assert_eq!(server.attempt(&payment.id)["status"], "CAPTURED", "{what}");
            // Every answer shows the payment as it is, also that of a request whose key was lost.
            let last = answers.last().unwrap().json();
            let shown = if last["error"].is_null() {
                &last
            } else {
                &last["error"]["attempt"]
            };
            assert_eq!(shown["status"], "CAPTURED", "{what}");
        } else {
            assert!(parked(&server, &payment.id), "{what}");
            let reason = server.attempt(&payment.id)["operation"]["reason"].clone();
            assert!(
                reason.as_str().unwrap().contains("restored from a backup"),
                "{reason}"
            );
        }
    }
    assert_eq!(server.counters()["unwanted_effects"], 0);
    assert_eq!(server.counters()["foreign_objects"], 0);
}

#[test]
fn nothing_is_captured_twice_at_stripe() {
    nothing_is_captured_twice("stripe", true);
}

#[test]
fn nothing_is_captured_twice_at_stripe_whose_objects_are_made_first() {
    nothing_is_captured_twice("stripe-prepared", true);
}

#[test]
fn nothing_is_captured_twice_at_a_keyed_acquirer() {
    nothing_is_captured_twice("acquirer-keyed", true);
}

#[test]
fn nothing_is_captured_twice_at_a_queryable_acquirer() {
    nothing_is_captured_twice("acquirer-queryable", true);
}

#[test]
fn nothing_is_captured_twice_at_a_blind_acquirer() {
    nothing_is_captured_twice("acquirer-blind", false);
}

/// Operators see the mode, and end it for a PSP and an epoch. A later restore begins it again.
#[test]
fn the_mode_is_shown_and_ended() {
    let mut server = Server::fast("stripe");
    server.create("early", "pm_card_visa");
    let place = Dir::new();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let data = server.data().to_str().unwrap().to_owned();
    done(&["backup", "--data", &data, first]);
    let mode = |server: &Server| {
        let losses = server.ask_operators("/status").json()["losses"].clone();
        let text = String::from_utf8(server.ask_operators("/metrics").body).unwrap();
        let is_on = text.contains("pay_once_restore_mode{psp=\"stripe\"} 1");
        assert_eq!(is_on, losses[0]["psp"] == "stripe", "{losses}\n{text}");
        losses
    };
    assert_eq!(mode(&server), json!([]));
    server.kill();
    done(&["restore", "--data", &data, first, "--force"]);
    let unknown = refused_start(&data, &["--reconciled", "adyen:2"]);
    assert!(unknown.contains("no psp of that name"), "{unknown}");
    // Not the number of an epoch: those come again in other directories.
    let unknown = refused_start(&data, &["--reconciled", "stripe:2"]);
    assert!(unknown.contains("no restore of that time"), "{unknown}");
    server.restart();
    let shown = mode(&server);
    assert!(
        shown[0]["loss_begins_at"].as_str() < shown[0]["restored_at"].as_str(),
        "{shown}"
    );
    assert!(server.output().contains("restore mode"), "{}", server.output());
    // A payment that nobody has ever made is looked for, once absence counts, and then made.
    assert_eq!(server.post_wait("/charge", "new", &body(1)).status, 200);
    done(&["backup", "--data", &data, second]);
    server.kill();
    // The word is kept, and may be given again.
    let end_with = shown[0]["end_with"].as_str().unwrap();
    server.add_arguments(&["--reconciled", end_with]);
    for _ in 0..2 {
        server.restart();
        assert_eq!(mode(&server), json!([]));
        server.kill();
    }
    server.drop_arguments(2);
    server.restart();
    assert_eq!(mode(&server), json!([]));
    let before = server.counters()["psp_other_calls"].clone();
    assert_eq!(server.post_wait("/charge", "newer", &body(2)).status, 200);
    assert_eq!(server.counters()["psp_other_calls"], before);
    server.kill();
    // It says nothing of a later restore.
    server.add_arguments(&["--reconciled", end_with]);
    done(&["restore", "--data", &data, second, "--force"]);
    server.restart();
    let again = mode(&server);
    assert!(
        again[0]["loss_begins_at"].as_str() > shown[0]["restored_at"].as_str(),
        "{again}"
    );
    server.kill();
    // A backup that was taken in restore mode carries the loss into any other directory.
    let empty = Dir::new();
    let to = empty.path().join("data");
    done(&["restore", "--data", to.to_str().unwrap(), second]);
    // Nor in a directory that does not know of it.
    let never = Dir::new();
    let refused = refused_start(
        never.path().join("data").to_str().unwrap(),
        &["--reconciled", end_with],
    );
    assert!(refused.contains("no restore is noted"), "{refused}");
    let text = std::fs::read_to_string(to.join("restore.toml")).unwrap();
    assert!(
        text.contains("epoch = 3") && text.contains("[[earlier]]\nepoch = 2"),
        "{text}"
    );
}

/// Backup and restore run beside the server, with the machine's wall clock and without the server's history of it.
#[test]
fn a_backup_and_a_restore_by_a_wrong_clock() {
    let mut server = Server::fast("stripe");
    server.create("early", "pm_card_visa");
    let place = Dir::new();
    let wall = place.path().join("wall");
    let file = place.path().join("backup");
    let (wall, file) = (wall.to_str().unwrap(), file.to_str().unwrap());
    let data = server.data().to_str().unwrap().to_owned();
    let run_at = |off_ms: i64, arguments: &[&str]| {
        std::fs::write(wall, off_ms.to_ne_bytes()).unwrap();
        command()
            .args(arguments)
            .env("LD_PRELOAD", compiled("clock"))
            .env("CLOCK_FILE", wall)
            .output()
            .unwrap()
    };
    let hour_ms = 3_600_000;
    // A clock that is ahead: the loss begins at the newest record all the same.
    let made = run_at(hour_ms, &["backup", "--data", &data, file]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    server.kill();
    // One that is behind: the records of the backup would seem to be newer than the restore.
    let refused = run_at(-hour_ms, &["restore", "--data", &data, file, "--force"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("clock is behind"),
        "{refused:?}"
    );
    done(&["restore", "--data", &data, file, "--force"]);
    let text = std::fs::read_to_string(server.data().join("restore.toml")).unwrap();
    let note: pay_once::store::note::RestoreNote = toml::from_str(&text).unwrap();
    assert!(note.loss_begins_at_ms < note.restored_at_ms, "{note:?}");
    // What a restore replaces is kept, also if its epoch comes again because the mark is lost.
    std::fs::remove_file(server.data().join("pay-once.mark")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(5));
    done(&["restore", "--data", &data, file, "--force"]);
    let kept = |name: &str| server.data().join(name).exists();
    assert!(kept("replaced-2.sqlite3") && kept("replaced-2-2.sqlite3"));
    server.restart();
    assert_eq!(server.post_wait("/charge", "new", &body(1)).status, 200);
}
