//! Trials: what an adversary with a PSP account, a key that is revoked and a patient client tried, and what must come of it.

mod amounts;
mod objects;
mod rejections;
mod walk;

use crate::support::{Told, World, answered};
use pay_once_core::{AttemptId, Call, CallResult, Input, Outcome};
use serde_json::{Value, json};

pub(super) const REVOKED: &str =
    r#"{"error":{"type":"invalid_request_error","code":"k","message":"Invalid API Key"}}"#;

pub(super) fn rejected(status: u16) -> Told {
    Told::Instead(answered(status, REVOKED))
}

pub(super) fn only(world: &World) -> AttemptId {
    *world.store.keys().next().unwrap()
}

/// A PaymentIntent that names the attempt.
pub(super) fn intent(id: AttemptId, object: &str, status: &str, amount: u64, created_ms: u64) -> Value {
    let received = if status == "succeeded" { amount } else { 0 };
    json!({"id": object, "object": "payment_intent", "status": status, "amount": amount, "amount_received": received,
        "currency": "gbp", "created": created_ms / 1000, "metadata": {"attempt_id": id.to_string()}})
}

pub(super) fn event(object: &Value) -> Value {
    json!({"id": "evt_1", "object": "event", "type": "payment_intent.updated", "data": {"object": object}})
}

pub(super) fn list(objects: &[Value]) -> CallResult {
    answered(
        200,
        json!({"object": "list", "data": objects, "has_more": false}).to_string(),
    )
}

/// Lets timers fire until `until_ms`, or until nothing is due; money is told `money`, questions `question`, or the truth.
pub(super) fn play(
    world: &mut World,
    id: AttemptId,
    until_ms: u64,
    money: &dyn Fn(&Call) -> Option<CallResult>,
    question: &dyn Fn(&Call) -> Option<CallResult>,
) {
    let mut steps = 0;
    while let Some(at_ms) = world.due(id).filter(|at_ms| *at_ms <= until_ms) {
        steps += 1;
        assert!(steps < 3_000, "a tight loop: {:#?}", world.story(id));
        world.now_ms = world.now_ms.max(at_ms);
        let (mut calls, _) = world.step(id, &Input::Wake);
        while let Some(call) = calls.pop() {
            let told = if call.moves_money {
                money(&call)
            } else {
                question(&call)
            };
            let result = told.unwrap_or_else(|| world.ledger.act(&call.http, world.now_ms));
            let input = Input::Outcome(Box::new(Outcome { call, result }));
            calls.extend(world.step(id, &input).0);
        }
    }
    world.now_ms = world.now_ms.max(until_ms);
}

pub(super) fn truth(_: &Call) -> Option<CallResult> {
    None
}
