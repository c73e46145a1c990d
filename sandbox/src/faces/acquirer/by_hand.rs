//! What happens at the acquirer without a call of ours: other programs of the account, and the card network.

use serde::Deserialize;
use serde_json::json;

use crate::base::face::Face;
use crate::base::outcome::{Outcome, written};
use crate::base::tokens::Operation;
use crate::ledger::event::Cause;
use crate::ledger::work::{Entry, Work};

use super::actions;
use super::call::Act;
use super::errors::refused;

/// An authorization that another program made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForeignAuthorization {
    reference: String,
    amount: u64,
    currency: String,
    /// Unix seconds; now, when absent.
    created: Option<u64>,
    /// Whether its webhook is sent.
    #[serde(default)]
    webhooks: bool,
}

/// Makes it, and answers as `POST /authorize` does.
pub(crate) fn make_foreign(work: &mut Work<'_>, asked: &ForeignAuthorization) -> Outcome {
    if asked.amount == 0 || asked.reference.is_empty() {
        return refused(
            400,
            "invalid_member",
            "\"amount\" must be at least 1, and \"reference\" not empty.",
        );
    }
    let id = work.new_id("auth");
    let at_ms = asked
        .created
        .map_or(work.now_ms, |at_s| at_s.saturating_mul(1000));
    let lapses_at_ms = at_ms.saturating_add(work.settings.dials.authorization_lifetime_ms);
    let entry = Entry {
        face: Face::Acquirer,
        operation: Operation::Authorize,
        id: &id,
        attempt_id: &asked.reference,
        authorization: None,
        amount_minor: asked.amount,
        currency: &asked.currency,
    };
    work.enter_with(entry, |event| {
        event.at_ms = at_ms;
        event.lapses_at_ms = Some(lapses_at_ms);
    });
    let mut body = json!({
        "status": "approved",
        "reference": asked.reference,
        "psp_reference": id,
        "amount": asked.amount,
        "currency": asked.currency,
        "created": at_ms / 1000,
    });
    let outcome = Outcome::kept(200, &body);
    if asked.webhooks
        && let Some(members) = body.as_object_mut()
    {
        members.insert("type".to_owned(), json!(Operation::Authorize));
        work.notify(Face::Acquirer, |_| written(&body));
    }
    outcome
}

/// The members of a request about one authorization.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HandMembers {
    /// Of a capture; all that is authorized, when absent.
    amount: Option<u64>,
}

/// A person at the acquirer's dashboard does `verb` to the authorization `id`. `None`: there is no such verb.
pub(crate) fn act_by_hand(
    work: &mut Work<'_>,
    id: &str,
    verb: &str,
    members: &HandMembers,
) -> Option<Outcome> {
    let found = work.state.ledger.authorizations.get(id);
    let Some(found) = found.filter(|found| found.face == Face::Acquirer) else {
        return Some(refused(
            404,
            "unknown_authorization",
            "There is no such authorization.",
        ));
    };
    let act = Act {
        reference: found.attempt_id.clone(),
        amount_minor: members.amount.unwrap_or(found.amount_minor),
        currency: found.currency.clone(),
        psp_reference: id.to_owned(),
    };
    match verb {
        "capture" => Some(actions::capture(work, &act)),
        "void" => Some(actions::void(work, &act)),
        _ => None,
    }
}

/// The card network takes the capture `id` back whole.
pub(crate) fn reverse(work: &mut Work<'_>, id: &str) -> Outcome {
    let ledger = &work.state.ledger;
    let authorization_id = ledger.authorization_of_capture.get(id);
    let found = authorization_id
        .and_then(|id| Some((id.clone(), ledger.authorizations.get(id)?.clone())))
        .filter(|(_, found)| found.face == Face::Acquirer);
    let Some((authorization_id, found)) = found else {
        return refused(404, "unknown_capture", "There is no such capture.");
    };
    let Some(captured) = found.captures.get(id).filter(|captured| !captured.reversed) else {
        return refused(400, "already_voided", "The capture was given back before.");
    };
    let reversal_id = work.new_id("rev");
    work.cause = Some(Cause::Reversal);
    let entry = Entry {
        face: Face::Acquirer,
        operation: Operation::Refund,
        id: &reversal_id,
        attempt_id: &found.attempt_id,
        authorization: Some(&authorization_id),
        amount_minor: captured.amount_minor,
        currency: &found.currency,
    };
    work.enter_with(entry, |event| event.capture = Some(id.to_owned()));
    let body = json!({
        "type": "reversal",
        "status": "approved",
        "reference": found.attempt_id,
        "of": id,
        "psp_reference": reversal_id,
        "amount": captured.amount_minor,
        "currency": found.currency,
        "created": work.now_ms / 1000,
    });
    work.notify(Face::Acquirer, |_| written(&body));
    Outcome::kept(200, &body)
}

#[cfg(test)]
mod tests;
