//! Attempts to break rules 9 and 13 to 15, rejections, and what follows from them. Each test states what must hold; those that fail are
//! findings.

use std::collections::BTreeMap;

use pay_once_core::id::AttemptId;
use pay_once_core::journal::{Entry, Fact, Operation};
use pay_once_core::machine::{Input, Outcome};
use pay_once_core::psp::{Call, CallResult};
use pay_once_core::record::Record;
use serde_json::{Value, json};

use crate::support::{
    CREATE, DAY_MS, Kind, START_MS, Told, World, answered, code, json as body, text, timeout,
};

const REVOKED: &str = r#"{"error":{"type":"invalid_request_error","code":"k","message":"Invalid API Key"}}"#;

fn rejected(status: u16) -> Told {
    Told::Instead(answered(status, REVOKED))
}

fn only(world: &World) -> AttemptId {
    *world.store.keys().next().unwrap()
}

/// A PaymentIntent that names the attempt.
fn intent(id: AttemptId, object: &str, status: &str, amount: u64, created_ms: u64) -> Value {
    let received = if status == "succeeded" { amount } else { 0 };
    json!({"id": object, "object": "payment_intent", "status": status, "amount": amount, "amount_received": received,
        "currency": "gbp", "created": created_ms / 1000, "metadata": {"attempt_id": id.to_string()}})
}

fn event(object: &Value) -> Value {
    json!({"id": "evt_1", "object": "event", "type": "payment_intent.updated", "data": {"object": object}})
}

fn list(objects: &[Value]) -> CallResult {
    answered(
        200,
        json!({"object": "list", "data": objects, "has_more": false}).to_string(),
    )
}

/// Lets timers fire until `until_ms`, or until nothing is due; money is told `money`, questions `question`, or the truth.
fn play(
    world: &mut World,
    id: AttemptId,
    until_ms: u64,
    money: &dyn Fn(&Call) -> Option<CallResult>,
    question: &dyn Fn(&Call) -> Option<CallResult>,
) {
    let mut steps = 0;
    while let Some(at_ms) = world.due(id).filter(|at_ms| *at_ms <= until_ms) {
        steps += 1;
        assert!(steps < 3_000, "a tight loop: {:#?}", world.story(id));
        world.now_ms = world.now_ms.max(at_ms);
        let (mut calls, _) = world.step(id, &Input::Wake);
        while let Some(call) = calls.pop() {
            let told = if call.moves_money {
                money(&call)
            } else {
                question(&call)
            };
            let result = told.unwrap_or_else(|| world.ledger.act(&call.http, world.now_ms));
            let input = Input::Outcome(Box::new(Outcome { call, result }));
            calls.extend(world.step(id, &input).0);
        }
    }
    world.now_ms = world.now_ms.max(until_ms);
}

fn truth(_: &Call) -> Option<CallResult> {
    None
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Rejections and keys
// ---------------------------------------------------------------------------------------------------------------------------------

/// After a rejection the attempt is CREATED again; a client that asks under a new key and brings a return_url breaks “one return
/// address, before every dispatch”: a debug assertion, and another body under the same PSP key.
#[test]
fn a_return_url_that_comes_after_a_rejection() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(rejected(401));
    assert_eq!(world.op(id, "authorize", "k2").status, 502);
    world.now_ms += 2_000;
    let answer = world.post(
        &format!("/attempts/{id}/authorize"),
        "k3",
        r#"{"return_url":"https://shop.example/back"}"#,
    );
    assert!(matches!(answer.status, 200 | 400), "{}", text(&answer));
    one_key_one_request(&world);
}

/// The same PSP key must never carry another request.
fn one_key_one_request(world: &World) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for call in &world.calls {
        let key = call
            .http
            .headers
            .iter()
            .find(|(name, _)| *name == "idempotency-key");
        let Some((_, key)) = key else { continue };
        let asked = format!("{} {}", call.http.url, String::from_utf8_lossy(&call.http.body));
        let before = known.entry(key.clone()).or_insert_with(|| asked.clone());
        assert_eq!(*before, asked, "one PSP key, one request: {key}");
    }
}

/// Between the rejection and the retry a webhook names the object that the request had made all the same: the retry goes to
/// another path under the same PSP key.
#[test]
fn a_retry_after_a_rejection_is_the_same_request_whatever_was_learned_meanwhile() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(rejected(401));
    assert_eq!(world.op(id, "authorize", "k2").status, 502);
    world.webhook(&event(&intent(
        id,
        "pi_1",
        "requires_confirmation",
        2599,
        world.now_ms,
    )));
    world.now_ms += 2_000;
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    one_key_one_request(&world);
}

/// The pauses are the attempt's, not the key's: a client that takes a new key each time is not to hammer the PSP.
#[test]
fn new_keys_do_not_evade_the_pauses_between_retries() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.extend(std::iter::repeat_n(rejected(401), 30));
    for n in 0..20 {
        world.op(id, "authorize", &format!("a{n}"));
    }
    assert!(
        world.money_calls <= 2,
        "{} sendings in one moment",
        world.money_calls
    );
}

