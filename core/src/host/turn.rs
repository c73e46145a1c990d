//! The loop of every adapter, without I/O: load, decide, swap, perform, arm, reply.
//!
//! A [`Turn`] carries one input through. [`Turn::next`] says what to do next, and the adapter reports what came of it. The turn
//! decides the order, how often a swap is tried again, what a swap of unknown outcome came to, what happens to an outcome that
//! cannot be stored, and when a waiting request looks again. The adapter does the I/O and nothing else:
//!
//! | action | the adapter | and then calls |
//! |---|---|---|
//! | [`Action::Read`] | sends the call | [`Turn::read`] |
//! | [`Action::Search`] | searches the store | [`Turn::found`] |
//! | [`Action::Load`] | reads the record | [`Turn::loaded`], [`Turn::refused`] or [`Turn::store_failed`] |
//! | [`Action::Swap`] | swaps [`Turn::write`] | [`Turn::swapped`] or [`Turn::store_failed`] |
//! | [`Action::Committed`] | sets the attempt's timer, tells those who wait for the attempt, writes its log line | |
//! | [`Action::Perform`] | sends the call behind the turn; makes what comes of it another turn ([`Turn::outcome`]) | |
//! | [`Action::Arm`] | moves the attempt's timer | |
//! | [`Action::Note`] | tells operators | |
//! | [`Action::Wait`], [`Action::Pause`] | waits | [`Turn::woken`] |
//! | [`Action::Reply`] | answers whoever asked | |
//! | [`Action::Done`] | ends | |
//!
//! From its first [`Action::Swap`] on, a turn is carried to its end although its client may hang up: a dispatch that is durable
//! must be sent.

mod put_off;

use std::collections::VecDeque;

use super::action::{Action, Note};
use super::phase::Phase;
use super::store::{RetryBudget, Swapped};
use crate::base::clock::Now;
use crate::base::config::Config;
use crate::base::http::{Request, Response};
use crate::base::id::{AttemptId, Entropy};
use crate::base::limits::{
    ASKED_ABOUT_MS, LOOK_PAUSE_FIRST_MS, LOOK_PAUSE_MAX_MS, OUTCOME_PAUSE_FIRST_MS, OUTCOME_RETRY_MS,
    RECORD_REFUSED_RETRY_MS, STORE_FAILED_RETRY_MS,
};
use crate::base::time::{Millis, UnixMillis};
use crate::base::trace::TraceParent;
use crate::contract::search::{Found, SearchError};
use crate::journal::record::{Record, RecordError};
use crate::machine::event::event_read;
use crate::machine::handle::{finalized, handle, may_be_finalized};
use crate::machine::route::route;
use crate::machine::routed::Routed;
use crate::machine::step::{Input, Outcome, Reply, Step, Write};
use crate::psp::call::{Call, CallResult};
use crate::psp::questions::Questions;

/// One input on its way to its end.
#[derive(Clone, Debug)]
pub struct Turn {
    id: Option<AttemptId>,
    input: Input,
    phase: Phase,
    budget: RetryBudget,
    write: Option<Write>,
    calls: VecDeque<Call>,
    /// The decided step can no longer be put off: its write is durable.
    is_durable: bool,
    arm: Option<(UnixMillis, bool)>,
    reply: Reply,
    notes: VecDeque<Note>,
    trace: Option<TraceParent>,
    is_reported: bool,
    is_held_back: bool,
    /// When an outcome is no longer offered to a store that does not answer, in milliseconds since the Unix epoch.
    give_up_ms: UnixMillis,
    outcome_pause_ms: Millis,
    /// The next pause of a request whose host learns of no change. `None`: it learns of each.
    look_pause_ms: Option<Millis>,
}

