//! The world of a run: its PSP, its constants, its latencies.

use serde::{Deserialize, Serialize};

/// The PSP of a run (`docs/psp.md`).
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

    /// Whether it speaks as Stripe does.
    #[must_use]
    pub fn is_stripe(self) -> bool {
        matches!(self, Self::Stripe | Self::Addressable)
    }

    /// Whether it honours idempotency keys.
    #[must_use]
    pub fn is_keyed(self) -> bool {
        matches!(self, Self::Stripe | Self::Keyed | Self::KeyedQueryable)
    }

    /// Whether an object can be found by the attempt that it is for.
    #[must_use]
    pub fn is_listed(self) -> bool {
        !matches!(self, Self::Keyed | Self::Blind)
    }

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

/// How core is hosted (the model tier only; the full tier hosts the embedded server).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Long-lived servers with timers, over a shared store: the embedded server.
    #[default]
    Servers,
    /// One object an attempt, which alone holds its record and has one alarm: Cloudflare's Durable Objects.
    Objects,
    /// Instances that do not live long, over a shared store with a sweep: Spin.
    Instances,
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

/// What a deployment chooses itself, or declares of a PSP beyond its [`Constants`], in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The budget of an answer.
    pub time_budget_ms: u64,
    /// How long after a dispatch's commit it may be sent.
    pub send_window_ms: u64,
    /// How long core waits for a PSP's answer.
    pub call_timeout_ms: u64,
    /// How long after its request an authorization may be sent again.
    pub authorize_retry_ms: u64,
    /// How long before it lapses an authorization is released.
    pub capture_margin_ms: u64,
    /// How old a webhook's signed time may be.
    pub webhook_tolerance_ms: u64,
    /// Whether the PSP's object is made by a call of its own, though a key would do.
    pub prepare_first: bool,
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
    /// How long after healing everything may take to end, in milliseconds.
    #[serde(default = "default_patience_ms")]
    pub patience_ms: u64,
    /// The name of this installation. `""` is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub installation: String,
    /// The class of the second merchant's PSP, which is the other face on the same account of the same sandbox. `None`: the
    /// second merchant, if any payment has it, pays through the PSP of the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Class>,
    /// Most objects on a page of a Stripe list.
    #[serde(default = "default_page_max", skip_serializing_if = "is_page_max")]
    pub page_max: usize,
    /// PaymentIntents that other programs of the account make, a second, until healing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crowd: u32,
    /// How long after an operation was parked an operator resolves it by the PSP's books, in milliseconds. `None`: nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_ms: Option<u64>,
    /// How long servers answer from a copy of a record, in milliseconds (the model tier only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies_ms: Option<u64>,
    /// Stripe's webhooks are thin events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub thin_webhooks: bool,
    /// Look-ups and lists are refused for ever: the key lacks the permission.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lists_forbidden: bool,
    /// A refund of Stripe's is pending for so long, in milliseconds, and then succeeds or fails. `None`: it succeeds at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_ms: Option<(u64, bool)>,
    /// The least amount that the PSP captures, in the units that it is sent.
    #[serde(default, skip_serializing_if = "is_none_minor")]
    pub min_minor: u64,
    /// The acquirer refuses a second capture of an authorization; it captures again otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub captures_once: bool,
    /// The webhook secret is the second of two that servers know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second_secret: bool,
    /// Stripe tells of an object's creation, before its authorization.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub created_webhooks: bool,
    /// Such a refund has gone through at once, and fails after that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refunds_fail_late: bool,
    /// The endpoint is not sent `refund.updated`: `refund.failed` alone tells of a refund that fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_refund_updates: bool,
    /// How core is hosted.
    #[serde(default, skip_serializing_if = "is_servers")]
    pub shape: Shape,
    /// Per mille of the store's answers at which the process that waits for one ends instead, until healing.
    #[serde(default, skip_serializing_if = "is_none_permille")]
    pub deaths_permille: u16,
    /// Per mille of the calls that can be put off for which a server has no place, until healing (the model tier's servers only).
    #[serde(default, skip_serializing_if = "is_none_permille")]
    pub no_place_permille: u16,
    /// The PSP's answers have a `Date`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dates: bool,
    /// A resolution needs two operators.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub two_operators: bool,
    /// What a deployment chooses itself. `None`: what the swarm's plans are made for ([`World::policy`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

impl World {
    /// The class of the PSP that a merchant's payments go to.
    #[must_use]
    pub fn class_of(&self, merchant: u8) -> Class {
        match (merchant, self.second) {
            (0, _) | (_, None) => self.class,
            (_, Some(second)) => second,
        }
    }

    /// The classes of all PSPs.
    pub fn classes(&self) -> impl Iterator<Item = Class> {
        std::iter::once(self.class).chain(self.second)
    }
}

fn default_patience_ms() -> u64 {
    600_000
}

fn default_page_max() -> usize {
    100
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_page_max(page_max: &usize) -> bool {
    *page_max == default_page_max()
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_servers(shape: &Shape) -> bool {
    *shape == Shape::Servers
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_none_permille(permille: &u16) -> bool {
    *permille == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(crowd: &u32) -> bool {
    *crowd == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_none_minor(minor: &u64) -> bool {
    *minor == 0
}

fn default_psp_late_ms() -> u64 {
    1_200
}
