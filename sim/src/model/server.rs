//! The servers: the loop of `edge-local/src/server.rs` once more, as events. Load, decide, persist, perform, arm, reply.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use pay_once_core::http::{Request, Response};
use pay_once_core::id::AttemptId;
use pay_once_core::machine::{Input, Outcome, Reply, Step, handle};
use pay_once_core::psp::{Call, CallResult};
use pay_once_core::record::Record;
use pay_once_core::request::{Routed, Ticket, route};

use super::store::Swap;
use super::{Event, Http, ReplyTo, Sim, attempt_in};
use crate::met::Sometimes;
use crate::plan::{Host, StoreFault};
use crate::trace::Kind;
use crate::world::EPOCH_MS;

/// How long a server waits for its store, in milliseconds.
const STORE_TIMEOUT_MS: u64 = 300;
/// How much longer a slow store takes, in milliseconds.
const STORE_SLOW_MS: u64 = 500;
/// How late a swap applies whose end is unknown, in milliseconds.
const STORE_LATE_MS: u64 = 1_000;
/// After how long something is tried again on a store that did not answer, in milliseconds.
const AGAIN_MS: u64 = 1_000;
/// How long an outcome is offered to the store, in milliseconds.
const OUTCOME_RETRY_MS: u64 = 60_000;
/// Longest pause between a commit and the sending of what it dispatched, in milliseconds.
const SEND_PAUSE_MS_MAX: u64 = 3;
/// Pause between two scans of the store for timers, in milliseconds.
const SCAN_EVERY_MS: u64 = 30_000;
/// Swaps of one step that may be lost to others.
const CONFLICTS_MAX: u32 = 64;

/// One server process.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) skew_ms: i64,
    /// Which life of the process this is: what an earlier one began is dropped.
    pub(super) epoch: u32,
    pub(super) is_up: bool,
    /// Down without its peers' knowing.
    pub(super) is_silent: bool,
    /// Whose turn it is, and who waits for it.
    turns: BTreeMap<AttemptId, VecDeque<Job>>,
    waiting: BTreeMap<AttemptId, Vec<Waiting>>,
    timers: BTreeMap<AttemptId, u64>,
    calls: BTreeMap<u64, Rc<Call>>,
    numbers: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    ticket: Box<Ticket>,
    reply_to: ReplyTo,
}

/// One input on its way through a server.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) id: AttemptId,
    pub(super) input: Input,
    pub(super) reply_to: ReplyTo,
    conflicts: u32,
    /// When the outcome of a call is no longer offered to the store.
    give_up_ms: u64,
}

impl Job {
    fn new(id: AttemptId, input: Input, reply_to: ReplyTo, now_ms: u64) -> Self {
        Self {
            id,
            input,
            reply_to,
            conflicts: 0,
            give_up_ms: now_ms + OUTCOME_RETRY_MS,
        }
    }
}

