use serde_json::json;

use crate::testing::{Bench, START_MS};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn bench() -> Bench {
    Bench::new(json!({}))
}

#[test]
fn a_manual_payment_is_authorized_captured_and_refunded() {
    let mut bench = bench();
    let intent = bench.pay("pm_card_visa", "a").unwrap().body;
    assert_eq!(intent["status"], "requires_capture");
    assert_eq!(intent["amount_capturable"], 1000);
    assert_eq!(intent["created"], START_MS / 1000);
    let id = intent["id"].as_str().unwrap();

    let captured = bench
        .stripe(
            &format!("payment_intents/{id}/capture"),
            "amount_to_capture=700",
            "b",
        )
        .unwrap()
        .body;
    assert_eq!(captured["status"], "succeeded");
    assert_eq!(captured["amount_received"], 700);
    assert_eq!(captured["amount_capturable"], 0);
    let again = bench
        .stripe(&format!("payment_intents/{id}/capture"), "", "c")
        .unwrap();
    assert_eq!(again.status, 400);
    assert_eq!(again.body["error"]["code"], "payment_intent_unexpected_state");
    assert_eq!(again.body["error"]["payment_intent"]["status"], "succeeded");

    let part = bench
        .stripe("refunds", &format!("payment_intent={id}&amount=200"), "d")
        .unwrap();
    assert_eq!((part.status, &part.body["amount"]), (200, &json!(200)));
    assert_eq!(bench.row()["live_authorizations"], 1);
    let too_much = bench
        .stripe("refunds", &format!("payment_intent={id}&amount=501"), "e")
        .unwrap();
    assert_eq!(too_much.body["error"]["param"], "amount");
    bench
        .stripe("refunds", &format!("payment_intent={id}"), "f")
        .unwrap();
    let none_left = bench
        .stripe("refunds", &format!("payment_intent={id}"), "g")
        .unwrap();
    assert_eq!(none_left.body["error"]["code"], "charge_already_refunded");
    let refunds = bench.stripe_get(&format!("refunds?payment_intent={id}")).body;
    assert_eq!(refunds["data"].as_array().unwrap().len(), 2);

    let charge = bench
        .stripe_get(&format!("payment_intents/{id}?expand[]=latest_charge"))
        .body["latest_charge"]
        .clone();
    assert_eq!(charge["refunded"], true);
    assert_eq!(charge["captured"], true);
    assert_eq!(
        charge["payment_method_details"]["card"]["capture_before"],
        (START_MS + 7 * DAY_MS) / 1000
    );
    assert_eq!(
        bench.row(),
        json!({"authorizations": 1, "live_authorizations": 0, "captures": 1, "captured_minor": 700, "voids": 0,
               "refunds": 2, "refunded_minor": 700, "declines": 0, "currency": "GBP", "amount_minor": 1000})
    );
    assert_eq!(
        bench.told(),
        [
            "payment_intent.amount_capturable_updated",
            "payment_intent.succeeded"
        ]
    );
}

#[test]
fn an_automatic_payment_captures_at_once() {
    let mut bench = bench();
    let form = "amount=5&currency=EUR&confirm=true&payment_method=tok_visa&metadata[attempt_id]=pa_1&description=x\
                &payment_method_types[]=card&return_url=https://shop.example/back";
    bench.turn(json!({"stripe_default_version": "2026-07-29.dahlia"}));
    let intent = bench.stripe("payment_intents", form, "").unwrap().body;
    assert_eq!(intent["status"], "succeeded");
    assert_eq!(intent["amount_received"], 5);
    assert_eq!(intent["currency"], "eur");
    let row = bench.row();
    assert_eq!((&row["authorizations"], &row["captures"]), (&json!(1), &json!(1)));
}

#[test]
fn an_intent_is_prepared_first_and_confirmed_later() {
    let mut bench = bench();
    let bare = bench
        .stripe("payment_intents", "amount=5&currency=eur", "")
        .unwrap()
        .body;
    assert_eq!(bare["status"], "requires_payment_method");
    let confirm = format!("payment_intents/{}/confirm", bare["id"].as_str().unwrap());
    assert_eq!(bench.stripe(&confirm, "", "").unwrap().status, 400);
    assert_eq!(
        bench.stripe(&confirm, "payment_method=x", "").unwrap().body["status"],
        "succeeded"
    );
    assert_eq!(
        bench.stripe(&confirm, "payment_method=x", "").unwrap().status,
        400
    );

    let ready = bench
        .stripe("payment_intents", "amount=5&currency=eur&payment_method=x", "")
        .unwrap()
        .body;
    assert_eq!(ready["status"], "requires_confirmation");
    // Without metadata the intent itself names the attempt.
    let ledger = bench.get("/ledger").body;
    assert_eq!(ledger[bare["id"].as_str().unwrap()]["authorizations"], 1);
}

