//! The servers: what the loop of core ([`Turn`]) asks for, as events.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use pay_once_core::journal::entry::{Conclusion, Fact};
use pay_once_core::{
    Action, AttemptId, Call, CallResult, Millis, Note, Record, RecordVersion, Request, Response, SearchError,
    Swapped, Turn, UnixMillis, Write,
};

use super::process::Asked;
use super::store::Swap;
use super::{Event, Http, ReplyTo, Sim, attempt_in};
use crate::met::Sometimes;
use crate::plan::{Host, Shape};

/// Longest pause between a commit and the sending of what it dispatched, in milliseconds.
const SEND_PAUSE_MS_MAX: u64 = 3;

/// How long a step is put off for which there is no place, in milliseconds, at least and at most.
const NO_PLACE_MS_MIN: u64 = 1_000;
const NO_PLACE_MS_MAX: u64 = 1_500;

/// A turn that waits for news of its attempt.
#[derive(Debug)]
pub(super) struct Waiting {
    number: u64,
    job: Box<Job>,
}

/// One input on its way through a server.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) turn: Turn,
    pub(super) reply_to: ReplyTo,
    /// The request, and when its time began by its server's clock.
    pub(super) http: Option<(Rc<Http>, UnixMillis)>,
    /// Whether nobody else of this server may work on the attempt.
    is_alone: bool,
    /// By what clock the look was asked for that it is about.
    pub(super) asked: Option<Asked>,
    /// The clock of its decision.
    decided: Asked,
    /// Until when a sweep has taken the attempt up, by the clock of its instance.
    pub(super) taken_ms: Option<UnixMillis>,
    /// When the alarm was due that this job handles.
    pub(super) alarm_ms: Option<UnixMillis>,
    /// Whether it has written.
    has_written: bool,
    /// When it wants the attempt to be woken, if it has not written.
    wake_at_ms: Option<UnixMillis>,
}

impl Job {
    pub(super) fn new(turn: Turn, reply_to: ReplyTo) -> Box<Self> {
        Box::new(Self {
            turn,
            reply_to,
            http: None,
            is_alone: false,
            asked: None,
            decided: Asked::default(),
            taken_ms: None,
            alarm_ms: None,
            has_written: false,
            wake_at_ms: None,
        })
    }
}

