//! The acquirer's 3-D Secure as it is kept.

use serde::{Deserialize, Serialize};

use super::event::Cause;

/// An authorization that waits for its cardholder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Challenge {
    pub(crate) id: String,
    pub(crate) reference: String,
    pub(crate) amount_minor: u64,
    pub(crate) currency: String,
    pub(crate) token: String,
    /// Where the customer goes when it is over.
    pub(crate) return_url: Option<String>,
    pub(crate) key: Option<String>,
    /// Set where a second execution of a call began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Cause>,
    /// When it began; older logs do not say.
    #[serde(default)]
    pub(crate) created_ms: Option<u64>,
}
