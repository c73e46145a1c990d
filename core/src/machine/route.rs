//! Makes a pending request of an HTTP request: paths, methods, merchants, keys, bodies (`docs/http.md`). Routing needs
//! no record and changes none.

use std::sync::Arc;

use super::event;
use super::pending::{Asked, Caller, Look, PendingRequest};
use super::routed::Routed;
use super::search::PendingSearch;
use super::step::Input;
use crate::base::config::{Config, Named, Role};
use crate::base::http::{Request, Response};
use crate::base::id::AttemptId;
use crate::base::limits::{BODY_BYTES_MAX, PREFER_WAIT_S_MAX, PSP_ANSWER_BYTES_MAX};
use crate::base::time::{Millis, UnixMillis};
use crate::contract::answer;
use crate::contract::answer::ReplyContext;
use crate::contract::command::command;
use crate::contract::error::{ApiError, Code};
use crate::contract::json::Body;
use crate::contract::key::idempotency_key;
use crate::contract::search::Search;
use crate::journal::entry::RequestKind;

/// Reads a request. The result is an answer, or the attempt that it concerns, or a read that finds the attempt.
#[must_use]
pub fn route(config: &Config, request: &Request<'_>, now_ms: UnixMillis) -> Routed {
    let mut context = ReplyContext {
        problem_json: wants_problem_json(request),
        ..ReplyContext::default()
    };
    match read(config, request, now_ms, &mut context) {
        Ok(routed) => routed,
        Err(refusal) => Routed::Reply(answer::error(&refusal, &context)),
    }
}

/// The largest body that this path takes, in bytes. An adapter need not read more than one byte beyond that. [`route`]
/// refuses a larger body.
#[must_use]
pub fn body_bytes_max(target: &str) -> usize {
    match path(target.split('?').next().unwrap_or_default()) {
        Ok(Path::Webhook(_)) => PSP_ANSWER_BYTES_MAX,
        _ => BODY_BYTES_MAX,
    }
}

/// The answer when a request's body did not arrive whole.
#[must_use]
pub fn body_did_not_arrive() -> Response {
    let message = "The body did not arrive whole, so nothing was done. Send the request again, with the same Idempotency-Key.";
    unread(Code::InvalidJson, message)
}

/// The answer if an adapter has to end a request without knowing whether it took effect.
#[must_use]
pub fn not_answered() -> Response {
    let message = "It is not known whether this request took effect. Retry it with the same Idempotency-Key.";
    unread(Code::StoreUnavailable, message)
}

/// The answer of a deployment whose configuration cannot be used. `message` says where its operator finds out why.
#[must_use]
pub fn not_configured(message: &'static str) -> Response {
    unread(Code::NotConfigured, message)
}

/// The answer to a request of which nothing was read.
fn unread(code: Code, message: &'static str) -> Response {
    answer::error(&ApiError::new(code, message), &ReplyContext::default())
}

