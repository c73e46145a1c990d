//! A sandbox payment service provider: two faces (one Stripe-shaped and keyed, one a plain acquirer that is
//! not idempotent), one ledger, and faults on request.
//!
//! The pure part is [`Sandbox`]: no I/O, no clock, no randomness. [`server`] hosts it over HTTP on the loopback
//! interface and keeps its ledger in a file. Nothing here is shared with the code that pays through it: the
//! ledger is the independent truth that tests compare with.

mod base;
mod faces;
mod faults;
mod ledger;
mod machine;
pub mod server;
mod wire;

pub use base::dials::{Dials, LapseReason, RangeMs, RefundStatus, RejectCalls};
pub use base::face::Face;
pub use base::settings::Settings;
pub use base::tokens;
pub use ledger::entry::LogEntry;
pub use ledger::event::{Cause, LedgerEvent};
pub use machine::sandbox::Sandbox;
pub use wire::reaction::{Answer, Reaction, Scheduled, Timed, Webhook};
pub use wire::request::{Method, Request};
pub use wire::webhook::signature;

#[cfg(test)]
mod testing;
