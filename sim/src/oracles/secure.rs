//! A customer who finished 3-D Secure in time has paid, wherever the PSP can be asked.

use pay_once_sandbox::tokens::Operation;

use super::{Case, Oracle, Wrong, since};
use crate::plan::{Class, Flow, Token};
use crate::seen::Status;

pub(super) const ORACLE: Oracle = Oracle {
    name: "who finished in time has paid",
    rule: "rule 10",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let world = &case.run.plan.world;
    let can_ask = match case.class {
        Class::Stripe | Class::Addressable => true,
        Class::Queryable | Class::KeyedQueryable => !world.lists_forbidden,
        Class::Keyed | Class::Blind => false,
    };
    // Where the client has to capture, an authorization may lapse for want of it.
    let captures_itself = matches!(case.payment.flow, Flow::Charge | Flow::Automatic);
    if !can_ask || !captures_itself || !matches!(case.payment.token, Token::Secure(_)) || case.is_touched() {
        return Ok(());
    }
    let Some(told) = case.last().and_then(|last| last.told.as_ref()) else {
        return Ok(());
    };
    if told
        .shown
        .as_ref()
        .is_none_or(|shown| shown.status != Status::Expired)
    {
        return Ok(());
    }
    let approved = case.ledger.iter().filter(|event| {
        event.operation == Operation::Authorize && event.declined.is_none() && event.cause.is_none()
    });
    for event in approved {
        // The deadline runs from when the challenge was seen, which is not before its request arrived.
        let asked = case
            .run
            .psp_calls
            .iter()
            .find(|call| Some(&call.key) == event.key.as_ref());
        let Some(asked) = asked else { continue };
        let deadline_ms = asked.at_ms + world.action_ms;
        // The last look is tried for a minute after the deadline; in a deployment's plan any fault may outlast that.
        if world.policy.is_some() && deadline_ms < world.heal_ms {
            continue;
        }
        let finished_ms = since(event.at_ms);
        // What could not be captured in its life is released at the end of it.
        let ends = case
            .ledger
            .iter()
            .filter(|event| matches!(event.operation, Operation::Void | Operation::Lapse));
        let held_ms = ends
            .map(|event| since(event.at_ms).saturating_sub(finished_ms))
            .min();
        if held_ms.is_some_and(|held_ms| held_ms * 10 >= world.authorization_ms * 8) {
            continue;
        }
        if finished_ms + world.truth.skew_ms < deadline_ms {
            let what = format!(
                "EXPIRED, though 3-D Secure was finished at {finished_ms} ms and had until {deadline_ms} ms"
            );
            return Err((finished_ms, what));
        }
    }
    Ok(())
}
