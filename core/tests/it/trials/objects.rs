//! Whose objects.

use super::{REVOKED, event, intent, only, play, truth};
use crate::support::{CREATE, DAY_MS, Kind, START_MS, Told, World, answered, text, timeout};
use pay_once_core::{Call, CallResult, Input, Outcome};
use serde_json::{Value, json};

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
            world.ledger.finish_action(world.now_ms);
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
        world.ledger.dials.listing_lag_ms = 5_000;
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
    world.ledger.finish_action(world.now_ms);
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
        world.ledger.finish_action(world.now_ms);
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
    for _ in 0..20 {
        if world.status(id) != "AUTHORIZING" {
            break;
        }
        world.settle(id, 1);
    }
    assert_eq!(
        (world.status(id).as_str(), world.is_parked(id)),
        ("AUTHORIZED", false),
        "{:#?}",
        world.story(id)
    );
}
