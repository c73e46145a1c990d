//! The pure machine of Pay Once: it decides everything and does nothing.
//!
//! No I/O, no clock, no randomness, no async, no order that a hash decides (`ARCHITECTURE.md`, “Invariants: what is absent”).
//! Time and entropy are arguments; requests and PSP answers are bytes; what is to be done comes back as a [`host::turn::Action`].
//!
//! # How to write an adapter
//!
//! An adapter hosts the machine: it reads requests, keeps records, calls PSPs and waits. The loop is [`host::turn::Turn`]'s. It says
//! what to do next, and takes what came of it. An adapter owes five things:
//!
//! - A *store* with one record an attempt, a linearizable compare-and-swap ([`host::store::Swap`]), and a read that sees every swap
//!   that it reported as applied. A swap whose end is not known is [`host::store::Swapped::Unknown`], never a conflict.
//! - A *transport* that sends each call at most once, asks [`psp::Call::may_send`] right before the first byte, and says
//!   [`psp::CallResult::NotSent`] only where no byte can have left.
//! - *Timers*: an attempt is woken at the time that its last write or arming named, or soon after, also by another process if this one
//!   has ended. They may fire early, late or twice.
//! - *Persistence of work*: from its first swap on a turn is carried to its end although its client hangs up.
//! - A *clock* that is off by no more than `max_clock_skew_ms`, and fresh *entropy* for each load.
//!
//! ```
//! use pay_once_core::config::Config;
//! use pay_once_core::host::store::{Swap, Swapped};
//! use pay_once_core::host::turn::{Action, Turn};
//! use pay_once_core::http::Response;
//! use pay_once_core::id::{AttemptId, Entropy};
//! use pay_once_core::psp::questions::Questions;
//! use pay_once_core::psp::{Call, CallResult};
//! use pay_once_core::record::Record;
//!
//! /// What your platform has to offer.
//! trait Platform {
//!     fn now_ms(&self) -> u64;
//!     fn entropy(&self) -> u128;
//!     fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, String>;
//!     fn swap(&self, swap: Swap) -> Swapped;
//!     fn send(&self, call: &Call) -> CallResult;
//!     fn send_behind(&self, call: Call);
//!     fn set_timer(&self, id: AttemptId, at_ms: Option<u64>, is_latest: bool);
//!     fn wait(&self, until_ms: u64);
//! }
//!
//! fn run(platform: &dyn Platform, config: &Config, questions: &mut Questions, mut turn: Turn) -> Option<Response> {
//!     let mut reply = None;
//!     loop {
//!         match turn.next(platform.now_ms(), questions) {
//!             Action::Read(call) => turn.read(config, &platform.send(&call), platform.now_ms()),
//!             Action::Load => {
//!                 let id = turn.id()?;
//!                 match platform.load(id).map(|bytes| bytes.map(|bytes| Record::decode(id, &bytes)).transpose()) {
//!                     Ok(Ok(record)) => {
//!                         let entropy = Entropy(platform.entropy());
//!                         turn.loaded(config, record.as_ref(), platform.now_ms(), entropy);
//!                     }
//!                     Ok(Err(why)) => turn.refused(why, platform.now_ms()),
//!                     Err(_) => turn.store_failed(platform.now_ms()),
//!                 }
//!             }
//!             Action::Swap => {
//!                 let swapped = turn.write().map(Swap::from).map_or(Swapped::Conflict, |swap| platform.swap(swap));
//!                 turn.swapped(swapped, platform.now_ms());
//!             }
//!             Action::Committed(write) => platform.set_timer(write.record.id(), write.wake_at_ms, true),
//!             // What comes of it is another turn: `Turn::outcome`.
//!             Action::Perform(call) => platform.send_behind(*call),
//!             Action::Arm { at_ms, is_latest } => platform.set_timer(turn.id()?, Some(at_ms), is_latest),
//!             Action::Note(note) => note.message().iter().for_each(|line| eprintln!("{line}")),
//!             Action::Wait { until_ms } | Action::Pause { until_ms } => {
//!                 platform.wait(until_ms);
//!                 turn.woken();
//!             }
//!             Action::Reply(response) => reply = Some(response),
//!             Action::Done => return reply,
//!         }
//!     }
//! }
//! ```
//!
//! `examples/one_payment.rs` carries this out in memory; `examples/adapter` in the repository serves HTTP and passes the suite of every
//! adapter.
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
