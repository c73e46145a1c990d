//! Stripe's PaymentIntent as it is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::dials::RefundStatus;

use super::event::Cause;

/// The metadata member that names the attempt.
pub(crate) const ATTEMPT_ID: &str = "attempt_id";

/// A PaymentIntent's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    RequiresCapture,
    Succeeded,
    Canceled,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

/// A PaymentIntent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    /// Orders intents made in the same second.
    pub(crate) serial: u64,
    pub(crate) created_ms: u64,
    pub(crate) client_secret: String,
    pub(crate) amount_minor: u64,
    pub(crate) currency: String,
    pub(crate) automatic_capture: bool,
    pub(crate) status: Status,
    pub(crate) payment_method: Option<String>,
    pub(crate) payment_method_types: Vec<String>,
    /// What `allowed_payment_method_types` said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) allowed_types: Vec<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) description: Option<String>,
    pub(crate) return_url: Option<String>,
    /// The latest charge: the authorization's id in the ledger, or that of a declined one.
    pub(crate) charge: Option<String>,
    pub(crate) charge_created_ms: Option<u64>,
    /// When the authorization lapses.
    pub(crate) capture_before_ms: Option<u64>,
    pub(crate) captured_minor: u64,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) failure: Option<Failure>,
    pub(crate) canceled_at_ms: Option<u64>,
    pub(crate) cancellation_reason: Option<String>,
    /// Set where a second execution of a call made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Cause>,
    /// The cardholder's bank wants the money back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dispute: Option<Dispute>,
}

/// A dispute of a PaymentIntent's charge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) created_ms: u64,
    pub(crate) amount_minor: u64,
}

/// A refund of a PaymentIntent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) created_ms: u64,
    pub(crate) amount_minor: u64,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) status: RefundStatus,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Why the last confirmation failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) decline_code: Option<String>,
    pub(crate) message: String,
    pub(crate) payment_method: Option<String>,
}

impl Intent {
    /// Whether it is this attempt's and waits for its cardholder.
    pub(crate) fn is_open_for(&self, attempt_id: &str) -> bool {
        self.status == Status::RequiresAction && self.attempt_id() == attempt_id
    }

    /// Who the ledger says this belongs to.
    pub(crate) fn attempt_id(&self) -> &str {
        self.metadata.get(ATTEMPT_ID).unwrap_or(&self.id)
    }

    /// Refunded in all, in minor units. A pending refund counts, a failed one does not.
    pub(crate) fn refunded_minor(&self) -> u64 {
        self.refunds
            .iter()
            .filter(|refund| refund.status != RefundStatus::Failed)
            .map(|refund| refund.amount_minor)
            .sum()
    }
}
