//! Who was approved is not declined: where the PSP authorized what was asked for, and nothing else refuses it, no answer says
//! DECLINED (rules 6 and 9).

use pay_once_core::journal::entry::{Fact, Operation as CoreOperation};
use pay_once_sandbox::tokens::Operation;

use super::{Case, Oracle, Wrong, since};
use crate::plan::{Act, Flow, PspFault, Token};
use crate::seen::Status;

pub(super) const ORACLE: Oracle = Oracle {
    name: "approved is not declined",
    rule: "rules 6, 9",
    judge,
};

/// Whether a form may have been refused of a capture that no client asked for: that ends the attempt.
fn is_form_refused(case: &Case<'_>) -> bool {
    let plan = &case.run.plan;
    let refuses = |act: &Act| {
        matches!(
            act,
            Act::Psp {
                fault: PspFault::FormRefused,
                ..
            }
        )
    };
    let is_automatic = matches!(case.payment.flow, Flow::Charge | Flow::Automatic);
    let journal = case
        .run
        .journals()
        .get(&case.id)
        .and_then(|record| record.as_ref().ok());
    let captures = |fact: &Fact| {
        matches!(
            fact,
            Fact::Dispatched {
                operation: CoreOperation::Capture,
                ..
            }
        )
    };
    let has_captured =
        journal.is_some_and(|record| record.entries().iter().any(|entry| captures(&entry.fact)));
    is_automatic && has_captured && plan.steps.iter().any(|step| refuses(&step.act))
}

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let is_good = matches!(
        case.payment.token,
        Token::Good | Token::WebhookFirst | Token::Secure(_) | Token::AnswerCut | Token::ErrorKept
    );
    let is_alone = case.foreign.is_empty() && !case.has_extra && !case.is_touched();
    // A hasty or an ignorant word is an operator's to answer for.
    if !is_good || !is_alone || case.run.plan.world.operator_ms.is_some() {
        return Ok(());
    }
    let approved = case.ledger.iter().find(|event| {
        event.operation == Operation::Authorize && event.declined.is_none() && event.cause.is_none()
    });
    let Some(approved) = approved else { return Ok(()) };
    if is_form_refused(case) {
        return Ok(());
    }
    for heard in case.heard.iter().filter(|heard| heard.ask.role.is_own()) {
        let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
        if shown.is_some_and(|shown| shown.status == Status::Declined) {
            let what = format!(
                "DECLINED was answered, and the PSP approved it at {} ms",
                since(approved.at_ms)
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
