//! Stripe's events: those that concern an attempt are taken in, in whatever form; all others are taken with a 2xx.

use pay_once_core::{Millis, Secret};
use serde_json::{Value, json};

use crate::support::{CREATE, Kind, Told, World, answered, code, sign, timeout};

fn thin(kind: &str, related: &str, id: &str) -> Value {
    json!({"id": "evt_1", "object": "v2.core.event", "type": kind, "created": "2026-11-29T00:00:00Z", "livemode": false,
        "related_object": {"id": id, "type": related, "url": format!("/v1/{related}s/{id}")}})
}

#[test]
fn a_thin_event_is_read_about_and_taken_in() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "authorize", "k2");
    let answer = world.webhook(&thin(
        "v1.payment_intent.amount_capturable_updated",
        "payment_intent",
        "pi_3N00001",
    ));
    assert_eq!((answer.status, world.status(id).as_str()), (200, "AUTHORIZED"));
    let read = world.calls.last().unwrap();
    assert_eq!(
        (read.http.method, read.moves_money, read.attempt),
        ("GET", false, None)
    );
}

/// The object is another installation's, or another integration's: it names no attempt of ours.
#[test]
fn a_thin_event_about_somebody_elses_object_is_taken() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    for (status, body) in [
        (
            200,
            json!({"id": "pi_x", "amount": 1, "currency": "gbp", "status": "succeeded", "metadata": {}}),
        ),
        (
            200,
            json!({"id": "pi_x", "amount": 1, "currency": "gbp", "status": "succeeded", "metadata": {"attempt_id": "42"}}),
        ),
        (
            404,
            json!({"error": {"type": "invalid_request_error", "code": "resource_missing"}}),
        ),
    ] {
        world
            .script
            .push_back(Told::Instead(answered(status, body.to_string())));
        let answer = world.webhook(&thin("v1.payment_intent.succeeded", "payment_intent", "pi_x"));
        assert_eq!(
            (answer.status, world.status(id).as_str()),
            (200, "CREATED"),
            "{body}"
        );
    }
}

/// A read that fails has the event sent again: it is the only thing but the store that is worth a 5xx.
#[test]
fn a_read_that_fails_asks_for_the_event_again() {
    for told in [
        timeout(),
        answered(500, ""),
        answered(401, r#"{"error":{"type":"invalid_request_error"}}"#),
        answered(200, "<html>"),
    ] {
        let mut world = World::new(Kind::Stripe);
        world.script.push_back(Told::Instead(told.clone()));
        let answer = world.webhook(&thin("v1.payment_intent.succeeded", "payment_intent", "pi_x"));
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (502, "PSP_READ_FAILED"),
            "{told:?}"
        );
        assert_eq!(answer.header("Retry-After"), Some("1"));
    }
}

#[test]
fn what_is_no_concern_of_ours_is_taken_whatever_its_form() {
    let of_intent =
        |object: Value| json!({"id": "evt", "type": "payment_intent.created", "data": {"object": object}});
    for event in [
        json!([]),
        json!(5),
        json!({}),
        json!({"type": 5}),
        json!({"type": "payment_intent.x"}),
        json!({"type": "payment_intent.x", "data": {}}),
        json!({"type": "payment_intent.x", "data": 5}),
        json!({"type": "v2.core.event_destination.ping", "related_object": null}),
        json!({"type": "v1.payment_intent.succeeded"}),
        thin("v1.charge.succeeded", "charge", "ch_1"),
        thin("v2.core.account.updated", "v2.core.account", "acct_1"),
        json!({"type": "charge.refunded", "data": {"object": {"id": "ch_1", "object": "charge"}}}),
        json!({"type": "charge.dispute.created", "data": {"object": {"id": "dp_1", "amount": 1, "currency": "gbp"}}}),
        json!({"type": "refund.created", "data": {"object": {"id": "re_1", "amount": 1}}}),
        of_intent(json!({"id": "x"})),
        of_intent(
            json!({"id": "pi_1", "amount": 5, "currency": "usd", "status": "requires_payment_method", "metadata": {}}),
        ),
    ] {
        let mut world = World::new(Kind::Stripe);
        let answer = world.webhook(&event);
        assert_eq!((answer.status, world.calls.len()), (200, 0), "{event}");
    }
}

