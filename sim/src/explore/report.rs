//! What came of an exploration.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::cell::{Cell, Plot, PspClass};
use super::mix::{Budget, Mix};

/// How often something was seen that an exploration must have seen to be worth anything. Counted per transition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Covered {
    /// A server crashed that had the PSP's answer to a money call and had not made it durable.
    pub crash_between_effect_and_persist: u64,
    /// A late request landed after somebody had looked for its effect and not found it.
    pub late_landing_after_miss: u64,
    /// A swap whose end was unknown had applied.
    pub ambiguous_swap_applied: u64,
    /// A swap that was given up as unknown applied afterwards.
    pub slow_swap_applied: u64,
    /// A client's request came while its twin, under the same key, was open.
    pub duplicate_in_flight: u64,
    /// A webhook came before the answer that says the same.
    pub webhook_before_response: u64,
    /// A server had decided on an old record, and its swap failed.
    pub swap_conflict: u64,
    /// A server found the window of its call closed, and did not send it (rule 1).
    pub window_closed: u64,
    /// A client's operation was rejected and taken back.
    pub withdrawn: u64,
    /// A call that reserves, takes or gives back money was answered with a definite 4xx.
    pub money_call_rejected: u64,
    /// A release was answered with a definite 4xx.
    pub release_rejected: u64,
    /// A read or a look-up was answered with a definite 4xx.
    pub look_rejected: u64,
    /// Somebody gave the attempt's capture back at the PSP.
    pub refund_by_hand: u64,
    /// Somebody released the attempt's hold at the PSP.
    pub release_by_hand: u64,
    /// Somebody captured a part of the attempt's hold at the PSP.
    pub capture_by_hand: u64,
    /// Another captured amount than was asked for was found out (rule 14).
    pub other_amount_seen: u64,
    /// A foreign object was seen, and noted as such (rule 13).
    pub foreign_object_seen: u64,
    /// An effect too many was seen, and counted (rule 8).
    pub unwanted_effect_seen: u64,
    /// An answer came when its call was history: another number is under way, or another operation, or none.
    pub late_answer_to_what_is_over: u64,
    /// A customer finished 3-D Secure within skew and lag of its deadline.
    pub customer_at_the_last_moment: u64,
    /// An operator resolved what was parked.
    pub operator_resolved: u64,
    /// An operator asked before anything was parked, and was refused.
    pub operator_asked_too_early: u64,
}

impl Covered {
    /// Name and count of each.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 22] {
        [
            (
                "crash between effect and persist",
                self.crash_between_effect_and_persist,
            ),
            ("late landing after a look-up miss", self.late_landing_after_miss),
            ("ambiguous swap that had applied", self.ambiguous_swap_applied),
            ("slow swap that applied afterwards", self.slow_swap_applied),
            ("duplicate while in flight", self.duplicate_in_flight),
            ("webhook before response", self.webhook_before_response),
            ("swap of a stale decision", self.swap_conflict),
            ("window found closed", self.window_closed),
            ("a rejected operation taken back", self.withdrawn),
            ("rejected money call", self.money_call_rejected),
            ("rejected release", self.release_rejected),
            ("rejected look", self.look_rejected),
            ("refund by hand", self.refund_by_hand),
            ("release by hand", self.release_by_hand),
            ("capture by hand", self.capture_by_hand),
            ("another captured amount seen", self.other_amount_seen),
            ("foreign object seen", self.foreign_object_seen),
            ("second effect of one call seen", self.unwanted_effect_seen),
            ("late answer to what is over", self.late_answer_to_what_is_over),
            (
                "3-D Secure finished at the last moment",
                self.customer_at_the_last_moment,
            ),
            ("operator resolves what is parked", self.operator_resolved),
            ("operator asks too early", self.operator_asked_too_early),
        ]
    }

    fn add(&mut self, other: &Self) {
        self.crash_between_effect_and_persist += other.crash_between_effect_and_persist;
        self.late_landing_after_miss += other.late_landing_after_miss;
        self.ambiguous_swap_applied += other.ambiguous_swap_applied;
        self.slow_swap_applied += other.slow_swap_applied;
        self.duplicate_in_flight += other.duplicate_in_flight;
        self.webhook_before_response += other.webhook_before_response;
        self.swap_conflict += other.swap_conflict;
        self.window_closed += other.window_closed;
        self.withdrawn += other.withdrawn;
        self.money_call_rejected += other.money_call_rejected;
        self.release_rejected += other.release_rejected;
        self.look_rejected += other.look_rejected;
        self.refund_by_hand += other.refund_by_hand;
        self.release_by_hand += other.release_by_hand;
        self.capture_by_hand += other.capture_by_hand;
        self.other_amount_seen += other.other_amount_seen;
        self.foreign_object_seen += other.foreign_object_seen;
        self.unwanted_effect_seen += other.unwanted_effect_seen;
        self.late_answer_to_what_is_over += other.late_answer_to_what_is_over;
        self.customer_at_the_last_moment += other.customer_at_the_last_moment;
        self.operator_resolved += other.operator_resolved;
        self.operator_asked_too_early += other.operator_asked_too_early;
    }
}

