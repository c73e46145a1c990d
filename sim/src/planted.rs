//! Planted bugs: the proof that the proof can fail. Each bug of the catalogue (`sim/bugs`) is put in by itself, and the tiers are
//! run from several places until an oracle names it. Only the simulator that is built from a copy with the bugs in it
//! (`sim/with-bugs`) has this module.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use indicatif::ProgressBar;
use pay_once_core::planted::{Bug, select};

use crate::batch::Batch;
use crate::oracles::Violation;
use crate::plan::Payment;
use crate::swarm;
use crate::tier::{Judged, Tier, carry_out};

/// Distance between the seeds at which trials begin.
const TRIAL_STRIDE: u64 = 1_000_000;

/// Bugs of the catalogue that these plans cannot show, and why: they are kept, and counted as not caught, so that nobody
/// takes the simulator for more than it is. Core's and server's own tests fail with most of them.
pub const OUT_OF_REACH: &[(&str, &str)] = &[
    (
        "send-by-checked-before-connect",
        "in turmoil the network makes a connection, not the PSP that accepts it: connecting takes no longer than a message does, \
         and a message may wait as long as a request is in flight",
    ),
    (
        "too-large-is-unknown",
        "an answer is too large from 1 MiB on; pages of that size would take most of a run's time. Core's own tests say what follows \
         from one",
    ),
    (
        "polls-push-timers",
        "a client that asks about a payment in doubt makes core ask the PSP as well, so that polling brings the look on; what the \
         timer would have done is done by then",
    ),
    (
        "cut-body-is-empty",
        "a load balancer passes requests on when it has them whole, the simulated one too; server's own tests cut bodies off",
    ),
    (
        "corrected-while-looking",
        "a clock has to be corrected within the milliseconds of the one look that could prove absence, by the answer to another call; \
         no seed of three trials did. Core's own tests have the sequence",
    ),
    (
        "rejected-before-loss-is-known",
        "a key has to be forgotten between a rejection before the loss and the restore, with a second request in between; no seed of a trial did. Core's own tests have the sequence",
    ),
    (
        "known-object-is-the-only-one",
        "two objects of one attempt have to be made within the loss, and only the first become known after it; no seed of a trial did",
    ),
];

/// How hard is looked.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Trials of each bug.
    pub trials: u64,
    /// Seeds of a trial in the model tier.
    pub model_seeds: u64,
    /// Seeds of a trial in the full tier.
    pub full_seeds: u64,
    /// Threads.
    pub threads: usize,
}

/// What became of one bug.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The bug.
    pub bug: Bug,
    /// The tier that caught it.
    pub tier: Tier,
    /// Seeds until it was caught, one a trial; `None` where it was not.
    pub seeds: Vec<Option<u64>>,
    /// Which oracles named it.
    pub oracles: Vec<String>,
}

impl Caught {
    /// The median over trials; `None` if half of them or more did not catch it.
    #[must_use]
    pub fn median(&self) -> Option<u64> {
        let mut seeds: Vec<u64> = self.seeds.iter().map(|seeds| seeds.unwrap_or(u64::MAX)).collect();
        seeds.sort_unstable();
        let median = seeds.get(seeds.len() / 2).copied()?;
        (median != u64::MAX).then_some(median)
    }
}

/// Plants each bug of `bugs` in turn.
#[must_use]
pub fn plant(bugs: &[Bug], effort: Effort, bar: &ProgressBar) -> Vec<Caught> {
    let next = AtomicUsize::new(0);
    let all: Mutex<Vec<Caught>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..effort.threads.max(1) {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let caught = hunt(*bug, effort);
                    bar.inc(1);
                    let word = caught
                        .median()
                        .map_or("NOT CAUGHT".to_owned(), |n| format!("{n} seeds"));
                    let line = format!(
                        "{}: {} tier, {word}, by {}",
                        bug.name(),
                        caught.tier.name(),
                        caught.oracles.join(", ")
                    );
                    if bar.is_hidden() {
                        println!("{line}");
                    } else {
                        bar.println(line);
                    }
                    all.lock().unwrap_or_else(PoisonError::into_inner).push(caught);
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by_key(|caught| caught.bug);
    all
}

/// The model tier does not host the embedded server: bugs in the server's crate are hunted in the full tier.
fn hunt(bug: Bug, effort: Effort) -> Caught {
    let of_the_server = bug.room().starts_with("server");
    let first = if of_the_server { Tier::Full } else { Tier::Model };
    let caught = trials(bug, first, effort);
    if caught.median().is_some() || of_the_server {
        return caught;
    }
    let in_full = trials(bug, Tier::Full, effort);
    if in_full.median().is_some() {
        in_full
    } else {
        caught
    }
}

fn trials(bug: Bug, tier: Tier, effort: Effort) -> Caught {
    let seeds = match tier {
        Tier::Model => effort.model_seeds,
        Tier::Full => effort.full_seeds,
    };
    let mut caught = Caught {
        bug,
        tier,
        seeds: Vec::new(),
        oracles: Vec::new(),
    };
    for trial in 0..effort.trials {
        let batch = Batch {
            tier,
            from: trial * TRIAL_STRIDE,
            seeds,
            threads: 1,
            has_bar: false,
            change: &|_| {},
            until: None,
            is_over_at_first: true,
            // The thread ends with the batch, and the bug with it.
            on_thread: &|| std::mem::forget(select(Some(bug))),
        };
        let outcome = batch.run();
        // What fails without the bug as well says nothing about it.
        let first = outcome.failures.first().filter(|failure| {
            let sound = carry_out(&swarm::plan(failure.seed, tier), tier, false);
            sound.violation.is_none()
        });
        caught.seeds.push(first.map(|_| outcome.seeds));
        if let Some(failure) = first {
            let oracle = failure.violation.oracle.to_owned();
            if !caught.oracles.contains(&oracle) {
                caught.oracles.push(oracle);
            }
        }
    }
    caught
}

/// Where one bug changes what happens.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The bug.
    pub bug: Bug,
    /// The seeds whose runs end otherwise with the bug.
    pub seeds: Vec<Changed>,
}

