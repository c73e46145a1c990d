//! The pure machine of Pay Once: it decides everything and does nothing.
//!
//! No I/O, no clock, no randomness, no async, no order that a hash decides (`ARCHITECTURE.md`, “Invariants: what is absent”).
//! Time and entropy are arguments; requests and PSP answers are bytes; what is to be done comes back as a [`machine::Step`].
//!
//! The loop of every adapter:
//!
//! 1. [`request::route`] reads a request: an answer at once, or the attempt that it concerns.
//! 2. Load that attempt's bytes, [`record::Record::decode`] them.
//! 3. [`machine::handle`] decides.
//! 4. Persist `write` by compare-and-swap; on conflict go to 2 with the same input.
//! 5. Perform `calls` and feed each result back as [`machine::Input::Outcome`]; arm `wake_at_ms`.
//! 6. Send `reply`.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod answer;
mod condition;
pub mod config;
pub mod config_file;
mod due;
pub mod error;
pub mod evidence;
mod fold;
pub mod host;
pub mod http;
pub mod id;
pub mod invariant;
pub mod journal;
pub mod json;
pub mod key;
pub mod limits;
mod look;
pub mod machine;
mod order;
mod ownership;
pub mod planted;
pub mod psp;
pub mod record;
pub mod recovery;
pub mod request;
pub mod running;
pub mod state;
pub mod status;
mod ticket;
pub mod time;
pub mod timeline;
mod work;
