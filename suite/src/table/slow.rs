//! A PSP that takes ten times the budget: 202 in time, the work goes on, and a retry gets the news.

use serde_json::Value;

use super::{HELD, TAKEN, authorize, capture, create, order};
use crate::case::{Ask, Case, Step, get, ledger, post};
use crate::environment::Merchant::{Market, Shop};
use crate::environment::Weather;

/// Under way when the budget is over.
fn early(ask: Ask, status: &'static str) -> Ask {
    ask.status(202)
        .has("Retry-After", "1")
        .has("Location", "/attempts/{id}")
        .has_no("Idempotency-Replayed")
        .is("/status", status)
        .is("/operation/state", "in_flight")
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for merchant in [Shop, Market] {
        let name = |what: &str| format!("{}-slow-{what}", merchant.psp());
        let authorizing = || post("/attempts/{id}/authorize").key("authorize");
        cases.extend([
            Case::new(
                name("authorize"),
                "202 within the budget, and again for its twin; then the final answer, replayed for ever.",
                merchant,
                vec![
                    create("pm_card_visa").into(),
                    early(authorizing(), "AUTHORIZING").into(),
                    early(authorizing(), "AUTHORIZING").into(),
                    get("/attempts/{id}")
                        .is("/status", "AUTHORIZING")
                        .is("/operation/name", "authorize")
                        .into(),
                    get("/attempts/{id}").until("/status", "AUTHORIZED").into(),
                    authorizing()
                        .is("/status", "AUTHORIZED")
                        .save_body("authorized")
                        .into(),
                    authorizing().replays("authorized").into(),
                    ledger("{id}", HELD),
                ],
            ),
            Case::new(
                name("capture"),
                "The same for a capture; another key is told that one is under way.",
                merchant,
                vec![
                    create("pm_card_visa").into(),
                    authorize().into(),
                    early(post("/attempts/{id}/capture").key("capture"), "CAPTURING").into(),
                    post("/attempts/{id}/capture")
                        .key("other")
                        .refused(409, "INVALID_STATE")
                        .is("/error/retryable", true)
                        .is("/error/safe_new_key", false)
                        .into(),
                    post("/attempts/{id}/void")
                        .key("void")
                        .refused(409, "INVALID_STATE")
                        .has("Retry-After", "1")
                        .into(),
                    get("/attempts/{id}").until("/status", "CAPTURED").into(),
                    capture().has("Idempotency-Replayed", "true").into(),
                    ledger("{id}", TAKEN),
                ],
            ),
            Case::new(
                name("charge"),
                "The same for a charge.",
                merchant,
                vec![
                    post("/charge")
                        .key("{case}")
                        .json(&order("pm_card_visa"))
                        .status(202)
                        .is("/status", "AUTHORIZING")
                        .is("/charge_state", "processing")
                        .save("id", "/attempt_id")
                        .into(),
                    get("/attempts/{id}").until("/status", "CAPTURED").into(),
                    post("/charge")
                        .key("{case}")
                        .json(&order("pm_card_visa"))
                        .is("/charge_state", "succeeded")
                        .is("/operation", Value::Null)
                        .has("Idempotency-Replayed", "true")
                        .into(),
                    ledger("{id}", TAKEN),
                ],
            ),
            Case::new(
                name("wait"),
                "Whoever prefers to wait gets the final answer at once.",
                merchant,
                vec![
                    create("pm_card_visa").into(),
                    authorize().has_no("Idempotency-Replayed").into(),
                    capture().has_no("Idempotency-Replayed").into(),
                    ledger("{id}", TAKEN),
                ],
            ),
            Case::new(
                name("twins"),
                "Twenty at once while the PSP is slow: one call to it, one answer.",
                merchant,
                vec![
                    create("pm_card_visa").into(),
                    Step::Storm {
                        times: 20,
                        ask: authorize(),
                        replay: 200,
                    },
                    ledger("{id}", HELD),
                    get("/attempts/{id}").is("/status", "AUTHORIZED").into(),
                ],
            ),
        ]);
    }
    cases
        .into_iter()
        .map(|case| case.in_weather(Weather::Slow))
        .collect()
}
