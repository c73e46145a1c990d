//! What a PSP rejects is tried for a day: how the pauses between the tries grow, whatever is lost among them.

use pay_once_core::journal::entry::Operation;
use pay_once_core::{AttemptId, CallResult, Millis};

use crate::rejected::rejected;
use crate::support::{CREATE, Kind, Told, World, timeout};

/// What no client waits for stays open, with growing pauses, and is counted.
#[test]
fn a_void_that_is_rejected_is_tried_until_it_is_not() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.authorized();
        world.script.extend(std::iter::repeat_n(rejected(403), 12));
        assert_eq!(world.op(id, "void", "k3").status, 202, "{kind:?}");
        let from_ms = world.now_ms;
        world.settle(id, 12);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.live()),
            ("VOIDED", 0),
            "{kind:?} {:#?}",
            world.story(id)
        );
        // 0.5 s, doubled eleven times: never in a tight loop.
        assert!(
            world.now_ms - from_ms > 900_000,
            "{kind:?} {}",
            world.now_ms - from_ms
        );
        assert!(!world.is_parked(id));
    }
}

/// An answer that is lost between rejections does not begin their pauses anew: the tries have to last for a day.
#[test]
fn a_lost_answer_does_not_shorten_the_pauses_after_rejections() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    world.script.extend(std::iter::repeat_n(rejected(401), 6));
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "void", "k4");
    while world.dispatches(id, Operation::Void).len() < 7 {
        world.settle(id, 1);
    }
    // A look shows that the lost one had no effect, and the next number is rejected.
    while world.dispatches(id, Operation::Void).len() < 8 {
        world.script = [Told::Truth, rejected(401)].into();
        world.settle(id, 1);
    }
    let sent = world.dispatches(id, Operation::Void);
    assert_eq!(sent.last().map(|(number, _)| *number), Some(2), "{sent:?}");
    let pause_ms = world.due(id).unwrap() - world.now_ms;
    assert!(pause_ms >= 32_000, "{pause_ms} ms after seven rejections");
}

/// The pauses between numbers outgrow the life of a short hold. The tries that are left are spread over what is left of it, so that a
/// PSP that recovers at any time before its end is asked once more (model, seeds 165,765 and 873,181).
#[test]
fn the_last_tries_of_a_capture_are_spread_over_the_life_of_its_hold() {
    let mut world = World::new(Kind::AcquirerQueryable);
    world.psp_mut().timing.authorization_lifetime_ms = Millis::new(3_600_000);
    let automatic = CREATE.replace('}', r#","capture_method":"automatic"}"#);
    let id = world.create_with("k1", &automatic);
    world.script = [Told::Truth, Told::Instead(timeout())].into();
    world.op(id, "authorize", "k2");
    let began_ms = world.now_ms;
    let mut numbers: Vec<u64> = Vec::new();
    while !world.is_parked(id) && world.due(id).is_some() {
        // A look shows that the last sending had no effect, and the next one is lost.
        world.script = [Told::Truth, Told::Instead(timeout())].into();
        world.settle(id, 1);
        let used = world
            .dispatches(id, Operation::Capture)
            .last()
            .map_or(0, |(number, _)| *number);
        numbers.resize(usize::from(used), world.now_ms - began_ms);
    }
    let pauses_ms: Vec<u64> = numbers.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let longest_ms = pauses_ms.iter().max().unwrap();
    assert_eq!(numbers.len(), 8, "{pauses_ms:?}");
    assert!(*longest_ms < 1_000_000, "{pauses_ms:?}");
    assert!(*pauses_ms.last().unwrap() > 300_000, "{pauses_ms:?}");
    assert!(world.now_ms - began_ms >= 3_000_000, "{pauses_ms:?}");
}

/// One wake-up: calls that move money are answered with `money`, and questions by the truth.
fn step(world: &mut World, id: AttemptId, money: &CallResult) {
    world.script = std::iter::repeat_n(Told::Hold, 8).collect();
    world.settle(id, 1);
    answer_held(world, money);
}

fn answer_held(world: &mut World, money: &CallResult) {
    for _ in 0..8 {
        if world.held.is_empty() {
            return;
        }
        if world.held[0].moves_money {
            let call = world.held.remove(0);
            world.outcome(call, money.clone());
        } else {
            world.release();
        }
    }
}

/// A rejection says nothing of a call of the same key that was lost, and a PSP that rejects goes on doing so under the next number
/// (model, seed 508,600: all tries were used up in eleven hours).
#[test]
fn a_lost_call_among_rejections_brings_no_next_try_on() {
    let Told::Instead(no) = rejected(401) else {
        panic!("a rejection is told")
    };
    let mut world = World::new(Kind::AcquirerKeyedQueryable);
    world.psp_mut().timing.authorization_lifetime_ms = Millis::new(7 * 86_400_000);
    let automatic = CREATE.replace('}', r#","capture_method":"automatic"}"#);
    let id = world.create_with("k1", &automatic);
    world.script = [Told::Truth, Told::Hold, Told::Hold].into();
    world.op(id, "authorize", "k2");
    answer_held(&mut world, &no);
    for _ in 0..9 {
        step(&mut world, id, &no);
    }
    let sent = |world: &World| world.dispatches(id, Operation::Capture);
    assert_eq!(sent(&world).len(), 10);
    // What is sent now is lost, until a look has proven it absent and the next number is lost as well.
    for _ in 0..40 {
        if sent(&world).last().is_some_and(|(number, _)| *number == 2) {
            break;
        }
        step(&mut world, id, &timeout());
    }
    let (lost_ms, before) = (world.now_ms, sent(&world).len());
    assert_eq!(sent(&world).last().map(|(number, _)| *number), Some(2));
    for _ in 0..60 {
        if sent(&world).len() >= before + 3 {
            break;
        }
        step(&mut world, id, &no);
    }
    let passed_ms = world.now_ms - lost_ms;
    assert_eq!(sent(&world).len(), before + 3, "{:#?}", world.story(id));
    assert!(
        passed_ms >= 200_000,
        "three tries in {passed_ms} ms: {:#?}",
        world.story(id)
    );
}
