//! Rule 16: after a restore the PSP is asked before anything is sent for an attempt whose entries may be lost.

use std::collections::BTreeMap;

use pay_once_core::journal::entry::{Fact, Operation};
use pay_once_core::{AttemptId, Loss, Millis, Response, UnixMillis};
use serde_json::json;

use crate::support::{CREATE, DAY_MS, Kind, Told, World, answered, json, text, timeout};

pub(crate) const HOUR_MS: u64 = 3_600_000;

/// The store as it was, and when.
pub(crate) struct Backup {
    pub(crate) records: BTreeMap<AttemptId, Vec<u8>>,
    pub(crate) at_ms: u64,
}

pub(crate) fn back_up(world: &World) -> Backup {
    Backup {
        records: world.store.clone(),
        at_ms: world.now_ms,
    }
}

/// The backup becomes the store, so long after it was taken. A start looks at every record.
pub(crate) fn restore(world: &mut World, backup: &Backup, later_ms: u64) {
    world.now_ms = backup.at_ms + later_ms;
    world.store.clone_from(&backup.records);
    world.wakes = backup.records.keys().map(|id| (*id, world.now_ms)).collect();
    let loss = Loss {
        begins_ms: UnixMillis::new(backup.at_ms),
        restored_ms: world.now(),
    };
    let name = world.config.psps.keys().next().unwrap().clone();
    world.config.losses.insert(name, loss);
    world.config.check().unwrap();
}

/// How far a payment had come when the backup was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Absent,
    Created,
    Authorizing,
    Authorized,
    Capturing,
}

/// How far it came until the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    Nothing,
    Authorized,
    Captured,
    Voided,
}

const KNOWN: [Known; 5] = [
    Known::Absent,
    Known::Created,
    Known::Authorizing,
    Known::Authorized,
    Known::Capturing,
];

/// Whether the class has a way to see what it did.
fn is_asked(kind: Kind) -> bool {
    !matches!(kind, Kind::AcquirerKeyed | Kind::Blind)
}

/// A payment that is backed up where it is `known`, and goes on to `truth`. Its clients asked under k1, k2, k3 (a release: k4).
pub(crate) fn lost(kind: Kind, known: Known, truth: Truth) -> Option<(World, AttemptId, Backup)> {
    let mut world = World::new(kind);
    world.ledger.dials.says_created = true;
    let mut backup = (known == Known::Absent).then(|| back_up(&world));
    let id = world.create();
    let note = |world: &World, at: Known, backup: &mut Option<Backup>| {
        if known == at {
            *backup = Some(back_up(world));
        }
    };
    note(&world, Known::Created, &mut backup);
    world.now_ms += 60_000;
    if truth >= Truth::Authorized || known == Known::Authorizing {
        // The backup is taken between the dispatch and its answer.
        world.script.push_back(Told::Hold);
        world.op(id, "authorize", "k2");
        note(&world, Known::Authorizing, &mut backup);
        if truth == Truth::Nothing {
            return backup.map(|backup| (world, id, backup));
        }
        while !world.held.is_empty() {
            world.release();
        }
        note(&world, Known::Authorized, &mut backup);
    }
    world.now_ms += 60_000;
    if truth == Truth::Captured || (known == Known::Capturing && truth == Truth::Authorized) {
        world.script.push_back(Told::Hold);
        world.op(id, "capture", "k3");
        note(&world, Known::Capturing, &mut backup);
        if truth == Truth::Captured {
            while !world.held.is_empty() {
                world.release();
            }
        }
    }
    if truth == Truth::Voided {
        assert_eq!(world.op(id, "void", "k4").status, 200);
    }
    world.held.clear();
    backup.map(|backup| (world, id, backup))
}

/// Lets timers fire while something is under way.
pub(crate) fn rest(world: &mut World, id: AttemptId) {
    for _ in 0..60 {
        if world.record(id).state().running.is_none() || world.is_parked(id) {
            return;
        }
        world.settle(id, 1);
    }
}

/// Its clients ask for everything again.
pub(crate) fn ask_again(world: &mut World) -> Vec<Response> {
    let created = world.post("/attempts", "k1", CREATE);
    let id = AttemptId::parse(json(&created)["attempt_id"].as_str().unwrap()).unwrap();
    let mut answers = vec![created];
    for (operation, key) in [("authorize", "k2"), ("capture", "k3")] {
        answers.push(world.op(id, operation, key));
        rest(world, id);
    }
    answers
}

