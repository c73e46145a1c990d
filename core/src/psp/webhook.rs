//! Webhooks: evidence that comes by itself. The signature is checked over the raw bytes before anything is read.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::acquirer_event;
use super::amount::Units;
use super::call::CallResult;
use super::driver::without_mark;
use super::event::Next;
use super::report::Rejection;
use super::stripe_event::{self, About, EventObjects};
use crate::base::config::{Connector, Psp, Secret};
use crate::base::http::Request;
use crate::base::time::UnixMillis;
use crate::journal::evidence::Sighting;

/// What a webhook said of an attempt.
#[derive(Clone, Debug)]
pub struct WebhookEvent {
    /// Name of the PSP that signed it.
    pub(crate) psp: String,
    pub(crate) said: Said,
}

/// What was said, as far as it can be read without knowing the attempt.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Stripe(Box<EventObjects>),
    Acquirer(Vec<Sighting>),
}

impl WebhookEvent {
    /// What it shows, its amounts read in these units.
    pub(crate) fn sightings(&self, units: Units) -> Vec<Sighting> {
        match &self.said {
            Said::Stripe(event) => event.sightings(units),
            Said::Acquirer(sightings) => sightings.clone(),
        }
    }
}

/// What follows from a webhook.
pub(crate) type WebhookNext = Next<Said, About>;

/// Why a webhook is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebhookError {
    /// It cannot be trusted: what is wrong with its signature.
    Signature(&'static str),
    /// It is signed, and is no message of this PSP's.
    Unreadable,
}

/// Reads a webhook of this PSP's.
///
/// # Errors
/// [`WebhookError`], where the signature does not hold or the body cannot be read.
pub(crate) fn read(
    psp: &Psp,
    request: &Request<'_>,
    now_ms: UnixMillis,
) -> Result<WebhookNext, WebhookError> {
    let header = match psp.connector {
        Connector::Stripe => "stripe-signature",
        Connector::Acquirer => "acquirer-signature",
    };
    check_signature(psp, request.header(header), request.body, now_ms)?;
    let body = without_mark(request.body);
    let next = match psp.connector {
        Connector::Stripe => stripe_event::read(body).map(|next| next.map(Said::Stripe)),
        Connector::Acquirer => acquirer_event::read(body).map(|next| next.map(Said::Acquirer)),
    };
    next.ok_or(WebhookError::Unreadable)
}

/// What follows from the read of an event's object, and what the PSP rejected.
pub(crate) fn after_read(about: About, result: &CallResult) -> (WebhookNext, Option<Rejection>) {
    let (next, rejection) = stripe_event::after_read(about, result);
    (next.map(Said::Stripe), rejection)
}

/// `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, any one `v1` sufficing (Stripe, “Verify webhook signatures”).
fn check_signature(
    psp: &Psp,
    header: Option<&str>,
    body: &[u8],
    now_ms: UnixMillis,
) -> Result<(), WebhookError> {
    let refuse = |why: &'static str| Err(WebhookError::Signature(why));
    if psp.webhook_secrets.is_empty() {
        return refuse(
            "No webhook secret is configured for this PSP, so none of its webhooks can be trusted.",
        );
    }
    let Some(header) = header else {
        return refuse("The webhook is not signed.");
    };
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let Some(time) = parts().find(|(name, _)| *name == "t").map(|(_, value)| value) else {
        return refuse("The signature header has no timestamp.");
    };
    let Some(at_ms) = time.parse::<u64>().ok().and_then(UnixMillis::from_seconds) else {
        return refuse("The signature's timestamp is not a number of seconds.");
    };
    // The body is hashed once, however many signatures there are: a megabyte under ninety thousand of them, which anybody
    // may send, kept the server from everybody else (found by tests with Stripe's own client).
    // Once for each secret, that is: there are several while one is being changed.
    let is_signed_with = |secret: &Secret| {
        Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).is_ok_and(|mut mac| {
            mac.update(time.as_bytes());
            mac.update(b".");
            mac.update(body);
            parts()
                .filter(|(name, _)| *name == "v1")
                .filter_map(|(_, value)| unhex(value))
                .any(|signature| mac.clone().verify_slice(&signature).is_ok())
        })
    };
    if !psp.webhook_secrets.iter().any(is_signed_with) {
        return refuse("The webhook's signature does not match its bytes.");
    }
    // Only a signature that holds is told about its age.
    if at_ms.abs_diff(now_ms) > psp.timing.webhook_tolerance_ms {
        return refuse("The webhook's signed timestamp is too far from now.");
    }
    Ok(())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    let digits = digits.filter(|d| d.len() % 2 == 0)?;
    Some(
        digits
            .chunks_exact(2)
            .filter_map(|pair| Some(pair.first()? * 16 + pair.last()?))
            .collect(),
    )
}
