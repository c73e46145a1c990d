//! The `acquirer` driver: a plain JSON card-network face. One slow call, not idempotent by itself; `Idempotency-Key` is always
//! sent and honoured only by a `keyed` PSP. It counts amounts as ISO 4217 does.
//!
//! | what a 4xx, or a 200 that is no approval, says | verdict |
//! | --- | --- |
//! | a body that the acquirer did not write | unknown; with 401 or 403: rejected, nothing proven |
//! | 200 `declined`, 402 | decline, or evidence where the code says what became of the authorization |
//! | 200 `declined` with `already_captured` | unknown: it may be this very request, delivered twice |
//! | `idempotency_key_reuse` | unknown, and the key is of no use |
//! | 401, 403 | rejected |
//! | 400 or 422 with `field` of the client's terms (`amount`, `currency`, `payment_method`, `return_url`) | form; of a capture only with a code that follows from the form alone |
//! | any other 4xx | rejected; nothing is proven by it, unless an authorization is answered `bad_request` or `invalid_request` |
//!
//! 408, 409, 424, 425, 429 and 5xx are unknown before it comes to this table (`psp::read`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::call::{HttpCall, Purpose};
use super::driver::{Answer, DriverCapabilities, PspRequest, Reading, key_useless};
use super::report::Rejection;
use crate::base::config::Psp;
use crate::base::id::AttemptId;
use crate::base::time::UnixMillis;
use crate::journal::entry::Operation;
use crate::journal::evidence::{Effect, EffectKind, Evidence, Sighting, Signal, clip, page};

pub(super) const CAPABILITIES: DriverCapabilities = DriverCapabilities {
    has_pages: false,
    lists_refunds: false,
    tells_lapse_by_id: false,
    captures_with_authorize: false,
};

pub(super) fn write(psp: &Psp, request: &PspRequest<'_>) -> HttpCall {
    let reference = request.id.to_string();
    let (path, body) = match request.operation {
        Operation::Authorize => {
            let mut body = json!({
                "reference": reference,
                "amount": request.money.amount_minor,
                "currency": request.money.currency,
                "payment_method": request.terms.payment_method,
            });
            if let (Some(url), Some(members)) = (request.return_url, body.as_object_mut()) {
                members.insert("return_url".to_owned(), url.into());
            }
            ("/authorize", body)
        }
        // The acquirer has one call that undoes an authorization or a capture. A void of a capture is its reversal.
        Operation::Capture | Operation::Void | Operation::Refund => (
            if request.operation == Operation::Capture {
                "/capture"
            } else {
                "/void"
            },
            json!({
                "reference": reference,
                "amount": request.money.amount_minor,
                "currency": request.money.currency,
                "psp_reference": request.target,
            }),
        ),
    };
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("idempotency-key", request.psp_key.to_owned()),
    ];
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

pub(super) fn read(_: Reading<'_>, purpose: &Purpose, status: u16, body: &[u8]) -> Answer {
    if status >= 400 {
        return refusal(purpose, status, body);
    }
    match purpose {
        Purpose::Dispatched {
            operation,
            target,
            amount_minor,
            ..
        } => match serde_json::from_slice::<Outcome>(body) {
            Ok(outcome) => outcome
                .evidence(*operation, target.as_deref(), *amount_minor)
                .into(),
            Err(_) => Answer::unknown("the answer is not an acquirer's"),
        },
        Purpose::Read { .. } | Purpose::Lookup(_) | Purpose::Event => {
            match serde_json::from_slice::<Listing>(body) {
                Ok(listing) => Answer {
                    sightings: listing.sightings(),
                    ..Answer::default()
                },
                Err(_) => Answer::unknown("the answer is not a listing"),
            }
        }
    }
}

/// Reads a 4xx: see the table above.
fn refusal(purpose: &Purpose, status: u16, body: &[u8]) -> Answer {
    let rejection = |code: String| Rejection {
        status,
        code: clip(code),
        param: None,
        permission: None,
    };
    let Ok(Failure { error }) = serde_json::from_slice::<Failure>(body) else {
        if matches!(status, 401 | 403) {
            return Answer::rejected(rejection("unreadable".to_owned()), false);
        }
        return Answer::unknown(format!("HTTP {status} that the acquirer did not write"));
    };
    let code = error.code.unwrap_or_else(|| "error".to_owned());
    let Purpose::Dispatched { operation, .. } = purpose else {
        if matches!(status, 401 | 403) {
            return Answer::rejected(rejection(code), false);
        }
        return Answer::unknown(format!("HTTP {status}: this acquirer answers no look-ups"));
    };
    let field = member_of_terms(*operation, error.field.as_deref().unwrap_or_default());
    match (status, field) {
        (_, _) if code == "idempotency_key_reuse" => key_useless(format!("HTTP {status} {code}")),
        (402, _) => refused(Some(code), error.message).into(),
        (400 | 422, Some(field)) if is_of_form_alone(*operation, &code) => {
            Evidence::signal(Signal::FormRefused {
                code: clip(code),
                message: clip(error.message.unwrap_or_default()),
                field: field.to_owned(),
            })
            .into()
        }
        _ => {
            let says_so = *operation == Operation::Authorize
                && matches!(code.as_str(), "bad_request" | "invalid_request");
            Answer::rejected(rejection(code), matches!(status, 401 | 403) || says_so)
        }
    }
}

