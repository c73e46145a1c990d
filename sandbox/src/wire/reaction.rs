//! What goes out: what the host must do.

use crate::ledger::entry::LogEntry;

use super::request::Request;

/// What the host must do about one request or one timed event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reaction {
    /// What to append to the log BEFORE anything else: one entry, so that a request is in the log whole or
    /// not at all.
    pub log: Option<LogEntry>,
    /// The answer. `None` for a request: never answer it, and keep the connection open.
    pub answer: Option<Answer>,
    /// Events to bring back by [`crate::Sandbox::fire`] when their time comes.
    pub scheduled: Vec<Scheduled>,
    /// Webhooks to deliver when their time comes. They do not come back.
    pub webhooks: Vec<Webhook>,
}

impl Reaction {
    /// This reaction and then `next`, as one: their changes are logged together.
    pub(crate) fn then(self, mut next: Self) -> Self {
        next.log = match (self.log, next.log) {
            (Some(mut first), Some(second)) => {
                first.changes.extend(second.changes);
                Some(LogEntry {
                    changes: first.changes,
                    ..second
                })
            }
            (first, second) => first.or(second),
        };
        next.webhooks.splice(0..0, self.webhooks);
        next
    }
}

/// An answer to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How long after the request's arrival to send it, in milliseconds.
    pub after_ms: u64,
    /// HTTP status.
    pub status: u16,
    /// Headers beside `content-length`.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// When set: announce the whole body, send only this many bytes of it, and close the connection.
    pub cut_at_bytes: Option<usize>,
}

/// An event for later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// How long from now, in milliseconds.
    pub after_ms: u64,
    /// What to fire.
    pub event: Timed,
}

/// A thing that happens by the passing of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timed {
    /// A request that was held up somewhere lands. Its caller hears nothing.
    Land {
        /// The request as it arrived.
        request: Request,
        /// What the landing draws from.
        entropy: u64,
    },
    /// Time has passed: authorizations that are over lapse. A host fires this now and then (the server does
    /// so every second); every request does it too.
    Tick,
}

/// A webhook to deliver with `POST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// How long from now, in milliseconds.
    pub after_ms: u64,
    /// Where to.
    pub url: String,
    /// With these headers, signature included. Its timestamp is the time of the first delivery.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}