/// Where a job stands.
#[derive(Debug)]
pub(crate) enum Work {
    Begin(Job),
    Loaded(Job, Result<Option<Rc<Record>>, ()>),
    Swapped(Job, Box<Step>, Swap, Swapped),
    ReadBack(Job, Box<Step>, Swap, Result<Option<Rc<Record>>, ()>),
    Send(u64, Rc<Call>),
    CallTimeout(u64),
    WaitOver(AttemptId, u64),
    Timer(AttemptId, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swapped {
    Applied,
    Conflict,
    Unknown,
}

impl Server {
    pub(super) fn new(skew_ms: i64) -> Self {
        Self {
            skew_ms,
            epoch: 0,
            is_up: true,
            is_silent: false,
            turns: BTreeMap::new(),
            waiting: BTreeMap::new(),
            timers: BTreeMap::new(),
            calls: BTreeMap::new(),
            numbers: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl Sim<'_> {
    /// A server's clock, in milliseconds since the Unix epoch.
    fn clock_ms(&self, server: usize) -> u64 {
        let skew_ms = self.servers.get(server).map_or(0, |s| s.skew_ms);
        (EPOCH_MS + self.now_ms).saturating_add_signed(skew_ms)
    }

    /// The true time, from the start, at which a server's clock will show `at_ms`.
    fn true_ms(&self, server: usize, at_ms: u64) -> u64 {
        let skew_ms = self.servers.get(server).map_or(0, |s| s.skew_ms);
        at_ms.saturating_add_signed(-skew_ms).saturating_sub(EPOCH_MS)
    }

    fn server(&mut self, server: usize) -> &mut Server {
        // Plans are checked: there is no such server but by a bug of the simulator's.
        #[allow(clippy::indexing_slicing)]
        &mut self.servers[server]
    }

    pub(super) fn request_arrives(&mut self, server: usize, http: Rc<Http>, reply_to: ReplyTo) {
        if let Some(until_ms) = self.faults.paused_until(server, self.now_ms) {
            return self.at(
                until_ms,
                Event::Request {
                    server,
                    http,
                    reply_to,
                },
            );
        }
        if !self.server(server).is_up {
            return;
        }
        let headers: Vec<(&str, &[u8])> = http.headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let request = Request {
            method: http.method,
            target: &http.target,
            headers: &headers,
            body: &http.body,
        };
        match route(&self.config, &request, self.clock_ms(server)) {
            Routed::Reply(response) => self.reply(server, reply_to, response),
            Routed::Attempt { id, input } => {
                let job = Job::new(id, input, reply_to, self.now_ms);
                self.begin(server, job);
            }
        }
    }

    /// Everything that happens inside a server.
    pub(super) fn work(&mut self, server: usize, epoch: u32, work: Work) {
        if self.server(server).epoch != epoch || !self.server(server).is_up {
            if matches!(work, Work::Send(..)) {
                self.met.meet(Sometimes::CrashBetweenPersistAndSend);
            }
            return;
        }
        if let Some(until_ms) = self.faults.paused_until(server, self.now_ms) {
            return self.at(until_ms, Event::Work { server, epoch, work });
        }
        match work {
            Work::Begin(job) => self.take_turn(server, job),
            Work::Loaded(job, record) => self.decide(server, job, record),
            Work::Swapped(job, step, swap, swapped) => self.swapped(server, job, step, swap, swapped),
            Work::ReadBack(job, step, swap, now) => match now {
                Ok(Some(now)) if now.proves_swap_of(&swap.record, swap.expected_version) => {
                    self.carried_out(server, job, *step);
                }
                Ok(_) => self.conflict(server, job),
                Err(()) => self.unavailable(server, job),
            },
            Work::Send(number, call) => self.send(server, number, call),
            Work::CallTimeout(number) => {
                let reason = "no answer in time".to_owned();
                self.call_ended(server, number, CallResult::Unknown { reason });
            }
            Work::WaitOver(id, number) => self.wait_over(server, id, Some(number)),
            Work::Timer(id, at_ms) => {
                if self.server(server).timers.get(&id) == Some(&at_ms) {
                    self.server(server).timers.remove(&id);
                    self.met.meet(Sometimes::TimerFired);
                    let job = Job::new(id, Input::Wake, ReplyTo::Nobody, self.now_ms);
                    self.take_turn(server, job);
                }
            }
        }
    }

    fn after(&mut self, server: usize, at_ms: u64, work: Work) {
        let epoch = self.server(server).epoch;
        self.at(at_ms, Event::Work { server, epoch, work });
    }

    fn take_turn(&mut self, server: usize, job: Job) {
        let turns = &mut self.server(server).turns;
        if let Some(queue) = turns.get_mut(&job.id) {
            queue.push_back(job);
            return;
        }
        turns.insert(job.id, VecDeque::new());
        self.load(server, job);
    }

    fn end_turn(&mut self, server: usize, id: AttemptId) {
        let turns = &mut self.server(server).turns;
        match turns.get_mut(&id).and_then(VecDeque::pop_front) {
            Some(next) => self.load(server, next),
            None => drop(turns.remove(&id)),
        }
    }

    fn load(&mut self, server: usize, job: Job) {
        let id = job.id;
        let (at_ms, record) = self.read_store(server, id);
        self.after(server, at_ms, Work::Loaded(job, record));
    }

    /// A read: when its answer is there, and what it says.
    fn read_store(&mut self, server: usize, id: AttemptId) -> (u64, Result<Option<Rc<Record>>, ()>) {
        let (latency_ms, fault) = self.store_fault();
        let there = self.travel(Host::Server(server), Host::Store);
        let back = self.travel(Host::Store, Host::Server(server));
        match (there, back) {
            (Some(_), Some(back_ms)) if fault != Some(StoreFault::Down) => {
                let at_ms = back_ms + latency_ms;
                if at_ms > self.now_ms + STORE_TIMEOUT_MS {
                    return (self.now_ms + STORE_TIMEOUT_MS, Err(()));
                }
                (at_ms, Ok(self.store.load(id)))
            }
            (Some(_), Some(back_ms)) => {
                self.met.meet(Sometimes::StoreDown);
                (back_ms, Err(()))
            }
            _ => (self.now_ms + STORE_TIMEOUT_MS, Err(())),
        }
    }

    /// The store's latency now, and one fault of those that are on.
    fn store_fault(&mut self) -> (u64, Option<StoreFault>) {
        let (min, max) = self.plan.world.store_ms;
        let mut latency_ms = self.store_draw.between(min, max);
        let mut drawn = None;
        let on: Vec<_> = self.faults.store_now(self.now_ms).collect();
        for (fault, permille) in on {
            if self.store_draw.chance(permille) {
                if fault == StoreFault::Slow {
                    latency_ms += STORE_SLOW_MS;
                } else {
                    drawn = drawn.or(Some(fault));
                }
            }
        }
        (latency_ms, drawn)
    }

    fn decide(&mut self, server: usize, job: Job, record: Result<Option<Rc<Record>>, ()>) {
        let Ok(record) = record else {
            return self.unavailable(server, job);
        };
        let (now_ms, entropy) = (self.clock_ms(server), self.fresh_entropy());
        match handle(
            &self.config,
            job.id,
            record.as_deref(),
            &job.input,
            now_ms,
            entropy,
        ) {
            Err(why) => {
                let response = job.input.record_refused(&why);
                self.broken.push(format!("{}: {why}", job.id));
                self.end_turn(server, job.id);
                if let Some(response) = response {
                    self.reply(server, job.reply_to, response);
                }
            }
            Ok(step) if step.write.is_none() => self.carried_out(server, job, step),
            Ok(step) => self.swap(server, job, step),
        }
    }

    fn swap(&mut self, server: usize, job: Job, mut step: Step) {
        // The record is shared with the store; what carries out later needs only the wake-up.
        let Some(write) = step.write.take() else { return };
        step.wake_at_ms = write.wake_at_ms;
        let swap = Swap {
            expected_version: write.expected_version,
            record: Rc::new(write.record),
            wake_at_ms: write.wake_at_ms,
        };
        let (at_ms, swapped) = self.offer(server, job.id, &swap);
        let label = match swapped {
            Swapped::Applied => "",
            Swapped::Conflict => " (conflict)",
            Swapped::Unknown => " (ended unknown)",
        };
        self.message(Host::Server(server), Host::Store, Some(at_ms), || {
            format!("{}: version {}{label}", job.id, swap.record.version())
        });
        self.after(server, at_ms, Work::Swapped(job, Box::new(step), swap, swapped));
    }

    /// A swap: when its server learns of its end, and what it learns.
    fn offer(&mut self, server: usize, id: AttemptId, swap: &Swap) -> (u64, Swapped) {
        let (latency_ms, fault) = self.store_fault();
        let there = self.travel(Host::Server(server), Host::Store);
        let back = self.travel(Host::Store, Host::Server(server));
        let timeout_ms = self.now_ms + STORE_TIMEOUT_MS;
        match (there, fault) {
            (None, _) => (timeout_ms, Swapped::Unknown),
            (Some(at_ms), Some(StoreFault::Down)) => {
                self.met.meet(Sometimes::StoreDown);
                (at_ms, Swapped::Unknown)
            }
            (Some(_), Some(StoreFault::LostUnknown)) => {
                self.met.meet(Sometimes::SwapLostUnknown);
                (timeout_ms, Swapped::Unknown)
            }
            (Some(_), Some(StoreFault::LateUnknown)) => {
                let (at_ms, swap) = (self.now_ms + STORE_LATE_MS, swap.clone());
                self.at(at_ms, Event::LateSwap { id, swap });
                (timeout_ms, Swapped::Unknown)
            }
            (Some(_), _) => {
                let applied = self.apply(id, swap);
                let learnt_ms = back.map(|back_ms| back_ms + latency_ms);
                match learnt_ms.filter(|at_ms| fault.is_none() && *at_ms <= timeout_ms) {
                    Some(at_ms) if applied => (at_ms, Swapped::Applied),
                    Some(at_ms) => (at_ms, Swapped::Conflict),
                    None => {
                        if applied {
                            self.met.meet(Sometimes::SwapAppliedUnknown);
                        }
                        (timeout_ms, Swapped::Unknown)
                    }
                }
            }
        }
    }

    fn apply(&mut self, id: AttemptId, swap: &Swap) -> bool {
        let applied = self.store.swap(id, swap);
        if applied {
            let status = swap.record.state().status;
            self.note(Host::Store, Kind::Write, || {
                format!("{id}: version {} {status:?}", swap.record.version())
            });
        }
        applied
    }

    pub(super) fn late_swap(&mut self, id: AttemptId, swap: Swap) {
        if self.apply(id, &swap) {
            self.met.meet(Sometimes::SwapAppliedLate);
        }
    }

    fn swapped(&mut self, server: usize, job: Job, step: Box<Step>, swap: Swap, swapped: Swapped) {
        match swapped {
            Swapped::Applied => self.written(server, job, *step),
            Swapped::Conflict => self.conflict(server, job),
            Swapped::Unknown => {
                if let Some(at_ms) = step.wake_at_ms {
                    self.sooner(server, job.id, at_ms);
                }
                let (at_ms, now) = self.read_store(server, job.id);
                self.after(server, at_ms, Work::ReadBack(job, step, swap, now));
            }
        }
    }

    fn conflict(&mut self, server: usize, mut job: Job) {
        self.met.meet(Sometimes::SwapConflict);
        job.conflicts += 1;
        if job.conflicts >= CONFLICTS_MAX {
            return self.unavailable(server, job);
        }
        self.load(server, job);
    }

    /// It is durable: arm, tell whoever waits, perform, reply.
    fn written(&mut self, server: usize, job: Job, mut step: Step) {
        let id = job.id;
        self.set_timer(server, id, step.wake_at_ms.take());
        self.carried_out(server, job, step);
        self.wait_over(server, id, None);
    }

    fn carried_out(&mut self, server: usize, job: Job, step: Step) {
        match step.wake_at_ms {
            Some(at_ms) if step.calls.is_empty() => self.sooner(server, job.id, at_ms),
            Some(at_ms) => self.set_timer(server, job.id, Some(at_ms)),
            None => {}
        }
        for call in step.calls {
            let number = self.server(server).number();
            // The task that sends comes to its turn a moment later: a process can end in between.
            let at_ms = self.now_ms + self.net_draw.between(0, SEND_PAUSE_MS_MAX);
            self.after(server, at_ms, Work::Send(number, Rc::new(call)));
        }
        self.end_turn(server, job.id);
        match step.reply {
            Reply::Nothing => {}
            Reply::Now(response) => self.reply(server, job.reply_to, response),
            Reply::Wait { until_ms, ticket } => {
                let number = self.server(server).number();
                let (id, reply_to) = (job.id, job.reply_to);
                let until_ms = self.true_ms(server, until_ms);
                let waiting = Waiting {
                    number,
                    ticket,
                    reply_to,
                };
                self.server(server).waiting.entry(id).or_default().push(waiting);
                self.after(server, until_ms, Work::WaitOver(id, number));
            }
        }
    }

    /// Tickets are handed in again: one whose time is over, or all as the record has changed.
    fn wait_over(&mut self, server: usize, id: AttemptId, number: Option<u64>) {
        let Some(all) = self.server(server).waiting.remove(&id) else {
            return;
        };
        let (now, later): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|waiting| number.is_none_or(|number| number == waiting.number));
        if !later.is_empty() {
            self.server(server).waiting.insert(id, later);
        }
        for waiting in now {
            let job = Job::new(id, Input::Request(waiting.ticket), waiting.reply_to, self.now_ms);
            self.take_turn(server, job);
        }
    }

    /// The store did not answer: whoever asks is told so, what must not be lost is tried again.
    fn unavailable(&mut self, server: usize, job: Job) {
        self.end_turn(server, job.id);
        match &job.input {
            Input::Wake => {
                let again_ms = self.clock_ms(server) + AGAIN_MS;
                self.sooner(server, job.id, again_ms);
            }
            Input::Outcome(_) if self.now_ms < job.give_up_ms => {
                let at_ms = self.now_ms + AGAIN_MS / 4;
                self.after(server, at_ms, Work::Begin(Job { conflicts: 0, ..job }));
            }
            Input::Outcome(_) => {}
            Input::Request(_) | Input::Webhook(_) => {
                if let Some(response) = job.input.store_unavailable() {
                    self.reply(server, job.reply_to, response);
                }
            }
        }
    }

    fn reply(&mut self, server: usize, reply_to: ReplyTo, response: Response) {
        if matches!(reply_to, ReplyTo::Nobody) {
            return;
        }
        let arrives = self.travel(Host::Server(server), Host::Balancer);
        let (whose, status) = (self.whose(&reply_to), response.status);
        self.message(Host::Server(server), Host::Balancer, arrives, || {
            format!("{whose}{status}")
        });
        let Some(at_ms) = arrives else { return };
        let is_replay = response.header("Idempotency-Replayed") == Some("true");
        self.at(
            at_ms,
            Event::Answer {
                reply_to,
                status,
                is_replay,
                body: response.body,
            },
        );
    }

    /// Whose payment an answer is about, in front of its line of the trace.
    fn whose(&self, reply_to: &ReplyTo) -> String {
        if self.trace.is_none() {
            return String::new();
        }
        match reply_to {
            ReplyTo::Client(number) => match self.heard.get(*number) {
                Some(heard) if heard.ask.key.is_empty() => format!("{}: ", heard.ask.target),
                Some(heard) => format!("{}: ", heard.ask.key),
                None => String::new(),
            },
            ReplyTo::Psp { webhook, .. } => format!("{}webhook: ", attempt_in(&webhook.body)),
            ReplyTo::Forger | ReplyTo::Nobody => String::new(),
        }
    }

    fn set_timer(&mut self, server: usize, id: AttemptId, at_ms: Option<u64>) {
        match at_ms {
            None => drop(self.server(server).timers.remove(&id)),
            Some(at_ms) => {
                if self.server(server).timers.insert(id, at_ms) != Some(at_ms) {
                    let due_ms = self.true_ms(server, at_ms);
                    self.after(server, due_ms, Work::Timer(id, at_ms));
                }
            }
        }
    }

    fn sooner(&mut self, server: usize, id: AttemptId, at_ms: u64) {
        let known = self.server(server).timers.get(&id).copied();
        if known.is_none_or(|known_ms| at_ms < known_ms) {
            self.set_timer(server, id, Some(at_ms));
        }
    }

    /// Rule 1: whether the call may still be sent is looked at right before.
    fn send(&mut self, server: usize, number: u64, call: Rc<Call>) {
        self.server(server).calls.insert(number, Rc::clone(&call));
        if !call.may_send(self.clock_ms(server)) {
            self.met.meet(Sometimes::SendWindowMissed);
            let reason = "its time to be sent had passed".to_owned();
            return self.call_ended(server, number, CallResult::NotSent { reason });
        }
        if self.faults.is_cut(Host::Server(server), Host::Psp, self.now_ms) && self.net_draw.chance(700) {
            let reason = "no connection".to_owned();
            return self.call_ended(server, number, CallResult::NotSent { reason });
        }
        let timeout_ms = self.now_ms + call.timeout_ms;
        self.after(server, timeout_ms, Work::CallTimeout(number));
        let arrives = self.travel(Host::Server(server), Host::Psp);
        self.message(Host::Server(server), Host::Psp, arrives, || {
            format!("{}: {} {}", call.attempt, call.http.method, call.http.url)
        });
        if let Some(at_ms) = arrives {
            let epoch = self.server(server).epoch;
            self.at(
                at_ms,
                Event::PspArrives {
                    server,
                    epoch,
                    number,
                    call,
                },
            );
        }
    }

    pub(super) fn psp_answers(&mut self, server: usize, epoch: u32, number: u64, result: CallResult) {
        if self.server(server).epoch != epoch {
            self.met.meet(Sometimes::CrashBetweenEffectAndPersist);
            return;
        }
        if let Some(until_ms) = self.faults.paused_until(server, self.now_ms) {
            return self.at(
                until_ms,
                Event::PspAnswers {
                    server,
                    epoch,
                    number,
                    result,
                },
            );
        }
        self.call_ended(server, number, result);
    }

    /// Whatever came first: the answer, or the end of waiting for it.
    fn call_ended(&mut self, server: usize, number: u64, result: CallResult) {
        let Some(call) = self.server(server).calls.remove(&number) else {
            return;
        };
        let (id, call) = (call.attempt, Call::clone(&call));
        let input = Input::Outcome(Box::new(Outcome { call, result }));
        let job = Job::new(id, input, ReplyTo::Nobody, self.now_ms);
        self.take_turn(server, job);
    }

    pub(super) fn crash(&mut self, server: usize, silent: bool, back_ms: u64) {
        let skew_ms = self.server(server).skew_ms;
        let epoch = self.server(server).epoch + 1;
        *self.server(server) = Server {
            epoch,
            is_up: false,
            is_silent: silent,
            ..Server::new(skew_ms)
        };
        self.at(back_ms, Event::Restart(server));
        self.note(Host::Server(server), Kind::Fault, || {
            if silent { "loses power" } else { "is killed" }.to_owned()
        });
    }

    pub(super) fn restart(&mut self, server: usize) {
        if self.server(server).is_up {
            return;
        }
        self.server(server).is_up = true;
        let epoch = self.server(server).epoch;
        self.note(Host::Server(server), Kind::Fault, || "starts again".to_owned());
        self.at(self.now_ms, Event::Scan { server, epoch });
    }

    /// Finds the timers of attempts that nobody here knows of.
    pub(super) fn scan(&mut self, server: usize, epoch: u32) {
        if self.server(server).epoch != epoch || !self.server(server).is_up {
            return;
        }
        let due = self.store.due();
        // Scans alone do not keep a run going.
        if !due.is_empty() || self.now_ms < self.plan.world.heal_ms {
            self.at(self.now_ms + SCAN_EVERY_MS, Event::Scan { server, epoch });
        }
        for (id, at_ms) in due {
            if !self.server(server).timers.contains_key(&id) {
                if epoch > 0 {
                    self.met.meet(Sometimes::RecoveredAfterRestart);
                }
                self.set_timer(server, id, Some(at_ms));
            }
        }
    }
}