impl Turn {
    /// A request that arrived at `now_ms`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn request(config: &Config, request: &Request<'_>, now_ms: UnixMillis) -> Self {
        let mut turn = Self::new(None, Input::Wake);
        turn.trace = TraceParent::of_request(request);
        turn.routed(route(config, request, now_ms));
        turn
    }

    /// What came of a call of an attempt at `now_ms`. `None`: the call is of no attempt.
    #[must_use]
    pub fn outcome(call: Call, result: CallResult, now_ms: UnixMillis) -> Option<Self> {
        let id = call.attempt?;
        let trace = call.trace();
        let mut turn = Self::new(Some(id), Input::Outcome(Box::new(Outcome { call, result })));
        turn.trace = trace;
        turn.give_up_ms = now_ms + OUTCOME_RETRY_MS;
        Some(turn)
    }

    /// The timer of an attempt went off, or the attempt was found with a due time in the past.
    #[must_use]
    pub fn wake(id: AttemptId) -> Self {
        Self::new(Some(id), Input::Wake)
    }

    /// An input that is routed already.
    #[must_use]
    pub fn of(id: AttemptId, input: Input) -> Self {
        Self::new(Some(id), input)
    }

    fn new(id: Option<AttemptId>, input: Input) -> Self {
        Self {
            id,
            input,
            phase: Phase::Load,
            budget: RetryBudget::default(),
            write: None,
            calls: VecDeque::new(),
            is_durable: false,
            arm: None,
            reply: Reply::Nothing,
            notes: VecDeque::new(),
            trace: None,
            is_reported: false,
            is_held_back: false,
            give_up_ms: UnixMillis::EPOCH,
            outcome_pause_ms: OUTCOME_PAUSE_FIRST_MS,
            look_pause_ms: None,
        }
    }

    /// For a host that does not live long and learns of no change: a request that waits looks again after pauses that double, and
    /// what a request asks about is woken soon, since the host that would wake it may be gone.
    #[must_use]
    pub fn polling(mut self) -> Self {
        self.look_pause_ms = Some(LOOK_PAUSE_FIRST_MS);
        self
    }

    /// The attempt, once it is known: always from the first [`Action::Load`] on.
    #[must_use]
    pub fn id(&self) -> Option<AttemptId> {
        self.id
    }

    /// What is carried through.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// The trace of the request that caused the turn, for log lines.
    #[must_use]
    pub fn trace(&self) -> Option<TraceParent> {
        self.trace
    }

    /// What [`Action::Swap`] is to put in place.
    #[must_use]
    pub fn write(&self) -> Option<&Write> {
        self.write.as_ref()
    }

    /// Whether a look at a copy of the record is likely to spare a load (see [`may_be_finalized`]).
    #[must_use]
    pub fn may_use_copy(&self) -> bool {
        matches!(self.phase, Phase::Load | Phase::Loading) && may_be_finalized(&self.input)
    }

    /// Answers from a copy of the record, if the copy answers for good ([`finalized`]). Says whether it does.
    pub fn offer_copy(&mut self, copy: &Record) -> bool {
        let answer = self.id.and_then(|id| finalized(id, copy, &self.input));
        let Some(response) = answer else { return false };
        self.forget_step();
        self.end_with(Reply::Now(response));
        true
    }

    /// The next action at `now_ms`, in milliseconds since the Unix epoch. An action that has an answer is given out until it is
    /// answered; every other one once.
    pub fn next(&mut self, now_ms: UnixMillis, questions: &mut Questions) -> Action {
        if let Some(note) = self.notes.pop_front() {
            return Action::Note(note);
        }
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Read(read) | Phase::Reading(read) => {
                let mut call = Box::new(read.call.clone());
                call.send_in(self.trace);
                self.phase = Phase::Reading(read);
                Action::Read(call)
            }
            Phase::Search(pending) => {
                let search = Box::new(pending.search.clone());
                self.phase = Phase::Search(pending);
                Action::Search(search)
            }
            Phase::Look(look) if !questions.may_ask(&look.0, now_ms) => {
                self.input = Input::Request(Box::new(look.1.too_soon()));
                self.phase = Phase::Loading;
                Action::Load
            }
            Phase::Look(look) | Phase::Looking(look) => {
                let mut call = Box::new(look.0.clone());
                call.send_in(self.trace);
                self.phase = Phase::Looking(look);
                Action::Read(call)
            }
            Phase::Load | Phase::Loading => {
                self.phase = Phase::Loading;
                Action::Load
            }
            Phase::Swap | Phase::Swapping => {
                self.phase = Phase::Swapping;
                Action::Swap
            }
            Phase::ReadBack | Phase::ReadingBack => {
                // If it applied and cannot be read back, what it dispatched is nobody's: look when its time has come.
                if let Some((at_ms, is_latest)) = self.arm.take() {
                    self.phase = Phase::ReadBack;
                    return Action::Arm { at_ms, is_latest };
                }
                self.phase = Phase::ReadingBack;
                Action::Load
            }
            Phase::Out => self.out(now_ms, questions),
            Phase::Waiting => {
                self.phase = Phase::Waiting;
                Action::Wait { until_ms: now_ms }
            }
            Phase::Pause(until_ms) => {
                self.phase = Phase::Pausing;
                Action::Pause { until_ms }
            }
            Phase::Pausing => {
                self.phase = Phase::Pausing;
                Action::Pause { until_ms: now_ms }
            }
            Phase::Done => Action::Done,
        }
    }

    /// Perform, arm, reply: nothing of it before the write is durable.
    fn out(&mut self, now_ms: UnixMillis, questions: &mut Questions) -> Action {
        self.phase = Phase::Out;
        if let Some(write) = self.write.take() {
            return Action::Committed(write);
        }
        if let Some(call) = self.next_call(now_ms, questions) {
            return Action::Perform(call);
        }
        if let Some((at_ms, is_latest)) = self.arm.take() {
            let is_asked = self.look_pause_ms.is_some() && matches!(self.input, Input::Request(_));
            let soon_ms = now_ms + ASKED_ABOUT_MS;
            let at_ms = if is_asked { at_ms.min(soon_ms) } else { at_ms };
            return Action::Arm { at_ms, is_latest };
        }
        self.phase = Phase::Done;
        match std::mem::replace(&mut self.reply, Reply::Nothing) {
            Reply::Nothing => Action::Done,
            Reply::Now(response) => Action::Reply(response),
            Reply::Wait { until_ms, pending } => {
                self.input = Input::Request(pending);
                self.phase = Phase::Waiting;
                Action::Wait {
                    until_ms: self
                        .look_at_ms(now_ms)
                        .map_or(until_ms, |at_ms| at_ms.min(until_ms)),
                }
            }
            Reply::Look { call, pending } => {
                self.phase = Phase::Look(Box::new((*call, *pending)));
                self.next(now_ms, questions)
            }
        }
    }

    fn next_call(&mut self, now_ms: UnixMillis, questions: &mut Questions) -> Option<Box<Call>> {
        while let Some(mut call) = self.calls.pop_front() {
            if questions.may_ask(&call, now_ms) {
                call.send_in(self.trace);
                return Some(Box::new(call));
            }
        }
        None
    }

    fn look_at_ms(&mut self, now_ms: UnixMillis) -> Option<UnixMillis> {
        let pause_ms = self.look_pause_ms?;
        self.look_pause_ms = Some(pause_ms.doubled(1).min(LOOK_PAUSE_MAX_MS));
        Some(now_ms + pause_ms)
    }

    /// What came of [`Action::Read`].
    pub fn read(&mut self, config: &Config, result: &CallResult, now_ms: UnixMillis) {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Read(read) | Phase::Reading(read) => {
                let (routed, report) = event_read(config, *read, result, now_ms);
                self.notes.extend(report.map(Note::Psp));
                self.routed(routed);
            }
            Phase::Look(look) | Phase::Looking(look) => {
                let (call, pending) = *look;
                self.input = Input::Request(Box::new(pending.told(call, result.clone())));
                self.phase = Phase::Load;
            }
            other => self.phase = other,
        }
    }

    fn routed(&mut self, routed: Routed) {
        match routed {
            Routed::Reply(response) => self.end_with(Reply::Now(response)),
            Routed::Attempt { id, input } => {
                self.id = Some(id);
                self.input = input;
                self.phase = Phase::Load;
            }
            Routed::Read(read) => self.phase = Phase::Read(read),
            Routed::Search(pending) => self.phase = Phase::Search(pending),
        }
    }

    /// What [`Action::Search`] found.
    pub fn found(&mut self, config: &Config, found: Result<Found, SearchError>, now: impl Into<Now>) {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Search(pending) => self.end_with(Reply::Now(pending.answer(config, found, now))),
            other => self.phase = other,
        }
    }

    /// What [`Action::Load`] found. `entropy` is fresh each time.
    pub fn loaded(
        &mut self,
        config: &Config,
        record: Option<&Record>,
        now: impl Into<Now>,
        entropy: Entropy,
    ) {
        let Some(id) = self.id else { return };
        let now = now.into();
        let now_ms = now.at_ms;
        match (&self.phase, &self.write) {
            (Phase::Load | Phase::Loading, _) => {
                match handle(config, id, record, &self.input, now, entropy) {
                    Ok(step) => self.decided(step),
                    Err(why) => self.refused(why, now_ms),
                }
            }
            (Phase::ReadBack | Phase::ReadingBack, Some(write)) => {
                let swapped = Swapped::read_back(record, &write.record, write.expected_version);
                self.came_to(swapped, now_ms);
            }
            _ => debug_assert!(false, "nothing was to be loaded"),
        }
    }

    fn decided(&mut self, step: Step) {
        // Once, however often the swap is lost to others.
        let report = step.report.filter(|_| !self.is_reported);
        self.is_reported |= report.is_some();
        self.notes.extend(report.map(Note::Psp));
        let is_held_back = step.is_held_back && !self.is_held_back;
        self.is_held_back |= is_held_back;
        self.notes.extend(is_held_back.then_some(Note::ProofHeldBack));
        let is_written = step.write.is_some();
        // Only ever sooner, unless a look is taken just now: clients that ask again and again must not push a timer before them.
        let is_latest = !step.calls.is_empty();
        self.arm = step
            .wake_at_ms
            .filter(|_| !is_written)
            .map(|at_ms| (at_ms, is_latest));
        self.write = step.write;
        self.calls = step.calls.into();
        self.is_durable = false;
        self.reply = step.reply;
        self.phase = if is_written { Phase::Swap } else { Phase::Out };
    }

    /// What [`Action::Swap`] came to.
    pub fn swapped(&mut self, swapped: Swapped, now_ms: UnixMillis) {
        if !matches!(self.phase, Phase::Swap | Phase::Swapping) {
            debug_assert!(false, "nothing was to be swapped");
            return;
        }
        match swapped {
            Swapped::Applied | Swapped::Conflict => self.came_to(swapped, now_ms),
            Swapped::Unknown => {
                self.notes.push_back(Note::SwapUnknown);
                let wake_at_ms = self.write.as_ref().and_then(|write| write.wake_at_ms);
                self.arm = wake_at_ms.map(|at_ms| (at_ms, false));
                self.phase = Phase::ReadBack;
            }
        }
    }

    fn came_to(&mut self, swapped: Swapped, now_ms: UnixMillis) {
        if swapped == Swapped::Applied {
            self.is_durable = true;
            self.phase = Phase::Out;
            return;
        }
        self.forget_step();
        match self.budget.record(swapped) {
            Some(why) => {
                self.notes.push_back(Note::StoreGivenUp(why));
                self.store_failed(now_ms);
            }
            None => self.phase = Phase::Load,
        }
    }

    fn forget_step(&mut self) {
        self.write = None;
        self.calls.clear();
        self.arm = None;
        self.reply = Reply::Nothing;
    }

    /// The store did not answer [`Action::Load`] or [`Action::Swap`], and nobody knows what became of it.
    pub fn store_failed(&mut self, now_ms: UnixMillis) {
        self.forget_step();
        match &self.input {
            Input::Request(_) | Input::Webhook(_) => self.answer(self.input.store_unavailable()),
            Input::Outcome(_) if now_ms >= self.give_up_ms => {
                self.notes.push_back(Note::OutcomeLost);
                self.phase = Phase::Done;
            }
            Input::Outcome(_) => {
                self.phase = Phase::Pause(now_ms + self.outcome_pause_ms);
                self.outcome_pause_ms = self.outcome_pause_ms.doubled(1);
            }
            Input::Wake => self.later(now_ms + STORE_FAILED_RETRY_MS),
        }
    }

    /// The store refused its own service before anything was read or written, for this reason.
    pub fn store_unsafe(&mut self, why: &str, now_ms: UnixMillis) {
        match &self.input {
            Input::Request(_) | Input::Webhook(_) => {
                self.forget_step();
                self.answer(self.input.store_unsafe(why));
            }
            Input::Outcome(_) | Input::Wake => self.store_failed(now_ms),
        }
    }

    /// The stored record cannot be used. Nothing is written.
    pub fn refused(&mut self, why: RecordError, now_ms: UnixMillis) {
        self.forget_step();
        match &self.input {
            // A later build may be able to use it.
            Input::Wake => self.later(now_ms + RECORD_REFUSED_RETRY_MS),
            input => self.answer(input.record_refused(&why)),
        }
        self.notes.push_back(Note::RecordRefused(why));
    }

    fn answer(&mut self, response: Option<Response>) {
        self.end_with(response.map_or(Reply::Nothing, Reply::Now));
    }

    fn later(&mut self, at_ms: UnixMillis) {
        self.arm = Some((at_ms, false));
        self.phase = Phase::Out;
    }

    fn end_with(&mut self, reply: Reply) {
        self.reply = reply;
        self.phase = Phase::Out;
    }

    /// [`Action::Wait`] or [`Action::Pause`] is over.
    pub fn woken(&mut self) {
        if matches!(self.phase, Phase::Waiting | Phase::Pausing) {
            self.budget = RetryBudget::default();
            self.phase = Phase::Load;
        }
    }
}
