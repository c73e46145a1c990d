//! An honest operator: resolves what is parked by the PSP's books.

use pay_once_core::Record;
use pay_once_core::journal::entry::Operation;
use pay_once_core::journal::running::CurrentOperation;
use pay_once_sandbox::tokens::Operation as PspOperation;
use pay_once_sandbox::{Cause, LedgerEvent, Sandbox};

/// Whether somebody has to look at it.
#[must_use]
pub fn is_parked(record: &Record) -> bool {
    record.state().parking().is_some()
}

/// What the books say of the parked operation, as the body of the request that resolves it. `None`: nothing is parked.
#[must_use]
pub fn word(sandbox: &Sandbox, attempt_id: &str, record: &Record) -> Option<String> {
    let state = record.state();
    let (parked, version) = state.parking()?;
    let (name, generation) = (parked.as_str(), version.get());
    let events: Vec<&LedgerEvent> = sandbox
        .ledger()
        .filter(|event| event.attempt_id == attempt_id && event.declined.is_none())
        .collect();
    let foreign = |event: &&&LedgerEvent| {
        event.operation == PspOperation::Authorize && event.cause == Some(Cause::Foreign)
    };
    let foreign: Vec<&str> = events
        .iter()
        .filter(foreign)
        .map(|event| event.id.as_str())
        .collect();
    let is_own = |event: &&&LedgerEvent| {
        let of = event.authorization.as_deref().unwrap_or(&event.id);
        !foreign.contains(&of)
    };
    let own: Vec<&LedgerEvent> = events.iter().filter(is_own).copied().collect();
    let ended = |id: &str| {
        let is_end = |event: &&&LedgerEvent| {
            event.authorization.as_deref() == Some(id)
                && matches!(
                    event.operation,
                    PspOperation::Void | PspOperation::Lapse | PspOperation::Refund
                )
        };
        own.iter().any(|event| is_end(&event))
    };
    let mut held = own
        .iter()
        .filter(|event| event.operation == PspOperation::Authorize && !ended(&event.id));
    let mut taken = own
        .iter()
        .filter(|event| event.operation == PspOperation::Capture)
        .filter(|event| event.authorization.as_deref().is_some_and(|id| !ended(id)));
    let operation = state.running.as_ref().map(|running| running.operation);
    // Of a release that may have been sent before a restore the books may show that the money was taken instead.
    let is_suspect = state.running.as_ref().is_some_and(CurrentOperation::is_suspect);
    let is_taken = taken.clone().next().is_some();
    let operation = match operation {
        Some(Operation::Void) if is_suspect && is_taken => Some(Operation::Capture),
        operation => operation,
    };
    let name = operation.map_or(name, Operation::as_str);
    let (happened, reference) = match operation {
        // What differs from what was asked for is dealt with at the PSP; the word is all that is left.
        None => (true, None),
        Some(Operation::Authorize) => {
            let found = held.next();
            (found.is_some(), found.map(|event| sandbox.object_of(&event.id)))
        }
        Some(Operation::Capture) => {
            let found = taken.next();
            // Stripe's capture has the id of the object, which is known.
            let id = found.map(|event| event.id.clone());
            let is_acquirers = |id: &String| id.starts_with("cap_") && !is_stripe(&own);
            (found.is_some(), id.filter(is_acquirers))
        }
        Some(Operation::Void | Operation::Refund) => (held.next().is_none(), None),
    };
    // Left out where there is nothing to name.
    let named = reference
        .filter(|_| happened)
        .map(|reference| format!(r#","psp_reference":"{reference}""#));
    let outcome = if happened { "happened" } else { "did_not_happen" };
    Some(format!(
        r#"{{"operator":"ada","reason":"by the PSP's books","operation":"{name}","generation":{generation},"outcome":"{outcome}"{}}}"#,
        named.unwrap_or_default()
    ))
}

fn is_stripe(own: &[&LedgerEvent]) -> bool {
    own.iter()
        .any(|event| event.face == pay_once_sandbox::Face::Stripe)
}
