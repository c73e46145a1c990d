//! Without faults, answers come within 200 ms, 99 of 100 (DESIGN §2, “Time budget”).

use super::Violation;
use crate::plan::Act;
use crate::seen::Run;

pub(super) const NAME: &str = "time budget";
/// The bound, in milliseconds.
pub const P99_MS: u64 = 200;

/// How many late answers of one run are chance: a run has about a hundred. A batch has thousands, and none to spare.
const LATE_MAX: usize = 2;

pub(super) fn judge(run: &Run) -> Result<(), Violation> {
    let took = calm(run);
    let late = took.iter().filter(|took_ms| **took_ms >= P99_MS).count();
    if late > LATE_MAX.max(took.len() / 100) {
        return Err(Violation {
            oracle: NAME,
            rule: "§2 Time budget",
            payment: None,
            at_ms: run.ended_ms,
            message: format!(
                "{late} of {} answers took {P99_MS} ms or more, though there were no faults",
                took.len()
            ),
        });
    }
    Ok(())
}

/// How long each answer of a run without faults took, in milliseconds; none of a run with faults, nor of requests that
/// asked to wait.
#[must_use]
pub fn calm(run: &Run) -> Vec<u64> {
    if run.plan.steps.iter().any(|step| !matches!(step.act, Act::Pay(_))) {
        return Vec::new();
    }
    let asked = run.heard.iter().filter(|heard| heard.ask.wait_s.is_none());
    asked
        .map(|heard| heard.ended_ms.saturating_sub(heard.began_ms))
        .collect()
}
