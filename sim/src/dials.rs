//! The honest limit of the promise: what happens when core is told too little. Each row declares one constant lower (or
//! a horizon higher) than the truth, and shows the first seed on which money then moves twice; the control runs the same
//! seeds with the truth.

use std::fmt::Write as _;

use crate::batch::{Batch, Outcome};
use crate::plan::{Act, Class, Plan, PspFault, Step};
use crate::tier::Tier;

/// How far two clocks are apart at most, in milliseconds.
const SKEW_MS: u64 = 150;
/// How far a server's clock is off at most, in milliseconds: half of that.
const CLOCK_MS_MAX: i64 = 75;

/// One lie.
pub struct Dial {
    name: &'static str,
    class: Class,
    truth: fn(&Plan) -> u64,
    lie_ms: u64,
    tell: fn(&mut Plan, u64),
    why: &'static str,
}

/// The lies that are told.
pub const DIALS: &[Dial] = &[
    Dial {
        name: "max_in_flight_ms",
        class: Class::Queryable,
        truth: |plan| plan.world.truth.max_in_flight_ms,
        lie_ms: 100,
        tell: |plan, ms| plan.world.declared.max_in_flight_ms = ms,
        why: "a look-up that finds nothing is believed while the request is still on its way (rule 6)",
    },
    Dial {
        name: "lookup_lag_ms",
        class: Class::Queryable,
        truth: |plan| plan.world.truth.lookup_lag_ms,
        lie_ms: 0,
        tell: |plan, ms| plan.world.declared.lookup_lag_ms = ms,
        why: "a look-up that finds nothing is believed before the PSP lists what it did (rule 6)",
    },
    Dial {
        name: "horizon_ms",
        class: Class::Keyed,
        truth: |plan| plan.world.truth.horizon_ms,
        lie_ms: 60_000,
        tell: |plan, ms| plan.world.declared.horizon_ms = ms,
        why: "a key is sent again after the PSP has forgotten it (rule 5)",
    },
];

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    DIALS.iter().map(|dial| dial.name)
}

/// A row of the page.
pub struct Row<'a> {
    dial: &'a Dial,
    lied: Outcome,
    control: Outcome,
}

/// Makes a plan one on which the constant matters: its class, and a PSP whose requests land late or are not answered.
fn set_up(plan: &mut Plan, dial: &Dial) {
    plan.world.class = dial.class;
    // The rows are about one PSP each.
    plan.world.second = None;
    plan.world.lists_forbidden = false;
    // An untruth is to do its harm unseen.
    plan.world.dates = false;
    // Each row tells one untruth beside constants that are the same in all of them.
    for constants in [&mut plan.world.truth, &mut plan.world.declared] {
        if constants.skew_ms > SKEW_MS {
            constants.skew_ms = SKEW_MS;
        }
    }
    plan.steps.retain(|step| {
        !matches!(
            step.act,
            Act::AtSend { .. }
                | Act::SetClock { .. }
                | Act::ByHand { .. }
                | Act::Foreign { .. }
                | Act::Psp {
                    fault: PspFault::Rejected { .. } | PspFault::Twice,
                    ..
                }
        )
    });
    for clock_ms in &mut plan.world.clocks_ms {
        *clock_ms = (*clock_ms).clamp(-CLOCK_MS_MAX, CLOCK_MS_MAX);
    }
    let faults: &[(PspFault, u16)] = match dial.name {
        "lookup_lag_ms" => &[(PspFault::HangAfter, 400)],
        "horizon_ms" => {
            // The PSP forgets fast, and answers nothing for longer than that.
            plan.world.truth.horizon_ms = 3_000;
            plan.world.declared.horizon_ms = 3_000;
            &[(PspFault::HangAfter, 1_000)]
        }
        _ => &[(PspFault::Late, 400)],
    };
    if dial.name == "lookup_lag_ms" {
        plan.world.truth.lookup_lag_ms = 3_000;
        plan.world.declared.lookup_lag_ms = 3_000;
    }
    for (fault, permille) in faults {
        let act = Act::Psp {
            fault: *fault,
            permille: *permille,
            for_ms: 5_000,
        };
        plan.steps.insert(0, Step { at_ms: 0, act });
    }
}

/// Runs every dial over `seeds` seeds.
#[must_use]
pub fn turn(seeds: u64, threads: usize, has_bar: bool) -> Vec<Row<'static>> {
    let run = |change: &(dyn Fn(&mut Plan) + Sync), is_over_at_first: bool| {
        let batch = Batch {
            tier: Tier::Model,
            from: 0,
            seeds,
            threads: if is_over_at_first { 1 } else { threads },
            has_bar,
            change,
            until: None,
            is_over_at_first,
            on_thread: &|| {},
        };
        batch.run()
    };
    DIALS
        .iter()
        .map(|dial| Row {
            dial,
            lied: run(
                &|plan| {
                    set_up(plan, dial);
                    (dial.tell)(plan, dial.lie_ms);
                },
                true,
            ),
            control: run(&|plan| set_up(plan, dial), false),
        })
        .collect()
}

/// The failing plan of a dial and seed, for replay.
#[must_use]
pub fn plan_of(name: &str, seed: u64) -> Option<Plan> {
    let dial = DIALS.iter().find(|dial| dial.name == name)?;
    let mut plan = crate::swarm::plan(seed, Tier::Model);
    set_up(&mut plan, dial);
    (dial.tell)(&mut plan, dial.lie_ms);
    Some(plan)
}

/// What broke though core was told the truth.
pub fn broken_truths<'a>(rows: &'a [Row<'_>]) -> impl Iterator<Item = String> + 'a {
    rows.iter().flat_map(|row| {
        let failures = row.control.failures.iter();
        failures.map(|failure| format!("{}: seed {}: {}", row.dial.name, failure.seed, failure.violation))
    })
}

/// Whether the limit is where the page says: each lie breaks the promise, and the truth never does.
#[must_use]
pub fn is_as_promised(rows: &[Row<'_>]) -> bool {
    rows.iter()
        .all(|row| row.lied.failed > 0 && row.control.failed == 0)
}

/// The page.
#[must_use]
pub fn page(rows: &[Row<'_>]) -> String {
    let mut text = String::from(
        "# The limit of the promise\n\nMoney moves once under constants that are declared to core (`docs/psp.md`). Declared too low \u{2014} a horizon: too high \u{2014}\nthe promise is void. Each row tells core one untruth and shows the first seed on which it does harm; the control runs\nseeds with the truth. Written by `pay-once-sim dials`; the plan of a row is `pay-once-sim dials --replay NAME SEED`.\n\n| constant | class | truth | told | seeds until harm | seed | what broke | seeds with the truth, without harm |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let (dial, first) = (row.dial, row.lied.failures.first());
        let truth_ms = first.map_or(0, |failure| {
            plan_of(dial.name, failure.seed).map_or(0, |plan| (dial.truth)(&plan))
        });
        let (seed, what) = first.map_or(
            ("none".to_owned(), "nothing: enlarge --seeds".to_owned()),
            |failure| (failure.seed.to_string(), failure.violation.to_string()),
        );
        let _ = writeln!(
            text,
            "| `{}` | {} | {truth_ms} | {} | {} | {seed} | {what} | {} of {} |",
            dial.name,
            dial.class.name(),
            dial.lie_ms,
            row.lied.seeds,
            row.control.seeds - row.control.failed,
            row.control.seeds,
        );
    }
    text.push_str("\nWhy:\n\n");
    for row in rows {
        let _ = writeln!(text, "- `{}`: {}.", row.dial.name, row.dial.why);
    }
    text
}
