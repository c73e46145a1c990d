//! What happens at the PSP without a call of ours: persons at its dashboard, and other programs of the account. Both tiers
//! hand the requests that are made here to the same sandbox.

use pay_once_sandbox::tokens::Operation;
use pay_once_sandbox::{Cause, Face, LedgerEvent, Method, Request, Sandbox};
use serde_json::{Value, json};

use crate::plan::{Class, ForeignObject, Hand, World};
use crate::world::EPOCH_MS;

/// How often other programs of the account make objects, in milliseconds.
pub const CROWD_EVERY_MS: u64 = 1_000;
/// Until when they do, in milliseconds from the start: past every look-up that payments of the first seconds need.
const CROWD_UNTIL_MS: u64 = 20_000;

/// Whether other programs still make objects.
#[must_use]
pub fn is_crowded(world: &World, now_ms: u64) -> bool {
    world.crowd > 0 && now_ms < world.heal_ms.min(CROWD_UNTIL_MS)
}

/// What made the object that a person acts on: nobody takes another one for the payment's.
#[must_use]
pub fn whose(foreign: bool, extra: bool) -> Option<Cause> {
    match (foreign, extra) {
        (true, _) => Some(Cause::Foreign),
        (false, true) => Some(Cause::Repeated),
        (false, false) => None,
    }
}

/// What a person does to the newest object of an attempt. `None`: there is nothing to do it to.
#[must_use]
pub fn act(
    sandbox: &Sandbox,
    class: Class,
    attempt_id: &str,
    hand: Hand,
    cause: Option<Cause>,
) -> Option<Request> {
    let events = sandbox.ledger().filter(|event| event.attempt_id == attempt_id);
    let events: Vec<&LedgerEvent> = events.filter(|event| event.declined.is_none()).collect();
    let mut made = events
        .iter()
        .filter(|event| event.operation == Operation::Authorize);
    let authorization = made.rfind(|event| event.cause == cause)?;
    let object = sandbox.object_of(&authorization.id);
    let capture = events.iter().rfind(|event| {
        event.operation == Operation::Capture && event.authorization.as_ref() == Some(&authorization.id)
    });
    let share = |whole_minor: u64, permille: u16| (whole_minor * u64::from(permille) / 1_000).max(1);
    let (verb, body) = match (hand, class.is_stripe()) {
        (Hand::Capture(permille), _) => {
            let amount = share(authorization.amount_minor, permille);
            ("capture", json!({"amount": amount}))
        }
        (Hand::Cancel, true) => ("cancel", json!({})),
        (Hand::Cancel, false) => ("void", json!({})),
        (Hand::Refund(permille), true) => {
            let amount = share(capture?.amount_minor, permille);
            ("refund", json!({"amount": amount}))
        }
        (Hand::Refund(_), false) => {
            capture?;
            ("void", json!({}))
        }
        (Hand::Dispute, true) => {
            capture?;
            ("dispute", json!({}))
        }
        (Hand::Dispute, false) => {
            let path = format!("/dashboard/captures/{}/reverse", capture?.id);
            return Some(post(path, &json!({})));
        }
    };
    let objects = match class.is_stripe() {
        true => "payment_intents",
        false => "authorizations",
    };
    Some(post(format!("/dashboard/{objects}/{object}/{verb}"), &body))
}

/// Another installation has made an object that carries an attempt's reference.
#[must_use]
pub fn foreign(
    class: Class,
    attempt_id: &str,
    currency: &str,
    object: &ForeignObject,
    now_ms: u64,
) -> Request {
    let created = ((EPOCH_MS + now_ms) / 1_000).saturating_sub(object.age_s);
    let mut body = json!({
        "amount": object.amount_minor,
        "currency": currency,
        "created": created,
        "webhooks": true,
    });
    let more = match class.is_stripe() {
        true => json!({
            "status": if object.is_taken { "succeeded" } else { "requires_capture" },
            "metadata": {"attempt_id": attempt_id},
        }),
        false => json!({"reference": attempt_id}),
    };
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    let objects = match class.is_stripe() {
        true => "payment_intents",
        false => "authorizations",
    };
    post(format!("/dashboard/{objects}"), &body)
}

/// `count` objects of other programs that name no attempt of ours.
#[must_use]
pub fn crowd(count: u32) -> Request {
    let body = json!({"amount": 1_234, "currency": "EUR", "count": count});
    post("/dashboard/payment_intents".to_owned(), &body)
}

/// The refunds of Stripe's that begin at this moment, in milliseconds from the start: their ids.
#[must_use]
pub fn refunds_begun(sandbox: &Sandbox, now_ms: u64) -> Vec<String> {
    let begun = sandbox.ledger().filter(|event| {
        event.operation == Operation::Refund
            && event.face == Face::Stripe
            && event.declined.is_none()
            && event.at_ms == EPOCH_MS + now_ms
    });
    begun.map(|event| event.id.clone()).collect()
}

/// A pending refund of Stripe's ends.
#[must_use]
pub fn end_refund(refund_id: &str, succeeds: bool) -> Request {
    let verb = if succeeds { "succeed" } else { "fail" };
    post(format!("/dashboard/refunds/{refund_id}/{verb}"), &json!({}))
}

/// The cardholder answers a challenge.
#[must_use]
pub fn authenticate(path: &str, success: bool) -> Request {
    let form = "application/x-www-form-urlencoded".to_owned();
    Request {
        method: Method::Post,
        path_and_query: path.to_owned(),
        headers: vec![("content-type".to_owned(), form)],
        body: format!("success={success}").into_bytes(),
    }
}

fn post(path: String, body: &Value) -> Request {
    Request {
        method: Method::Post,
        path_and_query: path,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    }
}
