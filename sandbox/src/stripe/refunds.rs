//! Refunds: their creation, and how they look.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::tokens::Operation;
use crate::work::{Outcome, Work};

use super::actions::{entry, keep};
use super::amounts;
use super::errors::{invalid, missing, unexpected_state};
use super::intent::{Intent, Refund, Status};

/// `POST /v1/refunds`.
pub(crate) fn create(
    work: &mut Work<'_>,
    id: &str,
    amount_minor: Option<u64>,
    reason: Option<&str>,
) -> Outcome {
    let Some(intent) = work.state.intents.get(id).cloned() else {
        return missing("payment_intent", "payment_intent", id);
    };
    match refundable(work, &intent, amount_minor) {
        Ok(amount_minor) => created(work, Arc::unwrap_or_clone(intent), reason, amount_minor),
        Err(refusal) => refusal,
    }
}

/// The amount to refund.
fn refundable(work: &Work<'_>, intent: &Intent, amount_minor: Option<u64>) -> Result<u64, Outcome> {
    if intent.status != Status::Succeeded {
        let message = "This PaymentIntent does not have a successful charge to refund.";
        return Err(unexpected_state(intent, &work.settings.public_url, message));
    }
    let left_minor = intent.captured_minor.saturating_sub(intent.refunded_minor());
    if left_minor == 0 {
        let message = "Charge has already been refunded.";
        return Err(invalid("charge_already_refunded", "payment_intent", message));
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

fn created(work: &mut Work<'_>, mut intent: Intent, reason: Option<&str>, amount_minor: u64) -> Outcome {
    let refund = Refund {
        id: work.new_id("re"),
        created_ms: work.now_ms,
        amount_minor,
        reason: reason.map(str::to_owned),
    };
    work.enter(entry(&intent, Operation::Refund, &refund.id, amount_minor));
    intent.refunds.push(refund.clone());
    let intent = keep(work, intent);
    Outcome::kept(200, &render(&intent, &refund))
}

/// A refund in Stripe's words.
pub(crate) fn render(intent: &Intent, refund: &Refund) -> Value {
    json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount_minor,
        "balance_transaction": null,
        "charge": intent.charge,
        "created": refund.created_ms / 1000,
        "currency": intent.currency,
        "metadata": {},
        "payment_intent": intent.id,
        "reason": refund.reason,
        "receipt_number": null,
        "status": "succeeded",
    })
}
