//! Rule 14: another captured amount or currency than was asked for is counted, shown with both figures, and an operator's. What
//! the PSP takes back later is on record, and the final status stays.

use pay_once_core::{Input, Outcome, WaitsFor};
use serde_json::{Value, json};

use crate::support::{CREATE, Kind, Told, World, answered, json as body};

fn capture_all(kind: Kind, amount: u64, currency: &str) -> Told {
    let told = match kind {
        Kind::AcquirerQueryable => {
            json!({"status": "approved", "psp_reference": "cap_9", "amount": amount, "currency": currency})
        }
        _ => json!({"id": "pi_3N00001", "object": "payment_intent", "status": "succeeded", "amount": 2599,
            "amount_received": amount, "currency": currency.to_lowercase(), "metadata": {}}),
    };
    Told::Instead(answered(200, told.to_string()))
}

#[test]
fn a_capture_of_another_amount_is_shown_counted_and_parked() {
    for kind in [Kind::AcquirerQueryable, Kind::Stripe] {
        let mut world = World::new(kind);
        let id = world.authorized();
        world.script.push_back(Told::Hold);
        world.post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":600}"#);
        let call = world.held.remove(0);
        let Told::Instead(result) = capture_all(kind, 2599, "GBP") else {
            unreachable!()
        };
        let base = world.record(id);
        let step = world.decide(
            id,
            Some(&base),
            &Input::Outcome(Box::new(Outcome { call, result })),
        );
        assert_eq!(
            step.write.as_ref().unwrap().unwanted_effects(),
            1,
            "{kind:?}: counted"
        );
        world.carry_out(id, step);
        let answer = world.post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":600}"#);
        let capture = &body(&answer)["capture"];
        assert_eq!(
            (answer.status, &capture["amount"], &capture["requested_amount"]),
            (200, &json!(2599), &json!(600))
        );
        let shown = world.get(id);
        assert_eq!(
            (&shown["status"], &shown["operation"]["state"]),
            (&json!("CAPTURED"), &json!("parked")),
            "{kind:?}"
        );
        let reason = shown["operation"]["reason"].as_str().unwrap();
        assert!(reason.contains("600") && reason.contains("2599"), "{reason}");
        let line = shown["timeline"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (
                &line["details"]["requested_amount"],
                &line["details"]["captured_amount"]
            ),
            (&json!(600), &json!(2599))
        );
        let standing = world.record(id).standing();
        let waits_for = standing.waits.map(|(waits_for, _)| waits_for);
        assert_eq!(
            (standing.is_open(), waits_for),
            (true, Some(WaitsFor::Operator)),
            "a final status, and not over"
        );
        // Nothing is undone by itself, and an operator ends it.
        let money = world.money_calls;
        world.settle(id, 5);
        assert_eq!(world.money_calls, money);
        let said =
            json!({"operator": "ada", "reason": "refunded 19.99 at the dashboard", "outcome": "happened"});
        let said = world.word(id, said);
        assert_eq!(
            world.post(&format!("/attempts/{id}/resolve"), "r1", &said).status,
            200
        );
        assert_eq!(world.get(id).get("operation"), None, "{kind:?}");
        assert!(!world.record(id).standing().is_open(), "{kind:?}");
        let again = world.post(&format!("/attempts/{id}/resolve"), "r2", &said);
        assert_eq!(again.status, 409, "there is nothing left to resolve");
    }
}

#[test]
fn a_capture_in_another_currency_is_found_as_well() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    world
        .script
        .push_back(capture_all(Kind::AcquirerQueryable, 2599, "EUR"));
    let answer = world.op(id, "capture", "k3");
    let capture = &body(&answer)["capture"];
    assert_eq!(
        (&capture["captured_currency"], &capture["requested_amount"]),
        (&json!("EUR"), &json!(2599))
    );
    assert_eq!(world.get(id)["operation"]["state"], "parked");
}

