//! Determinism proved: the same plan in this process and in four others, each of which has used up another number of task
//! ids first (a runtime's order of dropping tasks depends on them), must leave the same trace, answers and ledger.

use std::process::Command;

use crate::swarm;
use crate::tier::{Tier, carry_out};

/// How many other processes.
pub const SHIFTS: u64 = 4;

/// The digests of seeds, one a line.
#[must_use]
pub fn digests(tier: Tier, from: u64, seeds: u64, shift: u64) -> Vec<String> {
    shift_task_ids(shift);
    (from..from.saturating_add(seeds))
        .map(|seed| {
            let digest = carry_out(&swarm::plan(seed, tier), tier, true).traced.digest();
            format!("{seed} {digest}")
        })
        .collect()
}

/// Compares with other processes. `program` is this binary.
///
/// # Errors
/// A sentence that names the first seed that differs.
pub fn compare(program: &std::path::Path, tier: Tier, from: u64, seeds: u64) -> Result<(), String> {
    let here = digests(tier, from, seeds, 0);
    // A second time in one process: nothing may be left over from the first.
    if digests(tier, from, seeds, 1) != here {
        return Err("a second pass in the same process differs from the first".to_owned());
    }
    for shift in 0..SHIFTS {
        let output = Command::new(program)
            .args(["meta", "--child", "--tier", tier.name()])
            .args(["--from", &from.to_string(), "--seeds", &seeds.to_string()])
            .args(["--shift", &shift.to_string()])
            .output()
            .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        let there = String::from_utf8_lossy(&output.stdout);
        let there: Vec<&str> = there.lines().collect();
        if there.len() != here.len() {
            return Err(format!(
                "the process with shift {shift} ended early: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        if let Some((mine, theirs)) = here.iter().zip(&there).find(|(mine, theirs)| mine != *theirs) {
            return Err(format!(
                "seed and digest here {mine}, with shift {shift} {theirs}"
            ));
        }
    }
    Ok(())
}

/// Uses up task ids, which are counted for the whole process.
fn shift_task_ids(shift: u64) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
        return;
    };
    runtime.block_on(async {
        for _ in 0..shift {
            // What it was is of no interest: its id is gone.
            let _ = tokio::spawn(async {}).await;
        }
    });
}
