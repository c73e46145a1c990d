//! Stripe's error bodies that show a PaymentIntent.

use serde_json::{Value, json};

use crate::base::outcome::Outcome;
use crate::ledger::intent::{Failure, Intent};

use super::errors::doc_url;

/// 400: the PaymentIntent is in a state that does not allow this. Kept under a key, as execution had begun.
pub(crate) fn unexpected_state(intent: &Intent, public_url: &str, message: &str) -> Outcome {
    let error = json!({
        "type": "invalid_request_error",
        "code": "payment_intent_unexpected_state",
        "doc_url": doc_url("payment_intent_unexpected_state"),
        "message": message,
        "payment_intent": intent.render(public_url, false),
    });
    Outcome::kept(400, &json!({"error": error}))
}

/// 402: the card was declined.
pub(crate) fn declined(intent: &Intent, failure: &Failure, public_url: &str) -> Outcome {
    let mut error = failure.render(intent);
    if let Value::Object(members) = &mut error {
        members.insert(
            "payment_intent".to_owned(),
            json!(intent.render(public_url, false)),
        );
    }
    Outcome::kept(402, &json!({"error": error}))
}
