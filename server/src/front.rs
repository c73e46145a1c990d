//! HTTP/1.1 in front of the loop: hyper's bytes to core's and back. Runs over any stream; the `date` header comes from
//! the injected clock, so that a simulated server leaks no real time.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{DATE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use pay_once_core::limits::PSP_ANSWER_BYTES_MAX;
use pay_once_core::{
    Admitted, Request, Response, UnixMillis, admit, admit_operator, body_did_not_arrive, not_answered,
    overloaded,
};
use tokio::time::Instant;

use crate::bounds::connections::Connection;
use crate::console;
use crate::intake::Intake;

/// So many zeros are as much too large as what was sent in their place: core refuses both alike.
static TOO_LARGE: [u8; PSP_ANSWER_BYTES_MAX + 1] = [0; PSP_ANSWER_BYTES_MAX + 1];
/// Bodies up to so many bytes are read on every connection at a time; larger ones have places of their own.
const SMALL_BODY_BYTES: usize = pay_once_core::limits::BODY_BYTES_MAX;
/// Most bytes that are kept of a head, or of a body that is read.
const BUFFER_BYTES_MAX: usize = 32 * 1024;
/// When an attempt that this merchant does not have is answered, in milliseconds from its request: whether another merchant has it
/// must not be told by how long the answer takes.
const NOT_FOUND_AFTER_MS: u64 = 4;
/// The status of such an answer.
const NOT_FOUND: u16 = 404;
/// How long a client may take to send its head, and how long its connection may be idle before, in seconds.
const HEADER_TIMEOUT_S: u64 = 30;
/// How long a client may take to send its body, in seconds.
const BODY_TIMEOUT_S: u64 = 30;

/// What serves the connections of one thread.
#[derive(Clone)]
pub struct Front {
    intake: Arc<Intake>,
    now: Rc<dyn Fn() -> UnixMillis>,
    has_pages: bool,
}

/// Who is served.
#[derive(Clone, Copy)]
enum Served {
    Everybody,
    Operators,
}

impl Front {
    /// Requests go to `intake`; `now` is the time that answers state.
    #[must_use]
    pub fn new(intake: Arc<Intake>, now: Rc<dyn Fn() -> UnixMillis>) -> Self {
        Self {
            intake,
            now,
            has_pages: false,
        }
    }

    /// Shows an attempt as a page where a browser asks for it, if `has_pages`.
    #[must_use]
    pub fn with_pages(mut self, has_pages: bool) -> Self {
        self.has_pages = has_pages;
        self
    }
}

/// Serves one connection until it ends, or until `shutdown` and the request under way have.
///
/// # Errors
/// What hyper says of a broken connection.
pub async fn serve_connection<I>(
    io: I,
    front: Front,
    shutdown: impl Future<Output = ()>,
) -> Result<(), hyper::Error>
where
    I: Read + Write + Unpin + 'static,
{
    serve(io, front, None, shutdown).await
}

/// Serves a connection as [`serve_connection`] does, or until its place is taken by another one.
///
/// # Errors
/// What hyper says of a broken connection.
pub async fn serve_in_place<I>(
    io: I,
    front: Front,
    place: Connection,
    shutdown: impl Future<Output = ()>,
) -> Result<(), hyper::Error>
where
    I: Read + Write + Unpin + 'static,
{
    let place = Rc::new(place);
    let served = serve(io, front, Some(Rc::clone(&place)), shutdown);
    tokio::select! {
        biased;
        () = place.displaced() => Ok(()),
        served = served => served,
    }
}

async fn serve<I>(
    io: I,
    front: Front,
    place: Option<Rc<Connection>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), hyper::Error>
where
    I: Read + Write + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let (front, place) = (front.clone(), place.clone());
        async move { Ok::<_, Infallible>(answer(&front, place.as_deref(), request).await) }
    });
    let connection = http1::Builder::new()
        .auto_date_header(false)
        .title_case_headers(true)
        .max_buf_size(BUFFER_BYTES_MAX)
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEADER_TIMEOUT_S))
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        done = connection.as_mut() => return done,
        () = shutdown => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn answer(
    front: &Front,
    place: Option<&Connection>,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    if request.uri().path() == "/healthz" {
        return healthz((front.now)());
    }
    if let Some(page) = front.has_pages.then(|| console::quick_start(&request)).flatten() {
        return page;
    }
    answer_of_core(front, place, Served::Everybody, request).await
}

