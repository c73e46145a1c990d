//! Plans that once failed, run again in both tiers; and the plan as an artefact: text there and back, shrunk, judged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use pay_once_sim::dials;
use pay_once_sim::plan::Plan;
use pay_once_sim::shrink::shrink;
use pay_once_sim::swarm;
use pay_once_sim::tier::{Tier, carry_out};

#[test]
fn plans_that_once_failed_are_clean() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/plans");
    let found = include_str!("../FOUND.md");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let plan = Plan::from_text(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            found.contains(&format!("`sim/plans/{name}`")),
            "{name}: its story is missing"
        );
        for tier in [Tier::Model, Tier::Full] {
            assert_eq!(
                carry_out(&plan, tier, false).violation,
                None,
                "{} {}",
                path.display(),
                tier.name()
            );
        }
        seen += 1;
    }
    assert!(seen >= 2, "{seen} plans");
}

#[test]
fn a_plan_is_its_text() {
    for seed in 0..200 {
        let plan = swarm::plan(seed, Tier::Model);
        assert_eq!(Plan::from_text(&plan.to_text()).unwrap(), plan);
        assert!(plan.is_honest(), "seed {seed}");
        // A scene has eight; the others have ten at least.
        assert!(plan.payments().count() >= 8);
    }
}

#[test]
fn a_plan_that_makes_no_sense_is_refused_with_its_line() {
    let text = swarm::plan(1, Tier::Model).to_text();
    let broken = text.replacen("\"do\":\"pay\"", "\"do\":\"pray\"", 1);
    let why = Plan::from_text(&broken).unwrap_err();
    assert!(why.starts_with("line ") && why.contains("pray"), "{why}");
    let old = text.replacen("\"plan\":1", "\"plan\":2", 1);
    assert!(Plan::from_text(&old).unwrap_err().contains("version 2"));
}

#[test]
fn a_failing_plan_is_cut_down_and_still_fails() {
    let failing = |seed| {
        let plan = dials::plan_of("max_in_flight_ms", seed)?;
        let violation = carry_out(&plan, Tier::Model, false).violation?;
        Some((plan, violation))
    };
    let (plan, before) = (0..40).find_map(failing).expect("a lie does harm soon");
    let tried = AtomicUsize::new(0);
    let small = shrink(&plan, Tier::Model, &|_, _| {
        tried.fetch_add(1, Ordering::Relaxed);
    })
    .unwrap();
    assert!(
        small.plan.steps.len() <= plan.steps.len() / 2,
        "{} steps",
        small.plan.steps.len()
    );
    let after = carry_out(&small.plan, Tier::Model, false).violation.unwrap();
    assert_eq!(after.oracle, before.oracle);
    assert_eq!(
        shrink(&swarm::plan(0, Tier::Model), Tier::Model, &|_, _| {}).map(|_| ()),
        None,
        "a clean plan has nothing to shrink"
    );
}

#[test]
fn the_same_plan_gives_the_same_run() {
    for seed in 0..10 {
        let plan = swarm::plan(seed, Tier::Model);
        let once = carry_out(&plan, Tier::Model, true);
        assert_eq!(
            once.traced.digest(),
            carry_out(&plan, Tier::Model, true).traced.digest(),
            "seed {seed}"
        );
        assert!(!once.traced.trace.is_empty());
    }
}

#[test]
fn some_seeds_of_the_model_are_clean() {
    for seed in 0..60 {
        assert_eq!(
            carry_out(&swarm::plan(seed, Tier::Model), Tier::Model, false).violation,
            None,
            "seed {seed}"
        );
    }
}
