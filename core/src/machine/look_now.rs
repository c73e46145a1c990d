//! An operator's look: the PSP is asked about an attempt now, whatever the pauses of recovery are (`docs/http.md`, “Look”).
//! What it shows is applied as what a look of recovery shows (rule 7). It moves no money and needs no key.

use crate::base::http::Response;
use crate::base::limits::LOOK_NOW_EVERY_MS;
use crate::base::time::UnixMillis;
use crate::contract::answer;
use crate::contract::error::{ApiError, Code};
use crate::contract::look::{LookView, Seen};
use crate::contract::timeline::timeline;
use crate::journal::record::{Record, RecordError};
use crate::machine::builder::{StepBuilder, StepContext};
use crate::machine::outcome::apply_outcome;
use crate::machine::pending::{Look, PendingRequest, Told};
use crate::machine::step::{Reply, Step};
use crate::psp::call::{Call, Purpose};
use crate::recovery;

pub(crate) fn handle(
    clock: StepContext<'_>,
    record: &Record,
    pending: &PendingRequest,
    look: &Look,
) -> Result<Step, RecordError> {
    let work = StepBuilder::on(clock, record);
    match look {
        Look::Wanted => ask(work, pending),
        Look::TooSoon => {
            let reply = Reply::Now(show(&work, pending, LookView::too_soon()));
            Ok(work.finish(reply, false))
        }
        Look::Told(told) => apply(work, pending, told),
    }
}

/// Asks the PSP, if there is something to ask and a way to ask it.
fn ask(mut work: StepBuilder<'_>, pending: &PendingRequest) -> Result<Step, RecordError> {
    let Some(psp) = work.psp() else {
        let refusal = answer::psp_not_configured(&work.state().psp);
        return Ok(refuse(&refusal, pending));
    };
    if work.state().generation_of_call.is_empty() && !work.may_lack_entries() {
        let message = "Nothing of this attempt was sent to its PSP, so the PSP has nothing to show.";
        return Ok(refuse(&invalid_state(&work, message), pending));
    }
    if let Some(what) = recovery::look_now(work.state(), psp) {
        work.make(psp, what)?;
    }
    let Some(mut call) = work.calls.pop() else {
        let message = "This PSP offers no way to look: it cannot be asked for this payment by id, nor for the attempt. Look for the attempt's id in the PSP's own books.";
        return Ok(refuse(&invalid_state(&work, message), pending));
    };
    call.skip_within_ms = Some(LOOK_NOW_EVERY_MS);
    Ok(goes_on(work, pending, call))
}

/// Applies what came of the call. The last page of a look-up is answered, and the pages before it lead to the next one.
fn apply(mut work: StepBuilder<'_>, pending: &PendingRequest, told: &Told) -> Result<Step, RecordError> {
    if !apply_outcome(&mut work, &told.call, &told.result)? {
        return Ok(refuse(&answer::psp_not_configured(&work.state().psp), pending));
    }
    let reply = match (work.seen.take(), asked_at_ms(&told.call.purpose)) {
        (Some(Seen::Shown(shown)), Some(asked_at_ms)) => {
            let look = LookView::answered(asked_at_ms, work.has_changed(), shown);
            Reply::Now(show(&work, pending, look))
        }
        (Some(Seen::Failed { why }), _) => Reply::Now(answer::error(&failed(&work, &why), &pending.context)),
        _ => match work.calls.pop() {
            Some(next_page) => return Ok(goes_on(work, pending, next_page)),
            None => Reply::Now(answer::error(
                &failed(&work, "its answer is of no use"),
                &pending.context,
            )),
        },
    };
    Ok(work.finish(reply, true))
}

fn goes_on(work: StepBuilder<'_>, pending: &PendingRequest, call: Call) -> Step {
    let reply = Reply::Look {
        call: Box::new(call),
        pending: Box::new(pending.clone()),
    };
    work.finish(reply, false)
}

/// When a look was requested, in milliseconds since the Unix epoch. All pages of a look-up count as requested with the first.
fn asked_at_ms(purpose: &Purpose) -> Option<UnixMillis> {
    match purpose {
        Purpose::Read { asked } => Some(asked.at_ms),
        Purpose::Lookup(page) => Some(page.asked.at_ms),
        Purpose::Dispatched { .. } | Purpose::Event => None,
    }
}

fn show(work: &StepBuilder<'_>, pending: &PendingRequest, look: LookView) -> Response {
    let view = work.view().with_look(look).with_timeline(timeline(work.record()));
    answer::shown(&view, &pending.context)
}

fn invalid_state(work: &StepBuilder<'_>, message: &'static str) -> ApiError {
    ApiError::new(Code::InvalidState, message).with_attempt(work.view())
}

fn failed(work: &StepBuilder<'_>, why: &str) -> ApiError {
    let message = format!(
        "The PSP did not answer this look ({why}), so it shows nothing. Look again, or look for the attempt's id in the PSP's own books."
    );
    ApiError::new(Code::PspReadFailed, message).with_attempt(work.view())
}

fn refuse(error: &ApiError, pending: &PendingRequest) -> Step {
    Step::reply(answer::error(error, &pending.context))
}
