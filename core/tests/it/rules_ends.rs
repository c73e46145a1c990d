//! `docs/rules.md`, rule 10 with its negative: what is final, and what expires.

use pay_once_core::journal::status::Event;
use pay_once_core::{AttemptId, Millis, Status};
use serde_json::json;

use crate::support::{CREATE, DAY_MS, Kind, Told, World, answered, code, json as body};

const EVENTS: [Event; 13] = [
    Event::BeganAuthorize,
    Event::BeganCapture,
    Event::BeganVoid,
    Event::SeenAuthorize,
    Event::SeenCapture,
    Event::SeenVoid,
    Event::SeenLapse,
    Event::RefusedAuthorize,
    Event::RefusedCapture,
    Event::RefusedVoid,
    Event::ActionRequired,
    Event::WithdrewAuthorize,
    Event::WithdrewCapture,
];

/// What somebody releases at the PSP's dashboard is VOIDED; EXPIRED is what nobody used in time.
#[test]
fn rule_10_a_release_by_somebody_else_is_a_void() {
    let mut world = World::new(Kind::AcquirerQueryable);
    world.script.extend([Told::Truth, Told::Hold]);
    let charge = r#"{"amount":500,"currency":"GBP","payment_method":"visa"}"#;
    let started = world.post("/charge", "c1", charge);
    let id = AttemptId::parse(body(&started)["attempt_id"].as_str().unwrap()).unwrap();
    assert_eq!(world.status(id), "CAPTURING");
    let own = body(&started)["authorization"]["psp_reference"].clone();
    let news = json!({"type": "void", "reference": id.to_string(), "status": "approved", "psp_reference": "void_9",
        "of": own, "amount": 500, "currency": "GBP"});
    assert_eq!(world.webhook(&news).status, 200);
    assert_eq!(world.status(id), "VOIDED");
}

#[test]
fn a_void_that_is_refused_is_no_decline() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.authorized();
    let refusal = answered(200, r#"{"status":"declined","code":"no_void","message":"No."}"#);
    world.script.push_back(Told::Instead(refusal));
    world.op(id, "void", "k3");
    world.settle(id, 3);
    let shown = world.get(id);
    assert!(world.is_parked(id), "{shown}");
    assert_eq!(
        (&shown["status"], &shown["decline"]),
        (&"VOIDING".into(), &serde_json::Value::Null)
    );
}

#[test]
fn rule_10_final_is_final_and_nothing_goes_back() {
    let mut moves = 0;
    for status in Status::ALL {
        for event in EVENTS {
            let next = status.next(event);
            let is_back = next.rank() < status.rank();
            assert_eq!(
                is_back,
                matches!(
                    (status, event),
                    (Status::Authorizing, Event::WithdrewAuthorize)
                        | (Status::Capturing, Event::WithdrewCapture)
                ),
                "{status:?} {event:?} → {next:?}"
            );
            assert!(next.may_follow(status), "{status:?} {event:?} → {next:?}");
            assert!(
                !status.is_final() || next == status,
                "{status:?} {event:?} → {next:?}"
            );
            moves += usize::from(next != status);
        }
    }
    assert_eq!(moves, 30, "the table has moved: is it meant?");
}

#[test]
fn rule_10_a_final_status_stays_whatever_a_webhook_says() {
    for (operation, status) in [("capture", "CAPTURED"), ("void", "VOIDED")] {
        let mut world = World::new(Kind::Stripe);
        let id = world.authorized();
        let first = world.op(id, operation, "k3");
        for state in [
            "requires_action",
            "requires_payment_method",
            "processing",
            "requires_capture",
        ] {
            let mut intent = world.ledger.intent("pi_3N00001");
            intent["status"] = state.into();
            world.webhook(&json!({"type": "payment_intent.x", "data": {"object": intent}}));
            assert_eq!(world.status(id), status, "{state}");
        }
        assert_eq!(world.op(id, operation, "k3").body, first.body);
    }
}

#[test]
fn rule_10_what_nobody_captures_is_voided_before_it_lapses_and_not_sooner() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.authorized();
        let authorized_ms = world
            .record(id)
            .state()
            .authorization
            .as_ref()
            .unwrap()
            .authorized_at_ms;
        let due_ms = authorized_ms.get() + 7 * DAY_MS - 3_600_000;
        assert_eq!(world.due(id), Some(due_ms), "{kind:?}");
        world.wake_at(id, due_ms - 1);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.live()),
            ("AUTHORIZED", 1)
        );
        world.wake_at(id, due_ms);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.live()),
            ("EXPIRED", 0),
            "{kind:?}"
        );
        assert_eq!(
            body(&world.op(id, "authorize", "k2"))["status"],
            "AUTHORIZED",
            "as it was answered then"
        );
        assert_eq!(code(&world.op(id, "capture", "k3")), "INVALID_STATE");
    }
}

