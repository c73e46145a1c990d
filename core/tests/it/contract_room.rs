//! `docs/store.md`, “The record”: its room is bounded, and half of it is kept for evidence, which must always find some.

use pay_once_core::base::id::LocalId;
use pay_once_core::journal::entry::{Entry, Fact, Source};
use pay_once_core::journal::evidence::{Evidence, Signal};
use pay_once_core::limits::{ENTRIES_MAX, RECORD_BYTES_FOR_REQUESTS_MAX};
use pay_once_core::{AttemptId, Entropy, Record, UnixMillis};

use crate::support::{CREATE, Kind, Told, World, code, timeout};

/// An authorization, and its record with these facts appended, as if they had come from others.
fn filled(fill: impl FnOnce(&mut Record)) -> (World, AttemptId) {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let mut record = world.record(id);
    fill(&mut record);
    world.store.insert(id, record.encode());
    (world, id)
}

/// An entry that says nothing, in so many characters.
fn noise(chars: usize) -> Entry {
    let evidence = Evidence {
        signal: Signal::Unknown {
            reason: "x".repeat(chars),
        },
        ..Evidence::default()
    };
    Entry {
        at_ms: UnixMillis::new(1),
        fact: Fact::Observed {
            source: Source::Webhook,
            call: None,
            id: LocalId::new(UnixMillis::new(1), Entropy(1), 0),
            evidence,
        },
    }
}

#[test]
fn a_request_needs_half_of_the_entries_to_be_free() {
    for (entries, wanted) in [(ENTRIES_MAX / 2, 200), (ENTRIES_MAX / 2 + 1, 507)] {
        let (mut world, id) = filled(|record| {
            while record.entries().len() < entries {
                record.append(noise(1)).unwrap();
            }
        });
        let answer = world.op(id, "capture", "k3");
        assert_eq!(answer.status, wanted, "{entries} entries: {}", code(&answer));
        if wanted != 200 {
            assert_eq!((code(&answer).as_str(), world.money_calls), ("RECORD_FULL", 1));
            // What it had answered before it still answers.
            assert_eq!(world.op(id, "authorize", "k2").status, 200);
        }
    }
}

#[test]
fn a_request_needs_room_in_bytes_as_well() {
    for (over, wanted) in [(0, 200), (1, 507)] {
        let (mut world, id) = filled(|record| {
            let (before, probe) = (record.size_bytes(), 100);
            let beside = {
                let mut other = record.clone();
                other.append(noise(probe)).unwrap();
                other.size_bytes() - before - probe
            };
            while RECORD_BYTES_FOR_REQUESTS_MAX - record.size_bytes() >= 2 * (beside + 8_000) {
                record.append(noise(8_000)).unwrap();
            }
            // Lengths over 127 take a byte more to say.
            let left = RECORD_BYTES_FOR_REQUESTS_MAX + over - record.size_bytes() - beside - 1;
            record.append(noise(left)).unwrap();
            assert_eq!(record.size_bytes(), RECORD_BYTES_FOR_REQUESTS_MAX + over);
        });
        let answer = world.op(id, "capture", "k3");
        assert_eq!(answer.status, wanted, "{over}: {}", code(&answer));
    }
}

/// The negative: evidence finds its room where a request has none.
#[test]
fn what_is_in_doubt_is_found_out_in_a_record_that_takes_no_more_requests() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create_with("k1", CREATE);
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "authorize", "k2");
    let mut record = world.record(id);
    while record.size_bytes() <= RECORD_BYTES_FOR_REQUESTS_MAX {
        record.append(noise(2_000)).unwrap();
    }
    world.store.insert(id, record.encode());
    world.settle(id, 1);
    assert_eq!(world.status(id), "AUTHORIZED");
    assert_eq!(code(&world.op(id, "capture", "k3")), "RECORD_FULL");
}
