//! The plan: everything a run does, as text. A run is a function of (plan, code).
//!
//! The first line is the [`World`], each further line one [`Step`], all JSON; so a plan can be read, kept, cut down
//! and edited by hand.

use std::fmt::Write as _;

use pay_once_core::id::AttemptId;
use serde::{Deserialize, Serialize};

use crate::world::MERCHANT;

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The constants.
    pub world: World,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
}

/// The PSP of a run (DESIGN §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Stripe's face: keyed, addressable and listed.
    Stripe,
    /// Stripe's face whose keys are forgotten at once: addressable and listed.
    Addressable,
    /// The acquirer's face, keyed.
    Keyed,
    /// The acquirer's face, queryable.
    Queryable,
    /// The acquirer's face, keyed and queryable.
    KeyedQueryable,
    /// The acquirer's face, nothing.
    Blind,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Stripe,
        Self::Addressable,
        Self::Keyed,
        Self::Queryable,
        Self::KeyedQueryable,
        Self::Blind,
    ];

    /// Its name in plans.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Addressable => "addressable",
            Self::Keyed => "keyed",
            Self::Queryable => "queryable",
            Self::KeyedQueryable => "keyed-queryable",
            Self::Blind => "blind",
        }
    }
}

/// The constants that a promise rests on, in milliseconds: once as they are, once as core was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constants {
    /// Key horizon.
    pub horizon_ms: u64,
    /// Longest time between sending a request and its effect.
    pub max_in_flight_ms: u64,
    /// Longest time between an effect and its being found.
    pub lookup_lag_ms: u64,
    /// Largest difference between two clocks.
    pub skew_ms: u64,
}

/// The world of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// Version of this format.
    pub plan: u32,
    /// Seed of what is drawn while the run goes on (latencies, identifiers).
    pub seed: u64,
    /// The PSP.
    pub class: Class,
    /// What is true of PSP and clocks.
    pub truth: Constants,
    /// What core was told. Lower than the truth, the promise is void; that is what `dials` shows.
    pub declared: Constants,
    /// What each server's clock shows beyond the true time, in milliseconds; there are as many servers.
    pub clocks_ms: Vec<i64>,
    /// The PSP's latency, in milliseconds, both ends included.
    pub psp_ms: (u64, u64),
    /// The store's latency, in milliseconds, both ends included.
    pub store_ms: (u64, u64),
    /// A message's latency, in milliseconds, both ends included.
    pub net_ms: (u64, u64),
    /// How long an uncaptured authorization lives, in milliseconds.
    pub authorization_ms: u64,
    /// How long a customer may take for 3-D Secure, in milliseconds.
    pub action_ms: u64,
    /// How long after its arrival a late request lands at the PSP, in milliseconds.
    #[serde(default = "default_psp_late_ms")]
    pub psp_late_ms: u64,
    /// Webhooks: sent at all, how long after the answer (ms), extra copies.
    pub webhooks: Option<(u64, u8)>,
    /// When faults end and healing begins, in milliseconds from the start.
    pub heal_ms: u64,
}