/// Every class, every stage in the backup, everything that may have happened since.
#[test]
fn after_a_restore_nothing_is_authorized_or_captured_twice() {
    for kind in Kind::ALL {
        for known in KNOWN {
            for truth in [Truth::Nothing, Truth::Authorized, Truth::Captured, Truth::Voided] {
                let Some((mut world, id, backup)) = lost(kind, known, truth) else {
                    continue;
                };
                let what = format!("{kind:?} {known:?} {truth:?}");
                assert_eq!(
                    world.ledger.captures(),
                    usize::from(truth == Truth::Captured),
                    "{what}"
                );
                restore(&mut world, &backup, HOUR_MS);
                let sent = world.money_calls;
                if known != Known::Absent {
                    world.settle(id, 1);
                    rest(&mut world, id);
                }
                let answers: Vec<String> = ask_again(&mut world).iter().map(text).collect();
                rest(&mut world, id);
                let story = format!("{what}: {answers:#?} {:#?}", world.story(id));
                assert!(world.ledger.authorizations() <= 1, "{story}");
                assert!(world.ledger.captures() <= 1, "{story}");
                let status = world.status(id);
                let found = match truth {
                    Truth::Captured => "CAPTURED",
                    Truth::Voided => "VOIDED",
                    // An authorization that was under way for an hour has no customer any more.
                    Truth::Nothing if known == Known::Authorizing => "DECLINED",
                    Truth::Nothing | Truth::Authorized => "CAPTURED",
                };
                if is_asked(kind) {
                    assert_eq!(status, found, "{story}");
                    // The retries under lost keys have the outcome of the first time.
                    let is_done = |answer: &String| answer.starts_with("20") && !answer.starts_with("202");
                    assert!(truth != Truth::Captured || answers.iter().all(is_done), "{story}");
                } else if kind == Kind::Blind {
                    assert!(world.is_parked(id) && world.money_calls == sent, "{story}");
                } else if truth != Truth::Voided && (known, truth) != (Known::Authorizing, Truth::Nothing) {
                    // The key finds what was done under it.
                    assert_eq!(status, "CAPTURED", "{story}");
                }
            }
        }
    }
}

/// A charge that is lost whole: its retry has the outcome of the first time.
#[test]
fn a_lost_charge_is_found_by_its_retry() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let backup = back_up(&world);
        assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
        let id = *world.store.keys().next().unwrap();
        let taken = world.record(id).state().capture.clone().unwrap().psp_reference;
        restore(&mut world, &backup, HOUR_MS);
        let response = world.post("/charge", "c1", CREATE);
        assert_eq!(world.ledger.captures(), 1, "{kind:?}");
        if kind == Kind::Blind {
            assert_eq!(response.status, 202, "{kind:?}");
            assert!(world.is_parked(id));
            let shown = world.get(id)["operation"].clone();
            assert!(
                shown["reason"]
                    .as_str()
                    .unwrap()
                    .contains("restored from a backup"),
                "{shown}"
            );
            continue;
        }
        assert_eq!(response.status, 200, "{kind:?}: {}", text(&response));
        let found = world.record(id).state().capture.clone().unwrap();
        assert_eq!(
            (found.psp_reference, found.asked_minor),
            (taken, Some(2599)),
            "{kind:?}"
        );
    }
}

/// Rule 6 from the restore on: what a lost server sent may land until then.
#[test]
fn not_found_counts_from_the_restore_on() {
    for kind in [Kind::Stripe, Kind::StripeListed, Kind::AcquirerQueryable] {
        let mut world = World::new(kind);
        world.psp_mut().timing.authorize_retry_ms = Millis::new(DAY_MS);
        let backup = back_up(&world);
        world.script.push_back(Told::Hold);
        world.post("/charge", "c1", CREATE);
        let id = *world.store.keys().next().unwrap();
        let late = world.held.remove(0);
        restore(&mut world, &backup, HOUR_MS);
        assert_eq!(world.post("/charge", "c1", CREATE).status, 202, "{kind:?}");
        let timing = world.timing();
        let lag_ms = world.psp_mut().capabilities.lookup_lag_ms.unwrap();
        let restored_ms = UnixMillis::new(backup.at_ms + HOUR_MS);
        let counts_ms = restored_ms + timing.max_in_flight_ms + lag_ms + timing.max_clock_skew_ms;
        let sent = world.money_calls;
        world.ledger.dials.listing_lag_ms = lag_ms.get();
        // At the last moment the lost request lands, and it is listed as late as it may be.
        let landed_ms = restored_ms + timing.max_in_flight_ms;
        for until_ms in [landed_ms, counts_ms - Millis::new(1)] {
            while world.now() < until_ms {
                world.wake_at(id, (world.due(id).unwrap()).min(until_ms.get()));
                assert_eq!(world.money_calls, sent, "{kind:?} at {:?}", world.now());
            }
            if until_ms == landed_ms {
                world.ledger.act(&late.http, world.now_ms);
            }
        }
        world.settle(id, 5);
        assert_eq!(world.status(id), "CAPTURED", "{:#?}", world.story(id));
        let found = (world.ledger.authorizations(), world.ledger.captures());
        assert_eq!(found, (1, 1), "{kind:?}: {:#?}", world.story(id));
    }
}

