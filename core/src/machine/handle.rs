//! The entry point of the machine. [`handle`] decides, and does nothing else (`ARCHITECTURE.md`, “The loop”).
//!
//! The adapter carries the step out in this order: *persist* (compare-and-swap; on a conflict load and handle again),
//! *call the PSP* and *arm the timer*, *reply*. It hands the results of calls in as new inputs.

use super::builder::{StepBuilder, StepContext};
use super::client;
use super::outcome::apply_outcome;
use super::step::{Input, Outcome, Reply, Step};
use crate::base::clock::Now;
use crate::base::config::Config;
use crate::base::http::Response;
use crate::base::id::{AttemptId, Entropy};
use crate::contract::answer;
use crate::journal::entry::Source;
use crate::journal::record::{Record, RecordError};
use crate::journal::state::State;
use crate::journal::wire_form::WireForm;
use crate::psp::amount::Units;
use crate::psp::webhook::WebhookEvent;
use crate::recovery::ownership;

/// Decides about `input`. `record` is what the store holds for `id` now. `entropy` must be fresh for every call.
///
/// # Errors
/// [`RecordError::Full`] if there is no space for evidence. The bounds make this unreachable for an honest PSP. Nothing
/// may be written then.
pub fn handle(
    config: &Config,
    id: AttemptId,
    record: Option<&Record>,
    input: &Input,
    now: impl Into<Now>,
    entropy: Entropy,
) -> Result<Step, RecordError> {
    let now = now.into();
    let clock = StepContext {
        config,
        now_ms: now.at_ms,
        trust: now.trust,
        entropy,
    };
    match (input, record) {
        (Input::Request(pending), _) => client::handle(clock, id, record, pending),
        // The event is of our own PSP account, and of no attempt of ours.
        (Input::Webhook(_), None) => Ok(Step::reply(answer::received())),
        (Input::Webhook(event), Some(record)) => on_webhook(StepBuilder::on(clock, record), event),
        (Input::Outcome(outcome), Some(record)) => on_outcome(StepBuilder::on(clock, record), outcome),
        (Input::Wake, Some(record)) => {
            let mut work = StepBuilder::on(clock, record);
            work.advance()?;
            Ok(work.finish(Reply::Nothing, true))
        }
        // This does not occur: nothing is dispatched before its record is durable, and records are never deleted.
        (Input::Outcome(_) | Input::Wake, None) => Ok(Step {
            write: None,
            calls: Vec::new(),
            wake_at_ms: None,
            report: None,
            is_held_back: false,
            reply: Reply::Nothing,
        }),
    }
}

/// The answer that `record` gives to `input` for good, if it has one: the replay of a finalized key, or a read of a
/// final attempt (rule 10) without an open operation. Any copy of the record may give this answer, however old it is. A
/// cache of copies is never the authority (`docs/store.md`, “Copies”). `None`: the adapter has to ask the store.
///
/// The copy of a final attempt can only lack evidence that came after the end (rule 8). That evidence is in the
/// timeline once the copy is renewed, which [`super::step::Write::is_final`] asks for.
#[must_use]
pub fn finalized(id: AttemptId, record: &Record, input: &Input) -> Option<Response> {
    match input {
        Input::Request(pending) => client::finalized(id, record, pending),
        Input::Webhook(_) | Input::Outcome(_) | Input::Wake => None,
    }
}

/// Whether it is worthwhile to read a copy before `input` goes to the store: [`finalized`] could answer from the copy,
/// and is likely to. A create is not worth it. If it is repeated at all, it is repeated within seconds, when its
/// attempt has not ended and there is no copy. Every create would cost one more read, and hardly any would be answered
/// from a copy.
#[must_use]
pub fn may_be_finalized(input: &Input) -> bool {
    match input {
        Input::Request(pending) => client::may_be_finalized(pending),
        Input::Webhook(_) | Input::Outcome(_) | Input::Wake => false,
    }
}

fn on_webhook(mut work: StepBuilder<'_>, event: &WebhookEvent) -> Result<Step, RecordError> {
    // A PSP's evidence counts for attempts at that PSP only.
    let vouches = |state: &State| *state.psp == *event.psp;
    let psp = work.psp().filter(|_| vouches(work.state()));
    if let Some(psp) = psp {
        // The loss is noted before the objects are sorted by owner: an object from the time of the loss is the
        // attempt's own (rule 16).
        work.suspect()?;
        let form = work.state().wire_form;
        let sightings = event.sightings(Units::new(psp.connector, WireForm::of(form)));
        let sorted = ownership::sort(work.state(), psp, &sightings);
        work.note_foreign(&sorted.foreign)?;
        work.dispute(&sorted.disputed)?;
        work.apply_evidence(Source::Webhook, None, &sorted.ours)?;
    }
    let changed = work.has_changed();
    Ok(work.finish(Reply::Now(answer::received()), changed))
}

fn on_outcome(mut work: StepBuilder<'_>, outcome: &Outcome) -> Result<Step, RecordError> {
    let arm = apply_outcome(&mut work, &outcome.call, &outcome.result)?;
    Ok(work.finish(Reply::Nothing, arm))
}
