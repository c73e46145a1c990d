//! One attempt between clients, servers and a PSP: what each act does, and what must hold after it.

use std::sync::Arc;

use pay_once_core::config::Config;
use pay_once_core::http::{Request, Response};
use pay_once_core::id::Entropy;
use pay_once_core::invariant;
use pay_once_core::journal::{CallStep, Fact, Operation};
use pay_once_core::machine::{Input, Outcome, Reply, Step, Write, handle};
use pay_once_core::psp::{Call, CallResult};
use pay_once_core::record::Record;
use pay_once_core::request::{Routed, route};
use pay_once_core::status::Status;

use super::act::clock_ms;
use super::ledger::{Ledger, Stands};
use super::requests::{Asked, REQUESTS, RESOLVE, requests};
use crate::setup::{CREATE, Kind, LOOKUP_LAG_MS, START_MS, attempt, sign};

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
    CallResult::Answered {
        status,
        body: b"busy".to_vec(),
    }
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

    // -- clients

    /// A request arrives. `behind` chooses an old record for a server that decides on it: its swap must fail, and
    /// nothing of its step may happen.
    pub(super) fn request(&mut self, which: usize, behind: Option<u8>) {
        let Some(input) = self.routed(which) else { return };
        if let Some(choice) = behind {
            self.stale(&input, usize::from(choice));
        }
        if let Reply::Now(answer) = self.input(&input) {
            self.believe(which, &answer);
        }
    }

    /// A server writes, and never learns that it did.
    pub(super) fn request_in_doubt(&mut self, which: usize) {
        let Some(input) = self.routed(which) else { return };
        let base = self.record.clone();
        let step = self.decide(base.as_deref(), &input);
        let Some(write) = step.write else { return };
        assert!(self.commit(&write), "nobody else was there");
        let acts = dispatched_acts(&write);
        let is_ours = self
            .record()
            .is_some_and(|now| now.proves_swap_of(&write.record, write.expected_version));
        assert!(is_ours || acts == 0, "a dispatch proves whose swap it was");
        if is_ours {
            self.held.extend(step.calls);
        } else if let Reply::Now(answer) = self.input(&input) {
            // A conflict, as far as this server knows: the same input once more.
            self.believe(which, &answer);
        }
    }

    fn stale(&mut self, input: &Input, choice: usize) {
        let Some(base) = self.old.get(choice % self.old.len().max(1)).cloned() else {
            return;
        };
        let step = self.decide(Some(&base), input);
        if let Some(write) = &step.write {
            assert!(!self.commit(write), "a stale swap conflicts");
        }
    }

    fn routed(&mut self, which: usize) -> Option<Input> {
        let requests = Arc::clone(&self.requests);
        let asked = requests.get(which)?;
        let resolution = if which == RESOLVE {
            self.resolution()?
        } else {
            String::new()
        };
        let body = if which == RESOLVE {
            &resolution
        } else {
            &asked.body
        };
        let headers: &[(&str, &[u8])] = &[("idempotency-key", asked.key.as_bytes())];
        let request = Request {
            method: asked.method,
            target: &asked.target,
            headers: if asked.key.is_empty() { &[] } else { headers },
            body: body.as_bytes(),
        };
        match route(self.config, &request, self.now_ms) {
            Routed::Attempt { id, input } => {
                assert_eq!(id, attempt(), "the key is the address");
                Some(input)
            }
            Routed::Reply(answer) => panic!("a proper request was refused: {answer:?}"),
        }
    }

    /// What an honest operator says of a parked operation, once nothing is under way any more.
    fn resolution(&self) -> Option<String> {
        let running = self.record()?.state().running.as_ref()?;
        running.parked.as_ref()?;
        let is_open = |held: &super::ledger::Held| matches!(held.stands, Stands::Action | Stands::Prepared);
        if !self.flying.is_empty() || !self.held.is_empty() || self.ledger.held.iter().any(is_open) {
            return None;
        }
        let reference = match running.operation {
            Operation::Authorize => self.ledger.live_id(),
            Operation::Capture => self.ledger.capture_id(),
            Operation::Void => self.ledger.void_id(),
            Operation::Refund => return None,
        };
        Some(match reference {
            Some(id) => format!(
                r#"{{"operator":"ada","reason":"seen in the books","outcome":"happened","psp_reference":"{id}"}}"#
            ),
            None => r#"{"operator":"ada","reason":"not in the books","outcome":"did_not_happen"}"#.to_owned(),
        })
    }

    /// What an answer says is true at the PSP (DESIGN §1), and a final one never changes (§2, “Replays”).
    fn believe(&mut self, which: usize, answer: &Response) {
        let words = || format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        let ledger = &self.ledger;
        match shown_status(&answer.body) {
            b"CAPTURED" => assert_eq!(ledger.taken(), 1, "{}", words()),
            b"VOIDED" | b"EXPIRED" => assert_eq!(ledger.live(), 0, "{}", words()),
            b"AUTHORIZED" | b"CAPTURING" => assert!(ledger.authorizations() >= 1, "{}", words()),
            b"DECLINED" => assert_eq!(ledger.taken(), 0, "{}", words()),
            _ => {}
        }
        let is_read = self
            .requests
            .get(which)
            .is_some_and(|asked| asked.method == "GET");
        // A key belongs to one request (§2, “Keys”).
        let key = self
            .requests
            .get(which)
            .map(|asked| asked.key)
            .unwrap_or_default();
        let rivals = self.requests.iter().zip(&self.settled).enumerate();
        let is_taken = |(at, (asked, settled)): (usize, (&Asked, &Option<_>))| {
            at != which && asked.key == key && settled.is_some()
        };
        if !is_read && rivals.into_iter().any(is_taken) {
            assert_eq!(answer.status, 409, "a key reused: {}", words());
            return;
        }
        let Some(settled) = self.settled.get_mut(which).filter(|_| !is_read) else {
            return;
        };
        if let Some(before) = settled {
            let status = if before.0 == 201 { 200 } else { before.0 };
            assert!(
                answer.status == status && answer.body == before.1,
                "a replay gives the same answer: {} then {}",
                String::from_utf8_lossy(&before.1),
                words()
            );
            assert_eq!(answer.header("Idempotency-Replayed"), Some("true"), "and says so");
        } else if matches!(answer.status, 200 | 201 | 402) {
            *settled = Some(Arc::new((answer.status, answer.body.clone())));
        }
    }

    // -- the way to the PSP

    pub(super) fn take_held(&mut self, choice: usize) -> Option<Call> {
        let at = choice.checked_rem(self.held.len())?;
        Some(self.held.remove(at))
    }

    pub(super) fn may_send(&self, call: &Call) -> bool {
        call.may_send(self.now_ms)
    }

    pub(super) fn lands_by_ms(&self) -> u64 {
        let psp = self.config.psps.values().next();
        self.true_ms + psp.map_or(0, |psp| psp.timing.max_in_flight_ms)
    }

    pub(super) fn arrives(&mut self, call: &Call) -> CallResult {
        self.ledger.act(&call.http, self.true_ms)
    }

    /// Where the PSP can tell: a naive network's second authorization is its own.
    pub(super) fn arrives_twice(&mut self, call: &Call) {
        let first = self.arrives(call);
        if self.kind.class().keyed_horizon_ms.is_some() && call.moves_money {
            assert_eq!(self.arrives(call), first, "one key, one effect, one answer");
        }
    }

    pub(super) fn fly(&mut self, flying: Flying) {
        self.flying.push(flying);
    }

    pub(super) fn keep_answer(&mut self, outcome: Outcome) {
        self.answers.push(outcome);
    }

    pub(super) fn land(&mut self, choice: usize) {
        if let Some(at) = choice.checked_rem(self.flying.len()) {
            let Flying { call, .. } = self.flying.remove(at);
            let result = self.arrives(&call);
            self.answers.push(Outcome { call, result });
        }
    }

    pub(super) fn answer(&mut self, choice: usize, comes_again: bool) {
        let Some(at) = choice.checked_rem(self.answers.len()) else {
            return;
        };
        let Some(outcome) = self.answers.get(at).cloned() else {
            return;
        };
        if !comes_again {
            self.answers.remove(at);
        }
        let input = Input::Outcome(Box::new(outcome));
        self.input(&input);
        // Rule 7: handling an input twice is handling it once.
        let base = self.record.clone();
        let step = self.decide(base.as_deref(), &input);
        assert!(step.write.is_none(), "a second handling writes nothing");
    }

    pub(super) fn webhook(&mut self, choice: usize) {
        let at = choice.checked_rem(self.ledger.notices.len());
        let Some(notice) = at.and_then(|at| self.ledger.notices.get(at)).cloned() else {
            return;
        };
        let signature = sign(self.now_ms / 1000, notice.as_bytes());
        match self.delivered(&notice, &signature) {
            Routed::Attempt { input, .. } => match self.input(&input) {
                Reply::Now(answer) => assert_eq!(answer.status, 200, "a webhook is taken in"),
                Reply::Nothing | Reply::Wait { .. } => panic!("a webhook is answered at once"),
            },
            Routed::Reply(answer) => panic!("a signed webhook was refused: {answer:?}"),
        }
    }

    /// A notice of something that never happened, under a signature for something that did.
    pub(super) fn forged(&mut self, choice: usize) {
        let notice = self.ledger.notices.first().cloned().unwrap_or_default();
        let signature = sign(self.now_ms / 1000, notice.as_bytes());
        let lie = match self.kind.name() {
            "stripe" => notice
                .replace("requires_capture", "succeeded")
                .replace("gbp", "eur"),
            _ => notice.replace("authorize", "capture").replace("GBP", "EUR"),
        };
        let lie = if choice.is_multiple_of(2) {
            lie
        } else {
            format!("{notice} ")
        };
        if lie == notice {
            return;
        }
        assert!(
            matches!(self.delivered(&lie, &signature), Routed::Reply(answer) if answer.status == 400),
            "a forged webhook changes nothing"
        );
    }

    fn delivered(&self, body: &str, signature: &str) -> Routed {
        let (target, header) = match self.kind.name() {
            "stripe" => ("/webhooks/stripe", "stripe-signature"),
            _ => ("/webhooks/acquirer", "acquirer-signature"),
        };
        let request = Request {
            method: "POST",
            target,
            headers: &[(header, signature.as_bytes())],
            body: body.as_bytes(),
        };
        route(self.config, &request, self.now_ms)
    }

    pub(super) fn finish_action(&mut self) {
        self.ledger.finish_action(self.true_ms);
    }

    /// Time passes; what must have landed by then lands on the way.
    pub(super) fn advance(&mut self, by_ms: u64) {
        let to_ms = self.true_ms + by_ms;
        while let Some(at) = self.flying.iter().position(|flying| flying.lands_by_ms <= to_ms) {
            let Flying { call, lands_by_ms } = self.flying.remove(at);
            self.true_ms = self.true_ms.max(lands_by_ms);
            let result = self.arrives(&call);
            self.answers.push(Outcome { call, result });
        }
        self.true_ms = to_ms;
        self.now_ms = to_ms;
    }

    // -- what must hold

    /// After every act: the promise of DESIGN §1.
    ///
    /// # Panics
    /// If it is broken: a finding.
    pub fn check(&mut self) {
        let (live, captures) = (self.ledger.live(), self.ledger.captures());
        assert!(live <= 1, "one live authorization: {:?}", self.ledger.held);
        assert!(captures <= 1, "one capture: {:?}", self.ledger.held);
        assert!(
            !self.ledger.took_too_much(),
            "of at most the authorized amount: {:?}",
            self.ledger.held
        );
        let Some(record) = &self.record else { return };
        let status = record.state().status;
        assert!(
            status.rank() >= self.seen.rank() && (!self.seen.is_final() || status == self.seen),
            "rule 10: {:?} became {status:?}",
            self.seen
        );
        self.seen = status;
        if status == Status::Captured {
            assert_eq!(self.ledger.taken(), 1, "captured means captured");
        }
    }

    /// At the end: core's own invariants, whether or not this build asserts them at every step.
    pub(super) fn check_record(&self) {
        if let Some(record) = &self.record {
            assert_eq!(invariant::check(record), Ok(()), "core's own invariants");
        }
    }

    /// Faults stop: everything lands, the network works, timers fire. It ends, and agrees with the ledger.
    pub(super) fn end(&mut self) {
        while !self.flying.is_empty() {
            self.land(0);
        }
        self.advance(self.lands_by_ms() - self.true_ms);
        self.held.clear();
        // Half of the late answers are never heard.
        for outcome in std::mem::take(&mut self.answers).into_iter().step_by(2) {
            self.input(&Input::Outcome(Box::new(outcome)));
            self.perform_all();
        }
        self.input(&Input::Wake);
        self.perform_all();
        for _ in 0..WAKES_MAX {
            let Some(at_ms) = self.due_ms.take() else { break };
            self.true_ms = self.true_ms.max(at_ms);
            self.now_ms = self.true_ms;
            self.input(&Input::Wake);
            self.perform_all();
        }
        self.check();
        self.check_end();
    }

    fn check_end(&self) {
        let Some(record) = &self.record else { return };
        let state = record.state();
        let is_parked = state
            .running
            .as_ref()
            .is_some_and(|running| running.parked.is_some());
        if self.kind == Kind::Blind && is_parked {
            return;
        }
        let story = || {
            record
                .entries()
                .iter()
                .map(|entry| format!("{entry:?}\n"))
                .collect::<String>()
        };
        assert_eq!(self.due_ms, None, "at rest: {}", story());
        assert!(!is_parked, "parked: {}", story());
        assert!(
            self.seen.is_final() || self.seen == Status::Created,
            "{:?}: {}",
            self.seen,
            story()
        );
        let wanted = usize::from(self.seen == Status::Captured);
        assert_eq!(
            (self.ledger.taken(), self.ledger.live()),
            (wanted, wanted),
            "{:?}: {} {:?}",
            self.seen,
            story(),
            self.ledger.held
        );
    }

    fn perform_all(&mut self) {
        while !self.held.is_empty() {
            let call = self.held.remove(0);
            assert!(call.may_send(self.now_ms), "rule 1: past send_by");
            let result = self.arrives(&call);
            self.outcome(call, result);
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

/// The status that an answer shows of the attempt, in its JSON or in an error's.
fn shown_status(body: &[u8]) -> &[u8] {
    const BEFORE: &[u8] = br#""status":""#;
    let at = body.windows(BEFORE.len()).position(|window| window == BEFORE);
    let rest = at
        .and_then(|at| body.get(at + BEFORE.len()..))
        .unwrap_or_default();
    rest.split(|byte| *byte == b'"').next().unwrap_or_default()
}