/// Rule 5 from the beginning of the loss on.
#[test]
fn a_key_is_sent_until_the_loss_is_as_old_as_the_horizon() {
    let landed_ms = World::new(Kind::AcquirerKeyed).timing().landed_after_ms().get();
    for (later_ms, is_sent) in [(DAY_MS - landed_ms - 1, true), (DAY_MS - landed_ms, false)] {
        let mut world = World::new(Kind::AcquirerKeyed);
        let backup = back_up(&world);
        assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
        let id = *world.store.keys().next().unwrap();
        let sent = world.money_calls;
        restore(&mut world, &backup, later_ms);
        world.post("/charge", "c1", CREATE);
        assert_eq!(
            world.money_calls > sent,
            is_sent,
            "{later_ms}: {:#?}",
            world.story(id)
        );
        assert_eq!(world.is_parked(id), !is_sent);
        assert_eq!(world.ledger.captures(), 1);
    }
}

/// The answer to a key that may have been sent before is one of two sendings: a rejection of it ends nothing.
#[test]
fn a_rejection_after_a_restore_is_no_proof() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let backup = back_up(&world);
    assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
    let id = *world.store.keys().next().unwrap();
    restore(&mut world, &backup, HOUR_MS);
    world.script.push_back(Told::Instead(answered(
        401,
        r#"{"error":{"code":"unauthorized"}}"#,
    )));
    assert_eq!(world.post("/charge", "c1", CREATE).status, 202);
    assert_eq!(world.status(id), "AUTHORIZING", "{:#?}", world.story(id));
    world.settle(id, 4);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.captures()),
        ("CAPTURED", 1)
    );
}

/// An object of the lost time is the attempt's own, whether a look or a webhook shows it; one from before is foreign.
#[test]
fn an_object_of_the_lost_time_is_the_attempts_own() {
    for (is_webhook, older_ms) in [(true, 0), (false, 0), (true, DAY_MS), (false, DAY_MS)] {
        let mut world = World::new(Kind::Stripe);
        world.ledger.dials.says_created = true;
        let id = world.create();
        let backup = back_up(&world);
        world.now_ms += 60_000;
        assert_eq!(world.op(id, "authorize", "k2").status, 200);
        let mut object = world.ledger.intent("pi_3N00001");
        object["created"] = (world.now_ms / 1000 - older_ms / 1000).into();
        let is_own = older_ms == 0;
        restore(&mut world, &backup, HOUR_MS);
        if is_webhook {
            let event = json!({"id": "evt_1", "object": "event", "type": "payment_intent.amount_capturable_updated",
                "data": {"object": object}});
            assert_eq!(world.webhook(&event).status, 200);
            let expected = if is_own { "AUTHORIZED" } else { "CREATED" };
            assert_eq!(world.status(id), expected, "{:#?}", world.story(id));
        } else {
            let list = json!({"object": "list", "data": [object], "has_more": false}).to_string();
            world.script = (0..12)
                .map(|_| Told::Instead(answered(200, list.clone())))
                .collect();
            world.op(id, "authorize", "k2");
            rest(&mut world, id);
            assert_eq!(world.status(id) == "AUTHORIZED", is_own, "{:#?}", world.story(id));
            assert_eq!(
                world.is_parked(id),
                !is_own,
                "only an operator can say whose it is"
            );
        }
    }
}

/// What ran when the backup was taken may have moved on to another number since: it is looked at, and its key is not sent, also
/// while looks fail.
#[test]
fn what_ran_in_the_backup_is_looked_at_before_it_is_sent_again() {
    for kind in [Kind::Stripe, Kind::StripeListed, Kind::AcquirerKeyedQueryable] {
        let (mut world, id, backup) = lost(kind, Known::Capturing, Truth::Captured).unwrap();
        restore(&mut world, &backup, HOUR_MS);
        let sent = world.money_calls;
        for _ in 0..6 {
            world.script.push_back(Told::Instead(answered(500, "")));
            world.settle(id, 1);
        }
        assert_eq!(
            (world.status(id).as_str(), world.money_calls),
            ("CAPTURING", sent),
            "{kind:?}"
        );
        world.settle(id, 2);
        assert_eq!(
            (world.status(id).as_str(), world.money_calls),
            ("CAPTURED", sent),
            "{kind:?}"
        );
    }
}

