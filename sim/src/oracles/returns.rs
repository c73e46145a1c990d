//! Every retry converges: a client that comes back after healing, and asks again under its keys, gets a final answer, or the
//! word that it is in doubt: never that nothing was done.

use super::{Case, Oracle, Wrong};
use crate::plan::{Act, Step};
use crate::seen::Told;
use crate::shopper::Role;

/// From how long on a fault of the PSP makes pauses that outlast a client's patience, in milliseconds.
const LONG_FAULT_MS: u64 = 3_000;

pub(super) const ORACLE: Oracle = Oracle {
    name: "who comes back is answered",
    rule: "promise: liveness; http: replays",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let mut steps = case.run.plan.steps.iter();
    // Who takes over from a server that is gone finds its timers within half a minute.
    let lasts = |step: &Step| match step.act {
        Act::Psp { for_ms, .. } => for_ms >= LONG_FAULT_MS,
        Act::Die { .. } => true,
        _ => false,
    };
    let is_disturbed_for_long = steps.any(lasts);
    // A PSP that keeps an error under a key tells nothing more by it.
    if case.payment.token.keeps_error() || case.run.plan.world.lists_forbidden {
        return Ok(());
    }
    // Another's object is believed to go away for a day.
    if is_disturbed_for_long || !case.foreign.is_empty() || case.run.plan.world.policy.is_some() {
        return Ok(());
    }
    let back = case.heard.iter().filter(|heard| heard.ask.role == Role::Back);
    let last = back.filter(|heard| heard.ask.tries_left == 0);
    for heard in last {
        // What is in doubt is told so, and for how long it may be is for the oracle of liveness.
        let is_answer = |told: &Told| told.is_kept() || matches!(told.status, 202 | 400..=499);
        let told = heard.told.as_ref();
        // No answer: its server may be gone, or its client in a hurry.
        if told.is_none_or(is_answer) {
            continue;
        }
        let what = format!(
            "{} was asked again and again long after all was healed, and was answered {:?}",
            heard.ask.key,
            told.map(|told| (told.status, told.code.clone()))
        );
        return Err((heard.ended_ms, what));
    }
    Ok(())
}
