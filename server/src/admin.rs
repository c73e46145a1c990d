//! The operators' listener: liveness, readiness, metrics, counters, and the contract's document. It has its own address, on loopback
//! unless the deployment says otherwise, and nothing of it is on the merchants' listener.

use std::convert::Infallible;
use std::io;
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
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

use crate::bounds::psp_places::PspState;
use crate::ports::{Clock, PspTransport, Store};
use crate::restored;
use crate::server::Server;

/// Most connections at a time. Scrapers and probes need few.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection may last, in seconds: one that neither sends nor reads takes nobody's place for longer.
const CONNECTION_S: u64 = 30;
/// What is served here.
const PATHS: [&str; 5] = ["/livez", "/readyz", "/metrics", "/status", "/openapi.json"];
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
                    let served = serve_connection(stream, &server, &checks);
                    let _ = tokio::time::timeout(Duration::from_secs(CONNECTION_S), served).await;
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
    let service = service_fn(|request| {
        let answer = answer(server, checks, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .title_case_headers(true)
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(CONNECTION_S))
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an operator's connection broke");
    }
}

fn answer<C: Clock, S: Store, P: PspTransport>(
    server: &Rc<Server<C, S, P>>,
    checks: &[Check],
    request: &hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    let path = request.uri().path();
    if !PATHS.contains(&path) {
        let error = format!("there is no {path} here; this listener has {}", PATHS.join(", "));
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
