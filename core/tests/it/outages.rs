//! `docs/promise.md`, “Liveness”: an outage of the PSP, however it looks, ends in the outcome once the PSP answers again. What
//! does not happen is tried anew for a day; only then it is an operator's.

use std::collections::{BTreeMap, BTreeSet};

use pay_once_core::journal::entry::Operation;
use pay_once_core::limits::{
    GENERATION_PAUSE_FIRST_MS, GENERATIONS_PER_OPERATION_MAX, RESENDS_BEFORE_LOOKUP, RESENDS_MAX,
};
use pay_once_core::{AttemptId, Call, CallResult, Connector, Input, Millis, Outcome};

use crate::support::*;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// A PSP's bad day: every call that moves money fails in one way until it is over; what is asked is answered with the truth,
/// unless the outage is of everything.
struct Outage {
    until_ms: u64,
    how: CallResult,
    of_everything: bool,
}

impl Outage {
    /// Of what moves money alone.
    fn of_money(until_ms: u64, how: CallResult) -> Self {
        Self {
            until_ms,
            how,
            of_everything: false,
        }
    }

    fn perform(&self, world: &mut World, calls: Vec<Call>) {
        let mut given = calls;
        while let Some(call) = given.pop() {
            let fails = world.now_ms < self.until_ms && (call.moves_money || self.of_everything);
            let result = if fails {
                self.how.clone()
            } else {
                world.ledger.act(&call.http, world.now_ms)
            };
            let id = call.attempt.unwrap();
            let (next, _) = world.step(id, &Input::Outcome(Box::new(Outcome { call, result })));
            given.extend(next);
        }
    }

    fn begin(&self, world: &mut World, id: AttemptId, operation: &str) {
        world.script.push_back(Told::Hold);
        world.op(id, operation, "k3");
        let first = world.held.remove(0);
        self.perform(world, vec![first]);
    }

    fn wake(&self, world: &mut World, id: AttemptId, at_ms: u64) {
        assert!(world.calls.len() < 1_000, "it comes to rest");
        world.now_ms = world.now_ms.max(at_ms);
        let (calls, _) = world.step(id, &Input::Wake);
        self.perform(world, calls);
    }

    /// Begins an operation in it, and lets timers fire until nothing wants to be woken.
    fn exhaust(&self, world: &mut World, id: AttemptId, operation: &str) {
        self.begin(world, id, operation);
        while let Some(at_ms) = world.due(id) {
            self.wake(world, id, at_ms);
        }
    }

    /// Begins an operation in it, and lets timers fire until it has been sent under so many effect numbers.
    fn until_tried(
        &self,
        world: &mut World,
        id: AttemptId,
        (name, operation): (&str, Operation),
        numbers: usize,
    ) {
        self.begin(world, id, name);
        while sent(world, id, operation).len() < numbers {
            let at_ms = world.due(id).unwrap();
            self.wake(world, id, at_ms);
        }
    }

    /// Begins an operation in it, and lets timers fire until it has ended. Returns how long after the outage that was.
    fn outlast(&self, world: &mut World, id: AttemptId, operation: &str) -> u64 {
        self.begin(world, id, operation);
        while let Some(at_ms) = world.due(id) {
            self.wake(world, id, at_ms);
            if world.record(id).state().running.is_none() {
                return world.now_ms.saturating_sub(self.until_ms);
            }
        }
        let seen = world.story(id);
        panic!(
            "{} after {} ms: {seen:#?}",
            world.status(id),
            world.now_ms - START_MS
        );
    }
}

fn ways(kind: Kind) -> Vec<CallResult> {
    let bare = r#"{"error":{"type":"invalid_request_error","message":"Bad request"}}"#;
    match kind.connector() {
        Connector::Stripe => vec![
            answered(503, ""),
            answered(400, bare),
            answered(401, bare),
            timeout(),
        ],
        Connector::Acquirer => vec![answered(503, ""), timeout()],
    }
}

