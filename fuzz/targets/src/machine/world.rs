//! One attempt between clients, servers and a PSP: what each act does, and what must hold after it.

mod clients;
mod judge;
mod psp;

use std::sync::Arc;

use pay_once_core::journal::entry::{CallStep, Fact};
use pay_once_core::{
    Action, Call, CallResult, Config, Entropy, Input, Millis, Note, Outcome, Questions, Record,
    RecordVersion, Response, Status, Swapped, Turn, UnixMillis, Write,
};
use pay_once_psp_model::{Dials, Ledger};

use super::requests::{Asked, REQUESTS, requests};
use crate::setup::{CREATE, Kind, LOOKUP_LAG_MS, START_MS, attempt};

/// Largest step of a server's clock off the true time, either way: half the declared skew.
const CLOCK_OFF_MS: u64 = 1_000;
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
    finalized: [Option<Arc<Settled>>; REQUESTS],
    seen: Status,
    entropy: u128,
    /// Calls of core's entry point.
    pub steps: u64,
}

/// How far some server's clock is off the true time, from a choice: the true time less this much, plus one of three.
fn clock_ms(true_ms: u64, choice: u8) -> u64 {
    true_ms - CLOCK_OFF_MS + u64::from(choice % 3) * CLOCK_OFF_MS
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
        Self {
            kind,
            config: kind.config(patient),
            requests: Arc::new(requests(&create)),
            record: None,
            old: Vec::new(),
            ledger: Ledger::new(Dials {
                horizon_ms: kind.capabilities().keyed_horizon_ms.map(Millis::get),
                listing_lag_ms: u64::from(lags) * LOOKUP_LAG_MS,
                lists_backs_late: true,
                id_stem: "3N00",
                ..Dials::default()
            }),
            now_ms: START_MS,
            true_ms: START_MS,
            due_ms: None,
            held: Vec::new(),
            flying: Vec::new(),
            answers: Vec::new(),
            finalized: [const { None }; REQUESTS],
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
        self.record().map_or(0, |record| record.version().get())
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

    /// The same, as core takes it.
    pub fn moment(&self) -> UnixMillis {
        UnixMillis::new(self.now_ms)
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

    fn entropy(&mut self) -> Entropy {
        self.steps += 1;
        self.entropy += 1;
        Entropy(
            self.entropy
                .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835),
        )
    }

    /// The loop: nobody else is there. A first swap that is `in_doubt` applies, and its server does not learn of it.
    fn carry(&mut self, input: &Input, in_doubt: bool) -> Option<Response> {
        let mut turn = Turn::of(attempt(), input.clone());
        let (mut in_doubt, mut is_unproven, mut dispatched, mut moving) = (in_doubt, false, 0, 0);
        loop {
            match turn.next(self.moment(), &mut Questions::default()) {
                Action::Load => {
                    let (record, entropy) = (self.record.clone(), self.entropy());
                    turn.loaded(self.config, record.as_deref(), self.moment(), entropy);
                }
                Action::Swap => {
                    let write = turn.write().unwrap_or_else(|| panic!("a swap has a write"));
                    assert!(!is_unproven, "a dispatch proves whose swap it was");
                    dispatched = dispatched_acts(write);
                    is_unproven = in_doubt && dispatched > 0;
                    assert!(
                        Self::commit(&mut self.record, &mut self.old, &mut self.due_ms, write),
                        "nobody else was there"
                    );
                    let swapped = match std::mem::take(&mut in_doubt) {
                        true => Swapped::Unknown,
                        false => Swapped::Applied,
                    };
                    turn.swapped(swapped, self.moment());
                }
                Action::Committed(_) => is_unproven = false,
                Action::Perform(call) => {
                    moving += usize::from(call.moves_money);
                    assert!(moving <= dispatched, "rule 1: a call that no entry names");
                    self.held.push(*call);
                }
                Action::Arm { at_ms, .. } => self.due_ms = Some(at_ms.get()),
                Action::Note(Note::RecordRefused(error)) => {
                    panic!("an honest PSP's evidence finds room: {error}")
                }
                Action::Note(_) => {}
                ended @ (Action::Reply(_) | Action::Wait { .. } | Action::Done) => {
                    assert!(!is_unproven, "a dispatch proves whose swap it was");
                    return match ended {
                        Action::Reply(response) => Some(response),
                        _ => None,
                    };
                }
                other @ (Action::Read(_) | Action::Search(_) | Action::Pause { .. }) => {
                    panic!("no reason for {other:?}")
                }
            }
        }
    }

    /// Compare-and-swap: whether it applied.
    fn commit(
        record: &mut Option<Arc<Record>>,
        old: &mut Vec<Arc<Record>>,
        due_ms: &mut Option<u64>,
        write: &Write,
    ) -> bool {
        if write.expected_version != record.as_ref().map(|record| record.version()) {
            return false;
        }
        if let Some(before) = record.take() {
            assert!(write.record.grew_from(&before), "a journal only grows");
            old.push(before);
        }
        *record = Some(Arc::clone(&write.record));
        *due_ms = write.wake_at_ms.map(UnixMillis::get);
        true
    }

    /// Load, decide, swap, and what follows; calls are held until the story lets them go.
    pub(super) fn input(&mut self, input: &Input) -> Option<Response> {
        self.carry(input, false)
    }

    /// A server that has fallen behind decides: its swap conflicts, and nothing else of its step happens.
    fn decide_behind(&mut self, base: &Record, input: &Input) {
        let mut turn = Turn::of(attempt(), input.clone());
        let mut has_loaded = false;
        loop {
            match turn.next(self.moment(), &mut Questions::default()) {
                Action::Load if has_loaded => return,
                Action::Load => {
                    has_loaded = true;
                    let entropy = self.entropy();
                    turn.loaded(self.config, Some(base), self.moment(), entropy);
                }
                Action::Swap => {
                    let is_applied = turn.write().is_some_and(|write| {
                        Self::commit(&mut self.record, &mut self.old, &mut self.due_ms, write)
                    });
                    assert!(!is_applied, "a stale swap conflicts");
                    turn.swapped(Swapped::Conflict, self.moment());
                }
                Action::Committed(_) => panic!("a stale swap conflicts"),
                Action::Perform(call) => assert!(!call.moves_money, "rule 1: a call that no entry names"),
                Action::Wait { .. } | Action::Pause { .. } | Action::Done => return,
                Action::Reply(_)
                | Action::Arm { .. }
                | Action::Note(_)
                | Action::Read(_)
                | Action::Search(_) => {}
            }
        }
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
    let from = write.expected_version.map_or(0, RecordVersion::entries);
    let news = write.record.entries().iter().skip(from);
    news.filter(|entry| {
        matches!(
            entry.fact,
            Fact::Dispatched {
                step: CallStep::Execute,
                ..
            }
        )
    })
    .count()
}
