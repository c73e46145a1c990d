//! From a call of the Stripe face to what it does.

use sha2::{Digest, Sha256};

use crate::base::hex;
use crate::base::outcome::Outcome;
use crate::base::tokens::Operation;
use crate::faces::kind::Site;
use crate::ledger::intent::ATTEMPT_ID;
use crate::ledger::state::State;
use crate::ledger::work::Work;
use crate::wire::request::Request;

use super::call::{Action, Call};
use super::{actions, by_hand, lists, refunds};

/// Where a token may act on this call.
pub(crate) fn site(call: &Call, state: &State) -> Option<Site> {
    let of = |id: &str, operation: Operation, given: Option<&String>| {
        let intent = state.intents.get(id)?;
        let token = given.or(intent.payment_method.as_ref()).cloned();
        Some(Site {
            operation,
            attempt: Some(intent.attempt_id().to_owned()),
            token,
        })
    };
    match &call.action {
        Action::Create(create) if create.confirm => Some(Site {
            operation: Operation::Authorize,
            attempt: create.metadata.get(ATTEMPT_ID).cloned(),
            token: create.payment_method.clone(),
        }),
        Action::Confirm {
            id, payment_method, ..
        } => of(id, Operation::Authorize, payment_method.as_ref()),
        Action::Capture { id, .. } => of(id, Operation::Capture, None),
        Action::Cancel { id, .. } => of(id, Operation::Void, None),
        Action::Refund { intent, .. } => of(intent, Operation::Refund, None),
        Action::Create(_)
        | Action::Authenticate { .. }
        | Action::Retrieve { .. }
        | Action::RetrieveRefund { .. }
        | Action::RetrieveDispute { .. }
        | Action::List(_)
        | Action::Refunds { .. } => None,
    }
}

/// Does what the call says.
pub(crate) fn execute(call: &Call, work: &mut Work<'_>) -> Outcome {
    let done = match &call.action {
        Action::Create(create) => actions::create(work, create),
        Action::Confirm {
            id,
            payment_method,
            types,
            return_url,
        } => actions::confirm(work, id, payment_method.as_deref(), types, return_url.as_deref()),
        Action::Capture { id, amount_minor } => actions::capture(work, id, *amount_minor),
        Action::Cancel { id, reason } => actions::cancel(work, id, reason.as_deref()),
        Action::Authenticate { id, success } => actions::authenticate(work, id, *success),
        Action::Retrieve { id } => actions::find(work, id),
        Action::List(page) => return lists::intents(work, page, call.expand_charge),
        Action::Refund {
            intent,
            amount_minor,
            reason,
            metadata,
        } => {
            let asked = refunds::Asked {
                amount_minor: *amount_minor,
                reason: reason.as_deref(),
                metadata,
                status: work.settings.dials.refund_status,
            };
            return refunds::create(work, intent, &asked);
        }
        Action::RetrieveRefund { id } => return refunds::find(work.state, id),
        Action::RetrieveDispute { id } => return by_hand::find_dispute(work.state, id),
        Action::Refunds { intent, limit } => return lists::refunds(work.state, intent, *limit),
    };
    match done {
        Ok(intent) => Outcome::kept(200, &intent.render(&work.settings.public_url, call.expand_charge)),
        Err(refusal) => refusal,
    }
}

/// A digest of what is asked: method, path, and parameters whatever their order.
pub(crate) fn fingerprint(request: &Request) -> String {
    let mut pairs: Vec<_> = form_urlencoded::parse(&request.body).collect();
    pairs.sort();
    let mut digest = Sha256::new();
    digest.update(request.method.name());
    digest.update(request.path());
    for (name, value) in pairs {
        // Lengths first, so that no two lists of pairs look alike.
        digest.update((name.len() as u64).to_be_bytes());
        digest.update(name.as_bytes());
        digest.update((value.len() as u64).to_be_bytes());
        digest.update(value.as_bytes());
    }
    hex::of(&digest.finalize())
}
