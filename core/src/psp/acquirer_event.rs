//! The acquirer's events: an authorization, capture or void that came about or was refused, a refund by hand, a reversal.

use serde::Deserialize;
use serde_json::Value;

use super::acquirer;
use super::event::Next;
use crate::base::id::AttemptId;
use crate::journal::entry::Operation;
use crate::journal::evidence::{Effect, EffectKind, Evidence, Sighting, Signal, clip};

#[derive(Deserialize)]
struct AcquirerEvent {
    /// The authorization that a capture or void was of; the capture that a refund or reversal was of.
    of: Option<String>,
    #[serde(flatten)]
    outcome: acquirer::Outcome,
}

/// Reads an event. `None` if it cannot be read though it is about an attempt. An acquirer's event says all that it knows: nothing has
/// to be read for it.
pub(super) fn read<Read>(body: &[u8]) -> Option<Next<Vec<Sighting>, Read>> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let Some(id) = text("reference").and_then(AttemptId::parse) else {
        return Some(Next::Nothing);
    };
    let sighting = match text("type").unwrap_or_default() {
        "authorize" => of_operation(&event, Operation::Authorize)?,
        "capture" => of_operation(&event, Operation::Capture)?,
        "void" => of_operation(&event, Operation::Void)?,
        "refund" => of_capture(&event, EffectKind::Refund)?,
        "reversal" => of_capture(&event, EffectKind::Reversal)?,
        _ => None,
    };
    Some(match sighting {
        Some(sighting) => Next::Tell(id, vec![sighting]),
        None => Next::Nothing,
    })
}

/// `Some(None)` for what says nothing of this attempt's state.
fn of_operation(event: &Value, operation: Operation) -> Option<Option<Sighting>> {
    let event = AcquirerEvent::deserialize(event).ok()?;
    let created_ms = event.outcome.created_ms();
    let mut evidence = event.outcome.evidence(operation, event.of.as_deref(), 0);
    // “Declined” of a capture or void does not say of which try: no evidence.
    let is_refusal = matches!(evidence.signal, Signal::Refused { .. });
    if is_refusal && operation != Operation::Authorize {
        return Some(None);
    }
    for effect in &mut evidence.effects {
        effect.currency = effect.currency.take().filter(|currency| !currency.is_empty());
        if effect.amount_minor == 0 {
            return None;
        }
    }
    let named = evidence.effects.first().map(|effect| effect.id.clone());
    let waiting = match &evidence.signal {
        Signal::ActionRequired { reference, .. } => Some(reference.clone()),
        _ => None,
    };
    // A refusal names no object. It is about the operation that was requested.
    let object = event.of.map(clip).or(named).or(waiting).unwrap_or_default();
    Some(Some(Sighting {
        object,
        created_ms,
        amount: None,
        evidence,
    }))
}

#[derive(Deserialize)]
struct OfCapture {
    status: String,
    psp_reference: String,
    of: String,
    amount: u64,
    currency: Option<String>,
}

fn of_capture(event: &Value, kind: EffectKind) -> Option<Option<Sighting>> {
    let event = OfCapture::deserialize(event).ok()?;
    if event.status != "approved" {
        return Some(None);
    }
    let of = clip(event.of);
    Some(Some(Sighting {
        object: of.clone(),
        created_ms: None,
        amount: None,
        evidence: Evidence {
            effects: vec![Effect {
                kind,
                id: clip(event.psp_reference),
                of: Some(of),
                amount_minor: event.amount,
                currency: event.currency.map(clip),
                listed: true,
            }],
            ..Evidence::default()
        },
    }))
}
