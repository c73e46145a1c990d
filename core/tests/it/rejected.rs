//! A rejected request is not a declined payment: our credentials, account or request are refused, and nothing is said of the
//! payment. The client's operation is taken back, and its retry sends it again.

use pay_once_core::journal::entry::{Fact, Operation};
use pay_once_core::{Input, Reply, Routed};
use serde_json::json;

use crate::support::{CREATE, Kind, Told, World, answered, code, json as body, not_sent, text, timeout};

const REVOKED: &str = r#"{"error":{"type":"invalid_request_error","code":"k","message":"Invalid API Key provided: sk_test_*****case"}}"#;

pub(crate) fn rejected(status: u16) -> Told {
    Told::Instead(answered(status, REVOKED))
}

#[test]
fn an_authorize_that_is_rejected_leads_back_to_created_and_its_retry_sends_it_again() {
    for kind in Kind::ALL
        .into_iter()
        .filter(|kind| !kind.capabilities().prepares())
    {
        for status in [401, 403] {
            let mut world = World::new(kind);
            let id = world.create();
            world.script.push_back(rejected(status));
            let answer = world.op(id, "authorize", "k2");
            assert_eq!(
                (answer.status, code(&answer).as_str()),
                (502, "PSP_REJECTED_REQUEST"),
                "{kind:?}"
            );
            let error = &body(&answer)["error"];
            assert_eq!(
                (&error["retryable"], &error["safe_new_key"]),
                (&json!(true), &json!(false))
            );
            assert_eq!(error["attempt"]["status"], "CREATED");
            assert_eq!(answer.header("Retry-After"), Some("1"));
            // Too soon: nothing is sent.
            let sent = world.calls.len();
            assert_eq!(world.op(id, "authorize", "k2").status, 502);
            assert_eq!(world.calls.len(), sent, "{kind:?}");
            world.now_ms += 1_000;
            let answer = world.op(id, "authorize", "k2");
            assert_eq!(
                (answer.status, &body(&answer)["status"]),
                (200, &json!("AUTHORIZED")),
                "{kind:?}"
            );
            assert_eq!(world.ledger.authorizations(), 1, "{kind:?}");
        }
    }
}

#[test]
fn the_pauses_between_retries_grow() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.extend(std::iter::repeat_n(rejected(401), 6));
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let answer = world.op(id, "authorize", "k2");
        assert_eq!(answer.status, 502);
        let seconds: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
        pauses.push(seconds);
        world.now_ms += seconds * 1_000;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32]);
    assert_eq!(world.money_calls, 6, "one call a retry, and none by itself");
    assert!(world.due(id).is_none(), "nothing is under way");
}

/// No PSP's words about our credentials reach a client, in an error or in the timeline.
#[test]
fn what_the_psp_says_of_our_key_reaches_nobody() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(rejected(401));
    let answer = world.op(id, "authorize", "k2");
    let shown = world.get(id).to_string();
    for said in [text(&answer), shown] {
        assert!(!said.contains("sk_test") && !said.contains("API Key"), "{said}");
    }
}

#[test]
fn a_capture_that_is_rejected_leads_back_to_authorized() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.script.push_back(rejected(401));
    assert_eq!(world.op(id, "capture", "k3").status, 502);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("AUTHORIZED", 1)
    );
    world.now_ms += 1_000;
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    assert_eq!(world.ledger.captures(), 1);
}

/// Another key did what this one had asked for: this one was never carried out.
#[test]
fn a_key_whose_work_another_key_did_is_told_so() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.script.push_back(rejected(401));
    assert_eq!(
        world
            .post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":600}"#)
            .status,
        502
    );
    // Another key does not shorten the pause.
    assert_eq!(world.op(id, "capture", "k4").status, 502);
    world.now_ms += 1_000;
    assert_eq!(world.op(id, "capture", "k4").status, 200);
    let answer = world.post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":600}"#);
    assert_eq!((answer.status, code(&answer).as_str()), (409, "INVALID_STATE"));
    assert_eq!(body(&answer)["error"]["attempt"]["capture"]["amount"], 2599);
    assert_eq!(world.ledger.captures(), 1);
}

#[test]
fn an_attempt_that_ends_otherwise_is_told_to_the_key_as_invalid_state() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.script.push_back(rejected(401));
    assert_eq!(world.op(id, "capture", "k3").status, 502);
    assert_eq!(world.op(id, "void", "k4").status, 200);
    let answer = world.op(id, "capture", "k3");
    assert_eq!((answer.status, code(&answer).as_str()), (409, "INVALID_STATE"));
    assert_eq!(world.ledger.live(), 0);
}

/// A 401 proves nothing where another sending under the key may have left (rule 6 applies).
#[test]
fn a_401_is_no_proof_after_another_sending() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world
        .script
        .extend([Told::Lost(timeout()), rejected(401), rejected(401)]);
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    world.settle(id, 3);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.authorizations()),
        ("AUTHORIZED", 1),
        "{:#?}",
        world.story(id)
    );
}

