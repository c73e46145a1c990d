//! `docs/http.md`, “Keys”, “Same body”, “Replays”, “Parallel duplicates”: what a key promises.

use pay_once_core::{Input, Reply, Routed, key_digest};

use crate::support::{
    CREATE, DAY_MS, Kind, Told, World, closed, code, config, json, not_sent, text, timeout,
};

#[test]
fn every_post_but_webhooks_needs_a_key() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    for target in [
        "/attempts".to_owned(),
        "/charge".to_owned(),
        format!("/attempts/{id}/authorize"),
        format!("/attempts/{id}/capture"),
        format!("/attempts/{id}/void"),
        format!("/attempts/{id}/resolve"),
    ] {
        let answer = world.send("POST", &target, &[], CREATE.as_bytes());
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (400, "IDEMPOTENCY_KEY_REQUIRED"),
            "{target}"
        );
    }
    assert_eq!(world.writes, 3, "nothing was changed");
    // A webhook needs none, nor does a read.
    assert_eq!(
        world
            .webhook(&serde_json::json!({"type": "x", "data": {"object": {}}}))
            .status,
        200
    );
    assert_eq!(
        world.send("GET", &format!("/attempts/{id}"), &[], b"").status,
        200
    );
}

#[test]
fn a_bare_token_and_a_string_are_one_key_and_any_other_spelling_is_another() {
    let mut world = World::new(Kind::Stripe);
    world.create();
    assert_eq!(world.post("/attempts", "\"k1\"", CREATE).status, 200);
    assert_eq!(world.post("/attempts", "K1", CREATE).status, 201);
}

#[test]
fn lists_and_repeated_lines_are_refused() {
    let mut world = World::new(Kind::Stripe);
    for headers in [
        &[("idempotency-key", "k1"), ("idempotency-key", "k1")][..],
        &[("idempotency-key", "k1, k2")],
        &[("idempotency-key", "")],
        &[("idempotency-key", "a b")],
        &[("idempotency-key", "\"k1\";p=1")],
        &[("idempotency-key", "cl\u{e9}")],
    ] {
        let answer = world.send("POST", "/attempts", headers, CREATE.as_bytes());
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (400, "IDEMPOTENCY_KEY_INVALID"),
            "{headers:?}"
        );
    }
    let long = "k".repeat(256);
    assert_eq!(
        code(&world.post("/attempts", &long, CREATE)),
        "IDEMPOTENCY_KEY_INVALID"
    );
    assert_eq!(world.writes, 0);
    assert_eq!(world.post("/attempts", &long[..255], CREATE).status, 201);
}

#[test]
fn an_echoed_key_reads_back_as_the_same_key() {
    let mut world = World::new(Kind::Stripe);
    for key in [
        "k1",
        "a=b",
        "\"a\\\"b,c;d\"",
        "\"back\\\\slash\"",
        "550e8400-e29b",
        "'q'",
        "{x}",
    ] {
        let first = world.post("/attempts", key, CREATE);
        assert_eq!(first.status, 201, "{key}: {}", text(&first));
        let echoed = first.header("Idempotency-Key").unwrap().to_owned();
        let again = world.post("/attempts", &echoed, CREATE);
        assert_eq!(again.status, 200, "{key} came back as {echoed}");
        assert_eq!(again.body, first.body);
    }
}

#[test]
fn a_key_with_another_operation_is_refused_with_no_effect() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let before = world.store.clone();
    let answer = world.op(id, "authorize", "k1");
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (409, "IDEMPOTENCY_KEY_REUSE")
    );
    let charge = world.post("/charge", "k1", CREATE);
    assert_eq!(
        (charge.status, code(&charge).as_str()),
        (409, "IDEMPOTENCY_KEY_REUSE")
    );
    assert_eq!((world.store.clone(), world.money_calls), (before, 0));
    // The neighbour: the same operation under a key of its own goes through.
    assert_eq!(world.op(id, "authorize", "k2").status, 200);
    assert_eq!(code(&world.op(id, "capture", "k2")), "IDEMPOTENCY_KEY_REUSE");
}

#[test]
fn a_key_is_scoped_to_merchant_and_resource() {
    let mut world = World::with(closed(Kind::Stripe), Kind::Stripe);
    let mut ids = Vec::new();
    for bearer in ["Bearer mk_demo", "Bearer mk_other"] {
        let headers = [("authorization", bearer), ("idempotency-key", "k1")];
        let answer = world.send("POST", "/attempts", &headers, CREATE.as_bytes());
        assert_eq!(answer.status, 201);
        ids.push(json(&answer)["attempt_id"].clone());
    }
    assert_ne!(ids[0], ids[1], "two merchants, two attempts");

    // The same key on two attempts of one merchant is two keys.
    let mut world = World::new(Kind::Stripe);
    let (a, b) = (world.create_with("a", CREATE), world.create_with("b", CREATE));
    assert_eq!(world.op(a, "authorize", "same").status, 200);
    let other = world.op(b, "authorize", "same");
    assert_eq!((other.status, other.header("Idempotency-Replayed")), (200, None));
}