#[test]
fn a_decline_is_402_with_the_intent_and_can_be_tried_again() {
    let mut bench = bench();
    let got = bench.pay("pm_card_chargeDeclinedInsufficientFunds", "a").unwrap();
    assert_eq!(got.status, 402);
    let error = &got.body["error"];
    assert_eq!(error["type"], "card_error");
    assert_eq!(error["code"], "card_declined");
    assert_eq!(error["decline_code"], "insufficient_funds");
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(
        error["payment_intent"]["last_payment_error"]["decline_code"],
        "insufficient_funds"
    );
    assert!(
        bench
            .pay("pm_card_chargeDeclinedInsufficientFunds", "a")
            .unwrap()
            .replayed
    );

    let confirm = format!(
        "payment_intents/{}/confirm",
        error["payment_intent"]["id"].as_str().unwrap()
    );
    let got = bench
        .stripe(&confirm, "payment_method=pm_card_visa", "b")
        .unwrap();
    assert_eq!(got.body["status"], "requires_capture");
    assert_eq!(got.body["last_payment_error"], json!(null));
    let row = bench.row();
    assert_eq!((&row["declines"], &row["authorizations"]), (&json!(1), &json!(1)));
    assert_eq!(bench.told()[0], "payment_intent.payment_failed");
}

#[test]
fn without_an_address_to_come_back_to_no_page_is_named() {
    let mut bench = bench();
    let intent = bench.pay("pm_card_authenticationRequired", "a").unwrap().body;
    assert_eq!(intent["status"], "requires_action");
    assert_eq!(
        intent["next_action"],
        json!({"type": "use_stripe_sdk", "use_stripe_sdk": {}})
    );
}

