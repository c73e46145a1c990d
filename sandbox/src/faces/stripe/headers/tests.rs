use serde_json::{Value, json};

use crate::Method;
use crate::testing::Bench;

use crate::base::versions::NEWEST_VERSION as API_VERSION;

#[test]
fn every_answer_of_stripes_face_has_stripes_headers() {
    let mut bench = Bench::new(json!({}));
    let first = bench.pay("pm_card_visa", "k").unwrap();
    assert_eq!(first.header("Idempotency-Key"), Some("k"));
    assert_eq!(first.header("Stripe-Version"), Some(API_VERSION));
    let replay = bench.pay("pm_card_visa", "k").unwrap();
    assert_eq!(replay.header("Idempotency-Key"), Some("k"));
    let declined = bench.pay("pm_card_chargeDeclined", "").unwrap();
    assert_eq!(declined.header("Idempotency-Key"), None);
    let nameless = bench.send(Method::Get, "/v1/payment_intents", &[], b"").unwrap();
    assert_eq!(nameless.status, 401);

    let mut ids: Vec<&str> = [&first, &replay, &declined, &nameless]
        .iter()
        .map(|got| got.header("Request-Id").unwrap())
        .collect();
    assert!(ids.iter().all(|id| id.starts_with("req_")), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "each request has an id of its own, a replay too");

    let headers = [
        ("authorization", "Bearer sk"),
        ("STRIPE-VERSION", "2026-07-29.dahlia"),
    ];
    let old = bench
        .send(Method::Get, "/v1/payment_intents", &headers, b"")
        .unwrap();
    assert_eq!(old.header("Stripe-Version"), Some("2026-07-29.dahlia"));
    let acquirer = bench.authorize("x").unwrap();
    assert!(acquirer.header("Request-Id").unwrap().starts_with("req_"));
    assert_eq!(acquirer.header("Stripe-Version"), None);
}

#[test]
fn stripe_says_whether_to_try_again() {
    let mut bench = Bench::new(json!({"latency_ms": {"min": 100, "max": 100}}));
    let mut said = |token: &str, key: &str, wait_ms: u64| {
        let got = bench.pay(token, key).unwrap();
        bench.wait(wait_ms);
        (got.status, got.header("Stripe-Should-Retry").map(str::to_owned))
    };
    let (yes, no) = (Some("true".to_owned()), Some("false".to_owned()));
    assert_eq!(said("x", "a", 0), (200, None));
    assert_eq!(said("x", "a", 100), (409, yes.clone()));
    assert_eq!(said("x", "a", 0), (200, None));
    assert_eq!(said("pm_sandbox_429", "b", 0), (429, yes));
    assert_eq!(said("pm_sandbox_500_cached", "c", 100), (500, None));
    assert_eq!(said("pm_sandbox_500_cached", "c", 0), (500, no));
    assert_eq!(said("pm_card_chargeDeclined", "d", 0), (402, None));
}

#[test]
fn a_webhook_names_the_request_that_it_comes_of() {
    let mut bench = Bench::new(json!({}));
    let paid = bench.pay("pm_card_visa", "k").unwrap();
    let intent = paid.body["id"].as_str().unwrap().to_owned();
    bench.stripe(&format!("payment_intents/{intent}/capture"), "", "");
    let waiting = bench.pay("pm_card_authenticationRequired", "k2").unwrap().body;
    let page = format!("/3ds/{}", waiting["id"].as_str().unwrap());
    bench.send(Method::Post, &page, &[], b"success=false").unwrap();
    bench.pay("pm_sandbox_expires_soon", "k3");
    bench.wait(20_000);
    bench.get("/ledger");
    let events: Vec<Value> = bench
        .webhooks
        .iter()
        .map(|webhook| serde_json::from_slice(&webhook.body).unwrap())
        .collect();
    let request = |kind: &str| {
        let event = events.iter().find(|event| event["type"] == kind).unwrap();
        assert_eq!(event["api_version"], API_VERSION);
        assert_eq!(event["pending_webhooks"], 1);
        event["request"].clone()
    };
    assert_eq!(
        request("payment_intent.amount_capturable_updated"),
        json!({"id": paid.header("Request-Id").unwrap(), "idempotency_key": "k"})
    );
    assert_eq!(
        request("payment_intent.succeeded")["idempotency_key"],
        Value::Null
    );
    assert_ne!(request("payment_intent.succeeded")["id"], Value::Null);
    let nobody = json!({"id": null, "idempotency_key": null});
    assert_eq!(request("payment_intent.requires_action")["idempotency_key"], "k2");
    assert_eq!(
        request("payment_intent.payment_failed"),
        nobody,
        "the cardholder is no caller"
    );
    assert_eq!(
        request("payment_intent.canceled"),
        nobody,
        "nobody asked for a lapse"
    );
}