#[test]
fn the_same_body_means_the_same_meaning() {
    let mut world = World::new(Kind::Stripe);
    world.create();
    let spaced = "{\n \"payment_method\":\"pm_card_visa\", \"currency\":\"GBP\",\"amount\" : 2599,\"order_id\":\"ord\\u005f123\"}";
    assert_eq!(
        world.post("/attempts", "k1", spaced).status,
        200,
        "order, white space and escapes do not matter"
    );
    for other in [
        CREATE.replace("2599", "2598"),
        CREATE.replace("GBP", "USD"),
        CREATE.replace("ord_123", "ord_124"),
        CREATE.replace("pm_card_visa", "pm_card_mc"),
        CREATE.replace('}', ",\"capture_method\":\"automatic\"}"),
        CREATE.replace('}', ",\"capture_method\":\"manual\"}"),
        CREATE.replace('}', ",\"metadata\":{\"a\":\"b\"}}"),
    ] {
        assert_eq!(
            code(&world.post("/attempts", "k1", &other)),
            "IDEMPOTENCY_KEY_REUSE",
            "{other}"
        );
    }
    assert_eq!(world.writes, 1);
}

#[test]
fn keys_never_expire_before_their_attempt_does() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let captured = world.op(id, "capture", "k3");
    world.now_ms += 400 * DAY_MS;
    let (writes, money) = (world.writes, world.money_calls);
    let late = world.op(id, "capture", "k3");
    assert_eq!((late.status, &late.body), (200, &captured.body));
    assert_eq!(world.post("/attempts", "k1", CREATE).status, 200);
    assert_eq!((world.writes, world.money_calls), (writes, money));
}

#[test]
fn replays_are_byte_for_byte_for_ever_and_cost_nothing() {
    let mut world = World::new(Kind::Stripe);
    let created = world.post("/attempts", "k1", CREATE);
    let id = world.create_again();
    let authorized = world.op(id, "authorize", "k2");
    world.now_ms += 5_000;
    let captured = world.op(id, "capture", "k3");
    assert_ne!(authorized.body, captured.body);
    let (writes, money) = (world.writes, world.money_calls);
    for _ in 0..3 {
        world.now_ms += 1_000;
        for (key, operation, first) in [("k2", "authorize", &authorized), ("k3", "capture", &captured)] {
            let replay = world.op(id, operation, key);
            assert_eq!(
                (replay.status, &replay.body),
                (first.status, &first.body),
                "{key}"
            );
            assert_eq!(replay.header("Idempotency-Replayed"), Some("true"));
        }
        let replay = world.post("/attempts", "k1", CREATE);
        assert_eq!((replay.status, &replay.body), (200, &created.body));
    }
    assert_eq!(
        (world.writes, world.money_calls),
        (writes, money),
        "no write, no call"
    );
}

impl World {
    fn create_again(&mut self) -> pay_once_core::AttemptId {
        let answer = self.post("/attempts", "k1", CREATE);
        assert_eq!(answer.status, 200);
        pay_once_core::AttemptId::parse(json(&answer)["attempt_id"].as_str().unwrap()).unwrap()
    }
}

#[test]
fn a_definite_decline_is_kept_for_replay() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create_with("k1", &CREATE.replace("visa", "declined"));
    let first = world.op(id, "authorize", "k2");
    assert_eq!((first.status, first.header("Idempotency-Replayed")), (402, None));
    let (writes, money) = (world.writes, world.money_calls);
    let replay = world.op(id, "authorize", "k2");
    assert_eq!((replay.status, &replay.body), (402, &first.body));
    assert_eq!(replay.header("Idempotency-Replayed"), Some("true"));
    assert_eq!((world.writes, world.money_calls), (writes, money));
}

#[test]
fn validation_errors_are_not_kept() {
    let mut world = World::new(Kind::Stripe);
    let wrong = CREATE.replace("2599", "-1");
    assert_eq!(world.post("/attempts", "k1", &wrong).status, 400);
    assert_eq!(
        world.post("/attempts", "k1", CREATE).status,
        201,
        "the key is still free"
    );

    let id = world.create_again();
    world.op(id, "authorize", "k2");
    let path = format!("/attempts/{id}/capture");
    assert_eq!(
        code(&world.post(&path, "k3", "{\"amount\":2600}")),
        "INVALID_AMOUNT"
    );
    assert_eq!(world.post(&path, "k3", "{\"amount\":2599}").status, 200);
}

#[test]
fn a_refusal_by_state_is_not_kept() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    assert_eq!(code(&world.op(id, "capture", "k3")), "INVALID_STATE");
    world.op(id, "authorize", "k2");
    assert_eq!(
        world.op(id, "capture", "k3").status,
        200,
        "the key was never bound"
    );
}

#[test]
fn a_retry_after_a_202_gets_the_news() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Hold);
    let early = world.op(id, "authorize", "k2");
    assert_eq!((early.status, early.header("Idempotency-Replayed")), (202, None));
    let still = world.op(id, "authorize", "k2");
    assert_eq!(still.status, 202, "nothing is known yet");
    world.release();
    let late = world.op(id, "authorize", "k2");
    assert_eq!(
        (late.status, late.header("Idempotency-Replayed")),
        (200, Some("true"))
    );
    assert_eq!(json(&late)["status"], "AUTHORIZED");
    assert_eq!(world.money_calls, 1);
}