/// A snapshot in a form that is not known here: its object is read in ours.
#[test]
fn a_snapshot_that_cannot_be_read_is_read_by_its_id() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "authorize", "k2");
    let event = json!({"type": "payment_intent.amount_capturable_updated",
        "data": {"object": {"id": "pi_3N00001", "amount": {"value": 2599}, "status": "requires_capture"}}});
    assert_eq!(world.webhook(&event).status, 200);
    assert_eq!(world.status(id), "AUTHORIZED");
}

/// Any of several secrets: one is being changed.
#[test]
fn every_configured_secret_is_good() {
    let mut world = World::new(Kind::Stripe);
    world.psp_mut().webhook_secrets = vec![Secret::new("whsec_new"), Secret::new("whsec_old")];
    let body = br#"{"type":"charge.updated"}"#;
    for (secret, status) in [("whsec_new", 200), ("whsec_old", 200), ("whsec_other", 400)] {
        let signature = sign(secret, world.now_ms / 1000, body);
        let answer = world.send(
            "POST",
            "/webhooks/stripe",
            &[("stripe-signature", &signature)],
            body,
        );
        assert_eq!(answer.status, status, "{secret}");
    }
}

/// A second capture has to be given back; every event and list about its refund is evidence.
fn to_be_refunded() -> (World, pay_once_core::AttemptId) {
    let mut world = World::new(Kind::Stripe);
    assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
    let id = *world.store.keys().next().unwrap();
    (world, id)
}

fn second_capture(world: &mut World, id: pay_once_core::AttemptId) {
    let other = other_intent(id);
    world.webhook(&json!({"type": "payment_intent.succeeded", "data": {"object": other}}));
}

fn other_intent(id: pay_once_core::AttemptId) -> Value {
    json!({"id": "pi_9", "object": "payment_intent", "status": "succeeded", "amount": 2599, "amount_received": 2599,
        "currency": "gbp", "metadata": {"attempt_id": id.to_string()}})
}

fn refund(status: &str) -> Value {
    json!({"id": "re_1", "object": "refund", "amount": 2599, "currency": "gbp", "status": status, "payment_intent": "pi_9"})
}

fn refunds(status: &str) -> Told {
    Told::Instead(answered(
        200,
        json!({"object": "list", "data": [refund(status)], "has_more": false}).to_string(),
    ))
}

#[test]
fn a_pending_refund_stays_open_until_it_has_gone_through() {
    let (mut world, id) = to_be_refunded();
    world
        .script
        .push_back(Told::Instead(answered(200, refund("pending").to_string())));
    second_capture(&mut world, id);
    for _ in 0..4 {
        world.script.push_back(refunds("pending"));
        world.settle(id, 1);
    }
    assert!(
        world.record(id).state().running.is_some(),
        "{:#?}",
        world.story(id)
    );
    assert_eq!(world.money_calls, 2, "it is looked for, and not asked for again");
    assert!(
        world
            .calls
            .last()
            .unwrap()
            .http
            .url
            .contains("/v1/refunds?limit=100&payment_intent=pi_9")
    );
    world.script.push_back(refunds("succeeded"));
    world.settle(id, 1);
    assert!(
        world.record(id).state().running.is_none(),
        "{:#?}",
        world.story(id)
    );
}

#[test]
fn a_refund_that_fails_later_is_made_again() {
    let (mut world, id) = to_be_refunded();
    world
        .script
        .push_back(Told::Instead(answered(200, refund("succeeded").to_string())));
    second_capture(&mut world, id);
    assert!(world.record(id).state().running.is_none());
    let again = json!({"id": "re_2", "object": "refund", "amount": 2599, "currency": "gbp", "status": "succeeded", "payment_intent": "pi_9"});
    // The event carries our metadata or none; without, its PaymentIntent is read first.
    let held = world.ledger.intent("pi_3N00001");
    let mut intent = held.clone();
    intent["id"] = "pi_9".into();
    world.script.extend([
        Told::Instead(answered(200, intent.to_string())),
        Told::Instead(answered(200, again.to_string())),
    ]);
    world.webhook(&json!({"type": "refund.failed", "data": {"object": refund("failed")}}));
    let story = world.story(id);
    assert!(
        story.iter().any(|line| line.contains("a refund failed")),
        "{story:#?}"
    );
    assert_eq!(world.money_calls, 3, "asked for once more");
    assert!(world.record(id).state().running.is_none(), "{story:#?}");
}

