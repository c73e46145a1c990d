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
    /// The operation.
    pub operation: Operation,
    /// On whose behalf it runs.
    pub cause: Cause,
    /// The amount, in minor units of the attempt's currency.
    pub amount_minor: u64,
    /// The PSP's id of the object or effect that it acts on. `None`: the attempt's own object or authorization.
    pub target: Option<String>,
    /// When it was intended, in milliseconds since the Unix epoch.
    pub since_ms: UnixMillis,
    /// Current generation; 0 before the first dispatch.
    pub generation: u16,
    /// Whether it is proven that the effect of the current generation did not happen (rule 3).
    pub proven_absent: bool,
    /// Set once the PSP has refused a void or refund, until the current generation is proven to have had no effect.
    pub refused: Option<Refused>,
    /// Whether the last answer to a call of the current generation was a rejection.
    pub was_rejected: bool,
    /// Whether sending the current PSP key again can show nothing more. The key is then not sent again.
    pub key_is_useless: bool,
    /// When the current generation was first sent, in milliseconds since the Unix epoch, if that was by an earlier
    /// request that the PSP rejected.
    pub key_used_since_ms: Option<UnixMillis>,
    /// Set while the operation is parked: nothing more is tried, and an operator is waited for.
    pub parked: Option<Parking>,
    /// Its calls, oldest first.
    pub calls: Vec<DispatchedCall>,
    /// Set while requests of it may have been sent whose dispatches are lost (rule 16). They count as one more sending
    /// of the current generation, whose outcome is unknown.
    pub lost: Option<LostSending>,
}

/// Requests that may have been sent although the journal lacks their dispatches (rule 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostSending {
    /// The loss. The requests may have been sent in its time.
    pub loss: Loss,
    /// When the operation became suspect, in milliseconds since the Unix epoch: when the loss was noted or, for an
    /// operation that began after that, when the operation began.
    pub since_ms: UnixMillis,
}

/// An operation that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parking {
    /// Why nothing more is tried.
    pub reason: String,
    /// The record's version as of the entry that parked the operation. A `resolve` names the version, so that it
    /// applies to this parking and to no other (`docs/http.md`, “Resolve”).
    pub version: RecordVersion,
}

/// A refusal of a void or refund. What it should release may still be held, or may be held later.
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
    /// The name of the call. It is unique.
    pub id: LocalId,
    /// Whether the call makes the object or acts.
    pub step: CallStep,
    /// Generation (rule 3).
    pub generation: u16,
    /// The PSP key (rule 3).
    pub psp_key: Arc<str>,
    /// The PSP's id of the object or effect that the call addressed, if one was known.
    pub target: Option<String>,
    /// The earliest time at which it was sent, in milliseconds since the Unix epoch.
    pub sent_at_ms: UnixMillis,
    /// The latest time at which it may be sent, in milliseconds since the Unix epoch.
    pub send_by_ms: UnixMillis,
    /// The number of the wire form in which it was written. If it is sent again, it is written in the same form
    /// (rule 15).
    pub wire_form: u16,
    /// The amount that it asks for, in minor units. If it is sent again, it asks for the same amount (rule 3).
    pub amount_minor: u64,
    /// What is known of its delivery.
    pub delivery: DeliveryState,
}

/// What is known of the delivery of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Nothing is known. The writer of the dispatch may still send the call, until `send_by_ms`.
    Pending,
    /// The call was sent, and its outcome is unknown.
    Unknown {
        /// When that was noted, in milliseconds since the Unix epoch.
        at_ms: UnixMillis,
    },
    /// No byte of the call left.
    NotSent {
        /// When that was noted, in milliseconds since the Unix epoch.
        at_ms: UnixMillis,
    },
    /// The PSP answered it.
    Answered {
        /// When that was noted, in milliseconds since the Unix epoch.
        at_ms: UnixMillis,
    },
    /// The PSP rejected the call without executing it. The rejection is about this server's credentials, account or
    /// request, not about the payment.
    Rejected {
        /// When that was noted, in milliseconds since the Unix epoch.
        at_ms: UnixMillis,
    },
}

/// The call of an operation that an answer belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerTo {
    pub(crate) operation: Operation,
    /// Whether the call is of the current generation.
    pub(crate) is_current: bool,
    /// Whether the answer changed what is known of the call's delivery.
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

    /// Notes the answer to a call of this operation. `None`: the call is not of this operation.
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
        // A later and better answer replaces an unknown outcome. Nothing replaces an answer. A call that may have been
        // sent never becomes one that was not sent.
        let before = track.delivery;
        track.delivery = match (track.delivery, now) {
            (DeliveryState::Answered { at_ms }, _) => DeliveryState::Answered { at_ms },
            // A repeated report keeps the time of the first one.
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

    /// Whether requests of it may have been sent although their dispatches are lost (rule 16).
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

    /// How many calls were rejected since the last call that was answered otherwise, in any generation. A call without
    /// an answer does not end the row.
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

    /// The latest `send_by_ms` of the calls of the current generation, in milliseconds since the Unix epoch. Every call
    /// counts, including one that was rejected and had no effect.
    #[must_use]
    pub fn last_dispatch_ms(&self) -> Option<UnixMillis> {
        self.current().map(|call| call.send_by_ms).max()
    }

    /// The last moment, in milliseconds since the Unix epoch, at which those calls of the current generation may have
    /// been sent that may have been executed (rule 6). A call whose dispatch is lost may have been sent until the
    /// restore (rule 16).
    #[must_use]
    pub fn last_send_ms(&self) -> Option<UnixMillis> {
        let lost_ms = self.lost.map(|lost| lost.loss.restored_ms);
        self.maybe_sent().map(|call| call.send_by_ms).chain(lost_ms).max()
    }

    /// The first moment at which the current PSP key may have been used (rule 5), in milliseconds since the Unix epoch.
    /// A rejected call has used the key as well: it is sent again under the same key, and the PSP forgets what it kept
    /// of the call after the same time.
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
