//! The acquirer face: a plain card network in JSON. Deliberately not idempotent: the same request again is a
//! second effect, unless the dial `acquirer_keyed` is on.

mod actions;
mod by_hand;
mod lookup;
mod parse;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::gateway::{Kind, Site};
use crate::journal::State;
use crate::ledger::Cause;
use crate::tokens::Operation;
use crate::webhook::hex;
use crate::wire::Request;
use crate::work::{Outcome, Work};

pub(crate) use actions::authenticate;
pub(crate) use by_hand::{ForeignAuthorization, HandMembers, act_by_hand, make_foreign, reverse};
pub(crate) use parse::{Call, parse};

/// An authorization that waits for its cardholder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Challenge {
    pub(crate) id: String,
    pub(crate) reference: String,
    pub(crate) amount_minor: u64,
    pub(crate) currency: String,
    pub(crate) token: String,
    /// Where the customer goes when it is over.
    pub(crate) return_url: Option<String>,
    pub(crate) key: Option<String>,
    /// Set where a second execution of a call began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Cause>,
    /// When it began; older logs do not say.
    #[serde(default)]
    pub(crate) created_ms: Option<u64>,
}

impl Call {
    /// Whether the call is one that can move money.
    pub(crate) fn moves_money(&self) -> bool {
        !matches!(self, Self::Lookup { .. })
    }

    /// What kind of call it is.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Authorize { .. } | Self::Capture(_) | Self::Void(_) => Kind::Change,
            Self::Lookup { .. } => Kind::List,
        }
    }
}

/// Where a token may act on this call.
pub(crate) fn site(call: &Call, state: &State) -> Option<Site> {
    let of = |reference: &str, id: &str, operation: Operation| {
        let id = state
            .ledger
            .authorization_of_capture
            .get(id)
            .map_or(id, String::as_str);
        let token = state.ledger.authorizations.get(id)?.token.clone();
        Some(Site {
            operation,
            attempt: Some(reference.to_owned()),
            token,
        })
    };
    match call {
        Call::Authorize {
            reference,
            payment_method,
            ..
        } => Some(Site {
            operation: Operation::Authorize,
            attempt: Some(reference.clone()),
            token: Some(payment_method.clone()),
        }),
        Call::Capture(act) => of(&act.reference, &act.psp_reference, Operation::Capture),
        Call::Void(act) => of(&act.reference, &act.psp_reference, Operation::Void),
        Call::Lookup { .. } => None,
    }
}

/// Does what the call says.
pub(crate) fn execute(call: &Call, work: &mut Work<'_>) -> Outcome {
    match call {
        Call::Authorize {
            reference,
            amount_minor,
            currency,
            payment_method,
            return_url,
        } => {
            let challenge = Challenge {
                cause: work.cause,
                id: work.new_id("auth"),
                reference: reference.clone(),
                amount_minor: *amount_minor,
                currency: currency.clone(),
                token: payment_method.clone(),
                return_url: return_url.clone(),
                key: work.key.clone(),
                created_ms: Some(work.now_ms),
            };
            actions::authorize(work, challenge)
        }
        Call::Capture(act) => actions::capture(work, act),
        Call::Void(act) => actions::void(work, act),
        Call::Lookup { reference } => lookup::answer(work.state, work.settings, work.now_ms, reference),
    }
}

/// A digest of what is asked: path and meaning of the JSON body (member order and white space do not count).
pub(crate) fn fingerprint(request: &Request) -> String {
    let meaning: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let mut digest = Sha256::new();
    digest.update(request.path());
    digest.update([0]);
    digest.update(meaning.to_string());
    hex(&digest.finalize())
}

/// 400: the key was used with another body.
pub(crate) fn key_reused() -> Outcome {
    refused(
        400,
        "idempotency_key_reuse",
        "This key was used with another request.",
    )
}

/// 429.
pub(crate) fn throttled() -> Outcome {
    refused(429, "too_many_requests", "Slow down.")
}

/// 500.
pub(crate) fn failed() -> Outcome {
    Outcome {
        keep: true,
        ..refused(500, "internal_error", "Something went wrong.")
    }
}

/// 400, 401, 403 or 424, whatever was asked.
pub(crate) fn rejected(status: u16) -> Outcome {
    let (code, message) = match status {
        401 => ("unauthorized", "The credentials are not valid."),
        403 => ("forbidden", "The credentials do not allow this."),
        424 => ("failed_dependency", "A dependency of this acquirer failed."),
        _ => ("bad_request", "The request is not acceptable."),
    };
    refused(status, code, message)
}

/// 400: the amount is wrong.
pub(crate) fn form_refused() -> Outcome {
    let message = "The amount is not acceptable.";
    Outcome::refused(
        400,
        &json!({"error": {"code": "invalid_amount", "field": "amount", "message": message}}),
    )
}

/// A refusal before execution.
pub(crate) fn refused(status: u16, code: &str, message: &str) -> Outcome {
    Outcome::refused(status, &json!({"error": {"code": code, "message": message}}))
}

#[cfg(test)]
mod tests;
