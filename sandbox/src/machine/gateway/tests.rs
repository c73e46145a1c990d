//! Every fault token on both faces, and every random fault.

use serde_json::{Value, json};

use crate::Method;
use crate::testing::Bench;

fn bench() -> Bench {
    Bench::new(json!({}))
}

/// Authorizations in the ledger.
fn effects(bench: &mut Bench) -> u64 {
    bench.row()["authorizations"].as_u64().unwrap_or(0)
}

#[test]
fn hang_before_has_no_effect_and_happens_once() {
    let mut bench = bench();
    assert!(bench.pay("pm_sandbox_hang_before", "k").is_none());
    assert_eq!(effects(&mut bench), 0);
    let again = bench.pay("pm_sandbox_hang_before", "k").unwrap();
    assert!(again.status == 200 && !again.replayed);

    let mut bench = self::bench();
    assert!(bench.authorize("pm_sandbox_hang_before").is_none());
    assert_eq!(
        bench.authorize("pm_sandbox_hang_before").unwrap().body["status"],
        "approved"
    );
    assert_eq!(effects(&mut bench), 1);
}

#[test]
fn an_attempt_without_a_name_is_known_by_its_key() {
    let mut bench = bench();
    let form = "amount=1&currency=gbp&confirm=true&payment_method=pm_sandbox_hang_before";
    assert!(bench.stripe("payment_intents", form, "k").is_none());
    assert_eq!(bench.stripe("payment_intents", form, "k").unwrap().status, 200);
}

#[test]
fn hang_after_has_its_effect() {
    let mut bench = bench();
    assert!(bench.pay("pm_sandbox_hang_after", "k").is_none());
    assert_eq!(effects(&mut bench), 1);
    assert!(bench.pay("pm_sandbox_hang_after", "k").unwrap().replayed);
    assert_eq!(effects(&mut bench), 1);

    let mut bench = self::bench();
    assert!(bench.authorize("pm_sandbox_hang_after").is_none());
    assert_eq!(bench.authorize("pm_sandbox_hang_after").unwrap().status, 200);
    assert_eq!(effects(&mut bench), 2);
}

#[test]
fn a_confirm_is_hit_as_a_create_is() {
    let mut bench = bench();
    let form = "amount=1&currency=gbp&payment_method=pm_sandbox_hang_after&metadata[attempt_id]=pa_1";
    let id = bench.stripe("payment_intents", form, "a").unwrap().body["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        bench
            .stripe(&format!("payment_intents/{id}/confirm"), "", "b")
            .is_none()
    );
    assert_eq!(effects(&mut bench), 1);
    assert!(
        bench
            .stripe(&format!("payment_intents/{id}/confirm"), "", "b")
            .unwrap()
            .replayed
    );
}

#[test]
fn errors_before_and_after_the_effect() {
    for (token, effects_at_first) in [("pm_sandbox_500_before", 0), ("pm_sandbox_500_after", 1)] {
        let mut bench = bench();
        assert_eq!(bench.pay(token, "k").unwrap().status, 500);
        assert_eq!(effects(&mut bench), effects_at_first);
        let again = bench.pay(token, "k").unwrap();
        assert_eq!((again.status, again.replayed), (200, effects_at_first == 1));
        assert_eq!(effects(&mut bench), 1);

        let mut bench = self::bench();
        assert_eq!(bench.authorize(token).unwrap().status, 500);
        assert_eq!(bench.authorize(token).unwrap().status, 200);
        assert_eq!(effects(&mut bench), effects_at_first + 1);
    }
}

#[test]
fn a_cached_500_replays_for_ever() {
    let mut bench = bench();
    let first = bench.pay("pm_sandbox_500_cached", "k").unwrap();
    assert_eq!(
        (first.status, &first.body["error"]["type"]),
        (500, &json!("api_error"))
    );
    for _ in 0..2 {
        let again = bench.pay("pm_sandbox_500_cached", "k").unwrap();
        assert!(again.status == 500 && again.replayed);
    }
    assert_eq!(effects(&mut bench), 1);
}

