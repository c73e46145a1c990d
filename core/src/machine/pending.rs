//! A pending request: what a client asks for, and until when it waits for an answer.

use std::sync::Arc;

use crate::base::fingerprint::Fingerprint;
use crate::base::time::UnixMillis;
use crate::contract::answer::ReplyContext;
use crate::contract::command::Command;
use crate::psp::call::{Call, CallResult};

/// A request that concerns one attempt, checked as far as it can be without the attempt. Adapters keep it, and hand it
/// in again after a conflict or a change of the record. They do not look inside.
#[derive(Clone, Debug)]
pub struct PendingRequest {
    pub(crate) caller: Caller,
    /// It is shared, because a pending request is copied whenever it has to wait.
    pub(crate) asked: Arc<Asked>,
    /// When an answer is due, in milliseconds since the Unix epoch.
    pub(crate) answer_by_ms: UnixMillis,
    pub(crate) context: ReplyContext,
    /// Whether the request has already waited for its answer. It then causes no further read and no further sending.
    pub(crate) has_waited: bool,
    /// Whether it waits for the read of an open 3-D Secure that it has caused.
    pub(crate) expects_read: bool,
    /// Index of the entry by which this request asked, if it added one to the journal. Its answer is then no replay,
    /// unless the key was asked for again since.
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
    /// Whether the caller may see attempts of this merchant.
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
    /// An operator's look at the PSP.
    Look(Look),
    Command {
        key: String,
        fingerprint: Fingerprint,
        command: Command,
    },
}

/// How far an operator's look has come.
#[derive(Clone, Debug)]
pub(crate) enum Look {
    /// The PSP is to be asked.
    Wanted,
    /// This process asked the PSP about the attempt a moment ago.
    TooSoon,
    /// The PSP was asked, and this came of it.
    Told(Box<Told>),
}

/// A call of a look, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) call: Call,
    pub(crate) result: CallResult,
}

impl PendingRequest {
    /// The pending request of a look once its call has ended ([`super::step::Reply::Look`]).
    #[must_use]
    pub fn told(self, call: Call, result: CallResult) -> Self {
        self.at(Look::Told(Box::new(Told { call, result })))
    }

    /// The pending request of a look whose call is left out, since the PSP was asked a moment ago
    /// ([`super::step::Reply::Look`]).
    #[must_use]
    pub fn too_soon(self) -> Self {
        self.at(Look::TooSoon)
    }

    fn at(self, look: Look) -> Self {
        Self {
            asked: Arc::new(Asked::Look(look)),
            ..self
        }
    }

    /// Whether it brings what a PSP answered.
    pub(crate) fn brings_an_answer(&self) -> bool {
        matches!(&*self.asked, Asked::Look(Look::Told(_)))
    }

    /// The context of an answer that is not final and comes before its time. A `Prefer: wait` was then not applied.
    pub(crate) fn early(&self) -> ReplyContext {
        ReplyContext {
            waited_s: None,
            ..self.context.clone()
        }
    }

    /// The pending request while it waits. When it is handed in again, it counts as the same question.
    pub(crate) fn waiting(&self) -> Self {
        let mut pending = self.clone();
        pending.has_waited = true;
        pending
    }

    /// When an answer is due, in milliseconds since the Unix epoch. An adapter that has no final answer by then hands
    /// the pending request in once more, and gets a 202.
    #[must_use]
    pub fn answer_by_ms(&self) -> UnixMillis {
        self.answer_by_ms
    }
}