/// A key that is revoked for two days: its client retries as it is told to. Once the key is mended, the authorization can still be
/// captured, or at least voided.
#[test]
fn retries_of_what_is_rejected_do_not_fill_the_record() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    while world.now_ms < START_MS + 3 * DAY_MS {
        world.script.push_back(rejected(401));
        let answer = world.op(id, "capture", "k3");
        world.script.clear();
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (502, "PSP_REJECTED_REQUEST"),
            "after {} h, {} entries: {}",
            (world.now_ms - START_MS) / 3_600_000,
            world.record(id).entries().len(),
            text(&answer)
        );
        let pause_s: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
        world.now_ms += pause_s * 1_000;
    }
    assert_eq!(world.op(id, "capture", "k3").status, 200);
}

/// The counterpart: after the record is full, neither capture nor void is possible though the PSP works again.
#[test]
fn a_record_that_rejections_have_filled_can_still_be_voided() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    for _ in 0..60 {
        world.script.push_back(rejected(401));
        world.op(id, "capture", "k3");
        world.script.clear();
        world.now_ms += 3_600_000;
    }
    let answer = world.op(id, "void", "k4");
    assert_eq!(answer.status, 200, "{}", text(&answer));
}

/// “Never finalized by this”: a rejection that proves nothing by itself, followed by looks that prove no effect, ends the attempt
/// DECLINED two minutes later.
#[test]
fn a_rejection_that_a_look_proves_without_effect_declines_nothing() {
    let cases = [
        (Kind::StripeListed, answered(403, "<html>forbidden</html>")),
        (Kind::AcquirerQueryable, answered(401, "")),
        (
            Kind::StripeNoKeys,
            answered(
                400,
                r#"{"error":{"type":"invalid_request_error","code":"parameter_unknown","param":"expand"}}"#,
            ),
        ),
    ];
    for (kind, told) in cases {
        let mut world = World::new(kind);
        let id = world.create();
        if kind == Kind::StripeNoKeys {
            world.script.push_back(Told::Truth);
        }
        world.script.push_back(Told::Instead(told.clone()));
        world.op(id, "authorize", "k2");
        let until_ms = world.now_ms + 3_600_000;
        play(&mut world, id, until_ms, &|_| Some(told.clone()), &truth);
        assert_ne!(world.status(id), "DECLINED", "{kind:?} {:#?}", world.story(id));
    }
}

/// The same of a capture: a request that the PSP refuses (a parameter of ours) is dispatched again and again without its client.
#[test]
fn a_rejected_capture_is_dispatched_again_by_its_client_only() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let bare = answered(
        400,
        r#"{"error":{"type":"invalid_request_error","code":"parameter_unknown","param":"expand"}}"#,
    );
    world.script.push_back(Told::Instead(bare.clone()));
    world.op(id, "capture", "k3");
    let until_ms = world.now_ms + 2 * DAY_MS;
    play(&mut world, id, until_ms, &|_| Some(bare.clone()), &truth);
    let numbers: Vec<u16> = world
        .dispatches(id, Operation::Capture)
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!(
        (world.status(id).as_str(), numbers.last()),
        ("AUTHORIZED", Some(&1)),
        "{numbers:?}"
    );
}

/// Rule 5, across the runs of one operation: a rejected sending left, so the key's horizon counts from there.
#[test]
fn a_key_is_not_sent_past_its_horizon_after_a_rejection() {
    let mut world = World::new(Kind::AcquirerKeyed);
    world.psp_mut().timing.authorize_retry_ms = 2 * DAY_MS;
    let id = world.create();
    // As in `what_was_rejected_is_sent_again_under_its_own_key`: the rejection answered a second delivery.
    world.script.push_back(Told::Lost(answered(401, REVOKED)));
    assert_eq!(world.op(id, "authorize", "k2").status, 502);
    world.now_ms = START_MS + DAY_MS - 600_000;
    world.script.extend([Told::Instead(timeout())]);
    world.op(id, "authorize", "k2");
    let until_ms = START_MS + DAY_MS + 1_800_000;
    play(
        &mut world,
        id,
        until_ms,
        &|call| (call.send_by_ms < START_MS + DAY_MS + 600_000).then(timeout),
        &truth,
    );
    let late: Vec<u64> = dispatched_at(&world, id, "authorize-1")
        .into_iter()
        .filter(|at_ms| *at_ms >= START_MS + DAY_MS)
        .collect();
    assert_eq!(
        (world.ledger.authorizations(), late.len()),
        (1, 0),
        "{:#?}",
        world.story(id)
    );
}

