//! What the calls do to a PaymentIntent and to the ledger.

use std::sync::Arc;

use crate::base::face::Face;
use crate::base::outcome::Outcome;
use crate::base::tokens::{self, Behaviour, Operation};
use crate::ledger::entry::Change;
use crate::ledger::intent::{Failure, Intent, Status};
use crate::ledger::work::{Entry, Work};

use super::call::Create;
use super::errors::{invalid, missing};
use super::intent_errors::{declined, unexpected_state};
use super::method_types::MethodTypes;
use super::{amounts, events};

pub(super) const AMOUNT_TO_CAPTURE: &str = "amount_to_capture";

/// The intent as it is.
pub(crate) fn find(work: &Work<'_>, id: &str) -> Result<Arc<Intent>, Outcome> {
    work.state
        .intents
        .get(id)
        .cloned()
        .ok_or_else(|| missing("intent", "payment_intent", id))
}

/// `POST /v1/payment_intents`.
pub(crate) fn create(work: &mut Work<'_>, create: &Create) -> Result<Arc<Intent>, Outcome> {
    let mut intent = Intent::new(work, create.amount_minor, &create.currency);
    intent.automatic_capture = create.automatic_capture;
    if create.payment_method.is_some() {
        intent.status = Status::RequiresConfirmation;
    }
    intent.payment_method = create.payment_method.clone();
    intent.take_types(&create.types);
    intent.metadata = create.metadata.clone();
    intent.description = create.description.clone();
    intent.return_url = create.return_url.clone();
    if work.settings.dials.created_webhooks {
        events::of_intent(work, &intent, "payment_intent.created");
    }
    if !create.confirm {
        return Ok(keep(work, intent));
    }
    if intent.payment_method.is_none() {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
        return Err(invalid("parameter_missing", "payment_method", message));
    }
    confirmed(work, intent)
}

/// `POST /v1/payment_intents/{id}/confirm`.
pub(crate) fn confirm(
    work: &mut Work<'_>,
    id: &str,
    payment_method: Option<&str>,
    types: &MethodTypes,
    return_url: Option<&str>,
) -> Result<Arc<Intent>, Outcome> {
    let mut intent = Arc::unwrap_or_clone(find(work, id)?);
    let before_money = [
        Status::RequiresPaymentMethod,
        Status::RequiresConfirmation,
        Status::RequiresAction,
    ];
    if !before_money.contains(&intent.status) {
        return Err(wrong_state(work, &intent, "confirmed"));
    }
    if let Some(token) = payment_method {
        intent.payment_method = Some(token.to_owned());
    }
    intent.take_types(types);
    if let Some(url) = return_url {
        intent.return_url = Some(url.to_owned());
    }
    if intent.payment_method.is_none() {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
        return Err(unexpected_state(&intent, &work.settings.public_url, message));
    }
    confirmed(work, intent)
}

/// `POST /v1/payment_intents/{id}/_authenticate`, and the buttons of the 3-D Secure page.
pub(crate) fn authenticate(work: &mut Work<'_>, id: &str, success: bool) -> Result<Arc<Intent>, Outcome> {
    let intent = find(work, id)?;
    if intent.status != Status::RequiresAction {
        return Err(wrong_state(work, &intent, "authenticated"));
    }
    work.cause = intent.cause;
    if success {
        return Ok(authorized(work, Arc::unwrap_or_clone(intent)));
    }
    let failure = Failure {
        code: "payment_intent_authentication_failure".to_owned(),
        decline_code: None,
        message: "The provided PaymentMethod has failed authentication.".to_owned(),
        payment_method: intent.payment_method.clone(),
    };
    Ok(failed(work, Arc::unwrap_or_clone(intent), failure))
}

