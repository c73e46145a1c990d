//! One attempt between clients, servers and a PSP: what each act does, and what must hold after it.

mod clients;
mod judge;
mod psp;

use std::sync::Arc;

use pay_once_core::config::Config;
use pay_once_core::id::Entropy;
use pay_once_core::journal::{CallStep, Fact};
use pay_once_core::machine::{Input, Outcome, Reply, Step, Write, handle};
use pay_once_core::psp::{Call, CallResult};
use pay_once_core::record::Record;
use pay_once_core::status::Status;

use super::act::clock_ms;
use super::ledger::Ledger;
use super::requests::{Asked, REQUESTS, requests};
use crate::setup::{CREATE, Kind, LOOKUP_LAG_MS, START_MS, attempt};

/// Wake-ups in which everything must have come to its end once faults have stopped.
const WAKES_MAX: usize = 200;

/// A call under way to the PSP, and when it lands at the latest.
#[derive(Clone, Debug)]
pub(super) struct Flying {
    call: Call,
    lands_by_ms: u64,
}

impl Flying {
    pub(super) fn new(call: Call, lands_by_ms: u64) -> Self {
        Self { call, lands_by_ms }
    }
}

/// An answer that stays as it is for ever: status and body.
type Settled = (u16, Vec<u8>);

/// One attempt, everybody around it, and the truth.
#[derive(Clone, Debug)]
pub struct World {
    kind: Kind,
    config: &'static Config,
    requests: Arc<[Asked; REQUESTS]>,
    record: Option<Arc<Record>>,
    /// What servers that have fallen behind still hold.
    old: Vec<Arc<Record>>,
    /// The PSP's books.
    pub ledger: Ledger,
    /// The clock of whichever server acts now.
    now_ms: u64,
    true_ms: u64,
    due_ms: Option<u64>,
    held: Vec<Call>,
    flying: Vec<Flying>,
    answers: Vec<Outcome>,
    settled: [Option<Arc<Settled>>; REQUESTS],
    seen: Status,
    entropy: u128,
    /// Calls into core's one door.
    pub steps: u64,
}

pub(super) fn timeout() -> CallResult {
    CallResult::Unknown {
        reason: "timeout".to_owned(),
    }
}

pub(super) fn not_sent() -> CallResult {
    CallResult::NotSent {
        reason: "refused".to_owned(),
    }
}

pub(super) fn busy(status: u16) -> CallResult {
    CallResult::answered(status, b"busy".to_vec())
}

impl World {
    /// Before anything has happened.
    #[must_use]
    pub fn new(kind: Kind, token: &str, automatic: bool, lags: bool, patient: bool) -> Self {
        let mut create = CREATE.replace("pm_card_visa", token);
        if automatic {
            create = create.replace('}', r#","capture_method":"automatic"}"#);
        }
        let lag_ms = u64::from(lags) * LOOKUP_LAG_MS;
        Self {
            kind,
            config: kind.config(patient),
            requests: Arc::new(requests(&create)),
            record: None,
            old: Vec::new(),
            ledger: Ledger::new(kind.class().keyed_horizon_ms.is_some(), lag_ms),
            now_ms: START_MS,
            true_ms: START_MS,
            due_ms: None,
            held: Vec::new(),
            flying: Vec::new(),
            answers: Vec::new(),
            settled: [const { None }; REQUESTS],
            seen: Status::Created,
            entropy: 0,
            steps: 0,
        }
    }

    /// The record as it is stored.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.record.as_deref()
    }

    /// How many entries its journal has.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.record().map_or(0, Record::version)
    }

    /// Calls that servers hold and have not sent.
    #[must_use]
    pub fn held(&self) -> &[Call] {
        &self.held
    }

    /// The clock of the server that acted last.
    #[must_use]
    pub fn server_ms(&self) -> u64 {
        self.now_ms
    }

    pub(super) fn true_ms(&self) -> u64 {
        self.true_ms
    }

    pub(super) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// The server whose clock is this far off acts next.
    pub(super) fn clock(&mut self, choice: u8) {
        self.now_ms = clock_ms(self.true_ms, choice);
    }

    // -- servers

    /// One decision on what some server believes the record to be.
    fn decide(&mut self, base: Option<&Record>, input: &Input) -> Step {
        self.steps += 1;
        self.entropy += 1;
        let entropy = Entropy(
            self.entropy
                .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835),
        );
        let step = handle(self.config, attempt(), base, input, self.now_ms, entropy);
        let step = step.unwrap_or_else(|error| panic!("an honest PSP's evidence finds room: {error}"));
        let dispatched = step.write.as_ref().map_or(0, dispatched_acts);
        let moving = step.calls.iter().filter(|call| call.moves_money).count();
        assert!(moving <= dispatched, "rule 1: a call that no entry names");
        step
    }

    /// Compare-and-swap: whether it applied.
    fn commit(&mut self, write: &Write) -> bool {
        if write.expected_version != self.record().map(Record::version) {
            return false;
        }
        if let Some(before) = self.record.take() {
            assert!(write.record.grew_from(&before), "a journal only grows");
            self.old.push(before);
        }
        self.record = Some(Arc::new(write.record.clone()));
        self.due_ms = write.wake_at_ms;
        true
    }

    /// Load, decide, swap, and what follows; calls are held until the story lets them go.
    pub(super) fn input(&mut self, input: &Input) -> Reply {
        let base = self.record.clone();
        let step = self.decide(base.as_deref(), input);
        if let Some(write) = &step.write {
            assert!(self.commit(write), "nobody else was there");
        } else if step.wake_at_ms.is_some() {
            self.due_ms = step.wake_at_ms;
        }
        self.held.extend(step.calls);
        step.reply
    }

    pub(super) fn outcome(&mut self, call: Call, result: CallResult) {
        self.input(&Input::Outcome(Box::new(Outcome { call, result })));
    }

    /// All memory is gone: the record is what its bytes say.
    pub(super) fn reload(&mut self) {
        let Some(record) = &self.record else { return };
        match Record::decode(attempt(), &record.encode()) {
            Ok(read) => {
                assert!(read == **record, "a record reads back as it was");
                self.record = Some(Arc::new(read));
            }
            Err(error) => panic!("our own record was refused: {error}"),
        }
    }
}

/// How many entries of a write name calls that move money.
fn dispatched_acts(write: &Write) -> usize {
    let from = usize::try_from(write.expected_version.unwrap_or(0)).unwrap_or(usize::MAX);
    let news = write.record.entries().iter().skip(from);
    news.filter(|entry| {
        matches!(
            entry.fact,
            Fact::Dispatched {
                step: CallStep::Act,
                ..
            }
        )
    })
    .count()
}
