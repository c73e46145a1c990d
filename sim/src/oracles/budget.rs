//! Every request is answered within its budget, and what a store's time-outs add to it.

use super::{Case, Oracle, Wrong};
use crate::plan::{Act, Shape, StoreFault};

/// What the store may add to an answer, in milliseconds: three swaps whose end is unknown and the reads after them, each up to
/// its time-out.
const STORE_MS_MAX: u64 = 2_700;
/// What messages, and steps of the clock, may add, in milliseconds.
const NETWORK_MS_MAX: u64 = 150;

/// What one event about the attempt, which is written before the request can be, may add, in milliseconds.
const OTHERS_MS_MAX: u64 = 20;
/// What a look into a store that tells of no change, or the way to another server, may add, in milliseconds.
const LOOKS_MS_MAX: u64 = 200;

pub(super) const ORACLE: Oracle = Oracle {
    name: "answered in time",
    rule: "http: time budget",
    judge,
};

/// How long servers take to start, in milliseconds.
const START_MS: u64 = 50;

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let plan = &case.run.plan;
    // What stops servers or messages stops answers.
    if plan.has_stopped_servers() || plan.has_copies() {
        return Ok(());
    }
    let of_store = plan.steps.iter().map(|step| match step.act {
        Act::Store {
            fault: StoreFault::Slow,
            ..
        } => 2 * STORE_MS_MAX,
        Act::Store { .. } => STORE_MS_MAX,
        _ => 0,
    });
    let of_payment =
        |act: &Act| matches!(act, Act::Foreign { payment, .. } if *payment == case.payment.payment);
    let others = plan.steps.iter().filter(|step| of_payment(&step.act)).count() as u64;
    let store_ms = of_store.max().unwrap_or(0) + OTHERS_MS_MAX * others;
    for heard in case.heard.iter().filter(|heard| heard.ask.wait_s.is_none()) {
        let looks_ms = if plan.world.shape == Shape::Servers {
            0
        } else {
            LOOKS_MS_MAX
        };
        let limit_ms = plan.world.policy().time_budget_ms + NETWORK_MS_MAX + looks_ms + store_ms;
        // Nobody listens yet, or the run ended first.
        if heard.began_ms < START_MS || heard.began_ms + limit_ms > case.run.ended_ms {
            continue;
        }
        let took_ms = heard.ended_ms.saturating_sub(heard.began_ms);
        if took_ms > limit_ms || heard.told.is_none() && heard.ask.timeout_ms > limit_ms {
            let what = format!(
                "{} {} was {} after {took_ms} ms; its budget and the store's time-outs allow {limit_ms} ms",
                heard.ask.method,
                heard.ask.target,
                if heard.told.is_some() {
                    "answered"
                } else {
                    "given up"
                }
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