#[test]
fn an_automatic_capture_that_is_rejected_stays_open() {
    let mut world = World::new(Kind::AcquirerKeyed);
    world.script.extend([Told::Truth, rejected(401), rejected(401)]);
    assert_eq!(world.post("/charge", "c1", CREATE).status, 202);
    let id = *world.store.keys().next().unwrap();
    assert_eq!(world.status(id), "CAPTURING");
    world.settle(id, 3);
    assert_eq!((world.status(id).as_str(), world.ledger.taken()), ("CAPTURED", 1));
    assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
}

/// The form of a capture: an error of this request, kept for its key. The authorization stands.
#[test]
fn a_capture_whose_amount_is_refused_can_be_asked_with_another_one() {
    let too_small = [
        (
            Kind::Stripe,
            r#"{"error":{"type":"invalid_request_error","code":"amount_too_small","param":"amount_to_capture","message":"At least £0.30"}}"#,
        ),
        (
            Kind::AcquirerQueryable,
            r#"{"error":{"code":"amount_too_small","field":"amount","message":"At least £0.30"}}"#,
        ),
    ];
    for (kind, refusal) in too_small {
        let mut world = World::new(kind);
        let id = world.authorized();
        let target = format!("/attempts/{id}/capture");
        world.script.push_back(Told::Instead(answered(400, refusal)));
        let first = world.post(&target, "k3", r#"{"amount":10}"#);
        let error = &body(&first)["error"];
        assert_eq!(
            (first.status, &error["code"], &error["field"]),
            (400, &json!("INVALID_AMOUNT"), &json!("amount"))
        );
        assert_eq!(error["attempt"]["status"], "AUTHORIZED");
        assert!(error["message"].as_str().unwrap().contains("£0.30"));
        let replay = world.post(&target, "k3", r#"{"amount":10}"#);
        assert_eq!(
            (replay.status, &replay.body),
            (400, &first.body),
            "kept for its key"
        );
        assert_eq!(replay.header("Idempotency-Replayed"), Some("true"));
        assert_eq!(
            world.post(&target, "k4", r#"{"amount":900}"#).status,
            200,
            "{kind:?}"
        );
        assert_eq!(
            (world.status(id).as_str(), world.ledger.captures()),
            ("CAPTURED", 1)
        );
        // The negative: terms that can never change end the attempt.
        let mut world = World::new(kind);
        let id = world.create();
        let param = if kind == Kind::Stripe { "param" } else { "field" };
        let refusal = json!({"error": {"type": "invalid_request_error", "code": "resource_missing", param: "payment_method"}});
        world
            .script
            .push_back(Told::Instead(answered(400, refusal.to_string())));
        assert_eq!(world.op(id, "authorize", "k2").status, 402, "{kind:?}");
    }
}

/// Sent again under the number that was rejected, where the PSP honours its key: had the rejection answered a second delivery,
/// the first one's effect is found and not repeated.
#[test]
fn what_was_rejected_is_sent_again_under_its_own_key() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.authorized();
    world.script.push_back(Told::Lost(answered(401, REVOKED)));
    assert_eq!(world.op(id, "capture", "k3").status, 502);
    world.now_ms += 1_000;
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    assert_eq!(world.ledger.captures(), 1);
    let sent = world.dispatches(id, Operation::Capture);
    assert_eq!(sent.first(), sent.last(), "one number, one key");
}

#[test]
fn every_rejection_is_reported_whatever_becomes_of_the_write() {
    let restricted = r#"{"error":{"type":"invalid_request_error","message":"The provided key 'rk_test_***' does not have the required permissions for this endpoint on account 'acct_1'. Having the 'rak_payment_intent_read' permission would allow this request to continue."}}"#;
    let mut world = World::new(Kind::StripeListed);
    world.psp_mut().capabilities.keyed_horizon_ms = None;
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    world.script.push_back(Told::Hold);
    world.settle(id, 1);
    let call = world.held.remove(0);
    let base = world.record(id);
    let result = answered(403, restricted);
    let input = pay_once_core::Input::Outcome(Box::new(pay_once_core::Outcome { call, result }));
    let step = world.decide(id, Some(&base), &input);
    let report = step.report.expect("a rejection is reported");
    let rejection = report.rejection.expect("it was rejected");
    assert_eq!(rejection.permission.as_deref(), Some("rak_payment_intent_read"));
    assert_eq!((report.psp.as_str(), rejection.status), ("stripe", 403));
    assert!(step.write.is_none(), "a failed look changes nothing");
}

/// Old and new records alike: the retry names its key in the journal.
#[test]
fn the_retry_is_on_record() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(rejected(401));
    world.op(id, "authorize", "k2");
    world.now_ms += 1_000;
    world.op(id, "authorize", "k2");
    let record = world.record(id);
    let resumed = record
        .entries()
        .iter()
        .any(|e| matches!(&e.fact, Fact::Resumed { key } if key == "k2"));
    assert!(resumed);
    let story = world.story(id);
    assert!(
        story
            .iter()
            .any(|line| line.contains("rejected it; it can be asked for again")),
        "{story:#?}"
    );
}

/// A request that still waits when another one asks again under its key, after a rejection, is not the first to be answered.
#[test]
fn of_a_waiting_request_and_the_retry_after_a_rejection_one_answer_is_no_replay() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(rejected(401));
    let target = format!("/attempts/{id}/authorize");
    let headers = [("idempotency-key", "k2"), ("prefer", "wait=30")];
    let Routed::Attempt { input, .. } = world.route("POST", &target, &headers, b"") else {
        panic!("routed");
    };
    let Reply::Wait { pending, .. } = world.drive(id, input) else {
        panic!("waits");
    };
    world.now_ms += 1_000;
    let retry = world.op(id, "authorize", "k2");
    assert_eq!((retry.status, retry.header("Idempotency-Replayed")), (200, None));
    let Reply::Now(waited) = world.drive(id, Input::Request(pending)) else {
        panic!("answers");
    };
    assert_eq!(
        (waited.status, waited.header("Idempotency-Replayed")),
        (200, Some("true"))
    );
    assert_eq!(waited.body, retry.body);
}

