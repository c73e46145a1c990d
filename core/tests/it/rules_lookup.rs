//! `docs/rules.md`, rules 4–6, each with its negative one millisecond away: leases, horizons, and what “not found” proves.

use pay_once_core::Millis;
use pay_once_core::journal::entry::Operation;
use serde_json::{Value, json};

use crate::support::{CREATE, DAY_MS, Kind, LOOKUP_LAG_MS, Told, World, answered, timeout};

const SEND_WINDOW_MS: u64 = 2_000;
const IN_FLIGHT_MS: u64 = 120_000;
const SKEW_MS: u64 = 2_000;

fn acts(world: &World) -> usize {
    world.calls.iter().filter(|call| call.moves_money).count()
}

/// A dispatch whose owner says nothing any more.
fn silent(kind: Kind) -> (World, pay_once_core::AttemptId) {
    let mut world = World::new(kind);
    world.psp_mut().timing.authorize_retry_ms = Millis::new(DAY_MS);
    let id = world.create();
    if kind == Kind::StripeNoKeys {
        world.script.push_back(Told::Truth);
    }
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    (world, id)
}

/// A cursor that does not move is a look that failed: it proves no absence, and asking for it comes to rest.
#[test]
fn a_look_up_whose_cursor_does_not_move_has_failed() {
    let mut world = World::new(Kind::StripeListed);
    world.psp_mut().capabilities.keyed_horizon_ms = None;
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    let intent =
        json!({"id": "pi_other", "amount": 1, "currency": "gbp", "status": "succeeded", "metadata": {}});
    let page = json!({"data": [intent], "has_more": true}).to_string();
    world
        .script
        .extend(std::iter::repeat_n(Told::Instead(answered(200, page)), 1_000));
    world.op(id, "authorize", "k2");
    let before = world.calls.len();
    world.settle(id, 1);
    assert_eq!(world.calls.len() - before, 2);
    assert_eq!((world.status(id).as_str(), world.money_calls), ("AUTHORIZING", 1));
}

#[test]
fn rule_04_an_expired_lease_means_reconcile_and_nothing_before_it() {
    for kind in [Kind::AcquirerQueryable, Kind::Blind, Kind::StripeNoKeys] {
        let (mut world, id) = silent(kind);
        let sent_ms = world.held[0].send_by_ms.get() - SEND_WINDOW_MS;
        let lease_ms = sent_ms + SEND_WINDOW_MS + 30_000;
        assert_eq!(world.due(id), Some(lease_ms), "{kind:?}");
        let (calls, money) = (world.calls.len(), world.money_calls);
        world.wake_at(id, lease_ms - 1);
        assert_eq!(world.calls.len(), calls, "{kind:?}: the owner may still be at it");
        assert!(!world.is_parked(id));
        world.wake_at(id, lease_ms);
        assert_eq!(world.money_calls, money, "{kind:?}: never a re-send");
        if kind == Kind::Blind {
            assert!(world.is_parked(id));
        } else {
            assert_eq!(world.calls.last().unwrap().http.method, "GET", "{kind:?}: a look");
        }
        // The owner was only paused: its answer is taken in, and there is one authorization.
        let call = world.held.remove(0);
        let result = world.ledger.act(&call.http, world.now_ms);
        world.outcome(call, result);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.authorizations()),
            ("AUTHORIZED", 1),
            "{kind:?}"
        );
    }
}

#[test]
fn rule_04_a_keyed_psp_is_sent_the_same_key_again() {
    let (mut world, id) = silent(Kind::AcquirerKeyed);
    world.settle(id, 1);
    assert_eq!(acts(&world), 2);
    let call = world.held.remove(0);
    let result = world.ledger.act(&call.http, world.now_ms);
    world.outcome(call, result);
    assert_eq!(world.ledger.authorizations(), 1, "one key, one effect");
}

