//! The way to a PSP: HTTP/1.1 over a small pool of connections. It tells three ends apart, because money hangs on it:
//! answered, certainly not sent, and unknown.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Uri;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderMap;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use pay_once_core::limits::PSP_ANSWER_BYTES_MAX;
use pay_once_core::{ANSWER_HEADERS, Call, CallResult};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::bounds::metered::{Meter, Metered};
use crate::bounds::names::{Names, Resolve, SystemResolver};
use crate::ports::PspTransport;

/// Idle connections kept for one PSP.
const IDLE_MAX: usize = 64;
/// Most bytes that are read until the head of an answer is whole, informational answers (1xx) included.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Makes connections. A simulator brings its own.
pub trait Connect: 'static {
    /// A stream to a PSP.
    type Io: Read + Write + Unpin + 'static;
    /// Connects to `host:port`, with TLS if `tls`.
    fn connect(&self, host: &str, port: u16, tls: bool) -> impl Future<Output = io::Result<Self::Io>>;
}

/// A [`PspTransport`] over any [`Connect`].
#[derive(Debug)]
pub struct HttpPsp<C> {
    connect: C,
    connect_timeout: Duration,
    idle: RefCell<BTreeMap<String, Vec<Line>>>,
}

/// A connection to a PSP.
#[derive(Debug)]
struct Line {
    sender: SendRequest<Full<Bytes>>,
    meter: Meter,
}

type Request = hyper::Request<Full<Bytes>>;

impl Line {
    /// Sends a request, and reads the head of its answer, within [`HEAD_BYTES_MAX`]. How much is read of the body is the reader's.
    async fn try_send_request(
        &mut self,
        request: Request,
    ) -> Result<hyper::Response<Incoming>, TrySendError<Request>> {
        self.meter.allow(HEAD_BYTES_MAX);
        let response = self.sender.try_send_request(request).await;
        self.meter.allow(usize::MAX);
        response
    }
}

impl<C: Connect> HttpPsp<C> {
    /// A pool with no connections yet.
    pub fn new(connect: C) -> Self {
        Self {
            connect,
            connect_timeout: Duration::MAX,
            idle: RefCell::default(),
        }
    }

    /// A connection that does not come about within `limit` is given up: its call was not sent.
    #[must_use]
    pub fn connect_within(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    fn take_idle(&self, authority: &str) -> Option<Line> {
        let mut idle = self.idle.borrow_mut();
        let pool = idle.get_mut(authority)?;
        while let Some(line) = pool.pop() {
            if line.sender.is_ready() {
                return Some(line);
            }
        }
        None
    }

    fn give_back(&self, authority: &str, line: Line) {
        let mut idle = self.idle.borrow_mut();
        let pool = idle.entry(authority.to_owned()).or_default();
        if pool.len() < IDLE_MAX && !line.sender.is_closed() {
            pool.push(line);
        }
    }

    async fn open(&self, uri: &Uri) -> io::Result<Line> {
        let tls = uri.scheme_str() == Some("https");
        let host = uri
            .host()
            .ok_or_else(|| io::Error::other("the PSP's URL has no host"))?;
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let connecting = self.connect.connect(host.trim_matches(['[', ']']), port, tls);
        let io = tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it did not come about in time"))??;
        let meter = Meter::default();
        let (sender, connection) = handshake(Metered::new(io, meter.clone()))
            .await
            .map_err(io::Error::other)?;
        spawn_local(async move {
            // How it ended is what the request on it is told.
            let _ = connection.await;
        });
        Ok(Line { sender, meter })
    }

    /// Sends on an idle connection or a new one. An idle connection that turns out to be closed hands the request
    /// back whole, which proves that nothing of it left.
    async fn exchange(&self, call: &Call, may_send: &impl Fn() -> bool) -> CallResult {
        let (uri, authority, mut request) = match prepare(call) {
            Ok(prepared) => prepared,
            Err(reason) => return CallResult::NotSent { reason },
        };
        loop {
            let (mut sender, is_new) = match self.take_idle(&authority) {
                Some(sender) => (sender, false),
                None => match self.open(&uri).await {
                    Ok(sender) => (sender, true),
                    Err(error) => {
                        return CallResult::NotSent {
                            reason: format!("no connection to the PSP: {error}"),
                        };
                    }
                },
            };
            if !may_send() {
                let reason = "its time to be sent had passed (rule 1)".to_owned();
                return CallResult::NotSent { reason };
            }
            match sender.try_send_request(request).await {
                Ok(response) => return self.answer(&authority, sender, response).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    Some(_) => {
                        return CallResult::NotSent {
                            reason: format!("the connection closed at once: {}", error.error()),
                        };
                    }
                    None => {
                        return CallResult::Unknown {
                            reason: format!("the connection broke: {}", error.error()),
                        };
                    }
                },
            }
        }
    }

