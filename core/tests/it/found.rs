//! What the simulator found (`sim/FOUND.md`), each as the smallest case that shows it. Plans of seeds move when anything
//! draws one number more; these do not.

use pay_once_core::journal::entry::{Fact, Operation};
use pay_once_core::{Input, Millis, Routed, UnixMillis};

use crate::support::*;

/// When each call of an operation was given out.
fn sent_ms(world: &World, id: pay_once_core::AttemptId, wanted: Operation) -> Vec<u64> {
    let record = world.record(id);
    let found = record.entries().iter().filter_map(|entry| match &entry.fact {
        Fact::Dispatched {
            operation,
            sent_at_ms,
            ..
        } if *operation == wanted => Some(sent_at_ms.get()),
        _ => None,
    });
    found.collect()
}

/// The pause between two tries grows; the last of them may not outlast the key, or a try that was still safe is let pass
/// and the unknown parks (rule 5).
#[test]
fn no_pause_outlasts_a_key() {
    let landed_ms = World::new(Kind::AcquirerKeyed).timing().landed_after_ms().get();
    for extra_ms in [100_000, 130_000, 170_000, 250_000] {
        let mut world = World::new(Kind::AcquirerKeyed);
        world.psp_mut().capabilities.keyed_horizon_ms = Some(Millis::new(landed_ms + extra_ms));
        let id = world.create();
        for _ in 0..40 {
            world.script.push_back(Told::Instead(timeout()));
        }
        world.op(id, "authorize", "k2");
        world.settle(id, 60);
        let sent = sent_ms(&world, id, Operation::Authorize);
        let first_ms = sent.first().copied().unwrap();
        // Sent again at the very last moment at which it is safe.
        assert_eq!(
            sent.last().copied().unwrap() - first_ms,
            extra_ms - 1,
            "{extra_ms}: {:?}",
            sent.iter().map(|ms| ms - first_ms).collect::<Vec<_>>()
        );
        assert!(world.is_parked(id), "and then nothing is left to try");
    }
}

/// A dispatch whose owner died has a timer that died with it. Whoever is asked about it meanwhile arms one.
#[test]
fn whoever_is_asked_about_what_is_under_way_arms_its_timer() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.create();
    world.script.push_back(Told::Hold);
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    let due_ms = world.due(id);
    assert!(due_ms.is_some());
    let (record, target) = (world.record(id), format!("/attempts/{id}/authorize"));
    let Routed::Attempt { input, .. } = world.route("POST", &target, &[("idempotency-key", "k2")], b"")
    else {
        panic!("a request is routed to its attempt");
    };
    let step = world.decide(id, Some(&record), &input);
    assert!(step.write.is_none(), "a twin writes nothing");
    assert_eq!(step.wake_at_ms.map(UnixMillis::get), due_ms);
    // And a wake that comes early changes nothing, and is put off.
    let step = world.decide(id, Some(&record), &Input::Wake);
    assert!(step.write.is_none());
    assert_eq!(step.wake_at_ms.map(UnixMillis::get), due_ms);
}

/// A PSP counts an authorization's life from its effect, which an unknown hides: it is released in time counted from when
/// it was first asked for (rule 10).
#[test]
fn an_authorization_that_was_in_doubt_is_released_in_time() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world.script.push_back(Told::Lost(timeout()));
    let asked_ms = world.now_ms;
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    // The PSP is down for an hour: only then a look-up finds what it did.
    for _ in 0..8 {
        world.script.push_back(Told::Instead(answered(503, "")));
    }
    while world.status(id) == "AUTHORIZING" {
        world.settle(id, 1);
    }
    assert_eq!(world.status(id), "AUTHORIZED");
    assert!(world.now_ms > asked_ms + 1_000);
    let timing = world.timing();
    let due_ms = asked_ms + timing.authorization_lifetime_ms.get() - timing.capture_margin_ms.get();
    assert_eq!(world.due(id), Some(due_ms));
}

