//! Requests that are refused before any attempt is looked at, or because of its state. Each is precise, and changes
//! nothing.

use serde_json::json;

use super::{HELD, RELEASED, TAKEN, authorize, capture, create, order, void};
use crate::case::{Ask, Case, Step, get, ledger, post};
use crate::environment::Merchant::{Rival, Shop};

/// An attempt that nobody made.
const NOBODYS: &str = "pa_00000000000000000000000000";

pub(super) fn cases() -> Vec<Case> {
    vec![
        paths(),
        methods(),
        merchants(),
        searches(),
        Case::new(
            "other-merchants-attempt",
            "Another merchant's attempt is not there: for any call, 404 and not 403.",
            Shop,
            vec![
                create("pm_card_visa").into(),
                get("/attempts/{id}")
                    .by(Rival)
                    .refused(404, "ATTEMPT_NOT_FOUND")
                    .into(),
                foreign("authorize"),
                authorize().into(),
                foreign("capture"),
                foreign("void"),
                post("/attempts/{id}/resolve")
                    .by(Rival)
                    .key("other")
                    .json(&json!({"operator": "ada", "reason": "books", "operation": "authorize", "generation": 1, "outcome": "happened"}))
                    .refused(403, "FORBIDDEN")
                    .into(),
                ledger("{id}", HELD),
            ],
        ),
        keys(),
        large(),
        created_state(),
        Case::new(
            "state-authorized",
            "What is authorized is not authorized again under another key.",
            Shop,
            vec![
                create("pm_card_visa").into(),
                authorize().into(),
                state("authorize", "AUTHORIZED"),
                ledger("{id}", HELD),
            ],
        ),
        Case::new(
            "state-captured",
            "What is captured is final: nothing more is done under any other key.",
            Shop,
            vec![
                create("pm_card_visa").into(),
                authorize().into(),
                capture().into(),
                state("authorize", "CAPTURED"),
                state("capture", "CAPTURED"),
                state("void", "CAPTURED"),
                ledger("{id}", TAKEN),
            ],
        ),
        Case::new(
            "state-voided",
            "What is voided is final, and a new key is safe: no money moved.",
            Shop,
            vec![
                create("pm_card_visa").into(),
                authorize().into(),
                void().into(),
                state("capture", "VOIDED"),
                post("/attempts/{id}/void")
                    .key("other")
                    .refused(409, "INVALID_STATE")
                    .is("/error/safe_new_key", true)
                    .into(),
                state("authorize", "VOIDED"),
                ledger("{id}", RELEASED),
            ],
        ),
        Case::new(
            "problem-json",
            "With Accept: application/problem+json the same facts come as RFC 9457.",
            Shop,
            vec![
                post("/charge")
                    .key("{case}")
                    .header("Accept", "application/problem+json, */*;q=0.1")
                    .body("{")
                    .status(400)
                    .has("Content-Type", "application/problem+json")
                    .is("/code", "INVALID_JSON")
                    .is("/status", 400)
                    .into(),
                get("/attempts/nothing")
                    .header("Accept", "application/problem+json")
                    .status(404)
                    .has("Content-Type", "application/problem+json")
                    .is("/code", "ATTEMPT_NOT_FOUND")
                    .into(),
            ],
        ),
    ]
}

fn foreign(operation: &str) -> Step {
    post(&format!("/attempts/{{id}}/{operation}"))
        .by(Rival)
        .key("other")
        .refused(404, "ATTEMPT_NOT_FOUND")
        .into()
}

/// Refused because of the attempt's state, which the error shows.
fn state(operation: &str, status: &'static str) -> Step {
    post(&format!("/attempts/{{id}}/{operation}"))
        .key(&format!("other-{operation}"))
        .refused(409, "INVALID_STATE")
        .is("/error/attempt/attempt_id", "{id}")
        .is("/error/attempt/status", status)
        .into()
}