/// The paths of the contract.
pub(super) enum Path<'a> {
    Create,
    Search,
    Charge,
    Attempt(&'a str),
    Look(&'a str),
    Operation(&'a str, RequestKind),
    Webhook(&'a str),
}

fn read(
    config: &Config,
    request: &Request<'_>,
    now_ms: UnixMillis,
    context: &mut ReplyContext,
) -> Result<Routed, ApiError> {
    let path = path_of(request)?;
    if let Path::Webhook(psp) = path {
        // This comes before the check of the signature. Bytes that were compressed after they were signed do not match
        // the signature. Bytes that were compressed before match it, and cannot be read. Neither refusal would name the
        // cause. Only a header is read, so that a sender without a secret learns nothing.
        refuse_encoded(request)?;
        return event::route(config, psp, request, context.clone(), now_ms);
    }
    let named = named(config, request)?;
    may(config, named, &path)?;
    // This comes before the check of the size, because the limit is for the body without a content coding.
    refuse_encoded(request)?;
    if request.body.len() > BODY_BYTES_MAX {
        return Err(ApiError::new(
            Code::BodyTooLarge,
            format!("The body is larger than {BODY_BYTES_MAX} bytes."),
        ));
    }
    let (parameter, kind) = match path {
        Path::Create => ("", RequestKind::Create),
        Path::Charge => ("", RequestKind::Charge),
        Path::Operation(id, kind) => (id, kind),
        Path::Attempt(id) => return ask(id, Asked::Read, caller(named), now_ms, context),
        Path::Look(id) => {
            Body::read(request.body)?.finish()?;
            return ask(id, Asked::Look(Look::Wanted), caller(named), now_ms, context);
        }
        Path::Search => return search(request, named, now_ms, context),
        Path::Webhook(_) => return Err(not_found(request.path())),
    };
    let key = idempotency_key(request)?;
    context.key = Some(key.clone());
    let id = match (kind, named) {
        (RequestKind::Create | RequestKind::Charge, Named::Merchant(merchant)) => {
            AttemptId::derive(&config.installation, merchant, &key)
        }
        _ => AttemptId::parse(parameter).ok_or_else(attempt_not_found)?,
    };
    let body = Body::read(request.body)?;
    let fingerprint = body.fingerprint(kind.as_str(), parameter);
    let command = command(config, named, kind, body)?;
    context.waited_s = prefer_wait_s(request);
    let wait_ms = context
        .waited_s
        .map_or(config.time_budget_ms, Millis::from_seconds);
    let pending = PendingRequest {
        caller: caller(named),
        asked: Arc::new(Asked::Command {
            key,
            fingerprint,
            command,
        }),
        answer_by_ms: now_ms + wait_ms,
        has_waited: false,
        expects_read: false,
        context: context.clone(),
        asked_at: None,
    };
    Ok(Routed::Attempt {
        id,
        input: Input::Request(Box::new(pending)),
    })
}

fn search(
    request: &Request<'_>,
    named: Named<'_>,
    now_ms: UnixMillis,
    context: &ReplyContext,
) -> Result<Routed, ApiError> {
    let merchant = match named {
        Named::Merchant(name) => Some(name.into()),
        Named::Operator(_) => None,
    };
    Ok(Routed::Search(Box::new(PendingSearch {
        search: Search::read(request.query(), merchant, now_ms)?,
        context: context.clone(),
    })))
}

/// A question about an attempt. It has no key, since it asks for nothing to be done.
fn ask(
    id: &str,
    asked: Asked,
    caller: Caller,
    now_ms: UnixMillis,
    context: &ReplyContext,
) -> Result<Routed, ApiError> {
    let id = AttemptId::parse(id).ok_or_else(attempt_not_found)?;
    let pending = PendingRequest {
        caller,
        asked: Arc::new(asked),
        answer_by_ms: now_ms,
        has_waited: false,
        expects_read: false,
        context: context.clone(),
        asked_at: None,
    };
    Ok(Routed::Attempt {
        id,
        input: Input::Request(Box::new(pending)),
    })
}

/// The path of a request, if the path has the request's method.
pub(super) fn path_of<'a>(request: &Request<'a>) -> Result<Path<'a>, ApiError> {
    let path = path(request.path())?;
    // HEAD is handled as GET. An adapter's HTTP library leaves out the answer's body (RFC 9110 §9.3.2).
    let allowed: &[&str] = match path {
        Path::Attempt(_) => &["GET", "HEAD"],
        Path::Create | Path::Search => &["POST", "GET", "HEAD"],
        Path::Charge | Path::Look(_) | Path::Operation(..) | Path::Webhook(_) => &["POST"],
    };
    if allowed.contains(&request.method) {
        return Ok(match path {
            Path::Create if request.method != "POST" => Path::Search,
            path => path,
        });
    }
    let mut error = ApiError::new(
        Code::MethodNotAllowed,
        format!("{} knows only {}.", request.path(), allowed.join(", ")),
    );
    error.allow = Some(allowed);
    Err(error)
}

pub(super) fn path(path: &str) -> Result<Path<'_>, ApiError> {
    // This is checked first, because `/attempts/` would be the path of an attempt with an empty id.
    let shorter = path.strip_suffix('/').filter(|shorter| !shorter.ends_with('/'));
    if shorter.and_then(known).is_some() {
        return Err(ApiError::new(
            Code::NotFound,
            "No such path: it ends in a slash. Send it without the slash.",
        ));
    }
    known(path).ok_or_else(|| not_found(path))
}

fn known(path: &str) -> Option<Path<'_>> {
    let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("attempts"), None, None, None) => Some(Path::Create),
        (Some("charge"), None, None, None) => Some(Path::Charge),
        (Some("attempts"), Some(id), None, None) => Some(Path::Attempt(id)),
        (Some("attempts"), Some(id), Some("look"), None) => Some(Path::Look(id)),
        (Some("attempts"), Some(id), Some("authorize"), None) => {
            Some(Path::Operation(id, RequestKind::Authorize))
        }
        (Some("attempts"), Some(id), Some("capture"), None) => {
            Some(Path::Operation(id, RequestKind::Capture))
        }
        (Some("attempts"), Some(id), Some("void"), None) => Some(Path::Operation(id, RequestKind::Void)),
        (Some("attempts"), Some(id), Some("resolve"), None) => {
            Some(Path::Operation(id, RequestKind::Resolve))
        }
        (Some("webhooks"), Some(psp), None, None) => Some(Path::Webhook(psp)),
        _ => None,
    }
}

