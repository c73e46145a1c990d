//! The commands.

mod coverage;
mod proofs;
mod report;
mod single;
mod whose;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use pay_once_sim::batch::Batch;
use pay_once_sim::deployment::Deployment;
use pay_once_sim::met::GATE_SEEDS;
use pay_once_sim::plan::Plan;

use whose::Whose;

/// Proves that money moves once, or shows where it does not.
///
/// Every run is a function of its plan, and every plan of its seed. A failure prints the one command that replays it.
#[derive(Debug, Parser)]
#[command(name = "pay-once-sim", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs many seeds: faults, clients and all, each judged by every oracle.
    Run(Run),
    /// Runs one seed, or a plan from a file, and tells the story line by line.
    Replay(single::Replay),
    /// Cuts a failing plan down to the smallest that fails in the same way.
    Shrink(single::Shrink),
    /// Prints the plan of a seed, to be read or edited.
    Plan {
        /// The seed, or a Git hash.
        seed: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Explores every interleaving of a small world, exhaustively.
    Explore(proofs::Explore),
    /// Measures which of the states that `explore` reaches are reached by seeds.
    Coverage(coverage::Coverage),
    /// Proves determinism: the same plans in several processes, digest by digest.
    Meta(proofs::Meta),
    /// Plants bugs in core, server and drivers, and shows that each is caught (needs the build of `sim/with-bugs`).
    Planted(proofs::Planted),
    /// Shows what happens when core is told too little of the PSP: the limit of the promise.
    Dials(proofs::Dials),
}

/// Many seeds.
#[derive(Debug, Args)]
struct Run {
    /// How many seeds.
    #[arg(long, default_value_t = GATE_SEEDS)]
    seeds: u64,
    /// As many seeds as so many minutes allow, instead of a fixed number. No seed is begun after that.
    #[arg(long, value_name = "M", conflicts_with = "seeds", value_parser = minutes)]
    minutes: Option<Duration>,
    /// The first seed: a number, or a Git hash, so that every commit tries others.
    #[arg(long, default_value = "0")]
    from: String,
    #[command(flatten)]
    whose: Whose,
    /// Threads; all cores unless given.
    #[arg(long)]
    threads: Option<usize>,
    /// The outcome as JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Failures as annotations for GitHub (by itself where GITHUB_ACTIONS is set).
    #[arg(long)]
    github: bool,
    /// Where the page of a failure is written.
    #[arg(long, default_value = "sim-failures")]
    pages: PathBuf,
}

impl Cli {
    pub(crate) fn run(self) -> Result<ExitCode, String> {
        match self.command {
            Command::Run(run) => run.run(),
            Command::Replay(replay) => replay.run(),
            Command::Shrink(shrink) => shrink.run(),
            Command::Plan { seed, whose } => {
                let (seed, source) = (seed_of(&seed)?, whose.source()?);
                if let Some(deployment) = source.deployment() {
                    println!("# seed {seed}, psp \"{}\"", deployment.psp_of(seed).name);
                }
                print!("{}", source.plan(seed).to_text());
                Ok(ExitCode::SUCCESS)
            }
            Command::Explore(explore) => explore.run(),
            Command::Coverage(coverage) => coverage.run(),
            Command::Meta(meta) => meta.run(),
            Command::Planted(planted) => planted.run(),
            Command::Dials(dials) => dials.run(),
        }
    }
}

impl Run {
    fn run(self) -> Result<ExitCode, String> {
        let (from, source) = (seed_of(&self.from)?, self.whose.source()?);
        let own = |plan: &mut Plan| *plan = source.plan(plan.world.seed);
        let batch = Batch {
            tier: source.tier,
            from,
            seeds: self.minutes.map_or(self.seeds, |_| u64::MAX),
            threads: self.threads.unwrap_or_else(threads),
            has_bar: std::io::stderr().is_terminal(),
            change: if source.deployment().is_some() {
                &own
            } else {
                &|_| {}
            },
            until: self
                .minutes
                .and_then(|minutes| Instant::now().checked_add(minutes)),
            is_over_at_first: false,
            on_thread: &|| {},
        };
        let mut outcome = batch.run();
        outcome.exempt = source.deployment().map(Deployment::exempt).unwrap_or_default();
        if self.json {
            report::json(&source, &outcome)?;
        } else {
            report::table(&source, &outcome);
        }
        if self.github || std::env::var_os("GITHUB_ACTIONS").is_some() {
            report::annotations(&source, &outcome);
        }
        for failure in outcome.failures.iter().take(3) {
            report::failure(&source, failure, &self.pages)?;
        }
        Ok(exit(outcome.is_clean()))
    }
}

fn exit(is_fine: bool) -> ExitCode {
    if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn threads() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// A time: minutes, or a part of one.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number of minutes".to_owned())?;
    if minutes <= 0.0 {
        return Err("nothing can be run in no time".to_owned());
    }
    Duration::try_from_secs_f64(minutes * 60.0).map_err(|_| "not a number of minutes".to_owned())
}

/// A seed: a number, or the first 15 digits of a Git hash.
fn seed_of(text: &str) -> Result<u64, String> {
    if let Ok(seed) = text.parse() {
        return Ok(seed);
    }
    let head = text.get(..15).unwrap_or(text);
    u64::from_str_radix(head, 16).map_err(|_| {
        format!(
            "\"{text}\" is neither a number nor a Git hash; give --from 42 or --from $(git rev-parse HEAD)"
        )
    })
}
