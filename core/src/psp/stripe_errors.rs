//! What a 4xx of Stripe's means (docs.stripe.com/error-handling, /api/errors, /error-codes): the one table of it.
//!
//! | what Stripe says | verdict |
//! | --- | --- |
//! | a body that Stripe did not write | unknown; with 401 or 403: rejected, nothing proven |
//! | `payment_intent` inside | evidence: the object's own state; form, if a member of the client's terms is named and the object shows nothing done |
//! | `card_error` | decline |
//! | `idempotency_error` | unknown, and the key is of no use |
//! | `charge_already_refunded`, `charge_disputed` | unknown, and the key is of no use: a look tells |
//! | `api_error`, `rate_limit_error`, a type that is not known | unknown |
//! | `authentication_error`, 401 or 403 with `invalid_request_error` | rejected |
//! | 401, 403 of another type | rejected, nothing proven |
//! | `invalid_request_error` that names a member of the client's terms, or a code about one | form |
//! | any other `invalid_request_error` with 400, 402 or 404 | rejected; proven without effect only if the call makes an object |
//!
//! 408, 409, 424, 425, 429, 5xx and whatever has `Stripe-Should-Retry: true` are unknown before it comes to this table (`psp::read`). To a
//! question (a read or a list) each of these is a look that failed.

use serde::Deserialize;

use super::amount::Units;
use super::call::Purpose;
use super::driver::{Answer, key_useless};
use super::report::Rejection;
use super::stripe_objects::Intent;
use crate::journal::entry::Operation;
use crate::journal::evidence::{EffectKind, Evidence, Signal, clip};

#[derive(Deserialize)]
struct Failure {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
    param: Option<String>,
    payment_intent: Option<Intent>,
}

/// What an error says, before it is known what was asked.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The state of the object is inside.
    Evidence,
    /// The issuer, or Stripe's own risk check, refused this payment.
    Decline,
    /// A member of the client's terms is refused; the API's name of it.
    Form(&'static str),
    /// Our credentials, account or request are rejected.
    Rejected {
        /// Whether a call that makes a new object is proven to have had no effect.
        is_conclusive: bool,
    },
    /// Nothing is said, and this key can tell nothing more.
    KeyUseless,
    /// Nothing is said.
    Unknown,
}

fn verdict(error: &ErrorBody, status: u16, purpose: &Purpose) -> Verdict {
    let code = error.code.as_deref().unwrap_or_default();
    let is_of_state = code == "payment_intent_unexpected_state";
    if let Some(intent) = &error.payment_intent
        && (is_of_state || error.param.is_none() || intent.is_done_for(purpose))
    {
        return Verdict::Evidence;
    }
    if matches!(code, "charge_already_refunded" | "charge_disputed") {
        return Verdict::KeyUseless;
    }
    match (error.kind.as_deref(), status) {
        (Some("card_error"), _) => Verdict::Decline,
        (Some("idempotency_error"), _) => Verdict::KeyUseless,
        (Some("authentication_error"), _) | (Some("invalid_request_error"), 401 | 403) => {
            Verdict::Rejected { is_conclusive: true }
        }
        // Some gateway's, perhaps: nothing is proven.
        (_, 401 | 403) => Verdict::Rejected { is_conclusive: false },
        (Some("invalid_request_error"), 400 | 402 | 404) => {
            match member_of_terms(purpose, error.param.as_deref(), code) {
                Some(field) => Verdict::Form(field),
                None if error.payment_intent.is_some() => Verdict::Evidence,
                None => Verdict::Rejected {
                    is_conclusive: makes_object(purpose),
                },
            }
        }
        _ => Verdict::Unknown,
    }
}

/// The member of the client's request that a parameter of ours, or a code, is about.
fn member_of_terms(purpose: &Purpose, param: Option<&str>, code: &str) -> Option<&'static str> {
    let Purpose::Dispatched { operation, .. } = purpose else {
        return None;
    };
    match (operation, param.unwrap_or_default(), code) {
        (Operation::Authorize, "amount", _) | (Operation::Capture, "amount_to_capture", _) => Some("amount"),
        (Operation::Authorize, "currency", _) => Some("currency"),
        (Operation::Authorize, "payment_method", _) => Some("payment_method"),
        (Operation::Authorize, "return_url", _) => Some("return_url"),
        (Operation::Authorize | Operation::Capture, "", "amount_too_small" | "amount_too_large") => {
            Some("amount")
        }
        (Operation::Authorize | Operation::Capture | Operation::Void | Operation::Refund, _, _) => None,
    }
}

