//! One table of end-to-end cases that every adapter must pass, driven by one runner, so that adapters cannot drift
//! apart. It talks HTTP to a running adapter and to the sandbox PSP that the adapter pays through, and asks nobody but
//! that PSP's ledger whether money moved.
//!
//! ```no_run
//! # async fn example() -> Result<(), String> {
//! use pay_once_suite::{Options, run};
//! let report = run(&Options::new("http://127.0.0.1:8080", "http://127.0.0.1:8081")).await?;
//! report.check(include_str!("../transcript.txt"))?;
//! # Ok(()) }
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod case;
mod client;
pub mod environment;
mod filled;
pub mod loopback;
mod oracle;
pub mod table;
mod transcript;
pub mod transport;
mod walk;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use case::Case;
use client::Client;
use environment::{Secrets, Weather};
use transcript::difference;
use walk::{Walk, turn};

/// The transcript that `server` gave: what every other adapter must give as well.
pub const GOLDEN: &str = include_str!("../transcript.txt");
/// Cases of the same weather that run at the same time.
const AT_ONCE: usize = 12;

/// Where to run, and as whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// The adapter, without a closing slash.
    pub base_url: String,
    /// The sandbox PSP, without a closing slash, as the adapter's configuration names it.
    pub psp_url: String,
    /// Tokens and the webhook secret.
    pub secrets: Secrets,
    /// Only cases whose name contains this.
    pub only: Option<String>,
}

impl Options {
    /// The whole table, with the environment's own secrets.
    #[must_use]
    pub fn new(base_url: &str, psp_url: &str) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            psp_url: psp_url.trim_end_matches('/').to_owned(),
            secrets: Secrets::default(),
            only: None,
        }
    }
}

/// What came of one case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// What failed: the step, what was sent, what came, what was expected.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// Its part of the transcript.
    pub transcript: String,
}

/// What came of a run, in the table's order.
#[derive(Clone, Debug)]
pub struct Report {
    /// One for each case.
    pub outcomes: Vec<Outcome>,
    /// Whether the whole table was run.
    pub is_whole: bool,
}

impl Report {
    /// The normalised transcript.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.outcomes
            .iter()
            .map(|outcome| outcome.transcript.as_str())
            .collect()
    }

    /// Whether every case passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.failure.is_none())
    }

    /// One line a case, and what failed.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut text = String::new();
        for outcome in &self.outcomes {
            let word = if outcome.failure.is_some() { "FAILED" } else { "ok" };
            text.push_str(&format!(
                "{word:<6} {} ({} ms)\n",
                outcome.name,
                outcome.took.as_millis()
            ));
            if let Some(failure) = &outcome.failure {
                text.push_str(&format!("  {}\n", failure.replace('\n', "\n  ")));
            }
        }
        text
    }

    /// Passed, and the transcript is this one, byte for byte; of the cases that ran, if only some did.
    ///
    /// # Errors
    /// What failed, or the first line that differs.
    pub fn check(&self, golden: &str) -> Result<(), String> {
        if !self.passed() {
            return Err(self.lines());
        }
        let part: String = if self.is_whole {
            golden.to_owned()
        } else {
            let ran = |section: &&str| {
                let name = section.lines().next().unwrap_or_default();
                self.outcomes
                    .iter()
                    .any(|outcome| format!("## {}", outcome.name) == name)
            };
            transcript::sections(golden).into_iter().filter(ran).collect()
        };
        match difference(&part, &self.transcript()) {
            None => Ok(()),
            Some(difference) => Err(format!("the transcript differs: {difference}")),
        }
    }
}

/// Runs the table. The sandbox PSP is the suite's own meanwhile: its dials are turned, and turned back at the end.
///
/// # Errors
/// One sentence if adapter or sandbox PSP cannot be reached at all. Cases that fail are in the report.
pub async fn run(options: &Options) -> Result<Report, String> {
    let client = Client::new();
    let dials = client
        .get_json(&format!("{}/dials", options.psp_url))
        .await
        .map_err(|why| format!("the sandbox PSP (--psp-url) cannot be used: {why}"))?;
    client
        .send("GET", &format!("{}/attempts", options.base_url), &[], Vec::new())
        .await
        .map_err(|why| format!("the adapter (--base-url) cannot be used: {why}"))?;
    let wanted = |case: &Case| options.only.as_ref().is_none_or(|only| case.name.contains(only));
    let cases: Vec<Case> = table::cases().into_iter().filter(wanted).collect();
    if cases.is_empty() {
        return Err("no case has such a name; --list shows them".to_owned());
    }
    let mut outcomes: Vec<Option<Outcome>> = vec![None; cases.len()];
    let nonce = nonce()?;
    for weather in Weather::ALL {
        let now: Vec<(usize, Case)> = cases
            .iter()
            .cloned()
            .enumerate()
            .filter(|(_, case)| case.weather == weather)
            .collect();
        if now.is_empty() {
            continue;
        }
        turn(&client, options, &weather.dials()).await?;
        let permits = if weather == Weather::Alone { 1 } else { AT_ONCE };
        for (number, outcome) in run_weather(options, &client, now, &nonce, permits).await? {
            if let Some(place) = outcomes.get_mut(number) {
                *place = Some(outcome);
            }
        }
    }
    turn(&client, options, &dials).await?;
    Ok(Report {
        is_whole: options.only.is_none(),
        outcomes: outcomes.into_iter().flatten().collect(),
    })
}

async fn run_weather(
    options: &Options,
    client: &Client,
    cases: Vec<(usize, Case)>,
    nonce: &str,
    permits: usize,
) -> Result<Vec<(usize, Outcome)>, String> {
    let permits = Arc::new(Semaphore::new(permits));
    let mut tasks = JoinSet::new();
    for (number, case) in cases {
        let (permits, client) = (Arc::clone(&permits), client.clone());
        let (options, nonce) = (options.clone(), nonce.to_owned());
        tasks.spawn(async move {
            // It is never closed.
            let _permit = permits.acquire_owned().await;
            let began = Instant::now();
            if case.weather == Weather::Alone
                && let Err(why) = turn(&client, &options, &case.weather.dials()).await
            {
                return (number, failed(&case, why, began));
            }
            let (transcript, result) = Walk::new(&options, client, &case, &nonce).through().await;
            let outcome = Outcome {
                name: case.name.clone(),
                failure: result.err(),
                took: began.elapsed(),
                transcript,
            };
            (number, outcome)
        });
    }
    let mut outcomes = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        outcomes.push(ended.map_err(|error| format!("a case did not end: {error}"))?);
    }
    Ok(outcomes)
}

fn failed(case: &Case, why: String, began: Instant) -> Outcome {
    Outcome {
        name: case.name.clone(),
        failure: Some(why),
        took: began.elapsed(),
        transcript: String::new(),
    }
}

/// Makes keys new, so that a store that keeps its records can be run against again.
fn nonce() -> Result<String, String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| format!("no randomness: {error}"))?;
    Ok(format!("r{:016x}", u64::from_be_bytes(bytes)))
}
