//! `docs/rules.md`, rule 11: small steps that add up, and answers that agree with two times.

use pay_once_core::ClockNote;

use crate::clocks::{Machine, dated};
use crate::support::START_MS;

/// Each is within the skew, and after the first two the sum is not.
#[test]
fn rule_11_small_steps_in_a_row_are_a_step() {
    let mut machine = Machine::new();
    for _ in 0..3 {
        machine.up_ms += 60_100;
        machine.wall_off_ms += 1_900;
        machine.now();
    }
    assert!(machine.clock.is_in_doubt());
    assert!(matches!(machine.notes()[..], [ClockNote::Stepped { .. }]));
    let off_ms = machine.shows_ms() - i64::try_from(machine.up_ms).unwrap();
    assert!(off_ms < 2_000, "the time has not followed them: {off_ms}");
}

#[test]
fn rule_11_a_clock_that_is_slewed_is_followed() {
    let mut machine = Machine::new();
    // 500 ppm for two hours: 3.6 s in all.
    for _ in 0..120 {
        machine.up_ms += 60_000;
        machine.wall_off_ms += 30;
        machine.now();
    }
    assert!(!machine.clock.is_in_doubt(), "{:?}", machine.notes());
    let off_ms = machine.shows_ms() - i64::try_from(machine.up_ms).unwrap();
    assert_eq!(off_ms, 3_600);
}

/// The machine stood still for 20 s, which its monotonic clock did not count, and its wall clock was set right.
#[test]
fn rule_11_an_answer_that_agrees_with_both_times_ends_no_doubt() {
    let answered = |machine: &mut Machine, took_ms: u64| {
        let sent = machine.reading();
        // The PSP writes its `Date` as it begins to work.
        let date_ms = START_MS + machine.up_ms + 20_000;
        machine.up_ms += took_ms;
        let (ended, psp) = (machine.reading(), machine.psp.clone());
        machine.clock.answered(&psp, &dated("{}", date_ms), sent, ended);
    };
    let mut machine = Machine::new();
    machine.up_ms = 40_000;
    machine.now();
    machine.wall_off_ms = 20_000;
    machine.now();
    assert!(machine.clock.is_in_doubt());
    machine.notes();
    answered(&mut machine, 25_000);
    assert!(machine.clock.is_in_doubt(), "its `Date` may be of either time");
    answered(&mut machine, 40);
    assert_eq!(machine.notes(), [ClockNote::Adopted]);
    assert!(!machine.clock.is_in_doubt());
}
