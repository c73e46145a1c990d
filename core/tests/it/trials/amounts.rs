//! Refunds, reversals and amounts; old records and look-ups.

use super::{event, list, only, play, truth};
use crate::support::{CREATE, DAY_MS, Kind, Told, World, answered, json as body, text, timeout};
use pay_once_core::journal::entry::{Entry, Fact};
use pay_once_core::{AttemptId, Call, Input, Millis, Outcome, Record};
use serde_json::json;

/// A second capture, `pi_9`, whose refund is answered so.
fn second_capture(told: Told) -> (World, AttemptId) {
    let mut world = World::new(Kind::Stripe);
    assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
    let id = only(&world);
    world.script.push_back(told);
    let other = json!({"id": "pi_9", "object": "payment_intent", "status": "succeeded", "amount": 2599,
        "amount_received": 2599, "currency": "gbp", "metadata": {"attempt_id": id.to_string()}});
    world.webhook(&event(&other));
    (world, id)
}

/// A part was given back by hand: what is left is asked for, not the whole, which the PSP must refuse.
#[test]
fn after_a_partial_refund_by_hand_what_is_left_is_asked_for() {
    let refusal = r#"{"error":{"type":"invalid_request_error","param":"amount","message":"Refund amount (£25.99) is greater than unrefunded amount on charge (£19.99)"}}"#;
    let (mut world, id) = second_capture(Told::Instead(answered(400, refusal)));
    let part = json!({"id": "re_hand", "amount": 600, "currency": "gbp", "status": "succeeded", "payment_intent": "pi_9"});
    let until_ms = world.now_ms + 3 * DAY_MS;
    play(
        &mut world,
        id,
        until_ms,
        &|call| {
            let asked = String::from_utf8_lossy(&call.http.body).into_owned();
            let all = json!({"id": "re_1", "amount": 1999, "currency": "gbp", "status": "succeeded", "payment_intent": "pi_9"});
            Some(if asked.contains("amount=1999") {
                answered(200, all.to_string())
            } else {
                answered(400, refusal)
            })
        },
        &|_| Some(list(std::slice::from_ref(&part))),
    );
    assert!(!world.is_parked(id), "{:#?}", world.story(id));
    assert!(
        world.record(id).state().running.is_none(),
        "{:#?}",
        world.story(id)
    );
}

/// What was given back by hand fails while the rest is given back: the next try asks for that part, not for nothing.
#[test]
fn a_refund_by_hand_that_fails_is_made_up_for() {
    let refusal =
        r#"{"error":{"type":"invalid_request_error","param":"amount","message":"Invalid positive integer"}}"#;
    let (mut world, id) = second_capture(Told::Instead(answered(400, refusal)));
    let refund = |id: &str, amount: u64, status: &str| json!({"id": id, "object": "refund", "amount": amount, "currency": "gbp", "status": status, "payment_intent": "pi_9"});
    let takes = |amount: &'static str, refund: serde_json::Value| {
        move |call: &Call| {
            let form = String::from_utf8_lossy(&call.http.body).into_owned();
            let is_meant = form.split('&').any(|pair| pair == format!("amount={amount}"));
            Some(if is_meant {
                answered(200, refund.to_string())
            } else {
                answered(400, refusal)
            })
        }
    };
    // 600 by hand, and the rest by us.
    let until_ms = world.now_ms + 3 * DAY_MS;
    let rest = takes("1999", refund("re_1", 1999, "succeeded"));
    let shown = [refund("re_hand", 600, "succeeded")];
    play(&mut world, id, until_ms, &rest, &|_| Some(list(&shown)));
    assert!(
        world.record(id).state().running.is_none(),
        "{:#?}",
        world.story(id)
    );
    // Ours fails and is made again, and its answer is lost; by then the one by hand has failed as well.
    let second = json!({"id": "pi_9", "object": "payment_intent", "status": "succeeded", "amount": 2599,
        "amount_received": 2599, "currency": "gbp", "metadata": {"attempt_id": id.to_string()}});
    world.script.extend([
        Told::Instead(answered(200, second.to_string())),
        Told::Instead(timeout()),
    ]);
    world.webhook(
        &json!({"id": "evt", "type": "refund.failed", "data": {"object": refund("re_1", 1999, "failed")}}),
    );
    assert!(
        world.record(id).state().running.is_some(),
        "{:#?}",
        world.story(id)
    );
    let until_ms = world.now_ms + 3 * DAY_MS;
    let part = takes("600", refund("re_3", 600, "succeeded"));
    let shown = [
        refund("re_2", 1999, "succeeded"),
        refund("re_1", 1999, "failed"),
        refund("re_hand", 600, "failed"),
    ];
    play(&mut world, id, until_ms, &part, &|_| Some(list(&shown)));
    assert!(
        world.record(id).state().running.is_none(),
        "{:#?}",
        world.story(id)
    );
    assert!(!world.is_parked(id));
}

