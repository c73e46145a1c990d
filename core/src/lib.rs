//! The pure machine of Pay Once: it decides everything and does nothing.
//!
//! No I/O, no clock, no randomness, no async, no order that a hash decides (`ARCHITECTURE.md`, “Invariants: what is absent”).
//! Time and entropy are arguments; requests and PSP answers are bytes; what is to be done comes back as a [`Action`].
//!
//! # How to write an adapter
//!
//! An adapter hosts the machine: it reads requests, keeps records, calls PSPs and waits. The loop is [`Turn`]'s. It says
//! what to do next, and takes what came of it. An adapter owes five things:
//!
//! - A *store* with one record an attempt, a linearizable compare-and-swap ([`Swap`]), and a read that sees every swap
//!   that it reported as applied. A swap whose end is not known is [`Swapped::Unknown`], never a conflict.
//! - A *transport* that sends each call at most once, asks [`Call::may_send`] right before the first byte, and says
//!   [`CallResult::NotSent`] only where no byte can have left.
//! - *Timers*: an attempt is woken at the time that its last write or arming named, or soon after, also by another process if this one
//!   has ended. They may fire early, late or twice.
//! - *Persistence of work*: from its first swap on a turn is carried to its end although its client hangs up.
//! - A *clock* that is off by no more than `max_clock_skew_ms`, and fresh *entropy* for each load. A host that lives long and has a
//!   monotonic clock gives both to a [`Clock`], and what that says to [`Turn::loaded`] and [`Call::may_send`].
//!
//! ```
//! use pay_once_core::{
//!     Action, AttemptId, Call, CallResult, Config, Entropy, Found, SearchError, Questions, Record, Response, Search, Swap, Swapped,
//!     Turn, UnixMillis,
//! };
//!
//! /// What your platform has to offer.
//! trait Platform {
//!     fn now_ms(&self) -> UnixMillis;
//!     fn entropy(&self) -> u128;
//!     fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, String>;
//!     fn swap(&self, swap: Swap) -> Swapped;
//!     fn search(&self, search: &Search) -> Result<Found, SearchError>;
//!     fn send(&self, call: &Call) -> CallResult;
//!     fn send_behind(&self, call: Call);
//!     fn set_timer(&self, id: AttemptId, at_ms: Option<UnixMillis>, is_latest: bool);
//!     fn wait(&self, until_ms: UnixMillis);
//! }
//!
//! fn run(platform: &dyn Platform, config: &Config, questions: &mut Questions, mut turn: Turn) -> Option<Response> {
//!     let mut reply = None;
//!     loop {
//!         match turn.next(platform.now_ms(), questions) {
//!             Action::Read(call) => turn.read(config, &platform.send(&call), platform.now_ms()),
//!             Action::Search(search) => turn.found(config, platform.search(&search), platform.now_ms()),
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

// What an adapter needs is at the root. The folders are for the project's own proofs and tools: their paths may change.
// What adapters only read is `#[non_exhaustive]`. `Action`, `Swapped`, `CallResult`, `Routed`, `Input` and `Reply` are not: an adapter
// that passed over a variant of these would lose money, so a new one must not compile. Nor is what adapters and their tests make.
#[doc(hidden)]
pub mod base;
#[doc(hidden)]
pub mod contract;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod journal;
#[doc(hidden)]
pub mod machine;
#[doc(hidden)]
pub mod psp;
#[doc(hidden)]
pub mod recovery;

pub use base::clock::{Now, Reading};
pub use base::config::{
    Capabilities, Config, Connector, Merchant, Named, Operator, Psp, Role, Secret, TIME_BUDGET_MS, Timing,
    key_digest, read_key_digest,
};
pub use base::config_file::{ConfigFile, SecretPlace, without_values};
pub use base::http::{Request, Response};
pub use base::id::{AttemptId, Entropy};
pub use base::limits;
pub use base::loss::Loss;
pub use base::money::Money;
pub use base::time::{Millis, UnixMillis};
pub use base::trace::TraceParent;
pub use base::version::RecordVersion;
pub use contract::error::{error_code, error_codes};
pub use contract::look::LookState;
pub use contract::search::{Found, Place, Search, SearchError};
pub use contract::search_walk::{Ask, Range, Row, Walk};
pub use host::action::{Action, Note};
pub use host::clock::{Clock, ClockNote};
pub use host::measure::Measure;
pub use host::store::{RetryBudget, Swap, Swapped};
pub use host::turn::Turn;
pub use journal::indexed::{IndexEntry, SearchState};
pub use journal::record::{Record, RecordError};
pub use journal::standing::{Standing, WaitsFor};
pub use journal::status::Status;
pub use machine::admit::{Account, Admitted, admit, admit_operator, is_for_operators, overloaded};
pub use machine::event::event_read;
pub use machine::handle::{finalized, handle, may_be_finalized};
pub use machine::pending::PendingRequest;
pub use machine::route::{body_bytes_max, body_did_not_arrive, not_answered, not_configured, route};
pub use machine::routed::{EventRead, Routed};
pub use machine::search::PendingSearch;
pub use machine::step::{Input, Outcome, Reply, Step, Write};
pub use psp::call::{ANSWER_HEADERS, Call, CallResult, HttpCall};
pub use psp::questions::Questions;
pub use psp::report::{CallKind, PspProblem, PspProblems, PspReport, Rejection};
