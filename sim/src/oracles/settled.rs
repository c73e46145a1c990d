//! An answer that is kept for replay is the end of what was asked for: a key is never settled by a step on the way.

use super::{Case, Oracle, Wrong};
use crate::plan::Flow;
use crate::seen::Status;
use crate::shopper::Op;

pub(super) const ORACLE: Oracle = Oracle {
    name: "kept answers are final",
    rule: "http: replays",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let own = case.heard.iter().filter(|heard| heard.ask.role.is_own());
    for heard in own {
        let Some(told) = heard.told.as_ref().filter(|told| told.is_kept()) else {
            continue;
        };
        let Some(shown) = &told.shown else { continue };
        let is_end = match heard.ask.op {
            Op::Authorize if case.payment.flow != Flow::Automatic => {
                shown.status.is_final() || matches!(shown.status, Status::Authorized | Status::Capturing)
            }
            // What an automatic attempt's refused form, or another operation, leaves is told by an error.
            Op::Authorize | Op::Charge | Op::Capture | Op::Void if told.code.is_none() => {
                shown.status.is_final()
            }
            _ => true,
        };
        if !is_end {
            let what = format!(
                "{} was answered {} {:?} for good",
                heard.ask.op.word(),
                told.status,
                shown.status
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