/// The same where no client waits: an automatic capture that is rejected for a day and more.
#[test]
fn an_automatic_capture_is_not_sent_past_its_keys_horizon() {
    let mut world = World::new(Kind::AcquirerKeyed);
    world
        .script
        .extend([Told::Truth, Told::Lost(answered(401, REVOKED))]);
    world.post("/charge", "c1", CREATE);
    let id = only(&world);
    let until_ms = START_MS + DAY_MS + 4 * 3_600_000;
    play(
        &mut world,
        id,
        until_ms,
        &|call| (call.send_by_ms < START_MS + DAY_MS + 100_000).then(|| answered(401, REVOKED)),
        &truth,
    );
    assert_eq!(
        (world.ledger.captures(), world.is_parked(id)),
        (1, true),
        "{:#?}",
        world.story(id)
    );
}

fn dispatched_at(world: &World, id: AttemptId, key: &str) -> Vec<u64> {
    let record = world.record(id);
    let sent = record.entries().iter().filter_map(|entry| match &entry.fact {
        Fact::Dispatched {
            psp_key, sent_at_ms, ..
        } if psp_key.ends_with(key) => Some(*sent_at_ms),
        _ => None,
    });
    sent.collect()
}

/// Rule 7: the same outcome, delivered again, writes nothing; also once all tries are spent.
#[test]
fn a_rejection_that_is_heard_twice_is_written_once() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.authorized();
    world.script.push_back(Told::Hold);
    world.op(id, "void", "k3");
    let first = world.held.remove(0);
    let outcome = || {
        Input::Outcome(Box::new(Outcome {
            call: first.clone(),
            result: answered(401, REVOKED),
        }))
    };
    world.step(id, &outcome());
    for _ in 0..60 {
        if world.is_parked(id) {
            break;
        }
        world.script.push_back(rejected(401));
        world.settle(id, 1);
    }
    assert!(world.is_parked(id));
    let entries = world.record(id).entries().len();
    for _ in 0..5 {
        world.step(id, &outcome());
    }
    assert_eq!(world.record(id).entries().len(), entries);
    assert!(world.is_parked(id));
}

/// The charge's own authorization came through though it was rejected (a second delivery): while its capture is under way, its key
/// is told that nothing was done for it.
#[test]
fn a_withdrawn_charge_that_goes_on_is_not_told_that_nothing_was_done() {
    let mut world = World::new(Kind::AcquirerKeyed);
    world.script.push_back(Told::Lost(answered(401, REVOKED)));
    assert_eq!(world.post("/charge", "c1", CREATE).status, 502);
    let id = only(&world);
    let notice = world.ledger.notices[0].clone();
    world.script.push_back(Told::Hold);
    world.webhook(&notice);
    assert_eq!(world.status(id), "CAPTURING");
    let answer = world.post("/charge", "c1", CREATE);
    assert_eq!(answer.status, 202, "{}", text(&answer));
}

