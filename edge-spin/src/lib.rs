//! Pay Once as a Spin component.
//!
//! This crate does everything and decides nothing: it moves bytes, swaps records, keeps time and draws entropy, all by
//! Spin's own interfaces. Every decision is [`pay_once_core`]'s.
//!
//! Instances live for a few requests and share no memory, so a request that waits for what another instance is doing
//! looks into the store from time to time; and Spin has no timer, so what is due is found by a [`server::Server::sweep`].
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod bucket;
mod calls;
mod decoded;
pub mod deployment;
#[cfg(target_family = "wasm")]
pub mod entry;
pub mod finals;
#[cfg(target_family = "wasm")]
mod flavour;
pub mod front;
pub mod key_value;
pub mod outbound;
pub mod ports;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod probe;
mod reports;
pub mod server;
pub mod sqlite;
mod sqlite_search;
pub mod stamped;
pub mod stores;
pub mod sweep;
pub mod wasi;
