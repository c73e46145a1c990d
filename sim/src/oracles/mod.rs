//! The oracles, one a file. Each judges a finished run by what clients were told and what the PSP's ledger holds, never
//! by our own store (`docs/promise.md`, `docs/http.md`, `docs/rules.md`).

mod acks;
mod amounts;
mod approved;
mod at_least_once;
pub(crate) mod bounds;
mod budget;
mod declines;
mod dispatches;
mod doubt;
mod events;
mod foreign;
mod in_time;
mod isolation;
mod journal;
mod key_reuse;
mod lasting;
pub mod latency;
mod linear;
mod liveness;
mod money;
mod numbers;
mod one_effect;
mod operators;
mod pages;
mod parking;
mod progress;
mod reasons;
mod rejections;
mod replays;
mod returns;
mod secure;
mod settled;
mod unwanted;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use pay_once_core::Record;
use pay_once_core::journal::entry::Entry;
use pay_once_sandbox::LedgerEvent;
use serde::Serialize;

use crate::plan::{Class, Payment};
use crate::seen::{Heard, Lost, Run};
use crate::shopper::Role;
use crate::world::EPOCH_MS;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The oracle that says so.
    pub oracle: &'static str,
    /// Where the promise is written down: `promise: safety` is `docs/promise.md`, “Safety”; rules are by number in
    /// `docs/rules.md`.
    pub rule: &'static str,
    /// The payment concerned.
    pub payment: Option<u32>,
    /// When it shows, in milliseconds from the start.
    pub at_ms: u64,
    /// What is wrong, in one sentence.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.oracle, self.rule)?;
        if let Some(payment) = self.payment {
            write!(f, ", payment {payment}")?;
        }
        write!(f, ", at {} ms: {}", self.at_ms, self.message)
    }
}

/// An oracle: its name, the promise it watches, and its judgement of one payment.
struct Oracle {
    name: &'static str,
    rule: &'static str,
    judge: fn(&Case<'_>) -> Result<(), Wrong>,
}

/// When, and what.
type Wrong = (u64, String);

const ORACLES: &[Oracle] = &[
    one_effect::ORACLE,
    amounts::ORACLE,
    acks::ORACLE,
    declines::ORACLE,
    dispatches::ORACLE,
    approved::ORACLE,
    numbers::ORACLE,
    replays::ORACLE,
    settled::ORACLE,
    unwanted::ORACLE,
    returns::ORACLE,
    reasons::ORACLE,
    pages::ORACLE,
    in_time::ORACLE,
    key_reuse::ORACLE,
    progress::ORACLE,
    doubt::ORACLE,
    journal::ORACLE,
    bounds::ORACLE,
    linear::ORACLE,
    events::ORACLE,
    foreign::ORACLE,
    isolation::ORACLE,
    operators::ORACLE,
    rejections::ORACLE,
    at_least_once::ORACLE,
    lasting::ORACLE,
    secure::ORACLE,
    parking::ORACLE,
    budget::ORACLE,
    liveness::ORACLE,
];

/// The names of all oracles.
pub fn names() -> impl Iterator<Item = &'static str> {
    let own = ORACLES.iter().map(|oracle| oracle.name);
    own.chain([latency::NAME, "world"])
}

