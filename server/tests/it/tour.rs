//! The contract's first examples over the wire, to the letter (`docs/http.md`, “First examples”).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http;
use crate::oracle::{check, is_settled};
use crate::server::Server;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_seeds_examples() {
    let server = Server::fast("stripe");
    let body = json!({"order_id": "ord_123", "amount": 2599, "currency": "GBP"});
    let first = server.post("/attempts", "k1", &body);
    assert_eq!(first.status_line, "HTTP/1.1 201 Created");
    assert_eq!(first.header("Content-Type"), Some("application/json"));
    assert_eq!(first.header("Idempotency-Key"), Some("k1"));
    assert_eq!(first.header("Idempotency-Replayed"), None);
    let attempt = first.json();
    let id = attempt["attempt_id"].as_str().unwrap();
    assert!(id.starts_with("pa_") && id.len() == 29, "{id}");
    assert_eq!(first.header("Location"), Some(format!("/attempts/{id}").as_str()));
    for (name, value) in [
        ("order_id", json!("ord_123")),
        ("amount", json!(2599)),
        ("currency", json!("GBP")),
        ("status", json!("CREATED")),
        ("capture_method", json!("manual")),
    ] {
        assert_eq!(attempt[name], value, "{name}");
    }
    let created_at = attempt["created_at"].as_str().unwrap();
    assert!(
        created_at.len() == 20 && created_at.ends_with('Z'),
        "{created_at}"
    );

    let again = server.post("/attempts", "k1", &body);
    assert_eq!(again.status_line, "HTTP/1.1 200 OK");
    assert!(again.is_replayed());
    assert_eq!(again.header("Idempotency-Key"), Some("k1"));
    assert_eq!(again.body, first.body, "byte for byte");

    let other = json!({"order_id": "ord_123", "amount": 2600, "currency": "GBP"});
    let reuse = server.post("/attempts", "k1", &other);
    assert_eq!(reuse.status_line, "HTTP/1.1 409 Conflict");
    assert_eq!(reuse.json()["error"]["code"], "IDEMPOTENCY_KEY_REUSE");
    assert_eq!(
        reuse.json()["error"]["message"],
        "Idempotency-Key was reused with a different request body."
    );

    let authorized = server.post_wait(&format!("/attempts/{id}/authorize"), "k2", &Value::Null);
    assert_eq!(authorized.status_line, "HTTP/1.1 200 OK");
    assert_eq!(authorized.header("Idempotency-Key"), Some("k2"));
    assert_eq!(authorized.header("Preference-Applied"), Some("wait=30"));
    let attempt = authorized.json();
    assert_eq!(attempt["status"], "AUTHORIZED");
    let authorization = &attempt["authorization"];
    assert_eq!(
        keys(authorization),
        ["authorization_id", "authorized_at", "psp", "psp_reference"]
    );
    assert!(
        authorization["authorization_id"]
            .as_str()
            .unwrap()
            .starts_with("auth_")
    );
    assert_eq!(authorization["psp"], "stripe");
    assert!(
        authorization["psp_reference"]
            .as_str()
            .unwrap()
            .starts_with("pi_")
    );

    let captured = server.post_wait(&format!("/attempts/{id}/capture"), "k3", &Value::Null);
    assert_eq!(captured.status_line, "HTTP/1.1 200 OK");
    let attempt = captured.json();
    assert_eq!(attempt["status"], "CAPTURED");
    assert_eq!(&attempt["authorization"], authorization);
    assert!(
        attempt["capture"]["capture_id"]
            .as_str()
            .unwrap()
            .starts_with("cap_")
    );
    assert!(attempt["capture"]["captured_at"].is_string());

    // Every retry gets what the first got, whatever happened since.
    for (target, key, first) in [("authorize", "k2", &authorized), ("capture", "k3", &captured)] {
        let again = server.post(&format!("/attempts/{id}/{target}"), key, &Value::Null);
        assert_eq!((again.status, again.is_replayed()), (200, true));
        assert_eq!(again.body, first.body, "{target}");
    }

    let story = server.attempt(id);
    check(&story, &server.ledger(id));
    let timeline = story["timeline"].as_array().unwrap();
    assert!(timeline.len() >= 6, "{story:#}");
}