#[test]
fn a_capture_that_failed_without_effect_is_cached_under_its_key_alone() {
    let mut bench = bench();
    let paid = bench.pay("pm_sandbox_capture_500_cached", "k").unwrap();
    let capture = format!("payment_intents/{}/capture", paid.body["id"].as_str().unwrap());
    for is_replay in [false, true] {
        let answer = bench.stripe(&capture, "", "c1").unwrap();
        assert_eq!((answer.status, answer.replayed), (500, is_replay));
    }
    assert_eq!(bench.row()["captures"], 0);
    assert_eq!(bench.stripe(&capture, "", "c2").unwrap().status, 200);
    assert_eq!(bench.row()["captures"], 1);
}

#[test]
fn a_429_has_no_effect() {
    let mut bench = bench();
    assert_eq!(bench.pay("pm_sandbox_429", "k").unwrap().status, 429);
    assert_eq!(effects(&mut bench), 0);
    assert_eq!(bench.pay("pm_sandbox_429", "k").unwrap().status, 200);
}

#[test]
fn garbage_and_truncation_hide_an_effect() {
    let mut bench = bench();
    let garbage = bench.pay("pm_sandbox_garbage", "k").unwrap();
    assert_eq!((garbage.status, garbage.body), (200, Value::Null));
    assert_eq!(effects(&mut bench), 1);
    assert_eq!(
        bench.pay("pm_sandbox_garbage", "k").unwrap().body["status"],
        "requires_capture"
    );

    let mut bench = self::bench();
    assert!(bench.pay("pm_sandbox_truncated", "k").unwrap().cut);
    let again = bench.pay("pm_sandbox_truncated", "k").unwrap();
    assert!(again.replayed && !again.cut);
    assert_eq!(effects(&mut bench), 1);
}

#[test]
fn a_late_request_lands_later_and_only_once_under_a_key() {
    let mut bench = Bench::new(json!({"max_in_flight_ms": 700}));
    assert!(bench.pay("pm_sandbox_late", "k").is_none());
    bench.wait(100);
    assert!(bench.pay("pm_sandbox_late", "k").is_none());
    bench.wait(599);
    assert_eq!(effects(&mut bench), 0);
    bench.wait(1);
    assert_eq!(effects(&mut bench), 1);
    assert!(bench.pay("pm_sandbox_late", "k").unwrap().replayed);
    bench.wait(100);
    assert_eq!(effects(&mut bench), 1);
    assert_eq!(bench.get("/ledger/pa_1").body["events"][0]["late"], true);
    assert_eq!(bench.told().len(), 1);

    let mut bench = self::bench();
    assert!(bench.authorize("pm_sandbox_late").is_none());
    assert!(bench.authorize("pm_sandbox_late").is_none());
    bench.wait(5_000);
    assert_eq!(effects(&mut bench), 2);
}

#[test]
fn slow_answers_late_with_the_effect_on_arrival() {
    let mut bench = bench();
    assert_eq!(bench.pay("pm_sandbox_slow", "k").unwrap().after_ms, 5_000);
    assert_eq!(effects(&mut bench), 1);
    assert_eq!(bench.pay("pm_sandbox_slow", "k").unwrap().status, 409);
}

#[test]
fn webhooks_come_first_thrice_or_alone() {
    let mut bench = bench();
    let first = bench.pay("pm_sandbox_webhook_first", "a").unwrap();
    assert!(bench.webhooks[0].after_ms < first.after_ms);

    let mut bench = self::bench();
    bench.pay("pm_sandbox_webhook_duplicate", "a").unwrap();
    assert_eq!(bench.webhooks.len(), 3);
    assert!(
        bench
            .webhooks
            .iter()
            .all(|webhook| webhook.body == bench.webhooks[0].body)
    );

    let mut bench = Bench::new(json!({"webhook_lost_permille": 1000}));
    assert!(bench.pay("pm_sandbox_webhook_only", "a").is_none());
    assert_eq!(bench.webhooks.len(), 1);
    bench.pay("pm_card_visa", "b").unwrap();
    assert_eq!(bench.webhooks.len(), 1);
}

