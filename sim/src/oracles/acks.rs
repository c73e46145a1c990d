//! What an answer says of money is true at the PSP by then: no answer claims that money moved that did not.

use super::{Case, Oracle, Wrong};
use crate::seen::Status;
use crate::shopper::Op;

pub(super) const ORACLE: Oracle = Oracle {
    name: "acknowledged means done",
    rule: "promise: safety; rules 2, 7, 9",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    for heard in case.heard.iter().filter(|heard| heard.ask.role.is_own()) {
        let Some(shown) = heard.told.as_ref().and_then(|told| told.shown.as_ref()) else {
            continue;
        };
        let money = case.money_at(heard.ended_ms);
        let is_true = match shown.status {
            // A person may have taken the execution that the attempt does not count as its own.
            Status::Captured if case.is_touched() && case.has_extra => true,
            Status::Captured if case.is_touched() || case.has_extra => money.all_captures >= 1,
            Status::Captured => money.captures == 1 && case.may_take(money.kept_minor),
            Status::Authorized | Status::Capturing if case.has_extra => true,
            Status::Authorized | Status::Capturing => money.authorizations >= 1,
            // What was executed twice may be seen and undone later.
            Status::Voided | Status::Expired | Status::Declined if case.has_extra => true,
            Status::Voided | Status::Expired => money.live == 0 && money.kept_minor == 0,
            // A refused capture leaves a hold, and the attempt says so as long as it is being released.
            Status::Declined => heard.ask.op != Op::Look || shown.operation.is_some() || money.live == 0,
            Status::Created | Status::Authorizing | Status::RequiresAction | Status::Voiding => true,
        };
        if !is_true {
            let what = format!(
                "{} was answered {:?} while the ledger held {money:?}",
                heard.ask.op.word(),
                shown.status
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
