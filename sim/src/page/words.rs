//! Payments, answers and PSPs in words.

use serde::Serialize;

use crate::plan::{Class, Flow, Payment, Token};
use crate::seen::Told;

/// A payment.
#[derive(Serialize)]
pub(super) struct Customer {
    pub(super) number: u32,
    pub(super) id: String,
    pub(super) about: String,
}

pub(super) fn customer(payment: &Payment, installation: &str) -> Customer {
    let flow = match payment.flow {
        Flow::Manual => "create, authorize, capture",
        Flow::Part => "create, authorize, capture two thirds",
        Flow::Void => "create, authorize, void",
        Flow::Race => "create, authorize, then capture and void at once",
        Flow::Abandon => "create, authorize, then nothing",
        Flow::Automatic => "create, authorize with automatic capture",
        Flow::Charge => "charge in one call",
    };
    let card = match payment.token {
        Token::Good => "good card".to_owned(),
        Token::Declined => "declined card".to_owned(),
        Token::CaptureDeclined => "card that declines the capture".to_owned(),
        Token::Secure(ms) => format!("3-D Secure, done after {ms} ms"),
        Token::SecureFails(ms) => format!("3-D Secure, failed after {ms} ms"),
        Token::SecureAbandoned => "3-D Secure, nobody comes".to_owned(),
        Token::WebhookFirst => "webhook before the answer".to_owned(),
        Token::ErrorKept => "the PSP keeps an error".to_owned(),
        Token::CaptureErrorKept => "the PSP keeps an error at the capture".to_owned(),
        Token::AnswerCut => "the answer breaks off".to_owned(),
        Token::PartialApproval => "the PSP approves a part".to_owned(),
        Token::CapturesAll => "the PSP captures all".to_owned(),
    };
    let mut about = format!(
        "{flow}; {} {} minor units; {card}",
        payment.amount_minor, payment.currency
    );
    if payment.copies > 1 {
        about = format!("{about}; each request {} times at once", payment.copies);
    }
    if payment.rival {
        about.push_str("; with a rival client");
    }
    if payment.reuse {
        about.push_str("; keys reused");
    }
    Customer {
        number: payment.payment,
        id: payment.attempt_id(installation).to_string(),
        about,
    }
}

/// What a client was told.
pub(super) fn told(told: Option<&Told>) -> String {
    let Some(told) = told else {
        return "gave up waiting".to_owned();
    };
    let mut text = told.status.to_string();
    if let Some(code) = &told.code {
        text = format!("{text} {code}");
    }
    if let Some(shown) = &told.shown {
        text = format!("{text} {:?}", shown.status);
        if let Some(operation) = &shown.operation {
            text = format!("{text}, {} {:?}", operation.name, operation.state);
        }
    }
    if told.is_replay {
        text.push_str(", replayed");
    }
    if told.safe_new_key {
        text.push_str(", a new key is safe");
    }
    text
}

/// What a PSP of a class can do, for somebody who has not read `docs/psp.md`.
pub(super) fn about(class: Class) -> &'static str {
    match class {
        Class::Stripe => "takes idempotency keys, and can be asked what became of a request",
        Class::Addressable => "forgets keys at once, but objects have addresses and lists",
        Class::Keyed => "takes idempotency keys; cannot be asked",
        Class::Queryable => "no idempotency keys; can be asked what became of a request",
        Class::KeyedQueryable => "takes idempotency keys, and can be asked",
        Class::Blind => "no idempotency keys, cannot be asked",
    }
}
