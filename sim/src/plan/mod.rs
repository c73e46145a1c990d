//! The plan: everything a run does, as text. A run is a function of (plan, code).
//!
//! The first line is the [`World`], each further line one [`Step`], all JSON; so a plan can be read, kept, cut down
//! and edited by hand.

mod act;
mod payment;
mod world;

use std::fmt::Write as _;

use pay_once_core::AttemptId;

pub use act::{Act, Calls, ForeignObject, Hand, Host, PspFault, Step, StoreFault};
pub use payment::{Flow, Payment, Token};
pub use world::{Class, Constants, Policy, Shape, World};

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The constants.
    pub world: World,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
}

/// Version of the text.
pub const PLAN_VERSION: u32 = 1;

impl Plan {
    /// The plan as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Plain structs with text for names: writing them does not fail.
        let _ = writeln!(text, "{}", serde_json::to_string(&self.world).unwrap_or_default());
        for step in &self.steps {
            let _ = writeln!(text, "{}", serde_json::to_string(step).unwrap_or_default());
        }
        text
    }

    /// Reads a plan. Empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// One sentence that names the line.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let (n, first) = lines.next().ok_or("the plan is empty")?;
        let world: World =
            serde_json::from_str(first).map_err(|error| format!("line {n}: not a world: {error}"))?;
        if world.plan != PLAN_VERSION {
            return Err(format!(
                "line {n}: plan version {} is not known (this build reads {PLAN_VERSION})",
                world.plan
            ));
        }
        let mut steps = Vec::new();
        for (n, line) in lines {
            let step: Step =
                serde_json::from_str(line).map_err(|error| format!("line {n}: not a step: {error}"))?;
            steps.push(step);
        }
        let plan = Self { world, steps };
        plan.check()?;
        Ok(plan)
    }

    /// Refuses what no run can make sense of.
    fn check(&self) -> Result<(), String> {
        let servers = self.world.clocks_ms.len();
        if servers == 0 || servers > 8 {
            return Err(format!("clocks_ms: {servers} servers; there must be 1 to 8"));
        }
        let is_there = |host: &Host| !matches!(host, Host::Server(n) if *n >= servers);
        for step in &self.steps {
            let fine = match &step.act {
                Act::Crash { server, .. }
                | Act::Pause { server, .. }
                | Act::AtSend { server, .. }
                | Act::SetClock { server, .. } => *server < servers,
                Act::Partition { from, to, .. } | Act::Hold { from, to, .. } => {
                    is_there(from) && is_there(to) && from != to
                }
                Act::Die { server } => (1..servers).contains(server),
                Act::Pay(payment) => payment.copies > 0 && payment.tries > 0 && payment.amount_minor > 0,
                Act::Foreign { object, .. } => object.amount_minor > 0,
                Act::Restore { .. }
                | Act::Store { .. }
                | Act::Psp { .. }
                | Act::Replay { .. }
                | Act::Forge { .. }
                | Act::ByHand { .. } => true,
            };
            if !fine {
                return Err(format!(
                    "at {} ms: {:?} makes no sense here",
                    step.at_ms, step.act
                ));
            }
        }
        Ok(())
    }

    /// The payments.
    pub fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.steps.iter().filter_map(|step| match &step.act {
            Act::Pay(payment) => Some(payment),
            _ => None,
        })
    }

    /// A payment by its number.
    #[must_use]
    pub fn payment(&self, number: u32) -> Option<&Payment> {
        self.payments().find(|payment| payment.payment == number)
    }

    /// The attempt of a payment.
    #[must_use]
    pub fn attempt_of(&self, payment: &Payment) -> AttemptId {
        payment.attempt_id(&self.world.installation)
    }

    /// Whether the cardholder's bank wants a payment's money back: no ledger tells of it.
    #[must_use]
    pub fn is_disputed(&self, number: u32) -> bool {
        let is_dispute = |act: &Act| matches!(act, Act::ByHand { payment, hand: Hand::Dispute, extra: false, .. } if *payment == number);
        self.steps.iter().any(|step| is_dispute(&step.act))
    }

    /// Whether the bank wants back what the PSP took by executing a call a second time.
    #[must_use]
    pub fn is_extra_disputed(&self, number: u32) -> bool {
        let is_dispute = |act: &Act| matches!(act, Act::ByHand { payment, hand: Hand::Dispute, extra: true, .. } if *payment == number);
        self.steps.iter().any(|step| is_dispute(&step.act))
    }

    /// Whether PSPs may reject a sending of ours, so that an operation returns to where it began.
    #[must_use]
    pub fn has_rejections(&self) -> bool {
        let rejects = |act: &Act| {
            matches!(
                act,
                Act::Psp {
                    fault: PspFault::Rejected { .. } | PspFault::FormRefused | PspFault::Redelivered { .. },
                    ..
                }
            )
        };
        self.world.min_minor > 0 || self.steps.iter().any(|step| rejects(&step.act))
    }

    /// For how long a server's process stands still at its `nth` sending, in milliseconds.
    #[must_use]
    pub fn still_ms(&self, server: usize, nth: u32, is_sent: bool) -> Option<u64> {
        self.steps.iter().find_map(|step| match &step.act {
            Act::AtSend {
                server: at,
                nth: which,
                is_sent: when,
                for_ms,
            } => ((*at, *which, *when) == (server, nth, is_sent)).then_some(*for_ms),
            _ => None,
        })
    }

    /// How far servers' clocks are set off at most, in milliseconds.
    #[must_use]
    pub fn clocks_set_ms(&self) -> u64 {
        let set_ms = self.steps.iter().filter_map(|step| match step.act {
            Act::SetClock { ahead_ms, .. } => Some(ahead_ms.unsigned_abs()),
            _ => None,
        });
        set_ms.max().unwrap_or(0)
    }

    /// How far the clock of a server is off that starts with a wrong one, in milliseconds: only until it is set right does it know no
    /// better.
    #[must_use]
    pub fn starts_off_ms(&self) -> u64 {
        let off_ms = self.steps.iter().filter_map(|step| match step.act {
            Act::SetClock { ahead_ms, .. } if step.at_ms == 0 => Some(ahead_ms.unsigned_abs()),
            _ => None,
        });
        off_ms.max().unwrap_or(0)
    }

    /// Whether a server may stop between two steps, or its messages may be lost or wait.
    #[must_use]
    pub fn has_stopped_servers(&self) -> bool {
        let stops = |act: &Act| {
            matches!(
                act,
                Act::Crash { .. }
                    | Act::Die { .. }
                    | Act::Pause { .. }
                    | Act::AtSend { .. }
                    | Act::Partition { .. }
                    | Act::Hold { .. }
                    | Act::Restore { .. }
            )
        };
        self.world.deaths_permille > 0 || self.steps.iter().any(|step| stops(&step.act))
    }

    /// The same, or its store may misbehave.
    #[must_use]
    pub fn has_disturbed_servers(&self) -> bool {
        let is_store = |act: &Act| matches!(act, Act::Store { .. });
        self.has_stopped_servers() || self.steps.iter().any(|step| is_store(&step.act))
    }

    /// Whether the load balancer sends requests again.
    #[must_use]
    pub fn has_copies(&self) -> bool {
        let is_replay = |act: &Act| matches!(act, Act::Replay { .. });
        self.steps.iter().any(|step| is_replay(&step.act))
    }

    /// Whether core was told the truth, so that its promise holds.
    #[must_use]
    pub fn is_honest(&self) -> bool {
        let (truth, declared) = (&self.world.truth, &self.world.declared);
        declared.horizon_ms <= truth.horizon_ms
            && declared.max_in_flight_ms >= truth.max_in_flight_ms
            && declared.lookup_lag_ms >= truth.lookup_lag_ms
            && declared.skew_ms >= truth.skew_ms
    }
}
