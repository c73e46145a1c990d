//! An event that was acknowledged is in the journal: the PSP does not send it again (rule 2).

use serde_json::Value;

use super::{Case, Oracle, Wrong};
use crate::plan::Token;

pub(super) const ORACLE: Oracle = Oracle {
    name: "acknowledged events are kept",
    rule: "rule 2",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let Some(journal) = case.run.records.get(&case.id) else {
        return Ok(());
    };
    // What differs in its amount cannot be told to be ours where the installation has no name.
    if case.payment.token == Token::PartialApproval && case.run.plan.world.installation.is_empty() {
        return Ok(());
    }
    // What another installation made may be told of before the attempt is there.
    let objects = case
        .foreign
        .iter()
        .filter_map(|event| case.run.objects.get(&event.id));
    let foreign: Vec<&str> = objects
        .map(String::as_str)
        .chain(case.foreign.iter().map(|event| event.id.as_str()))
        .collect();
    for (at_ms, body) in &case.run.acknowledged {
        let told = effect_of(body, &case.id);
        // What a person or the card network does may be told of before what it was done to: it is looked up later.
        let is_of_call = |id: &String| {
            let mut own = case.ledger.iter().filter(|event| event.cause.is_none());
            own.any(|event| event.id == *id || case.run.objects.get(&event.id) == Some(id))
        };
        let Some(id) = told.filter(|id| !foreign.contains(&id.as_str()) && is_of_call(id)) else {
            continue;
        };
        if !journal.windows(id.len()).any(|bytes| bytes == id.as_bytes()) {
            let what = format!("an event about {id} was acknowledged, and the journal does not know of it");
            return Err((*at_ms, what));
        }
    }
    Ok(())
}

/// The effect or object of an attempt that an event tells of, if it is one that happened.
fn effect_of(body: &[u8], attempt_id: &str) -> Option<String> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    if text("/reference") == Some(attempt_id) && text("/status") == Some("approved") {
        return text("/psp_reference").map(str::to_owned);
    }
    if text("/data/object/metadata/attempt_id") != Some(attempt_id) {
        return None;
    }
    let moved = matches!(
        text("/data/object/status"),
        Some("succeeded" | "requires_capture")
    );
    let is_intent = text("/data/object/object") == Some("payment_intent");
    text("/data/object/id")
        .filter(|_| moved && is_intent)
        .map(str::to_owned)
}