#[test]
fn three_d_secure_ends_either_way() {
    for success in [true, false] {
        let mut bench = bench();
        let form = "amount=1000&currency=gbp&capture_method=manual&confirm=true&metadata[attempt_id]=pa_1\
                    &payment_method=pm_card_authenticationRequired&return_url=https://shop.example/back";
        let intent = bench.stripe("payment_intents", form, "a").unwrap().body;
        assert_eq!(intent["status"], "requires_action");
        let id = intent["id"].as_str().unwrap();
        let url = intent["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
        assert!(url.ends_with(&format!("/3ds/{id}")), "{url}");
        assert_eq!(bench.row(), json!(null));

        let path = format!("payment_intents/{id}/_authenticate");
        let got = bench
            .stripe(&path, &format!("success={success}"), "")
            .unwrap()
            .body;
        if success {
            assert_eq!(got["status"], "requires_capture");
            assert_eq!(bench.row()["authorizations"], 1);
        } else {
            assert_eq!(got["status"], "requires_payment_method");
            assert_eq!(
                got["last_payment_error"]["code"],
                "payment_intent_authentication_failure"
            );
        }
        assert_eq!(bench.stripe(&path, "success=true", "").unwrap().status, 400);
        assert_eq!(bench.told()[0], "payment_intent.requires_action");
    }
}

#[test]
fn a_cancel_releases_and_ends() {
    let mut bench = bench();
    let intent = bench.pay("pm_card_visa", "a").unwrap().body;
    let path = format!("payment_intents/{}/cancel", intent["id"].as_str().unwrap());
    let got = bench
        .stripe(&path, "cancellation_reason=abandoned", "b")
        .unwrap()
        .body;
    assert_eq!(got["status"], "canceled");
    assert_eq!(got["cancellation_reason"], "abandoned");
    assert_eq!(got["canceled_at"], START_MS / 1000);
    assert_eq!(bench.stripe(&path, "", "c").unwrap().status, 400);
    let row = bench.row();
    assert_eq!(
        (&row["voids"], &row["live_authorizations"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(bench.told().last().unwrap(), "payment_intent.canceled");
}

#[test]
fn an_authorization_lapses() {
    let mut bench = bench();
    let soon = bench.pay("pm_sandbox_expires_soon", "a").unwrap().body;
    let late = bench.pay("pm_card_visa", "b").unwrap().body;
    bench.wait(19_999);
    assert_eq!(bench.row()["live_authorizations"], 2);
    bench.wait(1);
    let soon = bench
        .stripe_get(&format!("payment_intents/{}", soon["id"].as_str().unwrap()))
        .body;
    assert_eq!(
        (&soon["status"], &soon["cancellation_reason"]),
        (&json!("canceled"), &json!("automatic"))
    );
    let row = bench.row();
    assert_eq!(
        (&row["live_authorizations"], &row["voids"]),
        (&json!(1), &json!(0))
    );

    bench.now_ms += 7 * DAY_MS;
    let reaction = bench.sandbox.fire(bench.now_ms, &crate::Timed::Tick);
    assert!(reaction.log.is_some() && reaction.answer.is_none());
    let late = bench
        .stripe_get(&format!("payment_intents/{}", late["id"].as_str().unwrap()))
        .body;
    assert_eq!(late["status"], "canceled");
}

#[test]
fn a_lapse_is_called_what_the_dial_says() {
    let mut bench = Bench::new(json!({"lapse_reason": "expired"}));
    let soon = bench.pay("pm_sandbox_expires_soon", "a").unwrap().body;
    bench.wait(20_000);
    let path = format!("payment_intents/{}", soon["id"].as_str().unwrap());
    let lapsed = bench.stripe_get(&path).body;
    assert_eq!(
        (&lapsed["status"], &lapsed["cancellation_reason"]),
        (&json!("canceled"), &json!("expired"))
    );
}

#[test]
fn a_capture_of_a_part_may_capture_the_whole() {
    let mut bench = bench();
    let held = bench.pay("pm_sandbox_captures_all", "a").unwrap().body;
    let capture = format!("payment_intents/{}/capture", held["id"].as_str().unwrap());
    let taken = bench.stripe(&capture, "amount_to_capture=300", "b").unwrap().body;
    assert_eq!(
        (&taken["status"], &taken["amount_received"]),
        (&json!("succeeded"), &json!(1000))
    );
    assert_eq!(bench.row()["captured_minor"], 1000);
    let whole = bench.pay("pm_sandbox_partial_approval", "c").unwrap().body;
    assert_eq!(whole["amount_capturable"], 1000);
}

#[test]
fn a_key_replays_refuses_and_is_forgotten() {
    let mut bench = bench();
    let first = bench.pay("pm_card_visa", "k").unwrap();
    let second = bench.pay("pm_card_visa", "k").unwrap();
    assert!(second.replayed && !first.replayed);
    assert_eq!(first.body, second.body);
    let other = bench.pay("pm_card_other", "k").unwrap();
    assert_eq!(
        (other.status, &other.body["error"]["type"]),
        (400, &json!("idempotency_error"))
    );
    assert_eq!(bench.row()["authorizations"], 1);

    bench.wait(DAY_MS - 1);
    assert!(bench.pay("pm_card_visa", "k").unwrap().replayed);
    bench.wait(1);
    assert!(!bench.pay("pm_card_visa", "k").unwrap().replayed);
    assert_eq!(bench.row()["authorizations"], 2);
    bench.wait(DAY_MS - 1);
    assert!(
        bench.pay("pm_card_visa", "k").unwrap().replayed,
        "the second use has a horizon of its own"
    );
    let stats = bench.get("/stats").body;
    assert_eq!(
        (&stats["money_calls"], &stats["effects"], &stats["replays"]),
        (&json!(6), &json!(2), &json!(3))
    );
}

#[test]
fn a_key_is_in_use_until_the_first_answer() {
    let mut bench = Bench::new(json!({"latency_ms": {"min": 100, "max": 100}}));
    assert_eq!(bench.pay("pm_card_visa", "k").unwrap().after_ms, 100);
    bench.wait(99);
    let twin = bench.pay("pm_card_visa", "k").unwrap();
    assert_eq!(
        (twin.status, &twin.body["error"]["code"]),
        (409, &json!("idempotency_key_in_use"))
    );
    bench.wait(1);
    assert!(bench.pay("pm_card_visa", "k").unwrap().replayed);
}

#[test]
fn refusals_before_execution_are_not_kept() {
    let mut bench = bench();
    assert_eq!(
        bench
            .stripe("payment_intents", "amount=0&currency=gbp", "k")
            .unwrap()
            .status,
        400
    );
    assert_eq!(
        bench
            .stripe("payment_intents/pi_none/capture", "", "k")
            .unwrap()
            .status,
        404
    );
    assert_eq!(bench.pay("pm_card_visa", "k").unwrap().status, 200);
}
