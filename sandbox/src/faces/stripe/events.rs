//! Stripe's events, which its webhooks carry.

use serde::Serialize;
use serde_json::json;

use crate::base::face::Face;
use crate::base::outcome::written;
use crate::base::rfc3339;
use crate::ledger::intent::Intent;
use crate::ledger::work::Work;

/// Tells of a PaymentIntent.
pub(super) fn of_intent(work: &mut Work<'_>, intent: &Intent, kind: &str) {
    of(work, kind, "payment_intent", &intent.id, |public_url| {
        intent.render(public_url, false)
    });
}

/// Tells of the object `id` of type `object`: whole, or by its address where the dial `thin_webhooks` is on.
pub(super) fn of<T: Serialize>(
    work: &mut Work<'_>,
    kind: &str,
    object: &str,
    id: &str,
    rendered: impl FnOnce(&str) -> T,
) {
    work.notify(Face::Stripe, |work| {
        let event_id = work.new_id("evt");
        if work.settings.dials.thin_webhooks {
            return written(&json!({
                "id": event_id,
                "object": "v2.core.event",
                "type": format!("v1.{kind}"),
                "created": rfc3339::of(work.now_ms),
                "livemode": false,
                "related_object": {"id": id, "type": object, "url": format!("/v1/{object}s/{id}")},
            }));
        }
        written(&Event {
            id: &event_id,
            object: "event",
            api_version: &work.settings.dials.stripe_default_version,
            created: work.now_ms / 1000,
            data: Data {
                object: rendered(&work.settings.public_url),
            },
            livemode: false,
            pending_webhooks: 1,
            request: Asked {
                id: work.request_id.as_deref(),
                idempotency_key: work.key.as_deref(),
            },
            kind,
        })
    });
}

#[derive(Serialize)]
struct Event<'a, T> {
    id: &'a str,
    object: &'static str,
    api_version: &'a str,
    created: u64,
    data: Data<T>,
    livemode: bool,
    pending_webhooks: u8,
    request: Asked<'a>,
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Serialize)]
struct Data<T> {
    object: T,
}

/// Null for what no call asked for: the cardholder's answer, the passing of time.
#[derive(Serialize)]
struct Asked<'a> {
    id: Option<&'a str>,
    idempotency_key: Option<&'a str>,
}

#[cfg(test)]
mod tests;
