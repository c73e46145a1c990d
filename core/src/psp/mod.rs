//! PSP drivers: wire mapping, bytes in and bytes out. A driver knows a PSP's messages. What follows from them
//! is decided in `machine/`.

pub(crate) mod acquirer;
pub(crate) mod acquirer_event;
pub mod amount;
pub mod call;
pub(crate) mod driver;
pub(crate) mod event;
pub mod questions;
pub mod report;
pub(crate) mod stripe;
pub(crate) mod stripe_errors;
pub(crate) mod stripe_event;
pub(crate) mod stripe_objects;
pub(crate) mod webhook;

use call::{CallResult, HttpCall, Lookup, Purpose};
use driver::{Answer, DriverCapabilities, PspRequest, Reading, Window, key_useless, without_mark};

use crate::base::config::{Connector, Psp};
use crate::base::id::AttemptId;
use crate::base::limits::{EFFECTS_PER_EVIDENCE_MAX, PSP_ANSWER_BYTES_MAX};
use crate::journal::evidence::{Evidence, Signal, clip};

/// What the connector's driver declares of its PSP.
pub(crate) fn driver_capabilities(connector: Connector) -> DriverCapabilities {
    match connector {
        Connector::Stripe => stripe::CAPABILITIES,
        Connector::Acquirer => acquirer::CAPABILITIES,
    }
}

/// Writes a dispatched call.
pub(crate) fn write(psp: &Psp, request: &PspRequest<'_>) -> HttpCall {
    match psp.connector {
        Connector::Stripe => stripe::write(psp, request),
        Connector::Acquirer => acquirer::write(psp, request),
    }
}

/// Writes a read of the object by id, where the face has that.
pub(crate) fn write_read(psp: &Psp, reference: &str) -> Option<HttpCall> {
    match psp.connector {
        Connector::Stripe => Some(stripe::write_read(psp, reference)),
        Connector::Acquirer => None,
    }
}

/// Writes one page of a look-up.
pub(crate) fn write_lookup(psp: &Psp, id: AttemptId, window: Window, page: &Lookup) -> HttpCall {
    match psp.connector {
        Connector::Stripe => stripe::write_lookup(psp, window, page),
        Connector::Acquirer => acquirer::write_lookup(psp, id),
    }
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
    let is_refusal = (400..=499).contains(&status);
    // 409 is "in use" or "in conflict", 408, 425 and 429 are "not now", 424 is a failure of somebody else: none says what
    // became of the payment.
    if !(200..=299).contains(&status) && !is_refusal || matches!(status, 408 | 409 | 424 | 425 | 429) {
        return match result.header("stripe-should-retry") {
            Some("false") => key_useless(format!(
                "HTTP {status}, which the PSP says to be final for this key"
            )),
            _ => Answer::unknown(format!("HTTP {status}")),
        };
    }
    let says_retry = result.header("stripe-should-retry") == Some("true");
    if is_refusal && says_retry {
        return Answer::unknown(format!("HTTP {status}, to be tried again"));
    }
    let mut answer = match psp.connector {
        Connector::Stripe => stripe::read(reading, purpose, status, body),
        Connector::Acquirer => acquirer::read(reading, purpose, status, body),
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
