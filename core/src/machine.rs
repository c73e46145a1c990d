//! The one door: `handle(record, input, now, entropy)` decides, and does nothing (`ARCHITECTURE.md`, “The loop”).
//!
//! The adapter carries the step out in this order: *persist* (compare-and-swap; on conflict load and handle again),
//! *call the PSP* and *arm the timer*, feed results back, *reply*.

use std::sync::Arc;

use crate::config::Config;
use crate::evidence::{EffectKind, Evidence, Signal};
use crate::http::Response;
use crate::id::{AttemptId, Entropy};
use crate::journal::{Conclusion, Fact, Source};
use crate::ownership;
use crate::planted::{Bug, planted};
use crate::psp::amount::Units;
use crate::psp::report::PspReport;
use crate::psp::webhook::{self, WebhookEvent};
use crate::psp::{self, Call, CallResult, Purpose, Reading, WireForm};
use crate::record::{Record, RecordError};
use crate::request::PendingRequest;
use crate::state::State;
use crate::status::Status;
use crate::timeline;
use crate::work::{StepBuilder, StepContext};

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client asks for something, or is still waiting for its answer.
    Request(Box<PendingRequest>),
    /// A PSP told us something.
    Webhook(Box<WebhookEvent>),
    /// Something came of a call.
    Outcome(Box<Outcome>),
    /// A timer fired, or the record was found with a due time in the past.
    Wake,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The call, as it was given out.
    pub call: Call,
    /// What came of it.
    pub result: CallResult,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub struct Step {
    /// Persist first. Nothing below may happen before this is durable (rules 1 and 2).
    pub write: Option<Write>,
    /// Then perform these.
    pub calls: Vec<Call>,
    /// And wake the machine at this time, in milliseconds since the Unix epoch. `None` leaves timers as they are.
    pub wake_at_ms: Option<u64>,
    /// What an answer said of its PSP as such: for the deployment's operators, whatever becomes of the write.
    pub report: Option<PspReport>,
    /// Then reply.
    pub reply: Reply,
}

/// A compare-and-swap of one record.
#[derive(Clone, Debug)]
pub struct Write {
    /// The version that must be there; `None` if no record may be there.
    pub expected_version: Option<u64>,
    /// What to put there. Shared: the swap, the host's copy and the log line have it at the same time.
    pub record: Arc<Record>,
    /// When the machine wants to be woken if nothing else happens: kept beside the record, so that a restart finds it.
    pub wake_at_ms: Option<u64>,
}

impl Write {
    fn news(&self) -> impl Iterator<Item = &Fact> {
        let from = usize::try_from(self.expected_version.unwrap_or(0)).unwrap_or(usize::MAX);
        self.record.entries().iter().skip(from).map(|entry| &entry.fact)
    }

    /// What it adds to the journal, in the timeline's words, for log lines. No secrets are in it.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        self.news().map(timeline::event).collect()
    }

    /// Where the attempt stands once it is durable.
    #[must_use]
    pub fn status(&self) -> Status {
        self.record.state().status
    }

    /// Whether the attempt has ended: from here on its answers are [`finalized`], and a copy of the record is worth keeping
    /// where reads are cheap.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.record.is_final()
    }

    /// How many effects it notes that must not stand (rule 8), captures that differ from what was asked for included (rule 14).
    #[must_use]
    pub fn unwanted_effects(&self) -> usize {
        self.concluded(|conclusion| {
            matches!(
                conclusion,
                Conclusion::Unwanted { .. } | Conclusion::CaptureMismatch { .. }
            )
        })
    }

    /// How many objects it notes that carry the attempt's reference and are not its own (rule 13).
    #[must_use]
    pub fn foreign_objects(&self) -> usize {
        self.concluded(|conclusion| matches!(conclusion, Conclusion::Foreign { .. }))
    }

    /// How many captures it notes that were taken back by the PSP or the issuer.
    #[must_use]
    pub fn reversals(&self) -> usize {
        let reversals = |fact: &Fact| match fact {
            Fact::Observed { evidence, .. } => {
                let kinds = evidence.effects.iter().map(|effect| effect.kind);
                kinds.filter(|kind| *kind == EffectKind::Reversal).count()
            }
            _ => 0,
        };
        self.news().map(reversals).sum()
    }

    fn concluded(&self, is_meant: impl Fn(&Conclusion) -> bool) -> usize {
        let is_meant = |fact: &&Fact| matches!(fact, Fact::Inferred { conclusion } if is_meant(conclusion));
        self.news().filter(is_meant).count()
    }
}

