//! The timeline: the journal in words. GET shows it; nothing else is kept beside it (`docs/store.md`, “The record”).

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use serde_json::{Value, json};

use crate::base::hex;
use crate::base::id::LocalId;
use crate::base::time::{UnixMillis, rfc3339_ms};
use crate::base::version::RecordVersion;
use crate::journal::entry::{CallStep, Cause, Conclusion, Entry, Fact, RequestKind, Source};
use crate::journal::evidence::{Effect, EffectKind, Evidence, Signal};
use crate::journal::record::{Link, Record};

/// One line of the timeline. It shares its entry with the record, and makes its words when it is written.
#[derive(Clone, Debug)]
pub struct Line {
    seq: usize,
    entry: Arc<Entry>,
    link: Link,
}

/// The whole timeline of a record.
#[must_use]
pub fn timeline(record: &Record) -> Vec<Line> {
    let linked = record.entries().iter().zip(record.links()).enumerate();
    linked
        .map(|(seq, (entry, link))| Line {
            seq,
            entry: Arc::clone(entry),
            link: *link,
        })
        .collect()
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fact = &self.entry.fact;
        let details = Details(details(fact));
        let has_details = details.0.iter().any(|(_, detail)| detail.is_there());
        let mut line = serializer.serialize_struct("Line", 5 + usize::from(has_details))?;
        line.serialize_field("seq", &self.seq)?;
        line.serialize_field("at", &rfc3339_ms(self.entry.at_ms))?;
        line.serialize_field("knowing", &fact.kind())?;
        line.serialize_field("event", &event(fact))?;
        if has_details {
            line.serialize_field("details", &details)?;
        }
        line.serialize_field("hash", &hex::write(&self.link))?;
        line.end()
    }
}

/// The members of a line's `details`, in the order of their names. Members that have no value are left out.
struct Details<'a>(Vec<(&'static str, Detail<'a>)>);

/// The value of a member of `details`.
enum Detail<'a> {
    Text(&'a str),
    MaybeText(Option<&'a str>),
    Number(u64),
    Request(RequestKind),
    Version(RecordVersion),
    Time(UnixMillis),
    Call(Option<LocalId>),
    /// Left out if there is none.
    Effects(&'a [Effect]),
}

impl Detail<'_> {
    fn is_there(&self) -> bool {
        match self {
            Self::MaybeText(text) => text.is_some(),
            Self::Call(call) => call.is_some(),
            Self::Effects(effects) => !effects.is_empty(),
            Self::Text(_) | Self::Number(_) | Self::Request(_) | Self::Version(_) | Self::Time(_) => true,
        }
    }
}

impl Serialize for Detail<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::MaybeText(text) => text.serialize(serializer),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Request(request) => request.serialize(serializer),
            Self::Version(version) => version.serialize(serializer),
            Self::Time(at_ms) => serializer.serialize_str(&rfc3339_ms(*at_ms)),
            Self::Call(call) => call.map(|call| call.with_prefix("call_")).serialize(serializer),
            Self::Effects(effects) => serializer.collect_seq(effects.iter().map(effect)),
        }
    }
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        debug_assert!(self.0.is_sorted_by_key(|(name, _)| name));
        let mut members = serializer.serialize_map(None)?;
        for (name, detail) in self.0.iter().filter(|(_, detail)| detail.is_there()) {
            members.serialize_entry(name, detail)?;
        }
        members.end()
    }
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