/// Two preparations made an object each, and the first one's answer came when the second one's object was acted on already.
#[test]
fn an_object_that_is_acted_on_is_not_replaced_by_a_late_preparation() {
    let mut world = World::new(Kind::StripeNoKeys);
    let id = world.create();
    world.script.push_back(Told::Lost(timeout()));
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    let first = world.calls.last().unwrap().clone();
    let made_first = world.ledger.intent("pi_3N00001");
    world.script.extend([Told::Truth, Told::Lost(timeout())]);
    for _ in 0..8 {
        if world.ledger.authorizations() == 1 {
            break;
        }
        world.settle(id, 1);
    }
    let acted_on = world.record(id).state().own_reference().map(str::to_owned);
    assert_eq!(acted_on.as_deref(), Some("pi_3N00002"), "{:#?}", world.story(id));
    world.outcome(first, answered(200, made_first.to_string()));
    assert_eq!(world.record(id).state().own_reference(), acted_on.as_deref());
}

/// Its number was proven without effect, since its challenge was over; the next number began another one. The customer must not be
/// sent to the first page again, and a release must not be about it (model, seed 153,929).
#[test]
fn a_late_answer_of_a_number_that_was_proven_absent_names_no_page() {
    let mut world = World::new(Kind::AcquirerQueryable);
    world.psp_mut().timing.authorize_retry_ms = Millis::new(1_000_000);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.script.push_back(Told::Instead(timeout()));
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    let first = world.calls.last().unwrap().clone();
    while world.dispatches(id, Operation::Authorize).len() < 2 && world.due(id).is_some() {
        world.script = [Told::Truth, Told::Lost(timeout())].into();
        world.settle(id, 1);
    }
    let page =
        r#"{"status":"requires_action","psp_reference":"auth_over","action_url":"http://psp.test/3ds/over"}"#;
    world.outcome(first, answered(200, page));
    let shown = world.record(id).state().action.clone();
    assert!(
        shown.is_none_or(|action| action.reference != "auth_over"),
        "{:#?}",
        world.story(id)
    );
    world.settle(id, 3);
    let action = world.record(id).state().action.clone();
    assert_eq!(world.status(id), "REQUIRES_ACTION");
    assert_ne!(action.unwrap().reference, "auth_over", "{:#?}", world.story(id));
}

/// Two sendings under one key: the first began a 3-D Secure, and the second was refused by a check that comes before keys. The
/// customer may finish what the first began (model, seed 316,616).
#[test]
fn a_refused_form_does_not_end_a_3ds_that_another_sending_began() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.script.extend([Told::Hold, Told::Hold]);
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    while world.held.len() < 2 {
        world.settle(id, 1);
    }
    world.release();
    let second = world.held.remove(0);
    assert_eq!(world.status(id), "REQUIRES_ACTION", "{:#?}", world.story(id));
    let refused =
        r#"{"error":{"code":"invalid_amount","message":"The amount is not acceptable.","field":"amount"}}"#;
    world.outcome(second, answered(400, refused));
    assert_eq!(world.status(id), "REQUIRES_ACTION", "{:#?}", world.story(id));
}

/// An authorization that no dispatch prepared an object for: a webhook says that it was created, while its capture is in doubt and once
/// more when the payment has ended. A repetition is not news.
#[test]
fn word_of_a_creation_is_no_news_once_its_object_is_authorized() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let object = world.ledger.intent("pi_3N00001");
    let mut created = object.clone();
    created["status"] = "requires_confirmation".into();
    let created =
        serde_json::json!({"id": "evt_1", "type": "payment_intent.created", "data": {"object": created}});
    world.script.push_back(Told::Lost(timeout()));
    assert_eq!(world.op(id, "capture", "k3").status, 202);
    assert_eq!(world.webhook(&created).status, 200);
    world.settle(id, 20);
    assert_eq!(world.status(id), "CAPTURED");
    let story = world.story(id);
    assert_eq!(world.webhook(&created).status, 200);
    assert_eq!(world.story(id), story);
}
