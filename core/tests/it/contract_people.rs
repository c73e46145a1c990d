//! `docs/http.md`, “Merchants” and “Resolve”: who may see and do what, and what an operator can end.

use pay_once_core::journal::entry::Operation;
use pay_once_core::{AttemptId, Millis};
use serde_json::json;

use crate::support::{CREATE, Kind, Told, World, closed, code, json as body, not_sent, text, timeout};

const DEMO: (&str, &str) = ("authorization", "Bearer mk_demo");
const OTHER: (&str, &str) = ("authorization", "Bearer mk_other");

#[test]
fn a_merchant_sees_only_its_own_attempts() {
    let mut world = World::with(closed(Kind::Stripe), Kind::Stripe);
    let answer = world.send(
        "POST",
        "/attempts",
        &[DEMO, ("idempotency-key", "k1")],
        CREATE.as_bytes(),
    );
    let id = body(&answer)["attempt_id"].as_str().unwrap().to_owned();
    let before = world.store.clone();
    let foreign = world.send("GET", &format!("/attempts/{id}"), &[OTHER], b"");
    let none = world.send("GET", "/attempts/pa_00000000000000000000000000", &[OTHER], b"");
    assert_eq!(
        (foreign.status, &foreign.body),
        (404, &none.body),
        "not there and not yours look the same"
    );
    for operation in ["authorize", "capture", "void"] {
        let headers = [OTHER, ("idempotency-key", "k1")];
        let answer = world.send("POST", &format!("/attempts/{id}/{operation}"), &headers, b"");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (404, "ATTEMPT_NOT_FOUND"),
            "{operation}"
        );
    }
    assert_eq!((world.store.clone(), world.calls.len()), (before, 0));
    assert_eq!(
        world.send("GET", &format!("/attempts/{id}"), &[DEMO], b"").status,
        200
    );
}

#[test]
fn a_bearer_key_names_the_merchant_and_nothing_else_does() {
    let mut world = World::with(closed(Kind::Stripe), Kind::Stripe);
    let key = ("idempotency-key", "k1");
    for headers in [
        &[key][..],
        &[key, ("authorization", "Bearer ")],
        &[key, ("authorization", "Bearer mk_demo2")],
        &[key, ("authorization", "Basic mk_demo")],
        &[key, ("authorization", "mk_demo")],
        &[key, DEMO, DEMO],
        &[key, DEMO, OTHER],
    ] {
        let answer = world.send("POST", "/attempts", headers, CREATE.as_bytes());
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (401, "UNAUTHORIZED"),
            "{headers:?}"
        );
    }
    assert_eq!(world.writes, 0);
    let lower = [key, ("authorization", "bearer mk_demo")];
    assert_eq!(
        world.send("POST", "/attempts", &lower, CREATE.as_bytes()).status,
        201,
        "the scheme has no case"
    );
}

#[test]
fn several_keys_may_name_one_merchant_while_keys_are_changed() {
    let mut config = closed(Kind::Stripe);
    let demo = config.merchants.get_mut("demo").unwrap();
    demo.key_digests.push(pay_once_core::key_digest("mk_next"));
    let mut world = World::with(config, Kind::Stripe);
    let with = |bearer| [("authorization", bearer), ("idempotency-key", "k1")];
    assert_eq!(
        world
            .send("POST", "/attempts", &with("Bearer mk_demo"), CREATE.as_bytes())
            .status,
        201
    );
    assert_eq!(
        world
            .send("POST", "/attempts", &with("Bearer mk_next"), CREATE.as_bytes())
            .status,
        200
    );
}

#[test]
fn no_merchants_means_no_service() {
    let mut world = World::new(Kind::Stripe);
    world.config.merchants.clear();
    for open in [None, Some("demo".to_owned())] {
        world.config.open_merchant = open;
        let answer = world.send(
            "POST",
            "/attempts",
            &[DEMO, ("idempotency-key", "k1")],
            CREATE.as_bytes(),
        );
        assert_eq!((answer.status, code(&answer).as_str()), (503, "NOT_CONFIGURED"));
    }
}

