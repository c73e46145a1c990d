//! `docs/http.md`, “Errors”: every impossible body gets a precise 4xx that names the field, and changes nothing.

use pay_once_core::limits::AMOUNT_MINOR_MAX;
use serde_json::{Value, json};

use crate::support::{CREATE, Kind, World, code, json as body, text};

fn refused(target: &str, sent: &str) -> (u16, String, Value) {
    let mut world = World::new(Kind::Stripe);
    let answer = world.post(target, "k1", sent);
    assert!(
        world.store.is_empty() && world.calls.is_empty(),
        "nothing changed: {sent}"
    );
    let error = body(&answer)["error"].clone();
    assert!(!error["message"].as_str().unwrap().is_empty());
    (answer.status, code(&answer), error["field"].clone())
}

#[test]
fn a_body_is_refused_by_the_member_at_fault() {
    let with = |from: &str, to: &str| CREATE.replace(from, to);
    let long = "é".repeat(256);
    for (sent, word, field) in [
        (with("2599", "0"), "INVALID_AMOUNT", "amount"),
        (with("2599", "-5"), "INVALID_AMOUNT", "amount"),
        (with("2599", "25.99"), "INVALID_AMOUNT", "amount"),
        (with("2599", "\"2599\""), "INVALID_AMOUNT", "amount"),
        (with("2599", "null"), "INVALID_AMOUNT", "amount"),
        (with("2599", "9007199254740992"), "INVALID_AMOUNT", "amount"),
        (with("\"amount\":2599,", ""), "MISSING_FIELD", "amount"),
        (with("GBP", "gbp"), "INVALID_CURRENCY", "currency"),
        (with("GBP", "ZZZ"), "INVALID_CURRENCY", "currency"),
        (with("\"GBP\"", "826"), "INVALID_FIELD", "currency"),
        (with("\"currency\":\"GBP\",", ""), "MISSING_FIELD", "currency"),
        (with("\"order_id\":\"ord_123\",", ""), "MISSING_FIELD", "order_id"),
        (with("ord_123", ""), "INVALID_FIELD", "order_id"),
        (with("ord_123", &long), "INVALID_FIELD", "order_id"),
        (with("ord_123", "a\\u0000b"), "INVALID_FIELD", "order_id"),
        (with("\"ord_123\"", "123"), "INVALID_FIELD", "order_id"),
        (
            with("}", ",\"capture_method\":\"later\"}"),
            "INVALID_FIELD",
            "capture_method",
        ),
        (with("}", ",\"tip\":1}"), "UNKNOWN_FIELD", "tip"),
        (with("}", ",\"Amount\":1}"), "UNKNOWN_FIELD", "Amount"),
        (
            with("pm_card_visa", "4242 4242 4242 4242"),
            "CARD_NUMBER_REFUSED",
            "payment_method",
        ),
        (with("\"pm_card_visa\"", "[]"), "INVALID_FIELD", "payment_method"),
        (with("}", ",\"metadata\":[]}"), "INVALID_FIELD", "metadata"),
        (
            with("}", ",\"metadata\":{\"a\":1}}"),
            "INVALID_FIELD",
            "metadata.a",
        ),
        (
            with("}", ",\"metadata\":{\"\":\"x\"}}"),
            "INVALID_FIELD",
            "metadata.",
        ),
    ] {
        assert_eq!(
            refused("/attempts", &sent),
            (400, word.to_owned(), json!(field)),
            "{sent}"
        );
    }
}

#[test]
fn a_body_that_is_not_one_json_object_is_refused() {
    for sent in [
        "[]",
        "1",
        "{",
        "{} {}",
        "{\"amount\":1,\"amount\":2}",
        "\u{feff}{}",
        "nul",
        "{\"a\":{\"b\":{\"c\":{\"d\":{}}}}}",
    ] {
        let (status, word, _) = refused("/attempts", sent);
        assert_eq!((status, word.as_str()), (400, "INVALID_JSON"), "{sent}");
    }
    // No body at all is an empty object: what is missing is then the first member.
    assert_eq!(refused("/attempts", "").1, "MISSING_FIELD");
}

#[test]
fn a_charge_that_asks_for_manual_capture_is_told_where_to_go() {
    let mut world = World::new(Kind::Stripe);
    let charge = r#"{"amount":500,"currency":"GBP","payment_method":"visa","capture_method":"manual"}"#;
    let answer = world.post("/charge", "c1", charge);
    let error = &body(&answer)["error"];
    assert_eq!((answer.status, &error["field"]), (400, &"capture_method".into()));
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .ends_with("For manual capture use POST /attempts.")
    );
}

#[test]
fn the_bounds_themselves_are_allowed() {
    let mut world = World::new(Kind::Stripe);
    let most = CREATE
        .replace("2599", &AMOUNT_MINOR_MAX.to_string())
        .replace("ord_123", &"é".repeat(255));
    assert_eq!(world.post("/attempts", "k1", &most).status, 201);
    let members: serde_json::Map<String, Value> = (0..16)
        .map(|n| (format!("é{n:039}"), json!("é".repeat(256))))
        .collect();
    let full = CREATE.replace(
        '}',
        &format!(",\"metadata\":{}}}", Value::Object(members.clone())),
    );
    let answer = world.post("/attempts", "k2", &full);
    assert_eq!(answer.status, 201, "{}", text(&answer));
    assert_eq!(body(&answer)["metadata"], Value::Object(members.clone()));
    for (name, value) in [
        ("é".repeat(41), "v".to_owned()),
        (String::new(), "v".to_owned()),
        ("n".to_owned(), "é".repeat(257)),
    ] {
        let one = CREATE.replace('}', &format!(",\"metadata\":{}}}", json!({name: value})));
        assert_eq!(code(&world.post("/attempts", "k3", &one)), "INVALID_FIELD");
    }
    let mut more = members;
    more.insert("one more".to_owned(), json!(""));
    let over = CREATE.replace('}', &format!(",\"metadata\":{}}}", Value::Object(more)));
    assert_eq!(code(&world.post("/attempts", "k3", &over)), "INVALID_FIELD");
}