/// The last moment at which a re-send of a key first sent at `first_ms` is allowed (rule 5).
fn last_resend_ms(first_ms: u64) -> u64 {
    first_ms + DAY_MS - SEND_WINDOW_MS - IN_FLIGHT_MS - SKEW_MS - 1
}

#[test]
fn rule_05_a_key_is_sent_again_up_to_the_horizon_and_one_ms_past_it_is_not() {
    for kind in [Kind::AcquirerKeyed, Kind::AcquirerKeyedQueryable, Kind::Stripe] {
        for past_ms in [0, 1] {
            let (mut world, id) = silent(kind);
            let first_ms = world.held[0].send_by_ms.get() - SEND_WINDOW_MS;
            world.script.push_back(Told::Hold);
            world.wake_at(id, last_resend_ms(first_ms) + past_ms);
            let money = 2 - usize::try_from(past_ms).unwrap();
            assert_eq!(acts(&world), money, "{kind:?}, {past_ms} ms past");
            match (kind, past_ms) {
                (Kind::AcquirerKeyed | Kind::Stripe, 1) if world.calls.len() == 1 => {
                    assert!(world.is_parked(id), "there is no other way");
                }
                (_, 1) => assert_eq!(
                    world.calls.last().unwrap().http.method,
                    "GET",
                    "falls to the next class"
                ),
                _ => assert!(!world.is_parked(id)),
            }
        }
    }
}

#[test]
fn rule_06_a_look_up_counts_from_then_on_and_not_one_ms_sooner() {
    for kind in [Kind::AcquirerQueryable, Kind::StripeNoKeys] {
        for early_ms in [1, 0] {
            let (mut world, id) = silent(kind);
            world.script.clear();
            let lag_ms = if kind == Kind::StripeNoKeys {
                0
            } else {
                LOOKUP_LAG_MS
            };
            let counts_ms = world.held[0].send_by_ms.get() + IN_FLIGHT_MS + lag_ms + SKEW_MS;
            let money = world.money_calls;
            world.wake_at(id, counts_ms - early_ms);
            let again = usize::from(early_ms == 0);
            assert_eq!(world.money_calls, money + again, "{kind:?}, {early_ms} ms early");
            let said = world
                .story(id)
                .iter()
                .any(|line| line.contains("proven not to have happened"));
            assert_eq!(said, early_ms == 0);
        }
    }
}

#[test]
fn rule_06_the_clock_of_a_look_is_when_it_was_asked_not_when_it_was_answered() {
    let (mut world, id) = silent(Kind::AcquirerQueryable);
    let counts_ms = world.held[0].send_by_ms.get() + IN_FLIGHT_MS + LOOKUP_LAG_MS + SKEW_MS;
    world.script.push_back(Told::Hold);
    world.wake_at(id, counts_ms - 1);
    world.now_ms = counts_ms + 1_000;
    let look = world.held.remove(1);
    let result = world.ledger.act(&look.http, world.now_ms);
    let money = world.money_calls;
    world.outcome(look, result);
    assert_eq!(world.money_calls, money, "asked too early");
}

#[test]
fn rule_06_a_broken_or_short_listing_proves_nothing() {
    for body in [
        "",
        "{}",
        "[]",
        r#"{"authorize":[],"capture":[]}"#,
        "<html>404</html>",
    ] {
        for status in [200, 404, 500] {
            let (mut world, id) = silent(Kind::AcquirerQueryable);
            world.script.push_back(Told::Instead(answered(status, body)));
            let money = world.money_calls;
            world.wake_at(id, world.now_ms + 10 * IN_FLIGHT_MS);
            assert_eq!(world.money_calls, money, "{status} {body}");
        }
    }
    // The neighbour: the same with all three lists is a listing.
    let (mut world, id) = silent(Kind::AcquirerQueryable);
    let listing = r#"{"authorize":[],"capture":[],"void":[]}"#;
    world.script.push_back(Told::Instead(answered(200, listing)));
    world.wake_at(id, world.now_ms + 10 * IN_FLIGHT_MS);
    assert_eq!(world.money_calls, 2);
}

