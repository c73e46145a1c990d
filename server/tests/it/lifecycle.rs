//! Start, stop, recovery, logs: what surrounds a payment.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http;
use crate::oracle::{check, is_settled};
use crate::server::Server;

const END: Duration = Duration::from_secs(15);

#[test]
fn sigterm_lets_a_request_under_way_end() {
    let mut server = Server::start(&["--sandbox-latency-ms", "600..600"]);
    let id = server.create("k1", "pm_card_visa");
    let answer = thread::scope(|scope| {
        let waiting =
            scope.spawn(|| server.post_wait(&format!("/attempts/{id}/authorize"), "k2", &Value::Null));
        server.until(&id, END, |attempt| attempt["status"] == "AUTHORIZING");
        server.terminate();
        waiting.join().unwrap()
    });
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(server.wait(END).success());
    // Nobody is left waiting at a closed door.
    assert!(http::send(&server.address, "GET", "/healthz", &[], b"").is_err());
    // The answer was durable before it was given: no recovery, no other call.
    server.restart();
    let again = server.post(&format!("/attempts/{id}/authorize"), "k2", &Value::Null);
    assert!(again.is_replayed());
    assert_eq!(again.body, answer.body);
    check(&server.attempt(&id), &server.ledger(&id));
    assert_eq!(server.counters()["psp_money_calls"], 0);
}

