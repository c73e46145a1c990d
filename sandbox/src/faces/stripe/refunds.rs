//! Refunds: their creation, their end, and how they look.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::base::dials::RefundStatus;
use crate::base::outcome::Outcome;
use crate::base::tokens::Operation;
use crate::ledger::intent::{Intent, Refund, Status};
use crate::ledger::state::State;
use crate::ledger::work::Work;

use super::actions::{entry, keep};
use super::errors::{invalid, missing, no_refund};
use super::intent_errors::unexpected_state;
use super::{amounts, events};

/// What a ledger event says of a refund that failed.
const FAILED: &str = "refund_failed";

/// What is asked of a new refund.
pub(crate) struct Asked<'a> {
    /// All that is left, when absent.
    pub(crate) amount_minor: Option<u64>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) metadata: &'a BTreeMap<String, String>,
    /// What it is at its creation.
    pub(crate) status: RefundStatus,
}

/// `POST /v1/refunds`.
pub(crate) fn create(work: &mut Work<'_>, id: &str, asked: &Asked<'_>) -> Outcome {
    let Some(intent) = work.state.intents.get(id).cloned() else {
        return missing("payment_intent", "payment_intent", id);
    };
    match refundable(work, &intent, asked.amount_minor) {
        Ok(amount_minor) => created(work, Arc::unwrap_or_clone(intent), asked, amount_minor),
        Err(refusal) => refusal,
    }
}

/// The amount to refund.
fn refundable(work: &Work<'_>, intent: &Intent, amount_minor: Option<u64>) -> Result<u64, Outcome> {
    if intent.status != Status::Succeeded {
        let message = "This PaymentIntent does not have a successful charge to refund.";
        return Err(unexpected_state(intent, &work.settings.public_url, message));
    }
    let charge = intent.charge.as_deref().unwrap_or_default();
    if intent.dispute.is_some() {
        let message = format!("Charge {charge} has been charged back; cannot issue a refund.");
        return Err(no_refund("charge_disputed", &message));
    }
    let left_minor = intent.captured_minor.saturating_sub(intent.refunded_minor());
    if left_minor == 0 {
        let message = format!("Charge {charge} has already been refunded.");
        return Err(no_refund("charge_already_refunded", &message));
    }
    let amount_minor = amount_minor.unwrap_or(left_minor);
    amounts::check(amount_minor, &intent.currency, "amount")?;
    if amount_minor > left_minor {
        let message =
            format!("Refund amount ({amount_minor}) is greater than unrefunded amount ({left_minor}).");
        return Err(invalid("amount_too_large", "amount", &message));
    }
    Ok(amount_minor)
}

fn created(work: &mut Work<'_>, mut intent: Intent, asked: &Asked<'_>, amount_minor: u64) -> Outcome {
    let refund = Refund {
        id: work.new_id("re"),
        created_ms: work.now_ms,
        amount_minor,
        reason: asked.reason.map(str::to_owned),
        status: asked.status,
        metadata: asked.metadata.clone(),
    };
    let is_failed = refund.status == RefundStatus::Failed;
    work.enter_with(
        entry(&intent, Operation::Refund, &refund.id, amount_minor),
        |event| event.declined = is_failed.then(|| FAILED.to_owned()),
    );
    intent.refunds.push(refund.clone());
    let intent = keep(work, intent);
    tell(work, &intent, &refund, "refund.created");
    if is_failed {
        tell(work, &intent, &refund, "refund.failed");
    } else {
        tell_charge(work, &intent);
    }
    Outcome::kept(200, &render(&intent, &refund))
}

/// Ends the refund `id`: a pending one succeeds or fails, one that succeeded fails later.
pub(crate) fn end(work: &mut Work<'_>, id: &str, status: RefundStatus) -> Outcome {
    let Some((intent, refund)) = lookup(work.state, id) else {
        return missing("id", "refund", id);
    };
    let (mut intent, mut refund) = (Intent::clone(intent), refund.clone());
    let is_possible = match refund.status {
        RefundStatus::Pending => status != RefundStatus::Pending,
        RefundStatus::Succeeded => status == RefundStatus::Failed,
        RefundStatus::Failed => false,
    };
    if !is_possible {
        let message = format!("The refund is {} already.", name(refund.status));
        return no_refund("refund_unexpected_state", &message);
    }
    refund.status = status;
    if status == RefundStatus::Failed {
        // The money comes back to the merchant.
        work.enter_with(
            entry(&intent, Operation::Refund, id, refund.amount_minor),
            |event| {
                event.declined = Some(FAILED.to_owned());
                event.undoes = Some(id.to_owned());
            },
        );
    }
    for known in intent.refunds.iter_mut().filter(|known| known.id == id) {
        known.status = status;
    }
    let intent = keep(work, intent);
    if work.settings.dials.refund_updated_webhooks {
        tell(work, &intent, &refund, "refund.updated");
    }
    if status == RefundStatus::Failed {
        tell(work, &intent, &refund, "refund.failed");
    }
    Outcome::kept(200, &render(&intent, &refund))
}

/// `GET /v1/refunds/{id}`.
pub(crate) fn find(state: &State, id: &str) -> Outcome {
    match lookup(state, id) {
        Some((intent, refund)) => Outcome::kept(200, &render(intent, refund)),
        None => missing("id", "refund", id),
    }
}

fn lookup<'a>(state: &'a State, id: &str) -> Option<(&'a Intent, &'a Refund)> {
    let intent = state.intents.get(state.intent_of_refund.get(id)?)?;
    let refund = intent.refunds.iter().find(|refund| refund.id == id)?;
    Some((intent, refund))
}

fn tell(work: &mut Work<'_>, intent: &Intent, refund: &Refund, kind: &str) {
    if work.settings.dials.refund_webhooks {
        events::of(work, kind, "refund", &refund.id, |_| render(intent, refund));
    }
}

fn tell_charge(work: &mut Work<'_>, intent: &Intent) {
    if let Some(charge) = intent
        .charge
        .as_deref()
        .filter(|_| work.settings.dials.refund_webhooks)
    {
        events::of(work, "charge.refunded", "charge", charge, |_| {
            json!(intent.render_charge(charge))
        });
    }
}

/// A refund in Stripe's words.
pub(crate) fn render(intent: &Intent, refund: &Refund) -> Value {
    let mut rendered = json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount_minor,
        "balance_transaction": null,
        "charge": intent.charge,
        "created": refund.created_ms / 1000,
        "currency": intent.currency,
        "metadata": refund.metadata,
        "payment_intent": intent.id,
        "reason": refund.reason,
        "receipt_number": null,
        "status": name(refund.status),
    });
    if let (Value::Object(members), RefundStatus::Failed) = (&mut rendered, refund.status) {
        members.insert("failure_reason".to_owned(), json!("unknown"));
    }
    rendered
}

fn name(status: RefundStatus) -> &'static str {
    match status {
        RefundStatus::Pending => "pending",
        RefundStatus::Succeeded => "succeeded",
        RefundStatus::Failed => "failed",
    }
}

#[cfg(test)]
mod tests;
