//! Attempts that go well: create, authorize, capture, void, charge, and the story that GET tells.

use serde_json::json;

use super::{HELD, RELEASED, TAKEN, authorize, capture, create, order, void};
use crate::case::{Case, get, ledger, post};
use crate::environment::Merchant::{Kiosk, Market, Rival, Shop};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new(
            "create",
            "A new attempt is CREATED, has an address, and no PSP has heard of it.",
            Shop,
            vec![
                post("/attempts")
                    .key("{case}")
                    .json(&json!({"order_id": "ord_123", "amount": 2599, "currency": "GBP"}))
                    .status(201)
                    .save("id", "/attempt_id")
                    .has("Content-Type", "application/json")
                    .has("Idempotency-Key", "{case}")
                    .has_no("Idempotency-Replayed")
                    .is("/status", "CREATED")
                    .is("/capture_method", "manual")
                    .is("/charge_state", "created")
                    .into(),
                get("/attempts/{id}")
                    .is("/attempt_id", "{id}")
                    .is("/timeline/0/event", "attempt created")
                    .into(),
                ledger("{id}", &[]),
            ],
        ),
        Case::new(
            "create-with-everything",
            "What an attempt was created with is shown, metadata in the order of its names.",
            Shop,
            vec![
                post("/attempts")
                    .key("{case}")
                    .json(&json!({
                        "order_id": "ord é 🛒", "amount": 9_007_199_254_740_991_u64, "currency": "JPY",
                        "capture_method": "automatic", "payment_method": "pm_card_visa",
                        "metadata": {"b": "2", "a": "ä"},
                    }))
                    .status(201)
                    .save("id", "/attempt_id")
                    .is("/amount", 9_007_199_254_740_991_u64)
                    .is("/capture_method", "automatic")
                    .is("/metadata/a", "ä")
                    .into(),
                get("/attempts/{id}").is("/order_id", "ord é 🛒").into(),
            ],
        ),
        Case::new(
            "default-payment-method",
            "A merchant with a default payment method need not name one.",
            Rival,
            vec![
                post("/charge")
                    .key("{case}")
                    .wait()
                    .json(&json!({"amount": 2599, "currency": "GBP"}))
                    .is("/status", "CAPTURED")
                    .save("id", "/attempt_id")
                    .into(),
                ledger("{id}", TAKEN),
            ],
        ),
        Case::new(
            "payment-method-with-authorize",
            "The payment method may come with authorize instead.",
            Shop,
            vec![
                post("/attempts")
                    .key("{case}")
                    .json(&json!({"order_id": "ord_123", "amount": 2599, "currency": "GBP"}))
                    .status(201)
                    .save("id", "/attempt_id")
                    .into(),
                authorize()
                    .json(&json!({"payment_method": "pm_card_visa"}))
                    .into(),
                ledger("{id}", HELD),
            ],
        ),
        Case::new(
            "bare-curl",
            "What a bare curl -d sends, a form by its header, is read as JSON.",
            Shop,
            vec![
                create("pm_card_visa")
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .header("Accept", "*/*")
                    .into(),
                authorize().into(),
            ],
        ),
    ];
    for merchant in [Shop, Market, Kiosk] {
        let name = |what: &str| format!("{}-{what}", merchant.psp());
        cases.extend([
            Case::new(
                name("capture"),
                "Create, authorize, capture: one authorization, one capture, and the timeline tells it.",
                merchant,
                vec![
                    create("pm_card_visa").into(),
                    authorize()
                        .is("/authorization/psp", "{psp}")
                        .is("/capture", serde_json::Value::Null)
                        .has_no("Idempotency-Replayed")
                        .into(),
                    ledger("{id}", HELD),
                    get("/attempts/{id}").is("/status", "AUTHORIZED").into(),
                    capture()
                        .is("/capture/amount", 2599)
                        .is("/charge_state", "succeeded")
                        .into(),
                    ledger("{id}", TAKEN),
                    get("/attempts/{id}").is("/status", "CAPTURED").into(),
                ],
            ),
            Case::new(
                name("capture-part"),
                "A part may be captured, once.",
                merchant,
                vec![
                    create("pm_card_visa").into(),
                    authorize().into(),
                    capture()
                        .json(&json!({"amount": 99}))
                        .is("/amount", 2599)
                        .is("/capture/amount", 99)
                        .into(),
                    post("/attempts/{id}/capture")
                        .key("again")
                        .json(&json!({"amount": 1}))
                        .refused(409, "INVALID_STATE")
                        .into(),
                    ledger(
                        "{id}",
                        &[
                            ("authorizations", 1),
                            ("live_authorizations", 1),
                            ("captures", 1),
                            ("captured_minor", 99),
                        ],
                    ),
                ],
            ),
            Case::new(
                name("void"),
                "A void releases the authorization.",
                merchant,
                vec![
                    create("pm_card_visa").into(),
                    authorize().into(),
                    void().is("/charge_state", "failed").into(),
                    ledger("{id}", RELEASED),
                    get("/attempts/{id}").is("/status", "VOIDED").into(),
                ],
            ),
            Case::new(
                name("charge"),
                "One call creates, authorizes and captures.",
                merchant,
                vec![
                    post("/charge")
                        .key("{case}")
                        .wait()
                        .json(&order("pm_card_visa"))
                        .is("/status", "CAPTURED")
                        .is("/capture_method", "automatic")
                        .is("/charge_state", "succeeded")
                        .save("id", "/attempt_id")
                        .into(),
                    ledger("{id}", TAKEN),
                    get("/attempts/{id}").is("/status", "CAPTURED").into(),
                ],
            ),
            Case::new(
                name("automatic-capture"),
                "An attempt with automatic capture is captured by its authorize.",
                merchant,
                vec![
                    post("/attempts")
                        .key("{case}")
                        .json(&json!({
                            "order_id": "ord_123", "amount": 2599, "currency": "GBP",
                            "capture_method": "automatic", "payment_method": "pm_card_visa",
                        }))
                        .status(201)
                        .save("id", "/attempt_id")
                        .into(),
                    post("/attempts/{id}/authorize")
                        .key("authorize")
                        .wait()
                        .code_only()
                        .into(),
                    get("/attempts/{id}").until("/status", "CAPTURED").into(),
                    ledger("{id}", TAKEN),
                ],
            ),
        ]);
    }
    cases
}
