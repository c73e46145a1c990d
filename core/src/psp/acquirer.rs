//! The `acquirer` driver: a plain JSON card-network face (DESIGN §5). One slow call, not idempotent by itself;
//! `Idempotency-Key` is always sent and honoured only by a `keyed` PSP.

use serde::Deserialize;
use serde_json::json;

use super::{Answer, HttpCall, Order, Purpose};
use crate::config::Psp;
use crate::evidence::{Effect, EffectKind, Evidence, Signal, clip, page};
use crate::id::AttemptId;
use crate::journal::{Operation, Terms};
use crate::planted::{Bug, planted};

pub(super) fn write(psp: &Psp, order: &Order<'_>) -> HttpCall {
    let reference = order.id.to_string();
    let (path, body) = match order.operation {
        Operation::Authorize => {
            let mut body = json!({
                "reference": reference,
                "amount": order.amount_minor,
                "currency": order.terms.currency,
                "payment_method": order.terms.payment_method,
            });
            if let (Some(url), Some(members)) = (order.return_url, body.as_object_mut()) {
                members.insert("return_url".to_owned(), url.into());
            }
            ("/authorize", body)
        }
        // The face has one call to undo either: a void of a capture is its reversal.
        Operation::Capture | Operation::Void | Operation::Refund => (
            if order.operation == Operation::Capture {
                "/capture"
            } else {
                "/void"
            },
            json!({
                "reference": reference,
                "amount": order.amount_minor,
                "currency": order.terms.currency,
                "psp_reference": order.target,
            }),
        ),
    };
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("idempotency-key", order.psp_key.to_owned()),
    ];
    if order.operation == Operation::Capture && planted(Bug::CaptureWithoutKey) {
        headers.truncate(1);
    }
    HttpCall {
        method: "POST",
        url: format!("{}{path}", psp.base_url),
        headers,
        bearer: psp.api_key.clone(),
        body: body.to_string().into_bytes(),
    }
}

pub(super) fn write_lookup(psp: &Psp, id: AttemptId) -> HttpCall {
    HttpCall {
        method: "GET",
        url: format!("{}/lookup?reference={id}", psp.base_url),
        headers: Vec::new(),
        bearer: psp.api_key.clone(),
        body: Vec::new(),
    }
}

pub(super) fn read(terms: &Terms, purpose: &Purpose, status: u16, body: &[u8]) -> Answer {
    match purpose {
        Purpose::Dispatched {
            operation,
            target,
            amount_minor,
            ..
        } => {
            let evidence = answer(terms, *operation, target.as_deref(), *amount_minor, status, body);
            Answer {
                // A refusal in the ledger's words is a 200.
                is_of_this_sending: status >= 400 && matches!(evidence.signal, Signal::Refused { .. }),
                ..evidence.into()
            }
        }
        Purpose::Read { .. } | Purpose::Lookup { .. } => listing(status, body).into(),
    }
}

fn answer(
    terms: &Terms,
    operation: Operation,
    target: Option<&str>,
    asked_minor: u64,
    status: u16,
    body: &[u8],
) -> Evidence {
    if status >= 400 {
        return match serde_json::from_slice::<Failure>(body) {
            Ok(Failure { error }) => refused(error.code, error.message),
            Err(_) => Evidence::unknown(format!("HTTP {status} that the acquirer did not write")),
        };
    }
    let Ok(answer) = serde_json::from_slice::<Outcome>(body) else {
        if planted(Bug::GarbageIsDecline) {
            return refused(None, None);
        }
        return Evidence::unknown("the answer is not an acquirer's");
    };
    answer.evidence(terms, operation, target, asked_minor)
}

/// An answer, or a webhook's body: the same members.
#[derive(Deserialize)]
pub(super) struct Outcome {
    status: String,
    psp_reference: Option<String>,
    amount: Option<u64>,
    currency: Option<String>,
    code: Option<String>,
    message: Option<String>,
    action_url: Option<String>,
}

