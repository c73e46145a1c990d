//! EXPIRED needs a release that the PSP confirmed, or a look after the customer's time was over that shows neither an effect nor
//! an open action. No refusal of a release and no deadline is enough.

use pay_once_core::{AttemptId, CallResult};

use crate::support::{CREATE, Kind, World, answered, not_sent, timeout};

const ACTION_MS: u64 = 3_600_000;
const REVOKED: &str =
    r#"{"error":{"type":"invalid_request_error","code":"unauthorized","message":"Invalid API Key"}}"#;
const BARE: &str =
    r#"{"error":{"type":"invalid_request_error","code":"bad_request","message":"Bad request"}}"#;

/// A charge that waits for 3-D Secure, and when its customer's time is over.
fn waiting(kind: Kind) -> (World, AttemptId, u64) {
    let mut world = World::new(kind);
    let answer = world.post("/charge", "c1", &CREATE.replace("visa", "3ds"));
    assert_eq!(answer.status, 202, "{kind:?}");
    let id = *world.store.keys().next().unwrap();
    let since_ms = world.record(id).state().action.as_ref().unwrap().since_ms;
    (world, id, since_ms.get() + ACTION_MS)
}

/// Lets timers fire until `until_ms`; every call that moves money is told `money`, every question `question`, or the truth.
fn play(
    world: &mut World,
    id: AttemptId,
    until_ms: u64,
    money: Option<&CallResult>,
    question: Option<&CallResult>,
) {
    while let Some(at_ms) = world.due(id).filter(|at_ms| *at_ms <= until_ms) {
        world.now_ms = world.now_ms.max(at_ms);
        let (mut calls, _) = world.step(id, &pay_once_core::Input::Wake);
        while let Some(call) = calls.pop() {
            let told = if call.moves_money { money } else { question };
            let result = match told {
                Some(told) => told.clone(),
                None => world.ledger.act(&call.http, world.now_ms),
            };
            let input = pay_once_core::Input::Outcome(Box::new(pay_once_core::Outcome { call, result }));
            calls.extend(world.step(id, &input).0);
        }
    }
    world.now_ms = world.now_ms.max(until_ms);
}

/// It ended EXPIRED with `safe_new_key: true`, though the money was taken or held: the customer finished just before the
/// deadline, no look saw it, and the release was answered with 401 or a bare 400.
#[test]
fn a_release_that_is_rejected_ends_nothing() {
    for kind in Kind::ALL {
        for (status, body) in [(401, REVOKED), (403, REVOKED), (400, BARE)] {
            let (mut world, id, over_ms) = waiting(kind);
            let lost = timeout();
            play(&mut world, id, over_ms - 1, None, Some(&lost));
            world.ledger.finish_action(world.now_ms);
            let rejected = answered(status, body);
            play(
                &mut world,
                id,
                over_ms + 2 * ACTION_MS,
                Some(&rejected),
                Some(&rejected),
            );
            let said = format!("{kind:?} {status}: {:#?}", world.story(id));
            assert_eq!(world.status(id), "VOIDING", "{said}");
            let refusal = world.post("/attempts", "c9", CREATE);
            assert_eq!(refusal.status, 201);
            assert_ne!(world.ledger.live(), 0, "{said}");
            if world.is_parked(id) {
                assert!(matches!(kind, Kind::AcquirerKeyed | Kind::Blind), "{said}");
                continue;
            }
            // The key is mended: what the PSP holds or took decides.
            play(&mut world, id, over_ms + 100 * ACTION_MS, None, None);
            let taken = world.ledger.taken();
            let end = (world.status(id), world.ledger.live());
            let wanted = if taken == 1 {
                ("CAPTURED".to_owned(), 1)
            } else {
                ("EXPIRED".to_owned(), 0)
            };
            assert_eq!(end, wanted, "{kind:?} {status}: {:#?}", world.story(id));
        }
    }
}

