//! Every misbehaviour of the sandbox against every class: the attempt ends as the ledger says, with one effect at most
//! (`docs/promise.md`, `docs/psp.md`). One server a class, all tokens at the same time.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http;
use crate::oracle::{agree, is_settled, status};
use crate::server::Server;

/// What a client does with the attempt once it is authorized.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Capture,
    Void,
}

/// Tokens whose payment succeeds in the end.
const CAPTURED: [&str; 18] = [
    "pm_card_visa",
    "pm_sandbox_slow",
    "pm_sandbox_hang_before",
    "pm_sandbox_hang_after",
    "pm_sandbox_500_before",
    "pm_sandbox_500_after",
    "pm_sandbox_500_cached",
    "pm_sandbox_429",
    "pm_sandbox_garbage",
    "pm_sandbox_truncated",
    "pm_sandbox_late",
    "pm_sandbox_webhook_first",
    "pm_sandbox_webhook_duplicate",
    "pm_sandbox_webhook_only",
    "pm_sandbox_capture_hang_after",
    "pm_sandbox_capture_hang_before",
    "pm_sandbox_capture_500_after",
    "pm_sandbox_capture_500_cached",
];
/// Long enough for every wait of the quick start's constants, twice.
const LIMIT: Duration = Duration::from_secs(45);

fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = CAPTURED
        .iter()
        .map(|token| (*token, Then::Capture, "CAPTURED"))
        .collect();
    cases.extend([
        ("pm_sandbox_key_forgotten", Then::Capture, "CAPTURED"),
        ("pm_sandbox_void_hang_after", Then::Void, "VOIDED"),
        ("pm_sandbox_hang_after", Then::Void, "VOIDED"),
        ("pm_card_chargeDeclined", Then::Capture, "DECLINED"),
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            Then::Capture,
            "DECLINED",
        ),
        ("pm_sandbox_capture_declined", Then::Capture, "DECLINED"),
        ("pm_sandbox_expires_soon", Then::Capture, "CAPTURED"),
    ]);
    cases
}

fn run_class(class: &str) {
    let server = &Server::start(&["--sandbox-psp", class, "--sandbox-latency-ms", "5..40"]);
    let is_blind = class == "acquirer-blind";
    // First what is about webhooks; then without any, lest they end what recovery should.
    // A PSP that caches an error under the key, and offers nothing but the key, tells no other way; and of a capture
    // without effect it tells nothing at all.
    let (webhooks, others): (Vec<_>, Vec<_>) = cases()
        .into_iter()
        .filter(|(token, ..)| !(class == "acquirer-keyed" && *token == "pm_sandbox_capture_500_cached"))
        .partition(|(token, ..)| {
            token.contains("webhook") || (class == "acquirer-keyed" && *token == "pm_sandbox_500_cached")
        });
    run_cases(server, class, "webhooks", webhooks, is_blind);
    server.turn(&json!({"webhook_lost_permille": 1000}));
    run_cases(server, class, "others", others, is_blind);
}

type Case = (&'static str, Then, &'static str);

