use serde_json::{Value, json};

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