/// Where a job stands.
#[derive(Debug)]
pub(crate) enum Work {
    /// A request comes to its attempt's object, so long after it came to the first server.
    Handed(Rc<Http>, ReplyTo, u64),
    Woken(Box<Job>),
    Reply(ReplyTo, Response),
    Loaded(Box<Job>, Result<Option<Arc<Record>>, ()>),
    Swapped(Box<Job>, Swapped),
    Send(u64, Rc<Call>),
    CallTimeout(u64),
    WaitOver(AttemptId, u64),
    Timer(AttemptId, UnixMillis),
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
        let now_ms = self.clock_ms(server);
        let mut turn = self.routed(&http, now_ms);
        if self.offer_copy(server, &mut turn) {
            return self.advance(server, Job::new(turn, reply_to));
        }
        if self.plan.world.shape == Shape::Instances {
            turn = turn.polling();
            self.sweep_behind(server);
        }
        let mut job = Job::new(turn, reply_to);
        job.http = Some((http, now_ms));
        self.hand_on(server, job);
    }

    /// A request whose time began at `since_ms`, by the clock of the server that reads it.
    pub(super) fn routed(&self, http: &Http, since_ms: UnixMillis) -> Turn {
        let headers: Vec<(&str, &[u8])> = http.headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let request = Request {
            method: http.method,
            target: &http.target,
            headers: &headers,
            body: &http.body,
        };
        Turn::request(&self.config, &request, since_ms)
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
        if matches!(work, Work::Loaded(..) | Work::Swapped(..)) && self.dies(server) {
            return;
        }
        match work {
            Work::Handed(http, reply_to, spent_ms) => {
                let since_ms = self.clock_ms(server) - Millis::new(spent_ms);
                let turn = self.routed(&http, since_ms);
                self.advance(server, Job::new(turn, reply_to));
            }
            Work::Reply(reply_to, response) => self.reply(server, reply_to, response),
            Work::Woken(mut job) => {
                job.turn.woken();
                self.advance(server, job);
            }
            Work::Loaded(job, record) => self.loaded(server, job, record),
            Work::Swapped(mut job, swapped) => {
                if swapped == Swapped::Conflict {
                    self.met.meet(Sometimes::SwapConflict);
                }
                job.turn.swapped(swapped, self.clock_ms(server));
                self.advance(server, job);
            }
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
                    self.advance(server, self.woken(Turn::wake(id)));
                }
            }
        }
    }

    /// Carries a turn on until it waits for something or has ended.
    pub(super) fn advance(&mut self, server: usize, mut job: Box<Job>) {
        loop {
            let now_ms = self.clock_ms(server);
            let at = self.server(server);
            match job.turn.next(now_ms, &mut at.questions) {
                Action::Read(call) => return self.read_event(server, job, *call),
                // No client of the model searches.
                Action::Search(_) => {
                    let why = SearchError::Unsupported("the model has no index");
                    job.turn.found(&self.config, Err(why), now_ms);
                }
                Action::Load if self.plan.world.shape == Shape::Objects => {
                    self.load_at_once(server, &mut job)
                }
                Action::Load => return self.load(server, job),
                Action::Swap if self.plan.world.shape == Shape::Objects => match self.put(server, &mut job) {
                    Some(at_ms) => return self.after(server, at_ms, Work::Swapped(job, Swapped::Applied)),
                    None => continue,
                },
                Action::Swap => return self.swap(server, job),
                Action::Committed(write) => {
                    job.has_written = true;
                    self.committed(server, &write);
                }
                Action::Perform(call) => {
                    let asked = job.decided;
                    self.perform(server, *call, asked);
                }
                Action::Arm { at_ms, is_latest } => {
                    job.wake_at_ms = Some(at_ms);
                    self.arm(server, &job, at_ms, is_latest);
                }
                Action::Note(Note::RecordRefused(why)) => {
                    self.broken.push(format!("{:?}: {why}", job.turn.id()));
                }
                Action::Note(Note::ProofHeldBack) => self.met.meet(Sometimes::ProofHeldBack),
                Action::Note(_) => {}
                Action::Wait { until_ms } => return self.wait(server, job, until_ms),
                Action::Pause { until_ms } => {
                    self.end_turn(server, &mut job);
                    let until_ms = self.true_ms(server, until_ms);
                    return self.after(server, until_ms, Work::Woken(job));
                }
                Action::Reply(response) => {
                    let reply_to = job.reply_to.clone();
                    self.reply(server, reply_to, response);
                }
                Action::Done => {
                    self.swept(&job);
                    self.alarm_ends(server, &job);
                    return self.end_turn(server, &mut job);
                }
            }
        }
    }

    /// An event that names an object and no attempt: the object is read first.
    fn read_event(&mut self, server: usize, job: Box<Job>, call: Call) {
        self.met.meet(Sometimes::EventRead);
        let number = self.server(server).number();
        self.server(server).reads.insert(number, job);
        self.send(server, number, Rc::new(call));
    }

    pub(super) fn event_was_read(&mut self, server: usize, mut job: Box<Job>, result: &CallResult) {
        let now_ms = self.clock_ms(server);
        job.turn.read(&self.config, result, now_ms);
        self.hand_on(server, job);
    }

    fn load(&mut self, server: usize, mut job: Box<Job>) {
        let Some(id) = job.turn.id() else { return };
        if !job.is_alone && self.plan.world.shape == Shape::Servers {
            let turns = &mut self.server(server).turns;
            if let Some(queue) = turns.get_mut(&id) {
                queue.push_back(job);
                return;
            }
            turns.insert(id, VecDeque::new());
            job.is_alone = true;
        }
        let (at_ms, record) = self.read_store(server, id);
        self.after(server, at_ms, Work::Loaded(job, record));
    }

    fn end_turn(&mut self, server: usize, job: &mut Job) {
        let (Some(id), true) = (job.turn.id(), std::mem::take(&mut job.is_alone)) else {
            return;
        };
        let turns = &mut self.server(server).turns;
        match turns.get_mut(&id).and_then(VecDeque::pop_front) {
            Some(mut next) => {
                next.is_alone = true;
                self.load(server, next);
            }
            None => drop(turns.remove(&id)),
        }
    }

    fn loaded(&mut self, server: usize, mut job: Box<Job>, record: Result<Option<Arc<Record>>, ()>) {
        let (now, entropy) = (self.clock(server), self.fresh_entropy());
        job.decided = self.asked_now(server);
        match record {
            Ok(record) => job.turn.loaded(&self.config, record.as_deref(), now, entropy),
            Err(()) => job.turn.store_failed(now.at_ms),
        }
        self.take_place(&mut job, now.at_ms);
        self.judge_absence(server, &job);
        self.advance(server, job);
    }

    /// A place for the call of the decided step, before anything of the step is written. Without one the step is put off.
    fn take_place(&mut self, job: &mut Job, now_ms: UnixMillis) {
        let permille = self.plan.world.no_place_permille;
        let is_asked = self.now_ms < self.plan.world.heal_ms && job.turn.psp_to_call().is_some();
        if is_asked && self.places.chance(permille) {
            let pause_ms = self.places.between(NO_PLACE_MS_MIN, NO_PLACE_MS_MAX);
            job.turn.put_off(now_ms + Millis::new(pause_ms), now_ms);
            self.met.meet(Sometimes::PutOff);
        }
    }

    /// Rule 6: no absence is concluded from a look whose clock was in doubt, or is contradicted by the `Date` of the look's answer.
    fn judge_absence(&mut self, server: usize, job: &Job) {
        let (Some(asked), Some(write)) = (job.asked, job.turn.write()) else {
            return;
        };
        let is_absence = |conclusion: &Conclusion| match conclusion {
            Conclusion::NoEffect { .. } => true,
            Conclusion::NotCarriedOut { code, .. } => code == "abandoned",
            _ => false,
        };
        let from = write.expected_version.map_or(0, RecordVersion::entries);
        let mut new = write.record.entries().iter().skip(from);
        let concludes =
            new.any(|entry| matches!(&entry.fact, Fact::Inferred { conclusion } if is_absence(conclusion)));
        // What the answer itself leaves open: its second, and the time that it took.
        let shows_ms = self.plan.world.declared.skew_ms + 1_000 + asked.took_ms;
        let is_contradicted = asked.has_date && asked.wrong_ms > shows_ms;
        if concludes && (asked.is_untold || is_contradicted) {
            let id = write.record.id();
            self.broken.push(format!(
                "{id}: server {server} concluded absence from a look by a clock that was in doubt or wrong: {asked:?}"
            ));
        }
    }

    fn swap(&mut self, server: usize, job: Box<Job>) {
        let (Some(id), Some(write)) = (job.turn.id(), job.turn.write()) else {
            return;
        };
        let swap = Swap {
            expected_version: write.expected_version,
            record: Arc::clone(&write.record),
            wake_at_ms: write.wake_at_ms,
        };
        let (at_ms, swapped) = self.offer(server, id, &swap);
        let label = match swapped {
            Swapped::Applied => "",
            Swapped::Conflict => " (conflict)",
            Swapped::Unknown => " (ended unknown)",
        };
        self.message(Host::Server(server), Host::Store, Some(at_ms), || {
            format!("{id}: version {}{label}", swap.record.version())
        });
        self.after(server, at_ms, Work::Swapped(job, swapped));
    }

    /// It is durable: arm, and tell whoever waits.
    fn committed(&mut self, server: usize, write: &Write) {
        let id = write.record.id();
        self.keep_copy(id, &write.record);
        match self.plan.world.shape {
            Shape::Servers => self.set_timer(server, id, write.wake_at_ms),
            // Its alarm has come with the write.
            Shape::Objects => {}
            // It does not learn of others' writes, nor they of its.
            Shape::Instances => return self.set_near(server, id, write.wake_at_ms),
        }
        self.wait_over(server, id, None);
    }

    fn arm(&mut self, server: usize, job: &Job, at_ms: UnixMillis, is_latest: bool) {
        let Some(id) = job.turn.id() else { return };
        match self.plan.world.shape {
            Shape::Servers if is_latest => self.set_timer(server, id, Some(at_ms)),
            Shape::Servers => self.sooner(server, id, at_ms),
            Shape::Objects => self.alarm_sooner(id, at_ms),
            // What comes of its calls arms it.
            Shape::Instances if is_latest => {}
            Shape::Instances => self.set_near(server, id, Some(at_ms)),
        }
    }

    /// After a sweep: what was not written is to be found when its time comes.
    fn swept(&mut self, job: &Job) {
        let (Some(id), Some(taken_ms)) = (job.turn.id(), job.taken_ms) else {
            return;
        };
        if !job.has_written {
            self.store.move_wake(id, Some(taken_ms), job.wake_at_ms);
        }
    }

    fn perform(&mut self, server: usize, call: Call, asked: Asked) {
        if call.moves_money {
            self.stand_still(server, false);
        }
        let number = self.server(server).number();
        let reading = self.reading(server);
        self.server(server).sent.insert(number, (reading, asked));
        // The task that sends comes to its turn a moment later: a process can end in between.
        let at_ms = self.now_ms + self.net_draw.between(0, SEND_PAUSE_MS_MAX);
        let at_ms = at_ms.max(self.synced_ms(server, call.attempt));
        self.after(server, at_ms, Work::Send(number, Rc::new(call)));
    }

    fn wait(&mut self, server: usize, mut job: Box<Job>, until_ms: UnixMillis) {
        let Some(id) = job.turn.id() else { return };
        self.end_turn(server, &mut job);
        let number = self.server(server).number();
        let until_ms = self.true_ms(server, until_ms);
        self.server(server)
            .waiting
            .entry(id)
            .or_default()
            .push(Waiting { number, job });
        self.after(server, until_ms, Work::WaitOver(id, number));
    }

    /// Turns look again: one whose time is over, or all as the record has changed.
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
        for Waiting { mut job, .. } in now {
            job.turn.woken();
            self.advance(server, job);
        }
    }

    fn reply(&mut self, server: usize, reply_to: ReplyTo, response: Response) {
        if matches!(reply_to, ReplyTo::Nobody) {
            return;
        }
        // No answer leaves an object before what it wrote is on disk.
        let synced_ms = self.synced_ms(server, None);
        if synced_ms > self.now_ms {
            return self.after(server, synced_ms, Work::Reply(reply_to, response));
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
