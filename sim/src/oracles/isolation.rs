//! No merchant learns of another's attempt: whatever is asked for at its address, it is not there.

use super::{Case, Oracle, Wrong};
use crate::shopper::{Op, Role};

pub(super) const ORACLE: Oracle = Oracle {
    name: "merchants are apart",
    rule: "http: merchants",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    for heard in case.heard.iter().filter(|heard| heard.ask.role == Role::Stranger) {
        let Some(told) = &heard.told else { continue };
        let is_refused = match heard.ask.op {
            // No merchant may, whosever attempt it is.
            Op::Resolve => told.status == 403,
            _ => matches!(told.status, 404 | 503),
        };
        if told.shown.is_some() || !is_refused {
            let what = format!(
                "another merchant's {} {} was answered with {} {:?}",
                heard.ask.method, heard.ask.target, told.status, told.code
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
