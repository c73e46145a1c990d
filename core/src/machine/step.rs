//! The input of the machine, and its output.

use std::sync::Arc;

use super::pending::PendingRequest;
use crate::base::http::Response;
use crate::base::time::UnixMillis;
use crate::base::version::RecordVersion;
use crate::contract::timeline;
use crate::journal::entry::{Conclusion, Fact, Source};
use crate::journal::evidence::{EffectKind, Signal};
use crate::journal::record::Record;
use crate::journal::status::Status;
use crate::psp::call::{Call, CallResult};
use crate::psp::report::PspReport;
use crate::psp::webhook::WebhookEvent;

/// An input of the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client asks for something, or is still waiting for its answer.
    Request(Box<PendingRequest>),
    /// A PSP sent a webhook.
    Webhook(Box<WebhookEvent>),
    /// The result of a call.
    Outcome(Box<Outcome>),
    /// A timer fired, or the record was found with a due time in the past.
    Wake,
}

/// The result of a call.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The call, as it was given out.
    pub call: Call,
    /// The result, as the adapter saw it.
    pub result: CallResult,
}

/// What the adapter has to do, in this order.
#[derive(Debug)]
#[non_exhaustive]
pub struct Step {
    /// Persist first. Nothing below may happen before this is durable (rules 1 and 2).
    pub write: Option<Write>,
    /// Then perform these calls.
    pub calls: Vec<Call>,
    /// Then set the timer, so that the machine is woken at this time, in milliseconds since the Unix epoch. `None`
    /// leaves the timer as it is.
    pub wake_at_ms: Option<UnixMillis>,
    /// What an answer showed of the PSP itself, for operators. It is reported whatever becomes of the write.
    pub report: Option<PspReport>,
    /// Whether a read or look-up proves no absence only because its clock cannot be trusted (rule 6), for operators.
    pub is_held_back: bool,
    /// Then reply.
    pub reply: Reply,
}

/// A compare-and-swap of one record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Write {
    /// The version that must be there; `None` if no record may be there.
    pub expected_version: Option<RecordVersion>,
    /// The record to store. It is shared, because the swap, the host's copy and the log line have it at the same time.
    pub record: Arc<Record>,
    /// When the machine has to be woken if nothing else happens, in milliseconds since the Unix epoch. It is kept
    /// beside the record, so that a restart finds it.
    pub wake_at_ms: Option<UnixMillis>,
}

impl Write {
    fn new_facts(&self) -> impl Iterator<Item = &Fact> {
        let from = self.expected_version.map_or(0, RecordVersion::entries);
        self.record.entries().iter().skip(from).map(|entry| &entry.fact)
    }

    /// What the write adds to the journal, in the words of the timeline, for log lines. It contains no secret.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        self.new_facts().map(timeline::event).collect()
    }

    /// The attempt's status once the write is durable.
    #[must_use]
    pub fn status(&self) -> Status {
        self.record.state().status
    }

    /// Name of the attempt's PSP.
    #[must_use]
    pub fn psp(&self) -> &str {
        &self.record.state().psp
    }

    /// Whether the attempt has ended once the write is durable. Its answers are then [`super::handle::finalized`], and
    /// a copy of the record is worth keeping where reads are cheap.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.record.is_final()
    }

    /// How many unwanted effects the write notes (rule 8), including captures that differ from what was asked for
    /// (rule 14).
    #[must_use]
    pub fn unwanted_effects(&self) -> usize {
        self.concluded(|conclusion| {
            matches!(
                conclusion,
                Conclusion::Unwanted { .. } | Conclusion::CaptureMismatch { .. }
            )
        })
    }

    /// How many objects the write notes that carry the attempt's reference and are not its own (rule 13).
    #[must_use]
    pub fn foreign_objects(&self) -> usize {
        self.concluded(|conclusion| matches!(conclusion, Conclusion::Foreign { .. }))
    }

    /// How many reversals the write notes: the PSP or the issuer took captured funds back.
    #[must_use]
    pub fn reversals(&self) -> usize {
        let reversals = |fact: &Fact| match fact {
            Fact::Observed { evidence, .. } => {
                let kinds = evidence.effects.iter().map(|effect| effect.kind);
                kinds.filter(|kind| *kind == EffectKind::Reversal).count()
            }
            _ => 0,
        };
        self.new_facts().map(reversals).sum()
    }

    /// How many declines by the PSP or the issuer the write notes. An operator's resolution is not one.
    #[must_use]
    pub fn declines(&self) -> usize {
        let is_decline = |fact: &&Fact| match fact {
            Fact::Observed { source, evidence, .. } => {
                matches!(evidence.signal, Signal::Refused { .. })
                    && !matches!(source, Source::Operator { .. })
            }
            _ => false,
        };
        self.new_facts().filter(is_decline).count()
    }

    fn concluded(&self, is_meant: impl Fn(&Conclusion) -> bool) -> usize {
        let is_meant = |fact: &&Fact| matches!(fact, Fact::Inferred { conclusion } if is_meant(conclusion));
        self.new_facts().filter(is_meant).count()
    }
}

/// The reply to whoever handed the input in.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Nobody is waiting.
    Nothing,
    /// Send this response.
    Now(Response),
    /// Hand the pending request in again when the record has changed, and at `until_ms` at the latest.
    Wait {
        /// When an answer is due, in milliseconds since the Unix epoch.
        until_ms: UnixMillis,
        /// The pending request to hand in.
        pending: Box<PendingRequest>,
    },
    /// Perform the call, and hand the pending request in again with what came of it ([`PendingRequest::told`]). A call that
    /// [`crate::psp::questions::Questions`] leaves out is not performed ([`PendingRequest::too_soon`]).
    Look {
        /// A read or look-up. It moves no money.
        call: Box<Call>,
        /// The pending request to hand in.
        pending: Box<PendingRequest>,
    },
}

impl Step {
    pub(crate) fn reply(response: Response) -> Self {
        Self {
            write: None,
            calls: Vec::new(),
            wake_at_ms: None,
            report: None,
            is_held_back: false,
            reply: Reply::Now(response),
        }
    }
}