/// The issuer took a part back: the rest is still to be given back.
#[test]
fn a_partial_reversal_does_not_end_the_refund_of_the_rest() {
    let (mut world, id) = second_capture(Told::Instead(answered(500, "")));
    let dispute = json!({"id": "dp_1", "object": "dispute", "amount": 100, "currency": "gbp", "payment_intent": "pi_9"});
    let object = json!({"id": "pi_9", "object": "payment_intent", "status": "succeeded", "amount": 2599,
        "amount_received": 2599, "currency": "gbp", "metadata": {"attempt_id": id.to_string()}});
    world
        .script
        .push_back(Told::Instead(answered(200, object.to_string())));
    world.webhook(&json!({"id": "evt", "type": "charge.dispute.created", "data": {"object": dispute}}));
    assert!(
        world.record(id).state().running.is_some(),
        "24.99 are left: {:#?}",
        world.story(id)
    );
}

/// Two captures show at once: the one that is kept has another amount than was asked for, and the right one is given back.
#[test]
fn of_two_captures_the_one_that_stays_is_checked() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    world.script.push_back(Told::Instead(timeout()));
    world.post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":600}"#);
    let auth = world
        .record(id)
        .state()
        .authorization
        .clone()
        .unwrap()
        .psp_reference;
    let listing = json!({
        "authorize": [{"id": auth, "amount": 2599}],
        "capture": [{"id": "cap_a", "amount": 2599, "psp_reference": auth}, {"id": "cap_b", "amount": 600, "psp_reference": auth}],
        "void": [],
    });
    world
        .script
        .push_back(Told::Instead(answered(200, listing.to_string())));
    let back = json!({"status": "approved", "psp_reference": "void_9", "amount": 600});
    world
        .script
        .push_back(Told::Instead(answered(200, back.to_string())));
    world.settle(id, 1);
    let shown = world.get(id);
    assert_eq!(shown["status"], "CAPTURED");
    assert!(
        shown["capture"]["amount"] == 600 || shown["operation"]["state"] == "parked",
        "{} {:#?}",
        shown["capture"],
        world.story(id)
    );
}

/// A charge whose answer says that another currency, or another amount, was captured: rule 14, and no “nothing was taken, try again”.
#[test]
fn an_automatic_capture_of_something_else_is_no_decline() {
    for (amount, currency) in [(2599, "eur"), (5000, "gbp")] {
        let mut world = World::new(Kind::Stripe);
        let told = json!({"id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": amount,
            "amount_received": amount, "currency": currency, "metadata": {}});
        world
            .script
            .extend([Told::Instead(answered(200, told.to_string())), Told::Hold]);
        let answer = world.post("/charge", "c1", CREATE);
        let shown = body(&answer);
        assert_ne!(
            shown["error"]["safe_new_key"],
            json!(true),
            "{amount} {currency} are taken, the refund is not even sent: {}",
            text(&answer)
        );
    }
}

/// Both figures are shown, also where an answer that names no currency was heard as well.
#[test]
fn a_captured_currency_is_shown_whoever_else_was_heard() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    world.script.push_back(Told::Instead(answered(
        200,
        json!({"status": "approved", "psp_reference": "cap_9", "amount": 2599}).to_string(),
    )));
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    world.webhook(
        &json!({"type": "capture", "reference": id.to_string(), "status": "approved",
        "psp_reference": "cap_9", "amount": 2599, "currency": "EUR"}),
    );
    let shown = world.get(id);
    assert_eq!(
        (
            &shown["operation"]["state"],
            &shown["capture"]["captured_currency"],
            &shown["capture"]["requested_amount"]
        ),
        (&json!("parked"), &json!("EUR"), &json!(2599)),
        "{}",
        shown["capture"]
    );
}

/// Refund events out of order: failed first, then the older “succeeded”.
#[test]
fn a_refund_that_failed_is_not_taken_for_done_by_an_older_event() {
    let (mut world, id) = second_capture(Told::Instead(timeout()));
    let refund = |status: &str| {
        json!({"id": "re_1", "object": "refund", "amount": 2599, "currency": "gbp", "status": status,
            "payment_intent": "pi_9", "metadata": {"attempt_id": id.to_string()}})
    };
    for status in ["failed", "succeeded", "pending", "succeeded"] {
        world.webhook(&json!({"id": "evt", "type": "refund.updated", "data": {"object": refund(status)}}));
    }
    assert!(
        world.record(id).state().running.is_some(),
        "{:#?}",
        world.story(id)
    );
}

