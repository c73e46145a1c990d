//! Bodies that are refused: the field is named, and nothing is done.

use serde_json::{Value, json};

use super::{HELD, authorize, create};
use crate::case::{Case, Step, get, ledger, post};
use crate::environment::Merchant::Shop;

pub(super) fn cases() -> Vec<Case> {
    vec![
        terms("refused-create", "/attempts"),
        terms("refused-charge", "/charge"),
        Case::new(
            "refused-for-one",
            "What only create, or only charge, asks for.",
            Shop,
            vec![
                refused(
                    "/attempts",
                    "{\"amount\": 1, \"currency\": \"GBP\"}",
                    "MISSING_FIELD",
                    "order_id",
                ),
                refused(
                    "/attempts",
                    "{\"order_id\": \"o\", \"amount\": 1, \"currency\": \"GBP\", \"capture_method\": \"later\"}",
                    "INVALID_FIELD",
                    "capture_method",
                ),
                refused(
                    "/charge",
                    "{\"amount\": 1, \"currency\": \"GBP\"}",
                    "MISSING_FIELD",
                    "payment_method",
                ),
                refused(
                    "/charge",
                    "{\"amount\": 1, \"currency\": \"GBP\", \"payment_method\": \"p\", \"capture_method\": \"manual\"}",
                    "INVALID_FIELD",
                    "capture_method",
                ),
            ],
        ),
        operations(),
    ]
}

fn refused(path: &str, body: &str, code: &'static str, field: &str) -> Step {
    let field = if field.is_empty() {
        Value::Null
    } else {
        json!(field)
    };
    post(path)
        .key("{case}-new")
        .body(body)
        .refused(400, code)
        .is("/error/field", field)
        .is("/error/safe_new_key", false)
        .into()
}

fn terms(name: &str, path: &str) -> Case {
    let mut steps = Vec::new();
    let deep = format!("{{\"metadata\": {}1{}}}", "[".repeat(200), "]".repeat(200));
    for broken in [
        "",
        "{",
        "[]",
        "1",
        "\"x\"",
        "{} {}",
        "{\"amount\": 1, \"amount\": 2}",
        "\u{1}",
        "{\"a\": 1e400}",
        &deep,
    ] {
        let (code, field) = if broken.is_empty() {
            (
                "MISSING_FIELD",
                if path == "/charge" { "amount" } else { "order_id" },
            )
        } else {
            ("INVALID_JSON", "")
        };
        steps.push(refused(path, broken, code, field));
    }
    steps.push(refused(
        path,
        "{\"order_id\": \"o\", \"currency\": \"GBP\"}",
        "MISSING_FIELD",
        "amount",
    ));
    steps.push(refused(
        path,
        "{\"order_id\": \"o\", \"amount\": 1}",
        "MISSING_FIELD",
        "currency",
    ));
    for amount in [
        "0",
        "-1",
        "9007199254740992",
        "1e300",
        "1.5",
        "18446744073709551616",
    ] {
        let body = format!("{{\"order_id\": \"o\", \"amount\": {amount}, \"currency\": \"GBP\"}}");
        steps.push(refused(path, &body, "INVALID_AMOUNT", "amount"));
    }
    for currency in ["gbp", "GB", "ABC", "£", "GBPX"] {
        let body = format!("{{\"order_id\": \"o\", \"amount\": 1, \"currency\": \"{currency}\"}}");
        steps.push(refused(path, &body, "INVALID_CURRENCY", "currency"));
    }
    let long = "x".repeat(256);
    let many: Vec<String> = (0..17).map(|n| format!("\"m{n}\": \"\"")).collect();
    for (member, code, field) in [
        ("\"order_id\": 5", "INVALID_FIELD", "order_id"),
        (&format!("\"order_id\": \"{long}\""), "INVALID_FIELD", "order_id"),
        ("\"amount\": \"1\"", "INVALID_AMOUNT", "amount"),
        ("\"currency\": 826", "INVALID_FIELD", "currency"),
        ("\"currency\": \"\"", "INVALID_FIELD", "currency"),
        ("\"amuont\": 1", "UNKNOWN_FIELD", "amuont"),
        ("\"status\": \"CAPTURED\"", "UNKNOWN_FIELD", "status"),
        ("\"metadata\": []", "INVALID_FIELD", "metadata"),
        ("\"metadata\": {\"a\": 1}", "INVALID_FIELD", "metadata.a"),
        (
            &format!("\"metadata\": {{{}}}", many.join(", ")),
            "INVALID_FIELD",
            "metadata",
        ),
        ("\"payment_method\": 7", "INVALID_FIELD", "payment_method"),
        (
            "\"payment_method\": \"4242 4242 4242 4242\"",
            "CARD_NUMBER_REFUSED",
            "payment_method",
        ),
    ] {
        let name = member.split(':').next().unwrap_or_default();
        let known = [
            "\"order_id\": \"o\"",
            "\"amount\": 1",
            "\"currency\": \"GBP\"",
            "\"payment_method\": \"p\"",
        ];
        let mut members: Vec<&str> = known
            .into_iter()
            .filter(|known| !known.starts_with(name))
            .collect();
        members.push(member);
        steps.push(refused(path, &format!("{{{}}}", members.join(", ")), code, field));
    }
    Case::new(
        name,
        "Every body that is not what the call takes is refused, and the member at fault is named.",
        Shop,
        steps,
    )
}

