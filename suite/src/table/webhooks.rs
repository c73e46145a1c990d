//! Webhooks: evidence that comes by itself. Signed over the raw bytes; duplicates and any order are welcome.

use serde_json::{Value, json};

use super::{HELD, TAKEN, authorize, capture, create};
use crate::case::{Case, Sign, Step, get, ledger, post, webhook};
use crate::environment::Merchant::{Kiosk, Market, Shop};
use crate::environment::Weather;

/// What Stripe would send of `{id}`.
fn intent(status: &str) -> Value {
    json!({
        "id": "evt_1", "object": "event", "type": "payment_intent.amount_capturable_updated",
        "data": {"object": {
            "id": "pi_suite", "object": "payment_intent", "amount": 2599, "amount_capturable": 2599,
            "amount_received": 0, "currency": "gbp", "status": status, "metadata": {"attempt_id": "{id}"},
        }},
    })
}

/// What the acquirer would send of `{id}`.
fn approved(reference: &str) -> Value {
    json!({
        "type": "authorize", "reference": "{id}", "status": "approved",
        "psp_reference": reference, "amount": 2599, "currency": "GBP",
    })
}

const FORGED: [(Sign, &str); 9] = [
    (Sign::WithSecret("whsec_guess"), "WEBHOOK_SIGNATURE_INVALID"),
    (Sign::WithSecret(""), "WEBHOOK_SIGNATURE_INVALID"),
    (Sign::ThenTampered, "WEBHOOK_SIGNATURE_INVALID"),
    (Sign::As("t=1"), "WEBHOOK_SIGNATURE_INVALID"),
    (Sign::As("v1=00"), "WEBHOOK_SIGNATURE_INVALID"),
    (Sign::As("t=1,v1="), "WEBHOOK_SIGNATURE_INVALID"),
    (Sign::As("t=x,v1=00"), "WEBHOOK_SIGNATURE_INVALID"),
    (Sign::Aged(400), "WEBHOOK_SIGNATURE_INVALID"),
    (Sign::Aged(-400), "WEBHOOK_SIGNATURE_INVALID"),
];

pub(super) fn cases() -> Vec<Case> {
    let other_type = json!({
        "id": "evt_1", "object": "event", "type": "customer.created", "data": {"object": {}},
    });
    let not_ours = json!({
        "type": "authorize", "reference": "not ours", "status": "approved",
        "psp_reference": "x", "amount": 1, "currency": "GBP",
    });
    // How much was taken must be said.
    let unreadable =
        json!({"type": "capture", "reference": "{id}", "status": "approved", "psp_reference": "x"});
    let mut cases = vec![
        refused("stripe", &intent("requires_capture")),
        refused("acquirer", &approved("auth_suite")),
    ];
    cases.extend([
        Case::new(
            "webhook-unsigned",
            "A webhook without a signature is refused; one for a PSP that is not configured is 404.",
            Shop,
            vec![
                post("/webhooks/stripe")
                    .anonymous()
                    .json(&intent("succeeded"))
                    .refused(400, "WEBHOOK_SIGNATURE_INVALID")
                    .into(),
                post("/webhooks/acquirer")
                    .anonymous()
                    .json(&approved("x"))
                    .refused(400, "WEBHOOK_SIGNATURE_INVALID")
                    .into(),
                post("/webhooks/nobody")
                    .anonymous()
                    .json(&json!({}))
                    .refused(404, "UNKNOWN_PSP")
                    .into(),
            ],
        ),
        Case::new(
            "webhook-unreadable",
            "What is signed but cannot be read is refused; what is no concern of ours is taken.",
            Market,
            vec![
                create("pm_card_visa").into(),
                webhook("/webhooks/stripe", Sign::Well, &json!([])).into(),
                webhook("/webhooks/acquirer", Sign::Well, &json!({"type": "authorize"})).into(),
                webhook("/webhooks/acquirer", Sign::Well, &unreadable)
                    .refused(400, "WEBHOOK_INVALID")
                    .into(),
                webhook("/webhooks/stripe", Sign::Well, &other_type).into(),
                webhook("/webhooks/acquirer", Sign::Well, &not_ours).into(),
            ],
        ),
        Case::new(
            "webhook-ends-parked",
            "A webhook ends what is parked: evidence like any other, once and again.",
            Kiosk,
            vec![
                create("pm_sandbox_500_after").into(),
                post("/attempts/{id}/authorize")
                    .key("authorize")
                    .wait_in_vain()
                    .status(202)
                    .is("/operation/state", "parked")
                    .into(),
                Step::Books {
                    attempt: "{id}".to_owned(),
                    operation: "authorize",
                    save: "booked",
                },
                // Another PSP's word about it is no evidence.
                webhook("/webhooks/acquirer", Sign::Well, &approved("{booked}")).into(),
                get("/attempts/{id}").is("/operation/state", "parked").into(),
                webhook("/webhooks/blind", Sign::Well, &approved("{booked}"))
                    .is("/received", true)
                    .into(),
                get("/attempts/{id}")
                    .until("/status", "AUTHORIZED")
                    .save_body("after")
                    .into(),
                // A duplicate changes nothing.
                webhook("/webhooks/blind", Sign::Well, &approved("{booked}")).into(),
                webhook("/webhooks/blind", Sign::Aged(200), &approved("{booked}")).into(),
                get("/attempts/{id}").same_as("after").into(),
                post("/attempts/{id}/authorize")
                    .key("authorize")
                    .is("/status", "AUTHORIZED")
                    .into(),
                ledger("{id}", HELD),
            ],
        ),
    ]);
    for merchant in [Shop, Market] {
        for (what, token, about) in [
            (
                "plain",
                "pm_card_visa",
                "The PSP's webhook comes after its answer: nothing changes.",
            ),
            (
                "first",
                "pm_sandbox_webhook_first",
                "The webhook comes before the answer: one authorization.",
            ),
            (
                "thrice",
                "pm_sandbox_webhook_duplicate",
                "The webhook comes three times: one authorization.",
            ),
            (
                "only",
                "pm_sandbox_webhook_only",
                "The answer is lost and the webhook comes: that suffices.",
            ),
        ] {
            cases.push(
                Case::new(
                    format!("{}-webhook-{what}", merchant.psp()),
                    about,
                    merchant,
                    vec![
                        create(token).into(),
                        authorize().into(),
                        capture().into(),
                        get("/attempts/{id}")
                            .is("/status", "CAPTURED")
                            .without_timeline()
                            .into(),
                        ledger("{id}", TAKEN),
                    ],
                )
                .in_weather(Weather::Webhooks),
            );
        }
    }
    cases
}

fn refused(psp: &'static str, body: &Value) -> Case {
    let path = format!("/webhooks/{psp}");
    let mut steps: Vec<Step> = vec![create("pm_card_visa").into()];
    for (sign, code) in FORGED {
        steps.push(webhook(&path, sign, body).refused(400, code).into());
    }
    steps.push(get("/attempts/{id}").is("/status", "CREATED").into());
    steps.push(ledger("{id}", &[]));
    let merchant = if psp == "stripe" { Shop } else { Market };
    Case::new(
        format!("{psp}-webhook-forged"),
        "A forged, tampered or stale webhook is refused, and changes nothing.",
        merchant,
        steps,
    )
}