/// What to tell whoever asked.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Nobody is waiting.
    Nothing,
    /// Send this.
    Now(Response),
    /// Hand the ticket in again when the record has changed, and at `until_ms` at the latest.
    Wait {
        /// When an answer is due, in milliseconds since the Unix epoch.
        until_ms: u64,
        /// The ticket to hand in.
        ticket: Box<PendingRequest>,
    },
}

impl Step {
    pub(crate) fn reply(response: Response) -> Self {
        Self {
            write: None,
            calls: Vec::new(),
            wake_at_ms: None,
            report: None,
            reply: Reply::Now(response),
        }
    }
}

/// Decides. `record` is what the store holds for `id` now; `entropy` is fresh for every call.
///
/// # Errors
/// [`RecordError::Full`] if evidence finds no room, which the bounds make unreachable for an honest PSP. Nothing is
/// to be written then.
pub fn handle(
    config: &Config,
    id: AttemptId,
    record: Option<&Record>,
    input: &Input,
    now_ms: u64,
    entropy: Entropy,
) -> Result<Step, RecordError> {
    let clock = StepContext {
        config,
        now_ms,
        entropy,
    };
    match (input, record) {
        (Input::Request(ticket), _) => crate::ticket::handle(clock, id, record, ticket),
        // Our own PSP account, but no attempt of ours.
        (Input::Webhook(_), None) => Ok(Step::reply(webhook::received())),
        (Input::Webhook(news), Some(record)) => on_webhook(StepBuilder::on(clock, record), news),
        (Input::Outcome(outcome), Some(record)) => on_outcome(StepBuilder::on(clock, record), outcome),
        (Input::Wake, Some(record)) => {
            let mut work = StepBuilder::on(clock, record);
            work.advance()?;
            Ok(work.finish(Reply::Nothing, true))
        }
        // Nothing is ever dispatched before its record is durable, and records are never deleted.
        (Input::Outcome(_) | Input::Wake, None) => Ok(Step {
            write: None,
            calls: Vec::new(),
            wake_at_ms: None,
            report: None,
            reply: Reply::Nothing,
        }),
    }
}

/// The answer that `record` gives to `input` for good, if it has one: the replay of a finalized key, or a read of a final
/// attempt (rule 10). Any copy of the record may give it, however old, so a cache of copies is never the authority
/// (`docs/store.md`, “Copies”). `None` sends the adapter to the store.
///
/// The one thing that the copy of a final attempt can lack is evidence that came after the end (rule 8): it shows in the
/// timeline once the copy is renewed, which [`Write::is_final`] asks for.
#[must_use]
pub fn finalized(id: AttemptId, record: &Record, input: &Input) -> Option<Response> {
    match input {
        Input::Request(ticket) => crate::ticket::finalized(id, record, ticket),
        Input::Webhook(_) | Input::Outcome(_) | Input::Wake => None,
    }
}

/// Whether a look at a copy is worth its price before `input` goes to the store: where [`finalized`] could answer, and likely
/// does. A create is repeated within seconds if at all, when its attempt has not ended and there is no copy: each would pay
/// for a look, and hardly one be spared anything.
#[must_use]
pub fn may_be_finalized(input: &Input) -> bool {
    match input {
        Input::Request(ticket) => crate::ticket::may_be_finalized(ticket),
        Input::Webhook(_) | Input::Outcome(_) | Input::Wake => false,
    }
}

