//! The stripe face on the wire (`docs/psp.md`; Stripe API reference, PaymentIntents): bytes out, bytes in.

use pay_once_core::journal::evidence::{EffectKind, Evidence, Signal};
use pay_once_core::{Call, Millis, UnixMillis};
use serde_json::{Value, json};

use crate::support::{CREATE, Kind, Told, World, answered, json as body, timeout};
use crate::wire_acquirer::last_evidence;

fn sent(call: &Call) -> (String, String) {
    let line = format!("{} {}", call.http.method, call.http.url);
    (line, String::from_utf8(call.http.body.clone()).unwrap())
}

#[test]
fn what_goes_out_in_one_call() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":1000}"#);
    let create = format!(
        "amount=2599&currency=gbp&capture_method=manual&payment_method_types%5B%5D=card&payment_method=pm_card_visa&confirm=true&metadata%5Battempt_id%5D={id}&expand%5B%5D=latest_charge"
    );
    assert_eq!(
        sent(&world.calls[0]),
        ("POST http://psp.test/v1/payment_intents".to_owned(), create)
    );
    assert_eq!(
        sent(&world.calls[1]),
        (
            "POST http://psp.test/v1/payment_intents/pi_3N00001/capture".to_owned(),
            "amount_to_capture=1000&expand%5B%5D=latest_charge".to_owned()
        )
    );
    let headers = [
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("idempotency-key", format!("{id}-authorize-1")),
        ("stripe-version", "2026-07-29.dahlia".to_owned()),
    ];
    assert_eq!(world.calls[0].http.headers, headers);
    assert_eq!(world.calls[0].http.bearer.expose(), "sk_test");
    // What is logged of a call: where it goes, and no secret.
    let length = world.calls[1].http.body.len();
    let logged = format!("POST http://psp.test/v1/payment_intents/pi_3N00001/capture ({length} body bytes)");
    assert_eq!(format!("{:?}", world.calls[1].http), logged);

    let mut world = World::new(Kind::Stripe);
    world.post("/charge", "k1", CREATE);
    assert!(sent(&world.calls[0]).1.contains("&capture_method=automatic&"));

    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.op(id, "void", "k3");
    assert_eq!(
        sent(&world.calls[1]),
        (
            "POST http://psp.test/v1/payment_intents/pi_3N00001/cancel".to_owned(),
            "expand%5B%5D=latest_charge".to_owned()
        )
    );
}

#[test]
fn what_goes_out_in_two_calls_and_as_questions() {
    let mut world = World::new(Kind::StripeNoKeys);
    let id = world.create();
    world.script.extend([Told::Truth, Told::Lost(timeout())]);
    world.op(id, "authorize", "k2");
    world.settle(id, 1);
    let lines: Vec<(String, String)> = world.calls.iter().map(sent).collect();
    let prepare = format!(
        "amount=2599&currency=gbp&capture_method=manual&payment_method_types%5B%5D=card&payment_method=pm_card_visa&metadata%5Battempt_id%5D={id}&expand%5B%5D=latest_charge"
    );
    assert_eq!(
        lines[0],
        ("POST http://psp.test/v1/payment_intents".to_owned(), prepare)
    );
    assert_eq!(
        lines[1].0,
        "POST http://psp.test/v1/payment_intents/pi_3N00001/confirm"
    );
    assert_eq!(
        lines[1].1, "payment_method=pm_card_visa&expand%5B%5D=latest_charge",
        "no metadata here"
    );
    assert_eq!(
        lines[2].0,
        "GET http://psp.test/v1/payment_intents/pi_3N00001?expand%5B%5D=latest_charge"
    );
    let version = [("stripe-version", "2026-07-29.dahlia".to_owned())];
    assert!(world.calls[2].http.headers == version && lines[2].1.is_empty());

    let mut world = World::new(Kind::StripeListed);
    world.psp_mut().capabilities.keyed_horizon_ms = None;
    let id = world.create();
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "authorize", "k2");
    world.settle(id, 1);
    // From the first sending, less the skew, to when the last one has landed for certain: send window, flight and skew.
    let line = "GET http://psp.test/v1/payment_intents?limit=100&created%5Bgte%5D=1764160494&created%5Blte%5D=1764160620";
    assert_eq!(sent(world.calls.last().unwrap()).0, line);
}

#[test]
fn a_reference_cannot_become_another_path() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let intent = json!({"id": "pi_1/../../refunds?x=", "amount": 2599, "currency": "gbp", "status": "requires_capture"});
    world
        .script
        .extend([Told::Instead(answered(200, intent.to_string())), Told::Hold]);
    world.op(id, "authorize", "k2");
    world.op(id, "capture", "k3");
    let url = &world.calls[1].http.url;
    assert_eq!(
        url,
        "http://psp.test/v1/payment_intents/pi_1%2F..%2F..%2Frefunds%3Fx%3D/capture"
    );
}

fn intent(status: &str) -> Value {
    json!({"id": "pi_1", "object": "payment_intent", "amount": 2599, "amount_received": 2599, "currency": "gbp",
        "status": status, "latest_charge": "ch_1", "livemode": false, "surprise": {"a": [1]}})
}

