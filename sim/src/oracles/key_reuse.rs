//! A key belongs to one request: another body or operation under it is refused, without effect (`docs/http.md`, “Keys”).

use super::{Case, Oracle, Wrong};
use crate::shopper::Role;

pub(super) const ORACLE: Oracle = Oracle {
    name: "key reuse refused",
    rule: "http: keys",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    for heard in case.heard.iter().filter(|heard| heard.ask.role == Role::Reuse) {
        let Some(told) = &heard.told else { continue };
        let refused = told.status == 409 && told.code.as_deref() == Some("IDEMPOTENCY_KEY_REUSE");
        // A key that a restore has lost belongs to whoever uses it next.
        if !refused && told.status != 503 && case.lost.is_none() {
            let what = format!(
                "key {} was used for {} {} and answered {} {:?}",
                heard.ask.key, heard.ask.target, heard.ask.body, told.status, told.code
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
