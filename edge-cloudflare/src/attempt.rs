//! The loop (ARCHITECTURE.md, “The loop”) in one attempt's own object: load, decide, persist, perform, arm, reply.
//!
//! Requests, outcomes and alarms of one object interleave wherever one of them awaits. So nothing is carried over an
//! await: [`Object::step`], which loads, decides and writes, has none in it, and everything that comes back from a PSP
//! goes through it again with the record as it is then. That is this adapter's compare-and-swap.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::select;
use pay_once_core::http::Response;
use pay_once_core::id::AttemptId;
use pay_once_core::limits::PSP_ABSENT_RETRY_MS;
use pay_once_core::machine::{Input, Outcome, Reply, Write, handle};
use pay_once_core::psp::questions::Questions;
use pay_once_core::psp::{Call, CallResult};
use pay_once_core::record::{Record, RecordError};
use pay_once_core::request::{body_did_not_arrive, not_answered};
use serde_json::json;
use tokio::sync::Notify;
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::future_to_promise;
use worker::{Env, Request, State};

use crate::concern::{Concern, concern, log_rejection};
use crate::finals::Copy;
use crate::journal::{Arming, Failed, Journal};
use crate::wire::{Asked, translate};
use crate::{finals, psp_client, settings, system};

/// One attempt's object, in this life of it.
pub(crate) struct Object {
    state: State,
    env: Env,
    journal: Journal,
    /// Told whenever the record has changed.
    changed: Notify,
    /// The copy in the cache, as far as this life knows.
    copy: Copy,
    /// What was asked in this life.
    questions: RefCell<Questions>,
}

/// Why a step came to nothing.
enum Stuck {
    Unavailable(Failed),
    Refused(RecordError),
}

impl From<Failed> for Stuck {
    fn from(why: Failed) -> Self {
        Self::Unavailable(why)
    }
}

impl From<RecordError> for Stuck {
    fn from(why: RecordError) -> Self {
        Self::Refused(why)
    }
}

/// A step that has been written, and what is to be done once it is durable.
struct Written {
    arming: Option<Arming>,
    wake_at_ms: Option<u64>,
    calls: Vec<Call>,
    reply: Reply,
}

/// Answers one request to this attempt.
///
/// # Errors
/// If the platform refuses to make an answer.
pub(crate) async fn fetch(object: &Rc<Object>, mut request: Request) -> worker::Result<worker::Response> {
    let Ok(asked) = Asked::read(&mut request).await else {
        return translate(body_did_not_arrive());
    };
    let config = settings::config(&object.env);
    // Its time began at the Worker.
    let since_ms = system::now_ms().saturating_sub(asked.spent_ms());
    let response = match concern(&config, &asked, since_ms).await {
        Concern::Reply(response) => response,
        // Of another attempt there is no record here, and an event that is about no record changes nothing.
        Concern::Attempt(id, input) => object.drive(id, input).await.unwrap_or_else(not_answered),
    };
    translate(response)
}

/// Core's timer has gone off. What it sets going is seen to its end here: nobody else may be keeping the object awake.
///
/// # Errors
/// If the storage did not answer: the platform then tries again by itself.
pub(crate) async fn alarm(object: &Rc<Object>) -> worker::Result<()> {
    object.journal.alarm_is_gone();
    let Some(id) = object.journal.whose().await? else {
        return Ok(());
    };
    match object.step(id, &Input::Wake) {
        Ok(written) => {
            let (calls, _) = object.settle(written).await?;
            for call in calls {
                Rc::clone(object).perform(id, call).await;
            }
            Ok(())
        }
        // The next build may be able to read it, or the storage to answer; this alarm must not be the last.
        Err(Stuck::Refused(why)) => {
            refused(id, &why);
            object.again_later().await
        }
        Err(Stuck::Unavailable(why)) => {
            unavailable(id, &why);
            object.again_later().await
        }
    }
}

impl Object {
    pub(crate) fn new(state: State, env: Env) -> Self {
        Self {
            journal: Journal::new(state.storage()),
            state,
            env,
            changed: Notify::new(),
            copy: Copy::default(),
            questions: RefCell::default(),
        }
    }

    /// Looks again when a deployment that lacks something would.
    async fn again_later(&self) -> worker::Result<()> {
        let at_ms = system::now_ms().saturating_add(PSP_ABSENT_RETRY_MS);
        Ok(self.journal.sooner(at_ms).await?)
    }