/// Judges a run.
///
/// # Errors
/// The first promise that was broken.
pub fn judge(run: &Run) -> Result<(), Violation> {
    if let Some(what) = run.broken.first() {
        return Err(Violation {
            oracle: "world",
            rule: "store: record",
            payment: None,
            at_ms: run.ended_ms,
            message: what.clone(),
        });
    }
    let mut heard_of: BTreeMap<u32, Vec<&Heard>> = BTreeMap::new();
    for one in &run.heard {
        heard_of.entry(one.ask.payment).or_default().push(one);
    }
    let mut ledger: BTreeMap<&str, Vec<&LedgerEvent>> = BTreeMap::new();
    for event in &run.ledger {
        ledger.entry(&event.attempt_id).or_default().push(event);
    }
    for payment in run.plan.payments() {
        let id = run.plan.attempt_of(payment).to_string();
        let all = ledger.remove(id.as_str()).unwrap_or_default();
        let (foreign, own) = money::sort(all);
        let mut heard = heard_of.remove(&payment.payment).unwrap_or_default();
        // A restore takes back what clients were told of the writes that it loses, and nothing else: what they are told from then on is
        // one story again. What happened to the money is judged from the beginning.
        let lost = run.lost.get(&id);
        heard.retain(|heard| lost.is_none_or(|lost| heard.began_ms >= lost.at_ms));
        let case = Case {
            run,
            payment,
            class: run.plan.world.class_of(payment.merchant),
            heard,
            lost,
            has_extra: run.twice.contains(&id),
            ledger: money::seen(run, &id, own),
            foreign,
            id,
        };
        for oracle in ORACLES.iter().filter(|oracle| case.is_within(oracle)) {
            (oracle.judge)(&case).map_err(|(at_ms, message)| Violation {
                oracle: oracle.name,
                rule: oracle.rule,
                payment: Some(payment.payment),
                at_ms,
                message,
            })?;
        }
    }
    // What names no attempt is another program's.
    if let Some((id, events)) = ledger.into_iter().find(|(id, _)| id.starts_with("pa_")) {
        return Err(Violation {
            oracle: "world",
            rule: "promise: safety",
            payment: None,
            at_ms: events.first().map_or(0, |event| since(event.at_ms)),
            message: format!("money moved for {id}, which nobody asked for"),
        });
    }
    latency::judge(run)
}

/// One payment, with everything that was seen of it.
struct Case<'a> {
    run: &'a Run,
    payment: &'a Payment,
    /// The class of its PSP.
    class: Class,
    id: String,
    heard: Vec<&'a Heard>,
    /// What a restore took from the attempt, if one did.
    lost: Option<&'a Lost>,
    /// Whether the PSP executed a call a second time.
    has_extra: bool,
    /// What happened to objects of ours. The second execution of a call is left out unless our journal has seen it.
    ledger: Vec<&'a LedgerEvent>,
    /// What happened to objects of other installations that carry our reference.
    foreign: Vec<&'a LedgerEvent>,
}

impl Case<'_> {
    /// Everything that servers wrote of the attempt: what a restore took from it as well.
    fn written(&self) -> impl Iterator<Item = &Entry> {
        let record = self
            .run
            .journals()
            .get(&self.id)
            .and_then(|record| record.as_ref().ok());
        let now: &[Arc<Entry>] = record.map_or(&[], Record::entries);
        let lost: &[Arc<Entry>] = self.lost.map_or(&[], |lost| lost.record.entries());
        // What the backup had is in both.
        let kept = lost.iter().zip(now).take_while(|(before, after)| before == after);
        let taken = lost.iter().skip(kept.count());
        taken.chain(now).map(|entry| &**entry)
    }

    /// Whether an oracle's promise is given after what a restore took from the attempt. Which of two executions of one call counted, and
    /// whether the other one was undone, is lost with the journal. A key that another request has used since is that request's.
    fn is_within(&self, oracle: &Oracle) -> bool {
        let Some(lost) = self.lost else { return true };
        let first = |record: &Record| record.entries().first().map(|entry| entry.fact.clone());
        let now = self
            .run
            .journals()
            .get(&self.id)
            .and_then(|record| record.as_ref().ok());
        let is_begun_anew = now.is_some() && now.and_then(first) != first(&lost.record);
        let of_money = [one_effect::ORACLE, dispatches::ORACLE];
        let is_of_money = of_money.iter().any(|known| known.name == oracle.name);
        let is_declines = oracle.name == declines::ORACLE.name;
        is_of_money || !self.has_extra && (!is_begun_anew || is_declines)
    }

    /// The last look, after healing.
    fn last(&self) -> Option<&Heard> {
        self.heard
            .iter()
            .rev()
            .find(|heard| heard.ask.role == Role::Last)
            .copied()
    }
}

/// A time of the PSP's, in milliseconds from the start.
fn since(at_ms: u64) -> u64 {
    at_ms.saturating_sub(EPOCH_MS)
}
