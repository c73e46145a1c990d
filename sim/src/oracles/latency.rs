//! Without faults, answers come within 200 ms, 99 of 100 (`docs/http.md`, “Time budget”).

use super::Violation;
use crate::plan::{Act, World};
use crate::seen::Run;
use crate::world::BUDGET_MS;

pub(super) const NAME: &str = "time budget";
/// The bound, in milliseconds.
pub const P99_MS: u64 = 200;

/// What counts as late in a single run beyond the bound, in milliseconds: the full stack's steps of 10 ms, rounded up at each of four hops,
/// are no fault. The bound itself is held against the batch.
const LATE_MS: u64 = 40;
/// How many late answers of one run are chance: a run has about a hundred.
const LATE_MAX: usize = 2;

/// The bound where a deployment has another budget, in milliseconds.
#[must_use]
pub fn bound_ms(world: &World) -> u64 {
    P99_MS + world.policy().time_budget_ms.saturating_sub(BUDGET_MS)
}

pub(super) fn judge(run: &Run) -> Result<(), Violation> {
    let took = calm(run);
    let late_ms = bound_ms(&run.plan.world) + LATE_MS;
    let late = took.iter().filter(|took_ms| **took_ms >= late_ms).count();
    if late > LATE_MAX.max(took.len() / 100) {
        return Err(Violation {
            oracle: NAME,
            rule: "http: time budget",
            payment: None,
            at_ms: run.ended_ms,
            message: format!(
                "{late} of {} answers took {late_ms} ms or more, though there were no faults",
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