/// It was parked after 17 minutes in which reads told the truth, with nothing in doubt: eight effect numbers, each proven
/// absent, had been used up.
#[test]
fn an_outage_of_hours_parks_neither_a_capture_nor_a_void() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Blind) {
        for how in ways(kind) {
            for (lasts_ms, of_everything) in [
                (20 * MINUTE_MS, false),
                (18 * HOUR_MS, false),
                (18 * HOUR_MS, true),
            ] {
                // A client's capture that is rejected waits for its client (`rejected.rs`); a void goes on by itself.
                let is_rejected = matches!(
                    how,
                    CallResult::Answered {
                        status: 400 | 401,
                        ..
                    }
                );
                let (operation, end) = if of_everything || is_rejected {
                    ("void", "VOIDED")
                } else {
                    ("capture", "CAPTURED")
                };
                let mut world = World::new(kind);
                let id = world.authorized();
                let outage = Outage {
                    until_ms: world.now_ms + lasts_ms,
                    how: how.clone(),
                    of_everything,
                };
                let late_ms = outage.outlast(&mut world, id, operation);
                let seen = format!("{kind:?}, {how:?}, {operation}, {lasts_ms} ms: {late_ms} ms late");
                assert_eq!(world.status(id), end, "{seen}");
                // Pauses are up to four times what has passed before them.
                assert!(late_ms <= 3 * lasts_ms + 10 * MINUTE_MS, "{seen}");
                assert!(world.record(id).entries().len() < 100, "{seen}");
            }
        }
    }
}

/// The negative: what a PSP does not do in a day is an operator's, and at once when the last try is proven absent.
#[test]
fn what_is_not_done_in_a_day_is_parked() {
    for kind in [Kind::StripeNoKeys, Kind::AcquirerQueryable] {
        let mut world = World::new(kind);
        let id = world.authorized();
        let outage = Outage::of_money(u64::MAX, answered(503, ""));
        let since_ms = world.now_ms;
        outage.exhaust(&mut world, id, "capture");
        assert!(world.is_parked(id), "{kind:?}");
        let tries: BTreeSet<u16> = world
            .dispatches(id, Operation::Capture)
            .into_iter()
            .map(|(generation, _)| generation)
            .collect();
        assert_eq!(
            tries.len(),
            usize::from(GENERATIONS_PER_OPERATION_MAX),
            "{kind:?}"
        );
        let hours = (world.now_ms - since_ms) / HOUR_MS;
        assert!((22..26).contains(&hours), "{kind:?}: {hours} h");
    }
}

/// The second try comes as soon as the first is proven absent, the third a minute after the second, and so on.
#[test]
fn pauses_begin_with_the_third_try_and_grow_fourfold() {
    let mut world = World::new(Kind::AcquirerQueryable);
    world.psp_mut().timing.max_in_flight_ms = Millis::new(1_000);
    let id = world.authorized();
    let outage = Outage::of_money(u64::MAX, answered(503, ""));
    outage.begin(&mut world, id, "capture");
    let mut sent_ms = vec![world.now_ms];
    while sent_ms.len() < 5 {
        let at_ms = world.due(id).unwrap();
        outage.wake(&mut world, id, at_ms);
        if sent(&world, id, Operation::Capture).len() > sent_ms.len() {
            sent_ms.push(world.now_ms);
        }
    }
    let pauses_ms: Vec<u64> = sent_ms.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let window_ms = world.timing().send_window_ms.get();
    assert!(pauses_ms[0] < GENERATION_PAUSE_FIRST_MS.get(), "{pauses_ms:?}");
    let wanted_ms = [1, 4, 16].map(|times| times * GENERATION_PAUSE_FIRST_MS.get() + window_ms);
    assert_eq!(pauses_ms[1..], wanted_ms);
}

/// How often each effect number of an operation was sent.
fn sent(world: &World, id: AttemptId, operation: Operation) -> Vec<(u16, usize)> {
    let mut counted: BTreeMap<u16, usize> = BTreeMap::new();
    for (generation, _) in world.dispatches(id, operation) {
        *counted.entry(generation).or_default() += 1;
    }
    counted.into_iter().collect()
}

/// A number that was used by an undoing before does not count against what the client asks for.
#[test]
fn an_operation_has_all_its_effect_numbers_also_when_it_is_not_the_first() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized_twice();
    world.settle(id, 1);
    assert_eq!(
        sent(&world, id, Operation::Void),
        [(1, 1)],
        "the duplicate is undone"
    );
    let outage = Outage::of_money(u64::MAX, timeout());
    outage.exhaust(&mut world, id, "void");
    let client_s: Vec<(u16, usize)> = (2..2 + GENERATIONS_PER_OPERATION_MAX)
        .map(|generation| (generation, 1))
        .collect();
    assert_eq!(sent(&world, id, Operation::Void)[1..], client_s);
}

/// Rule 5, counted: a key is sent again so often before the PSP is asked, since an error may be kept under it; and where it
/// cannot be asked, so often in all.
#[test]
fn a_key_is_sent_again_a_counted_number_of_times() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let outage = Outage::of_money(world.now_ms + HOUR_MS, answered(500, ""));
    outage.until_tried(&mut world, id, ("capture", Operation::Capture), 2);
    assert_eq!(
        sent(&world, id, Operation::Capture)[0],
        (1, 1 + RESENDS_BEFORE_LOOKUP)
    );

    let mut world = World::new(Kind::AcquirerKeyed);
    world.psp_mut().capabilities.keyed_horizon_ms = Some(Millis::new(100 * DAY_MS));
    let id = world.authorized();
    let outage = Outage {
        until_ms: u64::MAX,
        how: timeout(),
        of_everything: true,
    };
    outage.exhaust(&mut world, id, "capture");
    assert!(world.is_parked(id));
    assert_eq!(sent(&world, id, Operation::Capture), [(1, 1 + RESENDS_MAX)]);
}

