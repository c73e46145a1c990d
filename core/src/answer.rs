//! Answers: the attempt in the seed's own words, and what each key is told.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{ApiError, Code};
use crate::http::Response;
use crate::id::AttemptId;
use crate::journal::{CaptureMethod, RequestKind};
use crate::planted::{Bug, planted};
use crate::recovery::{Doubt, Outlook};
use crate::state::State;
use crate::status::Status;
use crate::time::{rfc3339_ms, rfc3339_s};
use crate::timeline::Line;

/// The attempt as an answer shows it. Member names and order are the seed's; what it leaves out comes beside.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptView {
    attempt_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    amount: u64,
    currency: String,
    status: Status,
    capture_method: CaptureMethod,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<AuthorizationView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<CaptureView>,
    charge_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline: Option<DeclineView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_action: Option<NextActionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<OperationView>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<Line>>,
}

#[derive(Clone, Debug, Serialize)]
struct AuthorizationView {
    authorization_id: String,
    psp: String,
    psp_reference: String,
    authorized_at: String,
}

#[derive(Clone, Debug, Serialize)]
struct CaptureView {
    capture_id: String,
    captured_at: String,
    amount: u64,
}

#[derive(Clone, Debug, Serialize)]
struct DeclineView {
    code: String,
    message: String,
}

