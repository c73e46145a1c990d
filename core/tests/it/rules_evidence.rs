//! `docs/rules.md`, rules 7 and 9, each with its negative: evidence of every kind and order, duplicates, what is an outcome.

use pay_once_core::Millis;
use pay_once_core::journal::entry::{Fact, Operation};
use serde_json::{Value, json};

use crate::support::{CREATE, Kind, Told, World, answered, json as body, timeout};

pub(crate) fn approved(kind: &str, id: pay_once_core::AttemptId, name: &str) -> Value {
    json!({"type": kind, "reference": id.to_string(), "status": "approved", "psp_reference": name,
        "amount": 2599, "currency": "GBP"})
}

#[test]
fn rule_07_response_webhook_and_look_up_end_an_unknown_alike() {
    for way in ["response", "webhook", "look-up"] {
        let mut world = World::new(Kind::AcquirerQueryable);
        let id = world.create();
        world.script.push_back(Told::Hold);
        world.op(id, "authorize", "k2");
        let call = world.held.remove(0);
        let result = world.ledger.act(&call.http, world.now_ms);
        match way {
            "response" => world.outcome(call, result),
            "webhook" => {
                let notice = world.ledger.notices()[0].clone();
                world.webhook(&notice);
            }
            _ => world.settle(id, 1),
        }
        let shown = body(&world.op(id, "authorize", "k2"));
        assert_eq!(
            (&shown["status"], &shown["authorization"]["psp_reference"]),
            (&"AUTHORIZED".into(), &"auth_3N00001".into()),
            "{way}"
        );
        assert_eq!(world.money_calls, 1);
    }
}

#[test]
fn rule_07_what_is_known_already_is_not_written_again() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let writes = world.writes;
    for _ in 0..3 {
        world.webhook(&approved("authorize", id, "auth_3N00001"));
    }
    assert_eq!(world.writes, writes);
    world.webhook(&approved("authorize", id, "auth_other"));
    assert_eq!(world.writes, writes + 1, "and what is not known is");
}

#[test]
fn rule_07_an_unknown_that_is_told_twice_is_written_once() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let call = world.held.remove(0);
    world.outcome(call.clone(), timeout());
    let writes = world.writes;
    world.now_ms += 3;
    world.outcome(call.clone(), timeout());
    world.outcome(call.clone(), crate::support::not_sent());
    assert_eq!(
        world.writes, writes,
        "nor can what may have been sent be taken back"
    );
    world.outcome(
        call,
        answered(200, r#"{"status":"approved","psp_reference":"a"}"#),
    );
    assert_eq!(world.status(id), "AUTHORIZED", "the answer itself still counts");
}

