//! In doubt is never reported as failed: where an answer says that a new key is safe, no money is there, then or later
//! (`docs/promise.md`, “Unknown outcomes”; `docs/http.md`, “Errors”).

use super::{Case, Oracle, Wrong};
use crate::seen::{OperationState, Status};

pub(super) const ORACLE: Oracle = Oracle {
    name: "doubt is not failure",
    rule: "promise: unknown outcomes; http: errors",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    for heard in case.heard.iter().filter(|heard| heard.ask.role.is_own()) {
        let Some(told) = &heard.told else { continue };
        // What happened is open after a 5xx: the same key finds out.
        if told.status >= 500 && (!told.retryable || told.safe_new_key) {
            let what = format!(
                "{} {:?} does not ask for the same request again",
                told.status, told.code
            );
            return Err((heard.ended_ms, what));
        }
        if told.safe_new_key {
            let money = case.money();
            if money.kept_minor > 0 && money.captures > 0 {
                let what = format!(
                    "{} {:?} said that a new key is safe, and the ledger holds {money:?}",
                    told.status, told.code
                );
                return Err((heard.ended_ms, what));
            }
        }
        let Some(shown) = &told.shown else { continue };
        let is_open = shown.operation.as_ref().is_some_and(|operation| {
            operation.state != OperationState::InFlight
                && matches!(operation.name.as_str(), "authorize" | "capture")
        });
        if is_open && matches!(shown.status, Status::Declined | Status::Expired | Status::Voided) {
            return Err((
                heard.ended_ms,
                format!("{:?} was shown with money in doubt", shown.status),
            ));
        }
    }
    Ok(())
}
