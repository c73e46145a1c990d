//! `docs/rules.md`, rule 8, with its negatives: what must not stand is undone and shown, and undoing it is nobody's end.

use pay_once_core::{AttemptId, Millis};
use serde_json::{Value, json};

use crate::rules_evidence::approved;
use crate::support::{CREATE, Kind, Told, World, answered, timeout};

/// Authorized, and authorized once more by the same request; the duplicate is known, and about to be voided.
fn with_a_duplicate(script: impl IntoIterator<Item = Told>) -> (World, AttemptId) {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized_twice();
    // The look-up that shows both is the first call from here.
    world.script.push_back(Told::Truth);
    world.script.extend(script);
    world.settle(id, 1);
    (world, id)
}

#[test]
fn rule_08_a_duplicate_authorization_is_voided_and_shown() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized_twice();
    assert_eq!(world.ledger.live(), 2);
    world.settle(id, 1);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("AUTHORIZED", 1)
    );
    let story = world.story(id);
    assert!(
        story
            .iter()
            .any(|line| line.contains("an effect was seen that must not stand")),
        "{story:#?}"
    );
    // Released once, and nothing is left to be done but to release the kept one in its time.
    assert!(world.record(id).state().running.is_none());
    assert_eq!(world.money_calls, 2);
    // What is kept is what was shown, and it can be captured.
    let shown = world.get(id);
    let kept = shown["authorization"]["psp_reference"].clone();
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    assert_eq!(
        world
            .ledger
            .holds
            .iter()
            .filter(|h| h.id == kept && h.takes.len() == 1)
            .count(),
        1
    );
}

#[test]
fn rule_08_a_repeated_notice_of_the_compensation_does_not_end_the_attempt() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized_twice();
    world.settle(id, 1);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("AUTHORIZED", 1)
    );
    for notice in world.ledger.notices() {
        world.webhook(&notice);
    }
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("AUTHORIZED", 1),
        "{:#?}",
        world.story(id)
    );
}

#[test]
fn rule_08_a_duplicate_capture_is_given_back() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.captured_twice();
    assert_eq!(world.ledger.taken(), 2);
    world.settle(id, 1);
    assert_eq!((world.status(id).as_str(), world.ledger.taken()), ("CAPTURED", 1));
    // Given back once, and that is the end of it.
    world.settle(id, 20);
    assert!(world.record(id).state().running.is_none() && world.due(id).is_none());
    assert_eq!((world.ledger.taken(), world.money_calls), (1, 3));
    // The negative: one capture is nobody's duplicate.
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "capture", "k3");
    world.settle(id, 5);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.taken(), world.money_calls),
        ("CAPTURED", 1, 2)
    );
}

#[test]
fn rule_08_two_answers_to_two_effects_are_two_authorizations() {
    let mut world = World::new(Kind::AcquirerQueryable);
    world.psp_mut().timing.authorize_retry_ms = Millis::new(1_000_000);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let first = world.held.remove(0);
    world.outcome(first.clone(), timeout());
    while world.status(id) != "AUTHORIZED" {
        world.settle(id, 1);
    }
    // The first request lands after all, later than any request may.
    let result = world.ledger.act(&first.http, world.now_ms);
    assert_eq!(world.ledger.live(), 2);
    world.outcome(first, result);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("AUTHORIZED", 1),
        "{:#?}",
        world.story(id)
    );
    assert_eq!(world.get(id)["authorization"]["psp_reference"], "auth_3N00001");
}

#[test]
fn rule_08_an_answer_that_is_named_otherwise_than_the_listing_is_no_duplicate() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    let named = answered(200, r#"{"status":"approved","psp_reference":"approval-0815"}"#);
    world.script.push_back(Told::Lost(named));
    assert_eq!(world.op(id, "authorize", "k2").status, 200);
    world.webhook(&approved("authorize", id, "approval-0815"));
    assert_eq!((world.money_calls, world.ledger.live()), (1, 1));
}

/// A void of a duplicate that is told of by webhook, before its own answer and without saying of what.
#[test]
fn rule_08_a_notice_of_the_compensation_before_its_answer_does_not_end_the_attempt() {
    let (mut world, id) = with_a_duplicate([Told::Hold]);
    let void = world.held.remove(0);
    let result = world.ledger.act(&void.http, world.now_ms);
    let notice: Value = world.ledger.notices().last().unwrap().clone();
    assert_eq!(notice["type"], "void");
    world.webhook(&notice);
    assert_eq!(world.status(id), "AUTHORIZED");
    world.outcome(void, result);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("AUTHORIZED", 1)
    );
}

