//! The headers that Stripe puts on every answer.

use crate::base::dials::Dials;
use crate::base::draw::request_id;
use crate::wire::reaction::Answer;
use crate::wire::request::{Method, Request};

use super::versions;

/// Adds `Request-Id`, the version, whether to try again where Stripe says so, and the key that the caller sent.
pub(crate) fn add(request: &Request, entropy: u64, dials: &Dials, answer: &mut Answer) {
    let is_replayed = answer
        .headers
        .iter()
        .any(|(name, _)| *name == "Idempotent-Replayed");
    let should_retry = match answer.status {
        409 | 429 => Some("true"),
        // The key keeps it, so trying again comes to the same.
        500 if is_replayed => Some("false"),
        _ => None,
    };
    let headers = &mut answer.headers;
    headers.push(("Request-Id", request_id(entropy)));
    headers.push(("Stripe-Version", versions::answered(request, dials).to_owned()));
    headers.extend(should_retry.map(|value| ("Stripe-Should-Retry", value.to_owned())));
    if request.method == Method::Post
        && let Some(key) = request.header("idempotency-key")
    {
        headers.push(("Idempotency-Key", key.to_owned()));
    }
}

#[cfg(test)]
mod tests;
