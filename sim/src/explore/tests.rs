//! The explorer is clean where the world keeps its word, finds what breaks where it does not, and is a function.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Budget, Cell, Mix, Options, Plot, PspClass, Report, explore, replay};

fn with(cells: Vec<Cell>, threads: usize) -> Options {
    Options {
        cells,
        threads: NonZeroUsize::new(threads).unwrap(),
        max_states: Some(1_500),
        on_thread: None,
    }
}

fn small() -> Vec<Cell> {
    let of_class = |class| [Plot::Charge, Plot::Decline].map(|plot| Cell::new(class, plot, Mix::Fault));
    PspClass::ALL.into_iter().flat_map(of_class).collect()
}

fn counts(report: &Report) -> Vec<(String, u64, u64, u32, super::Covered)> {
    let row = |s: &super::ScenarioReport| (s.name.clone(), s.states, s.transitions, s.depth, s.covered);
    report.scenarios.iter().map(row).collect()
}

#[test]
fn a_small_budget_is_clean_and_counts_do_not_depend_on_threads() {
    let one = explore(&with(small(), 1), &|_| {});
    let two = explore(&with(small(), 2), &|_| {});
    assert!(one.violation().is_none(), "{one}");
    assert_eq!(counts(&one), counts(&two));
    assert_eq!(one.scenarios.len(), 12);
}

/// A charge in which only one request may be late, and timers may fire.
fn late_charge() -> Cell {
    Cell {
        budget: Budget {
            faults: 1,
            late: 1,
            wakes: 8,
            ..Budget::PEACE
        },
        ..Cell::new(PspClass::Queryable, Plot::Charge, Mix::Pair)
    }
}

#[test]
fn a_psp_that_keeps_its_word_about_late_requests_is_paid_once() {
    let options = Options {
        max_states: Some(20_000),
        ..with(vec![late_charge()], 1)
    };
    let report = explore(&options, &|_| {});
    assert!(
        report.violation().is_none() && report.scenarios[0].complete,
        "{report}"
    );
    assert!(report.covered().late_landing_after_miss > 0, "{report}");
}

/// The explorer can find: requests that land after the declared `max_in_flight` double the effect.
#[test]
fn a_psp_that_breaks_its_word_about_late_requests_is_found_out() {
    let cell = Cell {
        really_in_flight_ms: 60_000,
        ..late_charge()
    };
    let options = Options {
        max_states: Some(20_000),
        ..with(vec![cell.clone()], 1)
    };
    let report = explore(&options, &|_| {});
    let found = report.violation().expect("a violation");
    assert!(found.oracle.starts_with("promise: at most one"), "{report}");
    let (again, steps) = replay(&cell, &found.path);
    assert_eq!(again, Some((found.oracle.clone(), found.message.clone())));
    assert_eq!(steps, found.steps);
    // One step fewer is not yet wrong: the search is breadth first, and this was the first layer with any.
    let (shorter, _) = replay(&cell, &found.path[..found.path.len() - 1]);
    assert_eq!(shorter, None);
}

/// One world of each mix, cut short.
#[test]
fn every_mix_is_clean() {
    let of = |class, plot, mix| Cell::new(class, plot, mix);
    let cells = vec![
        of(PspClass::Stripe, Plot::Void, Mix::Rejected),
        of(PspClass::Queryable, Plot::Charge, Mix::Rejected),
        of(PspClass::Keyed, Plot::Capture, Mix::ByHand),
        of(PspClass::Stripe, Plot::Capture, Mix::ByHand),
        of(PspClass::Keyed, Plot::Charge, Mix::Foreign),
        of(PspClass::Stripe, Plot::Charge, Mix::Twice),
        of(PspClass::Queryable, Plot::Capture, Mix::Twice),
        of(PspClass::Queryable, Plot::Void, Mix::LateAnswer),
        of(PspClass::Addressable, Plot::ThreeDSecure, Mix::Deadline),
        of(PspClass::Blind, Plot::Capture, Mix::Operator),
    ];
    let report = explore(&with(cells, 2), &|_| {});
    assert!(report.violation().is_none(), "{report}");
    let covered = report.covered();
    assert!(
        covered.money_call_rejected > 0 && covered.capture_by_hand > 0,
        "{report}"
    );
    assert!(
        covered.foreign_object_seen > 0 && covered.operator_resolved > 0,
        "{report}"
    );
}

/// A foreign object in the listing once kept a capture that was lost in doubt for ever.
#[test]
fn a_lost_capture_ends_beside_a_foreign_object() {
    let options = Options {
        max_states: Some(4_000),
        ..with(
            vec![Cell::new(PspClass::Queryable, Plot::Capture, Mix::Foreign)],
            1,
        )
    };
    let report = explore(&options, &|_| {});
    assert!(report.violation().is_none(), "{report}");
    assert!(report.covered().foreign_object_seen > 0, "{report}");
}

#[test]
fn by_default_every_mix_is_explored_that_can_be_seen_whole() {
    let cells = Options::default().cells;
    for mix in Mix::ALL {
        let worlds = cells.iter().filter(|cell| cell.mix == mix).count();
        assert_eq!(worlds == 0, mix == Mix::Pair, "{}: {worlds} worlds", mix.as_str());
    }
}

#[test]
fn every_thread_is_set_up_before_it_explores() {
    let set_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&set_up);
    let mut options = with(small().into_iter().take(3).collect(), 2);
    options.max_states = Some(10);
    options.on_thread = Some(Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let report = explore(&options, &|_| {});
    assert_eq!(set_up.load(Ordering::Relaxed), 2);
    assert!(
        report.scenarios.iter().all(|scenario| !scenario.complete),
        "cut short, and saying so"
    );
    assert!(
        !report.never_seen().is_empty() && !report.is_clean(),
        "and vacuous, and saying so"
    );
    assert!(report.to_string().contains("NEVER SEEN"));
}