fn default_psp_late_ms() -> u64 {
    1_200
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, in milliseconds from the start.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// A customer pays.
    Pay(Payment),
    /// A server's process is killed and starts again after a while.
    Crash {
        /// Which.
        server: usize,
        /// For how long it is down, in milliseconds.
        down_ms: u64,
        /// Power loss: its peers learn nothing of it.
        silent: bool,
    },
    /// A server's process is killed and never comes back, nor does its machine. Never the first: somebody has to serve.
    Die {
        /// Which.
        server: usize,
    },
    /// A server's process is stopped and goes on later, as a paused virtual machine does.
    Pause {
        /// Which.
        server: usize,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Messages between two hosts are lost.
    Partition {
        /// One end.
        from: Host,
        /// The other.
        to: Host,
        /// Only messages from `from` to `to`.
        one_way: bool,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Messages between two hosts wait, and all arrive at the end. At most `max_in_flight_ms` of truth: it is a
    /// request's flight.
    Hold {
        /// One end.
        from: Host,
        /// The other.
        to: Host,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The store misbehaves.
    Store {
        /// How.
        fault: StoreFault,
        /// How often, in a thousand operations.
        permille: u16,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The PSP misbehaves: one of its dials.
    Psp {
        /// How.
        fault: PspFault,
        /// How often, in a thousand.
        permille: u16,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The load balancer sends requests again: at once, and later.
    Replay {
        /// How often, in a thousand requests.
        permille: u16,
        /// How much later, at most, in milliseconds.
        later_ms: u64,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Somebody sends a webhook that the PSP did not sign, saying that a payment was captured.
    Forge {
        /// Which payment.
        payment: u32,
    },
}

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// The merchants' clients.
    Clients,
    /// The load balancer.
    Balancer,
    /// A server.
    Server(usize),
    /// The store.
    Store,
    /// The PSP.
    Psp,
}

/// How a store misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreFault {
    /// A swap applies, and nobody learns of it.
    AppliedUnknown,
    /// A swap does not apply, and nobody learns of it.
    LostUnknown,
    /// A swap applies only after a second, and nobody learns of it.
    LateUnknown,
    /// Every operation fails at once.
    Down,
    /// Every operation takes half a second longer.
    Slow,
}

/// How a PSP misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PspFault {
    /// No effect, no answer.
    HangBefore,
    /// Effect, no answer.
    HangAfter,
    /// No effect, 500.
    ErrorBefore,
    /// Effect, 500.
    ErrorAfter,
    /// Effect, 200 and garbage.
    Garbage,
    /// No effect, 429.
    Throttle,
    /// No answer; the request lands as late as it may.
    Late,
    /// Webhooks are lost.
    WebhookLost,
}

/// What a customer and the merchant's client do about one payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// Its number; keys are made of it.
    pub payment: u32,
    /// What is done.
    pub flow: Flow,
    /// Minor units.
    pub amount_minor: u64,
    /// The PSP token.
    pub token: Token,
    /// How often each request is sent at once (a double click).
    pub copies: u8,
    /// How often a client tries before it vanishes.
    pub tries: u8,
    /// How long it waits for an answer, in milliseconds.
    pub timeout_ms: u64,
    /// How long between two tries, in milliseconds.
    pub pause_ms: u64,
    /// How long between two operations, in milliseconds.
    pub think_ms: u64,
    /// `Prefer: wait=`, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u8>,
    /// Another client does the last operation as well, under a key of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rival: bool,
    /// A client sends the key of each operation again, with another body or for another operation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
    /// How often somebody looks, a second apart.
    #[serde(default)]
    pub looks: u8,
}

impl Payment {
    /// Its attempt: the key is the address (DESIGN §3).
    #[must_use]
    pub fn attempt_id(&self) -> AttemptId {
        let first = if self.flow == Flow::Charge {
            "charge"
        } else {
            "create"
        };
        AttemptId::derive(MERCHANT, &format!("p{}-{first}", self.payment))
    }

    /// What a capture is asked to take, in minor units.
    #[must_use]
    pub fn capture_minor(&self) -> u64 {
        match self.flow {
            Flow::Part => (self.amount_minor * 2).div_ceil(3),
            _ => self.amount_minor,
        }
    }
}

/// What is done about a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// Create, authorize, capture.
    Manual,
    /// Create, authorize, capture two thirds.
    Part,
    /// Create, authorize, void.
    Void,
    /// Create, authorize, capture and void at once.
    Race,
    /// Create, authorize, nothing: it lapses.
    Abandon,
    /// Create with `capture_method: automatic`, authorize.
    Automatic,
    /// One call.
    Charge,
}

impl Flow {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Manual,
        Self::Part,
        Self::Void,
        Self::Race,
        Self::Abandon,
        Self::Automatic,
        Self::Charge,
    ];
}

/// What the card does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// Approves.
    Good,
    /// Is declined.
    Declined,
    /// Authorizes, and declines the capture.
    CaptureDeclined,
    /// Wants 3-D Secure, which succeeds after so many milliseconds.
    Secure(u64),
    /// Wants 3-D Secure, which fails after so many milliseconds.
    SecureFails(u64),
    /// Wants 3-D Secure, and nobody comes.
    SecureAbandoned,
    /// The webhook comes before the answer.
    WebhookFirst,
    /// The authorization has its effect, is answered with 500, and the PSP keeps the 500 under the key.
    ErrorKept,
    /// The capture has no effect, is answered with 500, and the PSP keeps the 500 under the key.
    CaptureErrorKept,
    /// The authorization has its effect, and its answer breaks off in the middle.
    AnswerCut,
}

impl Token {
    /// The sandbox's name for it.
    #[must_use]
    pub fn payment_method(self) -> &'static str {
        match self {
            Self::Good => "pm_card_visa",
            Self::Declined => "pm_card_chargeDeclined",
            Self::CaptureDeclined => "pm_sandbox_capture_declined",
            Self::Secure(_) | Self::SecureFails(_) | Self::SecureAbandoned => {
                "pm_card_authenticationRequired"
            }
            Self::WebhookFirst => "pm_sandbox_webhook_first",
            Self::ErrorKept => "pm_sandbox_500_cached",
            Self::CaptureErrorKept => "pm_sandbox_capture_500_cached",
            Self::AnswerCut => "pm_sandbox_truncated",
        }
    }
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
                Act::Crash { server, .. } | Act::Pause { server, .. } => *server < servers,
                Act::Partition { from, to, .. } | Act::Hold { from, to, .. } => {
                    is_there(from) && is_there(to) && from != to
                }
                Act::Die { server } => (1..servers).contains(server),
                Act::Pay(payment) => payment.copies > 0 && payment.tries > 0 && payment.amount_minor > 0,
                Act::Store { .. } | Act::Psp { .. } | Act::Replay { .. } | Act::Forge { .. } => true,
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

    /// Whether core was told the truth, so that the promise of DESIGN §1 holds.
    #[must_use]
    pub fn is_honest(&self) -> bool {
        let (truth, declared) = (&self.world.truth, &self.world.declared);
        declared.horizon_ms <= truth.horizon_ms
            && declared.max_in_flight_ms >= truth.max_in_flight_ms
            && declared.lookup_lag_ms >= truth.lookup_lag_ms
            && declared.skew_ms >= truth.skew_ms
    }
}
