//! Refusals of operations' bodies, over the wire: the field is named, and nothing changed (`docs/http.md`, “Errors”). Bodies of
//! create and charge are the suite's (`suite.rs`).

use serde_json::json;

use crate::refusals::{Refusals, server};

#[test]
fn bodies_and_states_of_operations() {
    let (server, created, authorized) = server();
    let refusals = Refusals::of(&server);
    let of = |id: &str, operation: &str| format!("/attempts/{id}/{operation}");
    refusals.body(&of(&created, "capture"), "", "INVALID_STATE", "");
    refusals.body(&of(&created, "void"), "", "INVALID_STATE", "");
    refusals.body(&of(&authorized, "authorize"), "", "INVALID_STATE", "");
    refusals.body(
        &of(&authorized, "capture"),
        "{\"amount\": 2600}",
        "INVALID_AMOUNT",
        "amount",
    );
    refusals.body(
        &of(&authorized, "capture"),
        "{\"amount\": 0}",
        "INVALID_AMOUNT",
        "amount",
    );
    refusals.body(
        &of(&authorized, "capture"),
        "{\"currency\": \"GBP\"}",
        "UNKNOWN_FIELD",
        "currency",
    );
    refusals.body(
        &of(&authorized, "void"),
        "{\"amount\": 1}",
        "UNKNOWN_FIELD",
        "amount",
    );
    refusals.body(
        &of(&created, "authorize"),
        "{\"payment_method\": \"pm_card_mastercard\"}",
        "INVALID_FIELD",
        "payment_method",
    );
    let resolve = json!({
        "operator": "ada", "reason": "books", "operation": "authorize", "generation": 1, "outcome": "happened",
    });
    refusals.body(
        &of(&authorized, "resolve"),
        &resolve.to_string(),
        "INVALID_STATE",
        "",
    );
    refusals.body(
        &of(&authorized, "resolve"),
        "{\"operator\": \"ada\"}",
        "MISSING_FIELD",
        "reason",
    );
}

#[test]
fn bodies_that_are_too_large() {
    let (server, id, _) = server();
    let refusals = Refusals::of(&server);
    for bytes in [16 * 1024 + 1, 1024 * 1024 + 1, 3 * 1024 * 1024] {
        for target in [
            "/attempts".to_owned(),
            "/charge".to_owned(),
            format!("/attempts/{id}/authorize"),
        ] {
            let body = vec![b' '; bytes];
            let answer = refusals.expect(
                "POST",
                &target,
                &[("Idempotency-Key", "new")],
                &body,
                "BODY_TOO_LARGE",
            );
            assert_eq!(answer.status, 413);
        }
    }
}
