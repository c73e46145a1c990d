//! The world of a run: its PSP, its constants, its latencies.

use serde::{Deserialize, Serialize};

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
