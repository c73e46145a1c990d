//! The proofs about the proof: exploration, determinism, planted bugs, dials.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use pay_once_sim::deployment::{Deployment, limits};
use pay_once_sim::tier::Tier;
use pay_once_sim::{dials, explore, meta};

use super::whose::quoted;
use super::{coverage, exit, seed_of, threads};

/// Every interleaving of a small world.
#[derive(Debug, Args)]
pub(super) struct Explore {
    /// Only worlds whose name (class/plot/mix) has this in it.
    #[arg(long)]
    only: Option<String>,
    /// Most states of one world.
    #[arg(long)]
    max_states: Option<u64>,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
    /// Writes the list of abstract states that were reached here, instead of comparing it with the one under version control.
    #[arg(long, conflicts_with_all = ["only", "max_states"])]
    coverage: Option<PathBuf>,
}

/// Determinism.
#[derive(Debug, Args)]
pub(super) struct Meta {
    /// How plans are carried out.
    #[arg(long, value_enum, default_value_t = Tier::Full)]
    tier: Tier,
    /// How many seeds.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first.
    #[arg(long, default_value = "0")]
    from: String,
    /// Prints digests: what the other processes do.
    #[arg(long, hide = true)]
    child: bool,
    /// Task ids used up first.
    #[arg(long, default_value_t = 0, hide = true)]
    shift: u64,
}

/// Planted bugs.
#[derive(Debug, Args)]
pub(super) struct Planted {
    /// Only bugs whose name has this, or one of these separated by commas, in it.
    #[arg(long)]
    only: Option<String>,
    /// Trials of each bug.
    #[arg(long, default_value_t = 5)]
    trials: u64,
    /// Most seeds of a trial in the model tier.
    #[arg(long, default_value_t = 4_000)]
    model_seeds: u64,
    /// Most seeds of a trial in the full tier.
    #[arg(long, default_value_t = 200)]
    full_seeds: u64,
    /// Where the table is written.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Shows instead at which of --model-seeds (or --full-seeds with --tier full) each bug changes anything, and which oracle
    /// says so.
    #[arg(long)]
    changes: bool,
    /// The tier of --changes.
    #[arg(long, value_enum, default_value_t = Tier::Model)]
    tier: Tier,
}

/// The limit of the promise.
#[derive(Debug, Args)]
pub(super) struct Dials {
    /// Most seeds of a row.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// Where the page is written.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Prints the plan of a row and seed instead, for `replay`. With --config NAME is PSP/CONSTANT/FACTOR.
    #[arg(long, num_args = 2, value_names = ["NAME", "SEED"])]
    replay: Option<Vec<String>>,
    /// Measures the deployment of this configuration (pay-once.toml) instead: how far each PSP may be from each constant that is
    /// declared of it before a promise breaks. Factors from 1.05 to 10 are tried, each with --seeds seeds that are aimed at the
    /// constant.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Explore {
    pub(super) fn run(self) -> Result<ExitCode, String> {
        let mut options = explore::Options {
            max_states: self.max_states,
            ..explore::Options::default()
        };
        if let Some(part) = &self.only {
            options = options.only(part);
        }
        let bar = indicatif::ProgressBar::new_spinner();
        let report = explore::explore(&options, &|progress| {
            bar.set_message(format!(
                "{}: {} states, {} steps deep",
                progress.name, progress.states, progress.depth
            ));
            bar.tick();
        });
        bar.finish_and_clear();
        if self.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?
            );
        } else {
            println!("{report}");
        }
        // A part of the worlds, or of their states, reaches a part of the list.
        let is_whole = self.only.is_none() && self.max_states.is_none() && report.violation().is_none();
        let is_current = !is_whole || self.json || coverage::list(&report, self.coverage.as_deref())?;
        Ok(exit(report.is_clean() && is_current))
    }
}

