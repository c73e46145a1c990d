//! `docs/rules.md`, rules 1, 6 and 11, where clocks are set: what time it is, and what a look by such a clock proves.

use std::time::{Duration, UNIX_EPOCH};

use pay_once_core::{
    AttemptId, Call, CallResult, Clock, ClockNote, Input, Millis, Now, Outcome, Psp, Reading, Routed,
    UnixMillis,
};
use serde_json::json;

use crate::support::{Kind, LOOKUP_LAG_MS, START_MS, Told, World, config, timeout};

const HOUR_MS: u64 = 3_600_000;
const SKEW_MS: u64 = 2_000;
const SEND_WINDOW_MS: u64 = 2_000;
const IN_FLIGHT_MS: u64 = 120_000;
/// How long a wrong clock's sendings may be on their way, or not be listed.
const HOLD_MS: u64 = SEND_WINDOW_MS + IN_FLIGHT_MS + SKEW_MS + LOOKUP_LAG_MS;

/// A machine: how long it runs, and how far its wall clock is from the time that it started with.
pub(crate) struct Machine {
    pub(crate) clock: Clock,
    pub(crate) psp: Psp,
    pub(crate) up_ms: u64,
    pub(crate) wall_off_ms: i64,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let config = config(Kind::AcquirerQueryable);
        let mut machine = Self {
            clock: Clock::new(&config),
            psp: config.psps.values().next().unwrap().clone(),
            up_ms: 0,
            wall_off_ms: 0,
        };
        machine.now();
        machine
    }

    pub(crate) fn reading(&self) -> Reading {
        Reading {
            wall_ms: UnixMillis::new((START_MS + self.up_ms).saturating_add_signed(self.wall_off_ms)),
            since_boot_ms: Some(Millis::new(self.up_ms)),
        }
    }

    pub(crate) fn now(&mut self) -> Now {
        self.clock.now(self.reading())
    }

    /// The time that it shows, from its start.
    pub(crate) fn shows_ms(&mut self) -> i64 {
        let ms = i64::try_from(self.now().at_ms.get()).unwrap();
        ms - i64::try_from(START_MS).unwrap()
    }

    /// A call of 40 ms is answered at the end of them, with a `Date` that is so far from the time that it started with.
    fn answered(&mut self, date_off_ms: i64) {
        let sent = self.reading();
        self.up_ms += 40;
        let date_ms = (START_MS + self.up_ms).saturating_add_signed(date_off_ms);
        let (ended, psp) = (self.reading(), self.psp.clone());
        self.clock.answered(&psp, &dated("{}", date_ms), sent, ended);
    }

    pub(crate) fn notes(&mut self) -> Vec<ClockNote> {
        std::iter::from_fn(|| self.clock.take_note()).collect()
    }
}

pub(crate) fn dated(body: &str, date_ms: u64) -> CallResult {
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(date_ms));
    with_date(body, &date)
}

