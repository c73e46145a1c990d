//! PSP drivers: wire mapping, bytes in and bytes out. A driver knows how a PSP says things; what follows from them
//! is the machine's business.

use std::fmt;

use crate::config::{Face, Psp, Secret};
use crate::evidence::{Evidence, Sighting, Signal, clip};
use crate::id::{AttemptId, LocalId};
use crate::journal::{CallStep, Operation, Terms};
use crate::limits::{EFFECTS_PER_EVIDENCE_MAX, PSP_ANSWER_BYTES_MAX};
use crate::planted::{Bug, planted};

pub(crate) mod acquirer;
pub(crate) mod acquirer_event;
pub mod amount;
pub mod questions;
pub mod report;
pub(crate) mod stripe;
pub(crate) mod stripe_errors;
pub(crate) mod stripe_event;
pub(crate) mod webhook;

use amount::Units;
use report::CallKind;

/// Headers of a PSP's answer that core reads, in lower case. An adapter hands these over and drops the others.
pub const ANSWER_HEADERS: [&str; 2] = ["request-id", "stripe-should-retry"];

/// How requests are written, in full: paths, members, their order, and headers. A PSP that honours keys refuses another request
/// under a key that is in use, so what was dispatched in one form is sent again in the same one, by any later build
/// (`core/tests/golden/wire/`). A change of what is written is a new form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WireForm {
    /// No `Stripe-Version`, amounts in ISO 4217's minor units, refunds without metadata.
    Unversioned,
    /// `Stripe-Version` 2026-07-29.dahlia, amounts in the PSP's units, refunds with metadata.
    Versioned,
}

impl WireForm {
    /// The form for new objects.
    pub const CURRENT: WireForm = WireForm::Versioned;

    /// Every form that has shipped.
    pub const ALL: [WireForm; 2] = [WireForm::Unversioned, WireForm::Versioned];

    /// The number in the journal.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Unversioned => 0,
            Self::Versioned => 1,
        }
    }

    /// The form of a number in the journal. A number that this build does not know reads as the newest one that it does: such a
    /// record is refused before (`Record::decode`).
    #[must_use]
    pub fn of(number: u16) -> Self {
        match number {
            0 => Self::Unversioned,
            _ => Self::Versioned,
        }
    }
}

/// One HTTP request to a PSP, ready to be sent. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// Method.
    pub method: &'static str,
    /// Absolute URL.
    pub url: String,
    /// Header lines without the credentials.
    pub headers: Vec<(&'static str, String)>,
    /// The PSP's API key, sent as `Authorization: Bearer`.
    pub bearer: Secret,
    /// Body bytes.
    pub body: Vec<u8>,
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} body bytes)", self.method, self.url, self.body.len())
    }
}

/// A call that the adapter is to perform: only if [`Call::may_send`] still holds right before sending, at most once,
/// and with whatever came of it handed back as [`crate::machine::Input::Outcome`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The attempt that what comes of it is for; `None` for a read that finds out which attempt an event is about.
    pub attempt: Option<AttemptId>,
    /// Name of the PSP in the configuration.
    pub psp: String,
    /// What to send.
    pub http: HttpCall,
    /// When it may be sent at the latest, in milliseconds since the Unix epoch (rule 1).
    pub send_by_ms: u64,
    /// How long to wait for the whole answer.
    pub timeout_ms: u64,
    /// Whether money can move by it (prepare calls, reads and look-ups move none).
    pub moves_money: bool,
    /// Set on a question that is not worth asking again so soon: an adapter that began one of this attempt within so many
    /// milliseconds leaves it out ([`questions::Questions`]).
    pub skip_within_ms: Option<u64>,
    pub(crate) purpose: Purpose,
}

impl Call {
    /// Rule 1: check again right before sending. An owner that was paused past `send_by_ms` must not send: others
    /// may have drawn conclusions from its silence.
    #[must_use]
    pub fn may_send(&self, now_ms: u64) -> bool {
        now_ms <= self.send_by_ms
    }
}

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A dispatched call, named in the journal.
    Dispatched {
        call: LocalId,
        operation: Operation,
        step: CallStep,
        target: Option<String>,
        amount_minor: u64,
    },
    /// Reads the object by id.
    Read { asked_at_ms: u64 },
    /// Looks for objects by our reference.
    Lookup(Lookup),
    /// Reads the object that an event is about, to learn whose it is.
    Event,
}