/// Whether the refusal follows from the form alone, whatever happened before. Any other code may be the second answer to a request
/// that was delivered twice: “more than is left” after a capture, “duplicate reference” after an authorization.
fn is_of_form_alone(operation: Operation, code: &str) -> bool {
    operation == Operation::Authorize || matches!(code, "amount_too_small" | "invalid_amount")
}

/// The member of the client's request that a field of ours is about.
fn member_of_terms(operation: Operation, field: &str) -> Option<&'static str> {
    match (operation, field) {
        (Operation::Authorize | Operation::Capture, "amount") => Some("amount"),
        (Operation::Authorize, "currency") => Some("currency"),
        (Operation::Authorize, "payment_method") => Some("payment_method"),
        (Operation::Authorize, "return_url") => Some("return_url"),
        (Operation::Authorize | Operation::Capture | Operation::Void | Operation::Refund, _) => None,
    }
}

/// An answer, or a webhook's body: the same members.
#[derive(Deserialize)]
pub(super) struct Outcome {
    status: String,
    /// When it came about, in seconds since the Unix epoch, where the acquirer says so.
    created: Option<u64>,
    psp_reference: Option<String>,
    amount: Option<u64>,
    currency: Option<String>,
    code: Option<String>,
    message: Option<String>,
    action_url: Option<String>,
}

impl Outcome {
    pub(super) fn created_ms(&self) -> Option<UnixMillis> {
        self.created.and_then(UnixMillis::from_seconds)
    }

    pub(super) fn evidence(self, operation: Operation, target: Option<&str>, asked_minor: u64) -> Evidence {
        match (self.status.as_str(), self.psp_reference) {
            ("approved", Some(id)) => Evidence {
                effects: vec![Effect {
                    kind: kind(operation),
                    id: clip(id),
                    of: target
                        .filter(|_| operation != Operation::Authorize)
                        .map(str::to_owned),
                    amount_minor: self.amount.unwrap_or(asked_minor),
                    currency: self.currency.map(clip),
                    listed: false,
                }],
                ..Evidence::default()
            },
            ("declined", _) => match (gone(self.code.as_deref()), target) {
                // The code says that the target no longer exists. That describes the ledger and is not a decline.
                (Some(kind), Some(target)) if operation != Operation::Authorize => Evidence {
                    effects: vec![Effect {
                        kind,
                        id: clip(format!("{target}/{}", self.code.unwrap_or_default())),
                        of: Some(target.to_owned()),
                        amount_minor: self.amount.unwrap_or(asked_minor),
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

/// Codes that say that the authorization no longer exists.
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
    field: Option<String>,
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
    /// Captures that were taken back, where the acquirer lists them.
    #[serde(default)]
    reversal: Vec<Item>,
    /// Unfinished 3-D Secure, if the acquirer lists it. It is no effect yet, and it is no proof of absence.
    #[serde(default)]
    requires_action: Vec<Waiting>,
}

impl Listing {
    /// Every item under the object that it belongs to: what builds on an authorization belongs to that one, and the undoing of a
    /// capture to the authorization that was captured.
    fn sightings(self) -> Vec<Sighting> {
        let captured: BTreeMap<String, String> = self
            .capture
            .iter()
            .filter_map(|item| Some((clip(item.id.clone()), clip(item.psp_reference.clone()?))))
            .collect();
        let all = [
            (EffectKind::Authorize, self.authorize),
            (EffectKind::Capture, self.capture),
            (EffectKind::Void, self.void),
            (EffectKind::Lapse, self.lapsed),
            (EffectKind::Reversal, self.reversal),
        ];
        let effects = all.into_iter().flat_map(|(kind, items)| {
            let captured = &captured;
            items.into_iter().map(move |item| {
                let mut sighting = item.sighting(kind);
                if let Some(root) = captured.get(&sighting.object) {
                    sighting.object.clone_from(root);
                }
                sighting
            })
        });
        let effects: Vec<Sighting> = effects.collect();
        let waiting = self.requires_action.into_iter();
        effects
            .into_iter()
            .chain(waiting.map(Waiting::sighting))
            .collect()
    }
}

impl Item {
    fn sighting(self, kind: EffectKind) -> Sighting {
        let of = self
            .psp_reference
            .map(clip)
            .filter(|_| kind != EffectKind::Authorize);
        let id = clip(self.id);
        Sighting {
            object: of.clone().unwrap_or_else(|| id.clone()),
            created_ms: self.created.and_then(UnixMillis::from_seconds),
            amount: None,
            evidence: Evidence {
                effects: vec![Effect {
                    kind,
                    id,
                    of,
                    amount_minor: self.amount,
                    currency: self.currency.map(clip),
                    listed: true,
                }],
                ..Evidence::default()
            },
        }
    }
}

impl Waiting {
    fn sighting(self) -> Sighting {
        let reference = clip(self.id);
        Sighting {
            object: reference.clone(),
            created_ms: self.created.and_then(UnixMillis::from_seconds),
            amount: None,
            evidence: Evidence::signal(Signal::ActionRequired {
                reference,
                url: page(Some(self.action_url)),
            }),
        }
    }
}

#[derive(Deserialize)]
struct Waiting {
    id: String,
    created: Option<u64>,
    #[serde(default)]
    action_url: String,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    amount: u64,
    currency: Option<String>,
    created: Option<u64>,
    psp_reference: Option<String>,
}