fn paths() -> Case {
    let mut steps: Vec<Step> = vec![
        get("/").refused(404, "NOT_FOUND").into(),
        get(&format!("/attempts/{NOBODYS}"))
            .refused(404, "ATTEMPT_NOT_FOUND")
            .into(),
        get("/attempts/pa_nonsense")
            .refused(404, "ATTEMPT_NOT_FOUND")
            .into(),
        post(&format!("/attempts/{NOBODYS}/resolve"))
            .key("new")
            .refused(400, "MISSING_FIELD")
            .is("/error/field", "reason")
            .into(),
    ];
    for path in [
        "/attempt",
        "/attempts/pa_x/refund",
        "/attempts//",
        "/CHARGE",
        "/webhooks",
        // These are known but for the slash at their end, and the answer says so.
        "/attempts/",
        "/charge/",
        "/attempts/pa_x/",
        "/attempts/pa_x/capture/",
        "/webhooks/{psp}/",
    ] {
        steps.push(post(path).key("new").refused(404, "NOT_FOUND").into());
    }
    for operation in ["authorize", "capture", "void"] {
        for id in [NOBODYS, ""] {
            let path = format!("/attempts/{id}/{operation}");
            steps.push(post(&path).key("new").refused(404, "ATTEMPT_NOT_FOUND").into());
        }
    }
    Case::new(
        "paths",
        "Unknown paths and attempts that nobody made are 404.",
        Shop,
        steps,
    )
}

fn methods() -> Case {
    let mut steps = Vec::new();
    for (method, path, allow) in [
        ("GET", "/charge", "POST"),
        ("PUT", "/charge", "POST"),
        ("PATCH", "/attempts", "POST, GET, HEAD"),
        ("DELETE", "/attempts/pa_x", "GET, HEAD"),
        ("POST", "/attempts/pa_x", "GET, HEAD"),
        ("GET", "/attempts/pa_x/capture", "POST"),
        ("GET", "/webhooks/stripe", "POST"),
    ] {
        let ask = Ask::new(method, path)
            .refused(405, "METHOD_NOT_ALLOWED")
            .has("Allow", allow);
        steps.push(ask.into());
    }
    Case::new(
        "methods",
        "A path that does not know the method says which it knows.",
        Shop,
        steps,
    )
}

fn searches() -> Case {
    let mut steps = Vec::new();
    for (query, code, field) in [
        ("", "MISSING_FIELD", "state"),
        ("?state=open", "INVALID_FIELD", "state"),
        ("?state=parked&limit=101", "INVALID_FIELD", "limit"),
        ("?state=parked&older_than_s=soon", "INVALID_FIELD", "older_than_s"),
        ("?state=parked&merchant=shop", "UNKNOWN_FIELD", "merchant"),
    ] {
        let ask = get(&format!("/attempts{query}"))
            .refused(400, code)
            .is("/error/field", field);
        steps.push(ask.into());
    }
    Case::new(
        "search-refusals",
        "A search that cannot be read is refused with the parameter at fault.",
        Shop,
        steps,
    )
}

fn merchants() -> Case {
    let mut steps: Vec<Step> = vec![
        get(&format!("/attempts/{NOBODYS}"))
            .anonymous()
            .refused(401, "UNAUTHORIZED")
            .has("WWW-Authenticate", "Bearer")
            .into(),
        post("/attempts/pa_x/authorize")
            .anonymous()
            .key("new")
            .refused(401, "UNAUTHORIZED")
            .into(),
    ];
    for line in [
        "Bearer suite-token-of-nobody",
        "Bearer",
        "Basic c3VpdGU6",
        "Bearer  ",
        "suite",
    ] {
        let ask = post("/charge")
            .authorization(line)
            .key("{case}")
            .json(&order("pm_card_visa"));
        steps.push(ask.refused(401, "UNAUTHORIZED").into());
    }
    // An operator reads, and moves no money.
    steps.push(
        post("/charge")
            .by_operator()
            .key("{case}")
            .json(&order("pm_card_visa"))
            .refused(403, "FORBIDDEN")
            .into(),
    );
    // Who is asking comes before what is asked, and so before its form.
    steps.push(
        post("/charge")
            .anonymous()
            .body("{")
            .refused(401, "UNAUTHORIZED")
            .into(),
    );
    Case::new(
        "merchants",
        "Who is no merchant is told so, and nothing else.",
        Shop,
        steps,
    )
}

