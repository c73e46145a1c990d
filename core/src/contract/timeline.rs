//! The timeline: the journal in words. GET shows it; nothing else is kept beside it (`docs/store.md`, “The record”).

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::base::hex;
use crate::base::time::rfc3339_ms;
use crate::journal::entry::{CallStep, Cause, Conclusion, Entry, EntryKind, Fact, Source};
use crate::journal::evidence::{EffectKind, Evidence, Signal};
use crate::journal::record::Record;

/// One line of the timeline.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    seq: usize,
    at: String,
    knowing: EntryKind,
    event: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: Map<String, Value>,
    hash: String,
}

/// The whole timeline of a record.
#[must_use]
pub fn timeline(record: &Record) -> Vec<Line> {
    record
        .entries()
        .iter()
        .zip(record.links())
        .enumerate()
        .map(|(seq, (entry, link))| Line {
            seq,
            at: rfc3339_ms(entry.at_ms),
            knowing: entry.fact.kind(),
            event: event(&entry.fact),
            details: details(entry),
            hash: hex::write(link),
        })
        .collect()
}

/// What happened, in a few words; also the `event` of log lines.
#[must_use]
pub fn event(fact: &Fact) -> String {
    match fact {
        Fact::Created { .. } => "attempt created".to_owned(),
        Fact::Requested { request, .. } => format!("{} requested", request.as_str()),
        Fact::ReturnTo { .. } => "return address given".to_owned(),
        Fact::Installation { name } => format!("made by installation {name}"),
        Fact::WireForm { form } => format!("requests to the PSP are written in wire form {form}"),
        Fact::Resumed { .. } => "asked for again, after a rejection".to_owned(),
        Fact::Proposed { proposal, .. } => format!(
            "an operator proposes that {} {}; another operator has to agree",
            proposal.operation.as_str(),
            if proposal.happened {
                "happened"
            } else {
                "did not happen"
            }
        ),
        Fact::Intended { operation, cause, .. } => match cause {
            Cause::Client => format!("{} intended", operation.as_str()),
            Cause::Automatic => format!("{} intended, as capture is automatic", operation.as_str()),
            Cause::Expiry => format!(
                "{} intended, as nobody used the authorization in time",
                operation.as_str()
            ),
            Cause::Compensation => format!("{} intended, to undo what must not stand", operation.as_str()),
        },
        Fact::Dispatched { operation, step, .. } => match step {
            CallStep::CreateObject => "preparation sent to the PSP".to_owned(),
            CallStep::Execute => format!("{} sent to the PSP", operation.as_str()),
        },
        Fact::Observed { source, evidence, .. } => format!("{} {}", by(source), saw(evidence)),
        Fact::Inferred { conclusion } => concluded(conclusion),
        Fact::Suspected { .. } => {
            "the store was restored from a backup: requests whose entries are lost may have been sent"
                .to_owned()
        }
    }
}

fn by(source: &Source) -> &'static str {
    match source {
        Source::Response | Source::NamedResponse { .. } => "the PSP answered:",
        Source::Webhook => "a webhook said:",
        Source::Lookup => "a look-up found:",
        Source::Operator { .. } => "an operator said:",
    }
}

/// What evidence shows, in a few words.
pub(super) fn saw(evidence: &Evidence) -> String {
    let mut words: Vec<&str> = evidence
        .effects
        .iter()
        .map(|effect| match effect.kind {
            EffectKind::Authorize => "authorized",
            EffectKind::Capture => "captured",
            EffectKind::Void => "voided",
            EffectKind::Lapse => "lapsed",
            EffectKind::Refund => "refunded",
            EffectKind::Reversal => "taken back by the PSP or the issuer",
            EffectKind::RefundFailure => "a refund failed",
        })
        .collect();
    match &evidence.signal {
        Signal::None if words.is_empty() => words.push("nothing there"),
        Signal::None => {}
        Signal::Prepared { .. } => words.push("prepared, not acted on"),
        Signal::ActionRequired { .. } => words.push("the customer must act"),
        Signal::Refused { .. } => words.push("refused"),
        Signal::Unknown { .. } => words.push("outcome unknown"),
        Signal::NotSent { .. } => words.push("the request did not leave"),
        Signal::Rejected { .. } => words.push("our request was rejected"),
        Signal::FormRefused { .. } => words.push("the terms were refused"),
        Signal::KeyUseless { .. } => words.push("outcome unknown, and this key cannot tell it"),
    }
    words.join(", ")
}