#[test]
fn no_new_connections_while_it_stops() {
    let mut server = Server::start(&["--sandbox-latency-ms", "1500..1500"]);
    let id = server.create("k1", "pm_card_visa");
    thread::scope(|scope| {
        let waiting =
            scope.spawn(|| server.post_wait(&format!("/attempts/{id}/authorize"), "k2", &Value::Null));
        server.until(&id, END, |attempt| attempt["status"] == "AUTHORIZING");
        server.terminate();
        // Refused at once, so that a load balancer goes elsewhere; not left in a queue until the end.
        let until = Instant::now() + Duration::from_millis(1_000);
        while http::connect(&server.address).is_ok() {
            assert!(Instant::now() < until, "connections are still taken");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(waiting.join().unwrap().status, 200);
    });
    assert!(server.wait(END).success());
}

#[test]
fn a_client_that_hangs_up_does_not_stop_the_payment() {
    let server = Server::start(&["--sandbox-latency-ms", "200..200"]);
    let body = r#"{"amount": 500, "currency": "GBP", "payment_method": "pm_card_visa"}"#;
    let mut stream = http::connect(&server.address).unwrap();
    write!(
        stream,
        "POST /charge HTTP/1.1\r\nHost: x\r\nIdempotency-Key: c1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let until = Instant::now() + END;
    // It hangs up once its request was taken: one that is gone before that was never here.
    while server.counters()["durable_writes"] == 0 {
        assert!(Instant::now() < until, "the request was never taken");
        thread::sleep(Duration::from_millis(1));
    }
    drop(stream);
    let id = loop {
        let ledger = http::send(&server.sandbox, "GET", "/ledger", &[], b"")
            .unwrap()
            .json();
        if let Some(id) = ledger.as_object().unwrap().keys().next() {
            break id.clone();
        }
        assert!(Instant::now() < until, "the payment never reached the PSP");
        thread::sleep(Duration::from_millis(20));
    };
    let attempt = server.until(&id, END, is_settled);
    assert_eq!(attempt["status"], "CAPTURED");
    // The retry gets what the first would have got.
    let again = server.post("/charge", "c1", &serde_json::from_str(body).unwrap());
    assert_eq!((again.status, again.is_replayed()), (200, true));
    check(&attempt, &server.ledger(&id));
}

#[test]
fn a_start_recovers_what_was_left_in_doubt() {
    let mut server = Server::fast("stripe");
    server.turn(&json!({"webhooks_enabled": false}));
    // The effect happens, the answer never comes, and then the process is gone.
    let id = server.create("k1", "pm_sandbox_hang_after");
    let early = server.post(&format!("/attempts/{id}/authorize"), "k2", &Value::Null);
    assert_eq!(early.status, 202);
    assert_eq!(server.ledger(&id)["authorizations"], 1);
    server.kill();
    server.restart();
    // Nobody asks for it: the timer that the store kept does.
    let attempt = server.until(&id, END, is_settled);
    assert_eq!(attempt["status"], "AUTHORIZED");
    let ledger = server.ledger(&id);
    check(&attempt, &ledger);
    assert_eq!(ledger["authorizations"], 1);
}

#[test]
fn log_lines_are_json_and_name_the_attempt() {
    let mut server = Server::fast("stripe");
    let id = server.create("k1", "pm_card_visa");
    server.post_wait(&format!("/attempts/{id}/authorize"), "k2", &Value::Null);
    server.terminate();
    assert!(server.wait(END).success());
    let output = server.output();
    let lines: Vec<Value> = output
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let story: Vec<&Value> = lines
        .iter()
        .filter(|line| line["attempt"] == id.as_str())
        .collect();
    let timeline = [
        "attempt created",
        "authorize requested",
        "authorize sent to the PSP",
    ];
    for event in timeline {
        assert!(
            story.iter().any(|line| line["events"]
                .as_str()
                .is_some_and(|events| events.contains(event))),
            "{event}: {output}"
        );
    }
    assert!(
        lines
            .iter()
            .all(|line| line["level"].is_string() && line["timestamp"].is_string())
    );
}

/// Two merchants, their keys, the PSP's key and the webhook secret: none of it is written anywhere.
#[test]
fn no_secret_is_written_anywhere() {
    const PSP_KEY: &str = "sk_live_thisisthepspkey";
    const WEBHOOK_SECRET: &str = "whsec_thisisthewebhooksecret";
    const MERCHANT_KEY: &str = "merchant-api-key-of-the-shop";
    let dir = crate::server::Dir::new();
    let config = dir.path().join("pay-once.toml");
    let digest: String = pay_once_core::key_digest(MERCHANT_KEY)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    std::fs::write(
        &config,
        format!(
            r#"
            [merchants.shop]
            psp = "cardnet"
            api_key_sha256 = ["{digest}"]
            [merchants.other]
            psp = "cardnet"
            [psps.cardnet]
            face = "acquirer"
            base_url = "http://127.0.0.1:9"
            api_key_env = "IT_PSP_KEY"
            webhook_secret_env = "IT_WEBHOOK_SECRET"
            lookup_lag_ms = 100
            [psps.cardnet.timing]
            call_timeout_ms = 300
            "#
        ),
    )
    .unwrap();
    let mut server = Server::start_with(
        &["--config", config.to_str().unwrap()],
        &[("IT_PSP_KEY", PSP_KEY), ("IT_WEBHOOK_SECRET", WEBHOOK_SECRET)],
    );
    let bearer = format!("Bearer {MERCHANT_KEY}");
    let body = json!({"amount": 500, "currency": "GBP", "payment_method": "tok_1"});
    let charge = |authorization: &str| {
        let headers = [("Idempotency-Key", "c1"), ("Authorization", authorization)];
        server.post_with("/charge", &headers, &body)
    };
    let unknown = charge("Bearer not-a-key-of-anybody");
    assert_eq!((unknown.status, unknown.code().as_str()), (401, "UNAUTHORIZED"));
    assert_eq!(unknown.header("WWW-Authenticate"), Some("Bearer"));
    // Nobody listens at the PSP's address: not sent, tried again, so still under way.
    let charged = charge(&bearer);
    assert_eq!(charged.status, 202, "{charged:?}");
    let forged = server.post_with("/webhooks/cardnet", &[("Acquirer-Signature", "t=1,v1=00")], &body);
    assert_eq!(forged.code(), "WEBHOOK_SIGNATURE_INVALID");
    server.terminate();
    assert!(server.wait(END).success());
    let mut places = vec![("output".to_owned(), server.output().into_bytes())];
    for entry in std::fs::read_dir(server.data()).unwrap() {
        let path = entry.unwrap().path();
        places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    assert!(
        places
            .iter()
            .any(|(name, bytes)| name.contains("sqlite3") && !bytes.is_empty())
    );
    for (place, bytes) in places {
        for secret in [PSP_KEY, WEBHOOK_SECRET, MERCHANT_KEY, "not-a-key-of-anybody"] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {place}");
        }
    }
}