/// A part was asked for and rejected; the whole is captured at the PSP. The key is not told 200 as if it had been what it asked for.
#[test]
fn a_withdrawn_capture_of_a_part_is_not_told_of_the_whole_as_its_own() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let target = format!("/attempts/{id}/capture");
    world.script.push_back(rejected(401));
    assert_eq!(world.post(&target, "k3", r#"{"amount":600}"#).status, 502);
    let object = intent(id, "pi_3N00001", "succeeded", 2599, world.now_ms);
    world.webhook(&event(&object));
    assert_eq!(world.status(id), "CAPTURED");
    let answer = world.post(&target, "k3", r#"{"amount":600}"#);
    let shown = world.get(id);
    assert!(
        answer.status == 409 || shown["operation"]["state"] == "parked",
        "{}",
        text(&answer)
    );
}

/// CREATED again after a rejection; then the PSP shows an authorization of another amount as the attempt's (a named installation, so it
/// is ours). It is held, nothing is to be done about it, and nobody is told.
#[test]
fn what_shows_after_a_rejection_with_another_amount_is_not_left_held_or_taken() {
    for (status, amount) in [("requires_capture", 99), ("succeeded", 99)] {
        let mut world = World::new(Kind::Stripe);
        world.config.installation = "shop".to_owned();
        let id = world.create();
        world.script.push_back(rejected(401));
        assert_eq!(world.op(id, "authorize", "k2").status, 502);
        world.script.push_back(Told::Hold);
        world.webhook(&event(&intent(id, "pi_1", status, amount, world.now_ms)));
        let shown = world.get(id);
        let is_seen_to = !world.held.is_empty() || shown["operation"]["state"] == "parked";
        assert!(
            is_seen_to && shown["status"] != "CAPTURED",
            "{status}: {} {:#?}",
            shown["status"],
            world.story(id)
        );
    }
}

/// The refusal of a form has the object beside it, and the object says that the money was captured (the request was delivered twice).
#[test]
fn a_refused_form_with_the_captured_object_inside_is_a_capture() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let object = intent(id, "pi_3N00001", "succeeded", 2599, START_MS);
    let error = json!({"error": {"type": "invalid_request_error", "code": "amount_too_large", "param": "amount_to_capture",
        "message": "Nothing is left to capture.", "payment_intent": object}});
    world
        .script
        .push_back(Told::Lost(answered(400, error.to_string())));
    let answer = world.op(id, "capture", "k3");
    assert_eq!(
        world.status(id),
        "CAPTURED",
        "{} though {} is captured",
        text(&answer),
        world.ledger.taken()
    );
}

/// An acquirer that was sent the capture twice by the network refuses the second for its amount: nothing is left. The same thought as
/// with `already_captured`.
#[test]
fn a_capture_whose_amount_is_refused_may_have_been_delivered_twice() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let refusal =
        r#"{"error":{"code":"amount_exceeds_remaining","field":"amount","message":"Only 0.00 is left"}}"#;
    world.script.push_back(Told::Lost(answered(422, refusal)));
    let answer = world.op(id, "capture", "k3");
    world.post(&format!("/attempts/{id}/capture"), "k4", r#"{"amount":900}"#);
    assert_eq!(world.ledger.captures(), 1, "{}", text(&answer));
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Whose objects
// ---------------------------------------------------------------------------------------------------------------------------------

/// A foreign authorization of yesterday is in the acquirer's listing for ever. Our own 3-D Secure is open, named by an answer and
/// listed: it must not be given to an operator for that, and its customer must be seen.
#[test]
fn a_foreign_object_does_not_park_our_own_open_action() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let answer = world.post("/charge", "c1", &CREATE.replace("visa", "3ds"));
    assert_eq!(answer.status, 202);
    let id = only(&world);
    let old_s = (START_MS - DAY_MS) / 1000;
    let with_foreign = |world: &mut World, call: &Call| {
        let CallResult::Answered { body, .. } = world.ledger.act(&call.http, world.now_ms) else {
            panic!("an answer");
        };
        let mut listing: Value = serde_json::from_slice(&body).unwrap();
        let foreign = json!({"id": "t_old", "amount": 2599, "created": old_s});
        listing["authorize"].as_array_mut().unwrap().push(foreign);
        answered(200, listing.to_string())
    };
    let mut finished = false;
    while let Some(at_ms) = world.due(id).filter(|at_ms| *at_ms < START_MS + 3_000_000) {
        world.now_ms = world.now_ms.max(at_ms);
        if world.now_ms > START_MS + 600_000 && !finished {
            world.ledger.finish_action();
            finished = true;
        }
        let (mut calls, _) = world.step(id, &Input::Wake);
        while let Some(call) = calls.pop() {
            let result = if call.moves_money {
                world.ledger.act(&call.http, world.now_ms)
            } else {
                with_foreign(&mut world, &call)
            };
            let input = Input::Outcome(Box::new(Outcome { call, result }));
            calls.extend(world.step(id, &input).0);
        }
        if world.status(id) == "CAPTURED" {
            break;
        }
    }
    assert!(
        !world.is_parked(id),
        "parked at {} s: {:#?}",
        (world.now_ms - START_MS) / 1000,
        world.story(id)
    );
    assert_eq!(world.status(id), "CAPTURED", "{:#?}", world.story(id));
}

/// A payment of last year under the same reference is given back today, while our own authorization is in doubt: the “void” of its
/// capture builds on a foreign object and must not end the attempt.
#[test]
fn the_undoing_of_a_foreign_capture_does_not_end_the_attempt() {
    for by_webhook in [false, true] {
        let mut world = World::new(Kind::AcquirerQueryable);
        world.ledger.listing_lag_ms = 5_000;
        let id = world.create();
        world.script.push_back(Told::Lost(timeout()));
        world.op(id, "authorize", "k2");
        let old_s = (START_MS - DAY_MS) / 1000;
        let new_s = START_MS / 1000 + 1;
        if by_webhook {
            let of_old = json!({"type": "authorize", "reference": id.to_string(), "status": "approved",
                "psp_reference": "t1", "amount": 2599, "currency": "GBP", "created": old_s});
            let capture = json!({"type": "capture", "reference": id.to_string(), "status": "approved", "of": "t1",
                "psp_reference": "t2", "amount": 2599, "currency": "GBP", "created": old_s});
            let back = json!({"type": "void", "reference": id.to_string(), "status": "approved", "of": "t2",
                "psp_reference": "t3", "amount": 2599, "currency": "GBP", "created": new_s});
            for notice in [of_old, capture, back] {
                assert_eq!(world.webhook(&notice).status, 200);
            }
        } else {
            let listing = json!({
                "authorize": [{"id": "t1", "amount": 2599, "created": old_s}],
                "capture": [{"id": "t2", "amount": 2599, "psp_reference": "t1", "created": old_s}],
                "void": [{"id": "t3", "amount": 2599, "psp_reference": "t2", "created": new_s}],
            });
            world
                .script
                .push_back(Told::Instead(answered(200, listing.to_string())));
            world.settle(id, 1);
        }
        assert_eq!(
            (world.status(id).as_str(), world.ledger.live()),
            ("AUTHORIZING", 1),
            "webhook {by_webhook}: {:#?} {}",
            world.story(id),
            text(&world.op(id, "authorize", "k2"))
        );
    }
}

/// The other installation's own refund carries its reference, which is ours as well: heard first, it makes a payment of three days ago
/// “named by the journal”, and the next event has it undone.
#[test]
fn a_foreign_refund_does_not_make_its_payment_ours() {
    let mut world = World::new(Kind::Stripe);
    assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
    let id = only(&world);
    let money = world.money_calls;
    let created_s = (START_MS - 3 * DAY_MS) / 1000;
    let refund = json!({"id": "re_other", "object": "refund", "amount": 100, "currency": "gbp", "status": "succeeded",
        "created": created_s, "payment_intent": "pi_other", "metadata": {"attempt_id": id.to_string()}});
    let read = intent(id, "pi_other", "succeeded", 2599, START_MS - 3 * DAY_MS);
    world.webhook(&json!({"id": "evt_1", "type": "refund.updated", "data": {"object": refund}}));
    world.script.push_back(Told::Hold);
    world.webhook(&event(&read));
    let story = world.story(id);
    assert_eq!(
        world.money_calls,
        money,
        "somebody else's payment is given back: {:?} {story:#?}",
        world.calls.last().unwrap().http
    );
}

/// The same at an acquirer: a reversal of a foreign capture, then an event of that capture which does not say of what it is.
#[test]
fn a_foreign_reversal_does_not_make_its_capture_ours() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    let old_s = (START_MS - 9 * DAY_MS) / 1000;
    let reversal = json!({"type": "reversal", "reference": id.to_string(), "of": "cap_old", "status": "approved",
        "psp_reference": "rev_1", "amount": 2599, "currency": "GBP", "created": old_s});
    let capture = json!({"type": "capture", "reference": id.to_string(), "status": "approved", "psp_reference": "cap_old",
        "amount": 2599, "currency": "GBP", "created": old_s});
    world.webhook(&reversal);
    world.webhook(&capture);
    assert_eq!(world.status(id), "AUTHORIZING", "{:#?}", world.story(id));
}

