//! What passes between the sandbox and its host: requests in, reactions out.

use crate::journal::LogEntry;

/// An HTTP method, as far as the sandbox cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// Any other; answered 405.
    Other,
}

impl Method {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Other => "OTHER",
        }
    }
}

/// One request, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// `/path?query`, as on the request line.
    pub path_and_query: String,
    /// Its headers; names in any case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.path_and_query
            .split_once('?')
            .map_or(self.path_and_query.as_str(), |(path, _)| path)
    }

    /// The query, without its `?`; empty when there is none.
    pub fn query(&self) -> &str {
        self.path_and_query.split_once('?').map_or("", |(_, query)| query)
    }
}

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

/// Whether a browser may be sent there.
pub(crate) fn is_web_address(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}
