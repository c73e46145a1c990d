//! What the loop of core ([`Turn`]) asks for, on Spin's interfaces. `Server::run` carries a turn out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use pay_once_core::{
    Action, AttemptId, Call, Config, Measure, Millis, Note, Questions, Record, RecordError, Request,
    Response, SearchError, TraceParent, Turn, UnixMillis, Write,
};

use crate::ports::{
    Finals, FinalsWhen, Line, MeasuresTo, PspTransport, Store, StoreError, Swap, Swapped, World, within,
};
use crate::reports::Reports;

/// How long one call of the store may take, in milliseconds.
pub const STORE_TIMEOUT_MS: Millis = Millis::new(8_000);
/// A record that wants to be woken within this time is woken by the instance that saw it, in milliseconds. What is
/// further away is left to the sweep: an instance does not live long.
pub const NEAR_MS: Millis = Millis::new(5_000);

/// One instance of the component. Any number of them share a store.
pub struct Server<W, S, P, F> {
    pub(crate) world: Rc<W>,
    pub(crate) store: S,
    pub(crate) config: Config,
    pub(crate) psp: P,
    finals: F,
    measures: MeasuresTo,
    near: RefCell<BTreeMap<AttemptId, UnixMillis>>,
    questions: RefCell<Questions>,
    pub(crate) reports: RefCell<Reports>,
}

/// Why a record could not be loaded.
enum LoadError {
    Store(StoreError),
    Refused(RecordError),
}

/// What a turn came to.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// Whether it wrote. A write tells the store when the record wants to be woken.
    pub(crate) wrote: bool,
    /// When the record wants to be woken, if nothing was written.
    pub(crate) wake_at_ms: Option<UnixMillis>,
    /// What the store said, if it was of no use.
    pub(crate) store_error: Option<StoreError>,
}

/// Tells the request that began something whenever that has come further. Both ends belong to one request's task: the
/// component model wakes no task for another.
pub(crate) type News = mpsc::UnboundedSender<()>;

/// Both ends.
type Ears = (News, mpsc::UnboundedReceiver<()>);

impl<W: World, S: Store, P: PspTransport, F: Finals> Server<W, S, P, F> {
    /// Puts a server together. [`Config::check`] is the caller's to have passed.
    pub fn new(config: Config, world: Rc<W>, store: S, psp: P, finals: F, measures: MeasuresTo) -> Rc<Self> {
        Rc::new(Self {
            world,
            store,
            config,
            psp,
            finals,
            measures,
            near: RefCell::default(),
            questions: RefCell::default(),
            reports: RefCell::default(),
        })
    }

    /// Answers one request.
    pub async fn respond(self: &Rc<Self>, request: &Request<'_>) -> Option<Response> {
        let begun_ms = self.world.now_ms();
        let turn = Turn::request(&self.config, request, begun_ms).polling();
        let trace = turn.trace();
        let answered = self.carry(turn).await;
        if let Some(response) = &answered {
            let took_ms = self.world.now_ms() - begun_ms;
            self.measure(None, trace, || {
                let answer = Measure::of_answer(response.status, took_ms);
                [answer].into_iter().chain(Measure::of_error(response)).collect()
            });
        }
        answered
    }

    /// Carries a request's turn. Once it is taken on, it goes on though the client may hang up.
    async fn carry(self: &Rc<Self>, mut turn: Turn) -> Option<Response> {
        let mut ears = mpsc::unbounded();
        let mut reply = None;
        let (_, is_over) = self
            .run(&mut turn, &mut ears, true, &mut |r| reply = Some(r))
            .await;
        if is_over {
            return reply;
        }
        // From the first swap on it is a task of its own: this future is dropped if the client hangs up.
        let (answer, answered) = oneshot::channel();
        let server = Rc::clone(self);
        self.world.spawn(async move {
            let mut answer = Some(answer);
            let mut send = |response| {
                // Whoever asked may be gone.
                answer.take().map(|answer| answer.send(response));
            };
            server.run(&mut turn, &mut ears, false, &mut send).await;
        });
        answered.await.ok()
    }