/// `installation=""`: an object of another amount is nobody's until an operator says so, in whatever state it is. One that waits for
/// confirmation must not be confirmed: it charges another amount.
#[test]
fn an_unconfirmed_object_of_another_amount_is_not_confirmed() {
    let mut world = World::new(Kind::StripeNoKeys);
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    world.script.push_back(Told::Hold);
    world.webhook(&event(&intent(
        id,
        "pi_other",
        "requires_confirmation",
        500_000,
        world.now_ms,
    )));
    let until_ms = world.now_ms + 60_000;
    play(&mut world, id, until_ms, &|_| Some(timeout()), &truth);
    let confirmed = world
        .calls
        .iter()
        .find(|call| call.http.url.contains("pi_other/confirm"));
    assert!(confirmed.is_none(), "{confirmed:?}");
}

/// One that waits for its customer must not be shown to ours.
#[test]
fn an_open_action_of_another_amount_is_not_shown_to_our_customer() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let mut other = intent(id, "pi_other", "requires_action", 500_000, world.now_ms);
    other["next_action"] =
        json!({"type": "redirect_to_url", "redirect_to_url": {"url": "http://psp.test/other"}});
    world.webhook(&event(&other));
    world.release();
    let shown = world.get(id);
    assert_ne!(
        shown["next_action"]["url"],
        "http://psp.test/other",
        "{:#?}",
        world.story(id)
    );
}

/// One that was cancelled does not end our attempt, whose own request is on its way.
#[test]
fn a_cancelled_object_of_another_amount_does_not_end_the_attempt() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    world.webhook(&event(&intent(id, "pi_other", "canceled", 500_000, world.now_ms)));
    assert_eq!(world.status(id), "AUTHORIZING", "{:#?}", world.story(id));
}

/// Nor does any webhook of such an object park an attempt whose own 3-D Secure is known by its id: there is nothing in doubt.
#[test]
fn a_disputed_object_does_not_park_our_own_open_action() {
    let mut world = World::new(Kind::StripeListed);
    let answer = world.post("/charge", "c1", &CREATE.replace("visa", "3ds"));
    assert_eq!(answer.status, 202);
    let id = only(&world);
    world.webhook(&event(&intent(id, "pi_other", "succeeded", 99, world.now_ms)));
    world.now_ms += 600_000;
    world.ledger.finish_action();
    world.wake(id);
    world.settle(id, 50);
    assert_eq!(
        (world.status(id).as_str(), world.is_parked(id)),
        ("CAPTURED", false),
        "{:#?}",
        world.story(id)
    );
}

