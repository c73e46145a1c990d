//! Idempotency keys: replays are the same bytes, reuse is refused, and a key is one name however it is written.

use serde_json::{Value, json};

use super::{HELD, TAKEN, authorize, capture, create, order, void};
use crate::case::{Case, Step, get, ledger, post};
use crate::environment::Merchant::{Market, Rival, Shop};

/// The body of `order("pm_card_visa")`, written otherwise.
const SAME_MEANING: &str = r#" {"payment_method":"pm_card_visa",
    "currency":"GBP", "amount":2599,"order_id":"ord_\u0031\u00323"} "#;

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
                    .body(SAME_MEANING)
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
                create("pm_card_visa")
                    .by(Rival)
                    .save("other", "/attempt_id")
                    .into(),
                get("/attempts/{other}").refused(404, "ATTEMPT_NOT_FOUND").into(),
                get("/attempts/{other}")
                    .by(Rival)
                    .is("/attempt_id", "{other}")
                    .into(),
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
        reuse_create(),
        Case::new(
            "reuse-operation",
            "A key that belongs to one operation is refused for another, with no effect.",
            Shop,
            vec![
                create("pm_card_visa").into(),
                authorize().into(),
                post("/attempts/{id}/capture")
                    .key("authorize")
                    .refused(409, "IDEMPOTENCY_KEY_REUSE")
                    .into(),
                post("/attempts/{id}/void")
                    .key("authorize")
                    .refused(409, "IDEMPOTENCY_KEY_REUSE")
                    .into(),
                post("/attempts/{id}/capture")
                    .key("{case}")
                    .refused(409, "IDEMPOTENCY_KEY_REUSE")
                    .into(),
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
                capture()
                    .json(&json!({"amount": 2599}))
                    .save_body("captured")
                    .into(),
                post("/attempts/{id}/capture")
                    .key("capture")
                    .json(&json!({"amount": 99}))
                    .refused(409, "IDEMPOTENCY_KEY_REUSE")
                    .into(),
                capture()
                    .json(&json!({"amount": 2599}))
                    .replays("captured")
                    .into(),
                ledger("{id}", TAKEN),
            ],
        ),
        Case::new(
            "wait-is-bounded",
            "More than 30 s are not waited, and it says so; what is not understood is ignored (RFC 7240).",
            Shop,
            vec![
                create("pm_card_visa")
                    .header("Prefer", "respond-async, wait=100")
                    .has("Preference-Applied", "wait=30")
                    .into(),
                create("pm_card_visa")
                    .header("Prefer", "wait=soon")
                    .status(200)
                    .has_no("Preference-Applied")
                    .into(),
            ],
        ),
    ];
    for merchant in [Shop, Market] {
        cases.push(Case::new(
            format!("{}-replay-all", merchant.psp()),
            "Every retry gets what its first try got, byte for byte, whatever happened since.",
            merchant,
            vec![
                create("pm_card_visa").save_body("created").into(),
                authorize().save_body("authorized").into(),
                capture().save_body("captured").into(),
                create("pm_card_visa").status(200).replays("created").into(),
                authorize().replays("authorized").into(),
                capture().replays("captured").into(),
                authorize().replays("authorized").into(),
                post("/attempts/{id}/capture")
                    .key("capture")
                    .replays("captured")
                    .into(),
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

fn reuse_create() -> Case {
    let mut steps: Vec<Step> = vec![create("pm_card_visa").save_body("created").into()];
    for (member, other) in [
        ("amount", json!(2600)),
        ("currency", json!("EUR")),
        ("order_id", json!("ord_124")),
        ("payment_method", json!("pm_card_amex")),
        ("capture_method", json!("automatic")),
        ("metadata", json!({"a": "1"})),
    ] {
        let mut body = order("pm_card_visa");
        if let Value::Object(members) = &mut body {
            members.insert(member.to_owned(), other);
        }
        let ask = post("/attempts").key("{case}").json(&body);
        steps.push(ask.refused(409, "IDEMPOTENCY_KEY_REUSE").into());
    }
    steps.push(create("pm_card_visa").status(200).replays("created").into());
    Case::new(
        "reuse-create",
        "A create key with another body is refused: every member counts.",
        Shop,
        steps,
    )
}
