//! Decisions about a request that need its head only: whether its body is read, how much of it, and which account it counts for.

use super::event;
use super::route::{Path, body_bytes_max, may, named, path, path_of, wants_problem_json};
use crate::base::config::{Config, Named};
use crate::base::http::{Request, Response};
use crate::contract::answer;
use crate::contract::answer::ReplyContext;
use crate::contract::error::{ApiError, Code};
use crate::journal::entry::RequestKind;

/// A request whose body may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The account that the work counts for: the merchant or operator of the key, or the PSP that the webhook names.
    pub account: Account,
    /// The largest body that is taken, in bytes. At most one byte more is read, so that [`super::route::route`] can
    /// refuse it.
    pub body_bytes_max: usize,
    /// Whether it begins a payment. Under load, requests that continue a payment are preferred.
    pub is_new: bool,
}

/// The account that work counts for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// A merchant, by its id.
    Merchant(String),
    /// An operator, by its name in the configuration.
    Operator(String),
    /// A PSP, by its name in the configuration.
    Psp(String),
}

/// Reads the head of a request, and not its body. An error is the answer to a request that is refused whatever its body is:
/// an unknown path or PSP, a method that the path does not have, a key that names nobody, or somebody who may not do this.
///
/// # Errors
/// The answer to give. The body need not be read for it.
pub fn admit(config: &Config, request: &Request<'_>) -> Result<Admitted, Response> {
    read(config, request).map_err(|refusal| refuse(&refusal, request))
}

/// The answer to a request that arrives while there is more to do than can be answered in time. Nothing was begun for
/// it.
#[must_use]
pub fn overloaded(request: &Request<'_>) -> Response {
    let message = "This server has more to do than it can answer in time, so nothing was begun for this request. Retry it with the same Idempotency-Key, not before Retry-After.";
    refuse(&ApiError::new(Code::Overloaded, message), request)
}

/// Whether an operator can ask for this: a read, a search, a look or a resolution. Whether this operator may is for [`admit`] to say.
#[must_use]
pub fn is_for_operators(request: &Request<'_>) -> bool {
    match path(request.path()) {
        Ok(Path::Attempt(_) | Path::Look(_) | Path::Operation(_, RequestKind::Resolve)) => true,
        // The same path creates attempts.
        Ok(Path::Create | Path::Search) => matches!(path_of(request), Ok(Path::Search)),
        Ok(Path::Charge | Path::Operation(..) | Path::Webhook(_)) | Err(_) => false,
    }
}

/// As [`admit`], on a listener that serves operators only: whoever else sends a request is refused, and so is the merchant that is
/// served without a key.
///
/// # Errors
/// The answer to give.
pub fn admit_operator(config: &Config, request: &Request<'_>) -> Result<Admitted, Response> {
    let admitted = admit(config, request)?;
    if let Account::Operator(_) = admitted.account {
        return Ok(admitted);
    }
    let message = "Send the key of an operator as \"Authorization: Bearer …\". This listener serves operators only; merchants have a listener of their own.";
    Err(refuse(&ApiError::new(Code::Unauthorized, message), request))
}

fn refuse(refusal: &ApiError, request: &Request<'_>) -> Response {
    let context = ReplyContext {
        problem_json: wants_problem_json(request),
        ..ReplyContext::default()
    };
    answer::error(refusal, &context)
}

fn read(config: &Config, request: &Request<'_>) -> Result<Admitted, ApiError> {
    let path = path_of(request)?;
    let account = match path {
        Path::Webhook(name) => {
            event::psp_of(config, name)?;
            Account::Psp(name.to_owned())
        }
        Path::Create
        | Path::Search
        | Path::Charge
        | Path::Attempt(_)
        | Path::Look(_)
        | Path::Operation(..) => {
            let named = named(config, request)?;
            may(config, named, &path)?;
            match named {
                Named::Merchant(name) => Account::Merchant(name.to_owned()),
                Named::Operator(name) => Account::Operator(name.to_owned()),
            }
        }
    };
    let is_new = match path {
        Path::Create | Path::Charge => true,
        Path::Operation(_, kind) => matches!(kind, RequestKind::Create | RequestKind::Charge),
        Path::Attempt(_) | Path::Search | Path::Look(_) | Path::Webhook(_) => false,
    };
    Ok(Admitted {
        account,
        body_bytes_max: body_bytes_max(request.target),
        is_new,
    })
}
