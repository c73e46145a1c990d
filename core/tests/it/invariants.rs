//! The invariants can fail: records whose chain is whole and whose story is wrong (`docs/store.md`, “The record”).

use pay_once_core::base::id::LocalId;
use pay_once_core::journal::entry::{Cause, Conclusion, Entry, Fact, Operation, RequestKind};
use pay_once_core::journal::invariant::check;
use pay_once_core::limits::KEYS_PER_ATTEMPT_MAX;
use pay_once_core::{Entropy, Record, UnixMillis};

use crate::support::{Kind, Told, World};

fn captured() -> Record {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.op(id, "capture", "k3");
    world.record(id)
}

/// The record with these facts after its last entry, in its last entry's moment.
fn with(mut record: Record, facts: impl IntoIterator<Item = Fact>) -> Record {
    for fact in facts {
        let last = record.entries().last().unwrap();
        let entry = Entry {
            fact,
            ..Entry::clone(last)
        };
        record.append(entry).unwrap();
    }
    record
}

fn broken(record: &Record) -> &'static str {
    check(record).unwrap_err().0
}

fn requested(key: &str) -> Fact {
    Fact::Requested {
        key: key.to_owned(),
        fingerprint: [7; 32],
        request: RequestKind::Void,
        payment_method: None,
    }
}

/// The last dispatch of the record, changed.
fn dispatch(record: &Record, change: impl FnOnce(&mut LocalId, &mut u16, &mut UnixMillis)) -> Fact {
    let mut dispatches = record.entries().iter().rev();
    let mut fact = dispatches
        .find(|entry| matches!(entry.fact, Fact::Dispatched { .. }))
        .map(|entry| entry.fact.clone())
        .unwrap();
    if let Fact::Dispatched {
        call,
        generation,
        send_by_ms,
        ..
    } = &mut fact
    {
        change(call, generation, send_by_ms);
    }
    fact
}

#[test]
fn a_true_record_is_whole() {
    assert_eq!(check(&captured()), Ok(()));
}

#[test]
fn a_key_is_bound_once_and_32_of_them_are_all() {
    let twice = with(captured(), [requested("again"), requested("again")]);
    assert_eq!(broken(&twice), "http: one key, one request");
    let many = (0..KEYS_PER_ATTEMPT_MAX).map(|n| requested(&format!("more-{n}")));
    assert_eq!(broken(&with(captured(), many)), "store: bounded keys");
}

#[test]
fn rule_01_a_dispatch_has_a_name_of_its_own_and_a_window() {
    let record = captured();
    let same = dispatch(&record, |_, _, _| {});
    assert_eq!(
        broken(&with(record.clone(), [same])),
        "rule 1 calls have names of their own"
    );
    let closed = dispatch(&record, |call, _, send_by_ms| {
        (*call, *send_by_ms) = (other(), UnixMillis::EPOCH)
    });
    assert_eq!(broken(&with(record, [closed])), "rule 1 a window to send in");
}

#[test]
fn rule_03_the_effect_number_moves_with_proof_alone() {
    let record = captured();
    let next = dispatch(&record, |call, generation, _| {
        (*call, *generation) = (other(), *generation + 1)
    });
    assert_eq!(broken(&with(record, [next])), "rule 3 proof of non-effect");
}

#[test]
fn no_more_than_was_authorized_is_ever_meant_to_be_captured() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let record = world.record(id);
    let fact = Fact::Intended {
        operation: Operation::Capture,
        cause: Cause::Client,
        amount_minor: record.state().terms.money.amount_minor + 1,
        target: None,
    };
    assert_eq!(
        broken(&with(record, [fact])),
        "promise: at most the authorized amount"
    );
}

/// A proof is of one effect number: what a journal says of another proves nothing of the one under way.
#[test]
fn rule_06_what_is_proven_of_one_effect_number_is_proven_of_no_other() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let proven = |operation, generation| {
        let conclusion = Conclusion::NoEffect {
            operation,
            generation,
        };
        let record = with(world.record(id), [Fact::Inferred { conclusion }]);
        record.state().running.as_ref().unwrap().proven_absent
    };
    assert!(proven(Operation::Authorize, 1));
    assert!(!proven(Operation::Authorize, 2) && !proven(Operation::Capture, 1));
}

fn other() -> LocalId {
    LocalId::new(UnixMillis::new(1), Entropy(9), 0)
}

#[test]
fn rule_03_a_return_address_comes_once_and_before_what_is_sent() {
    let address = || Fact::ReturnTo {
        url: "https://shop.example".to_owned(),
    };
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let created = world.record(id);
    assert_eq!(check(&with(created.clone(), [address()])), Ok(()));
    let twice = with(created, [address(), address()]);
    assert_eq!(broken(&twice), "rule 3 one return address");
    assert_eq!(
        broken(&with(captured(), [address()])),
        "rule 3 one return address"
    );
}
