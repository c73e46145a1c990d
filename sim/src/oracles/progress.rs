//! The status never goes back for any reader, and final is final (DESIGN §1, rule 10).

use super::{Case, Oracle, Wrong};
use crate::seen::{Heard, Status};
use crate::shopper::Op;

pub(super) const ORACLE: Oracle = Oracle {
    name: "status never goes back",
    rule: "rule 10",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let mut seen: Vec<(&Heard, Status)> = case
        .heard
        .iter()
        .filter_map(|heard| Some((*heard, status(heard)?)))
        .collect();
    seen.sort_by_key(|(heard, _)| heard.ended_ms);
    for (n, (earlier, before)) in seen.iter().enumerate() {
        for (later, after) in seen.iter().skip(n + 1) {
            if later.began_ms <= earlier.ended_ms || !is_fresh(later) {
                continue;
            }
            if after.rank() < before.rank() || before.is_final() && after != before {
                let what = format!(
                    "{before:?} was shown at {} ms, and {after:?} to a request sent at {} ms",
                    earlier.ended_ms, later.began_ms
                );
                return Err((later.ended_ms, what));
            }
        }
    }
    Ok(())
}

fn status(heard: &Heard) -> Option<Status> {
    heard.told.as_ref()?.shown.as_ref().map(|shown| shown.status)
}

/// Whether the answer shows the attempt as it stands, not as it stood when the key was settled.
fn is_fresh(heard: &Heard) -> bool {
    heard.ask.op == Op::Look || heard.told.as_ref().is_some_and(|told| !told.is_kept())
}