/// Whether the call makes an object. One that acts on an object which is known already may be the second answer to a request that
/// was delivered twice, and only the object tells (found with a double that says no more than “Bad request”).
fn makes_object(purpose: &Purpose) -> bool {
    matches!(
        purpose,
        Purpose::Dispatched {
            operation: Operation::Authorize,
            target: None,
            ..
        }
    )
}

/// Reads a 4xx.
pub(super) fn read(units: Units, purpose: &Purpose, status: u16, body: &[u8]) -> Answer {
    let Ok(Failure { error }) = serde_json::from_slice::<Failure>(body) else {
        if matches!(status, 401 | 403) {
            return Answer::rejected(rejection(status, None), false);
        }
        return Answer::unknown(format!("HTTP {status} that Stripe did not write"));
    };
    let asks = !matches!(purpose, Purpose::Dispatched { .. });
    match verdict(&error, status, purpose) {
        Verdict::Rejected { is_conclusive } => {
            Answer::rejected(rejection(status, Some(&error)), is_conclusive && !asks)
        }
        Verdict::KeyUseless => key_useless(format!("HTTP {status} {}", word(&error))),
        // A question that is refused shows nothing. Nor does a 404: an object whose id is in the journal was there, and Stripe
        // deletes none.
        _ if asks => Answer::unknown(format!("HTTP {status} {}", word(&error))),
        Verdict::Unknown => Answer::unknown(format!("HTTP {status} {}", word(&error))),
        Verdict::Form(field) => Evidence::signal(Signal::FormRefused {
            code: clip(word(&error)),
            message: clip(error.message.unwrap_or_default()),
            field: field.to_owned(),
        })
        .into(),
        Verdict::Decline => Evidence::signal(refused(&error)).into(),
        Verdict::Evidence => state_inside(units, purpose, error).into(),
    }
}

/// “Unexpected state” with the state beside it: the state says what happened. A capture that finds the money captured, a cancel that
/// finds it cancelled, have been done.
fn state_inside(units: Units, purpose: &Purpose, error: ErrorBody) -> Evidence {
    let mut evidence = error
        .payment_intent
        .as_ref()
        .map(|intent| intent.evidence(units, false))
        .unwrap_or_default();
    // Refused because it is being worked on: that is no outcome.
    if matches!(evidence.signal, Signal::Unknown { .. }) {
        return evidence;
    }
    let shows = |is_wanted: fn(EffectKind) -> bool| evidence.effects.iter().any(|e| is_wanted(e.kind));
    let is_card_error = error.kind.as_deref() == Some("card_error");
    match purpose {
        Purpose::Dispatched {
            operation: Operation::Authorize,
            ..
        } => {
            let is_done = shows(|kind| kind == EffectKind::Authorize) || evidence.shows_open_action();
            if !is_done {
                evidence.signal = refused(&error);
            }
        }
        Purpose::Dispatched {
            operation: Operation::Void,
            ..
        } if evidence.shows_open_action() => {}
        Purpose::Dispatched { .. } | Purpose::Read { .. } | Purpose::Lookup(_) | Purpose::Event => {
            let is_done = shows(|kind| kind != EffectKind::Authorize);
            if !is_done && (is_card_error || !shows(|kind| kind == EffectKind::Authorize)) {
                evidence.signal = refused(&error);
            }
        }
    }
    evidence
}

fn refused(error: &ErrorBody) -> Signal {
    let code = error.decline_code.clone().unwrap_or_else(|| word(error));
    Signal::Refused {
        code: clip(code),
        message: clip(error.message.clone().unwrap_or_default()),
    }
}

/// The error's code, or else its type.
fn word(error: &ErrorBody) -> String {
    let code = error.code.clone().or(error.kind.clone());
    clip(code.unwrap_or_else(|| "error".to_owned()))
}

fn rejection(status: u16, error: Option<&ErrorBody>) -> Rejection {
    Rejection {
        status,
        code: error.map_or_else(|| "unreadable".to_owned(), word),
        param: error.and_then(|error| error.param.clone()).map(clip),
        permission: error
            .and_then(|error| error.message.as_deref())
            .and_then(permission),
    }
}

/// The permission that a restricted key lacks: Stripe names it in its message, like `rak_payment_intent_read`. Nothing else of
/// the message is kept, since it quotes the key.
fn permission(message: &str) -> Option<String> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
    message
        .split(|c: char| !is_of_name(c))
        .find(|word| word.starts_with("rak_") && word.len() <= 64)
        .map(str::to_owned)
}
