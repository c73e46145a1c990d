//! The Stripe-shaped face: form-encoded requests, JSON answers, idempotency keys.

mod actions;
mod amounts;
mod by_hand;
mod call;
mod dispatch;
mod errors;
mod events;
mod headers;
mod intent;
mod intent_errors;
mod lists;
mod method_types;
mod params;
mod parse;
mod refunds;
mod refusals;
mod render;
mod versions;

pub(crate) use actions::{authenticate, lapse};
pub(crate) use by_hand::{
    ForeignIntents, Members as HandMembers, act as act_by_hand, end_refund, make_foreign,
};
pub(crate) use call::Call;
pub(crate) use dispatch::{execute, fingerprint, site};
pub(crate) use errors::{failed, key_in_use, key_reused, throttled};
pub(crate) use headers::add as add_headers;
pub(crate) use parse::parse;
pub(crate) use refusals::missing_intent;

#[cfg(test)]
mod tests;
