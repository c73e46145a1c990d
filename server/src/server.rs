//! What the loop of core ([`Turn`]) asks for, on tokio. `Server::run` carries a turn out. One thread does all of it; threads in front
//! of it ([`crate::fronts`]) hand it requests.

mod calls;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use pay_once_core::limits::STORE_FAILED_RETRY_MS;
use pay_once_core::{
    Action, AttemptId, ClockNote, Config, Input, Millis, Now, Questions, Record, RecordError, Response,
    TraceParent, Turn, UnixMillis, Write,
};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::Instant;

use crate::bounds::Bounds;
use crate::bounds::admission::Queue;
use crate::counters::{Count, Counters};
use crate::front::{header_lines, request};
use crate::hold::Hold;
use crate::hub::Hub;
use crate::intake::{Intake, TakenOn, TakenOnRequests};
use crate::ports::{Changed, Clock, PspTransport, Store, Swap, Swapped};
use crate::recent::Recent;
use crate::report::Report;
use crate::steps::Steps;
use crate::timers::{HORIZON_MS, Timers};

/// One server process: any number of them may share a store.
pub struct Server<C, S, P> {
    intake: Arc<Intake>,
    requests: RefCell<Option<TakenOnRequests>>,
    clock: C,
    store: S,
    psp: P,
    hub: Rc<Hub>,
    recent: Recent,
    timers: Timers,
    report: Report,
    calls_under_way: Cell<usize>,
    steps: Rc<Steps>,
    call_ended: Notify,
    questions: RefCell<Questions>,
    time: RefCell<pay_once_core::Clock>,
    bounds: Bounds,
}

/// Why a record could not be loaded.
enum LoadError {
    Unavailable,
    Refused(RecordError),
}

impl<C: Clock, S: Store, P: PspTransport> Server<C, S, P> {
    /// Puts a server together whose work is not bounded. [`Config::check`] is the caller's to have passed.
    pub fn new(config: Config, clock: C, store: S, psp: P, counters: Arc<Counters>) -> Rc<Self> {
        Self::bounded(config, clock, store, psp, counters, Bounds::none())
    }

    /// Puts a server together. [`Config::check`] is the caller's to have passed.
    pub fn bounded(
        config: Config,
        clock: C,
        store: S,
        psp: P,
        counters: Arc<Counters>,
        bounds: Bounds,
    ) -> Rc<Self> {
        let report = Report::new(Arc::clone(&counters), config.psps.keys());
        let time = RefCell::new(pay_once_core::Clock::new(&config));
        let (intake, requests) = Intake::new(config, &bounds, counters);
        Rc::new(Self {
            report,
            time,
            intake,
            requests: RefCell::new(Some(requests)),
            clock,
            store,
            psp,
            hub: Rc::default(),
            recent: Recent::default(),
            timers: Timers::default(),
            calls_under_way: Cell::new(0),
            steps: Rc::default(),
            call_ended: Notify::new(),
            questions: RefCell::default(),
            bounds,
        })
    }

    /// The time, by both clocks. They are compared at each step.
    fn now(&self) -> Now {
        let now = self.time.borrow_mut().now(self.clock.reading());
        self.tell_of_clock();
        now
    }

