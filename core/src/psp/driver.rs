//! The input and the output of drivers, in terms that are common to all PSPs.

use super::amount::Units;
use super::report;
use crate::base::id::AttemptId;
use crate::base::money::Money;
use crate::base::time::UnixMillis;
use crate::journal::entry::{CallStep, Operation, Terms};
use crate::journal::evidence::{Evidence, Sighting, Signal, clip};
use crate::journal::wire_form::WireForm;

/// What a connector's PSP can do beyond what the configuration declares. Recovery asks for these, and never which connector it is.
#[derive(Clone, Copy)]
pub(crate) struct DriverCapabilities {
    /// Look-ups come in pages, and a smaller page can be asked for.
    pub(crate) has_pages: bool,
    /// An object does not show its refunds: they are looked up by the object.
    pub(crate) lists_refunds: bool,
    /// Only a read by id shows when an authorization lapses: lists leave it out.
    pub(crate) tells_lapse_by_id: bool,
    /// One call authorizes and captures, if the client asks for an automatic capture.
    pub(crate) captures_with_authorize: bool,
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
    /// What this request asks for: of a capture or refund perhaps less than the terms do.
    pub(crate) money: &'a Money,
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
    /// Whether a read or look-up failed. A failed one shows nothing and proves no absence.
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
    /// An unknown outcome. For a read or look-up: a failed one.
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

/// The time in which the object that is looked for can have been made, in milliseconds since the Unix epoch, both ends included.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) since_ms: UnixMillis,
    pub(crate) until_ms: UnixMillis,
}

/// What a driver needs to know to read an answer.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) id: AttemptId,
    pub(crate) terms: &'a Terms,
    /// The units of the amounts in the answer.
    pub(crate) units: Units,
}

/// The outcome is unknown, and requests under the same key give no further evidence.
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
