//! PaymentIntents, charges and refunds in Stripe's words.
//!
//! Members that Stripe always shows and the sandbox has no use for are there as null: Stripe's clients for Python and Ruby
//! raise an error when a member is read that the answer did not have.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::ledger::intent::{Failure, Intent, Status};

use super::errors::doc_url;

const NULL: () = ();

impl Failure {
    /// `last_payment_error`, and the inside of a 402.
    pub(crate) fn render(&self, intent: &Intent) -> Value {
        let payment_method = self.payment_method.as_ref().map(|id| {
            json!({
                "id": id,
                "object": "payment_method",
                "type": "card",
                "billing_details": BillingDetails::default(),
                "created": intent.created_ms / 1000,
                "customer": null,
                "livemode": false,
                "metadata": {},
            })
        });
        let kind = if self.decline_code.is_some() {
            "card_error"
        } else {
            "invalid_request_error"
        };
        let mut error = json!({
            "type": kind,
            "code": self.code,
            "doc_url": doc_url(&self.code),
            "message": self.message,
            "charge": intent.charge,
            "payment_method": payment_method,
        });
        if let (Value::Object(members), Some(decline_code)) = (&mut error, &self.decline_code) {
            members.insert("decline_code".to_owned(), json!(decline_code));
        }
        error
    }
}

impl Intent {
    /// The object as Stripe shows it.
    pub(crate) fn render(&self, public_url: &str, expand_charge: bool) -> Rendered<'_> {
        // Without an address to come back to, Stripe names no page: the rest is its own JavaScript's.
        let next_action = (self.status == Status::RequiresAction).then(|| match &self.return_url {
            None => json!({"type": "use_stripe_sdk", "use_stripe_sdk": {}}),
            Some(back) => json!({
                "type": "redirect_to_url",
                "redirect_to_url": {"url": format!("{public_url}/3ds/{}", self.id), "return_url": back},
            }),
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
            application: NULL,
            application_fee_amount: NULL,
            automatic_payment_methods: NULL,
            currency: &self.currency,
            customer: NULL,
            status: self.status,
            capture_method: if self.automatic_capture {
                "automatic"
            } else {
                "manual"
            },
            client_secret: &self.client_secret,
            confirmation_method: "automatic",
            created: self.created_ms / 1000,
            description: self.description.as_deref(),
            metadata: &self.metadata,
            on_behalf_of: NULL,
            payment_method: self.payment_method.as_deref(),
            payment_method_options: NULL,
            payment_method_types: &self.payment_method_types,
            allowed_payment_method_types: &self.allowed_types,
            processing: NULL,
            receipt_email: NULL,
            review: NULL,
            setup_future_usage: NULL,
            shipping: NULL,
            source: NULL,
            statement_descriptor: NULL,
            statement_descriptor_suffix: NULL,
            transfer_data: NULL,
            transfer_group: NULL,
            latest_charge: match &self.charge {
                Some(id) if expand_charge => LatestCharge::Expanded(Box::new(self.render_charge(id))),
                id => LatestCharge::Id(id.as_deref()),
            },
            next_action,
            last_payment_error: self.failure.as_ref().map(|failure| failure.render(self)),
            canceled_at: self.canceled_at_ms.map(|at_ms| at_ms / 1000),
            cancellation_reason: self.cancellation_reason.as_deref(),
            livemode: false,
        }
    }

    /// Its latest charge.
    pub(crate) fn render_charge<'a>(&'a self, id: &'a str) -> Charge<'a> {
        let refunded = self.refunded_minor();
        let failure = self.failure.as_ref();
        Charge {
            id,
            object: "charge",
            amount: self.amount_minor,
            amount_captured: self.captured_minor,
            amount_refunded: refunded,
            balance_transaction: NULL,
            billing_details: BillingDetails::default(),
            captured: self.status == Status::Succeeded,
            customer: NULL,
            description: self.description.as_deref(),
            disputed: self.dispute.is_some(),
            failure_code: failure.map(|failure| failure.code.as_str()),
            failure_message: failure.map(|failure| failure.message.as_str()),
            metadata: &self.metadata,
            outcome: NULL,
            paid: failure.is_none(),
            receipt_url: NULL,
            refunded: self.captured_minor > 0 && refunded >= self.captured_minor,
            status: if failure.is_some() { "failed" } else { "succeeded" },
            created: self.charge_created_ms.map(|at_ms| at_ms / 1000),
            currency: &self.currency,
            payment_intent: &self.id,
            payment_method: self.payment_method.as_deref(),
            payment_method_details: PaymentMethodDetails {
                kind: "card",
                card: Card {
                    brand: "visa",
                    last4: "4242",
                    exp_month: 12,
                    exp_year: 2040,
                    funding: "credit",
                    country: "US",
                    capture_before: self.capture_before_ms.map(|at_ms| at_ms / 1000),
                },
            },
            livemode: false,
        }
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
    application: (),
    application_fee_amount: (),
    automatic_payment_methods: (),
    currency: &'a str,
    customer: (),
    status: Status,
    capture_method: &'static str,
    client_secret: &'a str,
    confirmation_method: &'static str,
    created: u64,
    description: Option<&'a str>,
    metadata: &'a BTreeMap<String, String>,
    on_behalf_of: (),
    payment_method: Option<&'a str>,
    payment_method_options: (),
    payment_method_types: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allowed_payment_method_types: &'a [String],
    processing: (),
    receipt_email: (),
    review: (),
    setup_future_usage: (),
    shipping: (),
    source: (),
    statement_descriptor: (),
    statement_descriptor_suffix: (),
    transfer_data: (),
    transfer_group: (),
    latest_charge: LatestCharge<'a>,
    next_action: Option<Value>,
    last_payment_error: Option<Value>,
    canceled_at: Option<u64>,
    cancellation_reason: Option<&'a str>,
    livemode: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LatestCharge<'a> {
    Id(Option<&'a str>),
    Expanded(Box<Charge<'a>>),
}

/// A charge in Stripe's words.
#[derive(Serialize)]
pub(crate) struct Charge<'a> {
    id: &'a str,
    object: &'static str,
    amount: u64,
    amount_captured: u64,
    amount_refunded: u64,
    balance_transaction: (),
    billing_details: BillingDetails,
    captured: bool,
    customer: (),
    description: Option<&'a str>,
    disputed: bool,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
    metadata: &'a BTreeMap<String, String>,
    outcome: (),
    paid: bool,
    receipt_url: (),
    refunded: bool,
    status: &'static str,
    created: Option<u64>,
    currency: &'a str,
    payment_intent: &'a str,
    payment_method: Option<&'a str>,
    payment_method_details: PaymentMethodDetails,
    livemode: bool,
}

/// Nobody is billed by name here.
#[derive(Default, Serialize)]
struct BillingDetails {
    address: (),
    email: (),
    name: (),
    phone: (),
}

#[derive(Serialize)]
struct PaymentMethodDetails {
    #[serde(rename = "type")]
    kind: &'static str,
    card: Card,
}

/// The same card for every token: what is behind one is the test table's business.
#[derive(Serialize)]
struct Card {
    brand: &'static str,
    last4: &'static str,
    exp_month: u8,
    exp_year: u16,
    funding: &'static str,
    country: &'static str,
    capture_before: Option<u64>,
}

#[cfg(test)]
mod tests;