    /// The time, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> UnixMillis {
        self.now().at_ms
    }

    /// Tells the operators what became of the clock.
    fn tell_of_clock(&self) {
        loop {
            let (note, is_in_doubt) = {
                let mut time = self.time.borrow_mut();
                (time.take_note(), time.is_in_doubt())
            };
            let Some(note) = note else { return };
            self.report.clock(&note, is_in_doubt);
            if note == ClockNote::Adopted {
                // What was to be waited for by the old time may be due.
                self.timers.look_again();
            }
        }
    }

    /// Returns at `at_ms` or soon after.
    async fn sleep_until(&self, at_ms: UnixMillis) {
        loop {
            let now_ms = self.now_ms();
            if now_ms >= at_ms {
                return;
            }
            self.clock.sleep(at_ms - now_ms).await;
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.intake.config()
    }

    /// The way in, for threads in front of this one.
    pub fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    /// Puts another configuration in force, as a restart would. [`Config::check`] is the caller's to have passed; the
    /// installation must be the same.
    pub fn reconfigure(&self, config: Config) {
        self.time.borrow_mut().reconfigured(&config);
        self.intake.reconfigure(config);
    }

    /// What operators are told.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The bounds, and where they stand.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Answers requests and fires timers, for ever. What was in doubt when the process last ended is due at once.
    pub async fn work(self: Rc<Self>) {
        tokio::join!(
            Rc::clone(&self).run_timers(),
            Rc::clone(&self).take_requests(),
            self.hear_of_changes()
        );
    }

    async fn take_requests(self: Rc<Self>) {
        // One caller has them.
        let Some(mut requests) = self.requests.take() else {
            return;
        };
        while let Some(request) = requests.recv().await {
            spawn_local(Rc::clone(&self).respond(request));
        }
    }

    /// Wakes requests that wait for what another server does.
    async fn hear_of_changes(&self) {
        loop {
            let changed = self.store.changed().await;
            // Each server counts the attempts whose records it wrote last.
            self.report.changed_elsewhere(changed);
            let id = match changed {
                Changed::Record(id) => Some(id),
                Changed::Unnamed | Changed::Unheard => None,
            };
            if let Some(id) = id {
                // Its timer is that server's.
                self.timers.set(id, None);
            }
            self.hub.changed_elsewhere(id);
        }
    }

    /// Returns, with the reason, when the store will never answer again in this process.
    pub async fn store_failed(&self) -> String {
        self.store.failed().await
    }

    /// Answers one request that was taken on. Once its first write has begun, the work goes on though the client may hang up.
    async fn respond(self: Rc<Self>, taken_on: TakenOn) {
        let TakenOn {
            head,
            body,
            permit,
            mut reply,
            since,
        } = taken_on;
        // Its task has waited for its turn by now as well.
        self.bounds.admission.waited(Queue::Loop, since.elapsed());
        let config = self.config();
        let mut turn = {
            let headers = header_lines(&head);
            Turn::request(&config, &request(&head, &headers, &body), self.now_ms())
        };
        let (mut hold, mut first) = (Hold::of(permit), None);
        let send = |response| first = Some(response);
        let is_over = tokio::select! {
            biased;
            is_over = self.run(&config, &mut turn, &mut hold, true, send) => is_over,
            () = reply.closed() => return,
        };
        let mut reply = Some(reply);
        let mut send = |response| {
            // Whoever asked may be gone.
            reply.take().map(|reply| reply.send(response));
        };
        if let Some(response) = first {
            send(response);
        }
        if !is_over {
            self.run(&config, &mut turn, &mut hold, false, send).await;
        }
    }

    /// Carries a turn to its end, and says that it is there; or stops before a swap, if it may. A turn has one configuration from its
    /// beginning to its end.
    async fn run(
        self: &Rc<Self>,
        config: &Config,
        turn: &mut Turn,
        hold: &mut Hold,
        may_stop: bool,
        mut reply: impl FnMut(Response),
    ) -> bool {
        // From a swap on until nothing of its step is left to do: a process that ends waits for it.
        let mut step = None;
        loop {
            let action = turn.next(self.now_ms(), &mut self.questions.borrow_mut());
            match action {
                Action::Read(call) => {
                    hold.waits(true);
                    let result = self.send(&call, None).await;
                    hold.waits(false);
                    turn.read(config, &result, self.now_ms());
                }
                Action::Search(search) => {
                    let found = self.store.search(*search).await;
                    turn.found(config, found, self.now());
                }
                Action::Load => {
                    let Some(id) = turn.id() else { return true };
                    hold.attempt(&self.hub, id).await;
                    let loaded = self.load(id).await;
                    let now = self.now();
                    match loaded {
                        Ok(record) => {
                            turn.loaded(config, record.as_deref(), now, self.clock.entropy());
                            self.take_place(turn, hold);
                        }
                        Err(LoadError::Unavailable) => turn.store_failed(now.at_ms),
                        Err(LoadError::Refused(why)) => turn.refused(why, now.at_ms),
                    }
                }
                Action::Swap if may_stop => return false,
                Action::Swap => {
                    step.get_or_insert_with(|| self.steps.begin());
                    let swapped = self.swap(turn.write()).await;
                    turn.swapped(swapped, self.now_ms());
                }
                Action::Committed(write) => self.committed(write, turn.trace(), hold),
                Action::Perform(call) => self.start(*call, hold.place.take()),
                Action::Arm { at_ms, is_latest } => self.arm(turn.id(), at_ms, is_latest),
                Action::Note(note) => self.report.note(turn, &note, self.now_ms()),
                Action::Wait { until_ms } => {
                    step = None;
                    hold.waits(true);
                    tokio::select! {
                        biased;
                        () = hold.changed() => {}
                        () = self.sleep_until(until_ms) => {}
                    }
                    hold.waits(false);
                    turn.woken();
                }
                Action::Pause { until_ms } => {
                    step = None;
                    *hold = Hold::default();
                    self.sleep_until(until_ms).await;
                    turn.woken();
                }
                Action::Reply(response) => reply(response),
                Action::Done => return true,
            }
        }
    }

    /// Takes a place for the call of the decided step before anything of the step is written. Without one the step is put off.
    fn take_place(&self, turn: &mut Turn, hold: &mut Hold) {
        let Some(psp) = turn.psp_to_call() else { return };
        // Of a step that was lost to another.
        hold.place = None;
        match self.bounds.psps.take(psp) {
            Ok(place) => hold.place = Some(place),
            Err(none) => {
                let pause = match turn.input() {
                    Input::Wake => none.spread_pause,
                    Input::Request(_) | Input::Webhook(_) | Input::Outcome(_) => none.pause,
                };
                let now_ms = self.now_ms();
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                turn.put_off(now_ms + Millis::new(pause_ms), now_ms);
            }
        }
    }

    /// What is durable now.
    async fn load(&self, id: AttemptId) -> Result<Option<Arc<Record>>, LoadError> {
        if let Some(record) = self.recent.get(id) {
            return Ok(Some(record));
        }
        let loaded = self.store.load(id).await;
        let bytes = loaded.map_err(|error| {
            tracing::error!(attempt = %id, %error, "the store cannot be read");
            LoadError::Unavailable
        })?;
        let record = bytes
            .map(|bytes| Record::decode(id, &bytes))
            .transpose()
            .map_err(LoadError::Refused)?;
        let record = record.map(Arc::new);
        if let Some(record) = record.as_ref().filter(|_| self.store.is_exclusive()) {
            self.recent.put(Arc::clone(record));
        }
        Ok(record)
    }

    async fn swap(&self, write: Option<&Write>) -> Swapped {
        // A turn that asks for a swap has a write.
        let Some(write) = write else {
            return Swapped::Conflict;
        };
        let begun = Instant::now();
        let swapped = self.store.swap(Swap::from(write)).await;
        // A write waits at least for the commit that is under way when it comes, and then for its own.
        let commits = self.store.commit_time() * 2;
        let waited = begun.elapsed().saturating_sub(commits);
        self.bounds.admission.waited(Queue::Store, waited);
        if swapped != Swapped::Applied {
            self.recent.forget(write.record.id());
        }
        if swapped == Swapped::Conflict {
            self.report.counters().add(Count::Conflict);
        }
        swapped
    }

    /// A write is durable.
    fn committed(&self, write: Write, trace: Option<TraceParent>, hold: &mut Hold) {
        self.report.committed(&write, trace);
        // A far timer is in the store already.
        let horizon_ms = self.now_ms() + HORIZON_MS;
        let near_ms = write.wake_at_ms.filter(|at_ms| *at_ms <= horizon_ms);
        self.timers.set(write.record.id(), near_ms);
        // On a shared store even what a PSP answered must not meet an earlier copy: an answer to a read is lost on a record that has not
        // asked (found by the simulator).
        if self.store.is_exclusive() {
            self.recent.put(write.record);
        }
        hold.has_changed();
    }

    fn arm(&self, id: Option<AttemptId>, at_ms: UnixMillis, is_latest: bool) {
        let Some(id) = id else { return };
        if is_latest {
            self.timers.set(id, Some(at_ms));
        } else {
            self.timers.sooner(id, at_ms);
        }
    }

    async fn run_timers(self: Rc<Self>) {
        let mut scan_at_ms = UnixMillis::EPOCH;
        loop {
            let now_ms = self.now_ms();
            // The time may have been put back.
            let scan = self.store.scan();
            if now_ms >= scan_at_ms || scan_at_ms > now_ms + scan.every_ms {
                let until_ms = now_ms + scan.ahead_ms - scan.behind_ms;
                let pause_ms = match self.store.due(until_ms, scan.limit).await {
                    Ok(due) => {
                        self.timers.found(&due);
                        scan.every_ms
                    }
                    Err(error) => {
                        tracing::error!(%error, "the store cannot be scanned for timers");
                        STORE_FAILED_RETRY_MS
                    }
                };
                scan_at_ms = now_ms + pause_ms;
            }
            for id in self.timers.take_due(now_ms) {
                let server = Rc::clone(&self);
                spawn_local(async move {
                    let (config, mut turn) = (server.config(), Turn::wake(id));
                    server
                        .run(&config, &mut turn, &mut Hold::default(), false, |_| {})
                        .await;
                });
            }
            let next_ms = self.timers.next_ms().unwrap_or(UnixMillis::MAX).min(scan_at_ms);
            tokio::select! {
                biased;
                () = self.timers.earlier() => {}
                () = self.sleep_until(next_ms) => {}
            }
        }
    }
}
