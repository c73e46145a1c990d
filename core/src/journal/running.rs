//! The operation under way, and its calls.

use std::sync::Arc;

use crate::base::id::LocalId;
use crate::base::loss::Loss;
use crate::base::time::UnixMillis;
use crate::base::version::RecordVersion;
use crate::journal::entry::{CallStep, Cause, Operation};
use crate::journal::evidence::Signal;

/// An operation that was intended and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentOperation {
    /// Which.
    pub operation: Operation,
    /// On whose behalf.
    pub cause: Cause,
    /// Minor units.
    pub amount_minor: u64,
    /// What it is aimed at, when not at the attempt's own authorization.
    pub target: Option<String>,
    /// When it was intended, in milliseconds since the Unix epoch.
    pub since_ms: UnixMillis,
    /// Current generation; 0 before the first dispatch.
    pub generation: u16,
    /// Whether the current generation was proven not to have happened (rule 3).
    pub proven_absent: bool,
    /// Set once the PSP refused it for good, until another try is begun.
    pub refused: Option<Refused>,
    /// Whether the last answer to a call of the current generation was a rejection.
    pub was_rejected: bool,
    /// Whether the current PSP key can tell nothing more: it is not sent again.
    pub key_is_useless: bool,
    /// When the current generation was sent first, if that was by an earlier request that the PSP rejected, in milliseconds since
    /// the Unix epoch.
    pub key_used_since_ms: Option<UnixMillis>,
    /// Set while nothing more is tried and an operator is waited for.
    pub parked: Option<Parking>,
    /// Its calls, oldest first.
    pub calls: Vec<DispatchedCall>,
    /// Set while requests of it may have been sent whose dispatches are lost (rule 16): one more sending of the current generation, of
    /// unknown outcome.
    pub lost: Option<LostSending>,
}

/// Requests that may have been sent, and of which the journal lacks the dispatches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostSending {
    /// When they may have been sent.
    pub loss: Loss,
    /// When this was noted, in milliseconds since the Unix epoch.
    pub since_ms: UnixMillis,
}

/// An operation that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parking {
    /// Why nothing more is tried.
    pub reason: String,
    /// The record's version as of the entry that parked it. A `resolve` names it, so that it is about this parking and no other
    /// one (`docs/http.md`, “Resolve”).
    pub version: RecordVersion,
}

/// A void or refund that the PSP refused: what it should release may still be held, or come to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The PSP's code.
    pub code: String,
    /// Whether anything was known to be held when it was refused.
    pub held: bool,
}

/// One dispatched call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchedCall {
    /// Its name.
    pub id: LocalId,
    /// Makes the object, or acts.
    pub step: CallStep,
    /// Generation.
    pub generation: u16,
    /// PSP key.
    pub psp_key: Arc<str>,
    /// The object or effect that it addressed.
    pub target: Option<String>,
    /// Sent at, earliest, in milliseconds since the Unix epoch.
    pub sent_at_ms: UnixMillis,
    /// Sent by, latest, in milliseconds since the Unix epoch.
    pub send_by_ms: UnixMillis,
    /// The wire form that it was written in: sent again, it is written in the same.
    pub wire_form: u16,
    /// What it asks for, in minor units: sent again, it asks for the same.
    pub amount_minor: u64,
    /// What became of it.
    pub delivery: DeliveryState,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Nothing is known. Its owner may be about to send it, until `send_by_ms`.
    Pending,
    /// It was sent and its outcome is unknown.
    Unknown {
        /// When that was seen.
        at_ms: UnixMillis,
    },
    /// Nothing of it left.
    NotSent {
        /// When that was seen.
        at_ms: UnixMillis,
    },
    /// The PSP answered it.
    Answered {
        /// When that was seen.
        at_ms: UnixMillis,
    },
    /// The PSP rejected it without executing it: our credentials, our account or our request, not the payment.
    Rejected {
        /// When that was seen.
        at_ms: UnixMillis,
    },
}

/// Which of an operation's calls an answer is to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerTo {
    pub(crate) operation: Operation,
    /// Whether the call is of the current generation.
    pub(crate) is_current: bool,
    /// Whether it changed what is known of the call.
    pub(crate) is_new: bool,
}

impl CurrentOperation {
    pub(crate) fn new(
        operation: Operation,
        cause: Cause,
        amount_minor: u64,
        target: Option<String>,
        since_ms: UnixMillis,
    ) -> Self {
        Self {
            operation,
            cause,
            amount_minor,
            target,
            since_ms,
            generation: 0,
            proven_absent: false,
            refused: None,
            was_rejected: false,
            key_is_useless: false,
            key_used_since_ms: None,
            parked: None,
            calls: Vec::new(),
            lost: None,
        }
    }

