//! `docs/http.md`, “First examples”, word for word: status line, headers and bodies.

use pay_once_core::Response;
use serde_json::{Value, json};

use crate::support::{CREATE, Kind, World, json as body};

/// Every member of `example` is in `ours` with the same value; what ours has more stands beside.
fn assert_holds(ours: &Value, example: &Value) {
    match (ours, example) {
        (Value::Object(ours), Value::Object(example)) => {
            for (name, value) in example {
                assert_holds(
                    ours.get(name).unwrap_or_else(|| panic!("{name} is missing")),
                    value,
                );
            }
        }
        _ => assert_eq!(ours, example),
    }
}

/// The order of the members is kept, too.
fn assert_order(response: &Response, names: &[&str]) {
    let text = String::from_utf8(response.body.clone()).unwrap();
    let places: Vec<usize> = names
        .iter()
        .map(|name| {
            text.find(&format!("\"{name}\":"))
                .unwrap_or_else(|| panic!("{name} in {text}"))
        })
        .collect();
    assert!(places.is_sorted(), "{names:?} in {text}");
}

#[test]
fn create_then_replay_then_another_body() {
    let mut world = World::new(Kind::Stripe);
    let first = world.post("/attempts", "k1", CREATE);
    let shown = body(&first);
    let id = shown["attempt_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("pa_") && id.len() == 29);
    assert_eq!(first.status, 201);
    assert_eq!(first.header("Content-Type"), Some("application/json"));
    assert_eq!(first.header("Location"), Some(format!("/attempts/{id}").as_str()));
    assert_eq!(first.header("Idempotency-Key"), Some("k1"));
    assert_eq!(first.header("Idempotency-Replayed"), None);
    assert_holds(
        &shown,
        &json!({
            "order_id": "ord_123",
            "amount": 2599,
            "currency": "GBP",
            "status": "CREATED",
            "capture_method": "manual",
            "created_at": "2025-11-26T12:34:56Z",
        }),
    );
    let order = [
        "attempt_id",
        "order_id",
        "amount",
        "currency",
        "status",
        "capture_method",
        "created_at",
    ];
    assert_order(&first, &order);

    world.now_ms += 60_000;
    let second = world.post("/attempts", "k1", CREATE);
    assert_eq!(second.status, 200);
    assert_eq!(second.header("Content-Type"), Some("application/json"));
    assert_eq!(second.header("Idempotency-Replayed"), Some("true"));
    assert_eq!(second.header("Idempotency-Key"), Some("k1"));
    assert_eq!(second.body, first.body, "same as above");

    let third = world.post("/attempts", "k1", &CREATE.replace("2599", "2600"));
    assert_eq!(third.status, 409);
    assert_eq!(third.header("Content-Type"), Some("application/json"));
    assert_eq!(third.header("Idempotency-Replayed"), None);
    assert_holds(
        &body(&third),
        &json!({"error": {
            "code": "IDEMPOTENCY_KEY_REUSE",
            "message": "Idempotency-Key was reused with a different request body.",
        }}),
    );
    assert_eq!(world.writes, 1, "neither the replay nor the refusal wrote");
}

#[test]
fn authorize_and_capture() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.now_ms += 14_000;
    let authorized = world.op(id, "authorize", "k2");
    assert_eq!(authorized.status, 200);
    assert_eq!(authorized.header("Content-Type"), Some("application/json"));
    assert_eq!(authorized.header("Idempotency-Key"), Some("k2"));
    assert_eq!(authorized.header("Idempotency-Replayed"), None);
    let shown = body(&authorized);
    let authorization = shown["authorization"].clone();
    assert!(
        authorization["authorization_id"]
            .as_str()
            .unwrap()
            .starts_with("auth_01K")
    );
    assert!(
        authorization["psp_reference"]
            .as_str()
            .unwrap()
            .starts_with("pi_3N")
    );
    let mut example = json!({
        "attempt_id": id.to_string(),
        "order_id": "ord_123",
        "amount": 2599,
        "currency": "GBP",
        "status": "AUTHORIZED",
        "capture_method": "manual",
        "authorization": {"psp": "stripe", "authorized_at": "2025-11-26T12:35:10Z"},
    });
    assert_holds(&shown, &example);
    assert!(shown.get("capture").is_none());

    world.now_ms += 50_000;
    let captured = world.op(id, "capture", "k3");
    assert_eq!(captured.status, 200);
    assert_eq!(captured.header("Content-Type"), Some("application/json"));
    assert_eq!(captured.header("Idempotency-Key"), Some("k3"));
    let shown = body(&captured);
    example["status"] = json!("CAPTURED");
    example["capture"] = json!({"captured_at": "2025-11-26T12:36:00Z"});
    assert_holds(&shown, &example);
    assert_eq!(shown["authorization"], authorization, "as it was answered before");
    assert!(
        shown["capture"]["capture_id"]
            .as_str()
            .unwrap()
            .starts_with("cap_01K")
    );
    let order = [
        "attempt_id",
        "status",
        "capture_method",
        "authorization_id",
        "psp",
        "psp_reference",
        "authorized_at",
        "capture_id",
        "captured_at",
    ];
    assert_order(&captured, &order);
    assert_eq!((world.ledger.authorizations(), world.ledger.captures()), (1, 1));
}

/// curl with `-d` alone says that a body is a form: the media type is not asked for.
#[test]
fn bare_curl_lines_need_no_content_type() {
    let mut world = World::new(Kind::Stripe);
    let headers = [
        ("idempotency-key", "k1"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(
        world
            .send("POST", "/attempts", &headers, CREATE.as_bytes())
            .status,
        201
    );
}
