//! One plan: replay and shrink.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use pay_once_sim::plan::Plan;
use pay_once_sim::shrink::shrink;
use pay_once_sim::swarm;
use pay_once_sim::tier::{Tier, carry_out};

use super::{exit, report, seed_of};

/// One run, told line by line.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A seed, or a file with a plan.
    what: String,
    /// How it is carried out.
    #[arg(long, value_enum, default_value_t = Tier::Full)]
    tier: Tier,
    /// Only lines with this in them (an attempt's id, a key, a host).
    #[arg(long)]
    grep: Option<String>,
    /// Where to write the page with the space-time diagram.
    #[arg(long)]
    page: Option<PathBuf>,
}

/// A failing plan, made small.
#[derive(Debug, Args)]
pub(super) struct Shrink {
    /// A seed, or a file with a plan.
    what: String,
    /// How it is carried out.
    #[arg(long, value_enum, default_value_t = Tier::Full)]
    tier: Tier,
    /// Where to write the small plan; standard output unless given.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Replay {
    pub(super) fn run(self) -> Result<ExitCode, String> {
        let plan = plan_of(&self.what, self.tier)?;
        let judged = carry_out(&plan, self.tier, true);
        for line in &judged.traced.trace {
            let to = line.to.map_or(String::new(), |to| format!(" -> {to:?}"));
            let text = format!(
                "{:>6} ms  {:?}{to}: {:?}: {}",
                line.at_ms, line.from, line.kind, line.text
            );
            if self.grep.as_ref().is_none_or(|part| text.contains(part)) {
                println!("{text}");
            }
        }
        println!("\nledger:");
        for event in &judged.traced.run.ledger {
            println!(
                "  {:?} {} {} {} {}",
                event.operation,
                event.attempt_id,
                event.amount_minor,
                event.id,
                event.declined.as_deref().unwrap_or("")
            );
        }
        println!("digest: {}", judged.traced.digest());
        if let Some(path) = &self.page {
            let command = format!("pay-once-sim replay {} --tier {}", self.what, self.tier.name());
            report::page(path, &self.what, &plan, &judged, &command)?;
            println!("page: {}", path.display());
        }
        match &judged.violation {
            Some(violation) => println!("VIOLATION: {violation}"),
            None => println!("no violation"),
        }
        Ok(exit(judged.violation.is_none()))
    }
}

impl Shrink {
    pub(super) fn run(self) -> Result<ExitCode, String> {
        let plan = plan_of(&self.what, self.tier)?;
        let bar = indicatif::ProgressBar::new_spinner();
        let tell =
            |steps: usize, tried: u32| bar.set_message(format!("{steps} steps left, {tried} plans tried"));
        let Some(small) = shrink(&plan, self.tier, &tell) else {
            return Err(format!(
                "{} does not fail in the {} tier",
                self.what,
                self.tier.name()
            ));
        };
        bar.finish_and_clear();
        eprintln!(
            "from {} steps to {}, in {} runs",
            plan.steps.len(),
            small.plan.steps.len(),
            small.tried
        );
        if let Some(violation) = carry_out(&small.plan, self.tier, false).violation {
            eprintln!("still: {violation}");
        }
        match &self.out {
            Some(path) => std::fs::write(path, small.plan.to_text())
                .map_err(|error| format!("{}: {error}", path.display()))?,
            None => print!("{}", small.plan.to_text()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn plan_of(what: &str, tier: Tier) -> Result<Plan, String> {
    let path = Path::new(what);
    if path.is_file() {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{what}: {error}"))?;
        return Plan::from_text(&text).map_err(|error| format!("{what}: {error}"));
    }
    seed_of(what)
        .map(|seed| swarm::plan(seed, tier))
        .map_err(|_| format!("\"{what}\" is neither a seed nor a file with a plan"))
}
