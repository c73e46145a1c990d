use serde_json::json;

use crate::Method;
use crate::testing::{Bench, Got};

const DAHLIA: &str = "2026-07-29.dahlia";
const PAID: &str = "amount=1000&currency=gbp&confirm=true&payment_method=x";

fn post(bench: &mut Bench, path: &str, form: &str, version: Option<&str>) -> Got {
    let mut headers = vec![("authorization", "Bearer sk_test")];
    headers.extend(version.map(|version| ("stripe-version", version)));
    bench
        .send(Method::Post, &format!("/v1/{path}"), &headers, form.as_bytes())
        .unwrap()
}

#[test]
fn newer_versions_refuse_payment_method_types() {
    let mut bench = Bench::new(json!({}));
    let ready = post(&mut bench, "payment_intents", "amount=1&currency=gbp", None).body;
    let id = ready["id"].as_str().unwrap();
    let paths = [
        "payment_intents".to_owned(),
        format!("payment_intents/{id}"),
        format!("payment_intents/{id}/confirm"),
    ];
    let versions = [
        None,
        Some("2026-08-26.preview"),
        Some("2026-09-30.endive"),
        Some("2026-10-28.endive"),
    ];
    for version in versions {
        for path in &paths {
            let form = format!("{PAID}&payment_method_types[]=card");
            let got = post(&mut bench, path, &form, version);
            let error = &got.body["error"];
            assert_eq!(
                (got.status, &error["type"], &error["code"], &error["param"]),
                (
                    400,
                    &json!("invalid_request_error"),
                    &json!("payment_method_types_no_longer_supported"),
                    &json!("payment_method_types")
                ),
                "{version:?} {path}"
            );
            assert_eq!(
                got.header("Stripe-Version"),
                version.or(Some("2026-10-28.endive"))
            );
        }
    }
    assert_eq!(bench.get("/stats").body["effects"], 0);
}

#[test]
fn dahlia_takes_payment_method_types() {
    let mut bench = Bench::new(json!({}));
    let form = format!("{PAID}&payment_method_types[]=card");
    let got = post(&mut bench, "payment_intents", &form, Some(DAHLIA));
    assert_eq!(
        (got.status, &got.body["payment_method_types"]),
        (200, &json!(["card"]))
    );
    assert_eq!(got.header("Stripe-Version"), Some(DAHLIA));
    bench.turn(json!({"stripe_default_version": DAHLIA}));
    let got = post(&mut bench, "payment_intents", &form, None);
    assert_eq!(
        (got.status, got.header("Stripe-Version")),
        (200, Some(DAHLIA)),
        "the account's default version applies"
    );
    let ready = post(&mut bench, "payment_intents", "amount=1&currency=gbp", None).body;
    let confirm = format!("payment_intents/{}/confirm", ready["id"].as_str().unwrap());
    let form = "payment_method=x&payment_method_types[]=card&payment_method_types[]=link";
    let got = post(&mut bench, &confirm, form, None);
    assert_eq!(
        (got.status, &got.body["payment_method_types"]),
        (200, &json!(["card", "link"]))
    );
}

#[test]
fn allowed_types_exclude_the_older_parameter() {
    let mut bench = Bench::new(json!({}));
    for version in [DAHLIA, "2026-10-28.endive"] {
        let form = format!("{PAID}&allowed_payment_method_types[]=card");
        let got = post(&mut bench, "payment_intents", &form, Some(version));
        assert_eq!(
            (got.status, &got.body["allowed_payment_method_types"]),
            (200, &json!(["card"])),
            "{version}"
        );
    }
    let form = format!("{PAID}&allowed_payment_method_types[]=card&payment_method_types[]=card");
    let got = post(&mut bench, "payment_intents", &form, Some(DAHLIA));
    assert_eq!(
        (got.status, &got.body["error"]["param"]),
        (400, &json!("payment_method_types"))
    );
}

#[test]
fn an_unknown_version_is_refused() {
    let mut bench = Bench::new(json!({}));
    let got = post(&mut bench, "payment_intents", PAID, Some("2020-08-27"));
    assert_eq!(
        (got.status, &got.body["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    assert_eq!(got.header("Stripe-Version"), Some("2026-10-28.endive"));
    assert_eq!(bench.get("/stats").body["effects"], 0);
}
