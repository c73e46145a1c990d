//! Webhooks: evidence that comes by itself. The signature is checked over the raw bytes before anything is read.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::{acquirer, stripe};
use crate::config::{Config, Face, Psp};
use crate::error::{ApiError, Code};
use crate::evidence::Evidence;
use crate::http::{Request, Response};
use crate::id::AttemptId;
use crate::journal::{CaptureMethod, Operation, Terms};
use crate::limits::PSP_ANSWER_BYTES_MAX;
use crate::machine::Input;
use crate::planted::{Bug, planted};
use crate::request::Routed;

/// What a webhook said of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Name of the PSP that signed it.
    pub(crate) psp: String,
    /// What it said.
    pub(crate) evidence: Evidence,
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
    let read = match psp.face {
        Face::Stripe => read_stripe(request.body)?,
        Face::Acquirer => read_acquirer(request.body)?,
    };
    Ok(match read {
        Some((id, evidence)) => Routed::Attempt {
            id,
            input: Input::Webhook(Box::new(News {
                psp: name.to_owned(),
                evidence,
            })),
        },
        None => Routed::Reply(received()),
    })
}

/// `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, any one `v1` sufficing (Stripe, “Verify webhook signatures”).
fn check_signature(psp: &Psp, header: Option<&str>, body: &[u8], now_ms: u64) -> Result<(), ApiError> {
    let refuse = |why: &'static str| Err(ApiError::new(Code::WebhookSignatureInvalid, why));
    let Some(secret) = psp.webhook_secret.as_ref() else {
        return refuse(
            "No webhook secret is configured for this PSP, so none of its webhooks can be trusted.",
        );
    };
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
    let genuine = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).is_ok_and(|mut mac| {
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        parts()
            .filter(|(name, _)| *name == "v1")
            .filter_map(|(_, value)| unhex(value))
            .any(|signature| mac.clone().verify_slice(&signature).is_ok())
    });
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

#[derive(Deserialize)]
struct StripeEvent {
    #[serde(rename = "type")]
    kind: String,
    data: StripeData,
}

#[derive(Deserialize)]
struct StripeData {
    object: serde_json::Value,
}

fn read_stripe(body: &[u8]) -> Result<Option<(AttemptId, Evidence)>, ApiError> {
    let event: StripeEvent = serde_json::from_slice(body).map_err(|_| unreadable())?;
    if !event.kind.starts_with("payment_intent.") {
        return Ok(None);
    }
    let intent: stripe::Intent = serde_json::from_value(event.data.object).map_err(|_| unreadable())?;
    let id = intent.metadata.attempt_id.as_deref().and_then(AttemptId::parse);
    Ok(id.map(|id| (id, intent.evidence(false))))
}

#[derive(Deserialize)]
struct AcquirerEvent {
    #[serde(rename = "type")]
    kind: String,
    reference: String,
    /// The authorization that a capture or void was of.
    of: Option<String>,
    #[serde(flatten)]
    outcome: acquirer::Outcome,
}

fn read_acquirer(body: &[u8]) -> Result<Option<(AttemptId, Evidence)>, ApiError> {
    let event: AcquirerEvent = serde_json::from_slice(body).map_err(|_| unreadable())?;
    let operation = match event.kind.as_str() {
        "authorize" => Operation::Authorize,
        "capture" => Operation::Capture,
        "void" => Operation::Void,
        _ => return Ok(None),
    };
    let Some(id) = AttemptId::parse(&event.reference) else {
        return Ok(None);
    };
    // The members that the wire leaves out are the attempt's own; they are not known here, and not needed.
    let nothing = Terms {
        order_id: None,
        amount_minor: 0,
        currency: String::new(),
        capture_method: CaptureMethod::Manual,
        payment_method: None,
        metadata: std::collections::BTreeMap::new(),
    };
    let mut evidence = event
        .outcome
        .evidence(&nothing, operation, event.of.as_deref(), 0);
    // An acquirer's webhook that says “declined” of a capture or void does not say of which try: no evidence.
    let is_refusal = matches!(evidence.signal, crate::evidence::Signal::Refused { .. });
    if is_refusal && operation != Operation::Authorize {
        return Ok(None);
    }
    for effect in &mut evidence.effects {
        effect.currency = effect.currency.take().filter(|currency| !currency.is_empty());
        if effect.amount_minor == 0 {
            return Err(unreadable());
        }
    }
    Ok(Some((id, evidence)))
}