#[test]
fn the_bare_curl_of_the_seed() {
    let server = Server::fast("stripe");
    // curl -d without -H says it is a form; the authorize and capture of the first examples have no body at all.
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let body = br#"{"order_id": "ord_1", "amount": 100, "currency": "JPY"}"#;
    let headers = [("Idempotency-Key", "k1"), form, ("Accept", "*/*")];
    let created = http::send(&server.address, "POST", "/attempts", &headers, body).unwrap();
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.json()["attempt_id"].as_str().unwrap().to_owned();
    for (operation, key) in [("authorize", "k2"), ("capture", "k3")] {
        // `curl -X POST` without -d sends no Content-Length.
        let request = format!(
            "POST /attempts/{id}/{operation} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIdempotency-Key: {key}\r\nPrefer: wait=5\r\n\r\n"
        );
        let answer = http::exchange(&server.address, request.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    check(&server.attempt(&id), &server.ledger(&id));
}

#[test]
fn a_slow_psp_makes_it_202_and_the_retry_gets_the_news() {
    let server = Server::start(&["--sandbox-latency-ms", "400..800"]);
    let id = server.create("k1", "pm_card_visa");
    let target = format!("/attempts/{id}/authorize");
    let began = Instant::now();
    let early = server.post(&target, "k2", &Value::Null);
    assert!(
        began.elapsed() < Duration::from_millis(390),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(early.status_line, "HTTP/1.1 202 Accepted");
    assert_eq!(early.header("Retry-After"), Some("1"));
    assert_eq!(early.header("Location"), Some(format!("/attempts/{id}").as_str()));
    assert_eq!(early.header("Idempotency-Key"), Some("k2"));
    let attempt = early.json();
    assert_eq!(attempt["status"], "AUTHORIZING");
    assert_eq!(attempt["operation"]["name"], "authorize");
    assert_eq!(attempt["operation"]["state"], "in_flight");

    server.until(&id, Duration::from_secs(5), is_settled);
    let late = server.post(&target, "k2", &Value::Null);
    assert_eq!(
        (late.status, late.json()["status"].as_str()),
        (200, Some("AUTHORIZED"))
    );

    // Whoever prefers to wait is not sent away, and is told so.
    let capture = server.post_with(
        &format!("/attempts/{id}/capture"),
        &[("Idempotency-Key", "k3"), ("Prefer", "respond-async, wait=10")],
        &json!({"amount": 99}),
    );
    assert_eq!(capture.status, 200, "{capture:?}");
    assert_eq!(capture.header("Preference-Applied"), Some("wait=10"));
    assert_eq!(capture.json()["capture"]["amount"], 99);
    check(&server.attempt(&id), &server.ledger(&id));
}

#[test]
fn the_second_seeds_one_call_and_a_decline() {
    let server = Server::fast("acquirer-keyed");
    let body = json!({"amount": 1200, "currency": "EUR", "payment_method": "pm_card_visa"});
    let charged = server.post_wait("/charge", "order-77", &body);
    assert_eq!(charged.status, 200, "{charged:?}");
    assert_eq!(charged.json()["charge_state"], "succeeded");
    let id = charged.json()["attempt_id"].as_str().unwrap().to_owned();
    check(&server.attempt(&id), &server.ledger(&id));

    let body = json!({"amount": 1200, "currency": "EUR", "payment_method": "pm_card_chargeDeclined"});
    let declined = server.post_wait("/charge", "order-78", &body);
    assert_eq!(declined.status_line, "HTTP/1.1 402 Payment Required");
    let error = &declined.json()["error"];
    assert_eq!(error["code"], "DECLINED");
    assert_eq!(error["decline_code"], "generic_decline");
    assert_eq!(error["attempt"]["charge_state"], "failed");
    let again = server.post("/charge", "order-78", &body);
    assert_eq!((again.status, again.is_replayed()), (402, true));
    assert_eq!(again.body, declined.body);
}
