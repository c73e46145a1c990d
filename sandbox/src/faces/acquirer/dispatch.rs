//! From a call of the acquirer face to what it does.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::base::hex;
use crate::base::outcome::Outcome;
use crate::base::tokens::Operation;
use crate::faces::kind::Site;
use crate::ledger::challenge::Challenge;
use crate::ledger::state::State;
use crate::ledger::work::Work;
use crate::wire::request::Request;

use super::call::Call;
use super::{actions, lookup};

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
    hex::of(&digest.finalize())
}
