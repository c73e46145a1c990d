//! Parallel duplicates: one effect, one answer (`docs/http.md`, “Parallel duplicates”).

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Answer;
use crate::oracle::{check, is_settled};
use crate::server::Server;

const CLIENTS: usize = 50;

/// All at once, each under the key that `key` gives it.
fn storm(server: &Server, target: &str, key: impl Fn(usize) -> String, body: &Value) -> Vec<Answer> {
    let barrier = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (key, barrier) = (key(client), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    server.post(target, &key, body)
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// Every answer is the final one, or a 202 after which the same key gets it.
fn converge(server: &Server, target: &str, key: &str, body: &Value, answers: &[Answer], status: u16) {
    let until = Instant::now() + Duration::from_secs(10);
    let last = loop {
        let answer = server.post(target, key, body);
        if answer.status != 202 {
            break answer;
        }
        assert!(Instant::now() < until, "{answer:?}");
    };
    assert!(last.is_replayed());
    for answer in answers {
        match answer.status {
            202 => assert_eq!(answer.header("Retry-After"), Some("1")),
            other => {
                assert!(other == status || other == last.status, "{answer:?}");
                assert_eq!(answer.body, last.body);
            }
        }
    }
    assert!(
        answers
            .iter()
            .filter(|a| a.status != 202 && !a.is_replayed())
            .count()
            <= 1,
        "at most one was the first"
    );
}

fn server() -> Server {
    Server::start(&["--sandbox-latency-ms", "20..80"])
}

#[test]
fn one_key_each_for_create_authorize_and_capture() {
    let server = server();
    let body = json!({"order_id": "o", "amount": 2599, "currency": "GBP", "payment_method": "pm_card_visa"});
    let created = storm(&server, "/attempts", |_| "create".to_owned(), &body);
    assert_eq!(created.iter().filter(|a| a.status == 201).count(), 1);
    converge(&server, "/attempts", "create", &body, &created, 201);
    let id = created[0].json()["attempt_id"].as_str().unwrap().to_owned();
    for operation in ["authorize", "capture"] {
        let target = format!("/attempts/{id}/{operation}");
        let answers = storm(&server, &target, |_| operation.to_owned(), &Value::Null);
        converge(&server, &target, operation, &Value::Null, &answers, 200);
    }
    let (attempt, ledger) = (server.attempt(&id), server.ledger(&id));
    check(&attempt, &ledger);
    assert_eq!(attempt["status"], "CAPTURED");
    assert_eq!(ledger["authorizations"], 1);
    assert_eq!(server.counters()["psp_money_calls"], 2, "and no call twice");
    assert_eq!(server.counters()["durable_writes"], 5);
}

#[test]
fn one_key_for_fifty_charges() {
    let server = server();
    let body = json!({"amount": 2599, "currency": "GBP", "payment_method": "pm_card_visa"});
    let answers = storm(&server, "/charge", |_| "charge".to_owned(), &body);
    converge(&server, "/charge", "charge", &body, &answers, 200);
    let id = answers[0].json()["attempt_id"].as_str().unwrap().to_owned();
    let ledger = server.ledger(&id);
    check(&server.attempt(&id), &ledger);
    assert_eq!(ledger["authorizations"], 1);
    assert_eq!(server.counters()["psp_money_calls"], 1);
}

#[test]
fn fifty_keys_for_one_effect() {
    let server = server();
    let id = server.create("create", "pm_card_visa");
    for operation in ["authorize", "capture"] {
        let target = format!("/attempts/{id}/{operation}");
        let answers = storm(
            &server,
            &target,
            |client| format!("{operation}-{client}"),
            &Value::Null,
        );
        let (winners, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status < 300);
        assert_eq!(winners.len(), 1, "{answers:#?}");
        for other in others {
            assert_eq!((other.status, other.code().as_str()), (409, "INVALID_STATE"));
            assert_eq!(other.json()["error"]["attempt"]["attempt_id"], id.as_str());
            assert_eq!(other.json()["error"]["safe_new_key"], false);
        }
        server.until(&id, Duration::from_secs(5), is_settled);
    }
    let ledger = server.ledger(&id);
    check(&server.attempt(&id), &ledger);
    assert_eq!(
        (&ledger["authorizations"], &ledger["captures"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn capture_and_void_race_and_one_of_them_wins() {
    let server = server();
    for round in 0..10 {
        let id = server.create(&format!("create-{round}"), "pm_card_visa");
        server.post_wait(&format!("/attempts/{id}/authorize"), "a", &Value::Null);
        let answers: Vec<Answer> = thread::scope(|scope| {
            let clients: Vec<_> = ["capture", "void"]
                .into_iter()
                .map(|operation| {
                    let (server, id) = (&server, &id);
                    scope.spawn(move || {
                        server.post_wait(&format!("/attempts/{id}/{operation}"), operation, &Value::Null)
                    })
                })
                .collect();
            clients.into_iter().map(|c| c.join().unwrap()).collect()
        });
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{answers:#?}");
        check(&server.attempt(&id), &server.ledger(&id));
    }
}