fn with_date(body: &str, date: &str) -> CallResult {
    CallResult::Answered {
        status: 200,
        headers: vec![("date".to_owned(), date.to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

#[test]
fn rule_11_the_time_goes_on_while_the_wall_clock_is_set() {
    for (off_ms, is_ahead) in [(3_600_000, true), (-3_600_000, false)] {
        let mut machine = Machine::new();
        machine.up_ms = 5_000;
        assert_eq!(machine.shows_ms(), 5_000);
        machine.wall_off_ms = off_ms;
        for up_ms in [5_000, 6_000, 90_000] {
            machine.up_ms = up_ms;
            assert_eq!(
                machine.shows_ms(),
                i64::try_from(up_ms).unwrap(),
                "neither ahead nor still"
            );
        }
        assert!(machine.clock.is_in_doubt());
        let by_ms = Millis::new(HOUR_MS);
        assert_eq!(
            machine.notes(),
            [ClockNote::Stepped { by_ms, is_ahead }],
            "told once"
        );
    }
}

#[test]
fn rule_11_a_step_of_the_skew_is_none_and_one_millisecond_more_is() {
    for off_ms in [2_000, -2_000] {
        let mut machine = Machine::new();
        machine.wall_off_ms = off_ms;
        assert_eq!(machine.shows_ms(), off_ms, "the time is the wall clock's");
        assert!(!machine.clock.is_in_doubt());
        let mut machine = Machine::new();
        machine.wall_off_ms = off_ms + off_ms.signum();
        assert_eq!(machine.shows_ms(), 0);
        assert!(machine.clock.is_in_doubt());
    }
}

#[test]
fn rule_11_a_clock_that_is_slewed_is_in_no_doubt_and_one_that_is_set_again_and_again_is() {
    let mut slewed = Machine::new();
    for second in 0..200_000 {
        slewed.up_ms = second * 1_000;
        // 500 ppm: 100 s in all.
        slewed.wall_off_ms = i64::try_from(second / 2).unwrap();
        slewed.now();
    }
    assert!(!slewed.clock.is_in_doubt());
    let mut stepped = Machine::new();
    for second in 1..=3 {
        stepped.up_ms = second * 1_000;
        stepped.wall_off_ms += 900;
        stepped.now();
    }
    assert!(stepped.clock.is_in_doubt(), "2.7 s in 3 s");
}

#[test]
fn rule_11_a_date_that_agrees_with_the_time_before_keeps_it() {
    let mut machine = Machine::new();
    machine.wall_off_ms = 3_600_000;
    machine.now();
    machine.answered(0);
    assert!(!machine.clock.is_in_doubt());
    assert_eq!(machine.notes().last(), Some(&ClockNote::Kept));
    machine.up_ms += 10_000;
    assert_eq!(
        machine.shows_ms(),
        10_040,
        "the wall clock is right but for the hour"
    );
    machine.wall_off_ms = 0;
    assert_eq!(machine.shows_ms(), 10_040, "and set right it agrees");
    assert!(!machine.clock.is_in_doubt());
    machine.wall_off_ms = -3_600_000;
    assert_eq!(machine.shows_ms(), 10_040);
    assert!(machine.clock.is_in_doubt(), "another step is another doubt");
}

#[test]
fn rule_11_a_date_that_agrees_with_the_wall_clock_adopts_it() {
    for off_ms in [3_600_000, -3_600_000] {
        let mut machine = Machine::new();
        machine.wall_off_ms = off_ms;
        machine.now();
        machine.answered(off_ms);
        assert!(!machine.clock.is_in_doubt());
        assert_eq!(machine.notes().last(), Some(&ClockNote::Adopted));
        assert_eq!(machine.shows_ms(), off_ms + 40);
        machine.up_ms += 10_000;
        assert_eq!(machine.shows_ms(), off_ms + 10_040);
    }
}

#[test]
fn rule_11_a_date_that_agrees_with_neither_or_none_leaves_the_doubt() {
    let mut machine = Machine::new();
    machine.wall_off_ms = 3_600_000;
    machine.now();
    // The skew, and of the past the second that a `Date` is cut to and the time that the call took.
    for date_off_ms in [1_800_000, -7_200_000, 4_000, -5_000, 3_597_000 - 2_000] {
        machine.answered(date_off_ms);
        assert!(machine.clock.is_in_doubt(), "{date_off_ms}");
    }
    let (sent, psp) = (machine.reading(), machine.psp.clone());
    for result in [
        CallResult::answered(200, "{}"),
        timeout(),
        with_date("{}", "today"),
    ] {
        machine.clock.answered(&psp, &result, sent, sent);
        assert!(machine.clock.is_in_doubt(), "{result:?}");
    }
    machine.wall_off_ms = 0;
    machine.now();
    assert!(
        machine.clock.is_in_doubt(),
        "nor does a wall clock that is set back end it"
    );
    machine.answered(0);
    assert!(!machine.clock.is_in_doubt());
}

#[test]
fn rule_11_without_a_monotonic_clock_the_wall_clock_is_the_time() {
    let mut machine = Machine::new();
    machine.wall_off_ms = 3_600_000;
    let reading = Reading {
        since_boot_ms: None,
        ..machine.reading()
    };
    assert_eq!(machine.clock.now(reading), reading.wall_ms.into());
    assert!(!machine.clock.is_in_doubt());
}

/// An authorization whose request is lost: the machine's first look at it that could prove that.
fn lost() -> (World, AttemptId, Machine, u64) {
    let (world, id) = lost_by(Kind::AcquirerQueryable);
    (world, id, Machine::new(), HOLD_MS)
}

fn lost_by(kind: Kind) -> (World, AttemptId) {
    let mut world = World::new(kind);
    let psp = world.psp_mut();
    psp.timing.authorize_retry_ms = Millis::new(24 * HOUR_MS);
    psp.capabilities.keyed_horizon_ms = None;
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    (world, id)
}

const NOTHING: &str = r#"{"authorize":[],"capture":[],"void":[]}"#;

/// Asks at the machine's time, and has the answer come at once with this `Date`. Whether it has proven absence.
fn proves(world: &mut World, id: AttemptId, machine: &mut Machine, date_off_ms: Option<i64>) -> bool {
    world.script.clear();
    world.script.extend([Told::Hold, Told::Hold]);
    let money = world.money_calls;
    world.seen = Some(machine.now());
    world.drive(id, Input::Wake);
    let look = world.held.pop().unwrap();
    assert_eq!(look.http.method, "GET");
    let true_ms = START_MS + machine.up_ms;
    let result = match date_off_ms {
        Some(off_ms) => dated(NOTHING, true_ms.saturating_add_signed(off_ms)),
        None => CallResult::answered(200, NOTHING),
    };
    world.outcome(look, result);
    world.held.clear();
    world.money_calls > money
}

#[test]
fn rule_06_an_hour_forward_proves_nothing_until_the_time_has_come() {
    let (mut world, id, mut machine, counts_ms) = lost();
    machine.up_ms = 40_000;
    machine.wall_off_ms = 3_600_000;
    assert!(
        !proves(&mut world, id, &mut machine, None),
        "the hour has not passed"
    );
    machine.up_ms = counts_ms;
    assert!(
        !proves(&mut world, id, &mut machine, Some(0)),
        "the clock is in doubt"
    );
    machine.answered(0);
    assert!(proves(&mut world, id, &mut machine, Some(0)));
}

#[test]
fn rule_06_after_the_wall_clock_is_adopted_what_was_sent_lands_first() {
    for (past_ms, is_proven) in [(0, true), (1, false)] {
        let (mut world, id, mut machine, _) = lost();
        machine.up_ms = 40_000;
        machine.wall_off_ms = 3_600_000;
        machine.now();
        machine.answered(3_600_000);
        let adopted_ms = machine.up_ms;
        machine.up_ms = adopted_ms + 1;
        assert!(!proves(&mut world, id, &mut machine, Some(3_600_000)));
        machine.up_ms = adopted_ms + HOLD_MS - past_ms;
        assert_eq!(
            proves(&mut world, id, &mut machine, Some(3_600_000)),
            is_proven,
            "{past_ms}"
        );
    }
}

/// What the simulator found: the answer's `Date` ends the doubt in favour of the wall clock, and then agrees with the time of the
/// answer. The look was asked for by the wrong clock all the same.
#[test]
fn rule_06_a_clock_that_is_corrected_while_a_look_is_under_way_was_wrong_when_it_was_asked_for() {
    for (wall_off_ms, is_proven) in [(0, true), (69_000, false)] {
        let (mut world, id, mut machine, counts_ms) = lost();
        machine.up_ms = counts_ms;
        world.script.extend([Told::Hold, Told::Hold]);
        world.seen = Some(machine.now());
        world.drive(id, Input::Wake);
        let (look, sent) = (world.held.pop().unwrap(), machine.reading());
        machine.up_ms += 40;
        machine.wall_off_ms = wall_off_ms;
        let result = dated(
            NOTHING,
            (START_MS + machine.up_ms).saturating_add_signed(wall_off_ms),
        );
        let (ended, psp, money) = (machine.reading(), machine.psp.clone(), world.money_calls);
        machine.clock.answered(&psp, &result, sent, ended);
        assert!(!machine.clock.is_in_doubt());
        world.seen = Some(machine.now());
        world.outcome(look, result);
        assert_eq!(world.money_calls > money, is_proven, "{wall_off_ms}");
    }
}

#[test]
fn rule_06_the_date_of_the_looks_own_answer_must_not_contradict_its_clock() {
    // An answer's `Date` is cut to the second: 2 s of skew and 1 s more of the past.
    for (date_off_ms, is_proven) in [
        (None, true),
        (Some(0), true),
        (Some(2_000), true),
        (Some(-2_999), true),
        (Some(-5_000), false),
        (Some(4_000), false),
        (Some(-3_600_000), false),
        (Some(3_600_000), false),
    ] {
        let (mut world, id, mut machine, counts_ms) = lost();
        machine.up_ms = counts_ms;
        assert_eq!(
            proves(&mut world, id, &mut machine, date_off_ms),
            is_proven,
            "{date_off_ms:?}"
        );
        assert!(world.due(id).is_some(), "it is looked at again");
    }
}

#[test]
fn rule_06_the_dates_of_all_pages_count() {
    for (first_off_ms, last_off_ms, is_proven) in
        [(0, 0, true), (-3_600_000, 0, false), (0, -3_600_000, false)]
    {
        let (mut world, id) = lost_by(Kind::StripeListed);
        world.now_ms += HOLD_MS;
        let others = json!({"object": "list", "has_more": true, "data": [{
            "id": "pi_1", "amount": 1, "currency": "gbp", "status": "succeeded", "metadata": {}, "created": 1,
        }]});
        let none = json!({"object": "list", "has_more": false, "data": []});
        let date = |off_ms: i64, page: &serde_json::Value| {
            Told::Instead(dated(
                &page.to_string(),
                world.now_ms.saturating_add_signed(off_ms),
            ))
        };
        let pages = [date(first_off_ms, &others), date(last_off_ms, &none), Told::Hold];
        world.script.extend(pages);
        let money = world.money_calls;
        world.wake(id);
        assert_eq!(
            world.money_calls > money,
            is_proven,
            "{first_off_ms} {last_off_ms}"
        );
    }
}

#[test]
fn rule_06_a_window_is_wider_where_the_times_of_the_journal_may_be_wrong() {
    let listed_from = |corrected: bool| {
        let (mut world, id) = lost_by(Kind::StripeListed);
        let mut machine = Machine::new();
        machine.up_ms = HOLD_MS;
        if corrected {
            machine.wall_off_ms = 3_600_000;
            machine.now();
            machine.answered(3_600_000);
        }
        world.seen = Some(machine.now());
        world.script.push_back(Told::Hold);
        world.drive(id, Input::Wake);
        let url = world.held.pop().unwrap().http.url;
        let number = |name: &str| -> u64 {
            let (_, rest) = url.split_once(name).unwrap();
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap()
        };
        (number("created%5Bgte%5D="), number("created%5Blte%5D="))
    };
    let (narrow, wide) = (listed_from(false), listed_from(true));
    assert_eq!((narrow.0 - wide.0, wide.1 - narrow.1), (3_600, 3_600));
}

#[test]
fn rule_01_the_time_to_send_must_not_have_passed_by_either_clock() {
    for (passes_ms, wall_off_ms, may) in [
        (2_000, 0, true),
        (2_001, 0, false),
        (2_001, -3_600_000, false),
        (0, 3_600_000, false),
        (0, -3_600_000, true),
    ] {
        let mut machine = Machine::new();
        let call = dispatched(&mut machine);
        machine.up_ms += passes_ms;
        machine.wall_off_ms = wall_off_ms;
        assert_eq!(call.may_send(machine.now()), may, "{passes_ms} {wall_off_ms}");
    }
    // What is dispatched while the clock is in doubt can be sent.
    let mut machine = Machine::new();
    machine.wall_off_ms = 3_600_000;
    let call = dispatched(&mut machine);
    assert!(machine.clock.is_in_doubt() && call.may_send(machine.now()));
    // The time was ahead at the dispatch and is corrected: the call does not gain the difference.
    let mut machine = Machine::new();
    machine.clock = Clock::new(&config(Kind::AcquirerQueryable));
    machine.wall_off_ms = 3_600_000;
    let call = dispatched(&mut machine);
    machine.wall_off_ms = 0;
    machine.answered(0);
    assert!(!machine.clock.is_in_doubt() && call.may_send(machine.now()));
    machine.up_ms += 2_001;
    assert!(machine.now().at_ms < call.send_by_ms && !call.may_send(machine.now()));
}

/// An authorization that the machine is about to send.
fn dispatched(machine: &mut Machine) -> Call {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world.script.push_back(Told::Hold);
    let routed = world.route(
        "POST",
        &format!("/attempts/{id}/authorize"),
        &[("idempotency-key", "k2")],
        b"",
    );
    let Routed::Attempt { id, input } = routed else {
        panic!("{routed:?}")
    };
    world.seen = Some(machine.now());
    let (mut calls, _) = world.step(id, &input);
    calls.remove(0)
}

#[test]
fn a_proof_that_is_held_back_is_told() {
    let (mut world, id, mut machine, counts_ms) = lost();
    machine.up_ms = counts_ms;
    world.script.extend([Told::Hold]);
    world.seen = Some(machine.now());
    world.drive(id, Input::Wake);
    let call = world.held.pop().unwrap();
    let base = world.load(id);
    for (off_ms, is_held_back) in [(0, false), (-3_600_000, true)] {
        let result = dated(NOTHING, (START_MS + machine.up_ms).saturating_add_signed(off_ms));
        let call = call.clone();
        let input = Input::Outcome(Box::new(Outcome { call, result }));
        let step = world.decide(id, base.as_ref(), &input);
        assert_eq!(step.is_held_back, is_held_back, "{off_ms}");
    }
}
