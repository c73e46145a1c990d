//! Dials that are one word of a few.

use serde::{Deserialize, Serialize};

/// Which calls the dial `reject_status` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectCalls {
    /// Every call.
    All,
    /// Every `POST`: what creates, authorizes, captures, cancels, voids or refunds.
    Money,
    /// Every `GET`, lists included.
    Reads,
    /// Stripe's lists, and the acquirer's lookup.
    Lists,
}

/// The `cancellation_reason` of a PaymentIntent whose authorization lapsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LapseReason {
    /// `automatic`
    Automatic,
    /// `expired`
    Expired,
}

impl LapseReason {
    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Expired => "expired",
        }
    }
}