impl Meta {
    pub(super) fn run(self) -> Result<ExitCode, String> {
        let from = seed_of(&self.from)?;
        if self.child {
            for line in meta::digests(self.tier, from, self.seeds, self.shift) {
                println!("{line}");
            }
            return Ok(ExitCode::SUCCESS);
        }
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        meta::compare(&program, self.tier, from, self.seeds)?;
        println!(
            "{} tier: {} seeds, twice here and once in each of {} other processes: equal digests",
            self.tier.name(),
            self.seeds,
            meta::SHIFTS
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl Planted {
    #[cfg(not(feature = "planted"))]
    pub(super) fn run(self) -> Result<ExitCode, String> {
        Err("bugs are not in this build. Run: sim/with-bugs planted".to_owned())
    }

    #[cfg(feature = "planted")]
    pub(super) fn run(self) -> Result<ExitCode, String> {
        use pay_once_core::planted::Bug;
        use pay_once_sim::planted::{Effort, changes, is_in_reach, page, plant};
        let effort = Effort {
            trials: self.trials,
            model_seeds: self.model_seeds,
            full_seeds: self.full_seeds,
            threads: threads(),
        };
        let bugs: Vec<Bug> = Bug::ALL
            .iter()
            .copied()
            .filter(|bug| match &self.only {
                Some(parts) => parts.split(',').any(|part| bug.name().contains(part)),
                None => is_in_reach(*bug),
            })
            .collect();
        // A bug that an invariant of core's stops is caught; its panic is told by the table.
        std::panic::set_hook(Box::new(|_| {}));
        if self.changes {
            let seeds = match self.tier {
                Tier::Model => self.model_seeds,
                Tier::Full => self.full_seeds,
            };
            for one in changes(&bugs, self.tier, 0, seeds) {
                println!("{}: {} of {seeds} seeds", one.bug.name(), one.seeds.len());
                for changed in &one.seeds {
                    let words = match &changed.violation {
                        Some(violation) => violation.to_string(),
                        None => format!("payments {:?}, and no oracle says so", changed.payments),
                    };
                    println!("  seed {}: {words}", changed.seed);
                }
            }
            return Ok(ExitCode::SUCCESS);
        }
        let bar = indicatif::ProgressBar::new(bugs.len() as u64);
        let all = plant(&bugs, effort, &bar);
        bar.finish_and_clear();
        let text = page(&all, effort);
        match &self.out {
            Some(path) => {
                std::fs::write(path, &text).map_err(|error| format!("{}: {error}", path.display()))?
            }
            None => println!("{text}"),
        }
        let missed: Vec<&str> = all
            .iter()
            .filter(|one| one.median().is_none())
            .map(|one| one.bug.name())
            .collect();
        println!(
            "{} of {} planted bugs caught",
            all.len() - missed.len(),
            all.len()
        );
        if !missed.is_empty() {
            println!("NOT CAUGHT: {}", missed.join(", "));
        }
        Ok(exit(missed.is_empty()))
    }
}

impl Dials {
    pub(super) fn run(self) -> Result<ExitCode, String> {
        if let Some(path) = &self.config {
            return self.limits(path);
        }
        if let Some([name, seed]) = self.replay.as_deref() {
            let seed = seed_of(seed)?;
            let plan = dials::plan_of(name, seed).ok_or_else(|| {
                let names: Vec<&str> = dials::names().collect();
                format!("there is no dial \"{name}\"; there are {}", names.join(", "))
            })?;
            print!("{}", plan.to_text());
            return Ok(ExitCode::SUCCESS);
        }
        let rows = dials::turn(self.seeds, threads(), true);
        let text = dials::page(&rows);
        match &self.out {
            Some(path) => {
                std::fs::write(path, &text).map_err(|error| format!("{}: {error}", path.display()))?
            }
            None => println!("{text}"),
        }
        for broken in dials::broken_truths(&rows) {
            println!("with the truth, {broken}");
        }
        let as_promised = dials::is_as_promised(&rows);
        println!(
            "{}",
            if as_promised {
                "each lie does harm, and the truth does none"
            } else {
                "NOT as promised"
            }
        );
        Ok(exit(as_promised))
    }

    /// How far the constants of a deployment carry.
    fn limits(&self, config: &Path) -> Result<ExitCode, String> {
        let deployment = Deployment::read(config)?;
        if let Some([name, seed]) = self.replay.as_deref() {
            print!(
                "{}",
                limits::plan_of(&deployment, name, seed_of(seed)?)?.to_text()
            );
            return Ok(ExitCode::SUCCESS);
        }
        let effort = limits::Effort {
            seeds: self.seeds,
            threads: threads(),
            has_bar: std::io::stderr().is_terminal(),
        };
        let rows = limits::measure(&deployment, effort);
        let command = format!(
            "pay-once-sim dials --config {}",
            quoted(&config.display().to_string())
        );
        let text = limits::page(&rows, self.seeds, &command);
        match &self.out {
            Some(path) => {
                std::fs::write(path, &text).map_err(|error| format!("{}: {error}", path.display()))?
            }
            None => println!("{text}"),
        }
        let is_clean = rows.iter().all(|row| row.control.is_empty());
        if !is_clean {
            println!("NOT CLEAN with the PSPs as declared: see `run --config`");
        }
        Ok(exit(is_clean))
    }
}
