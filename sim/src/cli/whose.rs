//! Whose plans are run: the swarm's own, or those of a deployment.

use std::path::{Path, PathBuf};

use clap::Args;
use pay_once_sim::deployment::Deployment;
use pay_once_sim::plan::Plan;
use pay_once_sim::swarm;
use pay_once_sim::tier::Tier;

use super::seed_of;

/// How and for whom plans are made.
#[derive(Debug, Args)]
pub(super) struct Whose {
    /// How plans are carried out; full unless given, and model with --config.
    #[arg(long, value_enum)]
    tier: Option<Tier>,
    /// Simulates the deployment of this configuration (pay-once.toml) instead: its PSPs' classes and constants, its time budget,
    /// its merchants. Each PSP is as bad as its declaration permits. The secrets that the file names are not needed. Only the
    /// model tier has it: its runs take days of simulated time.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The plans.
pub(super) struct Source {
    /// How they are carried out.
    pub(super) tier: Tier,
    own: Option<(Deployment, PathBuf)>,
}

impl Whose {
    pub(super) fn source(self) -> Result<Source, String> {
        let Some(path) = self.config else {
            let tier = self.tier.unwrap_or(Tier::Full);
            return Ok(Source { tier, own: None });
        };
        if self.tier == Some(Tier::Full) {
            return Err(
                "--config is for the model tier, where days take no time: leave --tier full out".to_owned(),
            );
        }
        let deployment = Deployment::read(&path)?;
        Ok(Source {
            tier: Tier::Model,
            own: Some((deployment, path)),
        })
    }

    /// The plan that a seed or a file names, and how it is carried out.
    pub(super) fn plan_of(self, what: &str) -> Result<(Plan, Source), String> {
        let path = Path::new(what);
        if !path.is_file() {
            let source = self.source()?;
            let seed =
                seed_of(what).map_err(|_| format!("\"{what}\" is neither a seed nor a file with a plan"))?;
            return Ok((source.plan(seed), source));
        }
        if self.config.is_some() {
            return Err(format!(
                "{what} is a plan, and has its world in it: leave --config out"
            ));
        }
        let text = std::fs::read_to_string(path).map_err(|error| format!("{what}: {error}"))?;
        let plan = Plan::from_text(&text).map_err(|error| format!("{what}: {error}"))?;
        let tier = match (self.tier, plan.world.policy) {
            (Some(Tier::Full), Some(_)) => {
                return Err(format!(
                    "{what} is the plan of a deployment, in which days pass: give --tier model"
                ));
            }
            (None, Some(_)) => Tier::Model,
            (tier, _) => tier.unwrap_or(Tier::Full),
        };
        Ok((plan, Source { tier, own: None }))
    }
}

impl Source {
    pub(super) fn deployment(&self) -> Option<&Deployment> {
        self.own.as_ref().map(|(deployment, _)| deployment)
    }

    pub(super) fn plan(&self, seed: u64) -> Plan {
        match &self.own {
            Some((deployment, _)) => deployment.plan(seed),
            None => swarm::plan(seed, self.tier),
        }
    }

    /// A command about a seed or a file, to be copied.
    pub(super) fn command(&self, verb: &str, what: impl std::fmt::Display) -> String {
        let whose = match &self.own {
            Some((_, path)) => format!("--config {}", quoted(&path.display().to_string())),
            None => format!("--tier {}", self.tier.name()),
        };
        format!("cargo run --release -p pay-once-sim -- {verb} {what} {whose}")
    }
}

/// A word for a shell.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
