//! The loop (ARCHITECTURE.md, “The loop”): load, decide, persist, perform, arm, reply. It fits one screen, in
//! `Server::step` and `Server::carry_out`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use pay_once_core::config::Config;
use pay_once_core::http::{Request, Response};
use pay_once_core::id::AttemptId;
use pay_once_core::limits::{OUTCOME_PAUSE_FIRST_MS, OUTCOME_RETRY_MS};
use pay_once_core::machine::{Input, Outcome, Reply, Step, Write, handle};
use pay_once_core::planted::{Bug, planted};
use pay_once_core::psp::questions::Questions;
use pay_once_core::psp::report::{PspProblem, PspProblems, PspReport};
use pay_once_core::psp::{Call, CallResult};
use pay_once_core::record::{Record, RecordError};
use pay_once_core::request::{EventRead, Routed, event_read, route};
use pay_once_core::store::Patience;
use tokio::sync::Notify;
use tokio::task::spawn_local;

use crate::counters::{Count, Counters};
use crate::hub::{Guard, Hub, Slot};
use crate::ports::{Clock, PspTransport, Store, Swap, Swapped};
use crate::recent::Recent;
use crate::timers::{HORIZON_MS, SCAN_EVERY_MS, SCAN_LIMIT, Timers};

/// After how long a timer, or the scan for timers, is tried again on a store that did not answer, in milliseconds.
pub const AGAIN_MS: u64 = 1_000;
const A_YEAR_MS: u64 = 365 * 24 * 3_600_000;

/// One server process: any number of them may share a store.
pub struct Server<C, S, P> {
    config: Config,
    clock: C,
    store: S,
    psp: P,
    hub: Rc<Hub>,
    recent: Recent,
    timers: Timers,
    counters: Arc<Counters>,
    calls_under_way: Cell<usize>,
    call_ended: Notify,
    questions: RefCell<Questions>,
    problems: RefCell<PspProblems>,
}

/// Why a step came to nothing.
#[derive(Debug)]
enum Stuck {
    Unavailable,
    Refused(RecordError),
}

/// What became of carrying a step out.
enum Carried {
    Out(Reply),
    /// Its swap came to this, and nothing was done.
    Not(Swapped),
}

impl<C: Clock, S: Store, P: PspTransport> Server<C, S, P> {
    /// Puts a server together. [`Config::check`] is the caller's to have passed.
    pub fn new(config: Config, clock: C, store: S, psp: P, counters: Arc<Counters>) -> Rc<Self> {
        Rc::new(Self {
            config,
            clock,
            store,
            psp,
            hub: Rc::default(),
            recent: Recent::default(),
            timers: Timers::default(),
            counters,
            calls_under_way: Cell::new(0),
            call_ended: Notify::new(),
            questions: RefCell::default(),
            problems: RefCell::default(),
        })
    }

    /// The clock.
    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Answers one request. Once accepted, the work goes on though the client may hang up.
    pub async fn respond(self: &Rc<Self>, request: &Request<'_>) -> Option<Response> {
        self.counters.add(Count::Request);
        match route(&self.config, request, self.clock.now_ms()) {
            Routed::Reply(response) => Some(response),
            Routed::Attempt { id, input } => self.drive(id, input).await,
            Routed::Read(read) => self.read_event(*read).await,
        }
    }

    /// Reads the object of an event, which names the attempt that the event is about.
    async fn read_event(self: &Rc<Self>, mut read: EventRead) -> Option<Response> {
        loop {
            let result = self.send(&read.call).await;
            let now_ms = self.clock.now_ms();
            let (routed, report) = event_read(&self.config, read, &result, now_ms);
            self.note(report);
            match routed {
                Routed::Reply(response) => return Some(response),
                Routed::Attempt { id, input } => return self.drive(id, input).await,
                Routed::Read(next) => read = *next,
            }
        }
    }