    /// Carries a turn to its end, and says that it is there; or stops before a swap, if it may.
    pub(crate) async fn run(
        self: &Rc<Self>,
        turn: &mut Turn,
        ears: &mut Ears,
        may_stop: bool,
        reply: &mut impl FnMut(Response),
    ) -> (Ran, bool) {
        let mut ran = Ran::default();
        // What is to be woken once it is known that no call of this turn will do it.
        let mut unarmed = None;
        loop {
            let action = turn.next(self.world.now_ms(), &mut self.questions.borrow_mut());
            match action {
                Action::Read(call) => {
                    let result = self.send(&call).await;
                    turn.read(&self.config, &result, self.world.now_ms());
                }
                Action::Search(search) => {
                    let searched = self.store.search(*search);
                    let found = within(&*self.world, STORE_TIMEOUT_MS, searched).await;
                    let found = found.unwrap_or(Err(SearchError::Unavailable));
                    turn.found(&self.config, found, self.world.now_ms());
                }
                Action::Load => {
                    let Some(id) = turn.id() else { return (ran, true) };
                    if self.finals.when() == FinalsWhen::First
                        && turn.may_use_copy()
                        && self.offer_copy(turn, id).await
                    {
                        continue;
                    }
                    let loaded = self.load(id).await;
                    let now_ms = self.world.now_ms();
                    match loaded {
                        Ok(record) => {
                            turn.loaded(&self.config, record.as_ref(), now_ms, self.world.entropy());
                        }
                        Err(LoadError::Store(error)) => {
                            ran.store_error = Some(self.failed(turn, id, error).await)
                        }
                        Err(LoadError::Refused(why)) => turn.refused(why, now_ms),
                    }
                }
                Action::Swap if may_stop => return (ran, false),
                Action::Swap => {
                    let Some(id) = turn.id() else { return (ran, true) };
                    match self.swap(turn.write()).await {
                        Ok(swapped) => turn.swapped(swapped, self.world.now_ms()),
                        Err(error) => ran.store_error = Some(self.failed(turn, id, error).await),
                    }
                }
                Action::Committed(write) => {
                    (ran.wrote, unarmed) = (true, write.wake_at_ms);
                    self.committed(write, turn.trace());
                    // Nobody may be waiting for news.
                    let _ = ears.0.unbounded_send(());
                }
                Action::Perform(call) => {
                    unarmed = None;
                    let (server, news) = (Rc::clone(self), ears.0.clone());
                    self.world.spawn(async move { server.perform(*call, news).await });
                }
                Action::Arm { at_ms, is_latest } => {
                    ran.wake_at_ms = Some(at_ms);
                    unarmed = Some(at_ms).filter(|_| !is_latest);
                }
                Action::Note(note) => self.note(turn, &note),
                Action::Wait { until_ms } => {
                    self.arm(turn.id(), unarmed.take());
                    let left_ms = until_ms - self.world.now_ms();
                    within(&*self.world, left_ms, ears.1.next()).await;
                    turn.woken();
                }
                Action::Pause { until_ms } => {
                    let left_ms = until_ms - self.world.now_ms();
                    self.world.sleep_ms(left_ms).await;
                    turn.woken();
                }
                Action::Reply(response) => reply(response),
                Action::Done => {
                    self.arm(turn.id(), unarmed);
                    return (ran, true);
                }
            }
        }
    }

    /// Performs one PSP call of an attempt and feeds back what came of it.
    async fn perform(self: Rc<Self>, call: Call, news: News) {
        let result = self.send(&call).await;
        if let Some(turn) = Turn::outcome(call, result, self.world.now_ms()) {
            let mut ears = (news, mpsc::unbounded().1);
            self.run(&mut turn.polling(), &mut ears, false, &mut |_| {}).await;
        }
    }

    /// The store is of no use: a copy may still answer for good.
    async fn failed(&self, turn: &mut Turn, id: AttemptId, error: StoreError) -> StoreError {
        match &error {
            StoreError::Unsafe(why) => turn.store_unsafe(why, self.world.now_ms()),
            StoreError::Unavailable(_) => {
                self.world.log(&Line::error(Some(id), &error.to_string()));
                if !self.offer_copy(turn, id).await {
                    turn.store_failed(self.world.now_ms());
                }
            }
        }
        error
    }

    /// Lets a copy answer for good, if there is one that does.
    async fn offer_copy(&self, turn: &mut Turn, id: AttemptId) -> bool {
        if self.finals.when() == FinalsWhen::Off {
            return false;
        }
        let copy = within(&*self.world, STORE_TIMEOUT_MS, self.finals.get(id)).await;
        let record = copy.flatten().and_then(|bytes| Record::decode(id, &bytes).ok());
        record.is_some_and(|record| turn.offer_copy(&record))
    }

