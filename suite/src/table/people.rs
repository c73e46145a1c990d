//! A PSP that offers nothing to find out an unknown with: it is parked, visibly, and a named operator ends it.

use serde_json::{Value, json};

use super::{HELD, RELEASED, TAKEN, authorize, capture, create};
use crate::case::{Ask, Case, Sign, Step, get, ledger, post, webhook};
use crate::environment::Merchant::Kiosk;
use crate::environment::Weather;

/// An operation that gets parked: 202, without waiting for what only people can end.
fn parks(operation: &str) -> Ask {
    post(&format!("/attempts/{{id}}/{operation}"))
        .key(operation)
        .wait_in_vain()
        .status(202)
        .is("/operation/state", "parked")
        .save("parked", "/operation/name")
        .save("generation", "/operation/generation")
}

/// About what the last answer showed as parked.
fn resolve(key: &str, body: &Value) -> Ask {
    let mut members = body.as_object().cloned().unwrap_or_default();
    members.insert("operation".to_owned(), "{parked}".into());
    members.insert("generation".to_owned(), "{generation}".into());
    let body = Value::Object(members);
    // The generation is a number.
    let body = body.to_string().replace("\"{generation}\"", "{generation}");
    post("/attempts/{id}/resolve").key(key).wait().body(&body)
}

fn books(operation: &'static str) -> Step {
    Step::Books {
        attempt: "{id}".to_owned(),
        operation,
        save: "booked",
    }
}

pub(super) fn cases() -> Vec<Case> {
    let happened = json!({"operator": "ada", "reason": "seen in the PSP's books", "outcome": "happened"});
    let named = json!({
        "operator": "ada", "reason": "seen in the PSP's books", "outcome": "happened",
        "psp_reference": "{booked}",
    });
    let not_happened =
        json!({"operator": "ada", "reason": "not in the PSP's books", "outcome": "did_not_happen"});
    vec![
        Case::new(
            "blind-authorize-happened",
            "An authorization of unknown outcome is parked; the operator names what the books show.",
            Kiosk,
            vec![
                create("pm_sandbox_500_after").into(),
                parks("authorize").is("/status", "AUTHORIZING").into(),
                post("/attempts/{id}/capture")
                    .key("capture")
                    .refused(409, "INVALID_STATE")
                    .into(),
                resolve("resolve-1", &happened)
                    .refused(400, "MISSING_FIELD")
                    .is("/error/field", "psp_reference")
                    .has("Preference-Applied", "wait=30")
                    .into(),
                books("authorize"),
                resolve("resolve-2", &named)
                    .is("/status", "AUTHORIZED")
                    .is("/authorization/psp_reference", "{booked}")
                    .into(),
                post("/attempts/{id}/authorize")
                    .key("authorize")
                    .is("/status", "AUTHORIZED")
                    .into(),
                ledger("{id}", HELD),
                capture().into(),
                ledger("{id}", TAKEN),
                get("/attempts/{id}").is("/status", "CAPTURED").into(),
            ],
        ),
        Case::new(
            "blind-authorize-did-not-happen",
            "What did not happen, by the books, is declined.",
            Kiosk,
            vec![
                create("pm_sandbox_500_before").into(),
                parks("authorize").into(),
                resolve("resolve", &not_happened)
                    .is("/status", "DECLINED")
                    .save_body("resolved")
                    .into(),
                resolve("resolve", &not_happened).replays("resolved").into(),
                post("/attempts/{id}/authorize")
                    .key("authorize")
                    .status(402)
                    .is("/error/code", "DECLINED")
                    .into(),
                resolve("again", &not_happened)
                    .refused(409, "INVALID_STATE")
                    .into(),
                ledger("{id}", &[]),
                get("/attempts/{id}").is("/status", "DECLINED").into(),
            ],
        ),
        Case::new(
            "blind-capture-happened",
            "A capture of unknown outcome is parked, and never sent again.",
            Kiosk,
            vec![
                create("pm_sandbox_capture_500_after").into(),
                authorize().into(),
                parks("capture").is("/status", "CAPTURING").into(),
                resolve("resolve", &happened).is("/status", "CAPTURED").into(),
                capture().has("Idempotency-Replayed", "true").into(),
                ledger("{id}", TAKEN),
            ],
        ),
        Case::new(
            "blind-void-happened",
            "A void of unknown outcome is parked; the operator says that it happened.",
            Kiosk,
            vec![
                create("pm_sandbox_void_hang_after").into(),
                authorize().into(),
                parks("void").is("/status", "VOIDING").into(),
                resolve("resolve", &happened).is("/status", "VOIDED").into(),
                ledger("{id}", RELEASED),
            ],
        ),
        Case::new(
            "blind-parked",
            "While it is parked nothing else is begun, and asking again is told so.",
            Kiosk,
            vec![
                create("pm_sandbox_void_hang_after").into(),
                authorize().into(),
                parks("void").into(),
                parks("void").into(),
                post("/attempts/{id}/capture")
                    .key("capture")
                    .refused(409, "INVALID_STATE")
                    .is("/error/attempt/operation/state", "parked")
                    .into(),
                get("/attempts/{id}").is("/operation/name", "void").into(),
                ledger("{id}", RELEASED),
            ],
        ),
        too_many_keys(&not_happened),
        record_full(),
    ]
}

/// Every try of the void is answered 500, so it is parked again and again; each resolution takes a key.
fn too_many_keys(not_happened: &Value) -> Case {
    let parked = || get("/attempts/{id}").until("/operation/state", "parked");
    let mut rounds = Vec::new();
    for round in 4..=32 {
        rounds.push(resolve(&format!("key-{round}"), not_happened).into());
        // The last key is sent once more: its body names the generation that it named before.
        rounds.push(match round {
            32 => parked().into(),
            _ => parked().save("generation", "/operation/generation").into(),
        });
    }
    Case::new(
        "too-many-keys",
        "An attempt takes 32 keys; what was asked under one of them is answered still.",
        Kiosk,
        vec![
            create("pm_card_visa").into(),
            authorize().into(),
            Step::Dials(json!({"error_before_permille": 1000})),
            parks("void").into(),
            Step::Unseen {
                about: "29 times: by an operator's word the void did not happen; it is tried and parked again",
                steps: rounds,
            },
            resolve("key-33", not_happened)
                .refused(409, "TOO_MANY_KEYS")
                .is("/error/attempt/status", "VOIDING")
                .code_only()
                .into(),
            resolve("key-32", not_happened)
                .has("Idempotency-Replayed", "true")
                .code_only()
                .into(),
            ledger("{id}", HELD),
        ],
    )
    .in_weather(Weather::Alone)
}

/// A PSP that keeps naming the authorization otherwise: evidence always finds room, another request does not.
fn record_full() -> Case {
    let news = |nth: usize| {
        let reference = format!("{nth}{}", "x".repeat(500));
        let body = json!({
            "type": "authorize", "reference": "{id}", "status": "approved",
            "psp_reference": reference, "amount": 2599, "currency": "GBP",
        });
        webhook("/webhooks/blind", Sign::Well, &body).into()
    };
    Case::new(
        "record-full",
        "When a record has no room for another request, it says so; evidence still finds room.",
        Kiosk,
        vec![
            create("pm_card_visa").into(),
            authorize().into(),
            Step::Unseen {
                about: "80 signed webhooks, each with another name for the authorization",
                steps: (0..80).map(news).collect(),
            },
            post("/attempts/{id}/capture")
                .key("capture")
                .refused(507, "RECORD_FULL")
                .code_only()
                .into(),
            news(80),
        ],
    )
}
