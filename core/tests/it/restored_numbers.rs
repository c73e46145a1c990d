//! Rule 16, where a restored store cannot know the number that was next; and what clients are told that repeat their last request only.

use crate::rejected::rejected;
use crate::restored::{HOUR_MS, back_up, rest, restore};
use crate::support::{DAY_MS, Kind, World, config, text};

const MINUTE_MS: u64 = 60_000;

/// A PSP with keys and without look-ups.
fn keyed(kind: Kind) -> World {
    let mut config = config(kind);
    for psp in config.psps.values_mut() {
        psp.capabilities.lookup_lag_ms = None;
    }
    config.check().unwrap();
    World::with(config, kind)
}

/// The key of a rejected request is forgotten between the loss and the restore, so that the number after it would be sent.
#[test]
fn what_was_rejected_before_the_backup_is_parked_where_only_a_key_can_tell() {
    for (kind, operation) in [
        (Kind::AcquirerKeyed, "authorize"),
        (Kind::Stripe, "authorize"),
        (Kind::AcquirerKeyed, "capture"),
    ] {
        let mut world = keyed(kind);
        let id = match operation {
            "authorize" => world.create(),
            _ => world.authorized(),
        };
        world.script.push_back(rejected(401));
        assert_eq!(world.op(id, operation, "k3").status, 502);
        world.now_ms += DAY_MS - HOUR_MS;
        let backup = back_up(&world);
        world.now_ms += 30 * MINUTE_MS;
        assert_eq!(world.op(id, operation, "k3").status, 200);
        restore(&mut world, &backup, HOUR_MS + 10 * MINUTE_MS);
        world.op(id, operation, "k3");
        rest(&mut world, id);
        let found = (world.ledger.authorizations(), world.ledger.captures());
        let expected = (1, usize::from(operation == "capture"));
        assert_eq!(found, expected, "{kind:?} {operation}: {:#?}", world.story(id));
        assert!(
            world.is_parked(id),
            "{kind:?} {operation}: {:#?}",
            world.story(id)
        );
    }
}

/// A client that repeats its last request only is not told that nothing was done for it.
#[test]
fn a_request_that_may_have_been_carried_out_is_not_told_that_it_was_not() {
    for kind in [Kind::Stripe, Kind::AcquirerQueryable, Kind::Blind] {
        for is_known in [false, true] {
            for last in ["capture", "void"] {
                let mut world = World::new(kind);
                let mut backup = back_up(&world);
                let id = world.create();
                if is_known {
                    backup = back_up(&world);
                }
                assert_eq!(world.op(id, "authorize", "k2").status, 200);
                assert_eq!(world.op(id, last, "k3").status, 200);
                restore(&mut world, &backup, HOUR_MS);
                let answer = world.op(id, last, "k3");
                let said = text(&answer);
                let case = format!("{kind:?} {is_known} {last}: {said}");
                assert_eq!(answer.status, if is_known { 409 } else { 404 }, "{case}");
                assert!(!said.contains("Nothing was done"), "{case}");
                assert!(
                    said.contains("restored") && said.contains("\"retryable\":true"),
                    "{case}"
                );
                assert!(said.contains("\"safe_new_key\":false"), "{case}");
            }
        }
    }
}

/// The attempt of another merchant and one that does not exist look the same, also while attempts may be lost.
#[test]
fn another_merchants_attempt_looks_like_one_that_is_lost() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let backup = back_up(&world);
    restore(&mut world, &backup, HOUR_MS);
    let mut merchants = world.config.merchants.clone();
    let other = merchants.values().next().unwrap().clone();
    merchants.insert("other".to_owned(), other);
    let record = world.store.remove(&id).unwrap();
    let absent = text(&world.op(id, "capture", "k3"));
    world.store.insert(id, record);
    world.config.merchants = merchants;
    let key = "sk_other";
    world.config.merchants.get_mut("other").unwrap().key_digests = vec![pay_once_core::key_digest(key)];
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k3")];
    let target = format!("/attempts/{id}/capture");
    let theirs = text(&world.send("POST", &target, &headers, b""));
    assert_eq!(theirs, absent);
}

/// What had ended before the loss stays as it was, so that its refusal is the usual one.
#[test]
fn a_final_attempt_of_the_backup_is_refused_as_final() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    assert_eq!(world.op(id, "void", "k3").status, 200);
    let backup = back_up(&world);
    restore(&mut world, &backup, HOUR_MS);
    let said = text(&world.op(id, "capture", "k4"));
    assert!(said.contains("which is final"), "{said}");
    assert!(
        said.contains("\"retryable\":false") && said.contains("\"safe_new_key\":true"),
        "{said}"
    );
}

/// Whatever the clocks of the machines showed: the loss is noted by the first write of a record that does not know of it, and once.
#[test]
fn a_restore_by_a_clock_that_is_behind_leaves_no_record_unasked() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    let backup = back_up(&world);
    assert_eq!(world.op(id, "authorize", "k2").status, 200);
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    restore(&mut world, &backup, HOUR_MS);
    for loss in world.config.losses.values_mut() {
        loss.restored_ms = pay_once_core::UnixMillis::new(backup.at_ms - HOUR_MS);
        loss.begins_ms = loss.restored_ms;
    }
    world.op(id, "authorize", "k2");
    rest(&mut world, id);
    let found = (world.ledger.authorizations(), world.ledger.captures());
    assert_eq!(found, (1, 1), "{:#?}", world.story(id));
}
