//! The `stripe` driver: PaymentIntents, form-encoded, with `Idempotency-Key` (Stripe API reference, PaymentIntents).

use form_urlencoded::Serializer;
use serde::Deserialize;

use super::{Answer, HttpCall, Order, Purpose};
use crate::config::Psp;
use crate::evidence::{Effect, EffectKind, Evidence, Signal, clip, page};
use crate::id::AttemptId;
use crate::journal::{CallStep, CaptureMethod, Operation};
use crate::planted::{Bug, planted};

const LATEST_CHARGE: (&str, &str) = ("expand[]", "latest_charge");
const PAGE_SIZE: &str = "100";

pub(super) fn write(psp: &Psp, order: &Order<'_>) -> HttpCall {
    let (path, form) = match (order.operation, order.step, order.target) {
        (Operation::Authorize, CallStep::Act, Some(object)) => {
            let mut form = vec![("payment_method", payment_method(order))];
            form.extend(return_url(order));
            (format!("/v1/payment_intents/{}/confirm", segment(object)), form)
        }
        (Operation::Authorize, step, _) => ("/v1/payment_intents".to_owned(), create_form(order, step)),
        (Operation::Capture, _, target) => (
            format!(
                "/v1/payment_intents/{}/capture",
                segment(target.unwrap_or_default())
            ),
            vec![("amount_to_capture", order.amount_minor.to_string())],
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
                ("amount", order.amount_minor.to_string()),
            ];
            ("/v1/refunds".to_owned(), form)
        }
    };
    let mut body = Serializer::new(String::new());
    body.extend_pairs(form);
    // The object carries our name from the call that makes it; `confirm` takes no metadata.
    if order.operation == Operation::Authorize && order.target.is_none() {
        body.append_pair("metadata[attempt_id]", &order.id.to_string());
    }
    if order.operation != Operation::Refund {
        body.append_pair(LATEST_CHARGE.0, LATEST_CHARGE.1);
    }
    HttpCall {
        method: "POST",
        url: format!("{}{path}", psp.base_url),
        headers: vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("idempotency-key", order.psp_key.to_owned()),
        ],
        bearer: psp.api_key.clone(),
        body: body.finish().into_bytes(),
    }
}

fn create_form(order: &Order<'_>, step: CallStep) -> Vec<(&'static str, String)> {
    let capture_method = match order.terms.capture_method {
        CaptureMethod::Manual => "manual",
        CaptureMethod::Automatic => "automatic",
    };
    let mut form = vec![
        ("amount", order.amount_minor.to_string()),
        ("currency", order.terms.currency.to_ascii_lowercase()),
        ("capture_method", capture_method.to_owned()),
        ("payment_method_types[]", "card".to_owned()),
        ("payment_method", payment_method(order)),
    ];
    if step == CallStep::Act {
        form.push(("confirm", "true".to_owned()));
        form.extend(return_url(order));
    }
    form
}

/// Stripe takes it with a confirmation only, and names no page to send the customer to without it.
fn return_url(order: &Order<'_>) -> Option<(&'static str, String)> {
    order.return_url.map(|url| ("return_url", url.to_owned()))
}

fn payment_method(order: &Order<'_>) -> String {
    order.terms.payment_method.clone().unwrap_or_default()
}

pub(super) fn write_read(psp: &Psp, reference: &str) -> HttpCall {
    let query = Serializer::new(String::new())
        .append_pair(LATEST_CHARGE.0, LATEST_CHARGE.1)
        .finish();
    get(psp, format!("/v1/payment_intents/{}?{query}", segment(reference)))
}

/// Lists by time of creation: Stripe's search is not read-after-write, its list is.
pub(super) fn write_lookup(psp: &Psp, since_ms: u64, until_ms: u64, page: Option<&str>) -> HttpCall {
    let mut query = Serializer::new(String::new());
    query.append_pair("limit", PAGE_SIZE);
    query.append_pair("created[gte]", &(since_ms / 1000).to_string());
    query.append_pair("created[lte]", &until_ms.div_ceil(1000).to_string());
    query.append_pair("expand[]", "data.latest_charge");
    if let Some(after) = page {
        query.append_pair("starting_after", after);
    }
    get(psp, format!("/v1/payment_intents?{}", query.finish()))
}

fn get(psp: &Psp, path: String) -> HttpCall {
    HttpCall {
        method: "GET",
        url: format!("{}{path}", psp.base_url),
        headers: Vec::new(),
        bearer: psp.api_key.clone(),
        body: Vec::new(),
    }
}

/// A reference as one path segment: it came from outside, and must not become another path.
fn segment(reference: &str) -> String {
    form_urlencoded::byte_serialize(reference.as_bytes()).collect()
}

