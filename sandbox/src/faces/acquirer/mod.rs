//! The acquirer face: a plain card network in JSON. Deliberately not idempotent: the same request again is a
//! second effect, unless the dial `acquirer_keyed` is on.

mod actions;
mod by_hand;
mod call;
mod dispatch;
mod errors;
mod lookup;
mod parse;

pub(crate) use actions::authenticate;
pub(crate) use by_hand::{ForeignAuthorization, HandMembers, act_by_hand, make_foreign, reverse};
pub(crate) use call::Call;
pub(crate) use dispatch::{execute, fingerprint, site};
pub(crate) use errors::{failed, form_refused, key_reused, rejected, throttled};
pub(crate) use parse::parse;

#[cfg(test)]
mod tests;
