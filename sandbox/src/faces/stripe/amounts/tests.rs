use serde_json::json;

use crate::testing::{Bench, Got};

fn pay(bench: &mut Bench, amount: u64, currency: &str) -> Got {
    let form = format!(
        "amount={amount}&currency={currency}&capture_method=manual&confirm=true&payment_method=x\
         &metadata[attempt_id]=pa_1"
    );
    bench.stripe("payment_intents", &form, "k").unwrap()
}

fn refusal(got: &Got) -> (u16, &str, &str) {
    let error = &got.body["error"];
    (
        got.status,
        error["code"].as_str().unwrap_or_default(),
        error["param"].as_str().unwrap_or_default(),
    )
}

#[test]
fn amounts_are_in_stripes_units() {
    let cases = [
        ("isk", 500, true),
        ("isk", 501, false),
        ("ISK", 550, false),
        ("ugx", 500, true),
        ("ugx", 5, false),
        ("kwd", 1230, true),
        ("kwd", 1234, false),
        ("bhd", 1, false),
        ("jod", 11, false),
        ("omr", 10, true),
        ("tnd", 999, false),
        ("mga", 7, true),
        ("jpy", 7, true),
        ("krw", 1, true),
        ("gbp", 1, true),
        ("huf", 101, true),
    ];
    for (currency, amount, is_taken) in cases {
        let mut bench = Bench::new(json!({}));
        let got = pay(&mut bench, amount, currency);
        if is_taken {
            assert_eq!(got.status, 200, "{amount} {currency}");
            assert_eq!(bench.row()["amount_minor"], amount, "as it was sent");
        } else {
            let expected = (400, "invalid_charge_amount", "amount");
            assert_eq!(refusal(&got), expected, "{amount} {currency}");
            assert_eq!(bench.row(), json!(null));
            assert_eq!(
                pay(&mut bench, 1000, currency).status,
                200,
                "the key keeps no refusal"
            );
        }
    }
}

#[test]
fn parts_are_in_stripes_units_as_well() {
    let mut bench = Bench::new(json!({}));
    let held = pay(&mut bench, 1000, "isk").body;
    let id = held["id"].as_str().unwrap();
    let capture = format!("payment_intents/{id}/capture");
    let got = bench.stripe(&capture, "amount_to_capture=550", "c").unwrap();
    assert_eq!(refusal(&got), (400, "invalid_charge_amount", "amount_to_capture"));
    let got = bench.stripe(&capture, "amount_to_capture=500", "c").unwrap();
    assert_eq!(got.body["amount_received"], 500);
    let form = format!("payment_intent={id}&amount=1");
    let got = bench.stripe("refunds", &form, "r").unwrap();
    assert_eq!(refusal(&got), (400, "invalid_charge_amount", "amount"));
}

#[test]
fn amounts_below_the_least_are_refused() {
    let mut bench = Bench::new(json!({"min_amount_minor": 50}));
    let got = pay(&mut bench, 49, "gbp");
    assert_eq!(refusal(&got), (400, "amount_too_small", "amount"));
    let held = pay(&mut bench, 50, "gbp").body;
    let id = held["id"].as_str().unwrap();
    let capture = format!("payment_intents/{id}/capture");
    let got = bench.stripe(&capture, "amount_to_capture=49", "c").unwrap();
    assert_eq!(refusal(&got), (400, "amount_too_small", "amount_to_capture"));
    assert_eq!(bench.row()["captures"], 0);
    assert_eq!(
        bench.stripe(&capture, "", "c").unwrap().status,
        200,
        "the key keeps no refusal"
    );
    let form = format!("payment_intent={id}&amount=1");
    assert_eq!(bench.stripe("refunds", &form, "").unwrap().status, 200);
}
