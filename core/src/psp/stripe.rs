//! The `stripe` driver: PaymentIntents, form-encoded, with `Idempotency-Key` (Stripe API reference, PaymentIntents).

use form_urlencoded::Serializer;
use serde::Deserialize;

use super::amount::Units;
use super::call::{HttpCall, Lookup, Purpose};
use super::driver::{Answer, DriverCapabilities, PspRequest, Reading, Window};
use super::stripe_errors;
use super::stripe_objects::{Intent, Refund};
use crate::base::config::{Connector, Psp};
use crate::journal::entry::{CallStep, CaptureMethod, Operation};
use crate::journal::evidence::{Sighting, clip};
use crate::journal::wire_form::WireForm;

/// The version of Stripe's API that requests are written for. Without the header an account's default applies, and that of a new
/// account refuses `payment_method_types`, which every version up to this one takes (`peers/tests/test_stripe_parameters.py`).
pub(crate) const VERSION: &str = "2026-07-29.dahlia";
const LATEST_CHARGE: (&str, &str) = ("expand[]", "latest_charge");

pub(super) const CAPABILITIES: DriverCapabilities = DriverCapabilities {
    has_pages: true,
    lists_refunds: true,
    tells_lapse_by_id: true,
    captures_with_authorize: true,
};

pub(super) fn write(psp: &Psp, request: &PspRequest<'_>) -> HttpCall {
    let (path, form) = match (request.operation, request.step, request.target) {
        (Operation::Authorize, CallStep::Execute, Some(object)) => {
            let mut form = vec![("payment_method", payment_method(request))];
            form.extend(return_url(request));
            (format!("/v1/payment_intents/{}/confirm", segment(object)), form)
        }
        (Operation::Authorize, step, _) => ("/v1/payment_intents".to_owned(), create_form(request, step)),
        (Operation::Capture, _, target) => (
            format!(
                "/v1/payment_intents/{}/capture",
                segment(target.unwrap_or_default())
            ),
            vec![("amount_to_capture", amount(request))],
        ),
        (Operation::Void, _, target) => (
            format!(
                "/v1/payment_intents/{}/cancel",
                segment(target.unwrap_or_default())
            ),
            Vec::new(),
        ),
        (Operation::Refund, _, target) => {
            let form = vec![
                ("payment_intent", target.unwrap_or_default().to_owned()),
                ("amount", amount(request)),
            ];
            ("/v1/refunds".to_owned(), form)
        }
    };
    let mut body = Serializer::new(String::new());
    body.extend_pairs(form);
    // The object carries our name from the call that makes it; `confirm` takes no metadata.
    let makes_intent = request.operation == Operation::Authorize && request.target.is_none();
    let makes_refund = request.operation == Operation::Refund && request.form >= WireForm::Versioned;
    if makes_intent || makes_refund {
        body.append_pair("metadata[attempt_id]", &request.id.to_string());
    }
    if request.operation != Operation::Refund {
        body.append_pair(LATEST_CHARGE.0, LATEST_CHARGE.1);
    }
    let mut headers = vec![
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("idempotency-key", request.psp_key.to_owned()),
    ];
    if request.form >= WireForm::Versioned {
        headers.push(version());
    }
    HttpCall {
        method: "POST",
        url: format!("{}{path}", psp.base_url),
        headers,
        bearer: psp.api_key.clone(),
        body: body.finish().into_bytes(),
    }
}

fn create_form(request: &PspRequest<'_>, step: CallStep) -> Vec<(&'static str, String)> {
    let capture_method = match request.terms.capture_method {
        CaptureMethod::Manual => "manual",
        CaptureMethod::Automatic => "automatic",
    };
    let mut form = vec![
        ("amount", amount(request)),
        ("currency", request.money.currency.to_ascii_lowercase()),
        ("capture_method", capture_method.to_owned()),
        ("payment_method_types[]", "card".to_owned()),
        ("payment_method", payment_method(request)),
    ];
    if step == CallStep::Execute {
        form.push(("confirm", "true".to_owned()));
        form.extend(return_url(request));
    }
    form
}

/// The amount in Stripe's units. What cannot be expressed was refused before anything was dispatched, so this only guards
/// against a mistake: Stripe refuses the empty amount and moves nothing.
fn amount(request: &PspRequest<'_>) -> String {
    let wire = Units::new(Connector::Stripe, request.form).to_wire(request.money);
    debug_assert!(
        wire.is_ok(),
        "an amount was dispatched that Stripe cannot express"
    );
    wire.map(|wire| wire.to_string()).unwrap_or_default()
}

fn version() -> (&'static str, String) {
    ("stripe-version", VERSION.to_owned())
}

/// Stripe takes it with a confirmation only, and names no page to send the customer to without it.
fn return_url(request: &PspRequest<'_>) -> Option<(&'static str, String)> {
    request.return_url.map(|url| ("return_url", url.to_owned()))
}

