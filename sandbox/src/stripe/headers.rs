//! The headers that Stripe puts on every answer.

use crate::dials::Dials;
use crate::draw::request_id;
use crate::wire::{Answer, Method, Request};

use super::versions;

/// Adds `Request-Id`, the version, and the key that the caller sent.
pub(crate) fn add(request: &Request, entropy: u64, dials: &Dials, answer: &mut Answer) {
    let headers = &mut answer.headers;
    headers.push(("Request-Id", request_id(entropy)));
    headers.push(("Stripe-Version", versions::answered(request, dials).to_owned()));
    if request.method == Method::Post
        && let Some(key) = request.header("idempotency-key")
    {
        headers.push(("Idempotency-Key", key.to_owned()));
    }
}

#[cfg(test)]
mod tests;
