//! A sandbox payment service provider: two faces (one Stripe-shaped and keyed, one a plain acquirer that is
//! not idempotent), one ledger, and faults on request.
//!
//! The pure part is [`Sandbox`]: no I/O, no clock, no randomness. [`server`] hosts it over HTTP on the loopback
//! interface and keeps its ledger in a file. Nothing here is shared with the code that pays through it: the
//! ledger is the independent truth that tests compare with.

mod acquirer;
mod by_hand;
mod control;
mod dials;
mod draw;
mod gateway;
mod journal;
mod lapse;
mod ledger;
mod page;
mod reject;
mod rfc3339;
mod sandbox;
pub mod server;
mod stripe;
pub mod tokens;
mod webhook;
mod wire;
mod work;

pub use dials::{Dials, LapseReason, RangeMs, RefundStatus, RejectCalls};
pub use journal::{Face, LogEntry};
pub use ledger::{Cause, LedgerEvent};
pub use sandbox::{Sandbox, Settings};
pub use webhook::signature;
pub use wire::{Answer, Method, Reaction, Request, Scheduled, Timed, Webhook};

#[cfg(test)]
mod testing;
