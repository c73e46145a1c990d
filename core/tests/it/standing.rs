//! What operators watch of an attempt: its status, what it waits for, and since when.

use pay_once_core::{Status, WaitsFor};

use crate::support::{CREATE, Kind, START_MS, Told, World, not_sent, timeout};

fn is_open(world: &World, id: pay_once_core::AttemptId) -> bool {
    world.record(id).standing().is_open()
}

fn standing(world: &World, id: pay_once_core::AttemptId) -> (Status, Option<(WaitsFor, u64)>) {
    let standing = world.record(id).standing();
    (
        standing.status,
        standing
            .waits
            .map(|(waits_for, since_ms)| (waits_for, since_ms.get())),
    )
}

#[test]
fn an_attempt_that_nobody_asks_anything_of_waits_for_nothing() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    assert_eq!(standing(&world, id), (Status::Created, None));
    world.op(id, "authorize", "k2");
    assert_eq!(standing(&world, id), (Status::Authorized, None));
    assert!(is_open(&world, id));
    world.op(id, "capture", "k3");
    assert_eq!(standing(&world, id), (Status::Captured, None));
    assert!(!is_open(&world, id));
}

#[test]
fn a_call_without_an_outcome_waits_for_the_psp_since_it_was_asked_for() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Lost(timeout()));
    world.now_ms += 7;
    world.op(id, "authorize", "k2");
    let since_ms = START_MS + 7;
    assert_eq!(
        standing(&world, id),
        (Status::Authorizing, Some((WaitsFor::Psp, since_ms)))
    );
}

#[test]
fn an_operation_that_could_not_be_sent_waits_for_sending() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world.script.push_back(Told::Instead(not_sent()));
    world.op(id, "authorize", "k2");
    assert_eq!(
        standing(&world, id),
        (Status::Authorizing, Some((WaitsFor::Sending, START_MS)))
    );
}

#[test]
fn a_challenge_waits_for_the_customer() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.now_ms += 5;
    world.op(id, "authorize", "k2");
    assert_eq!(
        standing(&world, id),
        (Status::RequiresAction, Some((WaitsFor::Customer, START_MS + 5)))
    );
}

#[test]
fn what_is_parked_waits_for_an_operator() {
    let mut world = World::new(Kind::Blind);
    let id = world.create();
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "authorize", "k2");
    world.settle(id, 20);
    assert!(world.is_parked(id));
    assert_eq!(
        standing(&world, id),
        (Status::Authorizing, Some((WaitsFor::Operator, START_MS)))
    );
}
