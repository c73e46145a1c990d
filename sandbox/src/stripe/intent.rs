//! The PaymentIntent and its picture in JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
}

/// A refund of a PaymentIntent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) created_ms: u64,
    pub(crate) amount_minor: u64,
    pub(crate) reason: Option<String>,
}

/// Why the last confirmation failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) decline_code: Option<String>,
    pub(crate) message: String,
    pub(crate) payment_method: Option<String>,
}

impl Failure {
    /// `last_payment_error`, and the inside of a 402.
    pub(crate) fn render(&self, charge: Option<&str>) -> Value {
        let payment_method = self
            .payment_method
            .as_ref()
            .map(|id| json!({"id": id, "object": "payment_method"}));
        let kind = if self.decline_code.is_some() {
            "card_error"
        } else {
            "invalid_request_error"
        };
        let mut error = json!({
            "type": kind,
            "code": self.code,
            "message": self.message,
            "charge": charge,
            "payment_method": payment_method,
        });
        if let (Value::Object(members), Some(decline_code)) = (&mut error, &self.decline_code) {
            members.insert("decline_code".to_owned(), json!(decline_code));
        }
        error
    }
}

impl Intent {
    /// Who the ledger says this belongs to.
    pub(crate) fn attempt_id(&self) -> &str {
        self.metadata.get(ATTEMPT_ID).unwrap_or(&self.id)
    }

    /// Refunded in all, in minor units.
    pub(crate) fn refunded_minor(&self) -> u64 {
        self.refunds.iter().map(|refund| refund.amount_minor).sum()
    }

    /// The object as Stripe shows it.
    pub(crate) fn render(&self, public_url: &str, expand_charge: bool) -> Rendered<'_> {
        let next_action = (self.status == Status::RequiresAction).then(|| {
            json!({
                "type": "redirect_to_url",
                "redirect_to_url": {"url": format!("{public_url}/3ds/{}", self.id), "return_url": self.return_url},
            })
        });
        Rendered {
            id: &self.id,
            object: "payment_intent",
            amount: self.amount_minor,
            amount_capturable: if self.status == Status::RequiresCapture {
                self.amount_minor
            } else {
                0
            },
            amount_received: self.captured_minor,
            currency: &self.currency,
            status: self.status,
            capture_method: if self.automatic_capture {
                "automatic"
            } else {
                "manual"
            },
            client_secret: &self.client_secret,
            created: self.created_ms / 1000,
            description: self.description.as_deref(),
            metadata: &self.metadata,
            payment_method: self.payment_method.as_deref(),
            payment_method_types: &self.payment_method_types,
            latest_charge: match &self.charge {
                Some(id) if expand_charge => Charge::Expanded(self.render_charge(id)),
                id => Charge::Id(id.as_deref()),
            },
            next_action,
            last_payment_error: self
                .failure
                .as_ref()
                .map(|failure| failure.render(self.charge.as_deref())),
            canceled_at: self.canceled_at_ms.map(|at_ms| at_ms / 1000),
            cancellation_reason: self.cancellation_reason.as_deref(),
            livemode: false,
        }
    }

    fn render_charge(&self, id: &str) -> Value {
        let refunded = self.refunded_minor();
        json!({
            "id": id,
            "object": "charge",
            "amount": self.amount_minor,
            "amount_captured": self.captured_minor,
            "amount_refunded": refunded,
            "captured": self.status == Status::Succeeded,
            "refunded": self.captured_minor > 0 && refunded >= self.captured_minor,
            "status": if self.failure.is_some() { "failed" } else { "succeeded" },
            "created": self.charge_created_ms.map(|at_ms| at_ms / 1000),
            "currency": self.currency,
            "payment_intent": self.id,
            "payment_method": self.payment_method,
            "payment_method_details": {
                "type": "card",
                "card": {"capture_before": self.capture_before_ms.map(|at_ms| at_ms / 1000)},
            },
            "livemode": false,
        })
    }

    /// One of its refunds.
    pub(crate) fn render_refund(&self, refund: &Refund) -> Value {
        json!({
            "id": refund.id,
            "object": "refund",
            "amount": refund.amount_minor,
            "charge": self.charge,
            "created": refund.created_ms / 1000,
            "currency": self.currency,
            "payment_intent": self.id,
            "reason": refund.reason,
            "status": "succeeded",
        })
    }
}

/// A PaymentIntent in Stripe's words. A struct rather than a JSON value: it is written on nearly every call.
#[derive(Serialize)]
pub(crate) struct Rendered<'a> {
    id: &'a str,
    object: &'static str,
    amount: u64,
    amount_capturable: u64,
    amount_received: u64,
    currency: &'a str,
    status: Status,
    capture_method: &'static str,
    client_secret: &'a str,
    created: u64,
    description: Option<&'a str>,
    metadata: &'a BTreeMap<String, String>,
    payment_method: Option<&'a str>,
    payment_method_types: &'a [String],
    latest_charge: Charge<'a>,
    next_action: Option<Value>,
    last_payment_error: Option<Value>,
    canceled_at: Option<u64>,
    cancellation_reason: Option<&'a str>,
    livemode: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Charge<'a> {
    Id(Option<&'a str>),
    Expanded(Value),
}