    /// Carries one input through, waiting where the machine says so, to its reply.
    async fn drive(self: &Rc<Self>, id: AttemptId, mut input: Input) -> Option<Response> {
        let guard = self.hub.slot(id);
        loop {
            // Listening begins before the step, so that no change falls in between.
            let changed = guard.slot.changed.notified();
            match self.step(&guard, &input).await {
                Err(Stuck::Unavailable) if planted(Bug::OutageSaysNothingDone) => {
                    return input.store_unsafe("it did not answer");
                }
                Err(Stuck::Unavailable) => return input.store_unavailable(),
                Err(Stuck::Refused(why)) => return input.record_refused(&why),
                Ok(Reply::Nothing) => return None,
                Ok(Reply::Now(response)) => return Some(response),
                Ok(Reply::Wait { until_ms, ticket }) => {
                    let late_ms = if planted(Bug::WaitsPastBudget) { 10_000 } else { 0 };
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = self.clock.sleep_until(until_ms.saturating_add(late_ms)) => {}
                    }
                    if !planted(Bug::WaitingTicketForgotten) {
                        input = Input::Request(ticket);
                    }
                }
            }
        }
    }

    /// One turn of the loop. It may be dropped at any await (a client hung up): what must not stop half-way is in
    /// [`Server::carry_out`], on a task of its own.
    async fn step(self: &Rc<Self>, guard: &Guard, input: &Input) -> Result<Reply, Stuck> {
        let id = guard.id();
        let mut patience = Patience::default();
        loop {
            let turn = Arc::clone(&guard.slot.turn).lock_owned().await;
            let record = self.load(id).await?;
            let (now_ms, entropy) = (self.clock.now_ms(), self.clock.entropy());
            let step = handle(&self.config, id, record.as_deref(), input, now_ms, entropy)
                .map_err(|why| self.refused(id, why))?;
            self.note(step.report.clone());
            if step.write.is_none() && step.calls.is_empty() {
                // Only ever sooner: clients that ask again and again must not push a timer before them.
                if let Some(at_ms) = step.wake_at_ms {
                    match planted(Bug::PollsPushTimers) {
                        true => self.timers.set(id, Some(at_ms)),
                        false => self.timers.sooner(id, at_ms),
                    }
                }
                return Ok(step.reply);
            }
            let hasty = match &step.reply {
                Reply::Now(response) if planted(Bug::ReplyBeforeDurable) => Some(response.clone()),
                Reply::Now(response)
                    if matches!(input, Input::Webhook(_)) && planted(Bug::WebhookAckedFirst) =>
                {
                    Some(response.clone())
                }
                Reply::Now(_) | Reply::Wait { .. } | Reply::Nothing => None,
            };
            let (server, slot) = (Rc::clone(self), Rc::clone(&guard.slot));
            let carrying = async move {
                let outcome = server.carry_out(id, &slot, step).await;
                drop(turn);
                outcome
            };
            let carried = if planted(Bug::HangUpAbortsStep) {
                carrying.await
            } else {
                let task = spawn_local(carrying);
                if let Some(response) = hasty {
                    return Ok(Reply::Now(response));
                }
                // A task ends without a result only with its runtime.
                task.await.unwrap_or(Err(Stuck::Unavailable))
            };
            let swapped = match carried? {
                Carried::Out(reply) => return Ok(reply),
                Carried::Not(Swapped::Conflict)
                    if matches!(input, Input::Outcome(_)) && planted(Bug::OutcomeDroppedOnConflict) =>
                {
                    return Ok(Reply::Nothing);
                }
                Carried::Not(swapped) => swapped,
            };
            if let Some(why) = patience.ended_by(swapped) {
                tracing::error!(attempt = %id, why, "the store is given up for this step");
                return Err(Stuck::Unavailable);
            }
        }
    }

    /// Persist, then perform and arm, then reply.
    async fn carry_out(
        self: &Rc<Self>,
        id: AttemptId,
        slot: &Slot,
        mut step: Step,
    ) -> Result<Carried, Stuck> {
        if planted(Bug::CallBeforeCommit) {
            self.start(std::mem::take(&mut step.calls));
        }
        if let Some(write) = step.write {
            let swapped = self.persist(id, &write).await?;
            if swapped != Swapped::Applied {
                return Ok(Carried::Not(swapped));
            }
            self.log(&write);
            // A far timer is in the store already.
            let horizon_ms = self.clock.now_ms().saturating_add(HORIZON_MS);
            self.timers
                .set(id, write.wake_at_ms.filter(|at_ms| *at_ms <= horizon_ms));
            if self.store.is_exclusive() || planted(Bug::StaleCacheOverSharedStore) {
                self.recent.put(Rc::new(write.record));
            }
            slot.changed.notify_waiters();
        } else if let Some(at_ms) = step.wake_at_ms {
            self.timers.set(id, Some(at_ms));
        }
        self.start(step.calls);
        Ok(Carried::Out(step.reply))
    }

    /// Performs calls, each on a task of its own.
    fn start(self: &Rc<Self>, calls: Vec<Call>) {
        for call in calls {
            if !self.questions.borrow_mut().may_ask(&call, self.clock.now_ms()) {
                continue;
            }
            self.calls_under_way.set(self.calls_under_way.get() + 1);
            let server = Rc::clone(self);
            spawn_local(async move {
                server.perform(call).await;
                server.calls_under_way.set(server.calls_under_way.get() - 1);
                server.call_ended.notify_waiters();
            });
        }
    }

    /// What is durable now.
    async fn load(&self, id: AttemptId) -> Result<Option<Rc<Record>>, Stuck> {
        if let Some(record) = self.recent.get(id) {
            return Ok(Some(record));
        }
        let loaded = match self.store.load(id).await {
            Err(_) if planted(Bug::UnreadableStoreIsEmpty) => Ok(None),
            loaded => loaded,
        };
        let bytes = loaded.map_err(|error| {
            tracing::error!(attempt = %id, %error, "the store cannot be read");
            Stuck::Unavailable
        })?;
        let record = bytes
            .map(|bytes| Record::decode(id, &bytes))
            .transpose()
            .map_err(|why| self.refused(id, why))?;
        let record = record.map(Rc::new);
        if let Some(record) = record.as_ref().filter(|_| self.store.is_exclusive()) {
            self.recent.put(Rc::clone(record));
        }
        Ok(record)
    }

    /// Swaps, and finds out what became of it.
    async fn persist(&self, id: AttemptId, write: &Write) -> Result<Swapped, Stuck> {
        let swap = Swap::from(write);
        let swapped = self.store.swap(swap).await;
        if swapped != Swapped::Applied && !planted(Bug::CacheKeptAfterUnknown) {
            self.recent.forget(id);
        }
        let swapped = match swapped {
            Swapped::Conflict if planted(Bug::ConflictIsApplied) => Swapped::Applied,
            Swapped::Unknown if planted(Bug::UnknownSwapIsApplied) => Swapped::Applied,
            Swapped::Unknown if planted(Bug::UnknownSwapIsLost) => Swapped::Conflict,
            Swapped::Applied | Swapped::Conflict => swapped,
            Swapped::Unknown => {
                tracing::warn!(attempt = %id, "a swap ended unknown; reading back");
                // If it applied and cannot be read back, what it dispatched is nobody's: look when its time has come.
                if let Some(at_ms) = write.wake_at_ms {
                    self.timers.sooner(id, at_ms);
                }
                let now = self.load(id).await?;
                Swapped::read_back(now.as_deref(), &write.record, write.expected_version)
            }
        };
        self.counters.add(if swapped == Swapped::Applied {
            Count::DurableWrite
        } else {
            Count::Conflict
        });
        Ok(swapped)
    }

    /// Performs one PSP call.
    async fn send(&self, call: &Call) -> CallResult {
        self.counters.add(if call.moves_money {
            Count::PspMoneyCall
        } else {
            Count::PspOtherCall
        });
        let was_in_time = planted(Bug::SendByCheckedAtStart) && call.may_send(self.clock.now_ms());
        let may_send = || was_in_time || call.may_send(self.clock.now_ms()) || planted(Bug::SendByNotChecked);
        let result = self.psp.send(call, may_send).await;
        if let CallResult::Unknown { reason } = &result {
            self.counters.add(Count::PspUnknownOutcome);
            let attempt = call.attempt.map(|id| id.to_string());
            tracing::warn!(attempt, call = ?call.http, reason, "a PSP call's outcome is unknown");
        }
        result
    }

    /// Performs one PSP call and feeds back what came of it.
    async fn perform(self: &Rc<Self>, call: Call) {
        let result = self.send(&call).await;
        // A call of no attempt is a webhook's read (`read_event`).
        let Some(id) = call.attempt else { return };
        let input = Input::Outcome(Box::new(Outcome { call, result }));
        let give_up_ms = self.clock.now_ms().saturating_add(OUTCOME_RETRY_MS);
        let mut pause_ms = OUTCOME_PAUSE_FIRST_MS;
        let guard = self.hub.slot(id);
        while let Err(Stuck::Unavailable) = self.step(&guard, &input).await {
            let now_ms = self.clock.now_ms();
            if now_ms >= give_up_ms || planted(Bug::OutcomeOfferedOnce) {
                tracing::error!(attempt = %id, "a PSP's answer could not be stored; recovery will ask again");
                return;
            }
            self.clock.sleep_until(now_ms.saturating_add(pause_ms)).await;
            pause_ms = pause_ms.saturating_mul(2);
        }
    }

    /// Fires timers, for ever. What was in doubt when the process last ended is due at once.
    pub async fn run_timers(self: Rc<Self>) {
        let mut scan_at_ms = 0;
        loop {
            let now_ms = self.clock.now_ms();
            if now_ms >= scan_at_ms {
                let pause_ms = match self
                    .store
                    .due(now_ms.saturating_add(HORIZON_MS), SCAN_LIMIT)
                    .await
                {
                    Ok(mut due) => {
                        due.retain(|(_, at_ms)| *at_ms >= now_ms || !planted(Bug::OverdueTimersSkipped));
                        self.timers.found(&due);
                        if planted(Bug::ScanOnlyOnce) {
                            A_YEAR_MS
                        } else {
                            SCAN_EVERY_MS
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "the store cannot be scanned for timers");
                        if planted(Bug::ScanStopsAfterOutage) {
                            A_YEAR_MS
                        } else {
                            AGAIN_MS
                        }
                    }
                };
                scan_at_ms = now_ms.saturating_add(pause_ms);
            }
            for id in self.timers.take_due(now_ms) {
                let server = Rc::clone(&self);
                spawn_local(async move {
                    let guard = server.hub.slot(id);
                    if let Err(Stuck::Unavailable) = server.step(&guard, &Input::Wake).await {
                        let again_ms = server.clock.now_ms().saturating_add(AGAIN_MS);
                        server.timers.sooner(id, again_ms);
                    }
                });
            }
            let next_ms = self.timers.next_ms().unwrap_or(u64::MAX).min(scan_at_ms);
            tokio::select! {
                biased;
                () = self.timers.earlier() => {}
                () = self.clock.sleep_until(next_ms) => {}
            }
        }
    }

    /// Returns once no PSP call is under way.
    pub async fn quiet(&self) {
        while self.calls_under_way.get() > 0 {
            self.call_ended.notified().await;
        }
    }

    /// Notes what an answer said of its PSP as such.
    fn note(&self, report: Option<PspReport>) {
        let Some(report) = report else { return };
        if let Some(rejection) = &report.rejection {
            self.counters.add(Count::RejectedRequest);
            tracing::error!(
                psp = report.psp,
                call = ?report.call,
                status = rejection.status,
                code = rejection.code,
                param = rejection.param,
                permission = rejection.permission,
                "a PSP rejected our credentials, our account or our request"
            );
        }
        self.problems.borrow_mut().note(&report, self.clock.now_ms());
    }

    /// What PSPs reject at present.
    pub fn psp_problems(&self) -> Vec<PspProblem> {
        self.problems.borrow().open().cloned().collect()
    }

    fn refused(&self, id: AttemptId, why: RecordError) -> Stuck {
        self.counters.add(Count::RefusedRecord);
        tracing::error!(attempt = %id, %why, "a record was refused and left as it is");
        Stuck::Refused(why)
    }

    /// One line for each write, with the attempt's id and what is new.
    fn log(&self, write: &Write) {
        for _ in 0..write.unwanted_effects() {
            self.counters.add(Count::UnwantedEffect);
        }
        for _ in 0..write.foreign_objects() {
            self.counters.add(Count::ForeignObject);
            tracing::warn!(attempt = %write.record.id(), events = write.events().join("; "), "an object at the PSP carries this attempt's reference and was not made by it");
        }
        for _ in 0..write.reversals() {
            self.counters.add(Count::Reversal);
        }
        if tracing::enabled!(tracing::Level::INFO) {
            let (events, status) = (write.events().join("; "), write.status());
            tracing::info!(attempt = %write.record.id(), version = write.record.version(), events, ?status);
        }
    }
}