/// The shortest way to something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counterexample {
    /// Which oracle, with its rule.
    pub oracle: String,
    /// What was seen.
    pub message: String,
    /// Every step from the root, in words; healed steps after them where the world did not come to rest well.
    pub steps: Vec<String>,
    /// The same as choices, for [`super::replay`].
    pub path: Vec<u16>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "VIOLATION of {}", self.oracle)?;
        writeln!(f, "  {}", self.message)?;
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {:>3}. {step}", index + 1)?;
        }
        Ok(())
    }
}

/// One world's exploration.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioReport {
    /// `class/plot/mix`.
    pub name: String,
    /// The PSP's class.
    pub class: PspClass,
    /// What the clients did.
    pub plot: Plot,
    /// What could go wrong, by name.
    pub mix: Mix,
    /// What could go wrong.
    pub budget: Budget,
    /// Distinct states.
    pub states: u64,
    /// Steps taken between them.
    pub transitions: u64,
    /// Steps taken to see every state come to rest once healed.
    pub healed_steps: u64,
    /// Layers: the longest of the shortest ways from the root, in steps.
    pub depth: u32,
    /// Wall clock, in seconds.
    pub seconds: f64,
    /// Whether every state within the budget was seen.
    pub complete: bool,
    /// What was seen on the way.
    pub covered: Covered,
    /// The shapes of all records that swaps made durable, as lines of [`crate::coverage::KNOWN`].
    #[serde(skip)]
    pub reached: BTreeSet<String>,
    /// What must not be, if it was found.
    pub violation: Option<Counterexample>,
}

impl ScenarioReport {
    pub(super) fn new(cell: &Cell) -> Self {
        Self {
            name: cell.name(),
            class: cell.class,
            plot: cell.plot,
            mix: cell.mix,
            budget: cell.budget,
            states: 0,
            transitions: 0,
            healed_steps: 0,
            depth: 0,
            seconds: 0.0,
            complete: true,
            covered: Covered::default(),
            reached: BTreeSet::new(),
            violation: None,
        }
    }
}

/// All worlds' explorations, in the order in which they were asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One a world.
    pub scenarios: Vec<ScenarioReport>,
}

impl Report {
    /// Distinct states in all.
    #[must_use]
    pub fn states(&self) -> u64 {
        self.scenarios.iter().map(|scenario| scenario.states).sum()
    }

    /// What was seen in all.
    #[must_use]
    pub fn covered(&self) -> Covered {
        let mut sum = Covered::default();
        self.scenarios
            .iter()
            .for_each(|scenario| sum.add(&scenario.covered));
        sum
    }

    /// The shapes that were reached, as lines of [`crate::coverage::KNOWN`].
    #[must_use]
    pub fn reached(&self) -> BTreeSet<String> {
        let all = self.scenarios.iter().flat_map(|scenario| &scenario.reached);
        all.cloned().collect()
    }

    /// What should have been seen somewhere and was not: a report with any is a vacuous one.
    #[must_use]
    pub fn never_seen(&self) -> Vec<&'static str> {
        let counts = self.covered().counts();
        counts
            .into_iter()
            .filter(|(_, count)| *count == 0)
            .map(|(name, _)| name)
            .collect()
    }

    /// The first violation.
    #[must_use]
    pub fn violation(&self) -> Option<&Counterexample> {
        self.scenarios
            .iter()
            .find_map(|scenario| scenario.violation.as_ref())
    }

    /// Whether nothing was violated and nothing stayed unseen.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violation().is_none() && self.never_seen().is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<32} {:>9} {:>11} {:>11} {:>6} {:>7}",
            "world", "states", "transitions", "healed", "depth", "seconds"
        )?;
        for scenario in &self.scenarios {
            let note = match (&scenario.violation, scenario.complete) {
                (Some(_), _) => "  VIOLATION",
                (None, false) => "  cut short",
                (None, true) => "",
            };
            writeln!(
                f,
                "{:<32} {:>9} {:>11} {:>11} {:>6} {:>7.2}{note}",
                scenario.name,
                scenario.states,
                scenario.transitions,
                scenario.healed_steps,
                scenario.depth,
                scenario.seconds
            )?;
        }
        let sum = |of: fn(&ScenarioReport) -> u64| self.scenarios.iter().map(of).sum::<u64>();
        writeln!(
            f,
            "{:<32} {:>9} {:>11} {:>11}",
            "in all",
            self.states(),
            sum(|s| s.transitions),
            sum(|s| s.healed_steps)
        )?;
        for (name, count) in self.covered().counts() {
            writeln!(f, "seen: {name}: {count}")?;
        }
        for name in self.never_seen() {
            writeln!(f, "NEVER SEEN: {name}")?;
        }
        for violation in self
            .scenarios
            .iter()
            .filter_map(|scenario| scenario.violation.as_ref())
        {
            write!(f, "{violation}")?;
        }
        Ok(())
    }
}