#[test]
fn authentication_comes_before_anything_that_tells() {
    let mut world = World::with(closed(Kind::Stripe), Kind::Stripe);
    assert_eq!(code(&world.send("POST", "/attempts", &[], b"{")), "UNAUTHORIZED");
    assert_eq!(
        code(&world.send("GET", "/attempts/nonsense", &[], b"")),
        "UNAUTHORIZED"
    );
}

fn parked(operation: &str) -> (World, AttemptId) {
    let mut world = World::new(Kind::Blind);
    let id = if operation == "authorize" {
        world.create()
    } else {
        world.authorized()
    };
    world.script.push_back(Told::Instead(timeout()));
    assert_eq!(world.op(id, operation, "key").status, 202);
    world.settle(id, 3);
    assert!(world.is_parked(id));
    (world, id)
}

fn said(outcome: &str, reference: Option<&str>) -> serde_json::Value {
    let mut said = json!({"operator": "ada", "reason": "seen in the books", "outcome": outcome});
    if let Some(reference) = reference {
        said["psp_reference"] = reference.into();
    }
    said
}

fn resolve(
    world: &mut World,
    id: AttemptId,
    key: &str,
    outcome: &str,
    reference: Option<&str>,
) -> pay_once_core::Response {
    let sent = world.word(id, said(outcome, reference));
    world.post(&format!("/attempts/{id}/resolve"), key, &sent)
}

#[test]
fn an_operator_ends_a_parked_unknown() {
    for (operation, outcome, status, http) in [
        ("authorize", "happened", "AUTHORIZED", 200),
        ("authorize", "did_not_happen", "DECLINED", 402),
        ("capture", "happened", "CAPTURED", 200),
        ("capture", "did_not_happen", "DECLINED", 402),
        ("void", "happened", "VOIDED", 200),
        ("void", "did_not_happen", "VOIDED", 200),
    ] {
        let (mut world, id) = parked(operation);
        let reference = (outcome == "happened").then_some("ref_1");
        let sent = world.word(id, said(outcome, reference));
        let answer = world.post(&format!("/attempts/{id}/resolve"), "r1", &sent);
        assert_eq!(answer.status, 200, "{operation} {outcome}: {}", text(&answer));
        assert_eq!(world.status(id), status, "{operation} {outcome}");
        assert_eq!(
            world.op(id, operation, "key").status,
            http,
            "the first key gets its answer"
        );
        let line = world.get(id)["timeline"].to_string();
        assert!(
            line.contains("\"operator\":\"ada\"") && line.contains("seen in the books"),
            "{line}"
        );
        let replay = world.post(&format!("/attempts/{id}/resolve"), "r1", &sent);
        assert_eq!((replay.status, replay.body), (200, answer.body));
    }
}

/// A PSP of this face that offers nothing to find an unknown out with.
fn telling_nothing(kind: Kind) -> World {
    let mut world = World::new(kind);
    let capabilities = &mut world.psp_mut().capabilities;
    (capabilities.keyed_horizon_ms, capabilities.lookup_lag_ms) = (None, None);
    world
}

/// Of an automatic payment an operator sees the whole at a PSP that captures in the same call, and one half at one that
/// does not: there the capture follows.
#[test]
fn what_happened_of_an_automatic_payment_is_as_much_as_one_call_does() {
    for (kind, captures_sent) in [(Kind::StripeListed, 0), (Kind::Blind, 1)] {
        let mut world = telling_nothing(kind);
        let charge = r#"{"amount":500,"currency":"GBP","payment_method":"visa"}"#;
        world.script.push_back(Told::Lost(timeout()));
        let started = world.post("/charge", "c1", charge);
        let id = AttemptId::parse(body(&started)["attempt_id"].as_str().unwrap()).unwrap();
        world.settle(id, 3);
        assert!(world.is_parked(id), "{kind:?}");
        let seen = world.ledger.notices()[0].clone();
        let reference = seen["psp_reference"].as_str().unwrap_or("pi_1");
        let answer = resolve(&mut world, id, "r1", "happened", Some(reference));
        assert_eq!(answer.status, 200, "{}", text(&answer));
        world.settle(id, 3);
        assert_eq!(world.status(id), "CAPTURED", "{kind:?}");
        assert_eq!(
            world.dispatches(id, Operation::Capture).len(),
            captures_sent,
            "{kind:?}"
        );
    }
}

