use serde_json::{Value, json};

use crate::Method;
use crate::testing::{Bench, Got, START_MS};

fn by_hand(bench: &mut Bench, path: &str, body: &Value) -> Got {
    let path = format!("/dashboard/{path}");
    bench
        .send(Method::Post, &path, &[], body.to_string().as_bytes())
        .unwrap()
}

fn held(bench: &mut Bench) -> String {
    let paid = bench.pay("x", "").unwrap().body;
    paid["id"].as_str().unwrap().to_owned()
}

fn last_event(bench: &Bench) -> Value {
    serde_json::from_slice(&bench.webhooks.last().unwrap().body).unwrap()
}

#[test]
fn a_person_captures_and_refunds() {
    let mut bench = Bench::new(json!({"refund_webhooks": true, "reject_status": 0}));
    let id = held(&mut bench);
    let path = format!("payment_intents/{id}/capture");
    let taken = by_hand(&mut bench, &path, &json!({"amount": 700}));
    assert_eq!((taken.status, &taken.body["amount_received"]), (200, &json!(700)));
    let event = last_event(&bench);
    assert_eq!(event["type"], "payment_intent.succeeded");
    assert_eq!(event["request"], json!({"id": null, "idempotency_key": null}));
    assert_eq!(by_hand(&mut bench, &path, &json!({})).status, 400);

    let path = format!("payment_intents/{id}/refund");
    let body = json!({"amount": 300, "metadata": {"who": "support"}, "status": "pending"});
    let refund = by_hand(&mut bench, &path, &body).body;
    assert_eq!(
        (&refund["object"], &refund["status"], &refund["metadata"]),
        (&json!("refund"), &json!("pending"), &json!({"who": "support"}))
    );
    assert_eq!(last_event(&bench)["type"], "charge.refunded");
    let row = bench.row();
    assert_eq!(
        (&row["captured_minor"], &row["refunded_minor"]),
        (&json!(700), &json!(300))
    );
    let story = bench.get("/ledger/pa_1").body;
    let causes: Vec<&Value> = story["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["cause"])
        .collect();
    assert_eq!(
        causes,
        [&Value::Null, &json!("dashboard"), &json!("dashboard")],
        "the ledger says who it was"
    );
}

#[test]
fn a_person_cancels() {
    let mut bench = Bench::new(json!({}));
    let id = held(&mut bench);
    let path = format!("payment_intents/{id}/cancel");
    let canceled = by_hand(&mut bench, &path, &json!({})).body;
    assert_eq!(
        (&canceled["status"], &canceled["cancellation_reason"]),
        (&json!("canceled"), &Value::Null)
    );
    assert_eq!(bench.row()["voids"], 1);
    assert_eq!(last_event(&bench)["type"], "payment_intent.canceled");
    let got = bench
        .stripe(&format!("payment_intents/{id}/capture"), "", "")
        .unwrap();
    assert_eq!(
        got.body["error"]["code"], "payment_intent_unexpected_state",
        "the API sees what the person did"
    );
}

#[test]
fn a_busy_account_has_other_payments() {
    let mut bench = Bench::new(json!({}));
    let ours = held(&mut bench);
    let body = json!({"amount": 5, "currency": "EUR", "status": "succeeded", "count": 150,
        "metadata": {"order": "9"}, "created": START_MS / 1000 + 1});
    let made = by_hand(&mut bench, "payment_intents", &body);
    assert_eq!(made.body["ids"].as_array().unwrap().len(), 150);
    assert_eq!(bench.webhooks.len(), 1, "only ours has told");
    let page = bench.stripe_get("payment_intents?limit=100").body;
    assert_eq!(page["has_more"], true);
    let row = &page["data"][0];
    assert_eq!(
        (&row["amount"], &row["currency"], &row["status"], &row["created"]),
        (
            &json!(5),
            &json!("eur"),
            &json!("succeeded"),
            &json!(START_MS / 1000 + 1)
        )
    );
    assert_eq!(row["metadata"], json!({"order": "9"}));
    assert!(row["latest_charge"].as_str().unwrap().starts_with("ch_"));
    let last = page["data"][99]["id"].as_str().unwrap();
    let next = bench
        .stripe_get(&format!("payment_intents?limit=100&starting_after={last}"))
        .body;
    assert_eq!(next["has_more"], false);
    assert_eq!(next["data"].as_array().unwrap().len(), 51);
    assert_eq!(next["data"][50]["id"], json!(ours), "ours is the oldest");
    let ledger = bench.get("/ledger").body;
    let id = made.body["ids"][0].as_str().unwrap();
    assert_eq!(ledger[id]["captured_minor"], 5);
    let story = bench.get(&format!("/ledger/{id}")).body;
    assert_eq!(story["events"][0]["cause"], "foreign");
    assert_eq!(bench.row()["authorizations"], 1);
}

#[test]
fn a_foreign_payment_has_each_status_and_tells_when_asked() {
    for (status, kind) in [
        ("requires_payment_method", "payment_intent.created"),
        ("requires_confirmation", "payment_intent.created"),
        ("requires_action", "payment_intent.requires_action"),
        ("requires_capture", "payment_intent.amount_capturable_updated"),
        ("succeeded", "payment_intent.succeeded"),
        ("canceled", "payment_intent.canceled"),
    ] {
        let mut bench = Bench::new(json!({}));
        let body = json!({"amount": 100, "currency": "gbp", "status": status, "webhooks": true,
            "metadata": {"attempt_id": "pa_1"}});
        let made = by_hand(&mut bench, "payment_intents", &body).body;
        let id = made["ids"][0].as_str().unwrap();
        let read = bench.stripe_get(&format!("payment_intents/{id}")).body;
        assert_eq!(read["status"], status);
        assert_eq!(bench.told(), [kind]);
        let authorizations = u64::from(["requires_capture", "succeeded"].contains(&status));
        let row = bench.row();
        assert_eq!(row["authorizations"].as_u64().unwrap_or(0), authorizations);
        if status == "requires_capture" {
            let path = format!("payment_intents/{id}/capture");
            assert_eq!(bench.stripe(&path, "", "").unwrap().body["status"], "succeeded");
        }
    }
}

#[test]
fn what_is_no_request_by_hand_is_refused() {
    let mut bench = Bench::new(json!({}));
    for (path, body) in [
        ("payment_intents", json!({"amount": 1})),
        ("payment_intents", json!({"amount": 1, "currency": "pound"})),
        ("payment_intents", json!({"amount": 0, "currency": "gbp"})),
        ("payment_intents", json!({"amount": 1, "currency": "isk"})),
        (
            "payment_intents",
            json!({"amount": 1, "currency": "gbp", "count": 1001}),
        ),
        (
            "payment_intents",
            json!({"amount": 1, "currency": "gbp", "color": "red"}),
        ),
        (
            "payment_intents",
            json!({"amount": 1, "currency": "gbp", "status": "processing"}),
        ),
        ("payment_intents/pi_1/refund", json!({"status": "lost"})),
        ("payment_intents/pi_1/capture", json!([1])),
    ] {
        assert_eq!(by_hand(&mut bench, path, &body).status, 400, "{path} {body}");
    }
    for path in [
        "",
        "payment_intents/pi_none/capture",
        "payment_intents/pi_none/refund",
        "payment_intents/pi_none/explode",
        "payment_intents/pi_none/capture/now",
        "captures/cap_none/reverse",
    ] {
        assert_eq!(by_hand(&mut bench, path, &json!({})).status, 404, "{path}");
    }
    assert_eq!(bench.get("/dashboard/payment_intents").status, 405);
    assert_eq!(bench.get("/ledger").body, json!({}));
}

#[test]
fn a_dispute_can_be_read() {
    let mut bench = Bench::new(json!({"thin_webhooks": true}));
    let id = held(&mut bench);
    by_hand(&mut bench, &format!("payment_intents/{id}/capture"), &json!({}));
    by_hand(
        &mut bench,
        &format!("payment_intents/{id}/dispute"),
        &json!({"amount": 400}),
    );
    let url = last_event(&bench)["related_object"]["url"].clone();
    let path = url.as_str().unwrap().trim_start_matches("/v1/").to_owned();
    let dispute = bench.stripe_get(&path).body;
    assert_eq!(
        (&dispute["object"], &dispute["payment_intent"], &dispute["amount"]),
        (&json!("dispute"), &json!(id), &json!(400))
    );
    assert_eq!(bench.stripe_get("disputes/dp_nobody").status, 404);
}
