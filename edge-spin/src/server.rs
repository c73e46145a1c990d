//! The loop (ARCHITECTURE.md, “The loop”): load, decide, persist, perform, arm, reply. It fits one screen, in
//! `Server::step` and `Server::carry_out`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use pay_once_core::config::Config;
use pay_once_core::http::{Request, Response};
use pay_once_core::id::AttemptId;
use pay_once_core::machine::{Input, Reply, Step, Write, handle, may_be_settled, settled};
use pay_once_core::psp::questions::Questions;
use pay_once_core::record::{Record, RecordError};
use pay_once_core::request::{Routed, route};
use pay_once_core::store::Patience;

use crate::ports::{Finals, FinalsWhen, Line, PspTransport, Store, StoreError, Swap, Swapped, World, within};
use crate::reports::Reports;

/// How long one call of the store may take, in milliseconds.
pub const STORE_TIMEOUT_MS: u64 = 8_000;
/// First pause before a request looks into the store for what another instance is doing, in milliseconds; it doubles.
const LOOK_FIRST_MS: u64 = 20;
/// Longest such pause, in milliseconds.
const LOOK_MAX_MS: u64 = 160;
/// A record that wants to be woken within this time is woken by the instance that saw it, in milliseconds. What is
/// further away is left to the sweep: an instance does not live long.
pub const NEAR_MS: u64 = 5_000;
/// How soon an instance wakes a record that a request asked about, in milliseconds: once for all that ask until then.
const ASKED_ABOUT_MS: u64 = 1_000;

/// One instance of the component. Any number of them share a store.
pub struct Server<W, S, P, F> {
    pub(crate) world: Rc<W>,
    pub(crate) store: S,
    pub(crate) config: Config,
    pub(crate) psp: P,
    finals: F,
    near: RefCell<BTreeMap<AttemptId, u64>>,
    questions: RefCell<Questions>,
    pub(crate) reports: RefCell<Reports>,
}

/// Why a step came to nothing.
#[derive(Debug)]
pub(crate) enum Stuck {
    Store(StoreError),
    Refused(RecordError),
}

/// What became of carrying a step out.
enum Carried {
    Out(Stepped),
    /// Its swap came to this, and nothing was done.
    Not(Swapped),
}

/// What a step came to.
pub(crate) struct Stepped {
    pub(crate) reply: Reply,
    /// Whether it wrote. A write tells the store when the record wants to be woken.
    pub(crate) wrote: bool,
    /// When the record wants to be woken.
    pub(crate) wake_at_ms: Option<u64>,
}

/// Tells the request that began something whenever that has come further. Both ends belong to one request's task: the
/// component model wakes no task for another.
pub(crate) type News = mpsc::UnboundedSender<()>;

impl<W: World, S: Store, P: PspTransport, F: Finals> Server<W, S, P, F> {
    /// Puts a server together. [`Config::check`] is the caller's to have passed.
    pub fn new(config: Config, world: Rc<W>, store: S, psp: P, finals: F) -> Rc<Self> {
        Rc::new(Self {
            world,
            store,
            config,
            psp,
            finals,
            near: RefCell::default(),
            questions: RefCell::default(),
            reports: RefCell::default(),
        })
    }

    /// Answers one request. Once accepted, the work goes on though the client may hang up.
    pub async fn respond(self: &Rc<Self>, request: &Request<'_>) -> Option<Response> {
        let mut routed = route(&self.config, request, self.world.now_ms());
        let (id, input) = loop {
            routed = match routed {
                Routed::Reply(response) => return Some(response),
                Routed::Attempt { id, input } => break (id, input),
                Routed::Read(read) => self.read_event(*read).await,
            };
        };
        if self.finals.when() == FinalsWhen::First
            && may_be_settled(&input)
            && let Some(response) = self.kept_answer(id, &input).await
        {
            return Some(response);
        }
        self.drive(id, input).await
    }

