use serde_json::{Value, json};

use crate::testing::Bench;

/// Members of Stripe's own example of a PaymentIntent that are null here.
const NULL_IN_AN_INTENT: &[&str] = &[
    "application",
    "application_fee_amount",
    "automatic_payment_methods",
    "customer",
    "on_behalf_of",
    "payment_method_options",
    "processing",
    "receipt_email",
    "review",
    "setup_future_usage",
    "shipping",
    "source",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
];

#[test]
fn an_intent_has_the_members_that_stripe_always_shows() {
    let mut bench = Bench::new(json!({}));
    let intent = bench.pay("pm_card_visa", "").unwrap().body;
    for member in NULL_IN_AN_INTENT {
        assert_eq!(intent.get(member), Some(&Value::Null), "{member}");
    }
    assert_eq!(intent["confirmation_method"], "automatic");
    assert!(intent["latest_charge"].as_str().unwrap().starts_with("ch_"));
}

#[test]
fn an_expanded_charge_tells_how_it_went() {
    let mut bench = Bench::new(json!({}));
    let mut charge_of = |token: &str| {
        let form = format!(
            "amount=1000&currency=gbp&confirm=true&payment_method={token}&metadata[a]=b&expand[]=latest_charge"
        );
        let got = bench.stripe("payment_intents", &form, "").unwrap().body;
        // A refusal shows the intent with the charge's id alone, whatever was to be expanded.
        let id = got["id"]
            .as_str()
            .or(got["error"]["payment_intent"]["id"].as_str());
        let path = format!("payment_intents/{}?expand[]=latest_charge", id.unwrap());
        (
            bench.stripe_get(&path).body["latest_charge"].clone(),
            got["error"].clone(),
        )
    };
    let (paid, _) = charge_of("pm_card_visa");
    assert_eq!(
        (
            &paid["paid"],
            &paid["disputed"],
            &paid["failure_code"],
            &paid["status"]
        ),
        (&json!(true), &json!(false), &Value::Null, &json!("succeeded"))
    );
    assert_eq!(paid["metadata"], json!({"a": "b"}));
    assert_eq!(paid["payment_method_details"]["card"]["last4"], "4242");
    assert!(paid["billing_details"].is_object());

    let (declined, error) = charge_of("pm_card_chargeDeclined");
    assert_eq!(
        (&declined["paid"], &declined["failure_code"], &declined["status"]),
        (&json!(false), &json!("card_declined"), &json!("failed"))
    );
    assert_eq!(declined["failure_message"], error["message"]);
    assert_eq!(declined["id"], error["charge"]);
    assert_eq!(
        (
            &error["payment_method"]["type"],
            &error["payment_method"]["livemode"]
        ),
        (&json!("card"), &json!(false))
    );
    assert_eq!(
        error["doc_url"],
        "https://stripe.com/docs/error-codes/card-declined"
    );
}
