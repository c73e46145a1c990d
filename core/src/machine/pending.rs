//! A request on its way: what a client asks for, and until when it waits.

use std::sync::Arc;

use crate::base::fingerprint::Fingerprint;
use crate::base::time::UnixMillis;
use crate::contract::answer::ReplyContext;
use crate::contract::command::Command;

/// A request that concerns one attempt, checked as far as it can be without the attempt. Adapters carry it, and
/// present it again after a conflict or a change of the record; they do not look inside.
#[derive(Clone, Debug)]
pub struct PendingRequest {
    pub(crate) caller: Caller,
    /// Shared: a pending request is copied whenever it has to wait.
    pub(crate) asked: Arc<Asked>,
    /// When an answer is due, in milliseconds since the Unix epoch.
    pub(crate) answer_by_ms: UnixMillis,
    pub(crate) context: ReplyContext,
    /// Whether the pending request has waited for its answer: it is no new question.
    pub(crate) has_waited: bool,
    /// Whether it waits for the read of an open 3-D Secure that its question has caused.
    pub(crate) expects_read: bool,
    /// Index of the entry by which this very pending request asked, if it brought one into the journal. Its answer is no replay, unless
    /// somebody asked again under the key since.
    pub(crate) asked_at: Option<usize>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// A merchant, for attempts of its own.
    Merchant(Arc<str>),
    /// An operator, for any attempt. Its role was checked when the request was routed.
    Operator,
}

impl Caller {
    /// Whether an attempt of this merchant is there for the caller.
    pub(crate) fn sees(&self, merchant: &str) -> bool {
        match self {
            Self::Merchant(own) => **own == *merchant,
            Self::Operator => true,
        }
    }
}

/// What a pending request asks for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Read,
    Command {
        key: String,
        fingerprint: Fingerprint,
        command: Command,
    },
}

impl PendingRequest {
    /// The context of an answer that comes before its time and is not final: a `Prefer: wait` was not applied.
    pub(crate) fn early(&self) -> ReplyContext {
        ReplyContext {
            waited_s: None,
            ..self.context.clone()
        }
    }

    /// The pending request as it waits: presented again, it is the same question.
    pub(crate) fn waiting(&self) -> Self {
        let mut pending = self.clone();
        pending.has_waited = true;
        pending
    }

    /// When an answer is due, in milliseconds since the Unix epoch. An adapter that cannot finish by then presents
    /// the pending request once more and gets a 202.
    #[must_use]
    pub fn answer_by_ms(&self) -> UnixMillis {
        self.answer_by_ms
    }
}
