//! HTTP/1.1 in front of the loop: hyper's bytes to core's and back. Runs over any stream; the `date` header comes from
//! the injected clock, so that a simulated server leaks no real time.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{DATE, HeaderName, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use pay_once_core::{Request, Response, UnixMillis, body_did_not_arrive, not_answered};

use crate::ports::{Clock, PspTransport, Store};
use crate::server::Server;

/// Most bytes of a body that are read, one more than core ever takes: what is larger is core's to refuse.
const READ_BYTES_MAX: usize = pay_once_core::limits::PSP_ANSWER_BYTES_MAX + 1;
/// How long a client may take to send its head, in seconds.
const HEADER_TIMEOUT_S: u64 = 30;
/// How long a client may take to send its body, in seconds.
const BODY_TIMEOUT_S: u64 = 30;

/// Serves one connection until it ends, or until `shutdown` and the request under way have.
///
/// # Errors
/// What hyper says of a broken connection.
pub async fn serve_connection<I, C, S, P>(
    io: I,
    server: Rc<Server<C, S, P>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), hyper::Error>
where
    I: Read + Write + Unpin + 'static,
    C: Clock,
    S: Store,
    P: PspTransport,
{
    let service = service_fn(move |request| {
        let server = Rc::clone(&server);
        async move { Ok::<_, Infallible>(answer(&server, request).await) }
    });
    let connection = http1::Builder::new()
        .auto_date_header(false)
        .title_case_headers(true)
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

async fn answer<C: Clock, S: Store, P: PspTransport>(
    server: &Rc<Server<C, S, P>>,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    let now_ms = server.clock().now_ms();
    let (head, body) = request.into_parts();
    match head.uri.path() {
        "/healthz" => return healthz(now_ms),
        _ => {}
    }
    let limited = Limited::new(body, READ_BYTES_MAX).collect();
    let body = match tokio::time::timeout(Duration::from_secs(BODY_TIMEOUT_S), limited).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        // Too large to be read at all: so many zeros are too large for core as well.
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Bytes::from(vec![0; READ_BYTES_MAX])
        }
        Ok(Err(_)) | Err(_) => return translate(body_did_not_arrive(), now_ms),
    };
    let headers: Vec<(&str, &[u8])> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let request = Request {
        method: head.method.as_str(),
        target,
        headers: &headers,
        body: &body,
    };
    let response = server.respond(&request).await.unwrap_or_else(not_answered);
    translate(response, now_ms)
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