/// Rule 5: a PSP forgets a key some time after its first use, however often it has rejected requests under it.
#[test]
fn a_key_is_as_old_as_its_first_rejection() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.authorized();
    world.script.extend(std::iter::repeat_n(rejected(401), 3));
    for _ in 0..3 {
        assert_eq!(world.op(id, "capture", "k3").status, 502);
        world.now_ms += 10 * 3_600_000;
    }
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    let sent: Vec<u16> = world
        .dispatches(id, Operation::Capture)
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!(sent, [1, 1, 1, 2], "after 30 hours a key of a day is forgotten");
}

/// A retry that never left does not make the key younger either.
#[test]
fn a_retry_that_never_left_does_not_renew_a_rejected_key() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.authorized();
    world.script.push_back(rejected(401));
    assert_eq!(world.op(id, "capture", "k3").status, 502);
    world.now_ms += 10 * 3_600_000;
    world.script.push_back(Told::Instead(not_sent()));
    assert_eq!(world.op(id, "capture", "k3").status, 202);
    world.now_ms += 20 * 3_600_000;
    world.wake(id);
    assert_eq!(world.ledger.captures(), 0, "the client asks again");
    world.now_ms += 2_000;
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    let sent = world.dispatches(id, Operation::Capture);
    assert_eq!(sent.last().map(|(number, _)| *number), Some(2));
    assert_eq!(world.ledger.captures(), 1);
}

/// Two keys asked for different captures, and both were rejected. When the later one turns out to have happened, the earlier one
/// is still told that it did not.
#[test]
fn evidence_of_a_capture_revives_the_key_that_asked_for_it_alone() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.script.extend(std::iter::repeat_n(rejected(401), 2));
    let target = format!("/attempts/{id}/capture");
    assert_eq!(world.post(&target, "k3", r#"{"amount":600}"#).status, 502);
    world.now_ms += 1_000;
    assert_eq!(world.op(id, "capture", "k4").status, 502);
    let mut object = world.ledger.intent("pi_3N00001");
    object["status"] = "succeeded".into();
    object["amount_received"] = 2599.into();
    world.webhook(&json!({"type": "payment_intent.succeeded", "data": {"object": object}}));
    assert_eq!(world.status(id), "CAPTURED");
    assert_eq!(world.op(id, "capture", "k4").status, 200);
    let answer = world.post(&target, "k3", r#"{"amount":600}"#);
    assert_eq!((answer.status, code(&answer).as_str()), (409, "INVALID_STATE"));
}

/// The same of an operation that no client waits for: a look decides before another number is used.
#[test]
fn a_rejected_automatic_capture_is_looked_up_once_its_key_is_forgotten() {
    let mut world = World::new(Kind::AcquirerKeyedQueryable);
    let automatic = CREATE.replace('}', r#","capture_method":"automatic"}"#);
    let id = world.create_with("k1", &automatic);
    world
        .script
        .extend([Told::Truth, rejected(401), Told::Instead(not_sent())]);
    world.op(id, "authorize", "k2");
    world.settle(id, 1);
    assert_eq!(world.dispatches(id, Operation::Capture).len(), 2);
    world.now_ms += 30 * 3_600_000;
    let asked = world.calls.len();
    world.wake(id);
    assert_eq!(world.calls.get(asked).map(|call| call.http.method), Some("GET"));
    world.settle(id, 4);
    let sent = world.dispatches(id, Operation::Capture);
    assert_eq!(
        sent.last().map(|(number, _)| *number),
        Some(2),
        "{:#?}",
        world.story(id)
    );
    assert_eq!(world.ledger.captures(), 1);
}
