//! Webhooks: evidence that comes by itself. The signature is checked over the raw bytes before anything is read.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::amount::Units;
use super::report::{CallKind, PspReport};
use super::stripe_event::{About, StripeNews};
use super::{Call, CallResult, Purpose, acquirer_event, stripe_event, without_mark};
use crate::answer::{self, ReplyContext};
use crate::config::{Config, Face, Psp, Secret};
use crate::error::{ApiError, Code};
use crate::evidence::Sighting;
use crate::http::{Request, Response};
use crate::id::AttemptId;
use crate::limits::PSP_ANSWER_BYTES_MAX;
use crate::machine::Input;
use crate::planted::{Bug, planted};
use crate::request::{Routed, wants_problem_json};

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
    Stripe(Box<StripeNews>),
    Acquirer(Vec<Sighting>),
}

impl WebhookEvent {
    /// What it shows, its amounts read in these units.
    pub(crate) fn sightings(&self, units: Units) -> Vec<Sighting> {
        match &self.said {
            Said::Stripe(news) => news.sightings(units),
            Said::Acquirer(sightings) => sightings.clone(),
        }
    }
}

/// An event that says of which object it is, and not of which attempt: the object is read first, and names it.
#[derive(Clone, Debug)]
pub struct EventRead {
    /// The read. Perform it, and hand what comes of it to [`event_read`].
    pub call: Call,
    /// What is read, and what else the event said.
    pub(crate) about: About,
    context: ReplyContext,
}

/// What came of reading the object of an event: the answer to whoever sent the event, or the attempt that it concerns, or one more
/// read. A PSP that did not answer the read is asked to send the event again.
#[must_use]
pub fn event_read(
    config: &Config,
    read: EventRead,
    result: &CallResult,
    now_ms: u64,
) -> (Routed, Option<PspReport>) {
    let name = read.call.psp.clone();
    let Some(psp) = config.psps.get(&name) else {
        return (Routed::Reply(received()), None);
    };
    let (next, rejection) = stripe_event::after_read(read.about, result);
    let report = matches!(result, CallResult::Answered { .. }).then(|| PspReport {
        psp: name.clone(),
        call: CallKind::Read,
        rejection,
    });
    (routed(psp, &name, next, now_ms, read.context), report)
}

/// What to do about an event.
pub(crate) enum Next {
    /// It is no concern of ours.
    Nothing,
    /// It tells of this attempt.
    Tell(AttemptId, Said),
    /// Its object has to be read first.
    Read(About),
    /// The read of its object failed.
    Failed,
}

fn routed(psp: &Psp, name: &str, next: Next, now_ms: u64, context: ReplyContext) -> Routed {
    match next {
        Next::Nothing => Routed::Reply(received()),
        Next::Tell(id, said) => Routed::Attempt {
            id,
            input: Input::Webhook(Box::new(WebhookEvent {
                psp: name.to_owned(),
                said,
            })),
        },
        Next::Read(about) => Routed::Read(Box::new(EventRead {
            call: Call {
                attempt: None,
                psp: name.to_owned(),
                http: about.write(psp),
                send_by_ms: now_ms.saturating_add(psp.timing.send_window_ms),
                timeout_ms: psp.timing.call_timeout_ms,
                moves_money: false,
                skip_within_ms: None,
                purpose: Purpose::Event,
            },
            about,
            context,
        })),
        Next::Failed if planted(Bug::FailedEventReadAcknowledged) => Routed::Reply(received()),
        Next::Failed => Routed::Reply(answer::error(
            &ApiError::new(
                Code::PspReadFailed,
                "The PSP did not answer the read of the event's object; send this webhook again.",
            ),
            &context,
        )),
    }
}

/// The answer to every webhook that was taken in, or that is no concern of ours.
#[must_use]
pub(crate) fn received() -> Response {
    Response {
        status: 200,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: br#"{"received":true}"#.to_vec(),
    }
}

pub(crate) fn route(
    config: &Config,
    name: &str,
    request: &Request<'_>,
    now_ms: u64,
) -> Result<Routed, ApiError> {
    let Some(psp) = config.psps.get(name) else {
        return Err(ApiError::new(
            Code::UnknownPsp,
            "No PSP of this name is configured here.",
        ));
    };
    if request.body.len() > PSP_ANSWER_BYTES_MAX {
        return Err(ApiError::new(Code::BodyTooLarge, "The webhook is too large."));
    }
    let header = match psp.face {
        Face::Stripe => "stripe-signature",
        Face::Acquirer => "acquirer-signature",
    };
    check_signature(psp, request.header(header), request.body, now_ms)?;
    let body = without_mark(request.body);
    let next = match psp.face {
        Face::Stripe => stripe_event::read(body),
        Face::Acquirer => acquirer_event::read(body),
    };
    let context = ReplyContext {
        problem_json: wants_problem_json(request),
        ..ReplyContext::default()
    };
    Ok(routed(psp, name, next.ok_or_else(unreadable)?, now_ms, context))
}

/// `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, any one `v1` sufficing (Stripe, “Verify webhook signatures”).
fn check_signature(psp: &Psp, header: Option<&str>, body: &[u8], now_ms: u64) -> Result<(), ApiError> {
    let refuse = |why: &'static str| Err(ApiError::new(Code::WebhookSignatureInvalid, why));
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
    let Some(at_ms) = time
        .parse::<u64>()
        .ok()
        .and_then(|seconds| seconds.checked_mul(1000))
    else {
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
    let trusted = if planted(Bug::OnlyFirstWebhookSecret) {
        1
    } else {
        usize::MAX
    };
    let genuine = psp.webhook_secrets.iter().take(trusted).any(is_signed_with);
    if !genuine && !planted(Bug::ForgedWebhookTaken) {
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

fn unreadable() -> ApiError {
    ApiError::new(
        Code::WebhookInvalid,
        "The webhook is signed but is not a message that is understood here.",
    )
}
