//! The sandbox over HTTP/1.1, on the loopback interface, with its ledger in a file.

mod body;
mod deliver;
mod host;
mod log_file;
mod options;
mod timers;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::wire::reaction::Answer;
use crate::wire::request::{Method, Request};

use body::AnswerBody;
use host::Host;

pub use options::Options;

/// Larger request bodies are answered 413.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Serves until `shutdown` is done, then drops connections and pending webhooks as a crash would: the ledger
/// does not need a farewell. Works on any tokio runtime with time and I/O, current-thread included.
///
/// # Errors
/// - `InvalidInput`: the listener is not on a loopback address.
/// - `WouldBlock`: another process has the data dir open.
/// - `InvalidData`: the log is corrupt other than at its very end; the message names file, line and reason.
/// - Any error of reading the log at start. An error of writing it ends the server: an effect that cannot be
///   kept must not be answered.
pub async fn serve(
    listener: std::net::TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let message = format!("the sandbox serves on loopback addresses only, not on {address}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let mut options = options;
    if options.settings.public_url.is_empty() {
        options.settings.public_url = format!("http://{address}");
    }
    let (webhooks, webhooks_due) = deliver::queue();
    let (timers, timers_due) = timers::queue();
    let host = Arc::new(Host::open(options, timers, webhooks)?);

    let mut tasks = JoinSet::new();
    let firing = Arc::clone(&host);
    tasks.spawn(timers::run(timers_due, move |event| firing.fire(event)));
    tasks.spawn(deliver::run(webhooks_due));
    let mut shutdown = std::pin::pin!(shutdown);
    let ended = loop {
        tokio::select! {
            () = &mut shutdown => break Ok(()),
            error = host.failure() => break Err(error),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tasks.spawn(connection(Arc::clone(&host), stream))),
                // Out of file descriptors, most likely: let some connections end.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = tasks.join_next() => {}
        }
    };
    // So that the log is closed, and its lock gone, when this returns.
    tasks.shutdown().await;
    ended
}

async fn connection(host: Arc<Host>, stream: TcpStream) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(|request| respond(&host, request));
    // An error here is a client that went away, or an answer cut on purpose.
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

async fn respond(
    host: &Host,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<AnswerBody>, Infallible> {
    let arrived = Instant::now();
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY_BYTES).collect().await else {
        return Ok(too_large());
    };
    let request = Request {
        method: match head.method {
            hyper::Method::GET => Method::Get,
            hyper::Method::POST => Method::Post,
            hyper::Method::PUT => Method::Put,
            _ => Method::Other,
        },
        path_and_query: head
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: body.to_bytes().to_vec(),
    };
    let Some(answer) = host.receive(&request) else {
        // The client waits as long as it likes; when it closes, hyper drops this future.
        return pending().await;
    };
    if answer.after_ms > 0 {
        sleep_until(arrived + Duration::from_millis(answer.after_ms)).await;
    }
    Ok(response(answer))
}

fn response(answer: Answer) -> hyper::Response<AnswerBody> {
    let length = answer.body.len();
    let body = match answer.cut_at_bytes {
        None => AnswerBody::whole(Bytes::from(answer.body)),
        Some(bytes) => AnswerBody::cut(Bytes::from(answer.body), bytes),
    };
    let mut response = hyper::Response::new(body);
    *response.status_mut() =
        hyper::StatusCode::from_u16(answer.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in answer.headers {
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, hyper::header::HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(hyper::header::CONTENT_LENGTH, length.into());
    response
}

fn too_large() -> hyper::Response<AnswerBody> {
    let message = format!("{{\"error\":{{\"message\":\"The body is over {MAX_BODY_BYTES} bytes.\"}}}}");
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Connection", "close".to_owned()),
    ];
    response(Answer {
        after_ms: 0,
        status: 413,
        headers,
        body: message.into_bytes(),
        cut_at_bytes: None,
    })
}