#[test]
fn parallel_duplicates_wait_for_the_twin_and_never_call_again() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.create();
        // A class that prepares first makes its object; the act is what is held.
        if kind == Kind::StripeNoKeys {
            world.script.push_back(Told::Truth);
        }
        world.script.push_back(Told::Hold);
        let target = format!("/attempts/{id}/authorize");
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let Routed::Attempt { id, input } =
                world.route("POST", &target, &[("idempotency-key", "k2")], b"")
            else {
                panic!("routed");
            };
            match world.drive(id, input) {
                Reply::Wait { until_ms, pending } => {
                    assert_eq!(until_ms.get(), world.now_ms + 150, "the budget");
                    waiting.push(pending);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(world.money_calls, 1, "{kind:?}");
        world.now_ms += 100;
        world.release();
        let mut bodies = Vec::new();
        for (nth, pending) in waiting.into_iter().enumerate() {
            match world.drive(id, Input::Request(pending)) {
                Reply::Now(answer) => {
                    assert_eq!(answer.status, 200);
                    let replayed = answer.header("Idempotency-Replayed").is_some();
                    assert_eq!(replayed, nth > 0, "only the first is no replay");
                    bodies.push(answer.body);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(
            (world.money_calls, world.ledger.authorizations()),
            (1, 1),
            "{kind:?}"
        );
    }
}

#[test]
fn a_duplicate_that_is_too_early_gets_202_at_the_budget_and_not_a_millisecond_sooner() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Hold);
    let target = format!("/attempts/{id}/authorize");
    let Routed::Attempt { input, .. } = world.route("POST", &target, &[("idempotency-key", "k2")], b"")
    else {
        panic!("routed");
    };
    let Reply::Wait { until_ms, pending } = world.drive(id, input) else {
        panic!("waits")
    };
    world.now_ms = until_ms.get() - 1;
    assert!(matches!(
        world.drive(id, Input::Request(pending.clone())),
        Reply::Wait { .. }
    ));
    world.now_ms = until_ms.get();
    let Reply::Now(answer) = world.drive(id, Input::Request(pending)) else {
        panic!("answers")
    };
    assert_eq!(answer.status, 202);
}

#[test]
fn another_key_for_something_done_makes_no_second_effect() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let answer = world.op(id, "authorize", "again");
    assert_eq!((answer.status, code(&answer).as_str()), (409, "INVALID_STATE"));
    let error = &json(&answer)["error"];
    assert_eq!(
        error["attempt"]["status"], "AUTHORIZED",
        "with the attempt in the error"
    );
    assert_eq!(error["attempt"]["attempt_id"], id.to_string());
    assert_eq!(
        (&error["retryable"], &error["safe_new_key"]),
        (&false.into(), &false.into())
    );
    world.op(id, "capture", "k3");
    let (writes, money) = (world.writes, world.money_calls);
    for operation in ["capture", "authorize", "void"] {
        let answer = world.op(id, operation, "another");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (409, "INVALID_STATE"),
            "{operation}"
        );
        assert_eq!(json(&answer)["error"]["attempt"]["status"], "CAPTURED");
    }
    assert_eq!((world.writes, world.money_calls), (writes, money));
}

#[test]
fn another_key_while_one_is_under_way_is_told_to_come_back() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let answer = world.op(id, "authorize", "another");
    assert_eq!((answer.status, code(&answer).as_str()), (409, "INVALID_STATE"));
    assert_eq!(json(&answer)["error"]["retryable"], true);
    assert!(answer.header("Retry-After").is_some());
    assert_eq!(world.money_calls, 1);
}

#[test]
fn a_merchants_default_method_may_change_between_retries() {
    let mut config = config(Kind::Stripe);
    let settings = config.merchants.get_mut("demo").unwrap();
    settings.key_digests = vec![key_digest("x")];
    settings.default_payment_method = Some("pm_card_visa".to_owned());
    let mut world = World::with(config, Kind::Stripe);
    let bare = r#"{"amount":2599,"currency":"GBP"}"#;
    let first = world.post("/charge", "k1", bare);
    assert_eq!(first.status, 200);
    world
        .config
        .merchants
        .get_mut("demo")
        .unwrap()
        .default_payment_method = Some("pm_other".to_owned());
    let replay = world.post("/charge", "k1", bare);
    assert_eq!((replay.status, replay.body), (200, first.body));
}

#[test]
fn a_retry_after_a_lost_dispatch_is_one_effect() {
    for lost in [timeout(), not_sent()] {
        let mut world = World::new(Kind::Stripe);
        let id = world.create();
        world.script.push_back(match lost {
            pay_once_core::CallResult::NotSent { .. } => Told::Instead(lost),
            other => Told::Lost(other),
        });
        assert_eq!(world.op(id, "authorize", "k2").status, 202);
        world.settle(id, 3);
        assert_eq!(world.op(id, "authorize", "k2").status, 200);
        assert_eq!(world.ledger.authorizations(), 1);
    }
}