fn details(fact: &Fact) -> Vec<(&'static str, Detail<'_>)> {
    match fact {
        Fact::Created {
            key, request, psp, ..
        } => vec![
            ("idempotency_key", Detail::Text(key)),
            ("psp", Detail::Text(psp)),
            ("request", Detail::Request(*request)),
        ],
        Fact::Requested { key, .. } | Fact::Resumed { key } => vec![("idempotency_key", Detail::Text(key))],
        // The address itself is the shop's own, and may name its customer's session.
        Fact::ReturnTo { .. } => Vec::new(),
        Fact::Installation { name } => vec![("installation", Detail::Text(name))],
        Fact::WireForm { form } => vec![("wire_form", Detail::Number(u64::from(*form)))],
        Fact::Proposed { key, proposal } => vec![
            ("generation", Detail::Version(proposal.version)),
            ("idempotency_key", Detail::Text(key)),
            ("operator", Detail::Text(&proposal.operator)),
            (
                "psp_reference",
                Detail::MaybeText(proposal.psp_reference.as_deref()),
            ),
            ("reason", Detail::Text(&proposal.reason)),
        ],
        Fact::Intended {
            amount_minor, target, ..
        } => vec![
            ("amount", Detail::Number(*amount_minor)),
            ("target", Detail::MaybeText(target.as_deref())),
        ],
        Fact::Dispatched {
            call,
            generation,
            psp_key,
            target,
            sent_at_ms,
            send_by_ms,
            ..
        } => vec![
            ("call", Detail::Call(Some(*call))),
            ("effect", Detail::Number(u64::from(*generation))),
            ("psp_key", Detail::Text(psp_key)),
            ("send_by", Detail::Time(*send_by_ms)),
            ("sent_at", Detail::Time(*sent_at_ms)),
            ("target", Detail::MaybeText(target.as_deref())),
        ],
        Fact::Observed {
            source,
            call,
            evidence,
            ..
        } => observed(source, *call, evidence),
        Fact::Suspected {
            begins_ms,
            restored_ms,
        } => vec![
            ("loss_begins_at", Detail::Time(*begins_ms)),
            ("restored_at", Detail::Time(*restored_ms)),
        ],
        Fact::Inferred { conclusion } => of_conclusion(conclusion),
    }
}

fn of_conclusion(conclusion: &Conclusion) -> Vec<(&'static str, Detail<'_>)> {
    match conclusion {
        Conclusion::NoEffect { generation, .. } | Conclusion::Withdrawn { generation, .. } => {
            vec![("effect", Detail::Number(u64::from(*generation)))]
        }
        Conclusion::NotCarriedOut { code, message, .. } => {
            vec![("code", Detail::Text(code)), ("message", Detail::Text(message))]
        }
        Conclusion::Parked { reason, .. } => vec![("reason", Detail::Text(reason))],
        Conclusion::Unwanted { reference, .. } | Conclusion::Foreign { reference } => {
            vec![("psp_reference", Detail::Text(reference))]
        }
        Conclusion::CaptureMismatch {
            reference,
            asked_minor,
            captured,
        } => vec![
            ("captured_amount", Detail::Number(captured.amount_minor)),
            ("captured_currency", Detail::Text(&captured.currency)),
            ("psp_reference", Detail::Text(reference)),
            ("requested_amount", Detail::Number(*asked_minor)),
        ],
    }
}

/// The effects that evidence shows.
pub(super) fn effects(evidence: &Evidence) -> Vec<Value> {
    evidence.effects.iter().map(effect).collect()
}

fn effect(effect: &Effect) -> Value {
    json!({"kind": effect.kind, "psp_reference": effect.id, "amount": effect.amount_minor})
}

fn observed<'a>(
    source: &'a Source,
    call: Option<LocalId>,
    evidence: &'a Evidence,
) -> Vec<(&'static str, Detail<'a>)> {
    let (operator, reason) = match source {
        Source::Operator { operator, reason } => (Some(operator.as_str()), Some(reason.as_str())),
        Source::Response | Source::NamedResponse { .. } | Source::Webhook | Source::Lookup => (None, None),
    };
    let request_id = match source {
        Source::NamedResponse { request_id } => Some(request_id.as_str()),
        _ => None,
    };
    let (code, words) = match &evidence.signal {
        Signal::Refused { code, message } | Signal::FormRefused { code, message, .. } => {
            (Some(code.as_str()), Some(message.as_str()))
        }
        Signal::Unknown { reason } | Signal::NotSent { reason } | Signal::KeyUseless { reason } => {
            (None, Some(reason.as_str()))
        }
        // A merchant's timeline names no code of a rejection: it speaks of our credentials.
        Signal::None | Signal::Prepared { .. } | Signal::ActionRequired { .. } | Signal::Rejected { .. } => {
            (None, None)
        }
    };
    vec![
        ("call", Detail::Call(call)),
        ("code", Detail::MaybeText(code)),
        ("effects", Detail::Effects(&evidence.effects)),
        ("message", Detail::MaybeText(words)),
        ("operator", Detail::MaybeText(operator)),
        ("reason", Detail::MaybeText(reason)),
        ("request_id", Detail::MaybeText(request_id)),
    ]
}