/// A refund that fails each time later: no endless journal.
#[test]
fn refunds_that_fail_later_for_ever_come_to_an_operator() {
    let (mut world, id) = second_capture(Told::Hold);
    let second = json!({"id": "pi_9", "object": "payment_intent", "status": "succeeded", "amount": 2599,
        "amount_received": 2599, "currency": "gbp", "metadata": {"attempt_id": id.to_string()}});
    let mut n = 0;
    while n < 300 && !world.is_parked(id) {
        n += 1;
        let told = |status: &str| {
            json!({"id": format!("re_{n}"), "object": "refund", "amount": 2599, "currency": "gbp", "status": status,
                "payment_intent": "pi_9", "metadata": {"attempt_id": id.to_string()}})
        };
        if let Some(call) = world.held.pop() {
            world.outcome(call, answered(200, told("succeeded").to_string()));
        }
        world.now_ms += 60_000;
        // The event's PaymentIntent is read first; then it is refunded once more.
        world.script.clear();
        world
            .script
            .extend([Told::Instead(answered(200, second.to_string())), Told::Hold]);
        world.webhook(&json!({"id": "evt", "type": "refund.failed", "data": {"object": told("failed")}}));
        assert!(
            world.record(id).entries().len() < 300,
            "{n} refunds, {} entries",
            world.record(id).entries().len()
        );
    }
    assert!(world.is_parked(id), "{n} {:#?}", world.story(id));
    // The operator's own try has a number that no try before had: the PSP still answers an old key with the refund that failed.
    let used: Vec<String> = world.calls.iter().filter_map(key_of).collect();
    let said = json!({"operator": "ada", "reason": "by the books", "outcome": "did_not_happen"});
    let said = world.word(id, said);
    world.script.push_back(Told::Hold);
    let resolved = world.post(&format!("/attempts/{id}/resolve"), "r1", &said);
    assert_eq!(resolved.status, 200, "{}", text(&resolved));
    let fresh = key_of(&world.held.pop().unwrap()).unwrap();
    assert!(!used.contains(&fresh), "{fresh} was sent before");
}

/// The PSP key of a call.
fn key_of(call: &Call) -> Option<String> {
    let mut headers = call.http.headers.iter();
    headers
        .find(|(name, _)| *name == "idempotency-key")
        .map(|(_, value)| value.clone())
}

/// Rewrites the record as an older build left it: form 0, and an amount that this build would have refused.
fn of_form_0(world: &mut World, id: AttemptId, amount: u64) {
    let record = world.record(id);
    let change = |entry: &Entry| {
        let mut entry = entry.clone();
        match &mut entry.fact {
            Fact::Created { terms, .. } => terms.money.amount_minor = amount,
            Fact::Intended { amount_minor, .. } => *amount_minor = amount,
            _ => {}
        }
        entry
    };
    let mut entries = record.entries().iter().map(|entry| change(entry));
    let mut old = Record::begin(id, entries.next().unwrap(), "").unwrap();
    for entry in entries.filter(|entry| !matches!(entry.fact, Fact::WireForm { .. })) {
        old.append(entry).unwrap();
    }
    world.store.insert(id, old.encode());
}

/// An older build dispatched an amount that Stripe does not have in today's units. Its next effect number is dispatched in today's form.
#[test]
fn an_older_builds_amount_is_not_sent_where_it_cannot_be_expressed() {
    let mut world = World::new(Kind::StripeListed);
    world.psp_mut().capabilities.keyed_horizon_ms = None;
    world.psp_mut().timing.authorize_retry_ms = Millis::new(DAY_MS);
    let create = CREATE.replace("GBP", "KWD").replace("2599", "2590");
    let id = world.create_with("k1", &create);
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    of_form_0(&mut world, id, 2595);
    let until_ms = world.now_ms + 600_000;
    play(&mut world, id, until_ms, &|_| Some(timeout()), &truth);
    for call in &world.calls {
        let sent = String::from_utf8_lossy(&call.http.body);
        assert!(!sent.contains("amount=&"), "{sent}");
    }
}

/// Cursors that go round in a circle are as stuck as one that stays.
#[test]
fn cursors_that_go_round_are_a_failed_look() {
    let mut world = World::new(Kind::StripeListed);
    world.psp_mut().capabilities.keyed_horizon_ms = None;
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    let page = |name: &str| {
        answered(
            200,
            json!({"data": [{"id": name, "amount": 1, "currency": "gbp", "status": "succeeded", "metadata": {}}], "has_more": true})
                .to_string(),
        )
    };
    world.now_ms = world.due(id).unwrap();
    let (mut calls, _) = world.step(id, &Input::Wake);
    let mut asked = 0;
    while let Some(call) = calls.pop() {
        asked += 1;
        assert!(asked < 500, "it asks for ever, without a pause");
        let result = page(if asked % 2 == 0 { "pi_a" } else { "pi_b" });
        let input = Input::Outcome(Box::new(Outcome { call, result }));
        calls.extend(world.step(id, &input).0);
    }
}