/// A duplicate that has lapsed by itself is undone as well, and its lapse is not the attempt's.
#[test]
fn rule_08_a_duplicate_that_lapsed_needs_no_undoing() {
    let expired = answered(200, r#"{"status":"declined","code":"authorization_expired"}"#);
    let (world, id) = with_a_duplicate([Told::Instead(expired)]);
    assert_eq!(world.status(id), "AUTHORIZED");
    assert!(world.record(id).state().running.is_none(), "it is over");
    assert_eq!(world.money_calls, 2);
}

/// An authorization of another amount than was asked for, found after the PSP had refused to release anything: it is held,
/// and released under a number of its own.
#[test]
fn rule_08_what_was_held_unasked_is_released_also_after_a_refused_void() {
    let mut world = World::new(Kind::AcquirerQueryable);
    // Without a name of its own, an installation could not tell such an authorization from another one's.
    world.config.installation = "shop".to_owned();
    let body = CREATE.replace("pm_card_visa", "pm_card_3ds");
    let id = world.create_with("k1", &body);
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    let refused = answered(200, r#"{"status":"declined","code":"nothing_to_void"}"#);
    let listing =
        json!({"authorize": [{"id": "auth_9", "amount": 1}], "capture": [], "void": [], "lapsed": []});
    world.script.extend([
        Told::Instead(refused),
        Told::Instead(answered(200, listing.to_string())),
        Told::Hold,
    ]);
    world.op(id, "void", "k3");
    world.settle(id, 1);
    let released = world
        .held
        .first()
        .map(|call| String::from_utf8_lossy(&call.http.body).into_owned());
    assert!(released.is_some(), "{} {:#?}", world.status(id), world.story(id));
}

/// A refund whose answer is lost is found in the acquirer's listing; Stripe's intents do not show refunds.
#[test]
fn rule_08_a_lost_refund_is_looked_up_where_it_is_listed() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.captured_twice();
    // The look-up shows two captures; one is given back, and the answer to that is lost.
    world.script.extend([Told::Truth, Told::Lost(timeout())]);
    world.settle(id, 20);
    assert!(!world.is_parked(id), "{:#?}", world.story(id));
    assert!(world.record(id).state().running.is_none());
    assert_eq!((world.ledger.taken(), world.money_calls), (1, 3));
}

/// What was shown goes by another name than the two that are listed: one of those is its own, and stays.
#[test]
fn rule_08_of_two_that_are_listed_one_is_what_was_shown_under_another_name() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized_twice();
    world.script.push_back(Told::Hold);
    world.settle(id, 1);
    world.webhook(&approved("authorize", id, "approval-0815"));
    assert_eq!(world.status(id), "AUTHORIZED");
    world.release();
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live(), world.money_calls),
        ("AUTHORIZED", 1, 2)
    );
}

/// Each is given back in its own amount.
#[test]
fn rule_08_what_is_undone_is_undone_in_its_own_amount() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let listing = json!({"authorize": [{"id": "auth_3N00001", "amount": 2599}], "void": [], "lapsed": [],
        "capture": [{"id": "cap_1", "amount": 2599, "psp_reference": "auth_3N00001"},
            {"id": "cap_2", "amount": 700, "psp_reference": "auth_3N00001"}]});
    world.script.extend([
        Told::Instead(timeout()),
        Told::Instead(answered(200, listing.to_string())),
        Told::Hold,
    ]);
    world.op(id, "capture", "k3");
    world.settle(id, 1);
    let asked: Value = serde_json::from_slice(&world.held[0].http.body).unwrap();
    assert_eq!(
        (&asked["psp_reference"], &asked["amount"]),
        (&"cap_2".into(), &700.into()),
        "{asked}"
    );
}

/// A compensation that was parked is taken up again when the client's capture has come between: the list of what was given
/// up, which there was, kept the duplicate's hold for good.
#[test]
fn rule_08_a_parked_compensation_is_taken_up_after_the_clients_capture() {
    let down = || Told::Instead(answered(503, ""));
    let (mut world, id) = with_a_duplicate([down()]);
    while !world.is_parked(id) {
        // A look is answered with the truth; a void that follows from it is not.
        world.script = [Told::Truth, down()].into();
        world.settle(id, 1);
    }
    world.script.clear();
    assert_eq!(world.ledger.live(), 2);
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    world.settle(id, 20);
    assert_eq!(
        (
            world.status(id).as_str(),
            world.ledger.live(),
            world.ledger.taken()
        ),
        ("CAPTURED", 1, 1)
    );
    let story = world.story(id);
    let counted = story
        .iter()
        .filter(|event| event.contains("must not stand; void"));
    assert_eq!(
        counted.count(),
        1,
        "counted once, though taken up twice: {story:?}"
    );
}
