//! Doubt ends in time: where effects happen, answers alone get lost, and the PSP can be asked, a look tells within seconds,
//! however often clients ask meanwhile.

use pay_once_core::journal::entry::Fact;

use super::{Case, Oracle, Wrong, since};
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
    // Until healing a process may end at any answer of its store, or have no place for a call.
    let mut over_ms = if world.deaths_permille > 0 || world.no_place_permille > 0 {
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
        // Until it was begun nothing was in doubt.
        let over_ms = over_ms.max(begun_ms(case, heard.ended_ms));
        if is_in_doubt && heard.began_ms > over_ms + DOUBT_MS_MAX {
            let what = format!(
                "still in doubt, though the last fault was over, and it was begun, before {over_ms} ms"
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}

/// When the last operation before `until_ms` was begun, in milliseconds from the start.
fn begun_ms(case: &Case<'_>, until_ms: u64) -> u64 {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return 0;
    };
    let begun = record.entries().iter().filter_map(|entry| {
        let is_begin = matches!(entry.fact, Fact::Intended { .. });
        is_begin.then(|| since(entry.at_ms.get()))
    });
    begun.filter(|at_ms| *at_ms <= until_ms).max().unwrap_or(0)
}
