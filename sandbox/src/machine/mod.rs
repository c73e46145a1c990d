//! The sandbox as a state machine: where a request goes, and what comes of it.

mod by_hand;
mod control;
mod gateway;
mod page;
mod receive;
pub(crate) mod sandbox;