fn keys() -> Case {
    let body = order("pm_card_visa");
    let mut steps: Vec<Step> = Vec::new();
    for path in [
        "/attempts",
        "/charge",
        "/attempts/pa_x/authorize",
        "/attempts/pa_x/capture",
        "/attempts/pa_x/void",
    ] {
        steps.push(
            post(path)
                .json(&body)
                .refused(400, "IDEMPOTENCY_KEY_REQUIRED")
                .into(),
        );
    }
    let long = "k".repeat(256);
    for key in [
        "a, b",
        "\"a\", \"b\"",
        "a b",
        "\"open",
        "\"\"",
        "k;a=1",
        "\"k\";a=1",
        &long,
    ] {
        let ask = post("/attempts").key(key).json(&body);
        steps.push(ask.refused(400, "IDEMPOTENCY_KEY_INVALID").into());
    }
    // Platforms join repeated lines, or read bytes that are no ASCII, each in its own way; no key comes of it anyhow.
    let twice = post("/attempts").key("a").key("a").json(&body);
    steps.push(twice.refused(400, "IDEMPOTENCY_KEY_INVALID").code_only().into());
    let latin = post("/attempts").header("Idempotency-Key", b"k\xe9").json(&body);
    steps.push(latin.refused(400, "IDEMPOTENCY_KEY_INVALID").code_only().into());
    Case::new(
        "keys-refused",
        "A POST needs one key: 1 to 255 visible ASCII characters.",
        Shop,
        steps,
    )
}

fn large() -> Case {
    let spaces = |bytes: usize| format!("{}{}", order("pm_card_visa"), " ".repeat(bytes));
    let length = order("pm_card_visa").to_string().len();
    Case::new(
        "large-bodies",
        "A body of 16 KiB is read; one byte more is refused.",
        Shop,
        vec![
            create("").body(&spaces(16 * 1024 - length)).into(),
            post("/attempts")
                .key("{case}-2")
                .body(&spaces(16 * 1024 - length + 1))
                .refused(413, "BODY_TOO_LARGE")
                .into(),
            post("/charge")
                .key("{case}-2")
                .body(&spaces(300 * 1024))
                .refused(413, "BODY_TOO_LARGE")
                .into(),
            post("/attempts/{id}/authorize")
                .key("authorize")
                .body(&" ".repeat(16 * 1024 + 1))
                .refused(413, "BODY_TOO_LARGE")
                .into(),
            get("/attempts/{id}").is("/status", "CREATED").into(),
            ledger("{id}", &[]),
        ],
    )
}

fn created_state() -> Case {
    Case::new(
        "state-created",
        "What is not authorized can be neither captured nor voided, and nothing can be resolved.",
        Shop,
        vec![
            create("pm_card_visa").into(),
            state("capture", "CREATED"),
            state("void", "CREATED"),
            post("/attempts/{id}/resolve")
                .key("resolve")
                .json(&json!({"operator": "ada", "reason": "books", "operation": "authorize", "generation": 1, "outcome": "happened"}))
                .refused(409, "INVALID_STATE")
                .into(),
            post("/attempts/{id}/authorize")
                .key("authorize")
                .json(&json!({"payment_method": "pm_card_amex"}))
                .refused(400, "INVALID_FIELD")
                .is("/error/field", "payment_method")
                .into(),
            // A refusal binds no key: mended, the same key is taken.
            authorize().into(),
            ledger("{id}", HELD),
        ],
    )
}
