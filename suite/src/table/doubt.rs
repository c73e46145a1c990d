//! Answers that are lost, late or broken: the outcome is unknown until evidence ends it, and then there is one effect.
//! Without webhooks, so that recovery has to find out by itself.

use serde_json::{Value, json};

use super::{HELD, RELEASED, TAKEN, authorize, create, order};
use crate::case::{Case, Step, get, ledger, post};
use crate::environment::Merchant::{self, Market, Shop};
use crate::environment::Weather;

/// What an authorize may meet, and the words for it.
const AUTHORIZE: [(&str, &str, &str); 9] = [
    (
        "hang-before",
        "pm_sandbox_hang_before",
        "The PSP never got it and never answers: one authorization in the end.",
    ),
    (
        "hang-after",
        "pm_sandbox_hang_after",
        "The PSP reserved the money and never answers: one authorization in the end.",
    ),
    (
        "500-before",
        "pm_sandbox_500_before",
        "A 500 without effect is unknown like any other: one authorization in the end.",
    ),
    (
        "500-after",
        "pm_sandbox_500_after",
        "A 500 after the effect: one authorization in the end.",
    ),
    (
        "500-cached",
        "pm_sandbox_500_cached",
        "An error kept under our key is no outcome: one authorization in the end.",
    ),
    (
        "429",
        "pm_sandbox_429",
        "Too many requests is no decline: one authorization in the end.",
    ),
    (
        "garbage",
        "pm_sandbox_garbage",
        "An answer that nobody can read: one authorization in the end.",
    ),
    (
        "truncated",
        "pm_sandbox_truncated",
        "An answer that breaks off: one authorization in the end.",
    ),
    (
        "late",
        "pm_sandbox_late",
        "The request lands seconds later: one authorization in the end.",
    ),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for merchant in [Shop, Market] {
        let name = |what: &str| format!("{}-{what}", merchant.psp());
        for (what, token, about) in AUTHORIZE {
            cases.push(Case::new(
                name(&format!("doubt-{what}")),
                about,
                merchant,
                vec![
                    create(token).into(),
                    authorize().save_body("authorized").into(),
                    post("/attempts/{id}/authorize")
                        .key("authorize")
                        .replays("authorized")
                        .into(),
                    get("/attempts/{id}")
                        .is("/status", "AUTHORIZED")
                        .without_timeline()
                        .into(),
                    ledger("{id}", HELD),
                ],
            ));
        }
        for (what, token) in [
            ("capture-hang-before", "pm_sandbox_capture_hang_before"),
            ("capture-hang-after", "pm_sandbox_capture_hang_after"),
            ("capture-500-after", "pm_sandbox_capture_500_after"),
        ] {
            cases.push(Case::new(
                name(&format!("doubt-{what}")),
                "The answer to a capture is lost: one capture in the end.",
                merchant,
                vec![
                    create(token).into(),
                    authorize().into(),
                    super::capture().save_body("captured").into(),
                    post("/attempts/{id}/capture")
                        .key("capture")
                        .replays("captured")
                        .into(),
                    ledger("{id}", TAKEN),
                ],
            ));
        }
        cases.extend([
            outage(merchant),
            Case::new(
                name("doubt-void"),
                "The answer to a void is lost: released once.",
                merchant,
                vec![
                    create("pm_sandbox_void_hang_after").into(),
                    authorize().into(),
                    super::void().into(),
                    ledger("{id}", RELEASED),
                ],
            ),
            Case::new(
                name("doubt-charge"),
                "A charge whose answer is lost: 202, never a failure; nobody helps, and it ends CAPTURED.",
                merchant,
                vec![
                    post("/charge")
                        .key("{case}")
                        .json(&order("pm_sandbox_hang_after"))
                        .status(202)
                        .is("/status", "AUTHORIZING")
                        .save("id", "/attempt_id")
                        .into(),
                    get("/attempts/{id}")
                        .until("/status", "CAPTURED")
                        .without_timeline()
                        .into(),
                    post("/charge")
                        .key("{case}")
                        .json(&order("pm_sandbox_hang_after"))
                        .is("/operation", Value::Null)
                        .has("Idempotency-Replayed", "true")
                        .into(),
                    ledger("{id}", TAKEN),
                ],
            ),
        ]);
    }
    cases
}

/// Every call is answered 500, look-ups as well, until the outage is over.
fn outage(merchant: Merchant) -> Case {
    Case::new(
        format!("{}-outage", merchant.psp()),
        "While the PSP is down the attempt stays in doubt; once it is back, the attempt ends by itself.",
        merchant,
        vec![
            create("pm_card_visa").into(),
            Step::Dials(json!({"error_before_permille": 1000})),
            post("/attempts/{id}/authorize")
                .key("authorize")
                .status(202)
                .is("/status", "AUTHORIZING")
                .code_only()
                .into(),
            get("/attempts/{id}")
                .until("/operation/state", "in_doubt")
                .is("/status", "AUTHORIZING")
                .without_timeline()
                .into(),
            post("/attempts/{id}/capture")
                .key("capture")
                .refused(409, "INVALID_STATE")
                .is("/error/safe_new_key", false)
                .code_only()
                .into(),
            Step::Dials(json!({"error_before_permille": 0})),
            get("/attempts/{id}")
                .until("/status", "AUTHORIZED")
                .without_timeline()
                .into(),
            post("/attempts/{id}/authorize")
                .key("authorize")
                .has("Idempotency-Replayed", "true")
                .into(),
            ledger("{id}", HELD),
        ],
    )
    .in_weather(Weather::Alone)
}