impl Purpose {
    /// The kind of call, for reports.
    pub(crate) fn kind(&self) -> CallKind {
        match self {
            Self::Dispatched { .. } => CallKind::Operation,
            Self::Read { .. } | Self::Event => CallKind::Read,
            Self::Lookup(_) => CallKind::List,
        }
    }
}

/// One page of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// When the first page was asked for: all pages count as asked then.
    pub(crate) asked_at_ms: u64,
    /// The cursor of this page; `None` for the first.
    pub(crate) after: Option<String>,
    /// How many objects are asked for.
    pub(crate) objects: u32,
    /// The object whose refunds are listed, where those are looked for.
    pub(crate) refunds_of: Option<String>,
    /// What the pages before showed.
    pub(crate) found: Vec<Sighting>,
    /// A cursor to find out by whether the cursors go round, and how many pages it is kept and has been kept for (Brent).
    pub(crate) mark: Option<String>,
    pub(crate) mark_pages_max: u32,
    pub(crate) mark_pages: u32,
}

impl Lookup {
    /// Whether the next cursor was met before: this page's own, or the one that is marked.
    pub(crate) fn goes_round(&self, next: Option<&str>) -> bool {
        next.is_some() && (next == self.after.as_deref() || next == self.mark.as_deref())
    }

    /// The next page.
    pub(crate) fn next(&self, after: Option<String>, found: Vec<Sighting>) -> Self {
        let is_over = self.mark_pages >= self.mark_pages_max;
        let (mark, mark_pages_max, mark_pages) = if is_over {
            (after.clone(), self.mark_pages_max.saturating_mul(2).max(1), 0)
        } else {
            (self.mark.clone(), self.mark_pages_max, self.mark_pages + 1)
        };
        Self {
            after,
            found,
            mark,
            mark_pages_max,
            mark_pages,
            ..self.clone()
        }
    }
}

/// What came of a call, as the adapter saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// An answer arrived whole.
    Answered {
        /// HTTP status.
        status: u16,
        /// Those of [`ANSWER_HEADERS`] that it has, names in lower case.
        headers: Vec<(String, String)>,
        /// Body bytes.
        body: Vec<u8>,
    },
    /// An answer began to arrive and is larger than what is read of one.
    TooLarge {
        /// HTTP status.
        status: u16,
    },
    /// Not one byte of the request can have left this machine: no connection came about, or
    /// [`Call::may_send`] no longer held.
    NotSent {
        /// Why.
        reason: String,
    },
    /// Anything else: a timeout, a broken connection, an answer cut short or too long.
    Unknown {
        /// What.
        reason: String,
    },
}

impl CallResult {
    /// An answer without headers of interest.
    pub fn answered(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answered {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        match self {
            Self::Answered { headers, .. } => {
                let mut named = headers
                    .iter()
                    .filter(|(known, _)| known.eq_ignore_ascii_case(name));
                named.next().map(|(_, value)| value.as_str())
            }
            Self::TooLarge { .. } | Self::NotSent { .. } | Self::Unknown { .. } => None,
        }
    }

    /// The PSP's `Request-Id`, if it is printable and at most 128 bytes.
    pub(crate) fn request_id(&self) -> Option<String> {
        let id = self.header("request-id")?;
        let is_name = !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then(|| id.to_owned())
    }
}

/// What a driver is asked to write.
pub(crate) struct PspRequest<'a> {
    pub(crate) form: WireForm,
    pub(crate) id: AttemptId,
    pub(crate) terms: &'a Terms,
    pub(crate) return_url: Option<&'a str>,
    pub(crate) operation: Operation,
    pub(crate) step: CallStep,
    pub(crate) psp_key: &'a str,
    pub(crate) amount_minor: u64,
    /// The object or effect addressed, once known.
    pub(crate) target: Option<&'a str>,
}

/// What an answer says.
#[derive(Default)]
pub(crate) struct Answer {
    /// Of the object that was acted on or read.
    pub(crate) evidence: Evidence,
    /// Of a page of a look-up: the objects that carry our reference.
    pub(crate) sightings: Vec<Sighting>,
    /// Where a look-up goes on.
    pub(crate) next_page: Option<String>,
    /// Whether a question was not answered: it shows nothing, not even that nothing is there.
    pub(crate) is_failed_look: bool,
    /// What the PSP rejected, if it did.
    pub(crate) rejection: Option<report::Rejection>,
}

impl From<Evidence> for Answer {
    fn from(evidence: Evidence) -> Self {
        Self {
            evidence,
            ..Self::default()
        }
    }
}