    /// Carries one input through, waiting where the machine says so, to its reply.
    async fn drive(self: &Rc<Self>, id: AttemptId, mut input: Input) -> Option<Response> {
        loop {
            let written = match self.step(id, &input) {
                Ok(written) => written,
                Err(Stuck::Refused(why)) => {
                    refused(id, &why);
                    return input.record_refused(&why);
                }
                Err(Stuck::Unavailable(why)) => {
                    unavailable(id, &why);
                    return input.store_unavailable();
                }
            };
            // Listening begins before the first await, so that no change falls in between.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let reply = match self.settle(written).await {
                Ok((calls, reply)) => {
                    self.start(id, calls);
                    reply
                }
                Err(why) => {
                    unavailable(id, &why);
                    return input.store_unavailable();
                }
            };
            match reply {
                Reply::Nothing => return None,
                Reply::Now(response) => return Some(response),
                Reply::Wait { until_ms, ticket } => {
                    select(changed, pin!(system::sleep_until(until_ms))).await;
                    input = Input::Request(ticket);
                }
            }
        }
    }

    /// Load, decide, write. No await: nothing of this object can come in between, so what was loaded is what is there.
    fn step(self: &Rc<Self>, id: AttemptId, input: &Input) -> Result<Written, Stuck> {
        let config = settings::config(&self.env);
        let record = self.journal.load(id)?;
        let record = record.map(|bytes| Record::decode(id, &bytes)).transpose()?;
        let entropy = system::entropy().map_err(|error| error.to_string())?;
        let step = handle(&config, id, record.as_ref(), input, system::now_ms(), entropy)?;
        log_rejection(Some(id), step.report);
        let is_final = step.write.as_ref().map(|write| write.is_final());
        let is_final = is_final.unwrap_or_else(|| record.is_some_and(|record| record.is_final()));
        if is_final && self.copy.is_due(step.write.is_some()) {
            self.in_background(Rc::clone(self).copy(id));
        }
        let arming = step.write.map(|write| self.persist(id, &write)).transpose()?;
        Ok(Written {
            wake_at_ms: step.wake_at_ms.filter(|_| arming.is_none()),
            arming,
            calls: step.calls,
            reply: step.reply,
        })
    }

    fn persist(self: &Rc<Self>, id: AttemptId, write: &Write) -> Result<Arming, Failed> {
        let bytes = write.record.encode();
        let is_first = write.expected_version.is_none();
        let arming = self.journal.put(id, &bytes, write.wake_at_ms, is_first)?;
        log(write);
        self.changed.notify_waiters();
        Ok(arming)
    }

    /// Sees a step's writes taken. Then, and only then, come its calls and its reply.
    async fn settle(&self, written: Written) -> Result<(Vec<Call>, Reply), Failed> {
        if let Some(arming) = written.arming {
            arming.taken().await?;
        }
        if let Some(at_ms) = written.wake_at_ms {
            self.journal.sooner(at_ms).await?;
        }
        Ok((written.calls, written.reply))
    }

    /// Performs calls behind the request that set them going.
    fn start(self: &Rc<Self>, id: AttemptId, calls: Vec<Call>) {
        for call in calls {
            self.in_background(Rc::clone(self).perform(id, call));
        }
    }

    /// Performs one PSP call and feeds back what came of it. If that cannot be written, the alarm finds it out again.
    async fn perform(self: Rc<Self>, id: AttemptId, call: Call) {
        if !self.questions.borrow_mut().may_ask(&call, system::now_ms()) {
            return;
        }
        // Rule 1: durable first; only then is the time left to send it looked at.
        let result = match self.journal.durable().await {
            Ok(()) => psp_client::send(&call).await,
            Err(why) => CallResult::NotSent {
                reason: format!("its dispatch is not durable: {why}"),
            },
        };
        if let CallResult::Unknown { reason } = &result {
            let message = "a PSP call's outcome is unknown";
            let line = json!({"level": "WARN", "message": message, "attempt": id.to_string(), "call": format!("{:?}", call.http), "reason": reason});
            system::error(&line);
        }
        let input = Input::Outcome(Box::new(Outcome { call, result }));
        let settled = match self.step(id, &input) {
            Ok(written) => self.settle(written).await.map_err(Stuck::Unavailable),
            Err(stuck) => Err(stuck),
        };
        match settled {
            Ok((calls, _)) => self.start(id, calls),
            Err(Stuck::Refused(why)) => refused(id, &why),
            Err(Stuck::Unavailable(why)) => unavailable(id, &why),
        }
    }

    /// Puts a copy of the record into the cache, and again while there is news: at each moment the last one wins, and a
    /// copy that lacks evidence which came after the end (rule 8) does not stay.
    async fn copy(self: Rc<Self>, id: AttemptId) {
        loop {
            self.copy.begin();
            // Only what is durable may be told to anybody.
            let bytes = match self.journal.durable().await {
                Ok(()) => self.journal.load(id).ok().flatten(),
                Err(_) => None,
            };
            let is_kept = match bytes {
                Some(bytes) => finals::keep(&self.env, id, &bytes).await,
                None => false,
            };
            if !self.copy.end(is_kept) {
                break;
            }
            // The cache takes one copy of a record a second.
            system::sleep_until(system::now_ms().saturating_add(finals::PAUSE_MS)).await;
        }
    }

    /// Keeps the object awake until `work` is done.
    fn in_background(&self, work: impl Future<Output = ()> + 'static) {
        let promise = future_to_promise(async move {
            work.await;
            Ok(JsValue::UNDEFINED)
        });
        if let Err(error) = self.state.as_raw().wait_until(&promise) {
            // It runs all the same.
            system::error(
                &json!({"level": "WARN", "message": "waitUntil was refused", "error": format!("{error:?}")}),
            );
        }
    }
}

/// One line for each durable step, with the attempt's id and what is new.
fn log(write: &Write) {
    system::info(&json!({
        "level": "INFO",
        "message": "written",
        "attempt": write.record.id().to_string(),
        "version": write.record.version(),
        "events": write.events().join("; "),
        "status": write.status(),
        "unwanted_effects": write.unwanted_effects(),
        "foreign_objects": write.foreign_objects(),
        "reversals": write.reversals(),
    }));
}

fn refused(id: AttemptId, why: &RecordError) {
    let message = "a record was refused and left as it is";
    system::error(
        &json!({"level": "ERROR", "message": message, "attempt": id.to_string(), "why": why.to_string()}),
    );
}

fn unavailable(id: AttemptId, why: &str) {
    let message = "the object's storage did not answer";
    system::error(&json!({"level": "ERROR", "message": message, "attempt": id.to_string(), "why": why}));
}
