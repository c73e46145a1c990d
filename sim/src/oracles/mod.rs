//! The oracles, one a file. Each judges a finished run by what clients were told and what the PSP's ledger holds, never
//! by our own store (DESIGN §1, §2, §4).

mod acks;
mod amounts;
pub(crate) mod bounds;
mod declines;
mod dispatches;
mod doubt;
mod journal;
mod key_reuse;
pub mod latency;
mod linear;
mod liveness;
mod one_effect;
mod progress;
mod replays;

use std::collections::BTreeMap;
use std::fmt;

use pay_once_sandbox::LedgerEvent;
use pay_once_sandbox::tokens::Operation;
use serde::Serialize;

use crate::plan::Payment;
use crate::seen::{Heard, Run};
use crate::shopper::Role;
use crate::world::EPOCH_MS;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The oracle that says so.
    pub oracle: &'static str,
    /// The promise, by its number in DESIGN.
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
    replays::ORACLE,
    key_reuse::ORACLE,
    progress::ORACLE,
    doubt::ORACLE,
    journal::ORACLE,
    bounds::ORACLE,
    linear::ORACLE,
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
            rule: "§3",
            payment: None,
            at_ms: run.ended_ms,
            message: what.clone(),
        });
    }
    let mut heard: BTreeMap<u32, Vec<&Heard>> = BTreeMap::new();
    for one in &run.heard {
        heard.entry(one.ask.payment).or_default().push(one);
    }
    let mut ledger: BTreeMap<&str, Vec<&LedgerEvent>> = BTreeMap::new();
    for event in &run.ledger {
        ledger.entry(&event.attempt_id).or_default().push(event);
    }
    for payment in run.plan.payments() {
        let id = payment.attempt_id().to_string();
        let case = Case {
            run,
            payment,
            heard: heard.remove(&payment.payment).unwrap_or_default(),
            ledger: ledger.remove(id.as_str()).unwrap_or_default(),
            id,
        };
        for oracle in ORACLES {
            (oracle.judge)(&case).map_err(|(at_ms, message)| Violation {
                oracle: oracle.name,
                rule: oracle.rule,
                payment: Some(payment.payment),
                at_ms,
                message,
            })?;
        }
    }
    if let Some((id, events)) = ledger.into_iter().next() {
        return Err(Violation {
            oracle: "world",
            rule: "§1",
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
    id: String,
    heard: Vec<&'a Heard>,
    ledger: Vec<&'a LedgerEvent>,
}

/// The money of one attempt at one moment.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Money {
    /// Authorizations ever made.
    authorizations: u32,
    /// Of these, those that still hold or have taken money.
    live: u32,
    /// Captures ever made.
    captures: u32,
    /// Taken and not given back, in minor units.
    kept_minor: u64,
}

impl fmt::Debug for Money {
    /// In words: it stands in messages for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} authorizations ({} live) and {} captures ({} minor units kept)",
            self.authorizations, self.live, self.captures, self.kept_minor
        )
    }
}

impl Case<'_> {
    /// The money as it was at `until_ms` (from the start), later events left out.
    fn money_at(&self, until_ms: u64) -> Money {
        let mut money = Money::default();
        let events = self.ledger.iter().filter(|event| event.declined.is_none());
        for event in events.filter(|event| since(event.at_ms) <= until_ms) {
            match event.operation {
                Operation::Authorize => {
                    money.authorizations += 1;
                    money.live += 1;
                }
                Operation::Capture => {
                    money.captures += 1;
                    money.kept_minor += event.amount_minor;
                }
                Operation::Void | Operation::Lapse => money.live = money.live.saturating_sub(1),
                Operation::Refund => {
                    money.kept_minor = money.kept_minor.saturating_sub(event.amount_minor);
                    if money.kept_minor == 0 {
                        money.live = money.live.saturating_sub(1);
                    }
                }
            }
        }
        money
    }

    /// The money when the run ended.
    fn money(&self) -> Money {
        self.money_at(u64::MAX)
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
