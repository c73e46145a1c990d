use serde_json::{Value, json};

use crate::Method;
use crate::testing::{Bench, START_MS};

fn bench() -> Bench {
    Bench::new(json!({}))
}

fn lookup(bench: &mut Bench) -> Value {
    bench.get("/lookup?reference=pa_1").body
}

#[test]
fn the_same_request_again_is_a_second_effect() {
    let mut bench = bench();
    let first = bench.authorize("tok_visa").unwrap().body;
    let second = bench.authorize("tok_visa").unwrap().body;
    assert_eq!(first["status"], "approved");
    assert_ne!(first["psp_reference"], second["psp_reference"]);
    for _ in 0..2 {
        assert_eq!(
            bench.act("/capture", &first["psp_reference"], 1000).unwrap().body["status"],
            "approved"
        );
    }
    let row = bench.row();
    assert_eq!(
        (&row["authorizations"], &row["live_authorizations"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        (&row["captures"], &row["captured_minor"]),
        (&json!(2), &json!(2000))
    );
    assert_eq!(bench.told(), ["authorize", "authorize", "capture", "capture"]);
    let webhook: Value = serde_json::from_slice(&bench.webhooks[2].body).unwrap();
    assert_eq!(
        (&webhook["reference"], &webhook["status"]),
        (&json!("pa_1"), &json!("approved"))
    );
    assert!(bench.webhooks[2].url.ends_with("/hooks/acquirer"));
}

#[test]
fn a_key_counts_only_when_the_dial_says_so() {
    let body = json!({"reference": "pa_1", "amount": 10, "currency": "GBP", "payment_method": "x"});
    let mut bench = bench();
    for _ in 0..2 {
        assert!(!bench.acquirer("/authorize", body.clone(), "k").unwrap().replayed);
    }
    assert_eq!(bench.row()["authorizations"], 2);

    let mut bench = Bench::new(json!({"acquirer_keyed": true, "latency_ms": {"min": 300, "max": 300}}));
    let first = bench.acquirer("/authorize", body.clone(), "k").unwrap();
    bench.wait(100);
    bench.turn(json!({"latency_ms": {"min": 10, "max": 10}}));
    let twin = bench.acquirer("/authorize", body, "k").unwrap();
    assert!(twin.replayed);
    assert_eq!(
        (twin.body, twin.after_ms),
        (first.body, 200),
        "a twin is answered with the first"
    );
    let other = json!({"reference": "pa_1", "amount": 11, "currency": "GBP", "payment_method": "x"});
    let got = bench.acquirer("/authorize", other, "k").unwrap();
    assert_eq!(
        (got.status, &got.body["error"]["code"]),
        (400, &json!("idempotency_key_reuse"))
    );
    assert_eq!(bench.row()["authorizations"], 1);
}

#[test]
fn captures_are_declined_with_their_reason() {
    let mut bench = Bench::new(json!({"refuse_second_capture": true}));
    let mut code = |id: &Value, amount| {
        let got = bench.act("/capture", id, amount).unwrap();
        assert_eq!(got.status, 200);
        got.body["code"].as_str().map(str::to_owned)
    };
    assert_eq!(
        code(&json!("auth_none"), 1).as_deref(),
        Some("unknown_authorization")
    );
    let id = bench.authorize("x").unwrap().body["psp_reference"].clone();
    let mut code = |id: &Value, amount| {
        bench.act("/capture", id, amount).unwrap().body["code"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(code(&id, 1001).as_deref(), Some("amount_too_large"));
    assert_eq!(code(&id, 600), None);
    assert_eq!(code(&id, 1).as_deref(), Some("already_captured"));
    let other = json!({"reference": "pa_2", "amount": 1, "currency": "GBP", "psp_reference": id});
    assert_eq!(
        bench.acquirer("/capture", other, "").unwrap().body["code"],
        "unknown_authorization"
    );

    let voided = bench.authorize("x").unwrap().body["psp_reference"].clone();
    assert_eq!(
        bench.act("/void", &voided, 1000).unwrap().body["status"],
        "approved"
    );
    assert_eq!(
        bench.act("/capture", &voided, 1000).unwrap().body["code"],
        "already_voided"
    );
    assert_eq!(
        bench.act("/void", &voided, 1000).unwrap().body["code"],
        "already_voided"
    );
    assert_eq!(
        bench.act("/void", &json!("auth_none"), 1000).unwrap().body["code"],
        "unknown_authorization"
    );

    let lapsing = bench.authorize("pm_sandbox_expires_soon").unwrap().body["psp_reference"].clone();
    bench.wait(20_000);
    assert_eq!(
        bench.act("/capture", &lapsing, 1000).unwrap().body["code"],
        "authorization_expired"
    );
    assert_eq!(
        bench.act("/void", &lapsing, 1000).unwrap().body["code"],
        "authorization_expired"
    );
    assert_eq!(bench.row()["live_authorizations"], 1);
}

#[test]
fn a_void_after_capture_is_a_refund() {
    let mut bench = bench();
    let id = bench.authorize("x").unwrap().body["psp_reference"].clone();
    let one = bench.act("/capture", &id, 1000).unwrap().body["psp_reference"].clone();
    let two = bench.act("/capture", &id, 400).unwrap().body["psp_reference"].clone();
    assert_eq!(bench.act("/void", &two, 400).unwrap().body["status"], "approved");
    assert_eq!(
        bench.act("/void", &two, 400).unwrap().body["code"],
        "already_voided"
    );
    let row = bench.row();
    assert_eq!(
        (&row["refunds"], &row["refunded_minor"]),
        (&json!(1), &json!(400))
    );
    assert_eq!(row["live_authorizations"], 1);
    assert_eq!(bench.act("/void", &id, 1000).unwrap().body["status"], "approved");
    let row = bench.row();
    assert_eq!((&row["refunded_minor"], &row["voids"]), (&json!(1400), &json!(0)));
    assert_eq!(row["live_authorizations"], 0);
    assert_eq!(
        bench.act("/void", &one, 1000).unwrap().body["code"],
        "already_voided"
    );
    assert_eq!(lookup(&mut bench)["void"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_read_only_still_answers_questions() {
    let mut bench = Bench::new(json!({"read_only_permille": 1000}));
    assert_eq!(bench.authorize("x").unwrap().status, 503);
    assert_eq!(lookup(&mut bench)["authorize"], json!([]));
}

#[test]
fn lookup_lists_what_is_old_enough() {
    let mut bench = Bench::new(json!({"lookup_lag_ms": 1_000}));
    let id = bench.authorize("x").unwrap().body["psp_reference"].clone();
    bench.wait(999);
    assert_eq!(lookup(&mut bench)["authorize"], json!([]));
    let capture = bench.act("/capture", &id, 1000).unwrap().body["psp_reference"].clone();
    bench.authorize("pm_card_chargeDeclined").unwrap();
    bench.wait(1);
    assert_eq!(
        lookup(&mut bench)["authorize"],
        json!([{"id": id, "amount": 1000, "created": START_MS / 1000}])
    );
    assert_eq!(lookup(&mut bench)["capture"], json!([]));
    bench.wait(999);
    let found = lookup(&mut bench);
    assert_eq!(
        found["capture"],
        json!([{"id": capture, "amount": 1000, "psp_reference": id, "created": START_MS / 1000}])
    );
    assert_eq!(found["declined"][0]["code"], "generic_decline");
    assert_eq!(found["declined"][0]["created"], START_MS / 1000);
    assert_eq!(
        bench.get("/lookup?reference=pa_none").body["authorize"],
        json!([])
    );
    assert_eq!(bench.get("/lookup").status, 400);
    bench.turn(json!({"lookup_enabled": false}));
    assert_eq!(bench.get("/lookup?reference=pa_1").status, 404);
}

#[test]
fn a_challenge_ends_on_the_page() {
    for (success, status) in [("true", "approved"), ("false", "declined")] {
        let mut bench = bench();
        let asked = bench.authorize("pm_card_authenticationRequired").unwrap().body;
        assert_eq!(asked["status"], "requires_action");
        let url = asked["action_url"].as_str().unwrap();
        let path = url.strip_prefix("http://127.0.0.1").unwrap().to_owned();
        assert_eq!(
            lookup(&mut bench)["requires_action"][0]["id"],
            asked["psp_reference"]
        );
        assert_eq!(bench.row(), json!(null));
        assert_eq!(bench.get(&path).status, 200);
        let form = format!("success={success}");
        assert_eq!(
            bench
                .send(Method::Post, &path, &[], form.as_bytes())
                .unwrap()
                .status,
            200
        );
        assert_eq!(
            bench
                .send(Method::Post, &path, &[], form.as_bytes())
                .unwrap()
                .status,
            404
        );
        let webhook: Value = serde_json::from_slice(&bench.webhooks[0].body).unwrap();
        assert_eq!(
            (&webhook["status"], &webhook["psp_reference"]),
            (&json!(status), &asked["psp_reference"])
        );
        let authorizations = u64::from(success == "true");
        assert_eq!(bench.row()["authorizations"], authorizations);
        assert_eq!(
            lookup(&mut bench)["authorize"].as_array().unwrap().len() as u64,
            authorizations
        );
    }
}

#[test]
fn answers_and_webhooks_say_when_the_effect_was() {
    let mut bench = bench();
    bench.wait(2_000);
    let id = bench.authorize("x").unwrap().body["psp_reference"].clone();
    bench.wait(3_000);
    let taken = bench.act("/capture", &id, 1000).unwrap().body;
    assert_eq!(taken["created"], START_MS / 1000 + 5);
    let told: Vec<Value> = bench
        .webhooks
        .iter()
        .map(|webhook| serde_json::from_slice::<Value>(&webhook.body).unwrap()["created"].clone())
        .collect();
    assert_eq!(told, [json!(START_MS / 1000 + 2), json!(START_MS / 1000 + 5)]);
    bench.authorize("pm_card_authenticationRequired").unwrap();
    bench.wait(1_000);
    assert_eq!(
        lookup(&mut bench)["requires_action"][0]["created"],
        START_MS / 1000 + 5
    );
}

#[test]
fn malformed_requests_are_refused_and_strangers_ignored() {
    let mut bench = bench();
    let good =
        json!({"reference": "pa_1", "amount": 1, "currency": "GBP", "payment_method": "x", "new": [1]});
    assert_eq!(
        bench.acquirer("/authorize", good.clone(), "").unwrap().status,
        200
    );
    for bad in [&b"{"[..], b"[]", b"{}", b"\xff"] {
        assert_eq!(
            bench.send(Method::Post, "/authorize", &[], bad).unwrap().status,
            400
        );
    }
    for (name, value) in [
        ("reference", json!("")),
        ("reference", json!(1)),
        ("amount", json!(0)),
        ("amount", json!(-1)),
        ("amount", json!(1.5)),
        ("amount", json!("1")),
        ("amount", json!(1_u64 << 53)),
        ("currency", Value::Null),
        ("payment_method", json!({})),
        ("return_url", json!("")),
        ("return_url", json!("javascript:x")),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        let got = bench.acquirer("/authorize", bad.clone(), "").unwrap();
        assert_eq!(
            (got.status, &got.body["error"]["code"]),
            (400, &json!("invalid_member")),
            "{bad}"
        );
    }
    let got = bench.acquirer("/capture", good, "").unwrap();
    assert_eq!(got.body["error"]["code"], "missing_member");
    assert_eq!(
        bench.send(Method::Get, "/authorize", &[], b"").unwrap().status,
        405
    );
    assert_eq!(bench.send(Method::Post, "/lookup", &[], b"").unwrap().status, 405);
    assert_eq!(bench.row()["authorizations"], 1);
}

#[test]
fn three_d_secure_that_is_given_up_comes_to_nothing() {
    let mut bench = bench();
    let waiting = bench.authorize("pm_card_authenticationRequired").unwrap().body;
    assert_eq!(waiting["status"], "requires_action");
    let void = bench.act("/void", &waiting["psp_reference"], 1000).unwrap().body;
    assert_eq!(void["status"], "approved");
    let listed = lookup(&mut bench);
    assert_eq!(
        (&listed["authorize"], &listed["requires_action"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(listed["void"][0]["psp_reference"], waiting["psp_reference"]);
    // There is nothing left to give up.
    let again = bench.act("/void", &waiting["psp_reference"], 1000).unwrap().body;
    assert_eq!(again["status"], "declined");
}

#[test]
fn a_list_that_lags_shows_an_ended_challenge_until_it_shows_its_effect() {
    let mut bench = Bench::new(json!({"lookup_lag_ms": 1_000}));
    bench.authorize("pm_card_authenticationRequired");
    let page = bench.sandbox.open_challenges("pa_1").remove(0);
    bench.send(Method::Post, &page, &[], b"success=true");
    bench.wait(999);
    let found = bench.get("/lookup?reference=pa_1").body;
    let count = |found: &Value, member: &str| found[member].as_array().unwrap().len();
    assert_eq!(
        (count(&found, "requires_action"), count(&found, "authorize")),
        (1, 0)
    );
    bench.wait(1);
    let found = bench.get("/lookup?reference=pa_1").body;
    assert_eq!(
        (count(&found, "requires_action"), count(&found, "authorize")),
        (0, 1)
    );
}
