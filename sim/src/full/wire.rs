//! HTTP/1.1 as bytes, over turmoil's TCP: just enough to pass messages on whole, each with a `content-length`. The server
//! under test speaks through hyper at both ends; the world around it does not, because a balancer and a PSP must hang up,
//! cut and repeat at will.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use turmoil::net::TcpStream;

/// The port of every host.
pub(super) const PORT: u16 = 80;
/// How long a connection may take to be made, in milliseconds. A crashed host lets one wait for ever.
const CONNECT_MS: u64 = 250;
/// Idle connections kept to one host.
const IDLE_MAX: usize = 64;
/// Connections made before they are needed.
const WARM: usize = 8;
/// Room that a message is read into at first, in bytes.
const ROOM: usize = 2_048;

/// A message: its head, and its body.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// All of it.
    pub(super) bytes: Vec<u8>,
    /// Where its body begins.
    body_at: usize,
}

impl Message {
    /// Without the start line and headers.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(self.body_at..).unwrap_or_default()
    }

    fn head(&self) -> &str {
        let head = self.bytes.get(..self.body_at).unwrap_or_default();
        std::str::from_utf8(head).unwrap_or_default()
    }

    /// The request line or status line.
    pub(super) fn start_line(&self) -> &str {
        self.head().split("\r\n").next().unwrap_or_default()
    }

    /// Names and values, in order.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        headers(self.head())
    }

    /// The status, if it is a response.
    pub(super) fn status(&self) -> u16 {
        let status = self.start_line().split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

fn headers(head: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = head.split("\r\n").skip(1);
    lines.filter_map(|line| line.split_once(':').map(|(name, value)| (name, value.trim())))
}

/// Reads one message; `None` if the peer closed before its first byte.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Option<Message>> {
    let mut bytes = Vec::with_capacity(ROOM);
    let mut whole: Option<(usize, usize)> = None;
    loop {
        if whole.is_none() {
            whole = bytes
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .map(|at| at + 4)
                .map(|body_at| {
                    (
                        body_at,
                        body_at + content_length(bytes.get(..body_at).unwrap_or_default()),
                    )
                });
        }
        if let Some((body_at, len)) = whole
            && bytes.len() >= len
        {
            return Ok(Some(Message { bytes, body_at }));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return match bytes.is_empty() {
                true => Ok(None),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap_or_default();
    headers(head)
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

/// Returns when the peer has closed, or broken, a connection on which it has nothing to say.
pub(super) async fn hung_up(stream: &mut TcpStream) {
    // A byte out of turn is no more use than an end.
    let _ = stream.peek(&mut [0; 1]).await;
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// Nothing of it was sent.
    NotSent,
    /// It was sent, and the connection broke.
    Broken,
}

/// An answer's status in words.
pub(super) fn said(status: Option<u16>) -> String {
    status.map_or_else(|| "no answer".to_owned(), |status| status.to_string())
}

/// Connections to one host, kept for the next request.
pub(super) struct Pool {
    host: String,
    idle: RefCell<Vec<TcpStream>>,
}

impl Pool {
    /// None yet.
    pub(super) fn new(host: String) -> Self {
        Self {
            host,
            idle: RefCell::default(),
        }
    }

    /// Makes connections before they are needed: at a step a handshake, they would take more time than in the world.
    pub(super) async fn warm_up(self: Rc<Self>) {
        for _ in 0..WARM {
            if let Ok(stream) = self.connect().await {
                self.give_back(stream);
            }
        }
    }

    /// A connection that its peer has not closed, as far as is known here.
    pub(super) async fn connection(&self) -> Result<TcpStream, Failed> {
        loop {
            let Some(mut idle) = self.idle.borrow_mut().pop() else {
                return self.connect().await;
            };
            if is_silent(&mut idle) {
                return Ok(idle);
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, Failed> {
        let connecting = TcpStream::connect((self.host.as_str(), PORT));
        match tokio::time::timeout(Duration::from_millis(CONNECT_MS), connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(_)) | Err(_) => Err(Failed::NotSent),
        }
    }

    /// Keeps a connection on which nothing is under way.
    pub(super) fn give_back(&self, stream: TcpStream) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_MAX {
            idle.push(stream);
        }
    }

    /// Sends a request and waits for its answer, for as long as that takes.
    pub(super) async fn ask(&self, request: &[u8]) -> Result<Message, Failed> {
        let mut stream = self.connection().await?;
        stream.write_all(request).await.map_err(|_| Failed::Broken)?;
        match read(&mut stream).await {
            Ok(Some(answer)) => {
                self.give_back(stream);
                Ok(answer)
            }
            Ok(None) | Err(_) => Err(Failed::Broken),
        }
    }
}

fn is_silent(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    let mut context = Context::from_waker(Waker::noop());
    matches!(
        stream.poll_peek(&mut context, &mut ReadBuf::new(&mut byte)),
        Poll::Pending
    )
}

/// As [`Pool::ask`], within so many milliseconds.
pub(super) async fn ask_within(pool: &Pool, limit_ms: u64, request: &[u8]) -> Option<Message> {
    let limit = Duration::from_millis(limit_ms);
    tokio::time::timeout(limit, pool.ask(request)).await.ok()?.ok()
}
