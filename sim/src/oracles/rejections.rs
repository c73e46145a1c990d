//! Rejected credentials end nothing: a payment is declined only where the PSP declined it, or where faults of other kinds
//! kept it from being made (rule 9).

use super::{Case, Oracle, Wrong};
use crate::plan::{Act, PspFault, Token};
use crate::seen::Status;

pub(super) const ORACLE: Oracle = Oracle {
    name: "a rejection is no decline",
    rule: "rule 9",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    // Every card that approves in the end.
    let is_good = matches!(
        case.payment.token,
        Token::Good | Token::WebhookFirst | Token::Secure(_) | Token::AnswerCut
    );
    let mut steps = case.run.plan.steps.iter();
    let only_rejects = steps.all(|step| match step.act {
        Act::Pay(_) | Act::Forge { .. } | Act::Replay { .. } | Act::Foreign { .. } => true,
        Act::Psp { fault, .. } => matches!(fault, PspFault::Rejected { .. } | PspFault::WebhookLost),
        _ => false,
    });
    if !is_good || !only_rejects || case.run.plan.world.operator_ms.is_some() {
        return Ok(());
    }
    for heard in case.heard.iter().filter(|heard| heard.ask.role.is_own()) {
        let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
        if shown.is_some_and(|shown| shown.status == Status::Declined) {
            let what =
                "DECLINED was answered, and the PSP declined nothing: it rejected calls at most".to_owned();
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