/// A margin of an hour would leave nothing of an authorization that lives as long: a tenth of its life is kept.
#[test]
fn rule_10_a_short_life_has_a_short_margin() {
    let mut world = World::new(Kind::AcquirerQueryable);
    world.psp_mut().timing.authorization_lifetime_ms = Millis::new(3_600_000);
    let asked_ms = world.now_ms;
    let id = world.authorized();
    assert_eq!(world.due(id), Some(asked_ms + 3_600_000 - 360_000));
}

#[test]
fn rule_10_the_psps_own_capture_before_counts() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let before_s = world.now_ms / 1000 + 2 * 86_400;
    let mut intent = json!({"id": "pi_1", "amount": 2599, "currency": "gbp", "status": "requires_capture"});
    intent["latest_charge"] = json!({"payment_method_details": {"card": {"capture_before": before_s}}});
    world
        .script
        .push_back(Told::Instead(answered(200, intent.to_string())));
    world.op(id, "authorize", "k2");
    assert_eq!(world.due(id), Some(before_s * 1000 - 3_600_000));
}

#[test]
fn rule_10_a_lapse_that_the_psp_reports_is_expired() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let mut intent = world.ledger.intent("pi_3N00001");
    intent["status"] = "canceled".into();
    intent["cancellation_reason"] = "automatic".into();
    world.webhook(&json!({"type": "payment_intent.canceled", "data": {"object": intent}}));
    assert_eq!(world.status(id), "EXPIRED");
    assert_eq!(world.money_calls, 1, "there is nothing to release");
}

#[test]
fn rule_10_three_d_secure_that_nobody_finishes_is_released() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
        let answer = world.op(id, "authorize", "k2");
        assert_eq!(
            (answer.status, &body(&answer)["status"]),
            (202, &"REQUIRES_ACTION".into()),
            "{kind:?}"
        );
        assert_eq!(body(&answer)["next_action"]["url"], "http://psp.test/3ds");
        assert_eq!(body(&answer)["charge_state"], "requires_action");
        let since_ms = world.record(id).state().action.as_ref().unwrap().since_ms;
        world.wake_at(id, since_ms.get() + 3_600_000 - 1);
        assert_eq!(world.status(id), "REQUIRES_ACTION");
        // A listing is asked once what was done in time must show in it.
        let lag_ms = if kind.capabilities().addressable {
            0
        } else {
            kind.capabilities().lookup_lag_ms.unwrap_or_default().get()
        };
        world.wake_at(id, since_ms.get() + 3_600_000 + lag_ms);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.live()),
            ("EXPIRED", 0),
            "{kind:?}"
        );
        assert!(!world.is_parked(id));
    }
}

/// A 3-D Secure that is given up at a PSP which has nothing to void yet, and says so.
fn given_up(kind: Kind) -> (World, pay_once_core::AttemptId) {
    let mut world = World::new(kind);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.op(id, "authorize", "k2");
    let nothing = answered(200, r#"{"status":"declined","code":"unknown_authorization"}"#);
    world.script.push_back(Told::Instead(nothing));
    let answer = world.op(id, "void", "k3");
    assert_eq!(
        (answer.status, &body(&answer)["status"]),
        (202, &"VOIDING".into()),
        "the customer may still finish"
    );
    (world, id)
}

#[test]
fn rule_10_late_success_on_an_abandoned_attempt_is_voided_not_kept() {
    for kind in [Kind::AcquirerQueryable, Kind::AcquirerKeyed, Kind::Blind] {
        let (mut world, id) = given_up(kind);
        world.ledger.finish_action(world.now_ms);
        assert_eq!(world.ledger.live(), 1);
        let notice = world.ledger.notices()[0].clone();
        world.webhook(&notice);
        world.settle(id, 3);
        let end = (world.status(id), world.ledger.live());
        assert_eq!(end, ("VOIDED".to_owned(), 0), "{kind:?} {:#?}", world.story(id));
    }
}

/// What failed before: VOIDED was answered, nobody looked again, and a lost webhook left the funds reserved.
#[test]
fn rule_10_late_success_is_found_though_its_webhook_is_lost() {
    let (mut world, id) = given_up(Kind::AcquirerQueryable);
    world.ledger.finish_action(world.now_ms);
    world.settle(id, 30);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("VOIDED", 0),
        "{:#?}",
        world.story(id)
    );
}

#[test]
fn rule_10_an_action_whose_release_is_refused_ends_by_a_look_after_its_time() {
    let (mut world, id) = given_up(Kind::AcquirerQueryable);
    let given_up_ms = world.now_ms;
    // The acquirer lists no unfinished action, and refuses to release one.
    world.ledger.holds.clear();
    world.settle(id, 200);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("VOIDED", 0),
        "{:#?}",
        world.story(id)
    );
    // The negative: not before the customer's time was over (one hour from the authorize).
    assert!(
        world.now_ms >= given_up_ms + 3_590_000,
        "{}",
        world.now_ms - given_up_ms
    );
}

