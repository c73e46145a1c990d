//! The Stripe-shaped face: form-encoded requests, JSON answers, idempotency keys.

mod actions;
mod amounts;
mod by_hand;
mod errors;
mod events;
mod headers;
mod intent;
mod lists;
mod method_types;
mod params;
mod parse;
mod refunds;
mod render;
mod versions;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::gateway::{Kind, Site};
use crate::journal::State;
use crate::tokens::Operation;
use crate::webhook::hex;
use crate::wire::Request;
use crate::work::{Outcome, Work};

pub(crate) use actions::{authenticate, lapse};
pub(crate) use by_hand::{
    ForeignIntents, Members as HandMembers, act as act_by_hand, end_refund, make_foreign,
};
pub(crate) use errors::{failed, key_in_use, key_reused, throttled};
pub(crate) use headers::add as add_headers;
pub(crate) use intent::{Intent, Status};
pub(crate) use parse::{Call, parse};
pub(crate) use versions::{NEWEST_VERSION, is_known as is_known_version};

use parse::Action;

impl Call {
    /// Whether the call is one that can move money.
    pub(crate) fn moves_money(&self) -> bool {
        match &self.action {
            Action::Create(create) => create.confirm,
            Action::Confirm { .. }
            | Action::Capture { .. }
            | Action::Cancel { .. }
            | Action::Refund { .. } => true,
            Action::Authenticate { .. }
            | Action::Retrieve { .. }
            | Action::RetrieveRefund { .. }
            | Action::RetrieveDispute { .. }
            | Action::List(_)
            | Action::Refunds { .. } => false,
        }
    }

    /// What kind of call it is.
    pub(crate) fn kind(&self) -> Kind {
        match &self.action {
            Action::Create(_)
            | Action::Confirm { .. }
            | Action::Capture { .. }
            | Action::Cancel { .. }
            | Action::Refund { .. } => Kind::Change,
            Action::Retrieve { .. } | Action::RetrieveRefund { .. } | Action::RetrieveDispute { .. } => {
                Kind::Read
            }
            Action::List(_) | Action::Refunds { .. } => Kind::List,
            Action::Authenticate { .. } => Kind::Own,
        }
    }

    /// 400, 401, 403 or 424: the call is refused for what its caller is or has, not for what it says.
    pub(crate) fn rejected(&self, status: u16) -> Outcome {
        let object = match &self.action {
            Action::Refund { .. } | Action::RetrieveRefund { .. } | Action::Refunds { .. } => "refund",
            Action::RetrieveDispute { .. } => "dispute",
            _ => "payment_intent",
        };
        let verb = match self.kind() {
            Kind::Read | Kind::List => "read",
            Kind::Change | Kind::Own => "write",
        };
        errors::rejected(status, &format!("rak_{object}_{verb}"))
    }

    /// 400: the amount is wrong.
    pub(crate) fn form_refused(&self) -> Outcome {
        let param = match &self.action {
            Action::Capture { .. } => actions::AMOUNT_TO_CAPTURE,
            _ => "amount",
        };
        errors::invalid(
            "parameter_invalid_integer",
            param,
            "The amount is not acceptable.",
        )
    }

    /// The PaymentIntent that is read, if one is.
    pub(crate) fn read_id(&self) -> Option<&str> {
        match &self.action {
            Action::Retrieve { id } => Some(id),
            _ => None,
        }
    }
}

/// 404: there is no such PaymentIntent.
pub(crate) fn missing_intent(id: &str) -> Outcome {
    errors::missing("intent", "payment_intent", id)
}

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
            attempt: create.metadata.get(intent::ATTEMPT_ID).cloned(),
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
    hex(&digest.finalize())
}

/// A list object as Stripe writes it.
fn list_of(url: &str, data: Vec<Value>, has_more: bool) -> Outcome {
    let body = serde_json::json!({"object": "list", "url": url, "has_more": has_more, "data": data});
    Outcome::refused(200, &body)
}

#[cfg(test)]
mod tests;
