//! `GET /lookup`: what the acquirer knows under a reference.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::base::face::Face;
use crate::base::outcome::Outcome;
use crate::base::settings::Settings;
use crate::base::tokens::Operation;
use crate::ledger::event::{Cause, LedgerEvent};
use crate::ledger::state::State;

/// Lists the effects under `reference` that are at least `lookup_lag_ms` old. A challenge that ended less than that ago is still
/// shown as open: the list is one view of an earlier moment, in which nothing is missing.
pub(crate) fn answer(state: &State, settings: &Settings, now_ms: u64, reference: &str) -> Outcome {
    let lag_ms = settings.dials.lookup_lag_ms;
    let events: Vec<&Arc<LedgerEvent>> = state
        .ledger
        .accounts
        .get(reference)
        .into_iter()
        .flat_map(|account| &account.events)
        .filter(|event| event.face == Face::Acquirer && now_ms.saturating_sub(event.at_ms) >= lag_ms)
        .collect();
    let effects = |wanted: &[Operation]| -> Vec<Value> {
        let done = events
            .iter()
            .filter(|event| event.cause != Some(Cause::Reversal))
            .filter(|event| event.declined.is_none() && wanted.contains(&event.operation));
        done.map(|event| row(event)).collect()
    };
    let reversals: Vec<Value> = events
        .iter()
        .filter(|event| event.cause == Some(Cause::Reversal))
        .map(|event| row(event))
        .collect();
    let declined: Vec<Value> = events
        .iter()
        .filter(|event| event.declined.is_some())
        .map(|event| {
            json!({
                "operation": event.operation,
                "id": event.id,
                "code": event.declined,
                "created": event.at_ms / 1000,
            })
        })
        .collect();
    let just_ended = state
        .ended_challenges
        .iter()
        .filter(|(at_ms, _)| now_ms.saturating_sub(*at_ms) < lag_ms)
        .map(|(_, challenge)| challenge);
    let waiting: Vec<Value> = state
        .challenges
        .values()
        .chain(just_ended)
        .filter(|challenge| challenge.reference == reference)
        .map(|challenge| {
            let mut row = json!({
                "id": challenge.id,
                "amount": challenge.amount_minor,
                "action_url": format!("{}/3ds/{}", settings.public_url, challenge.id),
            });
            if let (Value::Object(members), Some(at_ms)) = (&mut row, challenge.created_ms) {
                members.insert("created".to_owned(), json!(at_ms / 1000));
            }
            row
        })
        .collect();
    let body = json!({
        "reference": reference,
        "authorize": effects(&[Operation::Authorize]),
        "capture": effects(&[Operation::Capture]),
        // A void of something captured is a refund in the ledger, and still a void to who asked for it.
        "void": effects(&[Operation::Void, Operation::Refund]),
        "lapsed": effects(&[Operation::Lapse]),
        "reversal": reversals,
        "requires_action": waiting,
        "declined": declined,
    });
    Outcome::refused(200, &body)
}

fn row(event: &LedgerEvent) -> Value {
    // What it was asked of: one capture that it gave back, else the authorization.
    match event.capture.as_ref().or(event.authorization.as_ref()) {
        None => json!({"id": event.id, "amount": event.amount_minor, "created": event.at_ms / 1000}),
        Some(of) => json!({
            "id": event.id,
            "amount": event.amount_minor,
            "psp_reference": of,
            "created": event.at_ms / 1000,
        }),
    }
}
