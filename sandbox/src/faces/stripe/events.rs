//! Stripe's events, which its webhooks carry.

use serde_json::{Value, json};

use crate::base::face::Face;
use crate::base::rfc3339;
use crate::ledger::intent::Intent;
use crate::ledger::work::Work;

/// Tells of a PaymentIntent.
pub(super) fn of_intent(work: &mut Work<'_>, intent: &Intent, kind: &str) {
    of(work, kind, "payment_intent", &intent.id, |public_url| {
        json!(intent.render(public_url, false))
    });
}

/// Tells of the object `id` of type `object`: whole, or by its address where the dial `thin_webhooks` is on.
pub(super) fn of(
    work: &mut Work<'_>,
    kind: &str,
    object: &str,
    id: &str,
    rendered: impl FnOnce(&str) -> Value,
) {
    work.notify(Face::Stripe, |work| {
        let event_id = work.new_id("evt");
        if work.settings.dials.thin_webhooks {
            return json!({
                "id": event_id,
                "object": "v2.core.event",
                "type": format!("v1.{kind}"),
                "created": rfc3339::of(work.now_ms),
                "livemode": false,
                "related_object": {"id": id, "type": object, "url": format!("/v1/{object}s/{id}")},
            });
        }
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
