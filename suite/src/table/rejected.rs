//! The PSP rejects our key: that says nothing of the payment. The client is told so, nothing was done, and its retry goes through once
//! the key is mended.

use serde_json::json;

use super::{HELD, TAKEN, authorize, create};
use crate::case::{Case, Sign, Step, get, ledger, post, webhook};
use crate::environment::Merchant::{self, Market, Shop};
use crate::environment::Weather;

fn rejects(status: u16) -> Step {
    Step::Dials(json!({"reject_status": status}))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, merchant) in [("stripe", Shop), ("acquirer", Market)] {
        cases.push(authorization(name, merchant));
        cases.push(taking(name, merchant));
    }
    cases.push(event());
    cases
}

fn authorization(name: &str, merchant: Merchant) -> Case {
    Case::new(
        format!("{name}-rejected-authorize"),
        "An authorize that the PSP rejects is no decline: 502, back to CREATED, and the same key goes through later.",
        merchant,
        vec![
            create("pm_card_visa").into(),
            rejects(401),
            post("/attempts/{id}/authorize")
                .key("authorize")
                .wait_in_vain()
                .refused(502, "PSP_REJECTED_REQUEST")
                .is("/error/retryable", true)
                .is("/error/safe_new_key", false)
                .is("/error/attempt/status", "CREATED")
                .has("Retry-After", "1")
                .into(),
            ledger("{id}", &[]),
            rejects(0),
            post("/attempts/{id}/authorize")
                .key("authorize")
                .header("Prefer", "wait=30")
                .until("/status", "AUTHORIZED")
                .into(),
            ledger("{id}", HELD),
        ],
    )
    .in_weather(Weather::Alone)
}

fn taking(name: &str, merchant: Merchant) -> Case {
    Case::new(
        format!("{name}-rejected-capture"),
        "A capture that the PSP rejects leads back to AUTHORIZED, and can be asked for again.",
        merchant,
        vec![
            create("pm_card_visa").into(),
            authorize().into(),
            rejects(403),
            post("/attempts/{id}/capture")
                .key("rejected")
                .wait_in_vain()
                .refused(502, "PSP_REJECTED_REQUEST")
                .is("/error/attempt/status", "AUTHORIZED")
                .into(),
            rejects(0),
            post("/attempts/{id}/capture")
                .key("capture")
                .header("Prefer", "wait=30")
                .until("/status", "CAPTURED")
                .into(),
            post("/attempts/{id}/capture")
                .key("rejected")
                .status(409)
                .is("/error/code", "INVALID_STATE")
                .is("/error/safe_new_key", false)
                .into(),
            ledger("{id}", TAKEN),
        ],
    )
    .in_weather(Weather::Alone)
}

fn event() -> Case {
    let thin = json!({
        "id": "evt_1", "object": "v2.core.event", "type": "v1.payment_intent.succeeded",
        "related_object": {"id": "pi_000000000000000000000000", "type": "payment_intent"},
    });
    Case::new(
        "webhook-thin",
        "A thin event has its object read first: it is sent again if that fails, and taken if the object is nobody's here.",
        Shop,
        vec![
            rejects(401),
            webhook("/webhooks/stripe", Sign::Well, &thin)
                .refused(502, "PSP_READ_FAILED")
                .into(),
            rejects(0),
            webhook("/webhooks/stripe", Sign::Well, &thin).into(),
            get("/attempts/pa_00000000000000000000000000")
                .refused(404, "ATTEMPT_NOT_FOUND")
                .into(),
        ],
    )
    .in_weather(Weather::Alone)
}
