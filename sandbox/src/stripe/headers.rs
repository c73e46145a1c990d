//! The headers that Stripe puts on every answer.

use crate::draw::Draw;
use crate::wire::{Method, Request};

/// The version of Stripe's API that webhooks are written in, and answers to callers that name none.
pub(crate) const API_VERSION: &str = "2026-10-28.endive";

/// The id of the request that came with `entropy`. It takes nothing from the request's own draws.
pub(crate) fn request_id(entropy: u64) -> String {
    format!("req_{:016x}", Draw::new(!entropy).word())
}

/// Adds `Request-Id`, the version, and the key that the caller sent.
pub(crate) fn add(request: &Request, entropy: u64, headers: &mut Vec<(&'static str, String)>) {
    headers.push(("Request-Id", request_id(entropy)));
    let version = request.header("stripe-version").unwrap_or(API_VERSION);
    headers.push(("Stripe-Version", version.to_owned()));
    if request.method == Method::Post
        && let Some(key) = request.header("idempotency-key")
    {
        headers.push(("Idempotency-Key", key.to_owned()));
    }
}

#[cfg(test)]
mod tests;