/// The answer said what was asked for; a later event says more. That is found as well, once.
#[test]
fn an_event_that_shows_another_captured_amount_is_found_after_the_answer() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    assert_eq!(
        world
            .post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":600}"#)
            .status,
        200
    );
    let mut object = world.ledger.intent("pi_3N00001");
    object["amount_received"] = 2599.into();
    for _ in 0..2 {
        world.webhook(&json!({"type": "payment_intent.succeeded", "data": {"object": object}}));
    }
    let shown = world.get(id);
    assert_eq!(
        (&shown["capture"]["amount"], &shown["capture"]["requested_amount"]),
        (&json!(2599), &json!(600))
    );
    let told = |line: &&String| line.contains("captured something else");
    assert_eq!(world.story(id).iter().filter(told).count(), 1);
    // The negative: what was asked for is no news.
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.op(id, "capture", "k3");
    assert_eq!(world.get(id)["capture"].get("requested_amount"), None);
    assert_eq!(world.get(id).get("operation"), None);
}

/// A capture by hand was not asked for, so there is nothing that it differs from.
#[test]
fn a_capture_by_hand_is_shown_as_it_is() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let mut object = world.ledger.intent("pi_3N00001");
    object["status"] = "succeeded".into();
    object["amount_received"] = 700.into();
    world.webhook(&json!({"type": "payment_intent.succeeded", "data": {"object": object}}));
    let shown = world.get(id);
    assert_eq!(
        (&shown["status"], &shown["capture"]["amount"]),
        (&json!("CAPTURED"), &json!(700))
    );
    assert_eq!(shown["capture"].get("requested_amount"), None);
}

#[test]
fn a_reversal_is_on_record_and_the_status_stays() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let captured = world.op(id, "capture", "k3");
    let capture = world.record(id).state().capture.clone().unwrap().psp_reference;
    let reversal = json!({"type": "reversal", "reference": id.to_string(), "of": capture, "status": "approved",
        "psp_reference": "rev_1", "amount": 2599, "currency": "GBP"});
    let before = world.writes;
    for _ in 0..2 {
        assert_eq!(world.webhook(&reversal).status, 200);
    }
    assert_eq!(world.writes, before + 1, "once");
    let shown = world.get(id);
    assert_eq!(
        (&shown["status"], &shown["capture"]["reversed_amount"]),
        (&json!("CAPTURED"), &json!(2599))
    );
    let story = world.story(id);
    assert!(story.last().unwrap().contains("taken back"), "{story:#?}");
    // A replay stays as it was, byte for byte.
    assert_eq!(world.op(id, "capture", "k3").body, captured.body);
}

/// A thin event names the dispute, which names its PaymentIntent, which names the attempt.
#[test]
fn a_thin_event_of_a_dispute_is_read_about_twice() {
    let mut world = World::new(Kind::Stripe);
    assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
    let id = *world.store.keys().next().unwrap();
    let dispute = json!({"id": "dp_1", "object": "dispute", "amount": 600, "currency": "gbp", "payment_intent": "pi_3N00001"});
    world
        .script
        .extend([Told::Instead(answered(200, dispute.to_string())), Told::Truth]);
    let event = json!({"id": "evt_1", "type": "v1.charge.dispute.created",
        "related_object": {"id": "dp_1", "type": "dispute", "url": "/v1/disputes/dp_1"}});
    assert_eq!(world.webhook(&event).status, 200);
    assert_eq!(world.get(id)["capture"]["reversed_amount"], 600);
}

#[test]
fn a_dispute_at_stripe_is_read_about_and_recorded() {
    let mut world = World::new(Kind::Stripe);
    assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
    let id = *world.store.keys().next().unwrap();
    let dispute = json!({"id": "dp_1", "object": "dispute", "amount": 2599, "currency": "gbp", "payment_intent": "pi_3N00001"});
    let event = json!({"id": "evt_1", "type": "charge.dispute.created", "data": {"object": dispute}});
    assert_eq!(world.webhook(&event).status, 200);
    assert!(
        world
            .calls
            .last()
            .unwrap()
            .http
            .url
            .contains("/v1/payment_intents/pi_3N00001")
    );
    let shown: Value = world.get(id);
    assert_eq!(
        (&shown["status"], &shown["capture"]["reversed_amount"]),
        (&json!("CAPTURED"), &json!(2599))
    );
}
