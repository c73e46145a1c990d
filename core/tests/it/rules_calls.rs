//! `docs/rules.md`, rules 1–3 and 12, each with its negative: what must be durable before what, and PSP keys.

use pay_once_core::journal::entry::{CallStep, Fact, Operation};
use pay_once_core::{Input, Millis, Outcome, Reply, Routed};

use crate::support::{CREATE, DAY_MS, Kind, Told, World, answered, json, not_sent, timeout};

fn routed(world: &World, id: impl std::fmt::Display, operation: &str, key: &str) -> Input {
    match world.route(
        "POST",
        &format!("/attempts/{id}/{operation}"),
        &[("idempotency-key", key)],
        b"",
    ) {
        Routed::Attempt { input, .. } => input,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_01_no_call_without_a_committed_dispatch_that_names_it() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.create();
        let base = world.record(id);
        let input = routed(&world, id, "authorize", "k2");
        let step = world.decide(id, Some(&base), &input);
        let write = step.write.expect("the dispatch is in the same step's write");
        let [call] = step.calls.as_slice() else {
            panic!("one call")
        };
        let Some(Fact::Dispatched {
            psp_key,
            sent_at_ms,
            send_by_ms,
            ..
        }) = write.record.entries().last().map(|entry| entry.fact.clone())
        else {
            panic!("the last entry is the dispatch");
        };
        let header = call
            .http
            .headers
            .iter()
            .find(|(name, _)| *name == "idempotency-key");
        assert_eq!(
            header.map(|(_, value)| value.as_str()),
            Some(psp_key.as_str()),
            "{kind:?}"
        );
        assert_eq!(
            (sent_at_ms, send_by_ms),
            (world.now(), world.now() + Millis::new(2_000))
        );
        assert_eq!(call.send_by_ms, send_by_ms);
        // The negative: another server's write came first, so this one's swap fails and its call is never made.
        world.op(id, "authorize", "k9");
        assert!(!world.commit(id, &write), "{kind:?}");
        assert_eq!(world.ledger.authorizations(), 1);
    }
}

#[test]
fn rule_01_send_by_is_checked_right_before_sending() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let call = world.held[0].clone();
    assert!(call.may_send(call.send_by_ms));
    assert!(
        !call.may_send(call.send_by_ms + Millis::new(1)),
        "one millisecond late is too late"
    );
}

#[test]
fn rule_02_no_reply_before_what_it_says_is_durable() {
    let mut world = World::new(Kind::Stripe);
    let Routed::Attempt { id, input } = world.route(
        "POST",
        "/attempts",
        &[("idempotency-key", "k1")],
        CREATE.as_bytes(),
    ) else {
        panic!("routed");
    };
    let step = world.decide(id, None, &input);
    assert!(
        step.write.is_some() && matches!(step.reply, Reply::Now(_)),
        "a created 201 comes with its write"
    );
    // The store has nothing, so a second server's answer to the same request is a write again, not a replay.
    let twin = world.decide(id, None, &input);
    assert!(world.commit(id, &step.write.unwrap()));
    assert!(
        !world.commit(id, &twin.write.unwrap()),
        "absent → Created happens once"
    );
    let (_, reply) = world.step(id, &input);
    let Reply::Now(answer) = reply else {
        panic!("answered")
    };
    assert_eq!(
        (answer.status, answer.header("Idempotency-Replayed")),
        (200, Some("true"))
    );
    // A final answer is given only from a record that holds it.
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let call = world.held.remove(0);
    let result = world.ledger.act(&call.http, world.now_ms);
    let base = world.record(id);
    let step = world.decide(
        id,
        Some(&base),
        &Input::Outcome(Box::new(Outcome { call, result })),
    );
    assert!(matches!(step.reply, Reply::Nothing) && step.write.is_some());
    assert_eq!(
        world.op(id, "authorize", "k2").status,
        202,
        "seen, and not durable yet"
    );
    world.carry_out(id, step);
    assert_eq!(world.op(id, "authorize", "k2").status, 200);
}

