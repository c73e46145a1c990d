//! `stripe`: what the PaymentIntents face says ([`crate::psp`]).

use pay_once_core::Connector;
use pay_once_core::journal::evidence::{Effect, EffectKind};
use pay_once_core::journal::wire_form::WireForm;
use pay_once_core::psp::amount::Units;
use serde_json::Value;

use crate::psp::{Asked, Face as Said, Reading, has_text, is_text, objects, text};
use crate::setup::name;

/// Class, card, stage (index into the machine’s openings): one for every purpose a call can have.
const MOMENTS: [(u8, u8, u8); 16] = [
    (0, 0, 2),
    (0, 0, 5),
    (0, 0, 9),
    (0, 0, 10),
    (1, 0, 2),
    (1, 0, 11),
    (1, 0, 7),
    (2, 0, 2),
    (2, 0, 11),
    (2, 0, 7),
    (0, 2, 4),
    (0, 0, 8),
    (2, 0, 12),
    (2, 0, 13),
    (0, 0, 12),
    (0, 0, 13),
];

/// What this face says, and how it is read here.
pub const FACE: Said = Said {
    moments: &MOMENTS,
    reading: Reading {
        may_refuse,
        names,
        is_complete,
    },
};

/// Makes every moment.
pub fn prepare() {
    FACE.prepare();
}

/// One execution.
pub fn run(bytes: &[u8]) {
    FACE.run(bytes);
}

/// A definite no is Stripe's own error under a 4xx, or an intent whose last payment failed.
fn may_refuse(asked: Asked, status: u16, said: &Value) -> bool {
    let error = said.get("error").and_then(Value::as_object);
    let is_own = error.is_some_and(|error| !matches!(text(error, "type"), "idempotency_error" | "api_error"));
    let mut all = Vec::new();
    objects(said, &mut all);
    let failed = all.iter().any(|object| {
        text(object, "status") == "requires_payment_method"
            && object.get("last_payment_error").is_some_and(|e| e.is_object())
    });
    let is_call = matches!(asked, Asked::Act | Asked::Prepare);
    failed || (is_own && is_call && (400..=499).contains(&status))
}

fn names(_: Asked, status: u16, said: &Value, effect: &Effect) -> bool {
    let mut all = Vec::new();
    objects(said, &mut all);
    let is_error = said.get("error").is_some_and(Value::is_object);
    ((200..=299).contains(&status) || is_error)
        && all.iter().any(|object| {
            let amount = |name: &str| object.get(name).and_then(Value::as_u64).unwrap_or(0);
            let shows = match (effect.kind, text(object, "status")) {
                (EffectKind::Authorize, "requires_capture" | "succeeded") => amount("amount"),
                // Left out, it was captured whole.
                (EffectKind::Capture, "succeeded") => match object.get("amount_received") {
                    None | Some(Value::Null) => amount("amount"),
                    Some(_) => amount("amount_received"),
                },
                (EffectKind::Void, "canceled") if !lapsed(object) => amount("amount"),
                (EffectKind::Lapse, "canceled") if lapsed(object) => amount("amount"),
                (EffectKind::Refund, "succeeded") => amount("amount"),
                (EffectKind::RefundFailure, "failed" | "canceled") => amount("amount"),
                _ => return false,
            };
            // What failed has a name of its own.
            let id = effect.id.strip_suffix("/failed").unwrap_or(&effect.id);
            let units = Units::new(Connector::Stripe, WireForm::CURRENT);
            let minor = units.from_wire(text(object, "currency"), shows);
            (shows == effect.amount_minor || minor == Some(effect.amount_minor))
                && is_text(text(object, "id"), id)
                && effect
                    .currency
                    .as_deref()
                    .is_none_or(|currency| is_text(&text(object, "currency").to_ascii_uppercase(), currency))
        })
}

fn lapsed(object: &serde_json::Map<String, Value>) -> bool {
    matches!(text(object, "cancellation_reason"), "automatic" | "expired")
}

/// A read of the object, or its 404; a list's last page.
fn is_complete(asked: Asked, status: u16, said: &Value) -> bool {
    match asked {
        Asked::Read if status == 404 => said.get("error").is_some(),
        Asked::Read => (200..=299).contains(&status) && said.get("id").is_some(),
        Asked::Lookup => {
            let is_list = said.get("data").is_some_and(Value::is_array);
            let goes_on = said.get("has_more").and_then(Value::as_bool).unwrap_or(false);
            // Whatever is being worked on under our name is there, and is no effect yet.
            let is_open = has_text(said, name()) && has_text(said, "processing");
            (200..=299).contains(&status) && is_list && !goes_on && !is_open
        }
        Asked::Act | Asked::Prepare => false,
    }
}
