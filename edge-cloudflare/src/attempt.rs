//! What the loop of core ([`Turn`]) asks for, in one attempt's own object. `Object::run` carries a turn out.
//!
//! Requests, outcomes and alarms of one object interleave wherever one of them awaits. Between a load and the swap that it leads
//! to nothing is awaited, so what was loaded is what is there: that is this adapter's compare-and-swap.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::select;
use pay_once_core::{
    Action, AttemptId, Call, CallResult, Config, Measure, Note, Questions, Record, RecordError, Response,
    SearchError, SearchState, Swapped, TraceParent, Turn, Write, body_did_not_arrive, not_answered,
};
use serde_json::json;
use tokio::sync::Notify;
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::future_to_promise;
use worker::{Env, Request, State};

use crate::concern::log_rejection;
use crate::finals::Copy;
use crate::journal::{Failed, Journal};
use crate::wire::{Asked, translate};
use crate::{finals, measures, search, settings, system};

/// One attempt's object, in this life of it.
pub(crate) struct Object {
    state: State,
    env: Env,
    journal: Journal,
    /// Told whenever the record has changed.
    changed: Notify,
    /// How often the record has changed in this life.
    changes: Cell<u64>,
    /// The copies in the cache and in the search, as far as this life knows.
    copy: Copy,
    /// The name under which a search finds the attempt parked, if one was put in this life.
    parked_name: RefCell<Option<String>>,
    /// What was asked in this life.
    questions: RefCell<Questions>,
}

/// Why a record could not be loaded.
enum LoadError {
    Unavailable(Failed),
    Refused(RecordError),
}

/// What a turn came to.
#[derive(Default)]
struct Ran {
    reply: Option<Response>,
    /// Calls that are to be seen to their end by whoever carried the turn.
    calls: Vec<Call>,
    /// What the storage said, if it was of no use.
    failed: Option<Failed>,
}

/// Who sees to a turn's calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// They are performed behind the request that set them going.
    Behind,
    /// Whoever carries the turn performs them.
    Returned,
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
    let since_ms = system::now_ms() - asked.spent_ms();
    // Of another attempt there is no record here, and an event that is about no record changes nothing.
    let mut turn = asked.with_request(|request| Turn::request(&config, request, since_ms));
    let ran = object.run(&config, &mut turn, Calls::Behind).await;
    let response = ran.reply.unwrap_or_else(not_answered);
    measures::count(&object.env, turn.id(), || {
        Measure::of_error(&response).into_iter().collect()
    });
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
    let config = settings::config(&object.env);
    let ran = object.run(&config, &mut Turn::wake(id), Calls::Returned).await;
    for call in ran.calls {
        Rc::clone(object).perform(call).await;
    }
    match ran.failed {
        Some(why) => Err(why.into()),
        None => Ok(()),
    }
}

impl Object {
    pub(crate) fn new(state: State, env: Env) -> Self {
        Self {
            journal: Journal::new(state.storage()),
            state,
            env,
            changed: Notify::new(),
            changes: Cell::new(0),
            copy: Copy::default(),
            parked_name: RefCell::default(),
            questions: RefCell::default(),
        }
    }

    /// Carries a turn to its end.
    async fn run(self: &Rc<Self>, config: &Config, turn: &mut Turn, calls: Calls) -> Ran {
        let mut ran = Ran::default();
        let mut changes = self.changes.get();
        loop {
            let action = turn.next(system::now_ms(), &mut self.questions.borrow_mut());
            match action {
                Action::Read(call) => {
                    let result = measures::counted_send(&self.env, &call).await;
                    turn.read(config, &result, system::now_ms());
                }
                // The Worker has answered it: an object has one attempt.
                Action::Search(_) => turn.found(config, Err(SearchError::Unavailable), system::now_ms()),
                // No await from here to the end of `put`.
                Action::Load => {
                    let Some(id) = turn.id() else { return ran };
                    changes = self.changes.get();
                    match (self.load(id), system::entropy()) {
                        (Ok(record), Ok(entropy)) => {
                            turn.loaded(config, record.as_ref(), system::now_ms(), entropy);
                        }
                        (Ok(_), Err(error)) => ran.failed = Some(failed(turn, error.to_string())),
                        (Err(LoadError::Unavailable(why)), _) => ran.failed = Some(failed(turn, why)),
                        (Err(LoadError::Refused(why)), _) => turn.refused(why, system::now_ms()),
                    }
                }
                Action::Swap => match self.put(turn.write()).await {
                    Ok(()) => turn.swapped(Swapped::Applied, system::now_ms()),
                    Err(why) => ran.failed = Some(failed(turn, why)),
                },
                Action::Committed(write) => {
                    // Its own write is no news to a turn that waits.
                    changes = changes.wrapping_add(1);
                    self.committed(&write, turn.trace());
                }
                Action::Perform(call) if calls == Calls::Returned => ran.calls.push(*call),
                Action::Perform(call) => self.in_background(Rc::clone(self).perform(*call)),
                Action::Arm { at_ms, .. } => {
                    if let Err(why) = self.journal.sooner(at_ms).await {
                        unavailable(turn.id(), &why);
                        ran.failed = Some(why);
                    }
                }
                Action::Note(note) => {
                    measures::count(&self.env, turn.id(), || {
                        Measure::of_note(&note).into_iter().collect()
                    });
                    log_note(turn, note);
                }
                Action::Wait { until_ms } => {
                    let changed = pin!(async {
                        if self.changes.get() == changes {
                            self.changed.notified().await;
                        }
                    });
                    select(changed, pin!(system::sleep_until(until_ms))).await;
                    turn.woken();
                }
                Action::Pause { until_ms } => {
                    system::sleep_until(until_ms).await;
                    turn.woken();
                }
                Action::Reply(response) => ran.reply = Some(response),
                Action::Done => return ran,
            }
        }
    }