fn on_webhook(mut work: StepBuilder<'_>, news: &WebhookEvent) -> Result<Step, RecordError> {
    // A PSP vouches for its own payments only.
    let vouches = |state: &State| *state.psp == *news.psp || planted(Bug::WebhookOfAnotherPsp);
    let psp = work.psp().filter(|_| vouches(work.state()));
    if let Some(psp) = psp {
        let form = if planted(Bug::WebhookAmountsAsIso) {
            0
        } else {
            work.state().wire_form
        };
        let sightings = news.sightings(Units::new(psp.face, WireForm::of(form)));
        let sorted = ownership::sort(work.state(), psp, &sightings);
        work.note_foreign(&sorted.foreign)?;
        work.dispute(&sorted.disputed)?;
        work.apply_evidence(Source::Webhook, None, &sorted.ours)?;
    }
    let changed = work.has_changed();
    Ok(work.finish(Reply::Now(webhook::received()), changed))
}

fn on_outcome(mut work: StepBuilder<'_>, outcome: &Outcome) -> Result<Step, RecordError> {
    let Some(psp) = work.psp() else {
        return Ok(work.finish(Reply::Nothing, false));
    };
    let purpose = &outcome.call.purpose;
    let form = match purpose {
        Purpose::Dispatched { call, .. } => work.state().wire_form_of(*call),
        Purpose::Lookup(_) if planted(Bug::ListedAmountsAsIso) => 0,
        Purpose::Read { .. } | Purpose::Lookup(_) | Purpose::Event => work.state().wire_form,
    };
    let terms = std::sync::Arc::clone(&work.state().terms);
    let reading = Reading {
        id: work.record.id(),
        terms: &terms,
        units: Units::new(psp.face, WireForm::of(form)),
    };
    let answer = psp::read(psp, reading, purpose, &outcome.result);
    if matches!(outcome.result, CallResult::Answered { .. }) {
        work.report = Some(PspReport {
            psp: outcome.call.psp.clone(),
            call: purpose.kind(),
            rejection: answer.rejection.clone(),
        });
    }
    match purpose {
        Purpose::Dispatched { call, .. } => {
            let evidence =
                if work.state().may_have_sent_besides(*call) && !planted(Bug::RefusedResendDeclines) {
                    of_this_sending_only(answer.evidence)
                } else {
                    answer.evidence
                };
            let source = match outcome.result.request_id() {
                Some(request_id) => Source::NamedResponse { request_id },
                None => Source::Response,
            };
            work.apply_evidence(source, Some(*call), &evidence)?;
        }
        Purpose::Read { asked_at_ms } => work.apply_read(psp, *asked_at_ms, &answer)?,
        Purpose::Lookup(page) => work.apply_page(psp, page, answer, &outcome.result)?,
        // Reads of events are answered where they were asked (`request::Routed::Read`).
        Purpose::Event => {}
    }
    Ok(work.finish(Reply::Nothing, true))
}

/// A refusal that speaks of one sending only, where another one under the same key may have had its effect: the outcome of
/// the operation is not known from it (rule 9).
fn of_this_sending_only(mut evidence: Evidence) -> Evidence {
    match &mut evidence.signal {
        Signal::FormRefused { code, .. } => {
            let reason = format!("this sending was refused ({code}); another may have had its effect");
            Evidence::unknown(reason)
        }
        Signal::Rejected { is_conclusive, .. } => {
            *is_conclusive = false;
            evidence
        }
        Signal::None
        | Signal::Prepared { .. }
        | Signal::ActionRequired { .. }
        | Signal::Refused { .. }
        | Signal::Unknown { .. }
        | Signal::NotSent { .. }
        | Signal::KeyUseless { .. } => evidence,
    }
}
