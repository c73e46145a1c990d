//! Answers: the attempt in the words of the contract, and what each key is told.

use serde::Serialize;

use super::view::AttemptView;
use crate::base::http::Response;
use crate::base::id::AttemptId;
use crate::contract::error::{ApiError, Code};
use crate::journal::entry::RequestKind;
use crate::journal::state::{BoundKey, FormRefused, State};
use crate::journal::status::Status;
use crate::recovery::Outlook;

/// Room for the usual answer, in bytes, so that it is written without growing.
const BODY_BYTES_USUAL: usize = 768;
/// What the headers and the form of an answer depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyContext {
    /// The key to echo.
    pub key: Option<String>,
    /// Whether an earlier request already had this answer.
    pub replayed: bool,
    /// Whether errors go out as RFC 9457.
    pub problem_json: bool,
    /// The `Prefer: wait` that was honoured, in seconds.
    pub waited_s: Option<u64>,
}

/// The final answer of a key, given the state as of when it was finalized.
#[must_use]
pub fn finalized(id: AttemptId, bound: &BoundKey, state: &State, context: &ReplyContext) -> Response {
    let view = AttemptView::finalized(id, state);
    let request = bound.request;
    if let Some(refused) = &bound.form_refused {
        return error(&form_refused(refused, view), context);
    }
    if bound.is_withdrawn && bound.is_superseded {
        // What was asked under this key was never done; the attempt went on with another key.
        return error(&invalid_state(request, state.status, view), context);
    }
    match (request, state.status) {
        (RequestKind::Create, _) => {
            let mut response = json(if context.replayed { 200 } else { 201 }, &view, context);
            response.headers.push(("Location", format!("/attempts/{id}")));
            response
        }
        (RequestKind::Resolve, _)
        | (RequestKind::Authorize, Status::Authorized | Status::Capturing | Status::Captured)
        | (RequestKind::Charge | RequestKind::Capture, Status::Captured)
        | (RequestKind::Void, Status::Voided | Status::Expired) => json(200, &view, context),
        (RequestKind::Authorize | RequestKind::Charge | RequestKind::Capture, Status::Declined) => {
            declined(state, view, context)
        }
        (RequestKind::Authorize | RequestKind::Charge | RequestKind::Capture | RequestKind::Void, status) => {
            error(&invalid_state(request, status, view), context)
        }
    }
}

/// 202: not final yet (`docs/http.md`, “Time budget”).
#[must_use]
pub fn under_way(id: AttemptId, state: &State, outlook: &Outlook, context: &ReplyContext) -> Response {
    let view = AttemptView::finalized(id, state).with_operation(state, outlook);
    let mut response = json(202, &view, context);
    response.headers.push(("Location", format!("/attempts/{id}")));
    response.headers.push(("Retry-After", "1".to_owned()));
    response
}

/// 200 with an attempt.
#[must_use]
pub fn shown(view: &AttemptView, context: &ReplyContext) -> Response {
    json(200, view, context)
}