#[test]
fn a_webhook_is_signed_over_its_bytes() {
    let mut bench = Bench::new(json!({"webhook_delay_ms": 2_000, "webhook_duplicates": 1}));
    bench.pay("pm_card_visa", "a").unwrap();
    assert_eq!(bench.webhooks.len(), 2);
    let webhook = &bench.webhooks[0];
    assert_eq!(
        (webhook.after_ms, webhook.url.as_str()),
        (2_000, "http://127.0.0.1:1/hooks/stripe")
    );
    let at_s = (bench.now_ms + 2_000) / 1000;
    let expected = crate::signature(b"whsec_sandbox", at_s, &webhook.body);
    assert!(webhook.headers.contains(&("Stripe-Signature", expected)));
    let event: Value = serde_json::from_slice(&webhook.body).unwrap();
    assert_eq!(
        (&event["object"], &event["data"]["object"]["object"]),
        (&json!("event"), &json!("payment_intent"))
    );
    bench.turn(json!({"webhooks_enabled": false}));
    bench.pay("pm_card_visa", "b").unwrap();
    assert_eq!(bench.webhooks.len(), 2);
}

#[test]
fn faults_of_capture_and_void_leave_the_authorization_alone() {
    let cases = [
        ("pm_sandbox_capture_hang_before", "capture", 0, None),
        ("pm_sandbox_capture_hang_after", "capture", 1, None),
        ("pm_sandbox_capture_500_after", "capture", 1, Some(500)),
        ("pm_sandbox_void_hang_after", "void", 1, None),
    ];
    for (token, verb, effects_at_first, status) in cases {
        let counted = format!("{verb}s");
        let mut bench = bench();
        let id = bench.pay(token, "a").unwrap().body["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = format!(
            "payment_intents/{id}/{}",
            if verb == "void" { "cancel" } else { verb }
        );
        assert_eq!(
            bench.stripe(&path, "", "b").map(|got| got.status),
            status,
            "{token}"
        );
        assert_eq!(bench.row()[&counted], effects_at_first, "{token}");
        assert_eq!(bench.stripe(&path, "", "b").unwrap().status, 200, "{token}");
        assert_eq!(bench.row()[&counted], 1, "{token}");

        let mut bench = self::bench();
        let id = bench.authorize(token).unwrap().body["psp_reference"].clone();
        let path = format!("/{verb}");
        assert_eq!(
            bench.act(&path, &id, 1000).map(|got| got.status),
            status,
            "{token}"
        );
        assert_eq!(bench.row()[&counted], effects_at_first, "{token}");
        assert_eq!(bench.act(&path, &id, 1000).unwrap().status, 200, "{token}");
    }
}