    fn load(self: &Rc<Self>, id: AttemptId) -> Result<Option<Record>, LoadError> {
        let bytes = self.journal.load(id).map_err(LoadError::Unavailable)?;
        let record = bytes
            .map(|bytes| Record::decode(id, &bytes))
            .transpose()
            .map_err(LoadError::Refused)?;
        if record.as_ref().is_some_and(Record::is_final) && self.copy.is_due(false) {
            self.in_background(Rc::clone(self).copy(id));
        }
        Ok(record)
    }

    /// Writes record and alarm, and sees them taken. (That they are on disk before any answer leaves is the platform's output
    /// gate.)
    async fn put(&self, write: Option<&Write>) -> Result<(), Failed> {
        // A turn that asks for a swap has a write.
        let Some(write) = write else { return Ok(()) };
        let (id, bytes) = (write.record.id(), write.record.encode());
        let is_first = write.expected_version.is_none();
        let arming = self.journal.put(id, &bytes, write.wake_at_ms, is_first)?;
        arming.taken().await
    }

    fn committed(self: &Rc<Self>, write: &Write, trace: Option<TraceParent>) {
        log(write, trace);
        let id = write.record.id();
        measures::count(&self.env, Some(id), || Measure::of_write(write, system::now_ms()));
        self.changes.set(self.changes.get().wrapping_add(1));
        self.changed.notify_waiters();
        let entry = write.record.index_entry();
        let before = write
            .expected_version
            .and_then(|version| write.record.entry_at(version));
        let was_parked = before.filter(|before| before.state == SearchState::Parked);
        if let Some(before) = &was_parked {
            self.parked_name.replace(Some(search::state_name(id, before)));
        }
        if (write.is_final() || search::is_kept(entry.state) || was_parked.is_some())
            && self.copy.is_due(true)
        {
            self.in_background(Rc::clone(self).copy(write.record.id()));
        }
    }

    /// Performs one PSP call and feeds back what came of it. If that cannot be written, the alarm finds it out again.
    async fn perform(self: Rc<Self>, call: Call) {
        // Rule 1: durable first; only then is the time left to send it looked at.
        let result = match self.journal.durable().await {
            Ok(()) => measures::counted_send(&self.env, &call).await,
            Err(why) => CallResult::NotSent {
                reason: format!("its dispatch is not durable: {why}"),
            },
        };
        if let CallResult::Unknown { reason } = &result {
            let message = "a PSP call's outcome is unknown";
            let attempt = call.attempt.map(|id| id.to_string());
            let trace = trace_id(call.trace());
            let line = json!({"level": "WARN", "message": message, "attempt": attempt, "trace": trace, "call": format!("{:?}", call.http), "reason": reason});
            system::error(&line);
        }
        let config = settings::config(&self.env);
        if let Some(mut turn) = Turn::outcome(call, result, system::now_ms()) {
            // Boxed, since what it performs may carry another turn.
            Box::pin(self.run(&config, &mut turn, Calls::Behind)).await;
        }
    }

    /// Puts a copy of the record into the cache if it is final, and into the search, and again while there is news: at each moment the
    /// last one wins, and a copy that lacks evidence which came after the end (rule 8) does not stay.
    async fn copy(self: Rc<Self>, id: AttemptId) {
        loop {
            self.copy.begin();
            // Only what is durable may be told to anybody.
            let bytes = match self.journal.durable().await {
                Ok(()) => self.journal.load(id).ok().flatten(),
                Err(_) => None,
            };
            let is_kept = match bytes {
                Some(bytes) => {
                    let before = self.parked_name.borrow().clone();
                    let is_found = search::keep(&self.env, id, &bytes, before.as_deref()).await;
                    is_found & finals::keep(&self.env, id, &bytes).await
                }
                None => false,
            };
            if !self.copy.end(is_kept) {
                break;
            }
            // The cache takes one copy of a record a second.
            system::sleep_until(system::now_ms() + finals::PAUSE_MS).await;
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
fn log(write: &Write, trace: Option<TraceParent>) {
    system::info(&json!({
        "level": "INFO",
        "message": "written",
        "attempt": write.record.id().to_string(),
        "trace": trace_id(trace),
        "version": write.record.version(),
        "events": write.events().join("; "),
        "status": write.status(),
        "unwanted_effects": write.unwanted_effects(),
        "foreign_objects": write.foreign_objects(),
        "reversals": write.reversals(),
    }));
}

fn trace_id(trace: Option<TraceParent>) -> Option<String> {
    trace.map(|trace| trace.trace_id())
}

fn log_note(turn: &Turn, note: Note) {
    match note {
        Note::Psp(report) => log_rejection(turn.id(), turn.trace(), Some(report)),
        note => {
            let level = if matches!(note, Note::SwapUnknown) {
                "WARN"
            } else {
                "ERROR"
            };
            let (attempt, trace) = (turn.id().map(|id| id.to_string()), trace_id(turn.trace()));
            let message = note.message();
            system::error(&json!({"level": level, "message": message, "attempt": attempt, "trace": trace}));
        }
    }
}

/// The storage is of no use.
fn failed(turn: &mut Turn, why: Failed) -> Failed {
    unavailable(turn.id(), &why);
    turn.store_failed(system::now_ms());
    why
}

fn unavailable(id: Option<AttemptId>, why: &str) {
    let message = "the object's storage did not answer";
    let attempt = id.map(|id| id.to_string());
    system::error(&json!({"level": "ERROR", "message": message, "attempt": attempt, "why": why}));
}