/// A refusal.
#[must_use]
pub fn error(error: &ApiError, context: &ReplyContext) -> Response {
    let mut headers = vec![(
        "Content-Type",
        if context.problem_json {
            "application/problem+json"
        } else {
            "application/json"
        }
        .to_owned(),
    )];
    if error.code == Code::Unauthorized {
        headers.push(("WWW-Authenticate", "Bearer".to_owned()));
    }
    if let Some(seconds) = error.retry_after_s.or(error.is_retryable().then_some(1)) {
        headers.push(("Retry-After", seconds.to_string()));
    }
    if error.code == Code::UnsupportedContentEncoding {
        // RFC 9110 §15.5.16: which codings would be read.
        headers.push(("Accept-Encoding", "identity".to_owned()));
    }
    if let Some(allow) = error.allow {
        headers.push(("Allow", allow.join(", ")));
    }
    add_headers(&mut headers, context);
    Response {
        status: error.code.status(),
        headers,
        body: error.body(context.problem_json),
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
    error.safe_new_key = matches!(status, Status::Voided | Status::Declined | Status::Expired);
    error
}

/// The refusal of what the restored record does not allow, although it may have been done before: the record may lack entries.
#[must_use]
pub fn after_restore(request: RequestKind, status: Status, view: AttemptView) -> ApiError {
    let (what, word) = (request.as_str(), serde_word(status));
    let message = format!(
        "The store was restored from a backup. It has the attempt as {word}, and this {what} may have been done before. Send the attempt's earlier requests again under their keys, and then this one."
    );
    let mut error = ApiError::new(Code::InvalidState, message).with_attempt(view);
    error.retryable = Some(true);
    error
}

/// The refusal of a command on an attempt that a restore may have lost.
#[must_use]
pub fn lost() -> ApiError {
    let message = "There is no such attempt. The store was restored from a backup, which may lack it: send its create again under its key, then its other requests under theirs. If you never created it, check the attempt_id.";
    let mut error = ApiError::new(Code::AttemptNotFound, message);
    error.retryable = Some(true);
    error
}

/// The refusal of what needs a PSP that the configuration lacks.
#[must_use]
pub fn psp_not_configured(name: &str) -> ApiError {
    ApiError::new(
        Code::NotConfigured,
        format!("The PSP \"{name}\" of this attempt is not configured here."),
    )
}

/// The answer of a key whose form the PSP refused: the attempt can go on with another amount, under another key.
fn form_refused(refused: &FormRefused, view: AttemptView) -> ApiError {
    let said = match refused.message.trim_end_matches(['.', ' ']) {
        "" => String::new(),
        words => format!(" The PSP says: {words}."),
    };
    let message = format!(
        "The PSP refuses this {} ({}).{said} Nothing was captured; ask again with another amount, under another key.",
        refused.field, refused.code
    );
    ApiError::new(Code::InvalidAmount, message)
        .field(refused.field.clone())
        .with_attempt(view)
}

/// 502: the PSP rejected our request, not the payment. Its message is not passed on.
#[must_use]
pub fn psp_rejected(view: AttemptView, retry_after_s: u64, context: &ReplyContext) -> Response {
    let message = "The payment service provider rejected this server's request, not the payment: nothing was done. Retry with the same Idempotency-Key, not before Retry-After.";
    let mut refusal = ApiError::new(Code::PspRejectedRequest, message).with_attempt(view);
    refusal.retry_after_s = Some(retry_after_s);
    error(&refusal, context)
}

fn declined(state: &State, view: AttemptView, context: &ReplyContext) -> Response {
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
    error(&refusal, context)
}

fn serde_word(status: Status) -> String {
    serde_json::to_value(status)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// 200 with anything that is plain.
#[must_use]
pub fn ok(body: &impl Serialize, context: &ReplyContext) -> Response {
    json(200, body, context)
}

fn json(status: u16, view: &impl Serialize, context: &ReplyContext) -> Response {
    let mut headers = vec![("Content-Type", "application/json".to_owned())];
    add_headers(&mut headers, context);
    Response {
        status,
        headers,
        body: write(view),
    }
}

fn write(view: &impl Serialize) -> Vec<u8> {
    let mut body = Vec::with_capacity(BODY_BYTES_USUAL);
    // Serialising plain structs of strings and numbers into memory has no way to fail.
    let written = serde_json::to_writer(&mut body, view);
    debug_assert!(written.is_ok());
    body
}

fn add_headers(headers: &mut Vec<(&'static str, String)>, context: &ReplyContext) {
    if let Some(key) = &context.key {
        headers.push(("Idempotency-Key", echo(key)));
    }
    if context.replayed {
        headers.push(("Idempotency-Replayed", "true".to_owned()));
    }
    if let Some(seconds) = context.waited_s {
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

/// The answer to every webhook that was applied, or that concerns no attempt of ours.
#[must_use]
pub(crate) fn received() -> Response {
    Response {
        status: 200,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: br#"{"received":true}"#.to_vec(),
    }
}
