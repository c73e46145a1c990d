//! A final answer agrees with the ledger for ever, not only at the end of the run (rule 10).

use super::{Case, Oracle, Wrong, since};
use crate::plan::Token;
use crate::seen::Status;

pub(super) const ORACLE: Oracle = Oracle {
    name: "final answers last",
    rule: "rule 10",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    if case.is_touched() || case.has_extra {
        return Ok(());
    }
    // A customer who finishes 3-D Secure after its time makes an effect that is undone later.
    let may_come_late = matches!(case.payment.token, Token::Secure(_));
    let finals = case.heard.iter().filter_map(|heard| {
        let shown = heard.told.as_ref()?.shown.as_ref()?;
        let is_final = heard.ask.role.is_own() && shown.status.is_final() && shown.operation.is_none();
        is_final.then_some((heard.ended_ms, shown.status))
    });
    let Some((told_ms, status)) = finals.min_by_key(|(told_ms, _)| *told_ms) else {
        return Ok(());
    };
    for event in case.ledger.iter().filter(|event| since(event.at_ms) > told_ms) {
        let at_ms = since(event.at_ms);
        let money = case.money_at(at_ms);
        let agrees = match status {
            Status::Captured => case.may_take(money.kept_minor) && money.live == 1,
            // A refused capture leaves a hold, which is being released.
            Status::Declined => money.kept_minor == 0,
            _ => money.kept_minor == 0 && (money.live == 0 || may_come_late),
        };
        if !agrees {
            let what =
                format!("{status:?} was answered at {told_ms} ms, and later the ledger held {money:?}");
            return Err((at_ms, what));
        }
    }
    Ok(())
}
