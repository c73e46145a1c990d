//! The status never goes back for any reader, and final is final (`docs/http.md`, “Statuses”; rule 10).

use super::{Case, Oracle, Wrong};
use crate::seen::{Heard, Status};
use crate::shopper::Op;

pub(super) const ORACLE: Oracle = Oracle {
    name: "status never goes back",
    rule: "rule 10",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let may_return = case.run.plan.has_rejections();
    let mut seen: Vec<(&Heard, Status)> = case
        .heard
        .iter()
        .filter(|heard| heard.ask.role.is_own())
        .filter_map(|heard| Some((*heard, status(heard)?)))
        .collect();
    seen.sort_by_key(|(heard, _)| heard.ended_ms);
    one_name(&seen)?;
    for (n, (earlier, before)) in seen.iter().enumerate() {
        for (later, after) in seen.iter().skip(n + 1) {
            if later.began_ms <= earlier.ended_ms || !is_fresh(later) {
                continue;
            }
            if may_return && before.may_return_to(*after) {
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

/// An authorization and a capture have one id each, for every reader and for ever.
fn one_name(seen: &[(&Heard, Status)]) -> Result<(), Wrong> {
    let shown = seen
        .iter()
        .filter_map(|(heard, _)| Some((*heard, heard.told.as_ref()?.shown.as_ref()?)));
    let names = shown.map(|(heard, shown)| {
        let authorization = shown
            .authorization
            .as_ref()
            .map(|it| (&it.authorization_id, &it.psp_reference));
        (
            heard.ended_ms,
            authorization,
            shown.capture.as_ref().map(|it| &it.capture_id),
        )
    });
    let (mut authorization, mut capture) = (None, None);
    for (at_ms, its_authorization, its_capture) in names {
        authorization = authorization.or(its_authorization);
        capture = capture.or(its_capture);
        let changed = its_authorization.is_some() && its_authorization != authorization;
        if changed || its_capture.is_some() && its_capture != capture {
            return Err((
                at_ms,
                "an authorization or a capture has changed its id".to_owned(),
            ));
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
