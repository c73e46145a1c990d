//! Stripe's events, which its webhooks carry.

use serde_json::{Value, json};

use crate::journal::Face;
use crate::work::Work;

use super::intent::Intent;

/// Tells of a PaymentIntent.
pub(super) fn of_intent(work: &mut Work<'_>, intent: &Intent, kind: &str) {
    of(work, kind, |public_url| json!(intent.render(public_url, false)));
}

/// Tells of an object.
pub(super) fn of(work: &mut Work<'_>, kind: &str, rendered: impl FnOnce(&str) -> Value) {
    work.notify(Face::Stripe, |work| {
        let event_id = work.new_id("evt");
        json!({
            "id": event_id,
            "object": "event",
            "api_version": work.settings.dials.stripe_default_version,
            "type": kind,
            "created": work.now_ms / 1000,
            "livemode": false,
            "pending_webhooks": 1,
            // Null for what no call asked for: the cardholder's answer, the passing of time.
            "request": {"id": work.request_id, "idempotency_key": work.key},
            "data": {"object": rendered(&work.settings.public_url)},
        })
    });
}

#[cfg(test)]
mod tests;
