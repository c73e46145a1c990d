//! Every refusal of a body, over the wire: the field is named, and nothing changed (DESIGN §2, “Errors”).

use serde_json::json;

use crate::refusals::{Refusals, server};

#[test]
fn bodies_of_create_and_charge() {
    let (server, ..) = server();
    let refusals = Refusals::of(&server);
    for target in ["/attempts", "/charge"] {
        for broken in [
            "{",
            "[]",
            "1",
            "\"x\"",
            "{} {}",
            "{\"amount\": 1, \"amount\": 2}",
            "\u{1}",
            "{\"a\": 1e400}",
        ] {
            refusals.body(target, broken, "INVALID_JSON", "");
        }
        refusals.body(
            target,
            "{\"order_id\": \"o\", \"currency\": \"GBP\"}",
            "MISSING_FIELD",
            "amount",
        );
        refusals.body(
            target,
            "{\"order_id\": \"o\", \"amount\": 1}",
            "MISSING_FIELD",
            "currency",
        );
        for amount in [
            "0",
            "-1",
            "9007199254740992",
            "1e300",
            "1.5",
            "18446744073709551616",
        ] {
            let body = format!("{{\"order_id\": \"o\", \"amount\": {amount}, \"currency\": \"GBP\"}}");
            refusals.body(target, &body, "INVALID_AMOUNT", "amount");
        }
        for (member, code, field) in [
            ("\"amuont\": 1", "UNKNOWN_FIELD", "amuont"),
            ("\"status\": \"CAPTURED\"", "UNKNOWN_FIELD", "status"),
            ("\"metadata\": []", "INVALID_FIELD", "metadata"),
            ("\"metadata\": {\"a\": 1}", "INVALID_FIELD", "metadata.a"),
            ("\"payment_method\": 7", "INVALID_FIELD", "payment_method"),
            (
                "\"payment_method\": \"4242 4242 4242 4242\"",
                "CARD_NUMBER_REFUSED",
                "payment_method",
            ),
            ("\"capture_method\": \"later\"", "INVALID_FIELD", "capture_method"),
        ] {
            let body = format!("{{\"order_id\": \"o\", \"amount\": 1, \"currency\": \"GBP\", {member}}}");
            refusals.body(target, &body, code, field);
        }
        for currency in ["gbp", "GB", "ABC", "", "£", "GBPX"] {
            let body = format!("{{\"order_id\": \"o\", \"amount\": 1, \"currency\": \"{currency}\"}}");
            let answer = refusals.expect(
                "POST",
                target,
                &[("Idempotency-Key", "new")],
                body.as_bytes(),
                if currency.is_empty() {
                    "INVALID_FIELD"
                } else {
                    "INVALID_CURRENCY"
                },
            );
            assert_eq!(answer.json()["error"]["field"], "currency");
        }
    }
    refusals.body(
        "/attempts",
        "{\"amount\": 1, \"currency\": \"GBP\"}",
        "MISSING_FIELD",
        "order_id",
    );
    refusals.body(
        "/attempts",
        "{\"order_id\": 5, \"amount\": 1, \"currency\": \"GBP\"}",
        "INVALID_FIELD",
        "order_id",
    );
}

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
    let resolve = json!({"operator": "ada", "reason": "books", "outcome": "happened"});
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