/// The server that sent a try hears of its refusal when the pause before the next one has begun: still a refusal, and what
/// is held is found and released.
#[test]
fn a_refusal_that_is_heard_late_is_no_dead_end() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let outage = Outage::of_money(world.now_ms + 5 * MINUTE_MS, answered(503, ""));
    outage.until_tried(&mut world, id, ("void", Operation::Void), 3);
    let third = world.calls.iter().rev().find(|call| call.moves_money).cloned();
    // Its server has given it up; the PSP's own answer comes when a look has had time to count.
    let late_ms = world.now_ms + 3 * MINUTE_MS;
    while world.due(id).is_some_and(|at_ms| at_ms < late_ms) {
        let at_ms = world.due(id).unwrap();
        outage.wake(&mut world, id, at_ms);
    }
    let no = answered(200, r#"{"status":"declined","code":"try_later"}"#);
    world.outcome(third.unwrap(), no);
    world.settle(id, 50);
    assert_eq!((world.status(id).as_str(), world.ledger.live()), ("VOIDED", 0));
}

/// Whoever has looked into the PSP's own books need not be waited for.
#[test]
fn an_operators_word_is_acted_on_at_once() {
    let mut world = World::new(Kind::Blind);
    let id = world.authorized();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "void", "k3");
    // Also when recovery's own tries are spent: each word is worth one more.
    for nth in 1..GENERATIONS_PER_OPERATION_MAX + 3 {
        while !world.is_parked(id) {
            world.settle(id, 1);
        }
        world.script.push_back(Told::Instead(timeout()));
        let said =
            serde_json::json!({"operator": "ada", "reason": "not in the books", "outcome": "did_not_happen"});
        let word = world.word(id, said);
        let answer = world.post(&format!("/attempts/{id}/resolve"), &format!("r{nth}"), &word);
        assert_eq!(answer.status, 200);
        assert_eq!(sent(&world, id, Operation::Void).len(), 1 + usize::from(nth));
    }
}

/// No try rests on an old look: what somebody did by hand in the pause, and nobody told of, is seen first.
#[test]
fn what_is_done_by_hand_between_two_tries_is_not_done_again() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let outage = Outage::of_money(world.now_ms + 30 * MINUTE_MS, answered(503, ""));
    outage.begin(&mut world, id, "capture");
    while let Some(at_ms) = world.due(id).filter(|at_ms| *at_ms < outage.until_ms) {
        outage.wake(&mut world, id, at_ms);
    }
    world.now_ms = outage.until_ms;
    let by_hand = world.calls.iter().rev().find(|call| call.moves_money).unwrap();
    world.ledger.act(&by_hand.http.clone(), world.now_ms);
    world.settle(id, 50);
    assert_eq!((world.status(id).as_str(), world.ledger.taken()), ("CAPTURED", 1));
}

/// A pause ends before what there is to act on does: an authorization that lapses, a customer who may come back to a
/// 3-D Secure that is being given up.
#[test]
fn a_pause_does_not_outlast_what_is_acted_on() {
    for (left_ms, lasts_ms) in [(4 * HOUR_MS, 90 * MINUTE_MS), (22 * HOUR_MS, 6 * HOUR_MS)] {
        let mut world = World::new(Kind::AcquirerQueryable);
        let id = world.authorized();
        let lapses_ms = world.now_ms + world.timing().authorization_lifetime_ms.get();
        world.now_ms = lapses_ms - left_ms;
        let outage = Outage::of_money(world.now_ms + lasts_ms, answered(503, ""));
        outage.outlast(&mut world, id, "capture");
        assert_eq!(world.status(id), "CAPTURED");
        assert!(world.now_ms <= lapses_ms - world.timing().capture_margin_ms.get());
    }
    let mut world = World::new(Kind::StripeNoKeys);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.op(id, "authorize", "k2");
    let outage = Outage::of_money(world.now_ms + 20 * MINUTE_MS, answered(503, ""));
    let late_ms = outage.outlast(&mut world, id, "void");
    assert_eq!(world.status(id), "VOIDED");
    assert!(late_ms < 10 * MINUTE_MS, "{late_ms}");
}
