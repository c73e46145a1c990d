//! Idempotency keys: replays are the same bytes, reuse is refused, and a key is one name however it is written.

use serde_json::json;

use super::{HELD, TAKEN, authorize, capture, create, order, void};
use crate::case::{Case, get, ledger, post};
use crate::environment::Merchant::{Market, Rival, Shop};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new(
            "replay-create",
            "A repeated create is the same attempt, 200 and marked.",
            Shop,
            vec![
                create("pm_card_visa").save_body("created").into(),
                create("pm_card_visa")
                    .status(200)
                    .replays("created")
                    .has("Location", "/attempts/{id}")
                    .into(),
            ],
        ),
        Case::new(
            "replay-same-meaning",
            "White space and the order of members do not make another body.",
            Shop,
            vec![
                create("pm_card_visa").save_body("created").into(),
                create("")
                    .status(200)
                    .body(" {\"payment_method\":\"pm_card_visa\",\n\t\"currency\":\"GBP\", \"amount\":2599,\"order_id\":\"ord_\\u0031\\u00323\"} ")
                    .replays("created")
                    .into(),
            ],
        ),
        Case::new(
            "key-spellings",
            "A bare token and the same RFC 8941 String are the same key.",
            Shop,
            vec![
                create("pm_card_visa").save_body("created").into(),
                post("/attempts")
                    .key("\"{case}\"")
                    .json(&order("pm_card_visa"))
                    .has("Idempotency-Key", "{case}")
                    .replays("created")
                    .into(),
            ],
        ),
        Case::new(
            "key-quoted",
            "A key that cannot stand bare is echoed as a String.",
            Shop,
            vec![
                post("/attempts")
                    .key("\"{case};a,\\\"b\\\"\"")
                    .json(&order("pm_card_visa"))
                    .status(201)
                    .has("Idempotency-Key", "\"{case};a,\\\"b\\\"\"")
                    .into(),
            ],
        ),
        Case::new(
            "key-of-merchant",
            "The same key of another merchant is another key.",
            Shop,
            vec![
                create("pm_card_visa").into(),
                create("pm_card_visa").by(Rival).save("other", "/attempt_id").into(),
                get("/attempts/{other}").refused(404, "ATTEMPT_NOT_FOUND").into(),
                get("/attempts/{other}").by(Rival).is("/attempt_id", "{other}").into(),
            ],
        ),
        Case::new(
            "key-of-attempt",
            "The same key on another attempt is another key.",
            Shop,
            vec![
                create("pm_card_visa").into(),
                authorize().into(),
                post("/attempts")
                    .key("{case}-2")
                    .json(&order("pm_card_visa"))
                    .status(201)
                    .save("second", "/attempt_id")
                    .into(),
                post("/attempts/{second}/authorize")
                    .key("authorize")
                    .wait()
                    .is("/attempt_id", "{second}")
                    .is("/status", "AUTHORIZED")
                    .has_no("Idempotency-Replayed")
                    .into(),
            ],
        ),
        Case::new(
            "reuse-create",
            "A create key with another body is refused: every member counts.",
            Shop,
            [
                json!({"order_id": "ord_123", "amount": 2600, "currency": "GBP", "payment_method": "pm_card_visa"}),
                json!({"order_id": "ord_123", "amount": 2599, "currency": "EUR", "payment_method": "pm_card_visa"}),
                json!({"order_id": "ord_124", "amount": 2599, "currency": "GBP", "payment_method": "pm_card_visa"}),
                json!({"order_id": "ord_123", "amount": 2599, "currency": "GBP", "payment_method": "pm_card_amex"}),
                json!({"order_id": "ord_123", "amount": 2599, "currency": "GBP"}),
                json!({"order_id": "ord_123", "amount": 2599, "currency": "GBP", "payment_method": "pm_card_visa", "metadata": {"a": "1"}}),
            ]
            .iter()
            .map(|body| {
                create("")
                    .json(body)
                    .refused(409, "IDEMPOTENCY_KEY_REUSE")
            })
            .map(|mut ask| {
                // Nothing is created here.
                ask.saves.clear();
                ask.members.retain(|(pointer, _)| *pointer != "/status");
                ask.into()
            })
            .fold(vec![create("pm_card_visa").into()], |mut steps, step| {
                steps.push(step);
                steps
            }),
        ),
        Case::new(
            "reuse-operation",
            "A key that belongs to one operation is refused for another, with no effect.",
            Shop,
            vec![
                create("pm_card_visa").into(),
                authorize().into(),
                post("/attempts/{id}/capture").key("authorize").refused(409, "IDEMPOTENCY_KEY_REUSE").into(),
                post("/attempts/{id}/void").key("authorize").refused(409, "IDEMPOTENCY_KEY_REUSE").into(),
                post("/attempts/{id}/capture").key("{case}").refused(409, "IDEMPOTENCY_KEY_REUSE").into(),
                post("/charge")
                    .key("{case}")
                    .json(&order("pm_card_visa"))
                    .refused(409, "IDEMPOTENCY_KEY_REUSE")
                    .into(),
                ledger("{id}", HELD),
            ],
        ),
        Case::new(
            "reuse-capture",
            "A capture key with another amount is refused; the first capture stands.",
            Shop,
            vec![
                create("pm_card_visa").into(),
                authorize().into(),
                capture().json(&json!({"amount": 2599})).save_body("captured").into(),
                post("/attempts/{id}/capture")
                    .key("capture")
                    .json(&json!({"amount": 99}))
                    .refused(409, "IDEMPOTENCY_KEY_REUSE")
                    .into(),
                capture().json(&json!({"amount": 2599})).replays("captured").into(),
                ledger("{id}", TAKEN),
            ],
        ),
        Case::new(
            "wait-is-bounded",
            "More than 30 s are not waited, and it says so; what is not understood is ignored (RFC 7240).",
            Shop,
            vec![
                create("pm_card_visa").header("Prefer", "respond-async, wait=100").has("Preference-Applied", "wait=30").into(),
                create("pm_card_visa").header("Prefer", "wait=soon").status(200).has_no("Preference-Applied").into(),
            ],
        ),
    ];
    for merchant in [Shop, Market] {
        cases.push(Case::new(
            format!("{}-replay-all", merchant.psp()),
            "Every retry gets what its first try got, byte for byte, whatever happened since; no effect is made twice.",
            merchant,
            vec![
                create("pm_card_visa").save_body("created").into(),
                authorize().save_body("authorized").into(),
                capture().save_body("captured").into(),
                create("pm_card_visa").status(200).replays("created").into(),
                authorize().replays("authorized").into(),
                capture().replays("captured").into(),
                authorize().replays("authorized").into(),
                post("/attempts/{id}/capture").key("capture").replays("captured").into(),
                ledger("{id}", TAKEN),
                get("/attempts/{id}").is("/status", "CAPTURED").into(),
            ],
        ));
        cases.push(Case::new(
            format!("{}-replay-void", merchant.psp()),
            "A repeated void, and a repeated charge, are replays.",
            merchant,
            vec![
                create("pm_card_visa").into(),
                authorize().save_body("authorized").into(),
                void().save_body("voided").into(),
                void().replays("voided").into(),
                authorize().replays("authorized").into(),
                post("/charge")
                    .key("{case}-c")
                    .wait()
                    .json(&order("pm_card_visa"))
                    .save("charge", "/attempt_id")
                    .save_body("charged")
                    .into(),
                post("/charge")
                    .key("{case}-c")
                    .json(&order("pm_card_visa"))
                    .replays("charged")
                    .into(),
                ledger("{charge}", TAKEN),
            ],
        ));
    }
    cases
}