/// A key that is rejected for hours, while looks show that the 3-D Secure is still open: the pauses between releases grow from one
/// effect number to the next, so that there are numbers left when the key is mended. (They were used up within minutes.)
#[test]
fn a_release_that_is_rejected_for_hours_has_tries_left() {
    for kind in Kind::ALL
        .into_iter()
        .filter(|kind| kind.capabilities().addressable || kind.capabilities().lookup_lag_ms.is_some())
    {
        let (mut world, id, over_ms) = waiting(kind);
        let rejected = answered(401, REVOKED);
        let mended_ms = over_ms + 8 * 3_600_000;
        play(&mut world, id, mended_ms, Some(&rejected), None);
        let said = format!("{kind:?}: {:#?}", world.story(id));
        assert_eq!(world.status(id), "VOIDING", "{said}");
        assert!(!world.is_parked(id), "{said}");
        play(&mut world, id, mended_ms + 24 * 3_600_000, None, None);
        assert_eq!(
            (world.status(id), world.ledger.live()),
            ("EXPIRED".to_owned(), 0),
            "{kind:?}: {:#?}",
            world.story(id)
        );
    }
}

/// A customer who finished one second before the deadline was voided: one more look is made before it is given up.
#[test]
fn a_customer_who_finished_in_time_is_seen_by_the_last_look() {
    for kind in Kind::ALL
        .into_iter()
        .filter(|kind| kind.capabilities().addressable || kind.capabilities().lookup_lag_ms.is_some())
    {
        let (mut world, id, over_ms) = waiting(kind);
        world.ledger.dials.listing_lag_ms = if kind.capabilities().addressable {
            0
        } else {
            crate::support::LOOKUP_LAG_MS
        };
        let lost = timeout();
        play(&mut world, id, over_ms - 1_000, None, Some(&lost));
        world.now_ms = over_ms - 1_000;
        world.ledger.finish_action(world.now_ms);
        play(&mut world, id, over_ms + 600_000, None, None);
        assert_eq!(world.status(id), "CAPTURED", "{kind:?}: {:#?}", world.story(id));
        assert_eq!((world.ledger.taken(), world.ledger.live()), (1, 1), "{kind:?}");
    }
}

/// Where the last look fails, the action is given up after a minute, and its release tells.
#[test]
fn a_last_look_that_fails_is_not_waited_for_for_ever() {
    let (mut world, id, over_ms) = waiting(Kind::Stripe);
    let lost = timeout();
    play(&mut world, id, over_ms + 59_000, None, Some(&lost));
    assert_eq!(world.status(id), "REQUIRES_ACTION");
    play(&mut world, id, over_ms + 61_000, None, Some(&lost));
    assert_eq!(world.status(id), "EXPIRED", "{:#?}", world.story(id));
    assert_eq!(world.ledger.live(), 0);
}

/// While an action shows itself open, it is released again, with growing pauses, and ends once the PSP confirms.
#[test]
fn an_action_that_stays_open_is_released_again() {
    for kind in [Kind::Stripe, Kind::StripeListed, Kind::AcquirerQueryable] {
        let (mut world, id, over_ms) = waiting(kind);
        let busy = answered(503, "");
        play(&mut world, id, over_ms + 4 * ACTION_MS, Some(&busy), None);
        assert_eq!(world.status(id), "VOIDING", "{kind:?}");
        assert!(!world.is_parked(id), "{kind:?}: {:#?}", world.story(id));
        assert!(world.record(id).entries().len() < 200, "{kind:?}");
        play(&mut world, id, over_ms + 8 * ACTION_MS, None, None);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.live()),
            ("EXPIRED", 0),
            "{kind:?}: {:#?}",
            world.story(id)
        );
    }
}

/// A read of `requires_action` is no complete picture: it proves no absence of anything.
#[test]
fn an_open_action_is_not_absence() {
    let (mut world, id, over_ms) = waiting(Kind::Stripe);
    // The release is answered by nothing, and the object stays open: no look may conclude anything from that.
    let lost = not_sent();
    play(&mut world, id, over_ms + ACTION_MS, Some(&lost), None);
    assert_ne!(world.status(id), "EXPIRED", "{:#?}", world.story(id));
    world.ledger.finish_action(world.now_ms);
    play(&mut world, id, over_ms + 40 * ACTION_MS, None, None);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.taken()),
        ("CAPTURED", 1),
        "{:#?}",
        world.story(id)
    );
}