fn concluded(conclusion: &Conclusion) -> String {
    match conclusion {
        Conclusion::NoEffect { operation, .. } => {
            format!("{} proven not to have happened", operation.as_str())
        }
        Conclusion::NotCarriedOut { operation, .. } => format!("{} ended without effect", operation.as_str()),
        Conclusion::Parked { operation, .. } => format!("{} parked for an operator", operation.as_str()),
        Conclusion::Unwanted { operation, .. } => format!(
            "an effect was seen that must not stand; {} follows",
            operation.as_str()
        ),
        Conclusion::Withdrawn { operation, .. } => format!(
            "{} had no effect, as the PSP rejected it; it can be asked for again",
            operation.as_str()
        ),
        Conclusion::Foreign { .. } => {
            "an object was seen that this attempt did not make; it is left alone".to_owned()
        }
        Conclusion::CaptureMismatch { .. } => {
            "the PSP captured something else than was asked for; parked for an operator".to_owned()
        }
    }
}

fn details(entry: &Entry) -> Map<String, Value> {
    let value = match &entry.fact {
        Fact::Created {
            key, request, psp, ..
        } => json!({"idempotency_key": key, "request": request, "psp": psp}),
        Fact::Requested { key, .. } => json!({"idempotency_key": key}),
        // The address itself is the shop's own, and may name its customer's session.
        Fact::ReturnTo { .. } => json!({}),
        Fact::Installation { name } => json!({"installation": name}),
        Fact::WireForm { form } => json!({"wire_form": form}),
        Fact::Resumed { key } => json!({"idempotency_key": key}),
        Fact::Proposed { key, proposal } => json!({
            "idempotency_key": key,
            "operator": proposal.operator,
            "reason": proposal.reason,
            "generation": proposal.version,
            "psp_reference": proposal.psp_reference,
        }),
        Fact::Intended {
            amount_minor, target, ..
        } => json!({"amount": amount_minor, "target": target}),
        Fact::Dispatched {
            call,
            generation,
            psp_key,
            target,
            sent_at_ms,
            send_by_ms,
            ..
        } => json!({
            "call": call.with_prefix("call_"),
            "effect": generation,
            "psp_key": psp_key,
            "target": target,
            "sent_at": rfc3339_ms(*sent_at_ms),
            "send_by": rfc3339_ms(*send_by_ms),
        }),
        Fact::Observed {
            source,
            call,
            evidence,
            ..
        } => observed(source, call.map(|c| c.with_prefix("call_")), evidence),
        Fact::Suspected {
            begins_ms,
            restored_ms,
        } => json!({"loss_begins_at": rfc3339_ms(*begins_ms), "restored_at": rfc3339_ms(*restored_ms)}),
        Fact::Inferred { conclusion } => match conclusion {
            Conclusion::NoEffect { generation, .. } => json!({"effect": generation}),
            Conclusion::NotCarriedOut { code, message, .. } => json!({"code": code, "message": message}),
            Conclusion::Parked { reason, .. } => json!({"reason": reason}),
            Conclusion::Unwanted { reference, .. } | Conclusion::Foreign { reference } => {
                json!({"psp_reference": reference})
            }
            Conclusion::Withdrawn { generation, .. } => json!({"effect": generation}),
            Conclusion::CaptureMismatch {
                reference,
                asked_minor,
                captured,
            } => json!({
                "psp_reference": reference,
                "requested_amount": asked_minor,
                "captured_amount": captured.amount_minor,
                "captured_currency": captured.currency,
            }),
        },
    };
    match value {
        Value::Object(members) => members.into_iter().filter(|(_, v)| !v.is_null()).collect(),
        _ => Map::new(),
    }
}

/// The effects that evidence shows.
pub(super) fn effects(evidence: &Evidence) -> Vec<Value> {
    let effects = evidence.effects.iter();
    effects
        .map(|e| json!({"kind": e.kind, "psp_reference": e.id, "amount": e.amount_minor}))
        .collect()
}

fn observed(source: &Source, call: Option<String>, evidence: &Evidence) -> Value {
    let effects = effects(evidence);
    let (operator, reason) = match source {
        Source::Operator { operator, reason } => (Some(operator), Some(reason.as_str())),
        Source::Response | Source::NamedResponse { .. } | Source::Webhook | Source::Lookup => (None, None),
    };
    let request_id = match source {
        Source::NamedResponse { request_id } => Some(request_id),
        _ => None,
    };
    let (code, words) = match &evidence.signal {
        Signal::Refused { code, message } | Signal::FormRefused { code, message, .. } => {
            (Some(code), Some(message.as_str()))
        }
        Signal::Unknown { reason } | Signal::NotSent { reason } | Signal::KeyUseless { reason } => {
            (None, Some(reason.as_str()))
        }
        // A merchant's timeline names no code of a rejection: it speaks of our credentials.
        Signal::None | Signal::Prepared { .. } | Signal::ActionRequired { .. } | Signal::Rejected { .. } => {
            (None, None)
        }
    };
    json!({
        "call": call,
        "request_id": request_id,
        "effects": if effects.is_empty() { Value::Null } else { Value::Array(effects) },
        "code": code,
        "message": words,
        "operator": operator,
        "reason": reason,
    })
}