fn payment_method(request: &PspRequest<'_>) -> String {
    request.terms.payment_method.clone().unwrap_or_default()
}

pub(super) fn write_read(psp: &Psp, reference: &str) -> HttpCall {
    let query = Serializer::new(String::new())
        .append_pair(LATEST_CHARGE.0, LATEST_CHARGE.1)
        .finish();
    get(psp, format!("/v1/payment_intents/{}?{query}", segment(reference)))
}

/// Reads a refund by its id.
pub(super) fn write_read_refund(psp: &Psp, id: &str) -> HttpCall {
    get(psp, format!("/v1/refunds/{}", segment(id)))
}

/// Reads a dispute by its id.
pub(super) fn write_read_dispute(psp: &Psp, id: &str) -> HttpCall {
    get(psp, format!("/v1/disputes/{}", segment(id)))
}

/// Lists by time of creation: Stripe's search is not read-after-write, its list is. Nothing is expanded: a page of large objects
/// would be larger than what is read of an answer, and expansion of lists fails now and then.
pub(super) fn write_lookup(psp: &Psp, window: Window, page: &Lookup) -> HttpCall {
    let mut query = Serializer::new(String::new());
    query.append_pair("limit", &page.objects.to_string());
    let path = match &page.refunds_of {
        Some(object) => {
            query.append_pair("payment_intent", object);
            "/v1/refunds"
        }
        None => {
            query.append_pair("created[gte]", &(window.since_ms.get() / 1000).to_string());
            query.append_pair("created[lte]", &window.until_ms.get().div_ceil(1000).to_string());
            "/v1/payment_intents"
        }
    };
    if let Some(after) = &page.after {
        query.append_pair("starting_after", after);
    }
    get(psp, format!("{path}?{}", query.finish()))
}

fn get(psp: &Psp, path: String) -> HttpCall {
    HttpCall {
        method: "GET",
        url: format!("{}{path}", psp.base_url),
        headers: vec![version()],
        bearer: psp.api_key.clone(),
        body: Vec::new(),
    }
}

/// A reference as one path segment: it came from outside, and must not become another path.
fn segment(reference: &str) -> String {
    form_urlencoded::byte_serialize(reference.as_bytes()).collect()
}

pub(super) fn read(reading: Reading<'_>, purpose: &Purpose, status: u16, body: &[u8]) -> Answer {
    if status >= 400 {
        return stripe_errors::read(reading.units, purpose, status, body);
    }
    match purpose {
        Purpose::Dispatched {
            operation: Operation::Refund,
            target,
            ..
        } => match serde_json::from_slice::<Refund>(body) {
            Ok(refund) => refund.answer(reading, target.as_deref()),
            Err(_) => Answer::unknown("the answer is not a refund"),
        },
        Purpose::Dispatched { .. } | Purpose::Read { .. } | Purpose::Event => {
            match serde_json::from_slice::<Intent>(body) {
                Ok(intent) => intent.answer(reading.units, matches!(purpose, Purpose::Read { .. })),
                Err(_) => Answer::unknown("the answer is not a PaymentIntent"),
            }
        }
        Purpose::Lookup(page) if page.refunds_of.is_some() => {
            match serde_json::from_slice::<List<Refund>>(body) {
                Ok(list) => list_of_refunds(list, reading),
                Err(_) => Answer::unknown("the answer is not a list of refunds"),
            }
        }
        Purpose::Lookup(_) => match serde_json::from_slice::<List<Intent>>(body) {
            Ok(list) => list_of_intents(list, reading),
            Err(_) => Answer::unknown("the answer is not a list of PaymentIntents"),
        },
    }
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

/// All intents of a page that name the attempt.
fn list_of_intents(list: List<Intent>, reading: Reading<'_>) -> Answer {
    let next_page = list
        .data
        .last()
        .filter(|_| list.has_more)
        .map(|intent| intent.id.clone());
    let is_named = |intent: &&Intent| intent.metadata.attempt() == Some(reading.id);
    Answer {
        sightings: list
            .data
            .iter()
            .filter(is_named)
            .map(|intent| intent.sighting(reading.units))
            .collect(),
        is_failed_look: list.has_more && next_page.is_none(),
        next_page,
        ..Answer::default()
    }
}

/// All refunds of a page. They were asked for by their PaymentIntent, which is ours.
fn list_of_refunds(list: List<Refund>, reading: Reading<'_>) -> Answer {
    let next_page = list
        .data
        .last()
        .filter(|_| list.has_more)
        .map(|refund| refund.id.clone());
    let sighting = |refund: &Refund| Sighting {
        object: clip(refund.payment_intent.clone().unwrap_or_default()),
        created_ms: None,
        amount: None,
        evidence: refund.evidence(reading.units, &reading.terms.money.currency, None),
    };
    Answer {
        sightings: list.data.iter().map(sighting).collect(),
        is_failed_look: list.has_more && next_page.is_none(),
        next_page,
        ..Answer::default()
    }
}