/// Answers a request of an operator about attempts, for the operators' listener. Whoever else sends one is refused, and so is the
/// merchant that is served without a key.
pub(crate) async fn answer_operator(
    front: &Front,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    answer_of_core(front, None, Served::Operators, request).await
}

async fn answer_of_core(
    front: &Front,
    place: Option<&Connection>,
    served: Served,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    let arrived = Instant::now();
    let response = decide(&front.intake, place, served, request).await;
    if response.status == NOT_FOUND {
        tokio::time::sleep_until(arrived + Duration::from_millis(NOT_FOUND_AFTER_MS)).await;
    }
    front.intake.counters.answered(&response, arrived.elapsed());
    translate(response, (front.now)())
}

async fn decide(
    intake: &Intake,
    place: Option<&Connection>,
    served: Served,
    request: hyper::Request<Incoming>,
) -> Response {
    let (head, body) = request.into_parts();
    let admitted = {
        let headers = header_lines(&head);
        let request = self::request(&head, &headers, b"");
        let admit = match served {
            Served::Everybody => admit,
            Served::Operators => admit_operator,
        };
        match admit(&intake.config(), &request) {
            // Before the body is read: what is not taken on takes no memory.
            Ok(admitted) if intake.admission.has_room(&admitted) => admitted,
            Ok(_) => return overloaded(&request),
            Err(response) => return response,
        }
    };
    let refused = || overloaded(&self::request(&head, &header_lines(&head), b""));
    let body = match read_body(place, body, &admitted).await {
        Body::Whole(body) => body,
        Body::TooLarge => Bytes::from_static(TOO_LARGE.get(..=admitted.body_bytes_max).unwrap_or(&TOO_LARGE)),
        Body::NoPlace => {
            intake.admission.refused_body();
            return refused();
        }
        Body::Cut => return body_did_not_arrive(),
    };
    let Some(permit) = intake.admission.enter(admitted) else {
        return refused();
    };
    let _busy = place.map(Connection::busy);
    let response = intake.respond(head, body, permit).await;
    response.unwrap_or_else(not_answered)
}

/// The headers of a request, as core reads them.
pub(crate) fn header_lines(head: &Parts) -> Vec<(&str, &[u8])> {
    let headers = head.headers.iter();
    headers
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

/// A request, as core reads it.
pub(crate) fn request<'a>(
    head: &'a Parts,
    headers: &'a [(&'a str, &'a [u8])],
    body: &'a [u8],
) -> Request<'a> {
    Request {
        method: head.method.as_str(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers,
        body,
    }
}

/// What came of a request's body.
enum Body {
    Whole(Bytes),
    TooLarge,
    /// Too many large ones are being read.
    NoPlace,
    Cut,
}

async fn read_body(place: Option<&Connection>, body: Incoming, admitted: &Admitted) -> Body {
    let bytes_max = u64::try_from(admitted.body_bytes_max).unwrap_or(u64::MAX);
    let size = body.size_hint();
    if size.lower() > bytes_max {
        return Body::TooLarge;
    }
    let is_small = admitted.body_bytes_max <= SMALL_BODY_BYTES
        || size.upper().is_some_and(|bytes| bytes <= SMALL_BODY_BYTES as u64);
    let _large = match place {
        Some(place) if !is_small => match place.large_body() {
            Some(large) => Some(large),
            None => return Body::NoPlace,
        },
        Some(_) | None => None,
    };
    let limited = Limited::new(body, admitted.body_bytes_max).collect();
    match tokio::time::timeout(Duration::from_secs(BODY_TIMEOUT_S), limited).await {
        Ok(Ok(collected)) => Body::Whole(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Body::TooLarge,
        Ok(Err(_)) | Err(_) => Body::Cut,
    }
}

/// For load balancers: the server answers. What operators ask is the operators' listener's (`admin.rs`).
fn healthz(now_ms: UnixMillis) -> hyper::Response<Full<Bytes>> {
    translate(
        Response {
            status: 200,
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: br#"{"status":"ok"}"#.to_vec(),
        },
        now_ms,
    )
}

fn translate(response: Response, now_ms: UnixMillis) -> hyper::Response<Full<Bytes>> {
    let mut out = hyper::Response::new(Full::new(Bytes::from(response.body)));
    *out.status_mut() =
        hyper::StatusCode::from_u16(response.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        // Core writes visible ASCII only.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(&value),
        ) {
            out.headers_mut().append(name, value);
        }
    }
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now_ms.get()));
    if let Ok(date) = HeaderValue::from_str(&date) {
        out.headers_mut().insert(DATE, date);
    }
    out
}
