use serde_json::{Value, json};

use crate::testing::{Bench, Got};

fn error(got: &Got) -> (u16, &Value, &Value) {
    let error = &got.body["error"];
    assert_eq!(
        (&error["code"], &error["param"], &error["doc_url"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    (got.status, &error["type"], &error["message"])
}

#[test]
fn stripe_refuses_in_its_own_words() {
    let cases = [
        (400, "invalid_request_error", "The request is not acceptable."),
        (
            401,
            "invalid_request_error",
            "Invalid API Key provided: sk_test_*****",
        ),
        (424, "api_error", "A dependency outside of Stripe failed."),
    ];
    for (status, kind, message) in cases {
        let mut bench = Bench::new(json!({"reject_status": status}));
        let got = bench.pay("x", "k").unwrap();
        assert_eq!(error(&got), (status, &json!(kind), &json!(message)));
        assert_eq!(bench.row(), json!(null));
        bench.turn(json!({"reject_status": 0}));
        let got = bench.pay("x", "k").unwrap();
        assert!(got.status == 200 && !got.replayed, "the key keeps no refusal");
        bench.turn(json!({"reject_status": status}));
        let replay = bench.pay("x", "k").unwrap();
        assert_eq!(replay.status, status, "a replay is refused as well");
    }
}

#[test]
fn a_missing_permission_is_named_after_the_call() {
    let mut bench = Bench::new(json!({"reject_status": 403}));
    let mut named = |path: &str, form: Option<&str>, permission: &str| {
        let got = match form {
            Some(form) => bench.stripe(path, form, "").unwrap(),
            None => bench.stripe_get(path),
        };
        let (status, kind, message) = error(&got);
        assert_eq!((status, kind), (403, &json!("invalid_request_error")));
        assert!(
            message
                .as_str()
                .unwrap()
                .contains(&format!("Having the '{permission}' permission")),
            "{path}: {message}"
        );
    };
    named(
        "payment_intents",
        Some("amount=1&currency=gbp"),
        "rak_payment_intent_write",
    );
    named(
        "payment_intents/pi_1/capture",
        Some(""),
        "rak_payment_intent_write",
    );
    named("payment_intents/pi_1", None, "rak_payment_intent_read");
    named("payment_intents", None, "rak_payment_intent_read");
    named("refunds", Some("payment_intent=pi_1"), "rak_refund_write");
    named("refunds/re_1", None, "rak_refund_read");
    named("refunds?payment_intent=pi_1", None, "rak_refund_read");
}

#[test]
fn the_acquirer_refuses_in_its_own_words() {
    let cases = [
        (400, "bad_request"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (424, "failed_dependency"),
    ];
    for (status, code) in cases {
        let mut bench = Bench::new(json!({"reject_status": status, "acquirer_keyed": true}));
        let body = json!({"reference": "pa_1", "amount": 1, "currency": "GBP", "payment_method": "x"});
        let got = bench.acquirer("/authorize", body.clone(), "k").unwrap();
        assert_eq!((got.status, &got.body["error"]["code"]), (status, &json!(code)));
        assert!(got.body["error"]["message"].is_string());
        assert_eq!(bench.row(), json!(null));
        bench.turn(json!({"reject_status": 0}));
        assert_eq!(bench.acquirer("/authorize", body, "k").unwrap().status, 200);
    }
}

#[test]
fn only_the_calls_that_are_meant_are_refused() {
    for (calls, refused) in [
        ("all", [true, true, true]),
        ("money", [true, false, false]),
        ("reads", [false, true, true]),
        ("lists", [false, false, true]),
    ] {
        let mut bench = Bench::new(json!({}));
        let paid = bench.pay("x", "").unwrap().body;
        let id = paid["id"].as_str().unwrap();
        bench.turn(json!({"reject_status": 401, "reject_calls": calls}));
        let found = [
            bench.pay("x", "").unwrap().status == 401,
            bench.stripe_get(&format!("payment_intents/{id}")).status == 401,
            bench.stripe_get("payment_intents").status == 401,
        ];
        assert_eq!(found, refused, "{calls}");
        let found = [
            bench.authorize("x").unwrap().status == 401,
            bench.get("/lookup?reference=pa_1").status == 401,
        ];
        assert_eq!(found, [refused[0], refused[2]], "{calls}");
        assert_eq!(bench.get("/ledger").status, 200, "{calls}");
    }
}

#[test]
fn some_of_the_calls_are_refused() {
    let mut bench = Bench::new(json!({"reject_status": 401, "reject_permille": 250}));
    let refused = (0..2_000)
        .filter(|_| bench.authorize("x").unwrap().status == 401)
        .count();
    assert!((400..600).contains(&refused), "{refused}");
}

#[test]
fn dials_that_are_off_draw_nothing() {
    let ids = |dials: Value| -> Vec<Value> {
        let mut bench = Bench::new(dials);
        (0..20)
            .map(|_| bench.pay("x", "").unwrap().body["id"].clone())
            .collect()
    };
    let off = ids(json!({}));
    assert_eq!(off, ids(json!({"reject_calls": "money", "reject_permille": 500})));
    assert_eq!(
        off,
        ids(json!({"reject_calls": "lists", "reject_status": 401})),
        "calls that are not meant draw nothing"
    );
}

#[test]
fn a_late_request_is_not_refused_when_it_lands() {
    let mut bench = Bench::new(json!({"max_in_flight_ms": 100}));
    assert!(bench.pay("pm_sandbox_late", "k").is_none());
    bench.turn(json!({"reject_status": 401}));
    bench.wait(100);
    assert_eq!(bench.row()["authorizations"], 1);
}
