use serde_json::{Value, json};

use crate::Method;
use crate::testing::{Bench, Got};

/// The id of a captured payment of 1000 for attempt `pa_1`.
fn captured(bench: &mut Bench) -> String {
    let form = "amount=1000&currency=gbp&confirm=true&payment_method=x&metadata[attempt_id]=pa_1";
    let paid = bench.stripe("payment_intents", form, "").unwrap().body;
    paid["id"].as_str().unwrap().to_owned()
}

fn refund(bench: &mut Bench, id: &str, more: &str) -> Got {
    bench
        .stripe("refunds", &format!("payment_intent={id}{more}"), "")
        .unwrap()
}

fn by_hand(bench: &mut Bench, path: &str) -> Got {
    bench
        .send(Method::Post, &format!("/dashboard/{path}"), &[], b"")
        .unwrap()
}

fn money(bench: &mut Bench) -> (Value, Value, Value) {
    let row = bench.row();
    (
        row["refunds"].clone(),
        row["refunded_minor"].clone(),
        row["live_authorizations"].clone(),
    )
}

#[test]
fn metadata_is_kept_and_shown() {
    let mut bench = Bench::new(json!({}));
    let id = captured(&mut bench);
    let made = refund(&mut bench, &id, "&amount=300&metadata[refund_id]=r_1").body;
    assert_eq!(made["metadata"], json!({"refund_id": "r_1"}));
    let list = bench.stripe_get(&format!("refunds?payment_intent={id}")).body;
    assert_eq!(
        (&list["data"][0]["metadata"], &list["data"][0]["status"]),
        (&json!({"refund_id": "r_1"}), &json!("succeeded"))
    );
    let path = format!("refunds/{}", made["id"].as_str().unwrap());
    assert_eq!(bench.stripe_get(&path).body, made);
    assert_eq!(bench.stripe_get("refunds/re_none").status, 404);
}

#[test]
fn a_pending_refund_ends_by_hand() {
    for (verb, status, refunds) in [("succeed", "succeeded", 1), ("fail", "failed", 0)] {
        let mut bench = Bench::new(json!({"refund_status": "pending", "refund_webhooks": true}));
        let id = captured(&mut bench);
        let made = refund(&mut bench, &id, "").body;
        assert_eq!(made["status"], "pending");
        assert_eq!(
            money(&mut bench),
            (json!(1), json!(1000), json!(0)),
            "a pending refund counts"
        );
        assert_eq!(
            refund(&mut bench, &id, "").body["error"]["code"],
            "charge_already_refunded"
        );
        let refund_id = made["id"].as_str().unwrap();
        let ended = by_hand(&mut bench, &format!("refunds/{refund_id}/{verb}"));
        assert_eq!((ended.status, &ended.body["status"]), (200, &json!(status)));
        let list = bench.stripe_get(&format!("refunds?payment_intent={id}")).body;
        assert_eq!(list["data"][0]["status"], status);
        assert_eq!(
            money(&mut bench),
            (json!(refunds), json!(1000 * refunds), json!(1 - refunds))
        );
        let told = bench.told();
        let mut expected = vec!["refund.created", "charge.refunded", "refund.updated"];
        expected.extend((verb == "fail").then_some("refund.failed"));
        assert_eq!(told[1..], expected);
        if verb == "fail" {
            assert_eq!(ended.body["failure_reason"], "unknown");
            assert_eq!(refund(&mut bench, &id, "").status, 200);
        }
        assert_eq!(
            by_hand(&mut bench, &format!("refunds/{refund_id}/succeed")).status,
            400
        );
    }
}

#[test]
fn a_refund_that_succeeded_fails_later() {
    let mut bench = Bench::new(json!({}));
    let id = captured(&mut bench);
    let made = refund(&mut bench, &id, "&amount=400").body;
    refund(&mut bench, &id, "&amount=100");
    let fail = format!("refunds/{}/fail", made["id"].as_str().unwrap());
    assert_eq!(by_hand(&mut bench, &fail).status, 200);
    assert_eq!(money(&mut bench), (json!(1), json!(100), json!(1)));
    let story = bench.get("/ledger/pa_1").body;
    let last = story["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["id"], &last["declined"], &last["cause"]),
        (&made["id"], &json!("refund_failed"), &json!("dashboard"))
    );
    assert_eq!(by_hand(&mut bench, &fail).status, 400);
    assert_eq!(by_hand(&mut bench, "refunds/re_none/fail").status, 404);
    assert_eq!(by_hand(&mut bench, &fail.replace("/fail", "/lose")).status, 404);
}

