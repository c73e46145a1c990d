//! What a batch came to, for people, for programs and for GitHub.

use std::path::Path;

use pay_once_sim::batch::{Failure, Outcome, rate_bound};
use pay_once_sim::met::{GATE_SEEDS, Sometimes};
use pay_once_sim::tier::carry_out;

use super::whose::Source;

/// The table of what was done and met.
pub(super) fn table(source: &Source, outcome: &Outcome) {
    println!(
        "{} tier: {} seeds, {} payments, {} requests, {} s simulated, in {:.1} s ({:.0} seeds per processor second)",
        source.tier.name(),
        outcome.seeds,
        outcome.payments,
        outcome.requests,
        outcome.simulated_ms / 1_000,
        outcome.seconds,
        per_cpu_second(outcome),
    );
    if let Some((p99_ms, answers)) = outcome.calm_p99_ms() {
        println!(
            "without faults: p99 of {answers} answers {p99_ms} ms of simulated time (bound: {})",
            outcome.p99_bound_ms
        );
    }
    println!("\nmet:");
    for row in Sometimes::ALL.chunks(2) {
        let cells = row.iter().map(|what| {
            let count = outcome.met.0.get(what).copied().unwrap_or(0);
            format!("  {:<34} {count:>10}", what.name())
        });
        println!("{}", cells.collect::<String>());
    }
    println!();
    let missing = outcome.missing();
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|what| what.name()).collect();
        println!("NOT MET, so this batch proves too little: {}", names.join(", "));
    } else if outcome.seeds < GATE_SEEDS {
        println!("(fewer than {GATE_SEEDS} seeds: what was never met is not held against the batch)");
    }
    if outcome.failed > 0 {
        println!("VIOLATIONS: {} of {} seeds", outcome.failed, outcome.seeds);
    } else {
        println!(
            "no violation: with 95 % confidence fewer than one seed in {:.0} fails",
            1.0 / rate_bound(outcome.seeds)
        );
    }
}

/// The outcome as one JSON object.
pub(super) fn json(source: &Source, outcome: &Outcome) -> Result<(), String> {
    let missing: Vec<String> = outcome.missing().iter().map(|what| what.name()).collect();
    let whole = serde_json::json!({
        "tier": source.tier.name(),
        "clean": outcome.is_clean(),
        "missing": missing,
        "failure_rate_below": (outcome.failed == 0).then(|| rate_bound(outcome.seeds)),
        "seeds_per_cpu_second": per_cpu_second(outcome),
        "outcome": outcome,
    });
    let text = serde_json::to_string_pretty(&whole).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}

/// One line for each failure that GitHub shows beside the commit.
pub(super) fn annotations(source: &Source, outcome: &Outcome) {
    for failure in &outcome.failures {
        println!(
            "::error title=seed {} broke \"{}\"::{} \u{2014} replay: {}",
            failure.seed,
            failure.violation.oracle,
            failure.violation,
            source.command("replay", failure.seed)
        );
    }
    for what in outcome.missing() {
        println!("::error title=nothing proven::{} was never met", what.name());
    }
}

/// A failure with the command that replays it, and its page.
pub(super) fn failure(source: &Source, failure: &Failure, pages: &Path) -> Result<(), String> {
    println!("\nseed {}: {}", failure.seed, failure.violation);
    println!("  replay: {}", source.command("replay", failure.seed));
    println!("  shrink: {}", source.command("shrink", failure.seed));
    let plan = source.plan(failure.seed);
    let judged = carry_out(&plan, source.tier, true);
    let path = pages.join(format!("{}-{}.html", source.tier.name(), failure.seed));
    page(
        &path,
        &format!("seed {}", failure.seed),
        &plan,
        &judged,
        &source.command("replay", failure.seed),
    )?;
    println!("  page:   {}", path.display());
    Ok(())
}

/// Writes the space-time diagram of a run.
pub(super) fn page(
    path: &Path,
    title: &str,
    plan: &pay_once_sim::plan::Plan,
    judged: &pay_once_sim::tier::Judged,
    command: &str,
) -> Result<(), String> {
    let html = pay_once_sim::page::page(
        title,
        plan,
        &judged.traced.trace,
        &judged.traced.run,
        judged.violation.as_ref(),
        command,
    );
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    std::fs::write(path, html).map_err(|error| format!("{}: {error}", path.display()))
}

#[allow(clippy::cast_precision_loss)]
fn per_cpu_second(outcome: &Outcome) -> f64 {
    outcome.seeds as f64 / outcome.cpu_seconds.max(0.01)
}
