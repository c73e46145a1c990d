//! A PSP that offers nothing to find out an unknown with: it is parked, visibly, and a named operator ends it.

use serde_json::json;

use super::{HELD, RELEASED, TAKEN, authorize, capture, create};
use crate::case::{Ask, Case, Step, get, ledger, post};
use crate::environment::Merchant::Kiosk;

/// An operation that gets parked: 202, without waiting for what only people can end.
fn parks(operation: &str) -> Ask {
    post(&format!("/attempts/{{id}}/{operation}"))
        .key(operation)
        .wait()
        .status(202)
        .is("/operation/state", "parked")
}

fn resolve(key: &str, body: &serde_json::Value) -> Ask {
    post("/attempts/{id}/resolve").key(key).wait().json(body)
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
                post("/attempts/{id}/capture").key("capture").refused(409, "INVALID_STATE").into(),
                resolve("resolve-1", &happened).refused(400, "MISSING_FIELD").is("/error/field", "psp_reference").has("Preference-Applied", "wait=30").into(),
                books("authorize"),
                resolve(
                    "resolve-2",
                    &json!({"operator": "ada", "reason": "seen in the PSP's books", "outcome": "happened", "psp_reference": "{booked}"}),
                )
                .is("/status", "AUTHORIZED")
                .is("/authorization/psp_reference", "{booked}")
                .into(),
                post("/attempts/{id}/authorize").key("authorize").is("/status", "AUTHORIZED").into(),
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
                resolve("resolve", &not_happened).is("/status", "DECLINED").save_body("resolved").into(),
                resolve("resolve", &not_happened).replays("resolved").into(),
                post("/attempts/{id}/authorize").key("authorize").status(402).is("/error/code", "DECLINED").into(),
                resolve("again", &not_happened).refused(409, "INVALID_STATE").into(),
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
            "blind-void-did-not-happen",
            "A void that did not happen is done again: what is still held must be released.",
            Kiosk,
            vec![
                create("pm_sandbox_void_hang_after").into(),
                authorize().into(),
                parks("void").is("/status", "VOIDING").into(),
                resolve("resolve", &happened).is("/status", "VOIDED").into(),
                ledger("{id}", RELEASED),
            ],
        ),
        // Every try of the void is answered 500, so each is parked again; each resolution takes a key.
        too_many_keys(&not_happened),
    ]
}

fn too_many_keys(_not_happened: &serde_json::Value) -> Case {
    Case::new(
        "blind-parked-void",
        "While it is parked, nothing else is begun, and asking again is told so.",
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
    )
}
