//! What the network and the PSP do to a call beyond the faults of tokens: second deliveries, reads that miss an object, lists that go
//! round, refused forms, an issuer that is away, events of creation.

use serde_json::{Value, json};

use crate::testing::Bench;

#[test]
fn a_second_delivery_without_a_key_is_a_second_effect_and_the_answer() {
    let mut bench = Bench::new(json!({"redelivered_permille": 1000}));
    let answered = bench.authorize("x").unwrap().body["psp_reference"].clone();
    let story = bench.get("/ledger/pa_1").body;
    assert_eq!(
        (&story["events"][0]["cause"], &story["events"][1]["cause"]),
        (&Value::Null, &json!("repeated"))
    );
    assert_eq!(story["events"][1]["id"], answered);
}

#[test]
fn a_second_delivery_under_a_key_that_is_honoured_is_a_replay() {
    let mut bench = Bench::new(json!({"redelivered_permille": 1000, "acquirer_keyed": true}));
    let body = json!({"reference": "pa_1", "amount": 1000, "currency": "GBP", "payment_method": "x"});
    assert_eq!(bench.acquirer("/authorize", body, "k").unwrap().status, 200);
    assert_eq!(bench.pay("pm_card_visa", "k").unwrap().status, 200);
    assert_eq!(bench.row()["authorizations"], 2, "one on each face");
}

#[test]
fn the_second_delivery_of_a_capture_is_told_that_it_was_captured() {
    let mut bench = Bench::new(json!({"refuse_second_capture": true}));
    let held = bench.authorize("x").unwrap().body["psp_reference"].clone();
    bench.turn(json!({"redelivered_permille": 1000}));
    let answer = bench.act("/capture", &held, 1000).unwrap().body;
    assert_eq!(
        (&answer["status"], &answer["code"]),
        (&json!("declined"), &json!("already_captured"))
    );
    assert_eq!(bench.row()["captured_minor"], 1000);
}

#[test]
fn a_second_delivery_may_be_rejected_though_the_first_had_its_effect() {
    let mut bench = Bench::new(json!({"redelivered_permille": 1000, "redelivered_status": 401}));
    assert_eq!(bench.pay("pm_card_visa", "k").unwrap().status, 401);
    assert_eq!(bench.row()["authorizations"], 1);
    bench.turn(json!({"redelivered_permille": 0}));
    assert!(bench.pay("pm_card_visa", "k").unwrap().replayed);
    assert_eq!(bench.row()["authorizations"], 1);
}

#[test]
fn a_read_may_miss_an_object_that_is_there() {
    let mut bench = Bench::new(json!({}));
    let id = bench.pay("pm_card_visa", "k").unwrap().body["id"].clone();
    let path = format!("payment_intents/{}", id.as_str().unwrap());
    bench.turn(json!({"read_missing_permille": 1000}));
    let missed = bench.stripe_get(&path);
    assert_eq!(
        (missed.status, &missed.body["error"]["code"]),
        (404, &json!("resource_missing"))
    );
    assert_eq!(bench.stripe_get("payment_intents").body["data"][0]["id"], id);
    bench.turn(json!({"read_missing_permille": 0}));
    assert_eq!(bench.stripe_get(&path).body["id"], id);
}

#[test]
fn a_list_may_go_round() {
    let mut bench = Bench::new(json!({"list_page_max": 1, "list_stuck_permille": 1000}));
    bench.pay("pm_card_visa", "a");
    bench.pay("pm_card_visa", "b");
    let first = bench.stripe_get("payment_intents").body;
    let after = first["data"][0]["id"].as_str().unwrap();
    let next = bench
        .stripe_get(&format!("payment_intents?starting_after={after}"))
        .body;
    assert_eq!((&next["data"], &next["has_more"]), (&first["data"], &json!(true)));
}

#[test]
fn a_refusal_may_name_the_amount() {
    let mut bench = Bench::new(json!({"reject_status": 400, "reject_names_amount": true}));
    let refused = bench.pay("pm_card_visa", "k").unwrap();
    assert_eq!(
        (refused.status, &refused.body["error"]["param"]),
        (400, &json!("amount"))
    );
    let refused = bench.authorize("x").unwrap();
    assert_eq!(
        (refused.status, &refused.body["error"]["field"]),
        (400, &json!("amount"))
    );
    assert_eq!(bench.row(), Value::Null);
}

#[test]
fn a_refusal_may_ask_for_a_retry() {
    let mut bench =
        Bench::new(json!({"reject_status": 400, "reject_names_amount": true, "reject_should_retry": true}));
    let refused = bench.pay("pm_card_visa", "k").unwrap();
    assert_eq!(
        (refused.status, refused.header("Stripe-Should-Retry")),
        (400, Some("true"))
    );
    bench.turn(json!({"reject_permille": 0}));
    let paid = bench.pay("pm_card_visa", "k").unwrap();
    assert_eq!((paid.status, paid.header("Stripe-Should-Retry")), (200, None));
}

#[test]
fn an_issuer_may_decline_what_it_approves_at_other_times() {
    let mut bench = Bench::new(json!({"decline_permille": 1000}));
    assert_eq!(bench.authorize("x").unwrap().body["code"], "issuer_not_available");
    let declined = bench.pay("pm_card_visa", "a").unwrap();
    assert_eq!(
        (declined.status, &declined.body["error"]["decline_code"]),
        (402, &json!("issuer_not_available"))
    );
    bench.turn(json!({"decline_permille": 0}));
    assert_eq!(bench.authorize("x").unwrap().body["status"], "approved");
    assert_eq!(bench.pay("pm_card_visa", "b").unwrap().status, 200);
}

#[test]
fn the_creation_of_an_intent_may_be_told_before_its_authorization() {
    let mut bench = Bench::new(json!({"created_webhooks": true}));
    bench.pay("pm_card_visa", "k");
    let kinds: Vec<Value> = bench
        .webhooks
        .iter()
        .map(|webhook| serde_json::from_slice::<Value>(&webhook.body).unwrap()["type"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "payment_intent.created",
            "payment_intent.amount_capturable_updated"
        ]
    );
}
