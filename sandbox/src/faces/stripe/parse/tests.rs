use serde_json::json;

use crate::Method;
use crate::testing::Bench;

#[test]
fn bad_parameters_are_named() {
    let mut bench = Bench::new(json!({}));
    let cases = [
        ("currency=gbp", "parameter_missing", "amount"),
        ("amount=ten&currency=gbp", "parameter_invalid_integer", "amount"),
        ("amount=-1&currency=gbp", "parameter_invalid_integer", "amount"),
        (
            "amount=9007199254740992&currency=gbp",
            "amount_too_large",
            "amount",
        ),
        ("amount=1&currency=pound", "parameter_invalid_string", "currency"),
        ("amount=1&currency=", "parameter_invalid_empty", "currency"),
        (
            "amount=1&currency=gbp&confirm=yes",
            "parameter_invalid_boolean",
            "confirm",
        ),
        (
            "amount=1&currency=gbp&confirm=true",
            "parameter_missing",
            "payment_method",
        ),
        (
            "amount=1&currency=gbp&capture_method=later",
            "parameter_invalid_string",
            "capture_method",
        ),
        (
            "amount=1&currency=gbp&expand[]=customer",
            "parameter_invalid_string",
            "expand",
        ),
        (
            "amount=1&currency=gbp&return_url=javascript:x",
            "url_invalid",
            "return_url",
        ),
        (
            "amount=1&currency=gbp&return_url=https://shop.example",
            "parameter_unknown",
            "return_url",
        ),
        ("amount=1&currency=gbp&color=red", "parameter_unknown", "color"),
    ];
    for (form, code, param) in cases {
        let got = bench.stripe("payment_intents", form, "").unwrap();
        let error = &got.body["error"];
        assert_eq!(
            (got.status, &error["code"], &error["param"]),
            (400, &json!(code), &json!(param)),
            "{form}"
        );
    }
    let intent = bench.pay("x", "").unwrap().body;
    let capture = format!("payment_intents/{}/capture", intent["id"].as_str().unwrap());
    let got = bench.stripe(&capture, "amount_to_capture=1001", "").unwrap();
    assert_eq!(got.body["error"]["param"], "amount_to_capture");
}

#[test]
fn addresses_and_credentials_are_checked() {
    let mut bench = Bench::new(json!({}));
    for headers in [
        &[][..],
        &[("authorization", "Bearer ")][..],
        &[("authorization", "Basic eA==")][..],
    ] {
        assert_eq!(
            bench
                .send(Method::Get, "/v1/payment_intents", headers, b"")
                .unwrap()
                .status,
            401
        );
    }
    let missing = bench.stripe_get("payment_intents/pi_none");
    assert_eq!(
        (missing.status, &missing.body["error"]["code"]),
        (404, &json!("resource_missing"))
    );
    assert_eq!(bench.stripe_get("charges").status, 404);
    assert_eq!(
        bench
            .stripe("payment_intents/pi_1/explode", "", "")
            .unwrap()
            .status,
        404
    );
    assert_eq!(bench.stripe_get("payment_intents/pi_1/capture/now").status, 404);
    assert_eq!(
        bench
            .stripe("refunds", "payment_intent=pi_none", "")
            .unwrap()
            .status,
        404
    );
}
