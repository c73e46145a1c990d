//! Pay Once on tokio and SQLite: the embedded default.
//!
//! This crate does everything and decides nothing: it moves bytes, swaps records, keeps time, draws entropy and fires
//! timers. Every decision is [`pay_once_core`]'s. An `if` about payments belongs there.
//!
//! [`server::Server`] is generic over its [`ports`], and its tasks are spawned with `spawn_local`, so that a simulator
//! can host the very same loop over another network, another clock and another store.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod admin;
pub mod bounds;
pub mod commands;
pub mod config_check;
pub mod config_source;
mod console;
pub mod counters;
pub mod door;
pub mod failure;
pub mod front;
pub mod fronts;
mod hold;
pub mod hub;
pub mod intake;
pub mod metrics;
pub mod ports;
pub mod postgres;
pub mod psp_client;
pub mod recent;
pub mod report;
pub mod restored;
pub mod scan;
mod search_queue;
pub mod server;
pub mod settings;
pub mod standings;
pub mod start;
mod steps;
pub mod store;
pub mod system;
pub mod timers;