pub(super) fn read(id: AttemptId, purpose: &Purpose, status: u16, body: &[u8]) -> Answer {
    if status >= 400 {
        return refusal(purpose, status, body);
    }
    match purpose {
        Purpose::Dispatched {
            operation: Operation::Refund,
            target,
            ..
        } => refund(target.as_deref(), body).into(),
        Purpose::Dispatched { .. } | Purpose::Read { .. } => match serde_json::from_slice::<Intent>(body) {
            Ok(intent) => intent.evidence(matches!(purpose, Purpose::Read { .. })).into(),
            Err(_) if planted(Bug::GarbageIntentIsDecline) => Evidence::signal(Signal::Refused {
                code: "unreadable".to_owned(),
                message: String::new(),
            })
            .into(),
            Err(_) => Evidence::unknown("the answer is not a PaymentIntent").into(),
        },
        Purpose::Lookup { .. } => match serde_json::from_slice::<List>(body) {
            Ok(list) => list.answer(id),
            Err(_) => Evidence::unknown("the answer is not a list of PaymentIntents").into(),
        },
    }
}

fn refund(target: Option<&str>, body: &[u8]) -> Evidence {
    match serde_json::from_slice::<Refund>(body) {
        Ok(refund) if matches!(refund.status.as_deref(), Some("succeeded" | "pending")) => Evidence {
            effects: vec![Effect {
                kind: EffectKind::Refund,
                id: clip(refund.id),
                of: refund.payment_intent.or(target.map(str::to_owned)).map(clip),
                amount_minor: refund.amount,
                currency: None,
                listed: true,
            }],
            ..Evidence::default()
        },
        _ => Evidence::unknown("the answer is not a refund that went through"),
    }
}

/// A 4xx is an outcome if Stripe itself wrote it (rule 9); a proxy's page is not. Of a call on an object that is known only
/// these are: the card's refusal, the object's state beside it, and a parameter at fault. Anything else may be the second
/// answer to a request that was delivered twice, and only the object tells (found with a double that says no more than
/// “Bad request”).
fn refusal(purpose: &Purpose, status: u16, body: &[u8]) -> Answer {
    let Ok(Failure { error }) = serde_json::from_slice::<Failure>(body) else {
        return Evidence::unknown(format!("HTTP {status} that Stripe did not write")).into();
    };
    let is_decisive = error.kind.as_deref() == Some("card_error") || error.payment_intent.is_some();
    let is_of_form = status == 400 && error.param.as_ref().is_some_and(|param| param != "intent");
    let kind = error.kind.unwrap_or_default();
    if kind == "idempotency_error" || kind == "api_error" {
        return Evidence::unknown(format!("HTTP {status} {kind}")).into();
    }
    let code = error.decline_code.or(error.code).unwrap_or(kind);
    let says_nothing = match purpose {
        // Nor does a 404: an object whose id is in the journal was there, and Stripe deletes none.
        Purpose::Read { .. } | Purpose::Lookup { .. } => true,
        Purpose::Dispatched {
            operation: Operation::Authorize | Operation::Capture,
            target: Some(_),
            ..
        } => !is_decisive && !is_of_form,
        Purpose::Dispatched { .. } => false,
    };
    if says_nothing {
        return Evidence::unknown(format!("HTTP {status} {code}")).into();
    }
    let mut evidence = error
        .payment_intent
        .map(|intent| intent.evidence(false))
        .unwrap_or_default();
    // “Unexpected state” with the state beside it: the state is the news. A capture that finds the money captured,
    // a cancel that finds it cancelled, have been done.
    let is_done = match purpose {
        Purpose::Dispatched {
            operation: Operation::Authorize,
            ..
        } => {
            evidence.effects.iter().any(|e| e.kind == EffectKind::Authorize)
                || matches!(evidence.signal, Signal::ActionRequired { .. })
        }
        Purpose::Dispatched { .. } | Purpose::Read { .. } | Purpose::Lookup { .. } => {
            evidence.effects.iter().any(|e| e.kind != EffectKind::Authorize)
        }
    };
    // Refused because it is being worked on: that is no outcome.
    if matches!(evidence.signal, Signal::Unknown { .. }) {
        return evidence.into();
    }
    if !is_done {
        evidence.signal = Signal::Refused {
            code: clip(code),
            message: clip(error.message.unwrap_or_default()),
        };
    }
    Answer {
        is_of_this_sending: !is_decisive,
        ..evidence.into()
    }
}

#[derive(Deserialize)]
struct Failure {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
    param: Option<String>,
    payment_intent: Option<Intent>,
}

#[derive(Deserialize)]
struct Refund {
    id: String,
    amount: u64,
    status: Option<String>,
    payment_intent: Option<String>,
}