/// The evidence that an answer to an authorize is.
fn said(status: u16, body: &str) -> Evidence {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world
        .script
        .extend([Told::Instead(answered(status, body)), Told::Hold]);
    world.op(id, "authorize", "k2");
    last_evidence(&world, id)
}

#[test]
fn what_each_status_of_an_intent_means() {
    for (status, kinds) in [
        ("requires_capture", &[EffectKind::Authorize][..]),
        ("succeeded", &[EffectKind::Authorize, EffectKind::Capture]),
        ("canceled", &[EffectKind::Void]),
        ("requires_action", &[]),
        ("requires_confirmation", &[]),
        ("requires_payment_method", &[]),
        ("processing", &[]),
        ("something_new", &[]),
    ] {
        let evidence = said(200, &intent(status).to_string());
        let seen: Vec<EffectKind> = evidence.effects.iter().map(|e| e.kind).collect();
        assert_eq!(seen, kinds, "{status}");
        let unknown = matches!(evidence.signal, Signal::Unknown { .. });
        assert_eq!(
            unknown,
            ["processing", "something_new"].contains(&status),
            "{status}"
        );
        assert!(!evidence.complete, "an answer is no look");
    }
    let mut lapsed = intent("canceled");
    lapsed["cancellation_reason"] = "automatic".into();
    assert_eq!(said(200, &lapsed.to_string()).effects[0].kind, EffectKind::Lapse);
    let mut failed = intent("requires_payment_method");
    failed["last_payment_error"] =
        json!({"code": "card_declined", "decline_code": "fraud", "message": "No."});
    let refused = Signal::Refused {
        code: "fraud".to_owned(),
        message: "No.".to_owned(),
    };
    assert_eq!(said(200, &failed.to_string()).signal, refused);
}

#[test]
fn what_is_not_an_intent_is_unknown() {
    for (status, body) in [
        (200, String::new()),
        (200, "{}".to_owned()),
        (200, "<html>".to_owned()),
        (200, intent("succeeded").to_string().replace("2599", "-1")),
        (200, intent("succeeded").to_string().replace("\"id\"", "\"di\"")),
        (302, intent("succeeded").to_string()),
        (500, intent("succeeded").to_string()),
        (404, "<html>404</html>".to_owned()),
        (
            409,
            json!({"error": {"type": "invalid_request_error", "code": "idempotency_key_in_use"}}).to_string(),
        ),
        (
            429,
            json!({"error": {"type": "invalid_request_error", "code": "rate_limit"}}).to_string(),
        ),
        (402, json!({"error": "card_declined"}).to_string()),
    ] {
        let evidence = said(status, &body);
        assert!(
            matches!(evidence.signal, Signal::Unknown { .. }),
            "{status} {body}: {evidence:?}"
        );
        assert!(evidence.effects.is_empty());
    }
}

#[test]
fn what_a_refusal_means() {
    let error = |kind: &str, code: &str, decline: Option<&str>| {
        json!({"error": {"type": kind, "code": code, "decline_code": decline, "message": "No."}}).to_string()
    };
    for (status, text, code) in [
        (
            402,
            error("card_error", "card_declined", Some("lost_card")),
            "lost_card",
        ),
        (402, error("card_error", "expired_card", None), "expired_card"),
    ] {
        let Signal::Refused { code: said, .. } = said(status, &text).signal else {
            panic!("{text}")
        };
        assert_eq!(said, code);
    }
}

fn unexpected(state: Value) -> Told {
    let error = json!({"error": {"type": "invalid_request_error", "code": "payment_intent_unexpected_state",
        "message": "No.", "payment_intent": state}});
    Told::Instead(answered(400, error.to_string()))
}

#[test]
fn an_unexpected_state_with_the_intent_beside_it_is_the_news() {
    for (operation, state, status) in [
        ("capture", "succeeded", "CAPTURED"),
        ("capture", "canceled", "VOIDED"),
        ("void", "canceled", "VOIDED"),
        ("void", "succeeded", "CAPTURED"),
    ] {
        let mut world = World::new(Kind::Stripe);
        let id = world.authorized();
        let mut object = intent(state);
        object["id"] = "pi_3N00001".into();
        world.script.push_back(unexpected(object));
        world.op(id, operation, "k3");
        assert_eq!(world.status(id), status, "{operation} refused as {state}");
    }
    // Refused in the state that it should have worked in, it is no outcome: the object is looked at, and it is tried again.
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let mut object = intent("requires_capture");
    object["id"] = "pi_3N00001".into();
    world.script.push_back(unexpected(object.clone()));
    world.op(id, "capture", "k3");
    assert_eq!((world.status(id).as_str(), world.ledger.live()), ("CAPTURING", 1));
    // The negative: the card's refusal is an outcome, whatever the state beside it.
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let error = json!({"error": {"type": "card_error", "code": "card_declined", "payment_intent": object}});
    world
        .script
        .push_back(Told::Instead(answered(402, error.to_string())));
    world.op(id, "capture", "k3");
    assert_eq!((world.status(id).as_str(), world.ledger.live()), ("DECLINED", 0));
}