#[test]
fn rule_03_one_key_per_operation_and_effect() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.authorized();
        world.op(id, "capture", "k3");
        let keys: Vec<(u16, String)> = [Operation::Authorize, Operation::Capture]
            .into_iter()
            .flat_map(|o| world.dispatches(id, o))
            .collect();
        let mut wanted = vec![(1, format!("{id}-authorize-1")), (1, format!("{id}-capture-1"))];
        if kind == Kind::StripeNoKeys {
            wanted.insert(0, (1, format!("{id}-prepare-1")));
        }
        assert_eq!(keys, wanted, "{kind:?}");
    }
}

#[test]
fn rule_03_the_number_moves_on_only_with_proof() {
    // Unknown and unproven: the same key, whatever the time.
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.create();
    world
        .script
        .extend([timeout(), timeout(), timeout()].map(Told::Instead));
    world.op(id, "authorize", "k2");
    world.settle(id, 3);
    assert_eq!(world.status(id), "AUTHORIZED");
    let tries = world.dispatches(id, Operation::Authorize);
    assert_eq!(tries.len(), 4);
    assert!(
        tries
            .iter()
            .all(|(generation, key)| *generation == 1 && *key == format!("{id}-authorize-1"))
    );

    // Nothing left the machine: not an effect, and not proof of anything else; the same number again.
    let mut world = World::new(Kind::Blind);
    let id = world.create();
    world.script.push_back(Told::Instead(not_sent()));
    world.op(id, "authorize", "k2");
    world.settle(id, 1);
    assert_eq!(
        world
            .dispatches(id, Operation::Authorize)
            .iter()
            .map(|d| d.0)
            .collect::<Vec<_>>(),
        [1, 1]
    );
    assert_eq!(
        (world.status(id).as_str(), world.ledger.authorizations()),
        ("AUTHORIZED", 1)
    );

    // Proven absent by a look-up that counts: the next number.
    let mut world = World::new(Kind::AcquirerQueryable);
    world.psp_mut().timing.authorize_retry_ms = Millis::new(DAY_MS);
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    world.settle(id, 30);
    assert_eq!(
        world
            .dispatches(id, Operation::Authorize)
            .iter()
            .map(|d| d.0)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(world.ledger.authorizations(), 1);
}

#[test]
fn rule_03_a_resend_is_the_same_request_byte_for_byte() {
    for kind in [Kind::Stripe, Kind::StripeListed, Kind::AcquirerKeyed] {
        let mut world = World::new(kind);
        let id = world.create_with("k1", &CREATE.replace("visa", "3ds"));
        world.script.extend([timeout(), timeout()].map(Told::Lost));
        world.op(id, "authorize", "k2");
        if kind != Kind::AcquirerKeyed {
            // A webhook names the object meanwhile. The key belongs to the request that it was first sent with.
            let mut intent = world.ledger.intent("pi_3N00001");
            intent["status"] = "requires_payment_method".into();
            world.webhook(&serde_json::json!({"type": "payment_intent.created", "data": {"object": intent}}));
        }
        world.settle(id, 1);
        let sent: Vec<_> = world
            .calls
            .iter()
            .filter(|call| call.moves_money)
            .map(|c| c.http.clone())
            .collect();
        assert!(sent.len() >= 2, "{kind:?}");
        assert!(sent.iter().all(|http| *http == sent[0]), "{kind:?}: {sent:?}");
    }
}

#[test]
fn rule_12_prepare_first_then_act_on_the_journalled_id() {
    for prepare_first in [false, true] {
        let kind = if prepare_first {
            Kind::Stripe
        } else {
            Kind::StripeNoKeys
        };
        let mut world = World::new(kind);
        world.psp_mut().capabilities.prepare_first = prepare_first;
        let id = world.authorized();
        let steps: Vec<(CallStep, Option<String>)> = world
            .record(id)
            .entries()
            .iter()
            .filter_map(|entry| match &entry.fact {
                Fact::Dispatched { step, target, .. } => Some((*step, target.clone())),
                _ => None,
            })
            .collect();
        assert_eq!(
            steps,
            [
                (CallStep::CreateObject, None),
                (CallStep::Execute, Some("pi_3N00001".to_owned()))
            ]
        );
        assert!(!world.calls[0].moves_money && world.calls[1].moves_money);
        assert!(!String::from_utf8_lossy(&world.calls[0].http.body).contains("confirm"));
        assert!(
            world.calls[1]
                .http
                .url
                .ends_with("/v1/payment_intents/pi_3N00001/confirm")
        );
    }
    // The negative: with keys and no wish for it, one call does both.
    let mut world = World::new(Kind::Stripe);
    world.authorized();
    assert_eq!(world.calls.len(), 1);
}

/// Tries to make the object that were lost kept the call that acts on it for as long as a next try would have waited.
#[test]
fn rule_12_an_object_that_was_made_is_acted_on_at_once() {
    for lost in 0..5 {
        let mut world = World::new(Kind::StripeNoKeys);
        let id = world.create();
        world
            .script
            .extend(std::iter::repeat_n(Told::Instead(timeout()), lost));
        world.op(id, "authorize", "k2");
        let mut made_ms = world.now_ms;
        while world.status(id) != "AUTHORIZED" {
            made_ms = world.due(id).unwrap();
            world.settle(id, 1);
        }
        assert_eq!((world.calls.len(), world.now_ms), (lost + 2, made_ms));
    }
}

/// Two objects may come of one preparation that was sent twice. What was acted on is what is looked at.
#[test]
fn rule_12_a_late_second_object_does_not_hide_the_one_acted_on() {
    let mut world = World::new(Kind::StripeNoKeys);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    // The first preparation is slow: its object comes to be after the second's, and its answer later still.
    let first = world.held.remove(0);
    world.outcome(first.clone(), timeout());
    world.script.extend([Told::Truth, Told::Lost(timeout())]);
    world.settle(id, 2);
    assert_eq!(
        world.ledger.authorizations(),
        1,
        "the second object was confirmed, and the answer was lost"
    );
    let late = world.ledger.act(&first.http, world.now_ms);
    world.outcome(first, late);
    world.settle(id, 30);
    let shown = world.get(id);
    assert_eq!(
        (&shown["status"], world.ledger.authorizations()),
        (&"EXPIRED".into(), 1),
        "{:#?}",
        world.story(id)
    );
    assert_eq!(shown["authorization"]["psp_reference"], "pi_3N00001");
}

#[test]
fn a_409_or_a_cached_500_does_not_loop_for_ever_at_a_psp_with_reads() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let cached = || Told::Instead(answered(500, r#"{"error":{"type":"api_error"}}"#));
    world.script.extend([cached(), cached(), cached()]);
    world.op(id, "capture", "k3");
    world.settle(id, 40);
    assert_eq!(
        json(&world.op(id, "capture", "k3"))["status"],
        "CAPTURED",
        "{:#?}",
        world.story(id)
    );
    assert_eq!(world.ledger.captures(), 1);
}

/// A server that was paused past its window comes back after the unknown was parked, and has sent nothing: then nothing
/// is unknown, and the payment goes on by itself.
#[test]
fn a_park_ends_when_nothing_ever_left() {
    let mut world = World::new(Kind::Blind);
    let id = world.create();
    world.script.push_back(Told::Hold);
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    world.settle(id, 5);
    assert!(world.is_parked(id), "an unknown of a blind PSP is parked");
    let call = world.held.remove(0);
    assert!(!call.may_send(world.now()), "its window is over");
    world.outcome(call, crate::support::not_sent());
    assert!(!world.is_parked(id), "nothing left, so nothing is unknown");
    world.settle(id, 1);
    assert_eq!(world.dispatches(id, Operation::Authorize).len(), 2);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.authorizations()),
        ("AUTHORIZED", 1)
    );
}
