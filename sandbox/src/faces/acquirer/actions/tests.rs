use serde_json::{Value, json};

use crate::testing::Bench;

#[test]
fn a_part_is_approved() {
    let mut bench = Bench::new(json!({}));
    let body = json!({"reference": "pa_1", "amount": 1001, "currency": "GBP",
        "payment_method": "pm_sandbox_partial_approval"});
    let approved = bench.acquirer("/authorize", body, "").unwrap().body;
    assert_eq!(
        (&approved["status"], &approved["amount"]),
        (&json!("approved"), &json!(251))
    );
    assert_eq!(
        bench.get("/lookup?reference=pa_1").body["authorize"][0]["amount"],
        251
    );
    let id = &approved["psp_reference"];
    let too_much = bench.act("/capture", id, 252).unwrap().body;
    assert_eq!(too_much["code"], "amount_too_large");
    assert_eq!(bench.act("/capture", id, 251).unwrap().body["status"], "approved");
    assert_eq!(bench.row()["amount_minor"], 251);
}

#[test]
fn a_capture_of_a_part_may_capture_the_whole() {
    let mut bench = Bench::new(json!({}));
    let id = bench.authorize("pm_sandbox_captures_all").unwrap().body["psp_reference"].clone();
    let taken = bench.act("/capture", &id, 300).unwrap().body;
    assert_eq!(
        (&taken["status"], &taken["amount"]),
        (&json!("approved"), &json!(1000))
    );
    let told: Value = serde_json::from_slice(&bench.webhooks[1].body).unwrap();
    assert_eq!(told["amount"], 1000);
    assert_eq!(
        bench.get("/lookup?reference=pa_1").body["capture"][0]["amount"],
        1000
    );
    assert_eq!(bench.row()["captured_minor"], 1000);
}

#[test]
fn amounts_below_the_least_are_refused() {
    let mut bench = Bench::new(json!({"min_amount_minor": 50, "acquirer_keyed": true}));
    let body = |amount: u64| json!({"reference": "pa_1", "amount": amount, "currency": "GBP", "payment_method": "x"});
    let got = bench.acquirer("/authorize", body(49), "k").unwrap();
    let error = &got.body["error"];
    assert_eq!(
        (got.status, &error["code"], &error["field"]),
        (400, &json!("amount_too_small"), &json!("amount"))
    );
    let approved = bench.acquirer("/authorize", body(50), "k").unwrap();
    assert_eq!(approved.body["status"], "approved", "the key keeps no refusal");
    let id = &approved.body["psp_reference"];
    assert_eq!(bench.act("/capture", id, 49).unwrap().status, 400);
    assert_eq!(bench.act("/void", id, 49).unwrap().body["status"], "approved");
}