    /// What is durable now.
    async fn load(&self, id: AttemptId) -> Result<Option<Record>, LoadError> {
        let loaded = within(&*self.world, STORE_TIMEOUT_MS, self.store.load(id)).await;
        let bytes = loaded
            .unwrap_or_else(|| Err(too_slow()))
            .map_err(LoadError::Store)?;
        bytes
            .map(|bytes| Record::decode(id, &bytes))
            .transpose()
            .map_err(LoadError::Refused)
    }

    async fn swap(&self, write: Option<&Write>) -> Result<Swapped, StoreError> {
        // A turn that asks for a swap has a write.
        let Some(write) = write else {
            return Ok(Swapped::Conflict);
        };
        let swapped = within(&*self.world, STORE_TIMEOUT_MS, self.store.swap(Swap::from(write))).await;
        swapped.unwrap_or(Ok(Swapped::Unknown))
    }

    /// A write is durable: people learn of what should not be there, and the copies of the end.
    fn committed(self: &Rc<Self>, write: Write, trace: Option<TraceParent>) {
        let id = write.record.id();
        self.measure(Some(id), trace, || Measure::of_write(&write, self.world.now_ms()));
        let unwanted = write.unwanted_effects();
        let (foreign, reversals) = (write.foreign_objects(), write.reversals());
        if unwanted + foreign + reversals > 0 {
            let events = write.events().join("; ");
            let line = format!(
                "unwanted effects: {unwanted}, foreign objects: {foreign}, reversals: {reversals}: {events}"
            );
            self.world.log(&Line::error(Some(id), &line).in_trace(trace));
        }
        if write.is_final() && self.finals.when() != FinalsWhen::Off {
            let server = Rc::clone(self);
            self.world.spawn(async move {
                let copied = server.finals.put(id, write.record.encode());
                within(&*server.world, STORE_TIMEOUT_MS, copied).await;
            });
        }
    }

    /// Counts what happened, for whoever reads the log.
    pub(crate) fn measure(
        &self,
        id: Option<AttemptId>,
        trace: Option<TraceParent>,
        measures: impl FnOnce() -> Vec<Measure>,
    ) {
        if self.measures == MeasuresTo::Log {
            let measures = measures();
            if !measures.is_empty() {
                self.world.log(&Line::measures(id, &measures).in_trace(trace));
            }
        }
    }

    fn note(&self, turn: &Turn, note: &Note) {
        let (id, trace) = (turn.id(), turn.trace());
        self.measure(id, trace, || Measure::of_note(note).into_iter().collect());
        let problem = match note {
            Note::Psp(report) => self.reports.borrow_mut().note(report, self.world.now_ms()),
            _ => None,
        };
        let Some(message) = note.message() else { return };
        let line = match note {
            Note::SwapUnknown => Line::warn(id, &message),
            _ => Line::error(id, &message),
        };
        let line = line.in_trace(trace);
        match &problem {
            Some(problem) => self.world.log(&line.with(problem)),
            None => self.world.log(&line),
        }
    }

    /// Wakes a record that wants it soon, once; what is further away is in the store's index.
    fn arm(self: &Rc<Self>, id: Option<AttemptId>, wake_at_ms: Option<UnixMillis>) {
        let now_ms = self.world.now_ms();
        let is_near = |at_ms: &UnixMillis| *at_ms <= now_ms + NEAR_MS;
        let (Some(id), Some(at_ms)) = (id, wake_at_ms.filter(is_near)) else {
            return;
        };
        let mut near = self.near.borrow_mut();
        if near.get(&id).is_some_and(|armed_ms| *armed_ms <= at_ms) {
            return;
        }
        near.insert(id, at_ms);
        drop(near);
        let server = Rc::clone(self);
        self.world.spawn(async move {
            server.world.sleep_ms(at_ms - now_ms).await;
            // One that came before it has taken its place.
            if server.near.borrow().get(&id) != Some(&at_ms) {
                return;
            }
            server.near.borrow_mut().remove(&id);
            server.wake(id).await;
        });
    }

    /// Hands the attempt to core because its time has come.
    pub(crate) async fn wake(self: &Rc<Self>, id: AttemptId) -> Ran {
        let mut turn = Turn::wake(id).polling();
        self.run(&mut turn, &mut mpsc::unbounded(), false, &mut |_| {})
            .await
            .0
    }
}

pub(crate) fn too_slow() -> StoreError {
    StoreError::Unavailable(format!("no answer within {} ms", STORE_TIMEOUT_MS.get()))
}