#[test]
fn rule_07_late_evidence_for_an_old_call_is_always_taken_in() {
    // Effect 1 was proven absent and 2 was sent; then the answer to 1 comes after all: it was approved.
    let mut world = World::new(Kind::AcquirerQueryable);
    world.psp_mut().timing.authorize_retry_ms = Millis::new(1_000_000);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let first = world.held.remove(0);
    world.outcome(first.clone(), timeout());
    world.script.clear();
    while world.dispatches(id, Operation::Authorize).len() < 2 {
        world.script = [Told::Truth, Told::Hold].into();
        world.settle(id, 1);
    }
    world.outcome(
        first,
        answered(200, r#"{"status":"approved","psp_reference":"late"}"#),
    );
    let shown = world.get(id);
    assert_eq!(
        shown["authorization"]["psp_reference"],
        "late",
        "{:#?}",
        world.story(id)
    );
}

#[test]
fn rule_07_a_late_refusal_of_a_history_call_declines_nothing() {
    for late in [false, true] {
        let mut world = World::new(Kind::AcquirerQueryable);
        world.psp_mut().timing.authorize_retry_ms = Millis::new(1_000_000);
        let id = world.create();
        world.script.push_back(Told::Hold);
        world.op(id, "authorize", "k2");
        let first = world.held.remove(0);
        world.outcome(first.clone(), timeout());
        while late && world.dispatches(id, Operation::Authorize).len() < 2 {
            world.script = [Told::Truth, Told::Hold].into();
            world.settle(id, 1);
        }
        world.outcome(first, answered(200, r#"{"status":"declined","code":"no"}"#));
        // Effect 1 is proven not to have happened: that it was refused is old news. In time it is a decline.
        assert_eq!(world.status(id), if late { "AUTHORIZING" } else { "DECLINED" });
    }
}

#[test]
fn rule_09_a_definite_4xx_is_an_outcome_and_everything_else_is_not() {
    let no = r#"{"error":{"type":"card_error","code":"card_declined","message":"No."}}"#;
    for kind in [Kind::Stripe, Kind::AcquirerKeyed] {
        for status in 100..600_u16 {
            let mut world = World::new(kind);
            let id = world.create();
            world.script.push_back(Told::Instead(answered(status, no)));
            world.script.extend(std::iter::repeat_n(Told::Hold, 2));
            world.op(id, "authorize", "k2");
            let unknown = !(400..500).contains(&status) || [408, 409, 424, 425, 429].contains(&status);
            // Stripe says in the body whom it refuses, the acquirer by the status.
            let wanted = match (kind, status) {
                _ if unknown => "AUTHORIZING",
                (Kind::Stripe, _) | (_, 402) => "DECLINED",
                (_, 401 | 403) => "CREATED",
                // It may answer a second delivery.
                _ => "AUTHORIZING",
            };
            assert_eq!(world.status(id), wanted, "{kind:?} {status}");
        }
    }
}

#[test]
fn rule_09_a_4xx_that_the_psp_did_not_write_is_unknown() {
    for kind in [Kind::Stripe, Kind::AcquirerKeyed] {
        for page in [
            "",
            "<html>404 Not Found</html>",
            "null",
            "[]",
            "{}",
            r#"{"error":"no"}"#,
            "\u{0}",
        ] {
            let mut world = World::new(kind);
            let id = world.create();
            world.script.push_back(Told::Instead(answered(404, page)));
            world.op(id, "authorize", "k2");
            assert_eq!(world.get(id)["operation"]["state"], "in_doubt", "{kind:?} {page}");
        }
    }
}

#[test]
fn rule_09_an_error_about_the_key_is_not_an_outcome() {
    for (kind, wanted) in [("idempotency_error", "in_doubt"), ("api_error", "in_doubt")] {
        let mut world = World::new(Kind::Stripe);
        let id = world.create();
        let error = json!({"error": {"type": kind, "message": "Keys for idempotent requests can only be used with …"}});
        world
            .script
            .push_back(Told::Instead(answered(400, error.to_string())));
        world.op(id, "authorize", "k2");
        assert_eq!(world.get(id)["operation"]["state"], wanted, "{kind}");
    }
}

#[test]
fn rule_09_refused_because_it_is_being_worked_on_is_not_an_outcome() {
    for (state, wanted) in [
        ("processing", "AUTHORIZING"),
        ("requires_payment_method", "DECLINED"),
    ] {
        let mut world = World::new(Kind::StripeNoKeys);
        let id = world.create();
        let intent = json!({"id": "pi_3N00001", "amount": 2599, "currency": "gbp", "status": state});
        let error = json!({"error": {"type": "invalid_request_error", "code": "payment_intent_unexpected_state",
            "message": "…", "payment_intent": intent}});
        world
            .script
            .extend([Told::Truth, Told::Instead(answered(400, error.to_string()))]);
        world.op(id, "authorize", "k2");
        assert_eq!(world.status(id), wanted, "{state}");
    }
}

#[test]
fn every_observation_names_its_source_and_its_call() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create_with("k1", CREATE);
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "authorize", "k2");
    world.settle(id, 1);
    let record = world.record(id);
    let named: Vec<bool> = record
        .entries()
        .iter()
        .filter_map(|entry| match &entry.fact {
            Fact::Observed { call, .. } => Some(call.is_some()),
            _ => None,
        })
        .collect();
    assert_eq!(
        named,
        [true, false],
        "the timeout answers its call, the look-up answers none"
    );
}

#[test]
fn rule_10_late_success_of_an_authorization_that_was_ended_is_released() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let call = world.held.remove(0);
    world.settle(id, 20);
    assert_eq!(
        world.status(id),
        "DECLINED",
        "psp_unavailable: proven absent, and not tried any more"
    );
    let result = world.ledger.act(&call.http, world.now_ms);
    assert_eq!(
        world.ledger.live(),
        1,
        "it lands after all, later than any request may"
    );
    world.outcome(call, result);
    assert_eq!(
        (world.status(id).as_str(), world.ledger.live()),
        ("DECLINED", 0),
        "{:#?}",
        world.story(id)
    );
}
