//! A target that never gets anywhere proves nothing: what the seeds reach is looked at, and every oracle is shown
//! something wrong.

#![allow(clippy::unwrap_used)] // Of a test's own helpers.

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use arbitrary::{Arbitrary, Unstructured};
use pay_once_core::journal::entry::{Conclusion, Fact, Source};
use pay_once_fuzz::bytes::{Coder, Reader, Writer};
use pay_once_fuzz::machine::{Act, Story};
use pay_once_fuzz::{acquirer, plan, psp, seeds, stripe};

fn stories() -> Vec<Story> {
    let seeds = seeds::seeds("machine").into_iter();
    seeds
        .map(|(_, bytes)| Story::arbitrary(&mut Unstructured::new(&bytes)).unwrap())
        .collect()
}

#[test]
fn the_machines_seeds_meet_what_they_are_for() {
    let mut met = BTreeSet::new();
    for story in stories() {
        let world = story.play();
        let record = world.record().unwrap();
        met.insert(format!("{:?}", record.state().status));
        for entry in record.entries() {
            met.insert(match &entry.fact {
                Fact::Inferred {
                    conclusion: Conclusion::NoEffect { .. },
                } => "NoEffect".to_owned(),
                Fact::Inferred {
                    conclusion: Conclusion::Parked { .. },
                } => "Parked".to_owned(),
                Fact::Observed {
                    source: Source::Operator { .. },
                    ..
                } => "Operator".to_owned(),
                Fact::Observed { source, .. } => format!("{source:?}"),
                _ => continue,
            });
        }
    }
    for what in [
        "Captured", "Voided", "Declined", "NoEffect", "Parked", "Response", "Webhook", "Lookup",
    ] {
        assert!(met.contains(what), "{what} was not met: {met:?}");
    }
}

#[test]
fn an_input_is_read_as_it_was_written() {
    for story in stories() {
        assert_eq!(
            Story::arbitrary(&mut Unstructured::new(&story.to_bytes())).unwrap(),
            story
        );
    }
    for first in 0..=255 {
        let act = Act::from_bytes([first, 77]);
        assert_eq!(Act::from_bytes(act.to_bytes()), act);
    }
    for seed in 0..50 {
        let (bytes, written) =
            plan::to_bytes(&pay_once_sim::swarm::plan(seed, pay_once_sim::tier::Tier::Model));
        assert_eq!(plan::from_bytes(&bytes), written, "seed {seed}");
    }
    let numbers = [
        (0, 0, 0),
        (1, 0, 1),
        (255, 0, 255),
        (256, 0, 256),
        (70_000, 3, 80_000),
        (5, 0, u64::MAX),
    ];
    let mut writer = Writer::default();
    for (value, min, max) in numbers {
        writer.number(value, min, max);
    }
    let mut bytes = Unstructured::new(&writer.0);
    for (value, min, max) in numbers {
        assert_eq!(Reader(&mut bytes).number(0, min, max), value);
    }
    assert!(bytes.is_empty());
}

/// Every plan that bytes can be is one that the simulator takes.
#[test]
fn any_bytes_are_a_plan() {
    for (_, bytes) in seeds::seeds("fingerprint") {
        let plan = plan::from_bytes(&bytes);
        assert_eq!(
            pay_once_sim::plan::Plan::from_text(&plan.to_text()),
            Ok(plan.clone())
        );
        assert!(plan.is_honest());
    }
}

/// The answers that are made up reach calls of every purpose, on both faces.
#[test]
fn psps_are_asked_for_everything() {
    use psp::Asked::{Act, Lookup, Prepare, Read};
    let asked = |moments: &[(u8, u8, u8)]| -> BTreeSet<String> {
        let moments = moments
            .iter()
            .map(|(kind, token, stage)| psp::moment(*kind, *token, *stage));
        moments
            .filter_map(|moment| moment.asked())
            .map(|asked| format!("{asked:?}"))
            .collect()
    };
    let names =
        |all: &[psp::Asked]| -> BTreeSet<String> { all.iter().map(|asked| format!("{asked:?}")).collect() };
    assert_eq!(asked(stripe::FACE.moments), names(&[Act, Lookup, Prepare, Read]));
    assert_eq!(asked(acquirer::FACE.moments), names(&[Act, Lookup]));
}

/// The ledger is no rubber stamp: money that moves behind the machine's back is a finding.
#[test]
fn a_second_authorization_is_a_finding() {
    let story = &stories()[0];
    let mut world = story.play();
    let twin = world.ledger.holds[0].clone();
    world.ledger.holds.push(twin);
    assert!(catch_unwind(std::panic::AssertUnwindSafe(|| world.check())).is_err());
}
