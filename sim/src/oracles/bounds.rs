//! Durable writes and calls by which money can move are bounded, and without faults exact: five and two for a manual
//! payment (DESIGN §3, “Writes”).

use super::{Case, Oracle, Wrong};
use crate::plan::{Act, Class, Flow, Token};

/// Most writes of one attempt, whatever happens.
const WRITES_MAX: u64 = 120;
/// Most calls of one attempt that can move money, whatever happens.
const CALLS_MAX: usize = 60;

pub(super) const ORACLE: Oracle = Oracle {
    name: "bounded work",
    rule: "§3 Writes",
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
    if writes > WRITES_MAX || calls.len() > CALLS_MAX {
        return Err((
            ended_ms,
            format!("{writes} writes and {} calls for one attempt", calls.len()),
        ));
    }
    let (wanted_writes, wanted_calls) = match case.payment.flow {
        Flow::Manual | Flow::Part => (5, 2),
        Flow::Charge => (2, 1),
        Flow::Automatic => (3, 1),
        Flow::Void | Flow::Race | Flow::Abandon => return Ok(()),
    };
    let one_call = case.run.plan.world.class == Class::Stripe
        || !matches!(case.payment.flow, Flow::Charge | Flow::Automatic);
    let is_plain = case.payment.token == Token::Good && case.run.plan.world.webhooks.is_none();
    let is_calm = case
        .run
        .plan
        .steps
        .iter()
        .all(|step| matches!(step.act, Act::Pay(_)));
    let is_done = case.money().captures == 1;
    // Whose object is made first has one write and one call more; who captures by a call of its own, two and one.
    if !(is_calm && is_plain && is_done && one_call)
        || case.run.plan.world.class == Class::Addressable
        || is_slow(case)
    {
        return Ok(());
    }
    if writes != wanted_writes || calls.len() != wanted_calls {
        let what = format!(
            "{writes} writes and {} calls, instead of {wanted_writes} and {wanted_calls}",
            calls.len()
        );
        return Err((ended_ms, what));
    }
    Ok(())
}

/// A rival or a misused key writes its own lines.
fn is_slow(case: &Case<'_>) -> bool {
    case.payment.rival || case.payment.reuse
}
