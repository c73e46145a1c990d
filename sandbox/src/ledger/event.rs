//! What the ledger is made of.

use serde::{Deserialize, Serialize};

use crate::base::face::Face;
use crate::base::tokens::Operation;

/// One thing that happened to the money of an attempt, or was refused to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerEvent {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whose money.
    pub attempt_id: String,
    /// Through which face it came.
    pub face: Face,
    /// What happened, or was refused.
    pub operation: Operation,
    /// The id of this effect; for an authorization, what the others refer to.
    pub id: String,
    /// The authorization acted on, when it is not this event itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// The one capture that a refund reverses; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<String>,
    /// In minor units.
    pub amount_minor: u64,
    /// ISO 4217 code.
    pub currency: String,
    /// The payment method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The idempotency key that its request carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether it landed long after its request was sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Set when nothing happened: the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declined: Option<String>,
    /// When an authorization lapses if nobody captures it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapses_at_ms: Option<u64>,
    /// Who made it happen, when it was no call of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Of a refund that failed after its effect: the refund whose money came back to the merchant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
}

/// Who makes a thing happen that no call of the API asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A person at the PSP's dashboard.
    Dashboard,
    /// Another program that uses the same account.
    Foreign,
    /// The card network, which takes a capture back.
    Reversal,
    /// The PSP, which executes one call a second time.
    Repeated,
}