/// A confirmation that was delivered twice: the second is refused for what the first has done, and that is no refusal.
#[test]
fn a_confirmation_that_finds_itself_done_is_no_decline() {
    for (state, status, wanted) in [
        ("requires_capture", "AUTHORIZED", Some(Signal::None)),
        ("requires_action", "REQUIRES_ACTION", None),
    ] {
        let mut world = World::new(Kind::StripeNoKeys);
        let id = world.create();
        let mut object = intent(state);
        object["id"] = "pi_3N00001".into();
        world.script.extend([Told::Truth, unexpected(object)]);
        world.op(id, "authorize", "k2");
        assert_eq!(world.status(id), status);
        let signal = last_evidence(&world, id).signal;
        match wanted {
            Some(wanted) => assert_eq!(signal, wanted),
            None => assert!(matches!(signal, Signal::ActionRequired { .. }), "{signal:?}"),
        }
    }
}

#[test]
fn a_500_that_stripe_keeps_under_the_key_is_got_around() {
    let mut world = World::new(Kind::Stripe);
    world.psp_mut().timing.authorize_retry_ms = Millis::new(10_000_000);
    let id = world.create();
    let kept = || {
        Told::Instead(answered(
            500,
            r#"{"error":{"type":"api_error","message":"kept"}}"#,
        ))
    };
    // No effect, and the same 500 for every re-send of the key: a listing that counts proves it, and a new key is used.
    world.script.extend([kept(), kept(), kept(), kept()]);
    world.op(id, "authorize", "k2");
    for _ in 0..20 {
        if world.status(id) != "AUTHORIZED" {
            world.settle(id, 1);
        }
    }
    assert_eq!(
        body(&world.op(id, "authorize", "k2"))["status"],
        "AUTHORIZED",
        "{:#?}",
        world.story(id)
    );
    assert_eq!(world.ledger.authorizations(), 1);
}

#[test]
fn capture_before_is_taken_from_the_expanded_charge_only() {
    for (charge, wanted) in [
        (
            json!({"payment_method_details": {"card": {"capture_before": 1_764_200_000_u64}}}),
            Some(1_764_200_000_000),
        ),
        (json!({"payment_method_details": {"card": {}}}), None),
        (
            json!({"payment_method_details": {"card": {"capture_before": u64::MAX}}}),
            None,
        ),
        (json!({"payment_method_details": null}), None),
        (json!({}), None),
        (json!("ch_1"), None),
        (Value::Null, None),
    ] {
        let mut object = intent("requires_capture");
        object["latest_charge"] = charge.clone();
        let evidence = said(200, &object.to_string());
        assert_eq!(
            (evidence.effects.len(), evidence.capture_before_ms),
            (1, wanted.map(UnixMillis::new)),
            "{charge}"
        );
    }
}

/// Stripe API reference, Refunds: only `succeeded` is through; `pending` and `requires_action` may be yet, and the list tells.
#[test]
fn what_a_refund_means() {
    let cases = [
        (
            json!({"id": "re_1", "status": "succeeded", "amount": 2599, "payment_intent": "pi_9"}),
            true,
        ),
        (json!({"id": "re_1", "status": "pending", "amount": 2599}), false),
        (
            json!({"id": "re_1", "status": "failed", "amount": 2599, "payment_intent": "pi_9"}),
            false,
        ),
        (
            json!({"id": "re_1", "status": "requires_action", "amount": 2599}),
            false,
        ),
        (json!({"object": "list", "data": []}), false),
    ];
    for (told, is_back) in cases {
        let mut world = World::new(Kind::Stripe);
        assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
        let id = *world.store.keys().next().unwrap();
        // Another intent of this attempt has taken money as well: that is given back.
        let other = json!({"id": "pi_9", "object": "payment_intent", "status": "succeeded", "amount": 2599,
            "amount_received": 2599, "currency": "gbp", "metadata": {"attempt_id": id.to_string()}});
        world
            .script
            .push_back(Told::Instead(answered(200, told.to_string())));
        world.webhook(&json!({"type": "payment_intent.succeeded", "data": {"object": other}}));
        assert_eq!(world.calls[1].http.url, "http://psp.test/v1/refunds");
        let evidence = last_evidence(&world, id);
        if is_back {
            let effect = &evidence.effects[0];
            assert_eq!(
                (
                    effect.kind,
                    effect.id.as_str(),
                    effect.of.as_deref(),
                    effect.amount_minor
                ),
                (EffectKind::Refund, "re_1", Some("pi_9"), 2599),
                "{told}"
            );
        } else {
            let is_open = matches!(
                evidence.signal,
                Signal::Unknown { .. } | Signal::KeyUseless { .. }
            );
            assert!(is_open, "{told}");
        }
        let is_over = world.record(id).state().running.is_none();
        assert_eq!(
            (is_over, world.status(id).as_str()),
            (is_back, "CAPTURED"),
            "{told}"
        );
    }
}
