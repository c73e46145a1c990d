//! Rejected credentials end nothing: a payment is declined only where the PSP declined it, or where faults of other kinds
//! kept it from being made (rule 9).

use super::{Case, Oracle, Wrong};
use crate::plan::{Act, PspFault, Token};
use crate::seen::{Heard, Status};
use crate::shopper::Role;

pub(super) const ORACLE: Oracle = Oracle {
    name: "a rejection is no decline",
    rule: "rule 9",
    judge,
};

/// The decline code of a payment that no PSP carried out, which is proven.
const UNAVAILABLE: &[u8] = b"(psp_unavailable)";

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    // Every card that approves in the end.
    let is_good = matches!(
        case.payment.token,
        Token::Good | Token::WebhookFirst | Token::Secure(_) | Token::AnswerCut
    );
    let by_operator = |heard: &&Heard| heard.ask.role.is_operator();
    let is_alone = case.foreign.is_empty()
        && !case.is_touched()
        && !case.heard.iter().copied().any(|heard| by_operator(&heard));
    if !is_good || !is_alone || case.run.plan.world.min_minor > 0 {
        return Ok(());
    }
    let acts = || case.run.plan.steps.iter().map(|step| &step.act);
    let declines = |act: &Act| match act {
        Act::Psp { fault, .. } => matches!(fault, PspFault::Declines | PspFault::FormRefused),
        _ => false,
    };
    if acts().any(declines) {
        return Ok(());
    }
    // What nobody sends is proven absent, and ends so.
    let only_rejects = !case.run.plan.has_stopped_servers()
        && acts().all(|act| match act {
            Act::Pay(_) | Act::Forge { .. } | Act::Replay { .. } | Act::Foreign { .. } => true,
            Act::Psp { fault, .. } => matches!(fault, PspFault::Rejected { .. } | PspFault::WebhookLost),
            _ => false,
        });
    for heard in case.heard.iter().filter(|heard| heard.ask.role.is_own()) {
        let Some(told) = &heard.told else { continue };
        let is_declined = told
            .shown
            .as_ref()
            .is_some_and(|shown| shown.status == Status::Declined);
        let is_unavailable = || {
            let mut words = told.body.windows(UNAVAILABLE.len());
            words.any(|words| words == UNAVAILABLE)
        };
        if is_declined && (only_rejects || told.status == 402 && !is_unavailable()) {
            let what = "DECLINED was answered, and the PSP declined nothing: it rejected calls at most, or did not answer";
            return Err((heard.ended_ms, what.to_owned()));
        }
        let is_asked = matches!(heard.ask.role, Role::Main | Role::Copy | Role::Back);
        if is_asked && told.code.as_deref() == Some("INVALID_AMOUNT") {
            let what = "the amount was refused, and the PSP refused no form";
            return Err((heard.ended_ms, what.to_owned()));
        }
    }
    Ok(())
}