/// `POST /v1/payment_intents/{id}/capture`.
pub(crate) fn capture(
    work: &mut Work<'_>,
    id: &str,
    amount_minor: Option<u64>,
) -> Result<Arc<Intent>, Outcome> {
    let intent = find(work, id)?;
    if intent.status != Status::RequiresCapture {
        return Err(wrong_state(work, &intent, "captured"));
    }
    let mut amount_minor = amount_minor.unwrap_or(intent.amount_minor);
    amounts::check(amount_minor, &intent.currency, AMOUNT_TO_CAPTURE)?;
    amounts::check_least(
        amount_minor,
        work.settings.dials.min_amount_minor,
        AMOUNT_TO_CAPTURE,
    )?;
    if amount_minor > intent.amount_minor {
        let message = "The amount to capture is greater than the amount that can be captured.";
        return Err(invalid("amount_too_large", AMOUNT_TO_CAPTURE, message));
    }
    let token = intent.payment_method.clone().unwrap_or_default();
    match tokens::find(&token, Operation::Capture).map(|row| row.behaviour) {
        Some(Behaviour::Decline { code, message }) => {
            let failure = decline(&token, code, message);
            let id = work.new_id("cap");
            work.enter_with(entry(&intent, Operation::Capture, &id, amount_minor), |event| {
                event.declined = Some(code.to_owned());
            });
            return Err(declined(&intent, &failure, &work.settings.public_url));
        }
        Some(Behaviour::CapturesAll) => amount_minor = intent.amount_minor,
        _ => {}
    }
    Ok(captured(work, Arc::unwrap_or_clone(intent), amount_minor))
}

/// `POST /v1/payment_intents/{id}/cancel`.
pub(crate) fn cancel(work: &mut Work<'_>, id: &str, reason: Option<&str>) -> Result<Arc<Intent>, Outcome> {
    let intent = find(work, id)?;
    match intent.status {
        Status::Succeeded | Status::Canceled => return Err(wrong_state(work, &intent, "canceled")),
        Status::RequiresCapture => {
            let id = work.new_id("void");
            work.enter(entry(&intent, Operation::Void, &id, intent.amount_minor));
        }
        Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {}
    }
    let at_ms = work.now_ms;
    Ok(canceled(work, Arc::unwrap_or_clone(intent), reason, at_ms))
}

/// The authorization `charge` has lapsed: its intent is canceled.
pub(crate) fn lapse(work: &mut Work<'_>, charge: &str, at_ms: u64) {
    let id = work.state.intent_of_charge.get(charge);
    let Some(intent) = id.and_then(|id| work.state.intents.get(id)).cloned() else {
        return;
    };
    if intent.status == Status::RequiresCapture {
        let reason = work.settings.dials.lapse_reason.name();
        canceled(work, Arc::unwrap_or_clone(intent), Some(reason), at_ms);
    }
}

/// The intent with a payment method meets the issuer.
fn confirmed(work: &mut Work<'_>, mut intent: Intent) -> Result<Arc<Intent>, Outcome> {
    let token = intent.payment_method.clone().unwrap_or_default();
    let at_capture = tokens::find(&token, Operation::Capture).filter(|_| intent.automatic_capture);
    let found = tokens::find(&token, Operation::Authorize).or(at_capture);
    let away = work.is_declined().then(|| {
        let (code, message) = tokens::ISSUER_AWAY;
        Behaviour::Decline { code, message }
    });
    match away.or(found.map(|row| row.behaviour)) {
        Some(Behaviour::Decline { code, message }) => {
            let failure = decline(&token, code, message);
            let charge = work.new_id("ch");
            intent.charge = Some(charge.clone());
            intent.charge_created_ms = Some(work.now_ms);
            work.enter_with(
                Entry {
                    authorization: None,
                    ..entry(&intent, Operation::Authorize, &charge, intent.amount_minor)
                },
                |event| event.declined = Some(code.to_owned()),
            );
            let intent = failed(work, intent, failure.clone());
            Err(declined(&intent, &failure, &work.settings.public_url))
        }
        Some(Behaviour::Authenticate) => {
            intent.status = Status::RequiresAction;
            intent.failure = None;
            let intent = keep(work, intent);
            events::of_intent(work, &intent, "payment_intent.requires_action");
            Ok(intent)
        }
        _ => Ok(authorized(work, intent)),
    }
}

