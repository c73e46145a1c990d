//! Coverage of what can be reached.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use pay_once_sim::coverage::{self, Tally, collect, page};
use pay_once_sim::swarm;
use pay_once_sim::tier::{Tier, carry_out};

use super::{exit, seed_of, threads};

/// Many seeds, and which of the states that `explore` reaches they reached.
#[derive(Debug, Args)]
pub(super) struct Coverage {
    /// How plans are carried out.
    #[arg(long, value_enum, default_value_t = Tier::Model)]
    tier: Tier,
    /// How many seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed: a number, or a Git hash.
    #[arg(long, default_value = "0")]
    from: String,
    /// Threads; all cores unless given.
    #[arg(long)]
    threads: Option<usize>,
    /// Where the page is written.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Coverage {
    pub(super) fn run(self) -> Result<ExitCode, String> {
        let from = seed_of(&self.from)?;
        let all = Mutex::new((Tally::default(), 0u64));
        let next = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.threads.unwrap_or_else(threads).max(1) {
                scope.spawn(|| {
                    let (mine, failed) = self.work(from, &next);
                    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    all.0.absorb(mine);
                    all.1 += failed;
                });
            }
        });
        let (tally, failed) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        println!("{:<16} {:>8} {:>8} {:>8}", "class", "reached", "of", "beyond");
        for row in tally.rows() {
            println!(
                "{:<16} {:>8} {:>8} {:>8}",
                row.class, row.reached, row.known, row.beyond
            );
        }
        if let Some(path) = &self.out {
            let tier = self.tier.name();
            let title = format!("{tier} tier: what {} seeds reach", self.seeds);
            let command = format!(
                "cargo run --release -p pay-once-sim -- coverage --tier {tier} --seeds {} --from {from} --out {}",
                self.seeds,
                path.display()
            );
            write(path, &page(&title, &tally, &command))?;
        }
        if failed > 0 {
            println!("{failed} seeds FAILED: see `run`");
        }
        Ok(exit(failed == 0))
    }

    /// Takes the next seed until there is none. How many of them failed.
    fn work(&self, from: u64, next: &AtomicU64) -> (Tally, u64) {
        let (mut mine, mut failed) = (Tally::default(), 0);
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= self.seeds {
                return (mine, failed);
            }
            let plan = swarm::plan(from.wrapping_add(n), self.tier);
            let (judged, reached) = collect(|| carry_out(&plan, self.tier, false));
            failed += u64::from(judged.violation.is_some());
            // `explore` writes its classes' names as Rust does.
            mine.add(&plan.world.class.name().replace('-', "_"), &reached);
        }
    }
}

/// Writes the list of what `explore` reached, or compares it with the one under version control. Whether all is well.
pub(super) fn list(report: &pay_once_sim::explore::Report, path: Option<&Path>) -> Result<bool, String> {
    let reached = report.reached();
    println!("{} abstract states", reached.len());
    if let Some(path) = path {
        write(path, &coverage::text(&reached))?;
        return Ok(true);
    }
    let (new, gone) = coverage::differences(&reached);
    for line in &new {
        println!("NOT IN sim/coverage/explore.txt: {line}");
    }
    for line in &gone {
        println!("NO LONGER REACHED: {line}");
    }
    let is_current = new.is_empty() && gone.is_empty();
    if !is_current {
        println!("run `explore --coverage sim/coverage/explore.txt` and look at what it changes");
    }
    Ok(is_current)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