#[derive(Deserialize)]
struct List {
    data: Vec<Intent>,
    #[serde(default)]
    has_more: bool,
}

impl List {
    fn answer(self, id: AttemptId) -> Answer {
        let next_page = self
            .data
            .last()
            .filter(|_| self.has_more)
            .map(|intent| intent.id.clone());
        let name = id.to_string();
        let mut evidence = Evidence::default();
        for intent in self.data.iter().filter(|intent| {
            intent.metadata.attempt_id.as_deref() == Some(&name) || planted(Bug::AnothersIntentTaken)
        }) {
            evidence.absorb(intent.evidence(false));
        }
        // What is still being worked on is there, and is not yet an effect: such a list proves no absence.
        evidence.complete = !self.has_more && !matches!(evidence.signal, Signal::Unknown { .. });
        Answer {
            next_page,
            ..evidence.into()
        }
    }
}

/// The members of a PaymentIntent that matter here. Unknown members are ignored: Stripe adds some every month.
#[derive(Deserialize)]
pub(super) struct Intent {
    id: String,
    amount: u64,
    #[serde(default)]
    amount_received: u64,
    currency: String,
    status: String,
    #[serde(default)]
    pub(super) metadata: Metadata,
    latest_charge: Option<LatestCharge>,
    next_action: Option<NextAction>,
    last_payment_error: Option<LastPaymentError>,
    cancellation_reason: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Metadata {
    pub(super) attempt_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LatestCharge {
    Expanded {
        payment_method_details: Option<PaymentMethodDetails>,
    },
    Id(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct PaymentMethodDetails {
    card: Option<Card>,
}

#[derive(Deserialize)]
struct Card {
    capture_before: Option<u64>,
}

#[derive(Deserialize)]
struct NextAction {
    redirect_to_url: Option<Redirect>,
}

#[derive(Deserialize)]
struct Redirect {
    url: Option<String>,
}

#[derive(Deserialize)]
struct LastPaymentError {
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
}

impl Intent {
    /// The intent's state as evidence. `complete` when it was read just now: a webhook's snapshot may be old.
    pub(super) fn evidence(&self, complete: bool) -> Evidence {
        let effects = match self.status.as_str() {
            "requires_capture" => vec![self.effect(EffectKind::Authorize, self.amount)],
            "succeeded" => vec![
                self.effect(EffectKind::Authorize, self.amount),
                self.effect(EffectKind::Capture, self.amount_received),
            ],
            "canceled" if self.cancellation_reason.as_deref() == Some("automatic") => {
                vec![self.effect(EffectKind::Lapse, self.amount)]
            }
            "canceled" => vec![self.effect(EffectKind::Void, self.amount)],
            _ => Vec::new(),
        };
        let signal = match self.status.as_str() {
            "requires_capture" | "succeeded" | "canceled" => Signal::None,
            "requires_confirmation" => Signal::Prepared {
                reference: clip(self.id.clone()),
            },
            "requires_action" => Signal::ActionRequired {
                reference: clip(self.id.clone()),
                url: self.action_url(),
            },
            "requires_payment_method" => match &self.last_payment_error {
                Some(error) => Signal::Refused {
                    code: clip(
                        error
                            .decline_code
                            .clone()
                            .or(error.code.clone())
                            .unwrap_or_else(|| "declined".to_owned()),
                    ),
                    message: clip(error.message.clone().unwrap_or_default()),
                },
                None => Signal::Prepared {
                    reference: clip(self.id.clone()),
                },
            },
            other => Signal::Unknown {
                reason: clip(format!("the PaymentIntent is {other}")),
            },
        };
        let complete = complete && !matches!(signal, Signal::Unknown { .. });
        Evidence {
            effects,
            complete,
            capture_before_ms: self.capture_before_ms(),
            signal,
        }
    }

    fn effect(&self, kind: EffectKind, amount_minor: u64) -> Effect {
        let of = (kind != EffectKind::Authorize).then(|| clip(self.id.clone()));
        Effect {
            kind,
            id: clip(self.id.clone()),
            of,
            amount_minor,
            currency: Some(clip(self.currency.to_ascii_uppercase())),
            listed: true,
        }
    }

    fn action_url(&self) -> String {
        let url = self
            .next_action
            .as_ref()
            .and_then(|a| a.redirect_to_url.as_ref())
            .and_then(|r| r.url.clone());
        page(url)
    }

    fn capture_before_ms(&self) -> Option<u64> {
        match &self.latest_charge {
            Some(LatestCharge::Expanded {
                payment_method_details: Some(details),
            }) => details.card.as_ref()?.capture_before?.checked_mul(1000),
            Some(LatestCharge::Expanded { .. } | LatestCharge::Id(_)) | None => None,
        }
    }
}
