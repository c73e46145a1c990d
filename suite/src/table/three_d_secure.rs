//! 3-D Secure: the customer approves, fails, never comes, or the merchant gives up. Without webhooks, so that what
//! became of it is found out.

use serde_json::{Value, json};

use super::{HELD, capture, create_as, void};
use crate::case::{Ask, Case, Step, get, ledger, post};
use crate::environment::Merchant::{Market, Shop};
use crate::environment::Weather;

const CARD: &str = "pm_card_authenticationRequired";

const BACK: &str = "https://shop.example/back?order=ord_123";

/// An order whose customer has somewhere to come back to.
fn order() -> Value {
    let mut order = super::order(CARD);
    if let Value::Object(members) = &mut order {
        members.insert("return_url".to_owned(), json!(BACK));
    }
    order
}

fn create() -> Ask {
    create_as(&order())
}

/// Begins, and has the customer's page as `{page}`.
fn begin() -> Ask {
    post("/attempts/{id}/authorize")
        .key("authorize")
        .wait_in_vain()
        .status(202)
        .is("/status", "REQUIRES_ACTION")
        .is("/charge_state", "requires_action")
        .is("/next_action/type", "redirect_to_url")
        .has("Retry-After", "1")
        .save("page", "/next_action/url")
}

fn customer(approves: bool) -> Step {
    Step::Customer {
        url: "{page}".to_owned(),
        approves,
        back: BACK,
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for merchant in [Shop, Market] {
        let name = |what: &str| format!("{}-3ds-{what}", merchant.psp());
        cases.extend([
            Case::new(
                name("approved"),
                "The customer approves: found out without a webhook, and the first key gets the news.",
                merchant,
                vec![
                    create().into(),
                    begin().into(),
                    ledger("{id}", &[]),
                    customer(true),
                    get("/attempts/{id}")
                        .until("/status", "AUTHORIZED")
                        .without_timeline()
                        .into(),
                    post("/attempts/{id}/authorize")
                        .key("authorize")
                        .is("/status", "AUTHORIZED")
                        .is("/next_action", Value::Null)
                        .save_body("authorized")
                        .into(),
                    post("/attempts/{id}/authorize")
                        .key("authorize")
                        .replays("authorized")
                        .into(),
                    ledger("{id}", HELD),
                    capture().into(),
                ],
            ),
            Case::new(
                name("voided"),
                "The merchant gives up: voided, and nothing was reserved.",
                merchant,
                vec![
                    create().into(),
                    begin().into(),
                    post("/attempts/{id}/capture")
                        .key("capture")
                        .refused(409, "INVALID_STATE")
                        .is("/error/retryable", true)
                        .into(),
                    void().into(),
                    get("/attempts/{id}")
                        .is("/status", "VOIDED")
                        .without_timeline()
                        .into(),
                    post("/attempts/{id}/authorize")
                        .key("authorize")
                        .status(409)
                        .is("/error/code", "INVALID_STATE")
                        .is("/error/safe_new_key", true)
                        .into(),
                    ledger("{id}", &[]),
                ],
            ),
            Case::new(
                name("abandoned"),
                "Nobody comes within the configured 6 s: the attempt ends by itself.",
                merchant,
                vec![
                    create().into(),
                    begin().into(),
                    get("/attempts/{id}")
                        .until("/operation", Value::Null)
                        .is("/status", "EXPIRED")
                        .without_timeline()
                        .into(),
                    ledger("{id}", &[]),
                ],
            ),
            Case::new(
                name("charge"),
                "A charge that needs the customer is captured once the customer approved.",
                merchant,
                vec![
                    post("/charge")
                        .key("{case}")
                        .wait_in_vain()
                        .json(&order())
                        .status(202)
                        .is("/status", "REQUIRES_ACTION")
                        .save("page", "/next_action/url")
                        .save("id", "/attempt_id")
                        .into(),
                    customer(true),
                    get("/attempts/{id}")
                        .until("/status", "CAPTURED")
                        .without_timeline()
                        .into(),
                    post("/charge")
                        .key("{case}")
                        .json(&order())
                        .is("/status", "CAPTURED")
                        .into(),
                    ledger("{id}", super::TAKEN),
                ],
            ),
        ]);
    }
    // How the acquirer's customer failed shows in its webhook alone: a look-up lists effects.
    for (merchant, weather, counts) in [
        (Shop, Weather::Calm, [].as_slice()),
        (Market, Weather::Webhooks, [("declines", 1)].as_slice()),
    ] {
        cases.push(
            Case::new(
                format!("{}-3ds-failed", merchant.psp()),
                "The customer fails: declined, for the key that began it as well.",
                merchant,
                vec![
                    create().into(),
                    begin().into(),
                    customer(false),
                    get("/attempts/{id}")
                        .until("/status", "DECLINED")
                        .without_timeline()
                        .into(),
                    post("/attempts/{id}/authorize")
                        .key("authorize")
                        .status(402)
                        .is("/error/code", "DECLINED")
                        .into(),
                    ledger("{id}", counts),
                ],
            )
            .in_weather(weather),
        );
    }
    cases.push(
        Case::new(
            "stripe-3ds-webhook",
            "With webhooks the news come by themselves.",
            Shop,
            vec![
                create().into(),
                begin().into(),
                customer(true),
                get("/attempts/{id}")
                    .until("/status", "AUTHORIZED")
                    .without_timeline()
                    .into(),
                ledger("{id}", HELD),
            ],
        )
        .in_weather(Weather::Webhooks),
    );
    cases
}
