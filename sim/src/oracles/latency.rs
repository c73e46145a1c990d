//! Without faults, answers come within 200 ms, 99 of 100 (DESIGN §2, “Time budget”).

use super::Violation;
use crate::plan::Act;
use crate::seen::Run;

pub(super) const NAME: &str = "time budget";
/// In milliseconds.
const P99_MS: u64 = 200;

pub(super) fn judge(run: &Run) -> Result<(), Violation> {
    if run.plan.steps.iter().any(|step| !matches!(step.act, Act::Pay(_))) {
        return Ok(());
    }
    let asked = run.heard.iter().filter(|heard| heard.ask.wait_s.is_none());
    let mut took: Vec<u64> = asked.map(|heard| heard.ended_ms - heard.began_ms).collect();
    took.sort_unstable();
    let p99_ms = took
        .get(took.len() * 99 / 100)
        .or(took.last())
        .copied()
        .unwrap_or(0);
    if p99_ms >= P99_MS {
        return Err(Violation {
            oracle: NAME,
            rule: "§2 Time budget",
            payment: None,
            at_ms: run.ended_ms,
            message: format!(
                "p99 of {} answers is {p99_ms} ms, though there were no faults",
                took.len()
            ),
        });
    }
    Ok(())
}