#[test]
fn a_refund_may_fail_at_once() {
    let mut bench = Bench::new(json!({"refund_status": "failed", "refund_webhooks": true}));
    let id = captured(&mut bench);
    let made = refund(&mut bench, &id, "");
    assert_eq!((made.status, &made.body["status"]), (200, &json!("failed")));
    assert_eq!(money(&mut bench), (json!(0), json!(0), json!(1)));
    assert_eq!(bench.told()[1..], ["refund.created", "refund.failed"]);
    bench.turn(json!({"refund_status": "succeeded"}));
    assert_eq!(refund(&mut bench, &id, "").body["amount"], 1000);
}

#[test]
fn states_that_allow_no_refund_name_no_parameter_and_are_kept() {
    let mut bench = Bench::new(json!({}));
    let id = captured(&mut bench);
    refund(&mut bench, &id, "&amount=1000");
    let form = format!("payment_intent={id}");
    for is_replay in [false, true] {
        let got = bench.stripe("refunds", &form, "k").unwrap();
        let error = &got.body["error"];
        assert_eq!(
            (got.status, &error["code"], &error["param"], got.replayed),
            (400, &json!("charge_already_refunded"), &Value::Null, is_replay)
        );
    }
}

#[test]
fn a_disputed_charge_is_not_refunded() {
    let mut bench = Bench::new(json!({}));
    let id = captured(&mut bench);
    let dispute = format!("payment_intents/{id}/dispute");
    let disputed = by_hand(&mut bench, &dispute);
    assert_eq!(
        (disputed.status, &disputed.body["latest_charge"]["disputed"]),
        (200, &json!(true))
    );
    let got = refund(&mut bench, &id, "");
    let error = &got.body["error"];
    assert_eq!(
        (got.status, &error["code"], &error["param"]),
        (400, &json!("charge_disputed"), &Value::Null)
    );
    assert_eq!(by_hand(&mut bench, &dispute).status, 400);
    assert_eq!(money(&mut bench), (json!(0), json!(0), json!(1)));
    let event: Value = serde_json::from_slice(&bench.webhooks[1].body).unwrap();
    let object = &event["data"]["object"];
    assert_eq!(
        (&event["type"], &object["object"], &object["payment_intent"]),
        (&json!("charge.dispute.created"), &json!("dispute"), &json!(id))
    );
    assert_eq!(object["metadata"], json!({}));
}

#[test]
fn refund_webhooks_carry_their_objects() {
    let mut bench = Bench::new(json!({"refund_webhooks": true}));
    let id = captured(&mut bench);
    let made = refund(&mut bench, &id, "&amount=300").body;
    let events: Vec<Value> = bench
        .webhooks
        .iter()
        .map(|webhook| serde_json::from_slice(&webhook.body).unwrap())
        .collect();
    assert_eq!(events[1]["type"], "refund.created");
    assert_eq!(events[1]["data"]["object"], made);
    let charge = &events[2]["data"]["object"];
    assert_eq!(
        (&events[2]["type"], &charge["object"], &charge["payment_intent"]),
        (&json!("charge.refunded"), &json!("charge"), &json!(id))
    );
    assert_eq!(charge["metadata"], json!({"attempt_id": "pa_1"}));
    assert_eq!(
        (&charge["amount_refunded"], &charge["refunded"]),
        (&json!(300), &json!(false))
    );

    let mut bench = Bench::new(json!({}));
    let id = captured(&mut bench);
    refund(&mut bench, &id, "");
    assert_eq!(bench.told(), ["payment_intent.succeeded"], "off at start");
}

#[test]
fn an_endpoint_may_be_told_of_failed_refunds_alone() {
    let mut bench = Bench::new(
        json!({"refund_status": "pending", "refund_webhooks": true, "refund_updated_webhooks": false}),
    );
    let id = captured(&mut bench);
    let made = refund(&mut bench, &id, "").body;
    let path = format!("refunds/{}/fail", made["id"].as_str().unwrap());
    assert_eq!(by_hand(&mut bench, &path).status, 200);
    let told = bench.told();
    assert!(told.contains(&"refund.failed".to_owned()), "{told:?}");
    assert!(!told.contains(&"refund.updated".to_owned()), "{told:?}");
}
