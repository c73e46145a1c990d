//! What was seen of a run, for oracles to judge: what clients were told, what the PSP's ledger holds, what was asked
//! of the PSP. Truth never comes from our own store (its journals are judged too, as one more witness).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memchr::memmem;
use pay_once_core::{AttemptId, CallResult, Record};
use pay_once_sandbox::LedgerEvent;
use serde::Deserialize;

use crate::plan::Plan;
use crate::shopper::Ask;

/// Where an attempt stands, in the words of `docs/http.md`, “Statuses”. The order of the ranks is the simulator's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum Status {
    Created,
    Authorizing,
    RequiresAction,
    Authorized,
    Capturing,
    Voiding,
    Captured,
    Voided,
    Declined,
    Expired,
}

impl Status {
    /// How far along it is.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self {
            Self::Created => 0,
            Self::Authorizing => 1,
            Self::RequiresAction => 2,
            Self::Authorized => 3,
            Self::Capturing | Self::Voiding => 4,
            Self::Captured | Self::Voided | Self::Declined | Self::Expired => 5,
        }
    }

    /// Whether the register can be found there later though it is no step forward: a rejected operation had no effect, and
    /// another one may have begun since.
    #[must_use]
    pub fn may_return_to(self, later: Self) -> bool {
        match self {
            Self::Authorizing => later == Self::Created,
            Self::Capturing => matches!(later, Self::Authorized | Self::Voiding),
            _ => false,
        }
    }

    /// Whether it never changes (rule 10).
    #[must_use]
    pub fn is_final(self) -> bool {
        self.rank() == 5
    }
}

/// How well the operation under way is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum OperationState {
    InFlight,
    InDoubt,
    Parked,
}

/// An attempt as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct Shown {
    pub attempt_id: String,
    pub status: Status,
    pub amount: u64,
    pub currency: String,
    #[serde(default)]
    pub operation: Option<ShownOperation>,
    #[serde(default)]
    pub capture: Option<ShownCapture>,
    #[serde(default)]
    pub authorization: Option<ShownAuthorization>,
    #[serde(default)]
    pub next_action: Option<ShownAction>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct ShownOperation {
    pub name: String,
    pub state: OperationState,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct ShownCapture {
    pub capture_id: String,
    pub amount: u64,
    #[serde(default)]
    pub reversed_amount: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct ShownAuthorization {
    pub authorization_id: String,
    pub psp_reference: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct ShownAction {
    pub url: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorShown,
}

#[derive(Deserialize)]
struct ErrorShown {
    code: String,
    #[serde(default)]
    safe_new_key: bool,
    #[serde(default)]
    retryable: bool,
    #[serde(default)]
    attempt: Option<Shown>,
}

/// An answer of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Status line.
    pub status: u16,
    /// Whether `Idempotency-Replayed: true` came with it.
    pub is_replay: bool,
    /// Code of the error, if it is one.
    pub code: Option<String>,
    /// Whether the error says that a new key is safe.
    pub safe_new_key: bool,
    /// Whether the error says that the same request may be sent again.
    pub retryable: bool,
    /// The attempt, if it is shown.
    pub shown: Option<Shown>,
    /// Body, byte for byte.
    pub body: Vec<u8>,
}

/// What begins the last member of an attempt that is shown with its timeline. A string within the body cannot contain it: its quotes
/// are escaped there.
pub(crate) const TIMELINE: &str = r#","timeline":["#;

/// The body without its timeline, which is most of it and is judged as text.
fn without_timeline(body: &[u8]) -> Cow<'_, [u8]> {
    match memmem::find(body, TIMELINE.as_bytes()).and_then(|at| body.get(..at)) {
        Some(head) => Cow::Owned([head, b"}"].concat()),
        None => Cow::Borrowed(body),
    }
}

impl Told {
    /// Reads an answer. What cannot be read is kept as bytes: no oracle takes it for anything.
    #[must_use]
    pub fn read(status: u16, is_replay: bool, body: Vec<u8>) -> Self {
        let (code, safe_new_key, retryable, shown) = if status < 300 {
            let shown = serde_json::from_slice::<Shown>(&without_timeline(&body)).ok();
            (None, false, false, shown)
        } else {
            match serde_json::from_slice::<ErrorBody>(&body) {
                Ok(ErrorBody { error }) => (
                    Some(error.code),
                    error.safe_new_key,
                    error.retryable,
                    error.attempt,
                ),
                Err(_) => (None, false, false, None),
            }
        };
        Self {
            status,
            is_replay,
            code,
            safe_new_key,
            retryable,
            shown,
            body,
        }
    }

    /// Whether the answer is kept for replay (`docs/http.md`, “Replays”): final results and definite declines,
    /// whatever their status line.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.is_replay || matches!(self.status, 200 | 201 | 402)
    }
}

/// One request of a client and what came of it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The request.
    pub ask: Ask,
    /// When it was sent, in milliseconds from the start.
    pub began_ms: u64,
    /// When the answer came, or the client gave up waiting.
    pub ended_ms: u64,
    /// The answer, unless there was none in time.
    pub told: Option<Told>,
}

/// A request that arrived at the PSP by which money can move.
#[derive(Clone, Debug)]
pub struct PspCall {
    /// When, in milliseconds from the start.
    pub at_ms: u64,
    /// Its idempotency key: attempt, operation and effect number.
    pub key: String,
}