fn run_cases(server: &Server, class: &str, name: &str, cases: Vec<Case>, is_blind: bool) {
    let failures: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = cases
            .into_iter()
            .enumerate()
            .map(|(number, (token, then, end))| {
                scope.spawn(move || {
                    run_case(server, &format!("{name}-{number}"), token, then, end, is_blind)
                        .map_err(|why| format!("{class}, {token}, {then:?}: {why}"))
                })
            })
            .collect();
        clients
            .into_iter()
            .filter_map(|client| client.join().unwrap().err())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn run_case(
    server: &Server,
    key: &str,
    token: &str,
    then: Then,
    end: &str,
    is_blind: bool,
) -> Result<(), String> {
    let id = server.create(key, token);
    let last = match then {
        Then::Capture => "capture",
        Then::Void => "void",
    };
    finish(server, &id, "authorize", is_blind)?;
    let mut attempt = server.attempt(&id);
    if status(&attempt) == "AUTHORIZED" {
        finish(server, &id, last, is_blind)?;
        attempt = server.attempt(&id);
    }
    let ledger = server.ledger(&id);
    let story = || format!("\nattempt: {attempt:#}\nledger: {ledger:#}");
    agree(&attempt, &ledger).map_err(|why| why + &story())?;
    if !is_blind && status(&attempt) != end {
        return Err(format!("should have ended {end}{}", story()));
    }
    // Only what a capture leaves reserved that was declined, or that an operator says did not happen, is undone.
    let undone = attempt["timeline"].to_string().contains("must not stand");
    let told_by_an_operator = ["pm_sandbox_capture_hang_before", "pm_sandbox_capture_500_cached"];
    let no_capture =
        token == "pm_sandbox_capture_declined" || (is_blind && told_by_an_operator.contains(&token));
    if undone != no_capture {
        return Err(format!("undone: {undone}{}", story()));
    }
    if ledger["authorizations"].as_u64() > Some(1) {
        return Err(format!("authorized more than once{}", story()));
    }
    Ok(())
}

/// Asks with one key until the answer is final; what is parked is resolved by what the ledger says.
fn finish(server: &Server, id: &str, operation: &str, is_blind: bool) -> Result<(), String> {
    let until = Instant::now() + LIMIT;
    let target = format!("/attempts/{id}/{operation}");
    loop {
        let answer = server.post_with(
            &target,
            &[("Idempotency-Key", operation), ("Prefer", "wait=1")],
            &Value::Null,
        );
        if answer.status != 202 {
            let attempt = server.until(id, LIMIT, is_settled);
            return match (answer.status, status(&attempt)) {
                (200 | 402 | 409, _) => Ok(()),
                (other, now) => Err(format!("{operation} answered {other} while {now}")),
            };
        }
        let attempt = server.attempt(id);
        if attempt["operation"]["state"] == "parked" {
            if !is_blind {
                return Err(format!("parked: {attempt:#}"));
            }
            resolve(server, id, operation)?;
        }
        if Instant::now() > until {
            return Err(format!("no end: {attempt:#}\nledger: {:#}", server.ledger(id)));
        }
    }
}

/// An operator looks into the PSP's books, once nothing can be on its way any more, and says what they show.
fn resolve(server: &Server, id: &str, operation: &str) -> Result<(), String> {
    thread::sleep(Duration::from_secs(5));
    let ledger = server.ledger(id);
    let event = ledger["events"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|event| event["operation"] == operation && event["declined"].is_null());
    let parked = &server.attempt(id)["operation"];
    let mut body = json!({
        "operator": "ada", "reason": "the PSP's books",
        "operation": parked["name"], "generation": parked["generation"],
        "outcome": if event.is_some() { "happened" } else { "did_not_happen" },
    });
    if let (Some(event), "authorize") = (event, operation) {
        body["psp_reference"] = event["id"].clone();
    }
    let answer = server.post(
        &format!("/attempts/{id}/resolve"),
        &format!("resolve-{operation}"),
        &body,
    );
    match (answer.status, answer.code().as_str()) {
        (200, _) => Ok(()),
        // A webhook was faster than the operator.
        (409, "INVALID_STATE") => Ok(()),
        _ => Err(format!("resolve: {answer:?}")),
    }
}

#[test]
fn stripe_with_every_token() {
    run_class("stripe");
}

#[test]
fn stripe_prepared_with_every_token() {
    run_class("stripe-prepared");
}

#[test]
fn acquirer_keyed_with_every_token() {
    run_class("acquirer-keyed");
}

#[test]
fn acquirer_queryable_with_every_token() {
    run_class("acquirer-queryable");
}

#[test]
fn acquirer_blind_with_every_token_and_an_operator() {
    run_class("acquirer-blind");
}

/// 3-D Secure: the customer approves, fails, or the merchant gives up and voids.
#[test]
fn three_d_secure() {
    for class in [
        "stripe",
        "stripe-prepared",
        "acquirer-keyed",
        "acquirer-queryable",
    ] {
        three_d_secure_with(&Server::fast(class));
    }
}

fn three_d_secure_with(server: &Server) {
    for (key, success, end) in [
        ("approve", Some("true"), "AUTHORIZED"),
        ("fail", Some("false"), "DECLINED"),
        ("abandon", None, "VOIDED"),
    ] {
        let id = server.create(key, "pm_card_authenticationRequired");
        let target = format!("/attempts/{id}/authorize");
        let begin = json!({"return_url": "https://shop.example/back"});
        let answer = server.post_wait(&target, "a", &begin);
        assert_eq!(answer.status, 202, "{answer:?}");
        let waiting = answer.json();
        assert_eq!(waiting["status"], "REQUIRES_ACTION");
        let url = waiting["next_action"]["url"].as_str().unwrap();
        assert!(url.starts_with(&format!("http://{}/", server.sandbox)), "{url}");
        match success {
            Some(success) => {
                // The customer presses one of the page's two buttons.
                let page = url.strip_prefix(&format!("http://{}", server.sandbox)).unwrap();
                let pressed = format!("success={success}");
                let form = [("Content-Type", "application/x-www-form-urlencoded")];
                let done = http::send(&server.sandbox, "POST", page, &form, pressed.as_bytes()).unwrap();
                assert_eq!(done.status, 303, "back to the shop: {done:?}");
            }
            None => {
                let voided = server.post_wait(&format!("/attempts/{id}/void"), "v", &Value::Null);
                assert_eq!(voided.status, 200, "{voided:?}");
            }
        }
        let attempt = server.until(&id, LIMIT, |attempt| {
            is_settled(attempt) && status(attempt) != "REQUIRES_ACTION"
        });
        assert_eq!(status(&attempt), end, "{key}");
        let ledger = server.ledger(&id);
        agree(&attempt, &ledger).unwrap();
        let late = server.post(&target, "a", &begin);
        let expected = match end {
            "AUTHORIZED" => 200,
            "DECLINED" => 402,
            _ => 409,
        };
        assert_eq!(late.status, expected, "{key}: {late:?}");
    }
}