fn not_found(_path: &str) -> ApiError {
    ApiError::new(
        Code::NotFound,
        "No such path. There are POST /attempts, POST /attempts/{id}/authorize, /capture, /void, /look and /resolve, POST /charge, GET /attempts, GET /attempts/{id} and POST /webhooks/{psp}.",
    )
}

/// Refuses a body with a content coding: a body is read as it was sent (RFC 9110 §8.4). A request without a body has no
/// coding.
fn refuse_encoded(request: &Request<'_>) -> Result<(), ApiError> {
    let mut codings = request
        .header_values("content-encoding")
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let is_plain = codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"));
    if is_plain || request.body.is_empty() {
        return Ok(());
    }
    Err(ApiError::new(
        Code::UnsupportedContentEncoding,
        "The Content-Encoding of this body is not supported, so this request did nothing. Send the body uncompressed, without Content-Encoding.",
    ))
}

/// The error for an attempt that does not exist, or is another merchant's. The two must not be distinguishable.
pub(crate) fn attempt_not_found() -> ApiError {
    ApiError::new(
        Code::AttemptNotFound,
        "There is no such attempt. Check the attempt_id, or create one with POST /attempts.",
    )
}

/// Refuses a path that the sender may not use. Merchants pay. Operators read attempts, look at the PSP, and resolve parked
/// operations.
pub(super) fn may(config: &Config, named: Named<'_>, path: &Path<'_>) -> Result<(), ApiError> {
    let is_resolve = matches!(path, Path::Operation(_, RequestKind::Resolve));
    let is_look = matches!(path, Path::Look(_));
    let is_question = is_look || matches!(path, Path::Attempt(_) | Path::Search);
    let message = match (named, path) {
        (Named::Merchant(_), _) if !is_resolve && !is_look => return Ok(()),
        (Named::Merchant(_), _) if config.operators.is_empty() && is_look => {
            "No operators are configured, so nobody can look at the PSP here. Give somebody the role \"read\" under [operators.NAME]."
        }
        (Named::Merchant(_), _) if config.operators.is_empty() => {
            "No operators are configured, so nothing can be resolved here. Give somebody the role \"resolve\" under [operators.NAME]."
        }
        (Named::Merchant(_), _) if is_look => {
            "A merchant's key cannot look at the PSP. GET the attempt, or send the key of an operator with the role \"read\"."
        }
        (Named::Merchant(_), _) => {
            "A merchant's key cannot resolve. Send the key of an operator with the role \"resolve\"."
        }
        (Named::Operator(name), _) if is_resolve && config.allows(name, Role::Resolve) => return Ok(()),
        (Named::Operator(name), _) if is_question && config.allows(name, Role::Read) => return Ok(()),
        (Named::Operator(_), _) if is_resolve => "This operator does not have the role \"resolve\".",
        (Named::Operator(_), _) if is_question => "This operator does not have the role \"read\".",
        (Named::Operator(_), _) => "An operator's key moves no money. Send a merchant's key.",
    };
    Err(ApiError::new(Code::Forbidden, message))
}

fn caller(named: Named<'_>) -> Caller {
    match named {
        Named::Merchant(name) => Caller::Merchant(name.into()),
        Named::Operator(_) => Caller::Operator,
    }
}

/// Who sent the request. If one merchant is served without a key, a request without a known key is that merchant's.
pub(super) fn named<'a>(config: &'a Config, request: &Request<'_>) -> Result<Named<'a>, ApiError> {
    if config.merchants.is_empty() {
        return Err(ApiError::new(
            Code::NotConfigured,
            "No merchants are configured, so nobody can be served.",
        ));
    }
    let mut lines = request.header_values("authorization");
    let bearer = match (lines.next().map(std::str::from_utf8), lines.next()) {
        (Some(Ok(line)), None) => line
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")),
        _ => None,
    };
    bearer
        .and_then(|(_, key)| config.named_by(key.trim()))
        .or(config.open_merchant.as_deref().map(Named::Merchant))
        .ok_or_else(|| {
            ApiError::new(
                Code::Unauthorized,
                "Send your API key as \"Authorization: Bearer …\"; this request named no merchant.",
            )
        })
}

pub(crate) fn wants_problem_json(request: &Request<'_>) -> bool {
    request
        .header_values("accept")
        .filter_map(|line| std::str::from_utf8(line).ok())
        .flat_map(|line| line.split(','))
        .any(|part| {
            part.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .eq_ignore_ascii_case("application/problem+json")
        })
}

/// `Prefer: wait=N` (RFC 7240), in seconds, at most [`PREFER_WAIT_S_MAX`].
fn prefer_wait_s(request: &Request<'_>) -> Option<u64> {
    request
        .header_values("prefer")
        .filter_map(|line| std::str::from_utf8(line).ok())
        .flat_map(|line| line.split([',', ';']))
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse::<u64>().ok())
        .map(|seconds| seconds.min(PREFER_WAIT_S_MAX))
}
