//! `docs/rules.md`, rule 9: which refusals are an outcome. A refusal is of the sending that it answers; what another sending came
//! to, or the first of a request that was delivered twice, only the PSP's object or a decision of the card's bank can tell.

use pay_once_core::AttemptId;
use serde_json::Value;

use crate::support::{CREATE, Kind, Told, World, answered, json, not_sent, text, timeout};

const REVOKED: &str = r#"{"error":{"message":"Invalid API Key provided","type":"invalid_request_error"}}"#;

fn attempt_of(answer: &Value) -> AttemptId {
    AttemptId::parse(answer["attempt_id"].as_str().unwrap()).unwrap()
}

/// It was DECLINED, safe to try again, with the money taken.
#[test]
fn a_401_to_a_resend_is_no_outcome_of_the_first_send() {
    for kind in [Kind::Stripe, Kind::StripeListed, Kind::AcquirerKeyed] {
        let mut world = World::new(kind);
        world
            .script
            .extend([Told::Lost(timeout()), Told::Instead(answered(401, REVOKED))]);
        let id = attempt_of(&json(&world.post("/charge", "c1", CREATE)));
        world.settle(id, 30);
        let answer = world.post("/charge", "c1", CREATE);
        assert_eq!(
            (answer.status, world.ledger.taken()),
            (200, 1),
            "{kind:?}: {}",
            text(&answer)
        );
    }
}

/// The negative: of a call that was sent once, a 401 says that nothing was done. It says nothing of the payment either.
#[test]
fn a_401_to_the_only_send_is_no_decline() {
    for kind in [Kind::Stripe, Kind::StripeListed, Kind::AcquirerKeyed] {
        let mut world = World::new(kind);
        let id = world.create();
        world.script.push_back(Told::Instead(answered(401, REVOKED)));
        assert_eq!(world.op(id, "authorize", "k2").status, 502, "{kind:?}");
        assert_eq!(world.status(id), "CREATED", "{kind:?}");
    }
}

/// A request that was delivered twice: the first has its effect, the second is refused for the state that it finds, and says
/// no more than that. Taken for an outcome, it was DECLINED with the money taken (found with localstripe).
#[test]
fn a_refusal_that_does_not_say_what_became_of_the_object_is_looked_into() {
    let bare = r#"{"error":{"type":"invalid_request_error","message":"Bad request"}}"#;
    for kind in [Kind::Stripe, Kind::StripeNoKeys, Kind::StripeListed] {
        let mut world = World::new(kind);
        let id = world.authorized();
        world.script.push_back(Told::Lost(answered(400, bare)));
        assert_eq!(world.op(id, "capture", "k3").status, 202, "{kind:?}");
        world.settle(id, 3);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.taken()),
            ("CAPTURED", 1),
            "{kind:?}"
        );
    }
    // The object is made first here, and confirmed by a call of its own.
    let mut world = World::new(Kind::StripeNoKeys);
    let id = world.create();
    world
        .script
        .extend([Told::Truth, Told::Lost(answered(400, bare))]);
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    world.settle(id, 1);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("AUTHORIZED", 1)
    );
    // The negative: what names a member of the client's terms is an outcome; of what acts on nothing yet, a bare refusal says
    // that nothing was done.
    let reason = r#"{"error":{"type":"invalid_request_error","param":"payment_method","message":"No."}}"#;
    for (kind, told, status) in [(Kind::StripeNoKeys, reason, 402), (Kind::Stripe, bare, 502)] {
        let mut world = World::new(kind);
        let id = world.create();
        if kind == Kind::StripeNoKeys {
            world.script.push_back(Told::Truth);
        }
        world.script.push_back(Told::Instead(answered(400, told)));
        assert_eq!(world.op(id, "authorize", "k2").status, status, "{kind:?}");
    }
}

#[test]
fn what_says_neither_state_nor_card_is_no_outcome_of_a_capture() {
    let told = [
        (
            401,
            r#"{"error":{"code":"api_key_expired","message":"Expired.","type":"invalid_request_error"}}"#,
        ),
        (
            401,
            r#"{"error":{"type":"authentication_error","message":"No."}}"#,
        ),
        (403, r#"{"error":{"message":"Forbidden"}}"#),
        (403, r#"{"error":{}}"#),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","code":"payment_intent_unexpected_state"}}"#,
        ),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","code":"charge_already_captured"}}"#,
        ),
        (
            404,
            r#"{"error":{"type":"invalid_request_error","code":"resource_missing","param":"intent"}}"#,
        ),
    ];
    for (status, body) in told {
        // The answer to the first is lost and a second is refused; or it is delivered twice, and the second answer comes.
        for (first, times) in [(timeout(), 5), (answered(status, body), 1)] {
            let mut world = World::new(Kind::Stripe);
            let id = world.authorized();
            world.script.push_back(Told::Lost(first));
            world.script.extend(std::iter::repeat_n(
                Told::Instead(answered(status, body)),
                times - 1,
            ));
            world.op(id, "capture", "k3");
            world.settle(id, 20);
            let answer = world.op(id, "capture", "k3");
            assert_eq!(
                (answer.status, world.ledger.taken()),
                (200, 1),
                "{status} {body}: {}",
                text(&answer)
            );
        }
    }
}

#[test]
fn an_acquirers_already_captured_is_no_decline() {
    let twice = r#"{"status":"declined","code":"already_captured","message":"The authorization was captured before."}"#;
    for (kind, status) in [(Kind::AcquirerQueryable, "CAPTURED"), (Kind::Blind, "CAPTURING")] {
        let mut world = World::new(kind);
        let id = world.authorized();
        world.script.push_back(Told::Lost(answered(200, twice)));
        assert_eq!(world.op(id, "capture", "k3").status, 202, "{kind:?}");
        world.settle(id, 3);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.taken()),
            (status, 1),
            "{kind:?}"
        );
        assert_eq!(world.is_parked(id), kind == Kind::Blind);
    }
}

/// Stripe deletes no PaymentIntent: a 404 comes of another account's key.
#[test]
fn rule_06_a_404_for_an_object_that_is_known_proves_nothing() {
    let missing = r#"{"error":{"type":"invalid_request_error","code":"resource_missing","param":"intent"}}"#;
    let mut world = World::new(Kind::StripeNoKeys);
    let id = world.authorized();
    world.script.push_back(Told::Lost(timeout()));
    world
        .script
        .extend(std::iter::repeat_n(Told::Instead(answered(404, missing)), 40));
    world.op(id, "capture", "k3");
    world.settle(id, 100);
    assert_eq!((world.status(id).as_str(), world.ledger.taken()), ("CAPTURED", 1));
}

#[test]
fn rule_07_news_of_a_call_that_is_history_adds_nothing_to_what_is_parked() {
    let mut world = World::new(Kind::StripeNoKeys);
    let id = world.create();
    world.script.extend([Told::Truth, Told::Hold]);
    world.op(id, "authorize", "k2");
    let old = world.held.remove(0);
    let result = world.ledger.act(&old.http, world.now_ms);
    world.outcome(old.clone(), result);
    world
        .script
        .extend(std::iter::repeat_n(Told::Instead(not_sent()), 200));
    world.op(id, "capture", "k3");
    world.settle(id, 100);
    assert!(world.is_parked(id));
    let before = world.record(id).entries().len();
    for _ in 0..3 {
        world.outcome(old.clone(), not_sent());
    }
    assert_eq!(world.record(id).entries().len(), before);
}