#[derive(Clone, Debug, Serialize)]
struct NextActionView {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

/// What is under way, in words (DESIGN §2, “Statuses”).
#[derive(Clone, Debug, Serialize)]
pub struct OperationView {
    name: &'static str,
    state: Doubt,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_check_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl AttemptView {
    /// The attempt without what is under way: a function of the journal's prefix alone, so the same bytes for ever.
    #[must_use]
    pub fn settled(id: AttemptId, state: &State) -> Self {
        let psp = &state.psp;
        Self {
            attempt_id: id.to_string(),
            order_id: state.terms.order_id.clone(),
            amount: state.terms.amount_minor,
            currency: state.terms.currency.clone(),
            status: state.status,
            capture_method: state.terms.capture_method,
            created_at: rfc3339_s(state.created_at_ms),
            authorization: state.authorization.as_ref().map(|a| AuthorizationView {
                authorization_id: a.id.with_prefix("auth_"),
                psp: psp.to_string(),
                psp_reference: a.psp_reference.clone(),
                authorized_at: rfc3339_s(a.authorized_at_ms),
            }),
            capture: state.capture.as_ref().map(|c| CaptureView {
                capture_id: c.id.with_prefix("cap_"),
                captured_at: rfc3339_s(c.captured_at_ms),
                amount: c.amount_minor,
            }),
            charge_state: state.status.charge_state(),
            decline: state.decline.as_ref().map(|d| DeclineView {
                code: d.code.clone(),
                message: d.message.clone(),
            }),
            next_action: state
                .action
                .as_ref()
                .filter(|action| state.status == Status::RequiresAction && !action.url.is_empty())
                .map(|a| NextActionView {
                    kind: "redirect_to_url",
                    url: a.url.clone(),
                }),
            operation: None,
            metadata: state.terms.metadata.clone(),
            timeline: None,
        }
    }

    /// Adds what is under way.
    #[must_use]
    pub fn with_operation(mut self, state: &State, outlook: &Outlook) -> Self {
        self.operation = state.running.as_ref().map(|running| OperationView {
            name: running.operation.as_str(),
            state: outlook.doubt,
            since: rfc3339_ms(running.since_ms),
            next_check_at: outlook.wake_at_ms.map(rfc3339_ms),
            reason: running.parked.clone(),
        });
        self
    }

    /// Adds the timeline.
    #[must_use]
    pub fn with_timeline(mut self, lines: Vec<Line>) -> Self {
        self.timeline = Some(lines);
        self
    }
}

/// Room for the usual answer, in bytes, so that it is written without growing.
const BODY_BYTES_USUAL: usize = 768;

/// How an answer is to be dressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dress {
    /// The key to echo.
    pub key: Option<String>,
    /// Whether an earlier request already had this answer.
    pub replayed: bool,
    /// Whether errors go out as RFC 9457.
    pub problem_json: bool,
    /// The `Prefer: wait` that was honoured, in seconds.
    pub waited_s: Option<u64>,
}

/// The final answer of a request of this kind, given the state as of when it was settled.
#[must_use]
pub fn settled(id: AttemptId, request: RequestKind, state: &State, dress: &Dress) -> Response {
    let view = AttemptView::settled(id, state);
    match (request, state.status) {
        (RequestKind::Create, _) => {
            let mut response = json(if dress.replayed { 200 } else { 201 }, &view, dress);
            response.headers.push(("Location", format!("/attempts/{id}")));
            response
        }
        (RequestKind::Resolve, _)
        | (RequestKind::Authorize, Status::Authorized | Status::Capturing | Status::Captured)
        | (RequestKind::Charge | RequestKind::Capture, Status::Captured)
        | (RequestKind::Void, Status::Voided | Status::Expired) => json(200, &view, dress),
        (RequestKind::Authorize | RequestKind::Charge | RequestKind::Capture, Status::Declined) => {
            declined(state, view, dress)
        }
        (RequestKind::Authorize | RequestKind::Charge | RequestKind::Capture | RequestKind::Void, status) => {
            error(&invalid_state(request, status, view), dress)
        }
    }
}

/// 202: not final yet (DESIGN §2, “Time budget”).
#[must_use]
pub fn under_way(id: AttemptId, state: &State, outlook: &Outlook, dress: &Dress) -> Response {
    let view = AttemptView::settled(id, state).with_operation(state, outlook);
    let mut response = json(202, &view, dress);
    response.headers.push(("Location", format!("/attempts/{id}")));
    response.headers.push(("Retry-After", "1".to_owned()));
    response
}

/// 200 with an attempt.
#[must_use]
pub fn shown(view: &AttemptView, dress: &Dress) -> Response {
    json(200, view, dress)
}

/// A refusal.
#[must_use]
pub fn error(error: &ApiError, dress: &Dress) -> Response {
    let mut headers = vec![(
        "Content-Type",
        if dress.problem_json {
            "application/problem+json"
        } else {
            "application/json"
        }
        .to_owned(),
    )];
    if error.code == Code::Unauthorized {
        headers.push(("WWW-Authenticate", "Bearer".to_owned()));
    }
    if error.retryable == Some(true) || error.code == Code::StoreUnavailable {
        headers.push(("Retry-After", "1".to_owned()));
    }
    if error.code == Code::UnsupportedContentEncoding {
        // RFC 9110 §15.5.16: which codings would be read.
        headers.push(("Accept-Encoding", "identity".to_owned()));
    }
    if let Some(allow) = error.allow {
        headers.push(("Allow", allow.join(", ")));
    }
    dress_up(&mut headers, dress);
    Response {
        status: error.code.status(),
        headers,
        body: error.body(dress.problem_json),
    }
}

/// The refusal of something that the attempt's state does not allow.
#[must_use]
pub fn invalid_state(request: RequestKind, status: Status, view: AttemptView) -> ApiError {
    let (what, word) = (request.as_str(), serde_word(status));
    let (message, retryable) = match status {
        Status::Authorizing | Status::Capturing | Status::Voiding => (
            format!(
                "The attempt is {word}: another operation is under way. GET the attempt until that has ended; nothing was done for this {what}."
            ),
            true,
        ),
        Status::RequiresAction if view.next_action.is_none() => (
            format!(
                "The attempt is {word}, and the PSP has named no page to send the customer to: void the attempt, and give a new one a return_url. Nothing was done for this {what}."
            ),
            true,
        ),
        Status::RequiresAction => (
            format!(
                "The attempt is {word}: send the customer to next_action.url, or void the attempt. Nothing was done for this {what}."
            ),
            true,
        ),
        Status::Created => (
            format!("The attempt is {word}: authorize it first. Nothing was done for this {what}."),
            false,
        ),
        Status::Authorized => (
            format!("The attempt is {word} already: capture or void it. Nothing was done for this {what}."),
            false,
        ),
        Status::Captured | Status::Voided | Status::Declined | Status::Expired => (
            format!(
                "The attempt is {word}, which is final. Nothing was done for this {what}; a new payment is a new attempt."
            ),
            false,
        ),
    };
    let mut error = ApiError::new(Code::InvalidState, message).with_attempt(view);
    error.retryable = Some(retryable);
    error.safe_new_key = matches!(status, Status::Voided | Status::Declined | Status::Expired)
        || (retryable && planted(Bug::SafeNewKeyInDoubt));
    error
}

fn declined(state: &State, view: AttemptView, dress: &Dress) -> Response {
    let (code, words) = state
        .decline
        .as_ref()
        .map_or(("declined", ""), |d| (d.code.as_str(), d.message.as_str()));
    let said = match words.trim_end_matches(['.', ' ']) {
        "" => String::new(),
        words => format!(" The PSP says: {words}."),
    };
    let message =
        format!("The payment was declined ({code}).{said} A new try is a new attempt under a new key.");
    let mut refusal = ApiError::new(Code::Declined, message).with_attempt(view);
    refusal.decline_code = Some(code.to_owned());
    refusal.safe_new_key = true;
    error(&refusal, dress)
}

fn serde_word(status: Status) -> String {
    serde_json::to_value(status)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn json(status: u16, view: &AttemptView, dress: &Dress) -> Response {
    let mut headers = vec![("Content-Type", "application/json".to_owned())];
    dress_up(&mut headers, dress);
    Response {
        status,
        headers,
        body: write(view),
    }
}

fn write(view: &AttemptView) -> Vec<u8> {
    let mut body = Vec::with_capacity(BODY_BYTES_USUAL);
    // Serialising plain structs of strings and numbers into memory has no way to fail.
    let written = serde_json::to_writer(&mut body, view);
    debug_assert!(written.is_ok());
    body
}

fn dress_up(headers: &mut Vec<(&'static str, String)>, dress: &Dress) {
    if let Some(key) = &dress.key {
        headers.push(("Idempotency-Key", echo(key)));
    }
    if dress.replayed {
        headers.push(("Idempotency-Replayed", "true".to_owned()));
    }
    if let Some(seconds) = dress.waited_s {
        headers.push(("Preference-Applied", format!("wait={seconds}")));
    }
}

/// A key as it can stand bare, else as an RFC 8941 String.
fn echo(key: &str) -> String {
    if key.contains(['"', ',', ';', '\\']) {
        format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        key.to_owned()
    }
}