/// Whether a server does not know from this what came of its call.
#[must_use]
pub fn is_unknown(result: &CallResult) -> bool {
    match result {
        // A refusal of one sending says nothing of the others.
        CallResult::Answered { status, body, .. } => {
            let is_read = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
            !matches!(status, 200..=299 | 402) || !is_read
        }
        CallResult::TooLarge { .. } | CallResult::Unknown { .. } => true,
        CallResult::NotSent { .. } => false,
    }
}

/// What a restore took from an attempt.
#[derive(Clone, Debug)]
pub struct Lost {
    /// When the store was restored, in milliseconds from the start.
    pub at_ms: u64,
    /// The record that the store had until then.
    pub record: Arc<Record>,
}

/// Everything that was seen of one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The plan.
    pub plan: Plan,
    /// What clients asked and were told, in order of asking. The last look at every attempt, after healing, included.
    pub heard: Vec<Heard>,
    /// The PSP's ledger, by attempt and in order.
    pub ledger: Vec<LedgerEvent>,
    /// Calls that can move money, in order of arrival at the PSP.
    pub psp_calls: Vec<PspCall>,
    /// Calls that can move money as servers came to send them, in order; those that then could not leave included.
    pub sends: Vec<PspCall>,
    /// How many calls of an attempt ended without its server's knowing what came of them.
    pub unknown: BTreeMap<String, u64>,
    /// The object at the PSP that an authorization of the ledger belongs to, by the authorization's id.
    pub objects: BTreeMap<String, String>,
    /// Attempts of which the PSP executed a call a second time, whether or not money moved by it.
    pub twice: BTreeSet<String>,
    /// Swaps that applied, by attempt.
    pub writes: BTreeMap<String, u64>,
    /// The stored records when the run ended, by attempt.
    pub records: BTreeMap<String, Vec<u8>>,
    /// When the run ended, in milliseconds from the start.
    pub ended_ms: u64,
    /// Webhooks that were acknowledged: when, in milliseconds from the start, and their bodies.
    pub acknowledged: Vec<(u64, Vec<u8>)>,
    /// Attempts that a restore has thrown back.
    pub lost: BTreeMap<String, Lost>,
    /// What was met, for the gate against runs that prove nothing.
    pub met: crate::met::Met,
    /// Errors of the world itself (a panic in a host, say): always a violation.
    pub broken: Vec<String>,
    /// The records read, once somebody asks.
    pub(crate) journals: OnceCell<BTreeMap<String, Result<Record, String>>>,
    /// The acknowledged webhooks read, once somebody asks.
    pub(crate) events: OnceCell<Vec<AcknowledgedEvent>>,
}

/// What an acknowledged webhook tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AcknowledgedEvent {
    /// When it was acknowledged, in milliseconds from the start.
    pub at_ms: u64,
    /// The attempt and its effect or object, if it tells of one that happened.
    pub effect: Option<(String, String)>,
    /// The object that a Stripe event is about.
    pub object: Option<String>,
    /// The PaymentIntent that this object belongs to, if it says so.
    pub intent: Option<String>,
}

/// The members of an event that oracles read, of the acquirer's and of Stripe's.
#[derive(Default, Deserialize)]
struct EventBody {
    status: Option<String>,
    reference: Option<String>,
    psp_reference: Option<String>,
    data: Option<EventData>,
    related_object: Option<EventObject>,
}

#[derive(Deserialize)]
struct EventData {
    object: Option<EventObject>,
}

#[derive(Default, Deserialize)]
struct EventObject {
    id: Option<String>,
    object: Option<String>,
    status: Option<String>,
    payment_intent: Option<String>,
    metadata: Option<EventMetadata>,
}

#[derive(Deserialize)]
struct EventMetadata {
    attempt_id: Option<String>,
}

impl AcknowledgedEvent {
    fn read(at_ms: u64, body: &[u8]) -> Self {
        let event: EventBody = serde_json::from_slice(body).unwrap_or_default();
        let object = event.data.and_then(|data| data.object).unwrap_or_default();
        let is_approved = event.status.as_deref() == Some("approved");
        let has_moved = matches!(object.status.as_deref(), Some("succeeded" | "requires_capture"));
        let is_intent = object.object.as_deref() == Some("payment_intent");
        let effect = if is_approved {
            event.reference.zip(event.psp_reference)
        } else if has_moved && is_intent {
            let attempt = object.metadata.and_then(|metadata| metadata.attempt_id);
            attempt.zip(object.id.clone())
        } else {
            None
        };
        let related = event.related_object.and_then(|related| related.id);
        Self {
            at_ms,
            effect,
            object: object.id.or(related),
            intent: object.payment_intent,
        }
    }
}

impl Run {
    /// The acknowledged webhooks as far as oracles read them.
    pub(crate) fn events(&self) -> &[AcknowledgedEvent] {
        self.events.get_or_init(|| {
            let acknowledged = self.acknowledged.iter();
            acknowledged
                .map(|(at_ms, body)| AcknowledgedEvent::read(*at_ms, body))
                .collect()
        })
    }

    /// The stored records as core reads them: version, bounds and the whole chain of hashes; or why it refuses one.
    pub fn journals(&self) -> &BTreeMap<String, Result<Record, String>> {
        self.journals.get_or_init(|| {
            let read = |id: &str, bytes: &[u8]| match AttemptId::parse(id) {
                Some(id) => Record::decode(id, bytes).map_err(|why| why.to_string()),
                None => Err("its address is no attempt's".to_owned()),
            };
            let records = self.records.iter();
            records.map(|(id, bytes)| (id.clone(), read(id, bytes))).collect()
        })
    }
}
