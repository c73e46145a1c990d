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
        // What a restore has lost is not known by any key.
        let is_lost = case.lost.is_some() && matches!(told.status, 404 | 409);
        if !refused && told.status != 503 && !is_lost {
            let what = format!(
                "key {} was used for {} {} and answered {} {:?}",
                heard.ask.key, heard.ask.target, heard.ask.body, told.status, told.code
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