/// A run that a bug changes.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The seed.
    pub seed: u64,
    /// The payments that end otherwise.
    pub payments: Vec<u32>,
    /// What an oracle says, if one does.
    pub violation: Option<Violation>,
}

/// Carries out each seed with and without each bug, and compares answers, ledgers and journals. What no oracle names is either
/// a bug that plans do not reach (no seed) or one that no oracle sees (seeds without a violation).
#[must_use]
pub fn changes(bugs: &[Bug], tier: Tier, from: u64, seeds: u64) -> Vec<Changes> {
    let mut all: Vec<Changes> = bugs
        .iter()
        .map(|bug| Changes {
            bug: *bug,
            seeds: Vec::new(),
        })
        .collect();
    for seed in from..from + seeds {
        let plan = swarm::plan(seed, tier);
        let sound = seen(&carry_out(&plan, tier, false));
        for one in &mut all {
            let selected = select(Some(one.bug));
            let judged = carry_out(&plan, tier, false);
            drop(selected);
            let otherwise = seen(&judged);
            let payments: Vec<u32> = sound
                .iter()
                .filter(|(payment, text)| otherwise.get(payment) != Some(text))
                .map(|(payment, _)| *payment)
                .collect();
            if !payments.is_empty() {
                one.seeds.push(Changed {
                    seed,
                    payments,
                    violation: judged.violation,
                });
            }
        }
    }
    all
}

/// Everything of each payment that anybody sees, as text.
fn seen(judged: &Judged) -> BTreeMap<u32, String> {
    let run = &judged.traced.run;
    let text = |payment: &Payment| {
        let id = run.plan.attempt_of(payment).to_string();
        let heard = run
            .heard
            .iter()
            .filter(|heard| heard.ask.payment == payment.payment);
        let heard: Vec<_> = heard.map(|heard| &heard.told).collect();
        let ledger: Vec<_> = run.ledger.iter().filter(|event| event.attempt_id == id).collect();
        format!("{heard:?} {ledger:?} {:?}", run.records.get(&id))
    };
    run.plan
        .payments()
        .map(|payment| (payment.payment, text(payment)))
        .collect()
}

/// The table.
#[must_use]
pub fn page(all: &[Caught], effort: Effort) -> String {
    let hunted = |caught: &&Caught| is_in_reach(caught.bug);
    let count = all.iter().filter(hunted).count();
    let caught = all
        .iter()
        .filter(hunted)
        .filter(|caught| caught.median().is_some())
        .count();
    let mut text = format!(
        "# Planted bugs\n\n{caught} of {} caught, {} trials each, from seeds {TRIAL_STRIDE} apart; at most {} seeds a trial in the model tier,\n{} in the full one (where the server's own bugs are hunted). Written by `pay-once-sim planted`; the catalogue, with how each\nbug shows, is `sim/bugs`.\n\n| bug | rule | room | oracle | tier | median seeds | the mistake |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        count, effort.trials, effort.model_seeds, effort.full_seeds,
    );
    for one in all.iter().filter(hunted) {
        let median = one
            .median()
            .map_or("**not caught**".to_owned(), |n| n.to_string());
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {median} | {} |",
            one.bug.name(),
            one.bug.rule(),
            one.bug.room(),
            one.oracles.join(", "),
            one.tier.name(),
            one.bug.about(),
        );
    }
    text.push_str("\n## Out of reach\n\nNot caught, and not hunted unless named by `--only`; the reasons are as far as was looked into:\n\n| bug | rule | room | why not |\n| --- | --- | --- | --- |\n");
    for (name, why) in OUT_OF_REACH {
        if let Some(bug) = Bug::named(name) {
            let _ = writeln!(text, "| `{name}` | {} | {} | {why} |", bug.rule(), bug.room());
        }
    }
    text
}

/// Whether plans can show it.
#[must_use]
pub fn is_in_reach(bug: Bug) -> bool {
    !OUT_OF_REACH.iter().any(|(name, _)| *name == bug.name())
}
