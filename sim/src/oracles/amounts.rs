//! The amount and the currency are the ones asked for (DESIGN §1: of at most the authorized amount).

use pay_once_sandbox::tokens::Operation;

use super::{Case, Oracle, Wrong, since};
use crate::shopper::{CURRENCY, Role};

pub(super) const ORACLE: Oracle = Oracle {
    name: "amounts",
    rule: "§1, §2",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let (authorize, capture) = (case.payment.amount_minor, case.payment.capture_minor());
    for event in &case.ledger {
        let wanted = match event.operation {
            Operation::Authorize => authorize,
            Operation::Capture => capture,
            Operation::Void | Operation::Refund | Operation::Lapse => continue,
        };
        if event.amount_minor != wanted || !event.currency.eq_ignore_ascii_case(CURRENCY) {
            let what = format!(
                "{:?} of {} {}, asked for {wanted} {CURRENCY}",
                event.operation, event.amount_minor, event.currency
            );
            return Err((since(event.at_ms), what));
        }
    }
    for heard in case.heard.iter().filter(|heard| heard.ask.role != Role::Reuse) {
        let Some(shown) = heard.told.as_ref().and_then(|told| told.shown.as_ref()) else {
            continue;
        };
        let taken = shown.capture.as_ref().map(|capture| capture.amount);
        if shown.amount != authorize
            || shown.currency != CURRENCY
            || taken.is_some_and(|taken| taken != capture)
        {
            let what = format!(
                "an answer shows {} {}, captured {taken:?}",
                shown.amount, shown.currency
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