impl Answer {
    /// An unknown outcome, and for a question: no answer.
    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self {
            evidence: Evidence::unknown(reason),
            is_failed_look: true,
            ..Self::default()
        }
    }

    /// Our credentials, our account or our request were rejected.
    pub(crate) fn rejected(rejection: report::Rejection, is_conclusive: bool) -> Self {
        Self {
            evidence: Evidence::signal(Signal::Rejected {
                status: rejection.status,
                code: rejection.code.clone(),
                is_conclusive,
            }),
            is_failed_look: true,
            rejection: Some(rejection),
            ..Self::default()
        }
    }
}

/// Writes a dispatched call.
pub(crate) fn write(psp: &Psp, order: &PspRequest<'_>) -> HttpCall {
    match psp.face {
        Face::Stripe => stripe::write(psp, order),
        Face::Acquirer => acquirer::write(psp, order),
    }
}

/// Writes a read of the object by id, where the face has that.
pub(crate) fn write_read(psp: &Psp, reference: &str) -> Option<HttpCall> {
    match psp.face {
        Face::Stripe => Some(stripe::write_read(psp, reference)),
        Face::Acquirer => None,
    }
}

/// The time in which the object that is looked for can have been made, in milliseconds since the Unix epoch, both ends included.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) since_ms: u64,
    pub(crate) until_ms: u64,
}

/// Writes one page of a look-up.
pub(crate) fn write_lookup(psp: &Psp, id: AttemptId, window: Window, page: &Lookup) -> HttpCall {
    match psp.face {
        Face::Stripe => stripe::write_lookup(psp, window, page),
        Face::Acquirer => acquirer::write_lookup(psp, id),
    }
}

/// What a driver needs to know to read an answer.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) id: AttemptId,
    pub(crate) terms: &'a Terms,
    /// The units of the amounts in the answer.
    pub(crate) units: Units,
}

/// Reads what came of a call (rule 9).
pub(crate) fn read(psp: &Psp, reading: Reading<'_>, purpose: &Purpose, result: &CallResult) -> Answer {
    let (status, body) = match result {
        CallResult::NotSent { reason } => {
            let reason = clip(reason.clone());
            return Answer {
                is_failed_look: true,
                ..Evidence::signal(Signal::NotSent { reason }).into()
            };
        }
        CallResult::Unknown { reason } => return Answer::unknown(reason.clone()),
        CallResult::TooLarge { .. } => return Answer::unknown("the answer is too large to be read"),
        CallResult::Answered { status, body, .. } => (*status, without_mark(body)),
    };
    if body.len() > PSP_ANSWER_BYTES_MAX {
        return Answer::unknown("the answer is too large to be read");
    }
    if status >= 500 && planted(Bug::ServerErrorIsNotSent) {
        let reason = format!("HTTP {status}");
        return Evidence::signal(Signal::NotSent { reason }).into();
    }
    let is_refusal = (400..=499).contains(&status) || (status >= 500 && planted(Bug::ServerErrorIsDecline));
    // 409 is "in use" or "in conflict", 408, 425 and 429 are "not now", 424 is a failure of somebody else: none says what
    // became of the payment.
    if !(200..=299).contains(&status) && !is_refusal
        || matches!(status, 408 | 409 | 424 | 425)
        || (status == 429 && !planted(Bug::RateLimitIsDecline))
    {
        return match result.header("stripe-should-retry") {
            Some("false") => key_useless(format!(
                "HTTP {status}, which the PSP says to be final for this key"
            )),
            _ => Answer::unknown(format!("HTTP {status}")),
        };
    }
    let says_retry = result.header("stripe-should-retry") == Some("true");
    if is_refusal && says_retry && !planted(Bug::ShouldRetryIgnored) {
        return Answer::unknown(format!("HTTP {status}, to be tried again"));
    }
    let mut answer = match psp.face {
        Face::Stripe => stripe::read(reading, purpose, status, body),
        Face::Acquirer => acquirer::read(reading, purpose, status, body),
    };
    let seen = answer
        .sightings
        .iter()
        .map(|sighting| sighting.evidence.effects.len());
    if answer.evidence.effects.len() + seen.sum::<usize>() > EFFECTS_PER_EVIDENCE_MAX {
        answer = Answer::unknown("the answer shows more effects than one attempt can have");
    }
    answer
}

/// The outcome is unknown, and the same key will never tell it.
pub(crate) fn key_useless(reason: impl Into<String>) -> Answer {
    Answer {
        is_failed_look: true,
        ..Evidence::signal(Signal::KeyUseless { reason: clip(reason) }).into()
    }
}

/// The bytes behind a byte order mark, which RFC 8259 §8.1 allows a reader to skip.
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}
