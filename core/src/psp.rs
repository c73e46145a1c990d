//! PSP drivers: wire mapping, bytes in and bytes out. A driver knows how a PSP says things; what follows from them
//! is the machine's business.

use std::fmt;

use crate::config::{Face, Psp, Secret};
use crate::evidence::Evidence;
use crate::id::{AttemptId, LocalId};
use crate::journal::{CallStep, Operation, Terms};
use crate::planted::{Bug, planted};

pub(crate) mod acquirer;
pub(crate) mod stripe;
pub(crate) mod webhook;

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
    /// The attempt it is for.
    pub attempt: AttemptId,
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
    /// Looks for effects by our reference. Pages of one look-up share the time at which it began.
    Lookup {
        asked_at_ms: u64,
        page: u32,
        found: Evidence,
    },
}

/// What came of a call, as the adapter saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// An answer arrived whole.
    Answered {
        /// HTTP status.
        status: u16,
        /// Body bytes.
        body: Vec<u8>,
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

/// What a driver is asked to write.
pub(crate) struct Order<'a> {
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

/// What an answer says; `next_page` where a look-up goes on.
pub(crate) struct Answer {
    pub(crate) evidence: Evidence,
    pub(crate) next_page: Option<String>,
    /// Whether it refuses this sending and says nothing of any other under the same key: an API key that was revoked
    /// meanwhile, a form that is not liked. What an earlier sending came to is not known from it (rule 9).
    pub(crate) is_of_this_sending: bool,
}

impl From<Evidence> for Answer {
    fn from(evidence: Evidence) -> Self {
        Self {
            evidence,
            next_page: None,
            is_of_this_sending: false,
        }
    }
}

/// Writes a dispatched call.
pub(crate) fn write(psp: &Psp, order: &Order<'_>) -> HttpCall {
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

/// Writes a look-up by our reference. `since_ms..=until_ms` bounds when the effect can have been made.
pub(crate) fn write_lookup(
    psp: &Psp,
    id: AttemptId,
    since_ms: u64,
    until_ms: u64,
    page: Option<&str>,
) -> HttpCall {
    match psp.face {
        Face::Stripe => stripe::write_lookup(psp, since_ms, until_ms, page),
        Face::Acquirer => acquirer::write_lookup(psp, id),
    }
}

/// Reads what came of a call (rule 9).
pub(crate) fn read(
    psp: &Psp,
    id: AttemptId,
    terms: &Terms,
    purpose: &Purpose,
    result: &CallResult,
) -> Answer {
    let (status, body) = match result {
        CallResult::NotSent { reason } => {
            let reason = crate::evidence::clip(reason.clone());
            return Evidence::signal(crate::evidence::Signal::NotSent { reason }).into();
        }
        CallResult::Unknown { reason } => return Evidence::unknown(reason.clone()).into(),
        CallResult::Answered { status, body } => (*status, body.as_slice()),
    };
    if body.len() > crate::limits::PSP_ANSWER_BYTES_MAX {
        return Evidence::unknown("the answer is too large to be read").into();
    }
    // 409 is "in use" or "in conflict", 408/425/429 are "not now": none says what became of the payment.
    if status >= 500 && planted(Bug::ServerErrorIsNotSent) {
        let reason = format!("HTTP {status}");
        return Evidence::signal(crate::evidence::Signal::NotSent { reason }).into();
    }
    let is_refusal = (400..=499).contains(&status) || (status >= 500 && planted(Bug::ServerErrorIsDecline));
    if !(200..=299).contains(&status) && !is_refusal
        || matches!(status, 408 | 409 | 425)
        || (status == 429 && !planted(Bug::RateLimitIsDecline))
    {
        return Evidence::unknown(format!("HTTP {status}")).into();
    }
    let mut answer = match psp.face {
        Face::Stripe => stripe::read(id, purpose, status, body),
        Face::Acquirer => acquirer::read(terms, purpose, status, body),
    };
    if answer.evidence.effects.len() > crate::limits::EFFECTS_PER_EVIDENCE_MAX {
        answer.evidence = Evidence::unknown("the answer shows more effects than one attempt can have");
    }
    answer
}