impl Outcome {
    pub(super) fn evidence(
        self,
        terms: &Terms,
        operation: Operation,
        target: Option<&str>,
        asked_minor: u64,
    ) -> Evidence {
        match (self.status.as_str(), self.psp_reference) {
            ("approved", Some(id)) => Evidence {
                effects: vec![Effect {
                    kind: kind(operation),
                    id: clip(id),
                    of: target
                        .filter(|_| operation != Operation::Authorize)
                        .map(str::to_owned),
                    amount_minor: self.amount.unwrap_or(asked_minor),
                    currency: Some(clip(self.currency.unwrap_or_else(|| terms.currency.clone()))),
                    listed: false,
                }],
                ..Evidence::default()
            },
            ("declined", _) => match (gone(self.code.as_deref()), target) {
                // It says why: what was aimed at is gone already. That is news of the ledger, not a decline.
                (Some(kind), Some(target)) if operation != Operation::Authorize => Evidence {
                    effects: vec![Effect {
                        kind,
                        id: clip(format!("{target}/{}", self.code.unwrap_or_default())),
                        of: Some(target.to_owned()),
                        amount_minor: asked_minor,
                        currency: None,
                        listed: false,
                    }],
                    ..Evidence::default()
                },
                // The authorization was captured before, perhaps by this very request, delivered twice.
                _ if operation == Operation::Capture && self.code.as_deref() == Some("already_captured") => {
                    Evidence::unknown("already captured")
                }
                _ => refused(self.code, self.message),
            },
            ("requires_action", Some(reference)) if operation == Operation::Authorize => {
                let url = page(self.action_url);
                Evidence::signal(Signal::ActionRequired {
                    reference: clip(reference),
                    url,
                })
            }
            _ => Evidence::unknown("the acquirer's answer has no status that is known here"),
        }
    }
}

/// Refusals by which an acquirer says that the authorization is no more.
fn gone(code: Option<&str>) -> Option<EffectKind> {
    match code {
        Some("authorization_expired") => Some(EffectKind::Lapse),
        Some("already_voided") => Some(EffectKind::Void),
        Some(_) | None => None,
    }
}

fn refused(code: Option<String>, message: Option<String>) -> Evidence {
    let code = clip(code.unwrap_or_else(|| "declined".to_owned()));
    Evidence::signal(Signal::Refused {
        code,
        message: clip(message.unwrap_or_default()),
    })
}

fn listing(status: u16, body: &[u8]) -> Evidence {
    if status >= 400 {
        return Evidence::unknown(format!("HTTP {status}: this acquirer answers no look-ups"));
    }
    let Ok(listing) = serde_json::from_slice::<Listing>(body) else {
        return Evidence::unknown("the answer is not a listing");
    };
    let all = [
        (EffectKind::Authorize, listing.authorize),
        (EffectKind::Capture, listing.capture),
        (EffectKind::Void, listing.void),
        (EffectKind::Lapse, listing.lapsed),
    ];
    let effects = all.into_iter().flat_map(|(kind, items)| {
        items.into_iter().map(move |item| Effect {
            kind,
            id: clip(item.id),
            of: item
                .psp_reference
                .map(clip)
                .filter(|_| kind != EffectKind::Authorize),
            amount_minor: item.amount,
            currency: None,
            listed: true,
        })
    });
    let signal = match listing.requires_action.into_iter().next() {
        Some(_) if planted(Bug::UnfinishedActionIsAbsence) => Signal::None,
        Some(waiting) => Signal::ActionRequired {
            reference: clip(waiting.id),
            url: page(Some(waiting.action_url)),
        },
        None => Signal::None,
    };
    Evidence {
        effects: effects.collect(),
        complete: true,
        capture_before_ms: None,
        signal,
    }
}

fn kind(operation: Operation) -> EffectKind {
    match operation {
        Operation::Authorize => EffectKind::Authorize,
        Operation::Capture => EffectKind::Capture,
        Operation::Void => EffectKind::Void,
        Operation::Refund => EffectKind::Refund,
    }
}

#[derive(Deserialize)]
struct Failure {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
}

/// All three lists must be there: an answer without them is not a listing, and must not read as “nothing there”.
#[derive(Deserialize)]
struct Listing {
    authorize: Vec<Item>,
    capture: Vec<Item>,
    void: Vec<Item>,
    /// Authorizations that time released, where the acquirer lists them.
    #[serde(default)]
    lapsed: Vec<Item>,
    /// 3-D Secure that the customer has not finished, where the acquirer lists it: no effect yet, and not nothing.
    #[serde(default)]
    requires_action: Vec<Waiting>,
}

#[derive(Deserialize)]
struct Waiting {
    id: String,
    #[serde(default)]
    action_url: String,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    amount: u64,
    psp_reference: Option<String>,
}