#[test]
fn a_body_over_16_kib_is_refused_and_one_of_16_kib_is_not() {
    let mut world = World::new(Kind::Stripe);
    let fits = format!("{CREATE}{}", " ".repeat(16 * 1024 - CREATE.len()));
    let answer = world.post("/attempts", "k1", &format!("{fits} "));
    assert_eq!((answer.status, code(&answer).as_str()), (413, "BODY_TOO_LARGE"));
    assert_eq!(world.post("/attempts", "k1", &fits).status, 201);
}

#[test]
fn operations_know_their_own_members_only() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    for (operation, sent, field) in [
        ("authorize", r#"{"amount":1}"#, "amount"),
        ("capture", r#"{"currency":"GBP"}"#, "currency"),
        ("void", r#"{"amount":1}"#, "amount"),
    ] {
        let answer = world.post(&format!("/attempts/{id}/{operation}"), "k2", sent);
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (400, "UNKNOWN_FIELD"),
            "{operation}"
        );
        assert_eq!(body(&answer)["error"]["field"], field);
    }
    assert_eq!((world.writes, world.calls.len()), (1, 0));
}

#[test]
fn unknown_paths_and_methods_say_so() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    for target in [
        "/",
        "",
        "/attempt",
        "/attempts/x/y/z",
        &format!("/attempts/{id}/refund"),
        "/webhooks",
        "//attempts",
        "*",
    ] {
        let answer = world.send("POST", target, &[("idempotency-key", "k")], b"");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (404, "NOT_FOUND"),
            "{target}"
        );
    }
    for (method, target, allow) in [
        ("PATCH", "/attempts".to_owned(), "POST, GET, HEAD"),
        ("PUT", "/charge".to_owned(), "POST"),
        ("HEAD", "/charge".to_owned(), "POST"),
        ("HEAD", format!("/attempts/{id}/void"), "POST"),
        ("POST", format!("/attempts/{id}"), "GET, HEAD"),
        ("DELETE", format!("/attempts/{id}"), "GET, HEAD"),
        ("head", format!("/attempts/{id}"), "GET, HEAD"),
        ("GET", format!("/attempts/{id}/capture"), "POST"),
        ("GET", "/webhooks/stripe".to_owned(), "POST"),
    ] {
        let answer = world.send(method, &target, &[], b"");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (405, "METHOD_NOT_ALLOWED"),
            "{method} {target}"
        );
        assert_eq!(answer.header("Allow"), Some(allow));
        let words = format!("{target} knows only {allow}.");
        assert_eq!(body(&answer)["error"]["message"], words);
    }
    // A query is no part of the path.
    assert_eq!(
        world.send("GET", &format!("/attempts/{id}?x=1"), &[], b"").status,
        200
    );
}

#[test]
fn a_known_path_that_ends_in_a_slash_is_refused_and_says_so() {
    let slash = "No such path: it ends in a slash. Send it without the slash.";
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    for method in ["GET", "POST"] {
        for target in [
            "/attempts/".to_owned(),
            "/charge/".to_owned(),
            "/charge/?x=/".to_owned(),
            format!("/attempts/{id}/"),
            format!("/attempts/{id}/authorize/"),
            "/attempts/x/capture/".to_owned(),
            "/attempts//void/".to_owned(),
            "/attempts/x/resolve/".to_owned(),
            "/webhooks/stripe/".to_owned(),
        ] {
            let answer = world.send(method, &target, &[("idempotency-key", "k")], CREATE.as_bytes());
            assert_eq!(
                (answer.status, code(&answer).as_str()),
                (404, "NOT_FOUND"),
                "{target}"
            );
            assert_eq!(body(&answer)["error"]["message"], slash, "{target}");
        }
    }
    for (target, expected) in [
        ("/", "NOT_FOUND"),
        ("//", "NOT_FOUND"),
        ("/attempt/", "NOT_FOUND"),
        ("/attempts//", "NOT_FOUND"),
        ("/attempts/x/refund/", "NOT_FOUND"),
        ("/attempts//authorize", "ATTEMPT_NOT_FOUND"),
        ("/webhooks/", "UNKNOWN_PSP"),
        ("/webhooks//", "NOT_FOUND"),
    ] {
        let answer = world.send("POST", target, &[("idempotency-key", "k")], b"");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (404, expected),
            "{target}"
        );
        assert_ne!(body(&answer)["error"]["message"], slash, "{target}");
    }
    assert_eq!((world.writes, world.calls.len()), (1, 0));
}

#[test]
fn an_attempt_has_one_spelling() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create().to_string();
    for other in [
        id.to_lowercase(),
        id.replace("pa_", ""),
        format!("{id}0"),
        "pa_".to_owned(),
        "%20".to_owned(),
    ] {
        let answer = world.send("GET", &format!("/attempts/{other}"), &[], b"");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (404, "ATTEMPT_NOT_FOUND"),
            "{other}"
        );
    }
}