/// Manual capture on the same face: an authorization is all that happened.
#[test]
fn what_happened_of_a_manual_payment_is_its_authorization() {
    let mut world = telling_nothing(Kind::StripeListed);
    let id = world.create();
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "authorize", "k2");
    world.settle(id, 3);
    assert!(world.is_parked(id));
    assert_eq!(
        resolve(&mut world, id, "r1", "happened", Some("pi_1")).status,
        200
    );
    assert_eq!(world.status(id), "AUTHORIZED");
}

#[test]
fn an_operator_who_says_happened_says_under_which_reference() {
    let (mut world, id) = parked("authorize");
    let answer = resolve(&mut world, id, "r1", "happened", None);
    assert_eq!(
        (answer.status, &body(&answer)["error"]["field"]),
        (400, &"psp_reference".into())
    );
    assert!(
        body(&answer)["error"].get("attempt").is_none(),
        "of the request, not of the attempt"
    );
    assert!(world.is_parked(id));
    assert_eq!(resolve(&mut world, id, "r1", "happened", Some("ref")).status, 200);
    assert_eq!(world.get(id)["authorization"]["psp_reference"], "ref");
}

#[test]
fn what_is_not_parked_cannot_be_resolved() {
    let mut world = World::new(Kind::Blind);
    let id = world.create();
    let before = resolve(&mut world, id, "r1", "did_not_happen", None);
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let during = resolve(&mut world, id, "r1", "did_not_happen", None);
    world.release();
    let after = resolve(&mut world, id, "r1", "did_not_happen", None);
    for answer in [before, during, after] {
        assert_eq!((answer.status, code(&answer).as_str()), (409, "INVALID_STATE"));
        assert!(body(&answer)["error"]["attempt"].is_object());
    }
    assert_eq!(world.status(id), "AUTHORIZED");
}

#[test]
fn a_resolution_names_reason_operation_generation_and_outcome() {
    let (mut world, id) = parked("authorize");
    let whole = world.word(
        id,
        json!({"operator": "ada", "reason": "r", "outcome": "did_not_happen"}),
    );
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    for member in ["reason", "operation", "generation", "outcome"] {
        let mut sent = whole.clone();
        sent.as_object_mut().unwrap().remove(member);
        let answer = world.post(&format!("/attempts/{id}/resolve"), "r1", &sent.to_string());
        assert_eq!(
            (code(&answer).as_str(), &body(&answer)["error"]["field"]),
            ("MISSING_FIELD", &member.into())
        );
        sent[member] = "x".repeat(501).into();
        let answer = world.post(&format!("/attempts/{id}/resolve"), "r1", &sent.to_string());
        assert_eq!(
            (code(&answer).as_str(), &body(&answer)["error"]["field"]),
            ("INVALID_FIELD", &member.into())
        );
    }
    // An outcome is one of two words, and what did not happen has no reference.
    let unclear = [("outcome", "perhaps"), ("psp_reference", "pi_1")];
    for (member, value) in unclear {
        let mut sent = whole.clone();
        sent[member] = value.into();
        let answer = world.post(&format!("/attempts/{id}/resolve"), "r1", &sent.to_string());
        assert_eq!(
            (code(&answer).as_str(), &body(&answer)["error"]["field"]),
            ("INVALID_FIELD", &member.into())
        );
    }
    assert!(world.is_parked(id));
}