/// A key that may read and may not cancel: the release of a 3-D Secure is rejected again and again, and nobody looks, though the PSP
/// can be asked and would tell that the customer has paid.
#[test]
fn a_release_that_is_rejected_does_not_keep_from_looking() {
    for kind in [Kind::Stripe, Kind::StripeListed] {
        let mut world = World::new(kind);
        let answer = world.post("/charge", "c1", &CREATE.replace("visa", "3ds"));
        assert_eq!(answer.status, 202);
        let id = only(&world);
        let over_ms = START_MS + 3_600_000;
        let forbidden = |_: &Call| Some(answered(403, REVOKED));
        play(&mut world, id, over_ms + 120_000, &forbidden, &truth);
        assert_eq!(world.status(id), "VOIDING", "{:#?}", world.story(id));
        world.ledger.finish_action();
        play(&mut world, id, over_ms + DAY_MS, &forbidden, &truth);
        assert_eq!(
            world.status(id),
            "CAPTURED",
            "{kind:?}: {} is taken: {:#?}",
            world.ledger.taken(),
            world.story(id)
        );
    }
}

/// Another installation's object of another amount is heard of while our own request is on its way; its answer is lost. The key would
/// tell, so there is nothing that only an operator can say.
#[test]
fn a_disputed_object_does_not_keep_a_key_from_being_sent_again() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    world.webhook(&event(&intent(id, "pi_other", "succeeded", 99, world.now_ms)));
    let call = world.held.remove(0);
    world.ledger.act(&call.http, world.now_ms);
    world.outcome(call, timeout());
    world.wake(id);
    world.settle(id, 2);
    assert_eq!(
        (world.status(id).as_str(), world.is_parked(id)),
        ("AUTHORIZED", false),
        "{:#?}",
        world.story(id)
    );
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Refunds, reversals, amounts
// ---------------------------------------------------------------------------------------------------------------------------------

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
    let mut n = 0;
    while n < 300 && !world.is_parked(id) {
        n += 1;
        let told = |status: &str| {
            json!({"id": format!("re_{n}"), "object": "refund", "amount": 2599, "currency": "gbp", "status": status,
                "payment_intent": "pi_9", "metadata": {"attempt_id": id.to_string()}})
        };
        if let Some(call) = world.held.pop() {
            world.script.push_back(Told::Hold);
            world.outcome(call, answered(200, told("succeeded").to_string()));
        }
        world.now_ms += 60_000;
        world.webhook(&json!({"id": "evt", "type": "refund.failed", "data": {"object": told("failed")}}));
        assert!(
            world.record(id).entries().len() < 300,
            "{n} refunds, {} entries",
            world.record(id).entries().len()
        );
    }
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Old records, look-ups
// ---------------------------------------------------------------------------------------------------------------------------------

