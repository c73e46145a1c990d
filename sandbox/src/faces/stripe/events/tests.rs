use serde_json::{Value, json};

use crate::Method;
use crate::testing::Bench;

#[test]
fn thin_events_name_the_object_and_nothing_else() {
    let mut bench = Bench::new(json!({"thin_webhooks": true, "refund_webhooks": true}));
    let form = "amount=1000&currency=gbp&confirm=true&payment_method=x&metadata[attempt_id]=pa_1";
    let paid = bench.stripe("payment_intents", form, "k").unwrap().body;
    let id = paid["id"].as_str().unwrap();
    let refund = bench
        .stripe("refunds", &format!("payment_intent={id}&amount=1"), "")
        .unwrap()
        .body;
    let refund = refund["id"].as_str().unwrap();
    let path = format!("/dashboard/payment_intents/{id}/dispute");
    bench.send(Method::Post, &path, &[], b"").unwrap();
    let events: Vec<Value> = bench
        .webhooks
        .iter()
        .map(|webhook| serde_json::from_slice(&webhook.body).unwrap())
        .collect();
    assert_eq!(
        events[0],
        json!({
            "id": events[0]["id"],
            "object": "v2.core.event",
            "type": "v1.payment_intent.succeeded",
            "created": "2023-11-14T22:13:20.000Z",
            "livemode": false,
            "related_object": {"id": id, "type": "payment_intent", "url": format!("/v1/payment_intents/{id}")},
        })
    );
    assert!(events[0]["id"].as_str().unwrap().starts_with("evt_"));
    assert_eq!(
        (&events[1]["type"], &events[1]["related_object"]),
        (
            &json!("v1.refund.created"),
            &json!({"id": refund, "type": "refund", "url": format!("/v1/refunds/{refund}")})
        )
    );
    let kinds: Vec<&Value> = events[2..].iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["v1.charge.refunded", "v1.charge.dispute.created"]);
    let got = bench.stripe_get(&format!("payment_intents/{id}"));
    assert_eq!(got.body["id"], id, "the address leads to the object");
}

#[test]
fn events_are_written_in_the_accounts_default_version() {
    let mut bench = Bench::new(json!({"stripe_default_version": "2026-09-30.endive"}));
    bench.pay("x", "").unwrap();
    let event: Value = serde_json::from_slice(&bench.webhooks[0].body).unwrap();
    assert_eq!(event["api_version"], "2026-09-30.endive");
}