    /// Carries one input through, waiting where the machine says so, to its reply.
    async fn drive(self: &Rc<Self>, id: AttemptId, mut input: Input) -> Option<Response> {
        let (news, mut heard) = mpsc::unbounded();
        let mut pause_ms = LOOK_FIRST_MS;
        loop {
            match self.step(id, &input, &news).await {
                Err(Stuck::Store(StoreError::Unavailable(_))) => {
                    let kept = self.kept_answer(id, &input).await;
                    return kept.or_else(|| input.store_unavailable());
                }
                Err(Stuck::Store(StoreError::Unsafe(why))) => return input.store_unsafe(&why),
                Err(Stuck::Refused(why)) => return input.record_refused(&why),
                Ok(Stepped { reply, .. }) => match reply {
                    Reply::Nothing => return None,
                    Reply::Now(response) => return Some(response),
                    Reply::Wait { until_ms, ticket } => {
                        let left_ms = until_ms.saturating_sub(self.world.now_ms());
                        within(&*self.world, left_ms.min(pause_ms), heard.next()).await;
                        pause_ms = pause_ms.saturating_mul(2).min(LOOK_MAX_MS);
                        input = Input::Request(ticket);
                    }
                },
            }
        }
    }

    /// One turn of the loop. It may be dropped at any await (a client hung up): what must not stop half-way is in
    /// [`Server::carry_out`], on a task of its own.
    pub(crate) async fn step(
        self: &Rc<Self>,
        id: AttemptId,
        input: &Input,
        news: &News,
    ) -> Result<Stepped, Stuck> {
        let mut patience = Patience::default();
        let mut is_reported = false;
        loop {
            let record = self.load(id).await?;
            let (now_ms, entropy) = (self.world.now_ms(), self.world.entropy());
            let mut step = handle(&self.config, id, record.as_ref(), input, now_ms, entropy)
                .map_err(|why| self.refused(id, why))?;
            // Once, however often the swap is lost to others.
            let report = step.report.take().filter(|_| !is_reported);
            is_reported |= report.is_some();
            self.note_report(Some(id), report);
            if step.write.is_none() && step.calls.is_empty() {
                self.arm(id, self.sooner(input, step.wake_at_ms));
                return Ok(Stepped {
                    reply: step.reply,
                    wrote: false,
                    wake_at_ms: step.wake_at_ms,
                });
            }
            let (done, outcome) = oneshot::channel();
            let (server, news) = (Rc::clone(self), news.clone());
            self.world.spawn(async move {
                // Whoever asked may be gone.
                let _ = done.send(server.carry_out(id, step, news).await);
            });
            let gone = Stuck::Store(StoreError::Unavailable("the instance ended".to_owned()));
            let swapped = match outcome.await.unwrap_or(Err(gone))? {
                Carried::Out(stepped) => return Ok(stepped),
                Carried::Not(swapped) => swapped,
            };
            if let Some(why) = patience.ended_by(swapped) {
                return Err(Stuck::Store(StoreError::Unavailable(why.to_owned())));
            }
        }
    }

    /// Whoever asks about what wants to be woken has it looked at soon: the sweep that would do it may have much to do.
    fn sooner(&self, input: &Input, wake_at_ms: Option<u64>) -> Option<u64> {
        let soon_ms = self.world.now_ms().saturating_add(ASKED_ABOUT_MS);
        match input {
            Input::Request(_) => wake_at_ms.map(|at_ms| at_ms.min(soon_ms)),
            Input::Webhook(_) | Input::Outcome(_) | Input::Wake => wake_at_ms,
        }
    }

    /// Persist, then perform and arm, then reply.
    async fn carry_out(self: &Rc<Self>, id: AttemptId, step: Step, news: News) -> Result<Carried, Stuck> {
        let wrote = step.write.is_some();
        if let Some(write) = step.write {
            let swapped = self.persist(id, &write).await?;
            if swapped != Swapped::Applied {
                return Ok(Carried::Not(swapped));
            }
            self.note(id, write);
            // Nobody may be waiting for news.
            let _ = news.unbounded_send(());
        }
        let mut calls = step.calls;
        let now_ms = self.world.now_ms();
        calls.retain(|call| self.questions.borrow_mut().may_ask(call, now_ms));
        // Otherwise what comes of them arms it.
        if calls.is_empty() {
            self.arm(id, step.wake_at_ms);
        }
        for call in calls {
            let (server, news) = (Rc::clone(self), news.clone());
            self.world
                .spawn(async move { server.perform(id, call, news).await });
        }
        Ok(Carried::Out(Stepped {
            reply: step.reply,
            wrote,
            wake_at_ms: step.wake_at_ms,
        }))
    }

