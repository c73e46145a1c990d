use serde_json::json;

use crate::testing::Bench;

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