fn operations() -> Case {
    let resolve = |body: Value| body.to_string();
    let word = |other: Value| {
        let mut word = json!({
            "operator": "ada", "reason": "books", "operation": "capture", "generation": 7, "outcome": "did_not_happen",
        });
        if let (Some(word), Value::Object(other)) = (word.as_object_mut(), other) {
            word.extend(other);
        }
        word
    };
    let mut steps: Vec<Step> = vec![
        create("pm_card_visa").into(),
        refused(
            "/attempts/{id}/authorize",
            "{\"amount\": 1}",
            "UNKNOWN_FIELD",
            "amount",
        ),
        refused("/attempts/{id}/authorize", "{", "INVALID_JSON", ""),
        refused(
            "/attempts/{id}/authorize",
            "{\"payment_method\": 1}",
            "INVALID_FIELD",
            "payment_method",
        ),
        authorize().into(),
    ];
    for (operation, body, code, field) in [
        (
            "capture",
            "{\"amount\": 2600}".to_owned(),
            "INVALID_AMOUNT",
            "amount",
        ),
        (
            "capture",
            "{\"amount\": 0}".to_owned(),
            "INVALID_AMOUNT",
            "amount",
        ),
        (
            "capture",
            "{\"currency\": \"EUR\"}".to_owned(),
            "UNKNOWN_FIELD",
            "currency",
        ),
        ("capture", "[]".to_owned(), "INVALID_JSON", ""),
        ("void", "{\"amount\": 1}".to_owned(), "UNKNOWN_FIELD", "amount"),
        (
            "resolve",
            "{\"operator\": \"ada\"}".to_owned(),
            "MISSING_FIELD",
            "reason",
        ),
        (
            "resolve",
            resolve(json!({"operator": "ada", "reason": "books", "outcome": "happened"})),
            "MISSING_FIELD",
            "operation",
        ),
        (
            "resolve",
            resolve(word(json!({"operation": "refuse"}))),
            "INVALID_FIELD",
            "operation",
        ),
        (
            "resolve",
            resolve(word(json!({"generation": "7"}))),
            "INVALID_FIELD",
            "generation",
        ),
        (
            "resolve",
            resolve(word(json!({"outcome": "maybe"}))),
            "INVALID_FIELD",
            "outcome",
        ),
        (
            "resolve",
            resolve(word(json!({"psp_reference": "pi_1"}))),
            "INVALID_FIELD",
            "psp_reference",
        ),
    ] {
        steps.push(refused(
            &format!("/attempts/{{id}}/{operation}"),
            &body,
            code,
            field,
        ));
    }
    steps.push(get("/attempts/{id}").is("/status", "AUTHORIZED").into());
    steps.push(ledger("{id}", HELD));
    Case::new(
        "refused-operations",
        "Operations take only their own members.",
        Shop,
        steps,
    )
}