    /// Notes the answer to one of its calls. `None` if it is not one of its calls.
    pub(crate) fn answer(
        &mut self,
        call: Option<LocalId>,
        at_ms: UnixMillis,
        signal: &Signal,
    ) -> Option<AnswerTo> {
        let call = call?;
        let track = self.calls.iter_mut().find(|track| track.id == call)?;
        let now = match signal {
            Signal::Unknown { .. }
            | Signal::KeyUseless { .. }
            | Signal::Rejected {
                is_conclusive: false, ..
            } => DeliveryState::Unknown { at_ms },
            Signal::NotSent { .. } => DeliveryState::NotSent { at_ms },
            Signal::Rejected {
                is_conclusive: true, ..
            } => DeliveryState::Rejected { at_ms },
            Signal::None
            | Signal::Prepared { .. }
            | Signal::ActionRequired { .. }
            | Signal::Refused { .. }
            | Signal::FormRefused { .. } => DeliveryState::Answered { at_ms },
        };
        // A later, better answer replaces an unknown; nothing replaces an answer, and what may have been sent is
        // never taken back.
        let before = track.delivery;
        track.delivery = match (track.delivery, now) {
            (DeliveryState::Answered { at_ms }, _) => DeliveryState::Answered { at_ms },
            // Told twice, it is as it was told first.
            (
                DeliveryState::Unknown { at_ms },
                DeliveryState::Unknown { .. }
                | DeliveryState::NotSent { .. }
                | DeliveryState::Rejected { .. },
            ) => DeliveryState::Unknown { at_ms },
            (DeliveryState::NotSent { at_ms }, DeliveryState::NotSent { .. }) => {
                DeliveryState::NotSent { at_ms }
            }
            (
                DeliveryState::Rejected { at_ms },
                DeliveryState::Rejected { .. } | DeliveryState::NotSent { .. },
            ) => DeliveryState::Rejected { at_ms },
            (
                DeliveryState::Pending
                | DeliveryState::Unknown { .. }
                | DeliveryState::NotSent { .. }
                | DeliveryState::Rejected { .. },
                now,
            ) => now,
        };
        let is_current = track.generation == self.generation;
        let is_new = track.delivery != before;
        if is_current {
            self.was_rejected = matches!(signal, Signal::Rejected { .. });
        }
        Some(AnswerTo {
            operation: self.operation,
            is_current,
            is_new,
        })
    }

    /// Calls of the current generation.
    pub fn current(&self) -> impl DoubleEndedIterator<Item = &DispatchedCall> {
        self.calls
            .iter()
            .filter(|call| call.generation == self.generation)
    }

    /// Calls of the current generation that may have been executed.
    pub fn maybe_sent(&self) -> impl DoubleEndedIterator<Item = &DispatchedCall> {
        self.current().filter(|call| {
            !matches!(
                call.delivery,
                DeliveryState::NotSent { .. } | DeliveryState::Rejected { .. }
            )
        })
    }

    /// Whether requests of it may have been sent whose dispatches are lost (rule 16).
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.lost.is_some()
    }

    /// Whether no call of the current generation that acts can have been executed.
    #[must_use]
    pub fn no_act_left(&self) -> bool {
        !self.is_suspect() && self.maybe_sent().all(|call| call.step == CallStep::CreateObject)
    }

    /// Whether the PSP rejected the last call of the current generation.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        let last = self.current().next_back();
        last.is_some_and(|call| matches!(call.delivery, DeliveryState::Rejected { .. }))
    }

    /// How many calls since the last one that was answered otherwise were rejected, whatever their number. A call that was lost
    /// says nothing of the PSP's mind.
    #[must_use]
    pub fn rejections_in_a_row(&self) -> usize {
        let is_rejected = |call: &&DispatchedCall| matches!(call.delivery, DeliveryState::Rejected { .. });
        let is_open = |call: &&DispatchedCall| !matches!(call.delivery, DeliveryState::Answered { .. });
        self.calls
            .iter()
            .rev()
            .take_while(is_open)
            .filter(is_rejected)
            .count()
    }

    /// The end of the last time to send that a call of the current generation had, whatever became of it: a rejected call counts, which
    /// has had no effect.
    #[must_use]
    pub fn last_dispatch_ms(&self) -> Option<UnixMillis> {
        self.current().map(|call| call.send_by_ms).max()
    }

    /// The last moment at which any call of the current generation may have been sent (rule 6).
    #[must_use]
    pub fn last_send_ms(&self) -> Option<UnixMillis> {
        let lost_ms = self.lost.map(|lost| lost.loss.restored_ms);
        self.maybe_sent().map(|call| call.send_by_ms).chain(lost_ms).max()
    }

    /// The first moment at which the current PSP key may have been used (rule 5). A call that was rejected has used it as well: it
    /// is sent again under the same key, and what a PSP kept of it is forgotten in the same time.
    #[must_use]
    pub fn first_send_ms(&self) -> Option<UnixMillis> {
        let used = self
            .current()
            .filter(|call| !matches!(call.delivery, DeliveryState::NotSent { .. }));
        used.map(|call| call.sent_at_ms)
            .chain(self.key_used_since_ms)
            .chain(self.lost.map(|lost| lost.loss.begins_ms))
            .min()
    }
}