/// Looks that go on failing are given up after a day, however long ago the loss began.
#[test]
fn looks_after_a_restore_are_given_up_after_a_day() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let backup = back_up(&world);
    restore(&mut world, &backup, 9 * DAY_MS);
    let begun_ms = world.now_ms;
    world.script.push_back(Told::Instead(timeout()));
    world.post("/charge", "c1", CREATE);
    let id = *world.store.keys().next().unwrap();
    while !world.is_parked(id) {
        world.script.push_back(Told::Instead(timeout()));
        world.settle(id, 1);
    }
    assert!(world.now_ms >= begun_ms + DAY_MS, "{}", world.now_ms - begun_ms);
    assert_eq!(world.money_calls, 0);
}

/// What the machine begins by itself is asked for as well.
#[test]
fn what_nobody_asked_for_is_asked_for_first_too() {
    // The capture of a charge at a face that takes two calls.
    for kind in [Kind::AcquirerQueryable, Kind::AcquirerKeyedQueryable] {
        let mut world = World::new(kind);
        world.script.extend([Told::Truth, Told::Hold]);
        world.post("/charge", "c1", CREATE);
        let id = *world.store.keys().next().unwrap();
        let record = world.record(id);
        // The backup has the authorization, and not the intention to capture it.
        let mut entries = record.entries().iter();
        let cut = entries
            .position(|entry| {
                matches!(
                    entry.fact,
                    Fact::Intended {
                        operation: Operation::Capture,
                        ..
                    }
                )
            })
            .unwrap();
        let mut early = pay_once_core::Record::begin(id, (*record.entries()[0]).clone(), "").unwrap();
        for entry in &record.entries()[1..cut] {
            early.append((**entry).clone()).unwrap();
        }
        let backup = Backup {
            records: [(id, early.encode())].into(),
            at_ms: world.now_ms,
        };
        world.now_ms += 1_000;
        world.release();
        assert_eq!(
            (world.status(id).as_str(), world.ledger.captures()),
            ("CAPTURED", 1)
        );
        restore(&mut world, &backup, HOUR_MS);
        let sent = world.money_calls;
        world.settle(id, 5);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.captures()),
            ("CAPTURED", 1),
            "{kind:?}"
        );
        assert_eq!(world.money_calls, sent, "{kind:?}");
    }
    // The release of an authorization that nobody has captured, as far as the backup knows.
    let (mut world, id, backup) = lost(Kind::AcquirerQueryable, Known::Authorized, Truth::Captured).unwrap();
    restore(&mut world, &backup, HOUR_MS);
    world.settle(id, 10);
    assert_eq!(world.status(id), "CAPTURED", "{:#?}", world.story(id));
}

/// Once absence is proven, the attempt is as any other.
#[test]
fn what_is_proven_absent_is_asked_for_once() {
    let mut world = World::new(Kind::Stripe);
    let backup = back_up(&world);
    restore(&mut world, &backup, HOUR_MS);
    world.now_ms += 10 * 60_000;
    let id = world.authorized();
    assert_eq!(
        world.calls.len(),
        2,
        "a look and an authorization: {:#?}",
        world.story(id)
    );
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    assert_eq!(world.calls.len(), 3);
    let is_suspected = |line: &&String| line.contains("restored from a backup");
    assert_eq!(world.story(id).iter().filter(is_suspected).count(), 1);
}

/// The mode ends: for attempts that the store does not know, once no client retries any more; for all, once the PSP was compared.
#[test]
fn the_mode_ends() {
    for (later_ms, is_reconciled, is_looked) in [
        (30 * DAY_MS - 1, false, true),
        (30 * DAY_MS, false, false),
        (HOUR_MS, true, false),
    ] {
        let mut world = World::new(Kind::Stripe);
        let backup = back_up(&world);
        restore(&mut world, &backup, HOUR_MS);
        if is_reconciled {
            world.config.losses.clear();
        }
        world.now_ms += later_ms;
        world.authorized();
        assert_eq!(world.calls.len() == 2, is_looked, "{later_ms}");
    }
    // A record that was written before the restore stays suspect until then.
    let mut world = World::new(Kind::Stripe);
    world.create();
    let backup = back_up(&world);
    restore(&mut world, &backup, 40 * DAY_MS);
    let id = *world.store.keys().next().unwrap();
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    assert!(world.calls.iter().all(|call| !call.moves_money));
}