#[test]
fn somebody_elses_refund_of_the_same_capture_is_found_by_a_look() {
    for (refusal, is_over) in [("charge_already_refunded", true), ("charge_disputed", false)] {
        let (mut world, id) = to_be_refunded();
        let error = json!({"error": {"type": "invalid_request_error", "code": refusal, "message": "No."}});
        world
            .script
            .push_back(Told::Instead(answered(400, error.to_string())));
        second_capture(&mut world, id);
        let told = if is_over {
            refunds("succeeded")
        } else {
            Told::Instead(answered(200, r#"{"data":[],"has_more":false}"#))
        };
        world.script.push_back(told);
        world.settle(id, 1);
        assert_eq!(
            world.record(id).state().running.is_none(),
            is_over,
            "{refusal} {:#?}",
            world.story(id)
        );
        assert_eq!(world.money_calls, 2);
    }
}

/// A part that was given back by hand is not given back twice.
#[test]
fn what_is_left_to_refund_is_what_has_not_been_refunded() {
    let (mut world, id) = to_be_refunded();
    let error = json!({"error": {"type": "invalid_request_error", "code": "charge_already_refunded", "message": "No."}});
    world
        .script
        .push_back(Told::Instead(answered(400, error.to_string())));
    second_capture(&mut world, id);
    let part = json!({"id": "re_hand", "amount": 600, "currency": "gbp", "status": "succeeded", "payment_intent": "pi_9"});
    world.script.push_back(Told::Instead(answered(
        200,
        json!({"data": [part], "has_more": false}).to_string(),
    )));
    world.settle(id, 1);
    assert!(world.record(id).state().running.is_some(), "1999 are left");
}

#[test]
fn a_cancellation_for_expiry_is_a_lapse() {
    for reason in ["automatic", "expired"] {
        let mut world = World::new(Kind::Stripe);
        let id = world.authorized();
        let mut object = world.ledger.intent("pi_3N00001");
        object["status"] = "canceled".into();
        object["cancellation_reason"] = reason.into();
        world.webhook(&json!({"type": "payment_intent.canceled", "data": {"object": object}}));
        assert_eq!(world.status(id), "EXPIRED", "{reason}");
    }
}

/// A return page asks: the PSP is read at once, for the retry's own answer, and not again within two seconds.
#[test]
fn asking_about_an_open_action_has_it_read() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    let (calls, writes) = (world.calls.len(), world.writes);
    world.get(id);
    let read = world.calls.last().unwrap();
    assert_eq!(
        (read.http.method, read.skip_within_ms),
        ("GET", Some(Millis::new(2_000)))
    );
    assert_eq!(
        (world.calls.len(), world.writes),
        (calls + 1, writes),
        "nothing is written for it"
    );
    // The customer is back before any webhook.
    world.ledger.finish_action(world.now_ms);
    let answer = world.op(id, "authorize", "k2");
    assert_eq!((answer.status, world.status(id).as_str()), (200, "AUTHORIZED"));
    // Where there is no id to read, nothing is asked.
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.op(id, "authorize", "k2");
    let calls = world.calls.len();
    world.get(id);
    assert_eq!(world.calls.len(), calls);
}

/// What the cardholder's bank takes back of a capture that must not stand is not given back once more.
#[test]
fn what_a_bank_has_taken_back_is_not_refunded() {
    let (mut world, id) = to_be_refunded();
    let error =
        json!({"error": {"type": "invalid_request_error", "code": "charge_disputed", "message": "No."}});
    world
        .script
        .push_back(Told::Instead(answered(400, error.to_string())));
    second_capture(&mut world, id);
    assert!(world.record(id).state().running.is_some());
    let dispute = json!({"id": "dp_9", "object": "dispute", "amount": 2599, "currency": "gbp", "payment_intent": "pi_9"});
    let other = other_intent(id).to_string();
    world.script.push_back(Told::Instead(answered(200, other)));
    let answer = world.webhook(&json!({"type": "charge.dispute.created", "data": {"object": dispute}}));
    assert_eq!(answer.status, 200);
    assert!(
        world.record(id).state().running.is_none(),
        "{:#?}",
        world.story(id)
    );
    assert_eq!(world.money_calls, 2, "nothing more is given back");
}
