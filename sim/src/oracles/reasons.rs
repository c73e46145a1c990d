//! An attempt ends without money for a reason: a client's void, the end of an authorization's life, the end of a 3-D Secure's time.

use pay_once_core::journal::entry::{Cause as CoreCause, Fact, Operation};
use pay_once_sandbox::Cause;

use super::{Case, Oracle, Wrong, since};
use crate::plan::Token;
use crate::seen::Status;
use crate::shopper::Op;

pub(super) const ORACLE: Oracle = Oracle {
    name: "nothing ends without a reason",
    rule: "rules 8, 10",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let by_hand = [Cause::Dashboard, Cause::Reversal, Cause::Repeated];
    // An object that a person released is no more, and an operator's word is its own reason.
    let is_released = case
        .ledger
        .iter()
        .any(|event| event.cause.is_some_and(|cause| by_hand.contains(&cause)));
    if case.is_touched() || is_released && !case.has_extra || case.run.plan.world.operator_ms.is_some() {
        return Ok(());
    }
    let world = &case.run.plan.world;
    let asked_ms = case.written().find_map(|entry| match &entry.fact {
        Fact::Dispatched {
            operation: Operation::Authorize,
            sent_at_ms,
            ..
        } => Some(since(sent_at_ms.get())),
        _ => None,
    });
    let is_void_asked = case.written().any(|entry| match &entry.fact {
        Fact::Intended {
            operation: Operation::Void,
            cause,
            ..
        } => *cause == CoreCause::Client || case.lost.is_some(),
        _ => false,
    });
    // What a clock began that was behind at the start seems older once it is set right.
    let off_ms = case.run.plan.starts_off_ms();
    // Nothing that was sent can end before either time is over; clocks differ.
    let is_secure = matches!(
        case.payment.token,
        Token::Secure(_) | Token::SecureFails(_) | Token::SecureAbandoned
    );
    let life_ms = match is_secure {
        true => world.authorization_ms.min(world.action_ms) * 8 / 10,
        false => world.authorization_ms * 8 / 10,
    };
    for heard in case.heard.iter().filter(|heard| heard.ask.role.is_own()) {
        let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
        let Some(status) = shown.map(|shown| shown.status) else {
            continue;
        };
        let is_early = asked_ms.is_some_and(|asked_ms| {
            heard.ended_ms < asked_ms + life_ms.saturating_sub(2 * world.truth.skew_ms + off_ms)
        });
        match status {
            // What a restore has lost may have been held since the beginning of the loss.
            Status::Expired if is_early && case.lost.is_none() => {
                return Err((
                    heard.ended_ms,
                    "EXPIRED before anything's time was over".to_owned(),
                ));
            }
            Status::Voided if !is_void_asked && heard.ask.op != Op::Void => {
                return Err((heard.ended_ms, "VOIDED, and no client asked for that".to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}
