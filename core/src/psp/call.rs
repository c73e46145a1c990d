//! Calls to a PSP: what an adapter is to send, and what it saw come of it.

use std::fmt;

use super::report::CallKind;
use crate::base::clock::{Now, Reading};
use crate::base::config::Secret;
use crate::base::http_date;
use crate::base::id::{AttemptId, LocalId};
use crate::base::time::{Millis, UnixMillis};
use crate::base::trace::{TRACEPARENT, TraceParent};
use crate::journal::entry::{CallStep, Operation};
use crate::journal::evidence::Sighting;

/// Headers of a PSP's answer that core reads, in lower case. An adapter hands these over and drops the others.
pub const ANSWER_HEADERS: [&str; 3] = ["request-id", "stripe-should-retry", "date"];

/// One HTTP request to a PSP, ready to be sent. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// Method.
    pub method: &'static str,
    /// Absolute URL.
    pub url: String,
    /// Header lines without the credentials.
    pub headers: Vec<(&'static str, String)>,
    /// The PSP's API key, sent as `Authorization: Bearer`.
    pub bearer: Secret,
    /// Body bytes.
    pub body: Vec<u8>,
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} body bytes)", self.method, self.url, self.body.len())
    }
}

/// A call that the adapter is to perform: only if [`Call::may_send`] still holds right before sending, at most once,
/// and with whatever came of it handed back as [`crate::machine::step::Input::Outcome`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The attempt that what comes of it is for; `None` for a read that finds out which attempt an event is about.
    pub attempt: Option<AttemptId>,
    /// Name of the PSP in the configuration.
    pub psp: String,
    /// What to send.
    pub http: HttpCall,
    /// When it may be sent at the latest, in milliseconds since the Unix epoch (rule 1).
    pub send_by_ms: UnixMillis,
    /// The same moment as the host's clocks show it. `None`: nothing depends on when it leaves.
    pub(crate) send_by: Option<Reading>,
    /// How long to wait for the whole answer.
    pub timeout_ms: Millis,
    /// Whether money can move by it (prepare calls, reads and look-ups move none).
    pub moves_money: bool,
    /// Set on a question that is not worth asking again so soon: an adapter that began one of this attempt within so many
    /// milliseconds leaves it out ([`super::questions::Questions`]).
    pub skip_within_ms: Option<Millis>,
    pub(crate) purpose: Purpose,
}

impl Call {
    /// Rule 1: check again right before sending. An owner that was paused past `send_by_ms` must not send: others
    /// may have drawn conclusions from its silence. The moment must not have passed by either clock of the host, nor by the time
    /// that follows from both. The wall clock may have been set back meanwhile. A monotonic clock that stood still with a paused
    /// machine does not know of the pause. A time that was ahead at the dispatch, and was corrected since, would leave a late
    /// `send_by_ms`.
    #[must_use]
    pub fn may_send(&self, now: impl Into<Now>) -> bool {
        let now = now.into();
        now.at_ms <= self.send_by_ms && self.send_by.is_none_or(|by| now.trust.reading.is_by(by))
    }

    /// The trace that the call is sent in, for log lines.
    #[must_use]
    pub fn trace(&self) -> Option<TraceParent> {
        let named = |(name, _): &&(&'static str, String)| *name == TRACEPARENT;
        let (_, value) = self.http.headers.iter().find(named)?;
        TraceParent::parse(value)
    }

    /// Sends it in `trace`. The header is no part of the request that a PSP compares under a key (rule 15).
    pub(crate) fn send_in(&mut self, trace: Option<TraceParent>) {
        let Some(trace) = trace else { return };
        let name = match &self.purpose {
            Purpose::Dispatched { call, .. } => call.with_prefix(""),
            Purpose::Read { .. } | Purpose::Lookup(_) | Purpose::Event => {
                format!("{} {}", self.http.url, self.send_by_ms.get())
            }
        };
        self.http
            .headers
            .push((TRACEPARENT, trace.child(&name).to_string()));
    }
}

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A dispatched call, named in the journal.
    Dispatched {
        call: LocalId,
        operation: Operation,
        step: CallStep,
        target: Option<String>,
        amount_minor: u64,
    },
    /// Reads the object by id.
    Read { asked: Asked },
    /// Looks for objects by our reference.
    Lookup(Lookup),
    /// Reads the object that an event is about, to learn whose it is.
    Event,
}

