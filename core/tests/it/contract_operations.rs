//! `docs/http.md`: the endpoints one by one, statuses, `charge_state`, the time budget, and what each costs in durable writes
//! and calls that move money (`docs/store.md`, “Writes”).

use pay_once_core::journal::entry::Operation;
use pay_once_core::{Input, Routed};
use serde_json::Value;

use crate::support::{CREATE, Kind, Told, World, answered, code, config, json, text, timeout};

#[test]
fn a_manual_payment_is_five_writes_and_two_money_calls() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.create();
        assert_eq!((world.writes, world.money_calls), (1, 0));
        world.op(id, "authorize", "k2");
        // Addressable without a key makes its object first: one write more (rule 12).
        let prepare = usize::from(kind == Kind::StripeNoKeys);
        assert_eq!((world.writes, world.money_calls), (3 + prepare, 1), "{kind:?}");
        world.op(id, "capture", "k3");
        assert_eq!((world.writes, world.money_calls), (5 + prepare, 2), "{kind:?}");
        world.op(id, "capture", "k3");
        world.get(id);
        assert_eq!(
            (world.writes, world.money_calls),
            (5 + prepare, 2),
            "a replay and a read: 0 and 0"
        );
        assert_eq!((world.ledger.authorizations(), world.ledger.captures()), (1, 1));
    }
}

#[test]
fn a_charge_at_stripe_is_two_writes_and_one_money_call() {
    let mut world = World::new(Kind::Stripe);
    let first = world.post("/charge", "k1", CREATE);
    assert_eq!(first.status, 200, "{}", text(&first));
    assert_eq!((world.writes, world.money_calls), (2, 1));
    let shown = json(&first);
    assert_eq!(
        (&shown["status"], &shown["charge_state"]),
        (&"CAPTURED".into(), &"succeeded".into())
    );
    assert_eq!(shown["capture_method"], "automatic");
    let replay = world.post("/charge", "k1", CREATE);
    assert_eq!((replay.status, replay.body), (200, first.body));
    assert_eq!((world.writes, world.money_calls), (2, 1), "a replay: 0 and 0");
}

#[test]
fn a_charge_at_an_acquirer_authorizes_and_captures_under_one_key() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let first = world.post(
        "/charge",
        "k1",
        r#"{"amount":5,"currency":"GBP","payment_method":"pm_card_visa"}"#,
    );
    assert_eq!(json(&first)["status"], "CAPTURED");
    assert_eq!((world.writes, world.money_calls), (3, 2));
    assert_eq!((world.ledger.authorizations(), world.ledger.captures()), (1, 1));
}

#[test]
fn charge_needs_a_method_and_captures_at_once() {
    let mut world = World::new(Kind::Stripe);
    let bare = r#"{"amount":5,"currency":"GBP"}"#;
    let answer = world.post("/charge", "k1", bare);
    assert_eq!(
        (code(&answer).as_str(), &json(&answer)["error"]["field"]),
        ("MISSING_FIELD", &"payment_method".into())
    );
    let manual = CREATE.replace('}', ",\"capture_method\":\"manual\"}");
    let answer = world.post("/charge", "k1", &manual);
    assert_eq!(
        (code(&answer).as_str(), &json(&answer)["error"]["field"]),
        ("INVALID_FIELD", &"capture_method".into())
    );
    assert_eq!(world.writes, 0);
}

#[test]
fn create_with_automatic_capture_ends_captured_by_authorize() {
    for kind in [Kind::Stripe, Kind::AcquirerKeyed] {
        let mut world = World::new(kind);
        let id = world.create_with("k1", &CREATE.replace('}', ",\"capture_method\":\"automatic\"}"));
        let answer = world.op(id, "authorize", "k2");
        assert_eq!(
            (answer.status, &json(&answer)["status"]),
            (200, &"CAPTURED".into()),
            "{kind:?}"
        );
        assert_eq!(world.ledger.captures(), 1);
    }
}

