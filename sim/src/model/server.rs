//! The servers: the loop of `edge-local/src/server.rs` once more, as events. Load, decide, persist, perform, arm, reply.

use std::collections::VecDeque;
use std::rc::Rc;

use pay_once::server::AGAIN_MS;
use pay_once_core::http::{Request, Response};
use pay_once_core::id::AttemptId;
use pay_once_core::limits::OUTCOME_RETRY_MS;
use pay_once_core::machine::{Input, Reply, Step, handle};
use pay_once_core::psp::{Call, CallResult};
use pay_once_core::record::Record;
use pay_once_core::request::{EventRead, Routed, Ticket, event_read, route};
use pay_once_core::store::{Patience, Swapped};

use super::store::Swap;
use super::{Event, Http, ReplyTo, Sim, attempt_in};
use crate::met::Sometimes;
use crate::plan::Host;

/// Longest pause between a commit and the sending of what it dispatched, in milliseconds.
const SEND_PAUSE_MS_MAX: u64 = 3;

#[derive(Debug)]
pub(super) struct Waiting {
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
    patience: Patience,
    /// When the outcome of a call is no longer offered to the store.
    give_up_ms: u64,
}

impl Job {
    pub(super) fn new(id: AttemptId, input: Input, reply_to: ReplyTo, now_ms: u64) -> Self {
        Self {
            id,
            input,
            reply_to,
            patience: Patience::default(),
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

impl Sim<'_> {
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
                if let Some(response) = self.answer_of_copy(server, id, &input) {
                    return self.reply(server, reply_to, response);
                }
                let job = Job::new(id, input, reply_to, self.now_ms);
                self.begin(server, job);
            }
            Routed::Read(read) => self.read_event(server, *read, reply_to),
        }
    }

    /// An event that names an object and no attempt: the object is read first.
    fn read_event(&mut self, server: usize, read: EventRead, reply_to: ReplyTo) {
        self.met.meet(Sometimes::EventRead);
        let number = self.server(server).number();
        let call = Rc::new(read.call.clone());
        self.server(server).reads.insert(number, (read, reply_to));
        self.send(server, number, call);
    }

    pub(super) fn event_was_read(
        &mut self,
        server: usize,
        read: EventRead,
        result: &CallResult,
        reply_to: ReplyTo,
    ) {
        let now_ms = self.clock_ms(server);
        match event_read(&self.config, read, result, now_ms).0 {
            Routed::Reply(response) => self.reply(server, reply_to, response),
            Routed::Attempt { id, input } => {
                let job = Job::new(id, input, reply_to, self.now_ms);
                self.begin(server, job);
            }
            Routed::Read(next) => self.read_event(server, *next, reply_to),
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
                Ok(now) => match Swapped::read_back(now.as_deref(), &swap.record, swap.expected_version) {
                    Swapped::Applied => self.carried_out(server, job, *step),
                    not_applied => self.again(server, job, not_applied),
                },
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

    pub(super) fn take_turn(&mut self, server: usize, job: Job) {
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

    fn swapped(&mut self, server: usize, job: Job, step: Box<Step>, swap: Swap, swapped: Swapped) {
        match swapped {
            Swapped::Applied => self.written(server, job, *step, &swap.record),
            Swapped::Conflict => self.again(server, job, swapped),
            Swapped::Unknown => {
                if let Some(at_ms) = step.wake_at_ms {
                    self.sooner(server, job.id, at_ms);
                }
                let (at_ms, now) = self.read_store(server, job.id);
                self.after(server, at_ms, Work::ReadBack(job, step, swap, now));
            }
        }
    }

    fn again(&mut self, server: usize, mut job: Job, swapped: Swapped) {
        if swapped == Swapped::Conflict {
            self.met.meet(Sometimes::SwapConflict);
        }
        if job.patience.ended_by(swapped).is_some() {
            return self.unavailable(server, job);
        }
        self.load(server, job);
    }

    /// It is durable: arm, tell whoever waits, perform, reply.
    fn written(&mut self, server: usize, job: Job, mut step: Step, record: &Rc<Record>) {
        let id = job.id;
        self.keep_copy(id, record);
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
        let clock_ms = self.clock_ms(server);
        for call in step.calls {
            if !self.server(server).questions.may_ask(&call, clock_ms) {
                continue;
            }
            if call.moves_money {
                self.stand_still(server, false);
            }
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
                self.after(
                    server,
                    at_ms,
                    Work::Begin(Job {
                        patience: Patience::default(),
                        ..job
                    }),
                );
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
            let words = match status {
                400.. => String::from_utf8_lossy(&response.body),
                _ => "".into(),
            };
            format!("{whose}{status} {words}").trim_end().to_owned()
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
        if !self.trace.is_asked_for() {
            return String::new();
        }
        match reply_to {
            ReplyTo::Client(number) => match self.heard.get(*number) {
                Some(heard) if heard.ask.key.is_empty() => format!("{}: ", heard.ask.target),
                Some(heard) => format!("{}: ", heard.ask.key),
                None => String::new(),
            },
            ReplyTo::Psp { webhook, .. } => format!("{}webhook: ", attempt_in(&webhook.body)),
            ReplyTo::Forger { .. } | ReplyTo::Nobody => String::new(),
        }
    }
}
