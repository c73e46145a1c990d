//! Durable writes and calls by which money can move are bounded, and without faults exact: five and two for a manual
//! payment (`docs/store.md`, “Writes”).

use super::{Case, Oracle, Wrong};
use crate::plan::{Act, Class, Flow, Payment, Token};
use crate::seen::Run;

/// Most writes of one attempt, whatever happens.
const WRITES_MAX: u64 = 120;
/// Most calls of one attempt that can move money, whatever happens.
const CALLS_MAX: usize = 60;

/// How far clocks may be apart for work to be exact, in milliseconds.
const SKEW_MS_MAX: u64 = 200;

/// From how long on a fault of the PSP is long, in milliseconds.
const LONG_FAULT_MS: u64 = 3_600_000;

pub(super) const ORACLE: Oracle = Oracle {
    name: "bounded work",
    rule: "store: writes",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let writes = case.run.writes.get(&case.id).copied().unwrap_or(0);
    let calls: Vec<_> = case
        .run
        .psp_calls
        .iter()
        .filter(|call| call.key.starts_with(&case.id))
        .collect();
    let ended_ms = case.run.ended_ms;
    // Where a fault lasts for hours, or a key keeps its error, an operation uses up all its tries, and the next one as well.
    let mut steps = case.run.plan.steps.iter();
    let lasts = |act: &Act| matches!(act, Act::Psp { for_ms, .. } if *for_ms >= LONG_FAULT_MS);
    let is_long = case.run.plan.world.policy.is_some()
        || case.payment.token.keeps_error()
        || steps.any(|step| lasts(&step.act));
    let operations = 1 + usize::from(is_long);
    if writes > WRITES_MAX * operations as u64 || calls.len() > CALLS_MAX * operations {
        return Err((
            ended_ms,
            format!("{writes} writes and {} calls for one attempt", calls.len()),
        ));
    }
    let Some((wanted_writes, wanted_calls)) = exact(case.run, case.payment) else {
        return Ok(());
    };
    if case.money().captures == 1 && (writes != wanted_writes || calls.len() != wanted_calls) {
        let what = format!(
            "{writes} writes and {} calls, instead of {wanted_writes} and {wanted_calls}",
            calls.len()
        );
        return Err((ended_ms, what));
    }
    Ok(())
}

/// How many writes and calls a payment takes, if nothing happens to it that would take more.
pub(crate) fn exact(run: &Run, payment: &Payment) -> Option<(u64, usize)> {
    let wanted = match payment.flow {
        Flow::Manual | Flow::Part => (5, 2),
        Flow::Charge => (2, 1),
        Flow::Automatic => (3, 1),
        Flow::Void | Flow::Race | Flow::Abandon => return None,
    };
    let world = &run.plan.world;
    // Whose object is made first has one write more, and one call that moves nothing; who captures by a call of its own, two
    // and one.
    let class = world.class_of(payment.merchant);
    let makes_first = class == Class::Addressable || class == Class::Stripe && world.policy().prepare_first;
    let is_one_call = match class {
        Class::Stripe | Class::Addressable => true,
        _ => !matches!(payment.flow, Flow::Charge | Flow::Automatic),
    };
    let is_plain = payment.token == Token::Good && world.webhooks.is_none();
    // A rival or a misused key writes its own lines.
    let is_alone = !payment.rival && !payment.reuse && !payment.hasty;
    let mut steps = run.plan.steps.iter();
    let is_calm = steps.all(|step| matches!(step.act, Act::Pay(_)));
    // A server whose clock is far ahead takes another's call up too early, and writes a line about it.
    let agrees = world.truth.skew_ms <= SKEW_MS_MAX;
    let (writes, calls) = wanted;
    let wanted = (writes + u64::from(makes_first), calls);
    (is_one_call && is_plain && is_alone && is_calm && agrees).then_some(wanted)
}
