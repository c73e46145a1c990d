//! The tiers, behind one face: a plan in, a judged run out.

use std::any::Any;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::ValueEnum;

use crate::met::Met;
use crate::met_in;
use crate::oracles::{self, Violation};
use crate::plan::Plan;
use crate::seen::Run;
use crate::trace::Traced;
use crate::{full, model};

/// How a plan is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Tier {
    /// Discrete events around the real core.
    #[default]
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
    /// What was seen, and line by line what happened if that was asked for.
    pub traced: Traced,
    /// The first promise that was broken.
    pub violation: Option<Violation>,
}

/// Carries a plan out and judges it.
#[must_use]
pub fn carry_out(plan: &Plan, tier: Tier, is_traced: bool) -> Judged {
    let mut traced = match tier {
        Tier::Model => catch_unwind(AssertUnwindSafe(|| model::run(plan, is_traced)))
            .unwrap_or_else(|panic| panicked(plan, &*panic)),
        Tier::Full => full::run(plan, is_traced),
    };
    met_in::run(&mut traced.run);
    let violation = oracles::judge(&traced.run).err();
    Judged { traced, violation }
}

/// A panic is a bug of ours, and a run that ends with one is a violation (an invariant of core's, most likely).
fn panicked(plan: &Plan, panic: &(dyn Any + Send)) -> Traced {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    let run = Run {
        lost: BTreeMap::new(),
        plan: plan.clone(),
        heard: Vec::new(),
        ledger: Vec::new(),
        psp_calls: Vec::new(),
        sends: Vec::new(),
        unknown: BTreeMap::new(),
        objects: BTreeMap::new(),
        twice: BTreeSet::new(),
        acknowledged: Vec::new(),
        writes: BTreeMap::new(),
        records: BTreeMap::new(),
        ended_ms: 0,
        met: Met::default(),
        broken: vec![format!("panic: {}", words.unwrap_or("without words"))],
        journals: OnceCell::new(),
        events: OnceCell::new(),
    };
    Traced {
        run,
        trace: Vec::new(),
    }
}
