//! Doubt ends in time: where effects happen, answers alone get lost, and the PSP can be asked, a look tells within seconds,
//! however often clients ask meanwhile.

use super::{Case, Oracle, Wrong};
use crate::plan::{Act, PspFault};
use crate::seen::OperationState;

/// How long after the last fault an operation may be in doubt, in milliseconds: a few looks, each after its pause.
const DOUBT_MS_MAX: u64 = 20_000;

pub(super) const ORACLE: Oracle = Oracle {
    name: "doubt ends in time",
    rule: "rule 11",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let world = &case.run.plan.world;
    let keeps_error = case.payment.token.keeps_error();
    if !case.class.is_listed() || world.lists_forbidden || world.policy.is_some() || keeps_error {
        return Ok(());
    }
    // Until healing a process may end at any answer of its store.
    let mut over_ms = if world.deaths_permille > 0 {
        world.heal_ms
    } else {
        0
    };
    for step in &case.run.plan.steps {
        match step.act {
            Act::Pay(_) => {}
            Act::Psp {
                fault: PspFault::HangAfter | PspFault::ErrorAfter | PspFault::Garbage | PspFault::WebhookLost,
                for_ms,
                ..
            } => over_ms = over_ms.max(step.at_ms + for_ms),
            _ => return Ok(()),
        }
    }
    for heard in case.heard.iter().filter(|heard| heard.ask.role.is_own()) {
        let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
        let operation = shown.and_then(|shown| shown.operation.as_ref());
        let is_in_doubt = operation.is_some_and(|operation| operation.state == OperationState::InDoubt);
        if is_in_doubt && heard.began_ms > over_ms + DOUBT_MS_MAX {
            let what = format!("still in doubt, though the last fault was over at {over_ms} ms");
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
