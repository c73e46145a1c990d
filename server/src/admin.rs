//! The operators' listener: liveness, readiness, metrics, counters, the contract's document, and the operator's page with the part of the
//! API that it needs. It has its own address, on loopback unless the deployment says otherwise.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use pay_once_core::{Request, is_for_operators};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

use crate::bounds::psp_places::PspState;
use crate::console;
use crate::front::{Front, answer_operator};
use crate::ports::{Clock, PspTransport, Store};
use crate::restored;
use crate::server::Server;

/// Most connections at a time. A browser keeps some for each page, and probes must find a place all the same.
const CONNECTIONS_MAX: usize = 128;
/// How long a connection may be idle, or send a head, in seconds.
const HEAD_S: u64 = 5;
/// How long a connection takes requests, in seconds.
const CONNECTION_S: u64 = 30;
/// How long the request that is then under way may still take, in seconds: a look waits for its PSP. A connection that neither sends
/// nor reads takes nobody's place for longer.
const LAST_ANSWER_S: u64 = 90;
/// What is served here, besides operators' requests about attempts.
const PATHS: [&str; 6] = [
    "/livez",
    "/readyz",
    "/metrics",
    "/status",
    "/openapi.json",
    console::PAGE,
];
/// The media type of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One condition of readiness.
pub struct Check {
    /// Its name in the answer.
    pub name: &'static str,
    /// Whether it holds; if not, one sentence that says what is wrong.
    pub holds: Box<dyn Fn() -> Result<(), String>>,
}

/// Serves operators until the process ends.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve<C: Clock, S: Store, P: PspTransport>(
    listener: std::net::TcpListener,
    server: Rc<Server<C, S, P>>,
    checks: Vec<Check>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (free, checks) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Rc::new(checks));
    loop {
        // A connection beyond the limit waits in the kernel's queue.
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else {
            return Ok(());
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (server, checks) = (Rc::clone(&server), Rc::clone(&checks));
                spawn_local(async move {
                    serve_connection(stream, &server, &checks).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an operator's connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection<C: Clock, S: Store, P: PspTransport>(
    stream: TcpStream,
    server: &Rc<Server<C, S, P>>,
    checks: &Rc<Vec<Check>>,
) {
    let for_front = Rc::clone(server);
    let front = Front::new(Arc::clone(server.intake()), Rc::new(move || for_front.now_ms()));
    let service = service_fn(|request| {
        let (server, checks, front) = (Rc::clone(server), Rc::clone(checks), front.clone());
        async move { Ok::<_, Infallible>(answer(&server, &checks, &front, request).await) }
    });
    let connection = http1::Builder::new()
        .title_case_headers(true)
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEAD_S))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = tokio::time::sleep(Duration::from_secs(CONNECTION_S)) => {
            connection.as_mut().graceful_shutdown();
            let last = tokio::time::timeout(Duration::from_secs(LAST_ANSWER_S), connection).await;
            last.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an operator's connection broke");
    }
}

/// Whether core answers the request.
fn is_of_core(request: &hyper::Request<Incoming>) -> bool {
    is_for_operators(&Request {
        method: request.method().as_str(),
        target: request.uri().path(),
        headers: &[],
        body: b"",
    })
}

async fn answer<C: Clock, S: Store, P: PspTransport>(
    server: &Server<C, S, P>,
    checks: &[Check],
    front: &Front,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    if is_of_core(&request) {
        return answer_operator(front, request).await;
    }
    console::of_operators(&request).unwrap_or_else(|| answer_itself(server, checks, &request))
}

fn answer_itself<C: Clock, S: Store, P: PspTransport>(
    server: &Server<C, S, P>,
    checks: &[Check],
    request: &hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    let path = request.uri().path();
    if !PATHS.contains(&path) {
        let error = format!(
            "there is no {path} here; this listener has {}, and for operators GET /attempts, GET /attempts/{{id}}, and POST /attempts/{{id}}/look and /resolve",
            PATHS.join(", ")
        );
        return told(StatusCode::NOT_FOUND, &json!({ "error": error }));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let error = json!({ "error": format!("{path} is read with GET") });
        let mut answer = told(StatusCode::METHOD_NOT_ALLOWED, &error);
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match path {
        "/livez" => told(StatusCode::OK, &json!({ "status": "live" })),
        "/readyz" => readiness(server, checks),
        "/status" => told(
            StatusCode::OK,
            &json!({
                "counters": server.report().counters().snapshot(),
                "psp_problems": server.report().psp_problems(),
                "bounds": server.bounds().state(),
                "losses": restored::shown(&server.config()),
            }),
        ),
        "/metrics" => match metrics(server) {
            Some(text) => whole(StatusCode::OK, OPENMETRICS, text),
            None => told(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "error": "the metrics could not be written" }),
            ),
        },
        _ => whole(StatusCode::OK, "application/json", pay_once_openapi::text()),
    }
}

fn metrics<C: Clock, S: Store, P: PspTransport>(server: &Server<C, S, P>) -> Option<String> {
    let report = server.report();
    report.counters().metrics.show_losses(&server.config());
    report.metrics_text(&server.bounds().state(), server.now_ms())
}

/// Ready if every check holds. Each is named with what is wrong, so that nobody has to guess.
fn readiness<C: Clock, S: Store, P: PspTransport>(
    server: &Server<C, S, P>,
    checks: &[Check],
) -> hyper::Response<Full<Bytes>> {
    let own = checks.iter().map(|check| (check.name, (check.holds)()));
    let results: Vec<_> = own
        .chain([("psps", psps(&server.bounds().state().psps))])
        .collect();
    let is_ready = results.iter().all(|(_, result)| result.is_ok());
    let shown: serde_json::Map<String, Value> = results
        .into_iter()
        .map(|(name, result)| {
            (
                name.to_owned(),
                Value::from(result.err().unwrap_or_else(|| "ok".to_owned())),
            )
        })
        .collect();
    let (status, word) = if is_ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    told(status, &json!({ "status": word, "checks": shown }))
}

/// One PSP that does not answer concerns its own merchants; traffic belongs elsewhere only if none does.
fn psps(called: &[PspState]) -> Result<(), String> {
    let silent: Vec<&str> = called
        .iter()
        .filter(|psp| psp.circuit != "closed")
        .map(|psp| psp.psp.as_str())
        .collect();
    if called.is_empty() || silent.len() < called.len() {
        return Ok(());
    }
    Err(format!("no PSP answers: {}", silent.join(", ")))
}

fn told(status: StatusCode, body: &Value) -> hyper::Response<Full<Bytes>> {
    whole(status, "application/json", body.to_string())
}

fn whole(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> hyper::Response<Full<Bytes>> {
    let mut answer = hyper::Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn psp(name: &str, circuit: &'static str) -> PspState {
        PspState {
            psp: name.to_owned(),
            circuit,
            under_way: 0,
            calls_max: 1,
            waiting: 0,
            refused: 0,
        }
    }

    #[test]
    fn one_silent_psp_of_two_leaves_the_server_ready() {
        assert_eq!(psps(&[]), Ok(()));
        assert_eq!(psps(&[psp("a", "open"), psp("b", "closed")]), Ok(()));
        let none = psps(&[psp("a", "open"), psp("b", "trying")]);
        assert_eq!(none, Err("no PSP answers: a, b".to_owned()));
    }
}