/// Between an operator's look and the word a webhook ended what was looked at, and something else was parked.
#[test]
fn a_late_word_is_not_taken_for_one_about_what_is_parked_now() {
    let (mut world, id) = parked("authorize");
    let late = world.word(id, said("happened", Some("auth_9")));
    let news = json!({"type": "authorize", "reference": id.to_string(), "status": "approved", "psp_reference": "auth_9",
        "amount": 2599, "currency": "GBP"});
    world.webhook(&news);
    world.script.push_back(Told::Instead(timeout()));
    assert_eq!(world.op(id, "capture", "c").status, 202);
    world.settle(id, 3);
    assert!(world.is_parked(id));
    let entries = world.record(id).entries().len();
    let answer = world.post(&format!("/attempts/{id}/resolve"), "r1", &late);
    assert_eq!((answer.status, code(&answer).as_str()), (409, "INVALID_STATE"));
    let message = body(&answer)["error"]["message"].to_string();
    assert!(
        message.contains("capture, generation") && message.contains("authorize, generation"),
        "{message}"
    );
    assert_eq!(world.record(id).entries().len(), entries);
    assert_eq!(world.status(id), "CAPTURING");
    // Its own word it takes, and that one only once.
    let word = world.word(id, said("did_not_happen", None));
    let taken = world.post(&format!("/attempts/{id}/resolve"), "r2", &word);
    assert_eq!(taken.status, 200, "{}", text(&taken));
    assert_eq!(world.status(id), "DECLINED");
}

/// A release is parked, tried again by an operator's word, and parked again: the word is spent.
#[test]
fn a_word_counts_for_one_parking() {
    let (mut world, id) = parked("void");
    let word = world.word(id, said("did_not_happen", None));
    world.script.push_back(Told::Instead(timeout()));
    assert_eq!(
        world.post(&format!("/attempts/{id}/resolve"), "r1", &word).status,
        200
    );
    world.settle(id, 3);
    assert!(world.is_parked(id));
    let again = world.post(&format!("/attempts/{id}/resolve"), "r2", &word);
    assert_eq!((again.status, code(&again).as_str()), (409, "INVALID_STATE"));
    assert!(world.is_parked(id));
}

#[test]
fn a_webhook_ends_a_parked_unknown_too() {
    let (mut world, id) = parked("capture");
    let news = json!({"type": "capture", "reference": id.to_string(), "status": "approved", "psp_reference": "cap_9",
        "amount": 2599, "currency": "GBP"});
    world.webhook(&news);
    assert_eq!(world.status(id), "CAPTURED");
    assert_eq!(world.op(id, "capture", "key").status, 200);
}

/// Of two sendings under one key the first may have had its effect: that the second never left changes nothing.
#[test]
fn what_is_parked_stays_so_when_a_later_sending_turns_out_not_to_have_left() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let landed_ms = world.timing().landed_after_ms().get();
    world.psp_mut().capabilities.keyed_horizon_ms = Some(Millis::new(landed_ms + 1_000));
    let id = world.create();
    world.script.extend([Told::Instead(timeout()), Told::Hold]);
    world.op(id, "authorize", "k2");
    while !world.is_parked(id) {
        world.settle(id, 1);
    }
    assert_eq!(world.held.len(), 1, "sent again, and then the key was too old");
    let entries = world.record(id).entries().len();
    let call = world.held.remove(0);
    world.outcome(call, not_sent());
    assert!(world.is_parked(id));
    assert_eq!(
        world.record(id).entries().len(),
        entries + 1,
        "{:#?}",
        world.story(id)
    );
}

#[test]
fn an_operators_mistake_is_mended_by_evidence() {
    let (mut world, id) = parked("authorize");
    resolve(&mut world, id, "r1", "did_not_happen", None);
    assert_eq!(world.status(id), "DECLINED");
    // It had happened after all: it is released, and DECLINED stays true.
    let http = world.calls[0].http.clone();
    world.ledger.act(&http, world.now_ms);
    let notice = world.ledger.notices()[0].clone();
    world.webhook(&notice);
    assert_eq!((world.status(id).as_str(), world.ledger.live()), ("DECLINED", 0));
}