impl Purpose {
    /// The kind of call, for reports.
    pub(crate) fn kind(&self) -> CallKind {
        match self {
            Self::Dispatched { .. } => CallKind::Operation,
            Self::Read { .. } | Self::Event => CallKind::Read,
            Self::Lookup(_) => CallKind::List,
        }
    }
}

/// When a read or a look-up was asked for, and how well its clock was known then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) at_ms: UnixMillis,
    /// See [`crate::base::clock::Now`]: zero while the clock is in doubt.
    pub(crate) sure_for_ms: Millis,
}

/// One page of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// When the first page was asked for: all pages count as asked then.
    pub(crate) asked: Asked,
    /// Whether the `Date` of a page before shows that the clock was wrong.
    pub(crate) is_contradicted: bool,
    /// The cursor of this page; `None` for the first.
    pub(crate) after: Option<String>,
    /// How many objects are asked for.
    pub(crate) objects: u32,
    /// The object whose refunds are listed, where those are looked for.
    pub(crate) refunds_of: Option<String>,
    /// What the pages before showed.
    pub(crate) found: Vec<Sighting>,
    /// A cursor to find out by whether the cursors go round, and how many pages it is kept and has been kept for (Brent).
    pub(crate) mark: Option<String>,
    pub(crate) mark_pages_max: u32,
    pub(crate) mark_pages: u32,
}

impl Lookup {
    /// Whether the next cursor was met before: this page's own, or the one that is marked.
    pub(crate) fn goes_round(&self, next: Option<&str>) -> bool {
        next.is_some() && (next == self.after.as_deref() || next == self.mark.as_deref())
    }

    /// The next page.
    pub(crate) fn next(&self, after: Option<String>, found: Vec<Sighting>) -> Self {
        let is_over = self.mark_pages >= self.mark_pages_max;
        let (mark, mark_pages_max, mark_pages) = if is_over {
            (after.clone(), self.mark_pages_max.saturating_mul(2).max(1), 0)
        } else {
            (self.mark.clone(), self.mark_pages_max, self.mark_pages + 1)
        };
        Self {
            after,
            found,
            mark,
            mark_pages_max,
            mark_pages,
            ..self.clone()
        }
    }
}

/// What came of a call, as the adapter saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// An answer arrived whole.
    Answered {
        /// HTTP status.
        status: u16,
        /// Those of [`ANSWER_HEADERS`] that it has, names in lower case.
        headers: Vec<(String, String)>,
        /// Body bytes.
        body: Vec<u8>,
    },
    /// An answer began to arrive and is larger than what is read of one.
    TooLarge {
        /// HTTP status.
        status: u16,
    },
    /// Not one byte of the request can have left this machine: no connection came about, or
    /// [`Call::may_send`] no longer held.
    NotSent {
        /// Why.
        reason: String,
    },
    /// Anything else: a timeout, a broken connection, an answer cut short or too long.
    Unknown {
        /// What.
        reason: String,
    },
}

impl CallResult {
    /// An answer without headers of interest.
    pub fn answered(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answered {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        match self {
            Self::Answered { headers, .. } => {
                let mut named = headers
                    .iter()
                    .filter(|(known, _)| known.eq_ignore_ascii_case(name));
                named.next().map(|(_, value)| value.as_str())
            }
            Self::TooLarge { .. } | Self::NotSent { .. } | Self::Unknown { .. } => None,
        }
    }

    /// The `Date` of the answer, if it has one that can be read.
    pub(crate) fn date_ms(&self) -> Option<UnixMillis> {
        http_date::read(self.header("date")?)
    }

    /// The PSP's `Request-Id`, if it is printable and at most 128 bytes.
    pub(crate) fn request_id(&self) -> Option<String> {
        let id = self.header("request-id")?;
        let is_name = !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then(|| id.to_owned())
    }
}