/// A PSP that neither confirms the release nor can be asked: the customer may finish at any time, so nothing is concluded.
#[test]
fn rule_10_an_action_whose_release_is_refused_is_parked_where_nobody_can_be_asked() {
    for kind in [Kind::AcquirerKeyed, Kind::Blind] {
        let (mut world, id) = given_up(kind);
        world.settle(id, 60);
        assert_eq!(world.status(id), "VOIDING", "{kind:?}");
        assert!(world.is_parked(id), "{kind:?}");
        // News of the authorization takes it up again.
        world.ledger.finish_action(world.now_ms);
        let notice = world.ledger.notices()[0].clone();
        world.webhook(&notice);
        world.settle(id, 3);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.live()),
            ("VOIDED", 0),
            "{kind:?}"
        );
    }
}

#[test]
fn a_refused_void_of_what_is_held_is_found_out_or_an_operators() {
    let no = answered(200, r#"{"status":"declined","code":"try_later"}"#);
    for kind in [Kind::AcquirerKeyed, Kind::Blind] {
        let mut world = World::new(kind);
        let id = world.authorized();
        world.script.push_back(Told::Instead(no.clone()));
        assert_eq!(world.op(id, "void", "k3").status, 202);
        world.settle(id, 3);
        assert!(
            world.is_parked(id),
            "{kind:?}: funds may still be held, and nobody can say"
        );
    }
    // Where it can be looked for, it is, and what is still held is released by another try.
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    world.script.push_back(Told::Instead(no));
    assert_eq!(world.op(id, "void", "k3").status, 202);
    world.settle(id, 30);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("VOIDED", 0),
        "{:#?}",
        world.story(id)
    );
}

/// What failed before: a lapsed authorization parked its void for ever.
#[test]
fn a_void_or_capture_refused_because_it_lapsed_ends_expired() {
    for (operation, kind) in [
        ("void", Kind::AcquirerKeyed),
        ("capture", Kind::Blind),
        ("void", Kind::AcquirerQueryable),
    ] {
        let mut world = World::new(kind);
        let id = world.authorized();
        let lapsed = answered(200, r#"{"status":"declined","code":"authorization_expired"}"#);
        world.script.push_back(Told::Instead(lapsed));
        world.op(id, operation, "k3");
        assert_eq!(world.status(id), "EXPIRED", "{operation} {kind:?}");
        assert!(!world.is_parked(id));
    }
}

#[test]
fn three_d_secure_that_is_finished_goes_on() {
    for kind in Kind::ALL {
        for automatic in [false, true] {
            let mut world = World::new(kind);
            let mut create = CREATE.replace("visa", "3ds");
            if automatic {
                create = create.replace('}', ",\"capture_method\":\"automatic\"}");
            }
            let id = world.create_with("k1", &create);
            assert_eq!(world.op(id, "authorize", "k2").status, 202);
            world.ledger.finish_action(world.now_ms);
            let notice = world.ledger.notices().last().unwrap().clone();
            world.webhook(&notice);
            let wanted = if automatic { "CAPTURED" } else { "AUTHORIZED" };
            let answer = world.op(id, "authorize", "k2");
            assert_eq!(
                (answer.status, &body(&answer)["status"]),
                (200, &wanted.into()),
                "{kind:?}"
            );
            assert!(body(&answer).get("next_action").is_none());
        }
    }
}

#[test]
fn three_d_secure_that_fails_is_a_decline() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
    world.op(id, "authorize", "k2");
    let mut intent = world.ledger.intent("pi_3N00001");
    intent["status"] = "requires_payment_method".into();
    intent["last_payment_error"] = json!({"code": "payment_intent_authentication_failure", "message": "No."});
    world.webhook(&json!({"type": "payment_intent.payment_failed", "data": {"object": intent}}));
    let answer = world.op(id, "authorize", "k2");
    assert_eq!((answer.status, code(&answer).as_str()), (402, "DECLINED"));
    assert_eq!(
        body(&answer)["error"]["decline_code"],
        "payment_intent_authentication_failure"
    );
}

#[test]
fn three_d_secure_is_found_finished_without_a_webhook_where_the_psp_can_be_asked() {
    for kind in [
        Kind::Stripe,
        Kind::StripeNoKeys,
        Kind::StripeListed,
        Kind::AcquirerQueryable,
    ] {
        let mut world = World::new(kind);
        let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
        world.op(id, "authorize", "k2");
        world.settle(id, 6);
        assert_eq!(
            world.status(id),
            "REQUIRES_ACTION",
            "asking proves nothing about a customer"
        );
        let story = world.story(id);
        assert!(
            !story.iter().any(|line| line.contains("proven not")),
            "{kind:?}: {story:#?}"
        );
        world.ledger.finish_action(world.now_ms);
        for _ in 0..3 {
            if world.status(id) == "REQUIRES_ACTION" {
                world.settle(id, 1);
            }
        }
        assert_eq!(world.status(id), "AUTHORIZED", "{kind:?}");
    }
}