fn listed(world: &World, id: impl std::fmt::Display, status: &str) -> Value {
    json!({"object": "list", "has_more": false, "data": [{
        "id": "pi_1", "amount": 2599, "currency": "gbp", "status": status,
        "metadata": {"attempt_id": id.to_string()}, "created": world.now_ms / 1000,
    }]})
}

/// A PaymentIntent that Stripe is still working on is there: its listing must not read as “nothing happened”.
#[test]
fn rule_06_an_object_that_is_still_processing_is_not_absent() {
    for (status, money) in [("processing", 0), ("requires_payment_method", 1)] {
        let (mut world, id) = silent(Kind::StripeListed);
        world.psp_mut().capabilities.keyed_horizon_ms = None;
        let list = listed(&world, id, status);
        world
            .script
            .extend([Told::Instead(answered(200, list.to_string())), Told::Hold]);
        let before = world.money_calls;
        world.wake_at(id, world.now_ms + 10 * IN_FLIGHT_MS);
        assert_eq!(world.money_calls - before, money, "{status}");
        if status == "processing" {
            assert_eq!(world.status(id), "AUTHORIZING");
            assert!(world.due(id).is_some(), "it is looked at again");
        }
    }
}

/// A capture is looked for where its authorization was made: long before the capture began.
#[test]
fn rule_06_a_listing_for_a_capture_reaches_back_to_the_object() {
    let mut world = World::new(Kind::StripeListed);
    let id = world.authorized();
    world.psp_mut().capabilities.keyed_horizon_ms = None;
    world.now_ms += 3 * 3_600_000;
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "capture", "k3");
    world.settle(id, 20);
    assert_eq!(world.status(id), "CAPTURED");
    assert_eq!(
        world.dispatches(id, Operation::Capture).len(),
        1,
        "{:#?}",
        world.story(id)
    );
}

#[test]
fn rule_06_a_listing_is_read_to_its_last_page_before_it_proves_anything() {
    let (mut world, id) = silent(Kind::StripeListed);
    world.psp_mut().capabilities.keyed_horizon_ms = None;
    let mut page = listed(&world, "pa_somebody_elses", "succeeded");
    page["has_more"] = true.into();
    world
        .script
        .extend([Told::Instead(answered(200, page.to_string())), Told::Hold]);
    world.wake_at(id, world.now_ms + 10 * IN_FLIGHT_MS);
    let next = world.held.pop().unwrap();
    assert!(
        next.http.url.ends_with("&starting_after=pi_1"),
        "{}",
        next.http.url
    );
    let money = world.money_calls;
    world.outcome(next.clone(), timeout());
    assert_eq!(world.money_calls, money, "a page that was lost proves nothing");
    let last = listed(&world, id, "requires_capture");
    world.outcome(next, answered(200, last.to_string()));
    assert_eq!(
        (world.status(id).as_str(), world.money_calls),
        ("AUTHORIZED", money)
    );
}

#[test]
fn a_customer_who_left_is_not_charged_hours_later() {
    for (pause_ms, ends) in [(0, "AUTHORIZED"), (1, "DECLINED")] {
        let mut world = World::new(Kind::AcquirerKeyed);
        let id = world.create();
        world.script.push_back(Told::Instead(crate::support::not_sent()));
        world.op(id, "authorize", "k2");
        let since_ms = world.record(id).state().running.as_ref().unwrap().since_ms;
        world.wake_at(id, since_ms.get() + 120_000 + pause_ms);
        assert_eq!(world.status(id), ends, "{pause_ms} ms past the time to retry");
        assert_eq!(world.ledger.authorizations(), usize::from(pause_ms == 0));
    }
}

