//! Declined means never captured, then and later (rules 9, 10).

use super::{Case, Oracle, Wrong};
use crate::seen::Status;

pub(super) const ORACLE: Oracle = Oracle {
    name: "declined means never",
    rule: "promise: safety; rules 9, 10",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let over = |status: Status| matches!(status, Status::Declined | Status::Voided | Status::Expired);
    let mut heard = case.heard.iter().filter(|heard| heard.ask.role.is_own());
    let said = heard.find(|heard| {
        let told = heard.told.as_ref();
        told.and_then(|told| told.shown.as_ref())
            .is_some_and(|shown| over(shown.status))
    });
    let Some(said) = said else { return Ok(()) };
    let money = case.money();
    // What a person took of a hold that was being released is still being given back, or waits for an operator.
    let last = case.last().and_then(|last| last.told.as_ref());
    let is_open = last
        .and_then(|told| told.shown.as_ref())
        .is_some_and(|shown| shown.operation.is_some());
    if case.is_touched() && is_open {
        return Ok(());
    }
    // A person may give back at the dashboard what a capture under way takes.
    // What was executed twice may be seen, and given back, later.
    let is_taken = match case.is_touched() || case.has_extra {
        true => money.kept_minor > 0,
        false => money.captures > 0,
    };
    if is_taken {
        let what = format!("said to have ended without money, and the ledger holds {money:?}");
        return Err((said.ended_ms, what));
    }
    Ok(())
}
