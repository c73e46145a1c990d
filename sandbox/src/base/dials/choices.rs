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

/// What a refund on the Stripe face is at its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// It is on its way to the customer.
    Pending,
    /// The customer has the money.
    #[default]
    Succeeded,
    /// The customer does not get the money.
    Failed,
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