/// The issuer has said yes.
fn authorized(work: &mut Work<'_>, mut intent: Intent) -> Arc<Intent> {
    let token = intent.payment_method.clone();
    let found = token
        .as_deref()
        .and_then(|token| tokens::find(token, Operation::Authorize));
    let lifetime_ms = match found.map(|row| row.behaviour) {
        Some(Behaviour::Lifetime(ms)) => ms,
        _ => work.settings.dials.authorization_lifetime_ms,
    };
    let capture_before_ms = work.now_ms.saturating_add(lifetime_ms);
    let charge = work.new_id("ch");
    intent.charge = Some(charge.clone());
    intent.charge_created_ms = Some(work.now_ms);
    intent.capture_before_ms = Some(capture_before_ms);
    intent.failure = None;
    work.enter_with(
        Entry {
            authorization: None,
            ..entry(&intent, Operation::Authorize, &charge, intent.amount_minor)
        },
        |event| {
            event.token = token;
            event.lapses_at_ms = Some(capture_before_ms);
        },
    );
    if intent.automatic_capture {
        let amount_minor = intent.amount_minor;
        return captured(work, intent, amount_minor);
    }
    intent.status = Status::RequiresCapture;
    let intent = keep(work, intent);
    events::of_intent(work, &intent, "payment_intent.amount_capturable_updated");
    intent
}

fn captured(work: &mut Work<'_>, mut intent: Intent, amount_minor: u64) -> Arc<Intent> {
    let id = work.new_id("cap");
    work.enter(entry(&intent, Operation::Capture, &id, amount_minor));
    intent.status = Status::Succeeded;
    intent.captured_minor = amount_minor;
    let intent = keep(work, intent);
    events::of_intent(work, &intent, "payment_intent.succeeded");
    intent
}

fn canceled(work: &mut Work<'_>, mut intent: Intent, reason: Option<&str>, at_ms: u64) -> Arc<Intent> {
    intent.status = Status::Canceled;
    intent.canceled_at_ms = Some(at_ms);
    intent.cancellation_reason = reason.map(str::to_owned);
    let intent = keep(work, intent);
    events::of_intent(work, &intent, "payment_intent.canceled");
    intent
}

fn failed(work: &mut Work<'_>, mut intent: Intent, failure: Failure) -> Arc<Intent> {
    intent.status = Status::RequiresPaymentMethod;
    intent.payment_method = None;
    intent.failure = Some(failure);
    let intent = keep(work, intent);
    events::of_intent(work, &intent, "payment_intent.payment_failed");
    intent
}

pub(super) fn keep(work: &mut Work<'_>, intent: Intent) -> Arc<Intent> {
    let intent = Arc::new(intent);
    work.commit(Change::Intent(Arc::clone(&intent)));
    intent
}

/// An entry about the intent's latest charge.
pub(super) fn entry<'a>(
    intent: &'a Intent,
    operation: Operation,
    id: &'a str,
    amount_minor: u64,
) -> Entry<'a> {
    Entry {
        face: Face::Stripe,
        operation,
        id,
        attempt_id: intent.attempt_id(),
        authorization: intent.charge.as_deref(),
        amount_minor,
        currency: &intent.currency,
    }
}

fn decline(token: &str, code: &str, message: &str) -> Failure {
    Failure {
        code: "card_declined".to_owned(),
        decline_code: Some(code.to_owned()),
        message: message.to_owned(),
        payment_method: Some(token.to_owned()),
    }
}

pub(super) fn wrong_state(work: &Work<'_>, intent: &Intent, done: &str) -> Outcome {
    let status = intent.status.name();
    let message = format!(
        "This PaymentIntent could not be {done} because it has a status of {status}. Retrieve it to see its state."
    );
    unexpected_state(intent, &work.settings.public_url, &message)
}