    /// What is durable now.
    async fn load(&self, id: AttemptId) -> Result<Option<Record>, Stuck> {
        let loaded = within(&*self.world, STORE_TIMEOUT_MS, self.store.load(id)).await;
        let bytes = loaded.unwrap_or_else(|| Err(too_slow())).map_err(|error| {
            self.world.log(&Line::error(Some(id), &error.to_string()));
            Stuck::Store(error)
        })?;
        bytes
            .map(|bytes| Record::decode(id, &bytes))
            .transpose()
            .map_err(|why| self.refused(id, why))
    }

    /// Swaps, and finds out what became of it.
    async fn persist(&self, id: AttemptId, write: &Write) -> Result<Swapped, Stuck> {
        let swap = Swap::from(write);
        let swapped = within(&*self.world, STORE_TIMEOUT_MS, self.store.swap(swap)).await;
        match swapped.unwrap_or(Ok(Swapped::Unknown)).map_err(Stuck::Store)? {
            Swapped::Unknown => {
                let now = self.load(id).await?;
                Ok(Swapped::read_back(
                    now.as_ref(),
                    &write.record,
                    write.expected_version,
                ))
            }
            known => Ok(known),
        }
    }

    /// What is worth noting of a write: what was seen at the PSP that should not be there, for people; the end, for the copies.
    fn note(self: &Rc<Self>, id: AttemptId, write: Write) {
        let unwanted = write.unwanted_effects();
        let (foreign, reversals) = (write.foreign_objects(), write.reversals());
        if unwanted + foreign + reversals > 0 {
            let events = write.events().join("; ");
            let line = format!(
                "unwanted effects: {unwanted}, foreign objects: {foreign}, reversals: {reversals}: {events}"
            );
            self.world.log(&Line::error(Some(id), &line));
        }
        if write.is_final() && self.finals.when() != FinalsWhen::Off {
            let server = Rc::clone(self);
            self.world.spawn(async move {
                let copied = server.finals.put(id, write.record.encode());
                within(&*server.world, STORE_TIMEOUT_MS, copied).await;
            });
        }
    }

    /// Wakes a record that wants it soon, once; what is further away is in the store's index.
    fn arm(self: &Rc<Self>, id: AttemptId, wake_at_ms: Option<u64>) {
        let now_ms = self.world.now_ms();
        let Some(at_ms) = wake_at_ms.filter(|at_ms| *at_ms <= now_ms.saturating_add(NEAR_MS)) else {
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
            server.world.sleep_ms(at_ms.saturating_sub(now_ms)).await;
            // One that came before it has taken its place.
            if server.near.borrow().get(&id) != Some(&at_ms) {
                return;
            }
            server.near.borrow_mut().remove(&id);
            let (news, _nobody) = mpsc::unbounded();
            if let Err(Stuck::Store(error)) = server.step(id, &Input::Wake, &news).await {
                server.world.log(&Line::error(Some(id), &error.to_string()));
            }
        });
    }

    /// The answer that a copy gives for good.
    async fn kept_answer(&self, id: AttemptId, input: &Input) -> Option<Response> {
        if self.finals.when() == FinalsWhen::Off {
            return None;
        }
        let copy = within(&*self.world, STORE_TIMEOUT_MS, self.finals.get(id)).await??;
        settled(id, &Record::decode(id, &copy).ok()?, input)
    }

    fn refused(&self, id: AttemptId, why: RecordError) -> Stuck {
        let line = format!("a record was refused and left as it is: {why}");
        self.world.log(&Line::error(Some(id), &line));
        Stuck::Refused(why)
    }
}

pub(crate) fn too_slow() -> StoreError {
    StoreError::Unavailable(format!("no answer within {STORE_TIMEOUT_MS} ms"))
}