#[test]
fn the_method_may_come_with_authorize() {
    let mut world = World::new(Kind::Stripe);
    let bare = r#"{"order_id":"o","amount":5,"currency":"GBP"}"#;
    let id = world.create_with("k1", bare);
    let none = world.op(id, "authorize", "k2");
    assert_eq!(
        (code(&none).as_str(), &json(&none)["error"]["field"]),
        ("MISSING_FIELD", &"payment_method".into())
    );
    let path = format!("/attempts/{id}/authorize");
    assert_eq!(
        world
            .post(&path, "k2", r#"{"payment_method":"pm_card_visa"}"#)
            .status,
        200
    );
    assert!(String::from_utf8_lossy(&world.calls[0].http.body).contains("payment_method=pm_card_visa"));

    let id = world.create_with("k9", CREATE);
    let path = format!("/attempts/{id}/authorize");
    let other = world.post(&path, "k2", r#"{"payment_method":"pm_other"}"#);
    assert_eq!(
        code(&other),
        "INVALID_FIELD",
        "not another than the one given at create"
    );
    assert_eq!(
        world
            .post(&path, "k2", r#"{"payment_method":"pm_card_visa"}"#)
            .status,
        200
    );
}

#[test]
fn a_partial_capture_takes_what_it_says_once() {
    for kind in [Kind::Stripe, Kind::AcquirerQueryable] {
        let mut world = World::new(kind);
        let id = world.authorized();
        let path = format!("/attempts/{id}/capture");
        for (amount, word) in [("2600", "INVALID_AMOUNT"), ("0", "INVALID_AMOUNT")] {
            let answer = world.post(&path, "k3", &format!("{{\"amount\":{amount}}}"));
            assert_eq!((answer.status, code(&answer).as_str()), (400, word));
            assert_eq!(json(&answer)["error"]["field"], "amount");
        }
        let answer = world.post(&path, "k3", r#"{"amount":1000}"#);
        assert_eq!(json(&answer)["capture"]["amount"], 1000);
        assert_eq!(json(&answer)["amount"], 2599, "the attempt's own amount stays");
        assert_eq!(
            code(&world.post(&path, "k4", r#"{"amount":1000}"#)),
            "INVALID_STATE",
            "once"
        );
        assert_eq!(world.ledger.holds[0].takes.len(), 1);
        assert_eq!(world.ledger.holds[0].takes[0].amount, 1000);
    }
}

/// Under whichever effect number: what is tried anew is what was asked for.
#[test]
fn a_partial_capture_that_is_tried_anew_takes_no_more() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    world.script.push_back(Told::Instead(timeout()));
    let path = format!("/attempts/{id}/capture");
    assert_eq!(world.post(&path, "k3", r#"{"amount":1000}"#).status, 202);
    while world.status(id) == "CAPTURING" {
        world.settle(id, 1);
    }
    assert_eq!(world.dispatches(id, Operation::Capture).len(), 2);
    assert_eq!(
        (
            world.ledger.holds[0].takes.len(),
            world.ledger.holds[0].takes[0].amount
        ),
        (1, 1000)
    );
}

#[test]
fn void_releases_an_authorization_and_only_that() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.create();
        assert_eq!(
            code(&world.op(id, "void", "v0")),
            "INVALID_STATE",
            "CREATED holds nothing"
        );
        world.op(id, "authorize", "k2");
        let answer = world.op(id, "void", "k3");
        assert_eq!(
            (answer.status, &json(&answer)["status"]),
            (200, &"VOIDED".into()),
            "{kind:?}"
        );
        assert_eq!(json(&answer)["charge_state"], "failed");
        assert_eq!(world.ledger.live(), 0);
        assert_eq!(code(&world.op(id, "capture", "k4")), "INVALID_STATE");
        let replay = world.op(id, "void", "k3");
        assert_eq!((replay.status, replay.body), (200, answer.body));
    }
}

#[test]
fn a_declined_authorization_is_402_and_final() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.create_with("k1", &CREATE.replace("visa", "declined"));
        let answer = world.op(id, "authorize", "k2");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (402, "DECLINED"),
            "{kind:?}"
        );
        let error = json(&answer)["error"].clone();
        assert_eq!(error["decline_code"], "generic_decline");
        assert_eq!(
            (&error["retryable"], &error["safe_new_key"]),
            (&false.into(), &true.into())
        );
        assert_eq!(
            (&error["attempt"]["status"], &error["attempt"]["charge_state"]),
            (&"DECLINED".into(), &"failed".into())
        );
        assert_eq!(
            code(&world.op(id, "authorize", "k3")),
            "INVALID_STATE",
            "a new try is a new attempt"
        );
        assert_eq!(world.ledger.live(), 0);
    }
}

#[test]
fn a_declined_capture_is_402_and_the_funds_are_released() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let no = crate::support::answered(200, r#"{"status":"declined","code":"expired_card"}"#);
    world.script.push_back(Told::Instead(no));
    let answer = world.op(id, "capture", "k3");
    assert_eq!((answer.status, code(&answer).as_str()), (402, "DECLINED"));
    assert_eq!(world.status(id), "DECLINED");
    assert_eq!((world.ledger.live(), world.ledger.captures()), (0, 0));
    let story = world.story(id);
    assert!(
        story.iter().any(|line| line.contains("void intended")),
        "{story:#?}"
    );
    // It was wanted until the refusal: nothing is counted as an effect too many.
    assert!(
        !story
            .iter()
            .any(|line| line.contains("an effect was seen that must not stand")),
        "{story:#?}"
    );
}

#[test]
fn an_answer_not_there_within_the_budget_is_202_and_the_work_goes_on() {
    for (operation, status, name) in [
        ("authorize", "AUTHORIZING", "authorize"),
        ("capture", "CAPTURING", "capture"),
        ("void", "VOIDING", "void"),
    ] {
        let mut world = World::new(Kind::AcquirerQueryable);
        let id = if operation == "authorize" {
            world.create()
        } else {
            world.authorized()
        };
        world.script.push_back(Told::Hold);
        let asked_ms = world.now_ms;
        let answer = world.op(id, operation, "key");
        assert_eq!((answer.status, world.now_ms - asked_ms), (202, 150));
        assert_eq!(
            answer.header("Location"),
            Some(format!("/attempts/{id}").as_str())
        );
        assert_eq!(answer.header("Retry-After"), Some("1"));
        assert_eq!(answer.header("Preference-Applied"), None);
        let shown = json(&answer);
        assert_eq!(
            (&shown["status"], &shown["charge_state"]),
            (&status.into(), &"processing".into())
        );
        assert_eq!(
            (&shown["operation"]["name"], &shown["operation"]["state"]),
            (&name.into(), &"in_flight".into())
        );
        assert!(shown["operation"]["since"].is_string() && shown["operation"]["next_check_at"].is_string());
        world.release();
        assert_eq!(world.op(id, operation, "key").status, 200, "the work went on");
    }
}

#[test]
fn prefer_wait_waits_longer_and_says_so() {
    for (asked, seconds) in [
        ("wait=5", 5),
        ("wait=31", 30),
        ("respond-async, wait=2", 2),
        ("wait=\"3\"", 3),
        ("wait=0", 0),
    ] {
        let mut world = World::new(Kind::Stripe);
        let id = world.create();
        world.script.push_back(Told::Hold);
        let from_ms = world.now_ms;
        let headers = [("idempotency-key", "k2"), ("prefer", asked)];
        let routed = world.route("POST", &format!("/attempts/{id}/authorize"), &headers, b"");
        let Routed::Attempt {
            input: Input::Request(pending),
            ..
        } = routed
        else {
            panic!("{routed:?}");
        };
        assert_eq!(
            pending.answer_by_ms().get(),
            from_ms + seconds * 1000,
            "what an adapter is told"
        );
        let answer = world.send("POST", &format!("/attempts/{id}/authorize"), &headers, b"");
        assert_eq!(
            (answer.status, world.now_ms - from_ms),
            (202, seconds * 1000),
            "{asked}"
        );
        assert_eq!(
            answer.header("Preference-Applied"),
            Some(format!("wait={seconds}").as_str())
        );
    }
    for nonsense in ["wait", "wait=x", "wait=-1", "wait=99999999999999999999", ""] {
        let mut world = World::new(Kind::Stripe);
        let id = world.create();
        world.script.push_back(Told::Hold);
        let from_ms = world.now_ms;
        let headers = [("idempotency-key", "k2"), ("prefer", nonsense)];
        let answer = world.send("POST", &format!("/attempts/{id}/authorize"), &headers, b"");
        assert_eq!(
            (answer.status, world.now_ms - from_ms),
            (202, 150),
            "{nonsense}: as if it were not there"
        );
        assert_eq!(answer.header("Preference-Applied"), None);
    }
}

/// What a refused void was to release may be held yet: that is looked for, and shown as doubt.
#[test]
fn an_operation_that_was_refused_for_now_is_in_doubt() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.op(id, "authorize", "k2");
    let refused = answered(200, r#"{"status":"declined","code":"nothing_to_void"}"#);
    world.script.push_back(Told::Instead(refused));
    world.op(id, "void", "k3");
    let shown = world.get(id);
    assert_eq!(
        (&shown["status"], &shown["operation"]["state"]),
        (&"VOIDING".into(), &"in_doubt".into())
    );
}

#[test]
fn an_operation_is_in_flight_then_in_doubt_then_parked() {
    let operation = |world: &mut World, id| -> Value { world.get(id)["operation"].clone() };
    let mut world = World::new(Kind::Blind);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    assert_eq!(operation(&mut world, id)["state"], "in_flight");
    let call = world.held.remove(0);
    world.outcome(call, timeout());
    assert_eq!(operation(&mut world, id)["state"], "in_doubt");
    world.settle(id, 5);
    let shown = operation(&mut world, id);
    assert_eq!(shown["state"], "parked");
    assert!(shown["reason"].as_str().unwrap().contains("no way to find out"));
    assert_eq!(shown.get("next_check_at"), None);
    assert_eq!(
        world.status(id),
        "AUTHORIZING",
        "unknown is never downgraded by time"
    );
    // And one that is over shows none.
    let mut world = World::new(Kind::Blind);
    let id = world.authorized();
    assert_eq!(operation(&mut world, id), Value::Null);
}

#[test]
fn get_tells_the_story_with_kinds_of_knowledge_and_a_chain() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.op(id, "capture", "k3");
    let shown = world.get(id);
    let lines = shown["timeline"].as_array().unwrap();
    let story: Vec<(&str, &str)> = lines
        .iter()
        .map(|l| (l["knowing"].as_str().unwrap(), l["event"].as_str().unwrap()))
        .collect();
    assert_eq!(
        story,
        [
            ("requested", "attempt created"),
            ("requested", "authorize requested"),
            ("intended", "authorize intended"),
            ("intended", "requests to the PSP are written in wire form 1"),
            ("dispatched", "authorize sent to the PSP"),
            ("observed", "the PSP answered: authorized"),
            ("requested", "capture requested"),
            ("intended", "capture intended"),
            ("dispatched", "capture sent to the PSP"),
            ("observed", "the PSP answered: authorized, captured"),
        ]
    );
    assert_eq!(lines[4]["details"]["psp_key"], format!("{id}-authorize-1"));
    assert!(
        lines
            .iter()
            .all(|line| line["hash"].as_str().unwrap().len() == 64)
    );
    assert!(
        !shown.to_string().contains("pm_card_visa"),
        "the token is no one's business"
    );
}

#[test]
fn a_merchants_default_payment_method_serves_where_none_was_given() {
    let mut config = config(Kind::Stripe);
    config.merchants.values_mut().for_each(|merchant| {
        merchant.default_payment_method = Some("pm_default".to_owned());
    });
    let mut world = World::with(config, Kind::Stripe);
    let id = world.create_with("k1", r#"{"order_id":"o","amount":1,"currency":"GBP"}"#);
    assert_eq!(world.op(id, "authorize", "k2").status, 200);
    let sent = String::from_utf8(world.calls[0].http.body.clone()).unwrap();
    assert!(sent.contains("payment_method=pm_default"), "{sent}");
}
