//! An operator's word counts for the parking that it names and for no other one: who resolves what is still in flight is refused, and
//! so is who comes after that parking has ended, whatever has been parked since.

use super::{Case, Oracle, Wrong};
use crate::shopper::Role;

pub(super) const ORACLE: Oracle = Oracle {
    name: "only what is parked is resolved",
    rule: "http: resolve",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    for heard in case.heard.iter().filter(|heard| heard.ask.role == Role::Late) {
        let Some(told) = &heard.told else { continue };
        if !matches!(told.status, 404 | 409 | 503) {
            let what = format!(
                "a word about a parking that had ended was answered with {} {:?}",
                told.status, told.code
            );
            return Err((heard.ended_ms, what));
        }
    }
    // What was captured differs from what was asked for: that is parked at once.
    if case.captures_other() || case.is_touched() {
        return Ok(());
    }
    for heard in case.heard.iter().filter(|heard| heard.ask.role == Role::Hasty) {
        let Some(told) = &heard.told else { continue };
        if !matches!(told.status, 404 | 409 | 503) {
            let what = format!(
                "an operator resolved what was not parked, and was answered with {} {:?}",
                told.status, told.code
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
