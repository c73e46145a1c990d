//! What a person does at Stripe's dashboard, and what other programs of the account do.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::dials::RefundStatus;
use crate::base::outcome::Outcome;
use crate::base::tokens::Operation;
use crate::ledger::intent::{Dispute, Intent, Status};
use crate::ledger::state::State;
use crate::ledger::work::Work;

use super::actions::{self, entry, keep, wrong_state};
use super::{amounts, errors, events, refunds};

/// The members of a request about one PaymentIntent.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Members {
    /// Of a capture, a refund or a dispute; all that there is, when absent.
    amount: Option<u64>,
    /// Of a refund.
    metadata: BTreeMap<String, String>,
    /// Of a refund; the dial's, when absent.
    status: Option<RefundStatus>,
}

/// Does `verb` to the PaymentIntent. `None`: there is no such verb.
pub(crate) fn act(work: &mut Work<'_>, id: &str, verb: &str, members: &Members) -> Option<Outcome> {
    let done = match verb {
        "capture" => actions::capture(work, id, members.amount),
        "cancel" => actions::cancel(work, id, None),
        "dispute" => dispute(work, id, members.amount),
        "refund" => {
            let asked = refunds::Asked {
                amount_minor: members.amount,
                reason: None,
                metadata: &members.metadata,
                status: members.status.unwrap_or(work.settings.dials.refund_status),
            };
            return Some(refunds::create(work, id, &asked));
        }
        _ => return None,
    };
    Some(match done {
        Ok(intent) => Outcome::kept(200, &intent.render(&work.settings.public_url, true)),
        Err(refusal) => refusal,
    })
}

/// Ends a refund by hand. `None`: there is no such verb.
pub(crate) fn end_refund(work: &mut Work<'_>, id: &str, verb: &str) -> Option<Outcome> {
    match verb {
        "succeed" => Some(refunds::end(work, id, RefundStatus::Succeeded)),
        "fail" => Some(refunds::end(work, id, RefundStatus::Failed)),
        _ => None,
    }
}

/// The cardholder's bank wants the money back. The ledger says nothing of it: who gets the money is open.
fn dispute(work: &mut Work<'_>, id: &str, amount_minor: Option<u64>) -> Result<Arc<Intent>, Outcome> {
    let intent = actions::find(work, id)?;
    if intent.status != Status::Succeeded || intent.dispute.is_some() {
        return Err(wrong_state(work, &intent, "disputed"));
    }
    let mut intent = Arc::unwrap_or_clone(intent);
    let dispute = Dispute {
        id: work.new_id("dp"),
        created_ms: work.now_ms,
        amount_minor: amount_minor.unwrap_or(intent.captured_minor),
    };
    intent.dispute = Some(dispute.clone());
    let intent = keep(work, intent);
    events::of(work, "charge.dispute.created", "dispute", &dispute.id, |_| {
        render_dispute(&intent, &dispute)
    });
    Ok(intent)
}

/// `GET /v1/disputes/{id}`.
pub(crate) fn find_dispute(state: &State, id: &str) -> Outcome {
    let disputes = state
        .intents
        .values()
        .filter_map(|intent| Some((intent, intent.dispute.as_ref()?)));
    match disputes.into_iter().find(|(_, dispute)| dispute.id == id) {
        Some((intent, dispute)) => Outcome::kept(200, &render_dispute(intent, dispute)),
        None => errors::missing("id", "dispute", id),
    }
}

/// A dispute in Stripe's words. It does not have the PaymentIntent's metadata.
fn render_dispute(intent: &Intent, dispute: &Dispute) -> Value {
    json!({
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount_minor,
        "balance_transactions": [],
        "charge": intent.charge,
        "created": dispute.created_ms / 1000,
        "currency": intent.currency,
        "is_charge_refundable": false,
        "livemode": false,
        "metadata": {},
        "payment_intent": intent.id,
        "reason": "fraudulent",
        "status": "needs_response",
    })
}

/// PaymentIntents that another program of the account made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForeignIntents {
    amount: u64,
    currency: String,
    #[serde(default = "succeeded")]
    status: Status,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// Unix seconds; now, when absent.
    created: Option<u64>,
    /// How many; 1, when absent.
    count: Option<u64>,
    /// Whether their webhooks are sent.
    #[serde(default)]
    webhooks: bool,
}

fn succeeded() -> Status {
    Status::Succeeded
}

/// The most PaymentIntents that one request makes: they are one entry of the log.
const MAX_COUNT: u64 = 1000;

/// Makes them, and answers with their ids.
pub(crate) fn make_foreign(work: &mut Work<'_>, asked: &ForeignIntents) -> Outcome {
    let currency = asked.currency.to_lowercase();
    let count = asked.count.unwrap_or(1);
    if asked.amount == 0 || !(1..=MAX_COUNT).contains(&count) {
        let message = format!("`amount` must be at least 1, and `count` from 1 to {MAX_COUNT}.");
        return errors::invalid("parameter_invalid_integer", "amount", &message);
    }
    if !amounts::is_currency(&currency) {
        let message = format!("Invalid currency: {currency}");
        return errors::invalid("parameter_invalid_string", "currency", &message);
    }
    if let Err(refusal) = amounts::check(asked.amount, &currency, "amount") {
        return refusal;
    }
    let ids: Vec<String> = (0..count).map(|_| make_one(work, asked, &currency)).collect();
    Outcome::kept(200, &json!({"ids": ids}))
}

fn make_one(work: &mut Work<'_>, asked: &ForeignIntents, currency: &str) -> String {
    let mut intent = Intent::new(work, asked.amount, currency);
    let at_ms = asked
        .created
        .map_or(work.now_ms, |at_s| at_s.saturating_mul(1000));
    intent.created_ms = at_ms;
    intent.status = asked.status;
    intent.metadata = asked.metadata.clone();
    if asked.status != Status::RequiresPaymentMethod {
        intent.payment_method = Some("pm_card_visa".to_owned());
    }
    if matches!(asked.status, Status::RequiresCapture | Status::Succeeded) {
        let charge = work.new_id("ch");
        let lapses_at_ms = at_ms.saturating_add(work.settings.dials.authorization_lifetime_ms);
        let mut authorize = entry(&intent, Operation::Authorize, &charge, asked.amount);
        authorize.authorization = None;
        work.enter_with(authorize, |event| {
            event.at_ms = at_ms;
            event.token = Some("pm_card_visa".to_owned());
            event.lapses_at_ms = Some(lapses_at_ms);
        });
        intent.charge = Some(charge);
        intent.charge_created_ms = Some(at_ms);
        intent.capture_before_ms = Some(lapses_at_ms);
    }
    let kind = match asked.status {
        Status::RequiresPaymentMethod | Status::RequiresConfirmation => "payment_intent.created",
        Status::RequiresAction => "payment_intent.requires_action",
        Status::RequiresCapture => "payment_intent.amount_capturable_updated",
        Status::Succeeded => {
            let id = work.new_id("cap");
            work.enter_with(entry(&intent, Operation::Capture, &id, asked.amount), |event| {
                event.at_ms = at_ms
            });
            intent.captured_minor = asked.amount;
            "payment_intent.succeeded"
        }
        Status::Canceled => {
            intent.canceled_at_ms = Some(at_ms);
            "payment_intent.canceled"
        }
    };
    let intent = keep(work, intent);
    if asked.webhooks {
        events::of_intent(work, &intent, kind);
    }
    intent.id.clone()
}

#[cfg(test)]
mod tests;
