//! Rejections and keys.

use super::{REVOKED, event, intent, only, play, rejected, truth};
use crate::support::{CREATE, DAY_MS, Kind, START_MS, Told, World, answered, code, text, timeout};
use pay_once_core::journal::entry::{Fact, Operation};
use pay_once_core::{AttemptId, Input, Millis, Outcome};
use serde_json::json;
use std::collections::BTreeMap;

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
pub(super) fn one_key_one_request(world: &World) {
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
    world.psp_mut().timing.authorize_retry_ms = Millis::new(2 * DAY_MS);
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
        &|call| (call.send_by_ms.get() < START_MS + DAY_MS + 600_000).then(timeout),
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
        &|call| (call.send_by_ms.get() < START_MS + DAY_MS + 100_000).then(|| answered(401, REVOKED)),
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
        } if psp_key.ends_with(key) => Some(sent_at_ms.get()),
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
    let notice = world.ledger.notices()[0].clone();
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