#[test]
fn a_capture_can_be_declined() {
    let mut bench = bench();
    let id = bench.pay("pm_sandbox_capture_declined", "a").unwrap().body["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let got = bench
        .stripe(&format!("payment_intents/{id}/capture"), "", "b")
        .unwrap();
    assert_eq!(
        (got.status, &got.body["error"]["code"]),
        (402, &json!("card_declined"))
    );
    assert_eq!(got.body["error"]["payment_intent"]["status"], "requires_capture");
    let row = bench.row();
    assert_eq!(
        (&row["captures"], &row["declines"], &row["live_authorizations"]),
        (&json!(0), &json!(1), &json!(1))
    );

    let mut bench = self::bench();
    let id = bench.authorize("pm_sandbox_capture_declined").unwrap().body["psp_reference"].clone();
    assert_eq!(
        bench.act("/capture", &id, 1000).unwrap().body["status"],
        "declined"
    );
    assert_eq!(bench.row()["captures"], 0);

    let mut bench = self::bench();
    let form = "amount=1&currency=gbp&confirm=true&payment_method=pm_sandbox_capture_declined";
    assert_eq!(bench.stripe("payment_intents", form, "a").unwrap().status, 402);
}

#[test]
fn a_forgotten_key_pays_twice() {
    let mut bench = bench();
    for _ in 0..2 {
        assert!(!bench.pay("pm_sandbox_key_forgotten", "k").unwrap().replayed);
    }
    assert_eq!(effects(&mut bench), 2);
}

#[test]
fn random_faults_follow_their_dials() {
    let cases = [
        ("hang_before_permille", 0, None),
        ("hang_after_permille", 1, None),
        ("error_before_permille", 0, Some(500)),
        ("error_after_permille", 1, Some(500)),
        ("garbage_permille", 1, Some(200)),
        ("throttle_permille", 0, Some(429)),
        ("read_only_permille", 0, Some(503)),
        ("late_permille", 0, None),
    ];
    for (dial, expected, status) in cases {
        for face in ["stripe", "acquirer"] {
            let mut bench = Bench::new(json!({dial: 1000}));
            let got = if face == "stripe" {
                bench.pay("x", "k")
            } else {
                bench.authorize("x")
            };
            assert_eq!(got.map(|got| got.status), status, "{dial} on {face}");
            assert_eq!(effects(&mut bench), expected, "{dial} on {face}");
            bench.wait(5_000);
            assert_eq!(
                effects(&mut bench),
                if dial == "late_permille" { 1 } else { expected }
            );
            // The key keeps the true answer, whatever the gateway did to it.
            bench.turn(json!({dial: 0}));
            if face == "stripe" {
                assert_eq!(bench.pay("x", "k").unwrap().status, 200);
                assert_eq!(effects(&mut bench), 1);
            }
        }
    }
}

#[test]
fn random_faults_come_at_their_rate_and_latency_in_its_range() {
    let mut bench = Bench::new(
        json!({"throttle_permille": 250, "latency_ms": {"min": 100, "max": 800}, "webhooks_enabled": false}),
    );
    let (mut throttled, mut latencies) = (0, Vec::new());
    for _ in 0..2_000 {
        let got = bench.authorize("x").unwrap();
        throttled += u32::from(got.status == 429);
        latencies.push(got.after_ms);
    }
    assert!((400..600).contains(&throttled), "{throttled}");
    assert!(latencies.iter().all(|ms| (100..=800).contains(ms)));
    assert!(latencies.iter().any(|ms| *ms < 150) && latencies.iter().any(|ms| *ms > 750));
}

#[test]
fn the_same_arguments_give_the_same_reactions() {
    let run = || {
        let mut bench = Bench::new(json!({"latency_ms": {"min": 0, "max": 99}, "hang_after_permille": 300}));
        let answers: Vec<String> = (0..50)
            .map(|key| format!("{:?}", bench.pay("x", &key.to_string())))
            .collect();
        (answers, bench.row(), bench.webhooks)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_call_may_be_executed_twice() {
    let mut bench = Bench::new(json!({"twice_permille": 1000, "acquirer_keyed": true}));
    let body = json!({"reference": "pa_1", "amount": 1000, "currency": "GBP", "payment_method": "x"});
    let held = bench.acquirer("/authorize", body.clone(), "k").unwrap().body["psp_reference"].clone();
    assert_eq!(effects(&mut bench), 2);
    let again = bench.acquirer("/authorize", body, "k").unwrap();
    assert!(again.replayed, "the key keeps the first answer");
    assert_eq!(again.body["psp_reference"], held);
    bench.act("/capture", &held, 400);
    assert_eq!(bench.row()["captured_minor"], 800);
    bench.pay("pm_card_visa", "k");
    assert_eq!(effects(&mut bench), 4);
    let listed = bench.stripe_get("payment_intents").body;
    assert_eq!(
        listed["data"].as_array().unwrap().len(),
        2,
        "each has an intent of its own"
    );
    let story = bench.get("/ledger/pa_1").body;
    let causes: Vec<&Value> = (0..6).map(|n| &story["events"][n]["cause"]).collect();
    let repeated = json!("repeated");
    assert_eq!(
        causes,
        [
            &Value::Null,
            &repeated,
            &Value::Null,
            &repeated,
            &Value::Null,
            &repeated
        ]
    );
    assert_eq!(story["events"][0]["id"], held);
}

#[test]
fn the_cardholder_knows_of_open_challenges() {
    let mut bench = bench();
    bench.authorize("x");
    assert!(bench.sandbox.open_challenges("pa_1").is_empty());
    bench.authorize("pm_card_authenticationRequired");
    let waiting = bench.pay("pm_card_authenticationRequired", "k").unwrap().body;
    let id = waiting["id"].as_str().unwrap().to_owned();
    let open = bench.sandbox.open_challenges("pa_1");
    assert_eq!(open.len(), 2);
    assert!(open.contains(&format!("/3ds/{id}")));
    for path in open {
        bench.send(Method::Post, &path, &[], b"success=true");
    }
    assert!(bench.sandbox.open_challenges("pa_1").is_empty());
    let charge = bench
        .sandbox
        .ledger()
        .find(|event| event.id.starts_with("ch_"))
        .unwrap();
    assert_eq!(bench.sandbox.object_of(&charge.id), id);
    assert_eq!(bench.sandbox.object_of("auth_1"), "auth_1");
}
