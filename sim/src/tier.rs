//! The tiers, behind one face: a plan in, a judged run out.

use clap::ValueEnum;

use crate::oracles::{self, Violation};
use crate::plan::Plan;
use crate::seen::Run;
use crate::trace::{Kind, TraceLine, digest};
use crate::{full, model};

/// How a plan is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Tier {
    /// Discrete events around the real core.
    Model,
    /// Turmoil around the real server.
    Full,
}

impl Tier {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Full => "full",
        }
    }
}

/// What came of a plan.
#[derive(Debug)]
pub struct Judged {
    /// What was seen.
    pub run: Run,
    /// Line by line, if it was asked for.
    pub trace: Vec<TraceLine>,
    /// The first promise that was broken.
    pub violation: Option<Violation>,
}

/// Carries a plan out and judges it.
#[must_use]
pub fn carry_out(plan: &Plan, tier: Tier, is_traced: bool) -> Judged {
    let (run, trace) = match tier {
        Tier::Model => {
            let traced = model::run(plan, is_traced);
            (traced.run, traced.trace)
        }
        Tier::Full => {
            let traced = full::run(plan);
            (traced.run, traced.trace.into_iter().map(line).collect())
        }
    };
    let violation = oracles::judge(&run).err();
    Judged {
        run,
        trace,
        violation,
    }
}

impl Judged {
    /// Equal exactly if two runs did the same.
    #[must_use]
    pub fn digest(&self) -> String {
        let lines = self.trace.iter().map(|line| format!("{line:?}"));
        let heard = self.run.heard.iter().map(|heard| format!("{heard:?}"));
        let ledger = self.run.ledger.iter().map(|event| format!("{event:?}"));
        let all: Vec<String> = lines.chain(heard).chain(ledger).collect();
        digest(all.iter().map(String::as_str))
    }
}

/// A line of the full stack's trace, in the words that both tiers share.
fn line(line: full::TraceLine) -> TraceLine {
    let kind = match (line.kind, line.to) {
        ("lost" | "not sent" | "down", _) => Kind::Lost,
        ("fault" | "heal", _) => Kind::Fault,
        ("swap", _) => Kind::Write,
        ("effect", _) => Kind::Effect,
        (_, Some(_)) => Kind::Message,
        (_, None) => Kind::Note,
    };
    TraceLine {
        at_ms: line.at_ms,
        until_ms: line.at_ms,
        from: line.from,
        to: line.to,
        kind,
        text: line.text,
    }
}
