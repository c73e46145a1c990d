//! Many seeds at once. The result does not depend on how many threads there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::met::{Met, Sometimes};
use crate::oracles::Violation;
use crate::oracles::latency::{bound_ms, calm};
use crate::plan::Plan;
use crate::swarm;
use crate::tier::{Tier, carry_out};

/// Failures kept; the others are counted.
pub const FAILURES_MAX: usize = 20;

/// What is to be run.
pub struct Batch<'a> {
    /// How.
    pub tier: Tier,
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// On how many threads.
    pub threads: usize,
    /// Whether a progress bar is drawn.
    pub has_bar: bool,
    /// Changes each plan before it is run (`dials` lies to core here).
    pub change: &'a (dyn Fn(&mut Plan) + Sync),
    /// When no further seed is begun.
    pub until: Option<Instant>,
    /// Whether the first failure ends it.
    pub is_over_at_first: bool,
    /// Runs first on each thread (`planted` chooses its bug here).
    pub on_thread: &'a (dyn Fn() + Sync),
}

/// One seed that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// How.
    pub violation: Violation,
}

/// What came of a batch.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// How they were run.
    #[serde(skip)]
    pub tier: Tier,
    /// Seeds that were run.
    pub seeds: u64,
    /// Payments in them.
    pub payments: u64,
    /// Requests of clients in them.
    pub requests: u64,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
    /// Real time, in seconds.
    pub seconds: f64,
    /// Processor time of this process, in seconds.
    pub cpu_seconds: f64,
    /// Seeds that failed.
    pub failed: u64,
    /// The first of them.
    pub failures: Vec<Failure>,
    /// What was met.
    pub met: Met,
    /// How many answers of runs without faults took how long: milliseconds, count.
    pub calm: BTreeMap<u64, u64>,
    /// The bound of their 99th percentile, in milliseconds.
    pub p99_bound_ms: u64,
    /// What need not happen: the deployment has no such PSP.
    #[serde(skip)]
    pub exempt: BTreeSet<Sometimes>,
}

impl Outcome {
    /// The 99th percentile of answers in runs without faults, in milliseconds of simulated time, and their number.
    #[must_use]
    pub fn calm_p99_ms(&self) -> Option<(u64, u64)> {
        let all: u64 = self.calm.values().sum();
        let mut below = 0;
        let found = self.calm.iter().find(|(_, count)| {
            below += **count;
            below * 100 >= all * 99
        });
        found.map(|(ms, _)| (*ms, all))
    }

    fn is_quick(&self) -> bool {
        self.calm_p99_ms()
            .is_none_or(|(p99_ms, answers)| p99_ms < self.p99_bound_ms || answers < 1_000)
    }

    /// What must sometimes happen and never did, if there were enough seeds to say so.
    #[must_use]
    pub fn missing(&self) -> Vec<Sometimes> {
        let mut missing = self.met.missing(self.tier, self.seeds);
        missing.retain(|what| !self.exempt.contains(what));
        missing
    }

    /// Whether the batch is evidence: no violation, and nothing missing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed == 0 && self.missing().is_empty() && self.is_quick()
    }

    fn absorb(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.payments += other.payments;
        self.requests += other.requests;
        self.simulated_ms += other.simulated_ms;
        self.failed += other.failed;
        self.p99_bound_ms = self.p99_bound_ms.max(other.p99_bound_ms);
        self.failures.extend(other.failures);
        self.met.absorb(&other.met);
        for (ms, count) in other.calm {
            *self.calm.entry(ms).or_default() += count;
        }
    }
}

impl Batch<'_> {
    /// Runs it.
    #[must_use]
    pub fn run(&self) -> Outcome {
        let (begin, cpu) = (Instant::now(), cpu_seconds());
        let bar = self.bar();
        let next = AtomicU64::new(0);
        let all = Mutex::new(Outcome::default());
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    (self.on_thread)();
                    let mine = self.work(&next, &bar);
                    all.lock().unwrap_or_else(PoisonError::into_inner).absorb(mine);
                });
            }
        });
        bar.finish_and_clear();
        let mut outcome = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcome.tier = self.tier;
        outcome.failures.sort_by_key(|failure| failure.seed);
        outcome.failures.truncate(FAILURES_MAX);
        outcome.seconds = begin.elapsed().as_secs_f64();
        outcome.cpu_seconds = cpu_seconds() - cpu;
        outcome
    }

    fn work(&self, next: &AtomicU64, bar: &ProgressBar) -> Outcome {
        let mut mine = Outcome::default();
        loop {
            if self.until.is_some_and(|until| Instant::now() >= until) {
                return mine;
            }
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= self.seeds {
                return mine;
            }
            let seed = self.from.wrapping_add(n);
            let mut plan = swarm::plan(seed, self.tier);
            (self.change)(&mut plan);
            let judged = carry_out(&plan, self.tier, false);
            mine.seeds += 1;
            mine.payments += plan.payments().count() as u64;
            mine.requests += judged.traced.run.heard.len() as u64;
            mine.p99_bound_ms = mine.p99_bound_ms.max(bound_ms(&plan.world));
            mine.simulated_ms += judged.traced.run.ended_ms;
            mine.met.absorb(&judged.traced.run.met);
            for ms in calm(&judged.traced.run) {
                *mine.calm.entry(ms).or_default() += 1;
            }
            bar.inc(1);
            if let Some(violation) = judged.violation {
                bar.println(format!("seed {seed}: {violation}"));
                mine.failed += 1;
                if mine.failures.len() < FAILURES_MAX {
                    mine.failures.push(Failure { seed, violation });
                }
                if self.is_over_at_first {
                    next.store(self.seeds, Ordering::Relaxed);
                }
            }
        }
    }

    fn bar(&self) -> ProgressBar {
        let target = if self.has_bar {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let (len, template) = match self.until {
            None => (
                Some(self.seeds),
                "{bar:30} {pos}/{len} seeds, {per_sec}, {eta} left {msg}",
            ),
            Some(_) => (None, "{spinner} {pos} seeds, {per_sec}, {elapsed} {msg}"),
        };
        let bar = ProgressBar::with_draw_target(len, target);
        // The template is ours and sound; without it the bar would be plainer, no more.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(self.tier.name());
        bar
    }
}

/// The upper bound that `seeds` clean seeds give on the rate of failing ones, at 95 % (the rule of three).
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn rate_bound(seeds: u64) -> f64 {
    3.0 / seeds.max(1) as f64
}

/// Processor time of this process so far, in seconds; 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // User and system time, in ticks of 10 ms on Linux.
    fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}