#[test]
fn an_unknown_times_out_into_nothing() {
    // A PSP that never answers anything again: a year on, the attempt says the same as on the first day.
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.create_with("k1", CREATE);
        if kind == Kind::StripeNoKeys {
            world.script.push_back(Told::Truth);
        }
        world.script.push_back(Told::Lost(timeout()));
        world
            .script
            .extend(std::iter::repeat_n(Told::Instead(timeout()), 500));
        world.op(id, "authorize", "k2");
        world.settle(id, 400);
        assert_eq!(world.status(id), "AUTHORIZING", "{kind:?}");
        assert!(world.record(id).entries().len() < 100, "{kind:?}: bounded");
        assert_eq!(world.ledger.authorizations(), 1);
    }
}

/// Rule 9, the answers' side: a 200 that does not say that it happened ends nothing, and is not a licence to ask on
/// and on without a pause.
#[test]
fn rule_09_an_answer_that_ends_nothing_is_asked_for_again_with_pauses() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let before_capture = answered(
        200,
        r#"{"id":"pi_1","amount":2599,"currency":"gbp","status":"requires_capture","metadata":{}}"#,
    );
    world
        .script
        .extend(std::iter::repeat_n(Told::Instead(before_capture), 3));
    let money_calls = world.money_calls;
    let asked_ms = world.now_ms;
    world.op(id, "capture", "k3");
    assert_eq!(world.money_calls, money_calls + 1, "once at once");
    let due_ms = world.due(id).unwrap();
    assert_eq!(due_ms, asked_ms + 500);
    world.wake_at(id, due_ms - 1);
    assert_eq!(world.money_calls, money_calls + 1, "not a millisecond sooner");
    world.wake_at(id, due_ms);
    assert_eq!(world.money_calls, money_calls + 2);
    assert_eq!(world.due(id).unwrap(), due_ms + 1000, "and then later and later");
    world.settle(id, 20);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.captures()),
        ("CAPTURED", 1)
    );
}

/// Not every acquirer lists a 3-D Secure that nobody has finished: that there is nothing yet proves nothing.
#[test]
fn rule_06_nothing_yet_is_not_absence_while_the_customer_is_at_it() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.op(id, "authorize", "k2");
    let nothing = json!({"authorize": [], "capture": [], "void": []}).to_string();
    let since_ms = world.now_ms;
    while world.now_ms < since_ms + 1_800_000 {
        world
            .script
            .push_back(Told::Instead(answered(200, nothing.clone())));
        world.settle(id, 1);
    }
    assert_eq!((world.status(id).as_str(), acts(&world)), ("REQUIRES_ACTION", 1));
    assert_eq!(
        world.record(id).state().running.as_ref().map(|r| r.proven_absent),
        Some(false)
    );
}

/// The event of a refusal names no object. It is about the try that was under way when it came about, not about the next one.
#[test]
fn a_refusal_that_came_about_before_the_try_under_way_is_not_of_it() {
    let (mut world, id) = silent(Kind::AcquirerQueryable);
    let first_ms = world.now_ms;
    world.held.clear();
    // The answer is lost, a look shows nothing, and the next number is under way.
    let nothing = json!({"authorize": [], "capture": [], "void": []}).to_string();
    world
        .script
        .extend([Told::Instead(answered(200, nothing)), Told::Hold]);
    let proven_ms = first_ms + SEND_WINDOW_MS + IN_FLIGHT_MS + LOOKUP_LAG_MS + SKEW_MS;
    world.wake_at(id, proven_ms);
    assert_eq!(world.held.len(), 1, "{:#?}", world.story(id));
    let second_ms = world.now_ms;
    let refusal = |created_ms: u64| {
        json!({"type": "authorize", "reference": id.to_string(), "status": "declined", "code": "insufficient_funds",
            "created": created_ms / 1_000})
    };
    world.webhook(&refusal(first_ms));
    assert_eq!(world.status(id), "AUTHORIZING", "{:#?}", world.story(id));
    world.webhook(&refusal(second_ms));
    assert_eq!(world.status(id), "DECLINED", "{:#?}", world.story(id));
}
