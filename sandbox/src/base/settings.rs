//! What a sandbox is told at its start, and what it counts.

use super::dials::Dials;

/// What a sandbox is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The dials; `PUT /dials` turns them later.
    pub dials: Dials,
    /// Where browsers find this sandbox, without a trailing slash: the base of 3-D Secure links.
    /// Empty, the server fills in its own address; without a server the links are then paths.
    pub public_url: String,
    /// Base of the webhook addresses: `/stripe` and `/acquirer` are added. `None`: no webhooks.
    pub webhook_url: Option<String>,
    /// The secret that signs webhooks.
    pub webhook_secret: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dials: Dials::default(),
            public_url: String::new(),
            webhook_url: None,
            webhook_secret: "whsec_sandbox".to_owned(),
        }
    }
}

/// Counters since start; not in the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) requests: u64,
    pub(crate) money_calls: u64,
    pub(crate) replays: u64,
    pub(crate) webhooks_sent: u64,
}