    async fn answer(&self, authority: &str, line: Line, response: hyper::Response<Incoming>) -> CallResult {
        let status = response.status().as_u16();
        let headers = headers_of(response.headers());
        match Limited::new(response.into_body(), PSP_ANSWER_BYTES_MAX)
            .collect()
            .await
        {
            Ok(body) => {
                self.give_back(authority, line);
                CallResult::Answered {
                    status,
                    headers,
                    body: body.to_bytes().to_vec(),
                }
            }
            Err(error) if error.is::<LengthLimitError>() => CallResult::TooLarge { status },
            Err(error) => CallResult::Unknown {
                reason: format!("the answer ({status}) did not arrive whole: {error}"),
            },
        }
    }
}

impl<C: Connect> PspTransport for HttpPsp<C> {
    async fn send(&self, call: &Call, may_send: impl Fn() -> bool) -> CallResult {
        // The clock of the time-out is tokio's: real here, simulated in a simulator.
        let limit = Duration::from(call.timeout_ms);
        let sent = std::cell::Cell::new(false);
        let may_send = || {
            let may = may_send();
            sent.set(sent.get() || may);
            may
        };
        match tokio::time::timeout(limit, self.exchange(call, &may_send)).await {
            Ok(result) => result,
            Err(_) if sent.get() => CallResult::Unknown {
                reason: format!("no answer within {} ms", call.timeout_ms.get()),
            },
            Err(_) => CallResult::NotSent {
                reason: format!("no connection within {} ms", call.timeout_ms.get()),
            },
        }
    }
}

/// The headers that core reads.
fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let named = |name: &&str| {
        let value = headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), value.to_owned()))
    };
    ANSWER_HEADERS.iter().filter_map(named).collect()
}

type Prepared = (Uri, String, Request);

fn prepare(call: &Call) -> Result<Prepared, String> {
    let uri: Uri = call
        .http
        .url
        .parse()
        .map_err(|_| "the PSP's URL cannot be read".to_owned())?;
    let authority = uri.authority().ok_or("the PSP's URL has no host")?.to_string();
    let target = uri
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    let mut request = hyper::Request::builder()
        .method(call.http.method)
        .uri(target)
        .header("host", &authority)
        .header("authorization", format!("Bearer {}", call.http.bearer.expose()))
        .header("user-agent", concat!("pay-once/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &call.http.headers {
        request = request.header(*name, value);
    }
    let body = Full::new(Bytes::from(call.http.body.clone()));
    let request = request
        .body(body)
        .map_err(|_| "the request to the PSP cannot be written".to_owned())?;
    let pool = format!("{}://{authority}", uri.scheme_str().unwrap_or("http"));
    Ok((uri, pool, request))
}

/// Real connections: TCP, and TLS where the URL says `https`.
pub struct TcpConnect<R = SystemResolver> {
    tls: TlsConnector,
    names: Names<R>,
}

impl TcpConnect {
    /// Trusts Mozilla's certificate authorities, and asks the operating system for addresses.
    #[must_use]
    pub fn new() -> Self {
        Self::resolving(SystemResolver)
    }
}

impl<R: Resolve> TcpConnect<R> {
    /// Trusts Mozilla's certificate authorities, and asks `resolver` for addresses.
    pub fn resolving(resolver: R) -> Self {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            tls: TlsConnector::from(Arc::new(config)),
            names: Names::new(resolver),
        }
    }
}

impl Default for TcpConnect {
    fn default() -> Self {
        Self::new()
    }
}

/// A stream that is either plain or TLS.
pub trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Stream for T {}

impl<R: Resolve> Connect for TcpConnect<R> {
    type Io = TokioIo<Box<dyn Stream>>;

    async fn connect(&self, host: &str, port: u16, tls: bool) -> io::Result<Self::Io> {
        let addresses = self.names.addresses(host, port).await?;
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        if !tls {
            return Ok(TokioIo::new(Box::new(stream)));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(TokioIo::new(Box::new(self.tls.connect(name, stream).await?)))
    }
}