/// Rewrites the record as an older build left it: form 0, and an amount that this build would have refused.
fn of_form_0(world: &mut World, id: AttemptId, amount: u64) {
    let record = world.record(id);
    let change = |entry: &Entry| {
        let mut entry = entry.clone();
        match &mut entry.fact {
            Fact::Created { terms, .. } => terms.amount_minor = amount,
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
    world.psp_mut().class.keyed_horizon_ms = None;
    world.psp_mut().timing.authorize_retry_ms = DAY_MS;
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
    world.psp_mut().class.keyed_horizon_ms = None;
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

// ---------------------------------------------------------------------------------------------------------------------------------
// A random walk with rejections in it
// ---------------------------------------------------------------------------------------------------------------------------------

struct Dice(u64);

impl Dice {
    fn of(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

struct Walk {
    kind: Kind,
    world: World,
    id: AttemptId,
    dice: Dice,
    /// Requests of which the sender knows no more, and when they land at the latest.
    flying: Vec<(Call, u64)>,
    late: Vec<(Call, CallResult)>,
    seen: pay_once_core::status::Status,
    told: BTreeMap<String, (u16, Vec<u8>)>,
}

impl Walk {
    fn new(kind: Kind, seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            dice.of(2);
        }
        let mut world = World::new(kind);
        if dice.of(3) == 0 {
            world.ledger.listing_lag_ms = 5_000;
        }
        if dice.of(2) == 0 {
            world.psp_mut().timing.authorize_retry_ms = DAY_MS;
        }
        let token = ["visa", "visa", "3ds", "declined"][dice.of(4) as usize];
        let mut create = CREATE.replace("pm_card_visa", &format!("pm_card_{token}"));
        if dice.of(3) == 0 {
            create = create.replace('}', ",\"capture_method\":\"automatic\"}");
        }
        let id = world.create_with("k1", &create);
        Self {
            kind,
            world,
            id,
            dice,
            flying: Vec::new(),
            late: Vec::new(),
            seen: pay_once_core::status::Status::Created,
            told: BTreeMap::new(),
        }
    }

    fn act(&mut self) {
        self.world.script = std::iter::repeat_n(Told::Hold, 12).collect();
        match self.dice.of(12) {
            0..=2 => self.ask(),
            3..=6 => self.send(),
            7 => {
                if let Some(at_ms) = self.world.due(self.id) {
                    let to_ms = self.world.now_ms.max(at_ms.min(self.world.now_ms + 4_000_000));
                    self.pass(to_ms);
                }
                self.world.wake(self.id);
            }
            8 => {
                let by_ms = [100, 1_000, 20_000, 140_000, 3_700_000][self.dice.of(5) as usize];
                self.pass(self.world.now_ms + by_ms);
            }
            9 => {
                let notices = self.world.ledger.notices.clone();
                if !notices.is_empty() {
                    let at = self.dice.of(notices.len() as u64) as usize;
                    assert_eq!(self.world.webhook(&notices[at]).status, 200);
                }
            }
            10 => {
                if !self.late.is_empty() {
                    let at = self.dice.of(self.late.len() as u64) as usize;
                    let (call, result) = self.late.remove(at);
                    self.world.outcome(call, result);
                }
            }
            _ => self.world.ledger.finish_action(),
        }
        self.check();
    }

    fn ask(&mut self) {
        let (path, key, asked) = match self.dice.of(8) {
            0..=1 => ("authorize", "a0", ""),
            2 => ("authorize", "a1", ""),
            3 => ("capture", "c0", ""),
            4 => ("capture", "c1", r#"{"amount":600}"#),
            5 => ("capture", "c2", ""),
            6 => ("void", "v0", ""),
            _ => {
                self.world.get(self.id);
                return;
            }
        };
        let answer = self
            .world
            .post(&format!("/attempts/{}/{path}", self.id), key, asked);
        self.believe(key, &answer);
    }

    fn believe(&mut self, key: &str, answer: &pay_once_core::http::Response) {
        let shown = body(answer);
        let error = &shown["error"];
        let words = format!("{:?} {} {:?}", self.kind, text(answer), self.world.ledger.held);
        let is_in_flight = |path: &str| self.flying.iter().any(|(call, _)| call.http.url.contains(path));
        match (answer.status, error["code"].as_str()) {
            (502, Some("PSP_REJECTED_REQUEST")) if error["attempt"]["status"] == "CREATED" => {
                assert!(self.world.ledger.live() == 0, "{words}");
            }
            (502, _) | (400, Some("INVALID_AMOUNT")) => {
                assert!(
                    self.world.ledger.taken() == 0 && !is_in_flight("capture"),
                    "{words}"
                );
            }
            _ => {}
        }
        if error["safe_new_key"] == true {
            assert!(
                self.world.ledger.taken() == 0 && !is_in_flight("capture"),
                "{words}"
            );
        }
        // What is settled stays byte for byte.
        let is_settled = self
            .world
            .record(self.id)
            .state()
            .bound(key)
            .is_some_and(|bound| bound.settled_at.is_some());
        if is_settled {
            let now = (answer.status, answer.body.clone());
            let first = self.told.entry(key.to_owned()).or_insert_with(|| now.clone());
            assert_eq!(*first, now, "{words}");
        }
    }

    fn send(&mut self) {
        if self.world.held.is_empty() {
            return;
        }
        let at = self.dice.of(self.world.held.len() as u64) as usize;
        let call = self.world.held.remove(at);
        if !call.may_send(self.world.now_ms) {
            return self.world.outcome(call, crate::support::not_sent());
        }
        let now_ms = self.world.now_ms;
        let is_stripe = call.http.url.contains("/v1/");
        let is_capture = call.http.url.contains("capture");
        let luck = if call.http.method == "GET" {
            [0, 0, 0, 0, 2, 3, 5][self.dice.of(7) as usize]
        } else {
            self.dice.of(13)
        };
        // A PSP that has carried a request out does not refuse its form when it is sent again.
        let is_fresh = if is_capture {
            self.world.ledger.captures() == 0
        } else {
            self.world.ledger.held.is_empty()
        };
        let result = match luck {
            1 => {
                self.world.ledger.act(&call.http, now_ms);
                timeout()
            }
            2 => timeout(),
            3 => answered([401, 403][self.dice.of(2) as usize], REVOKED),
            4 => answered(403, "<html>"),
            5 => answered([500, 429, 424, 409][self.dice.of(4) as usize], "{}"),
            6 => {
                self.world.ledger.act(&call.http, now_ms);
                answered([500, 429, 424, 409][self.dice.of(4) as usize], "{}")
            }
            7 if is_fresh => answered(
                400,
                r#"{"error":{"type":"invalid_request_error","code":"parameter_unknown","param":"expand"}}"#,
            ),
            8 if is_fresh && is_capture && is_stripe => answered(
                400,
                r#"{"error":{"type":"invalid_request_error","code":"amount_too_small","param":"amount_to_capture"}}"#,
            ),
            8 if is_fresh && is_capture => {
                answered(422, r#"{"error":{"code":"amount_too_small","field":"amount"}}"#)
            }
            9 => crate::support::not_sent(),
            10 => {
                let by_ms = now_ms + self.world.timing().max_in_flight_ms;
                self.flying.push((call.clone(), by_ms));
                timeout()
            }
            11 => {
                let by_ms = now_ms + self.world.timing().max_in_flight_ms;
                self.flying.push((call, by_ms));
                return;
            }
            12 => return,
            _ => self.world.ledger.act(&call.http, now_ms),
        };
        if self.dice.of(6) == 0 {
            self.late.push((call, result));
        } else {
            self.world.outcome(call, result);
        }
    }

    fn pass(&mut self, to_ms: u64) {
        let landing: Vec<(Call, u64)> = std::mem::take(&mut self.flying);
        for (call, by_ms) in landing {
            if by_ms <= to_ms {
                let result = self.world.ledger.act(&call.http, by_ms);
                self.late.push((call, result));
            } else {
                self.flying.push((call, by_ms));
            }
        }
        self.world.now_ms = to_ms;
    }

    fn check(&mut self) {
        use pay_once_core::status::Status as S;
        let record = self.world.record(self.id);
        let state = record.state();
        let status = state.status;
        let words = || {
            let facts: Vec<String> = record
                .entries()
                .iter()
                .map(|entry| {
                    format!("{} {:?}", entry.at_ms - START_MS, entry.fact)
                        .chars()
                        .take(260)
                        .collect()
                })
                .collect();
            format!(
                "{:?} {status:?} {facts:#?} {:?}",
                self.kind, self.world.ledger.held
            )
        };
        assert!(status.may_follow(self.seen), "{:?}: {}", self.seen, words());
        self.seen = status;
        assert!(self.world.ledger.live() <= 1, "two held: {}", words());
        assert!(self.world.ledger.captures() <= 1, "captured twice: {}", words());
        match status {
            S::Captured => assert_eq!(self.world.ledger.taken(), 1, "{}", words()),
            S::Voided | S::Expired => assert_eq!(self.world.ledger.live(), 0, "{}", words()),
            S::Declined => assert_eq!(self.world.ledger.taken(), 0, "{}", words()),
            _ => {}
        }
        let is_open = state.running.is_some() || matches!(status, S::Authorized);
        assert!(
            !is_open || self.world.is_parked(self.id) || self.world.due(self.id).is_some(),
            "nothing wakes it: {}",
            words()
        );
        assert!(record.entries().len() < 300, "{}", words());
        one_key_one_request(&self.world);
    }

    fn end(&mut self) {
        self.pass(self.world.now_ms + 130_000);
        self.world.held.clear();
        self.world.script.clear();
        for (call, result) in std::mem::take(&mut self.late) {
            if self.dice.of(2) == 0 {
                self.world.outcome(call, result);
            }
        }
        self.world.wake(self.id);
        self.check();
        let id = self.id;
        for _ in 0..400 {
            let Some(_) = self.world.due(id) else { break };
            self.world.settle(id, 1);
            self.check();
        }
        let story = self.world.story(id);
        let said = format!(
            "{:?} {:?} {story:#?} {:?}",
            self.kind, self.seen, self.world.ledger.held
        );
        assert_eq!(self.world.due(id), None, "not at rest: {said}");
        if self.world.is_parked(id) {
            let is_poor = matches!(self.kind, Kind::Blind | Kind::AcquirerKeyed);
            assert!(is_poor, "parked: {said}");
            return;
        }
        use pay_once_core::status::Status as S;
        assert!(self.seen.is_final() || self.seen == S::Created, "{said}");
        let wanted = usize::from(self.seen == S::Captured);
        assert_eq!(
            (self.world.ledger.taken(), self.world.ledger.live()),
            (wanted, wanted),
            "{said}"
        );
    }
}

fn walk(kind: Kind) {
    let seeds: u64 = std::env::var("BREAKER_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(25);
    let first: u64 = std::env::var("BREAKER_FIRST")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    let mut broken = Vec::new();
    for seed in first..first + seeds {
        let run = std::panic::AssertUnwindSafe(|| {
            let mut walk = Walk::new(kind, seed);
            for _ in 0..60 {
                walk.act();
            }
            walk.end();
        });
        if std::panic::catch_unwind(run).is_err() {
            broken.push(seed);
        }
    }
    assert!(broken.is_empty(), "{kind:?}: seeds {broken:?}");
}

#[test]
fn walk_stripe() {
    walk(Kind::Stripe);
}

#[test]
fn walk_stripe_no_keys() {
    walk(Kind::StripeNoKeys);
}

#[test]
fn walk_stripe_listed() {
    walk(Kind::StripeListed);
}

#[test]
fn walk_acquirer_keyed() {
    walk(Kind::AcquirerKeyed);
}

#[test]
fn walk_acquirer_queryable() {
    walk(Kind::AcquirerQueryable);
}

#[test]
fn walk_acquirer_keyed_queryable() {
    walk(Kind::AcquirerKeyedQueryable);
}

#[test]
fn walk_blind() {
    walk(Kind::Blind);
}
