//! Spin's requests to core's and back, and the two paths that are the adapter's own: `/healthz` and
//! `POST /internal/sweep`.

use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use pay_once_core::{AttemptId, Millis, Request, Response, body_did_not_arrive, key_digest, not_answered};
use spin_sdk::http::{HeaderName, HeaderValue, Request as Incoming, Response as Outgoing, StatusCode};
use subtle::ConstantTimeEq;

use crate::ports::{Finals, PspTransport, Store, World, within};
use crate::server::{STORE_TIMEOUT_MS, Server, too_slow};
use crate::sweep::ASKED_MAX;

/// Most bytes of a body that are read, one more than core ever takes: what is larger is core's to refuse.
const READ_BYTES_MAX: usize = pay_once_core::limits::PSP_ANSWER_BYTES_MAX + 1;
/// How long a client may take to send its body, in milliseconds.
const BODY_TIMEOUT_MS: Millis = Millis::new(30_000);

/// Answers a request of Spin's.
pub async fn answer<W: World, S: Store, P: PspTransport, F: Finals>(
    server: &Rc<Server<W, S, P, F>>,
    sweep_digest: Option<&[u8; 32]>,
    request: Incoming,
) -> Outgoing<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let limited = Limited::new(body, READ_BYTES_MAX).collect();
    let body = match within(&*server.world, BODY_TIMEOUT_MS, limited).await {
        Some(Ok(collected)) => collected.to_bytes(),
        // Too large to be read at all: so many zeros are too large for core as well.
        Some(Err(error)) if error.is::<LengthLimitError>() => Bytes::from(vec![0; READ_BYTES_MAX]),
        Some(Err(_)) | None => return translate(body_did_not_arrive()),
    };
    let headers: Vec<(&str, &[u8])> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let request = Request {
        method: head.method.as_str(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers: &headers,
        body: &body,
    };
    translate(match (request.method, request.path()) {
        ("GET" | "HEAD", "/healthz") => health(server).await,
        ("POST", "/internal/sweep") => sweep(server, sweep_digest, &request).await,
        _ => server.respond(&request).await.unwrap_or_else(not_answered),
    })
}

/// 200 if the store answers and is trusted. What PSPs reject is what this instance has seen of it.
async fn health<W: World, S: Store, P: PspTransport, F: Finals>(server: &Rc<Server<W, S, P, F>>) -> Response {
    // An attempt that nobody made. What is due is not listed for whoever asks.
    let nobodys = server.store.load(AttemptId::from_bytes([0; 16]));
    let answer = within(&*server.world, STORE_TIMEOUT_MS, nobodys).await;
    match answer.unwrap_or_else(|| Err(too_slow())) {
        Ok(_) => {
            let reports = server.reports.borrow();
            let body = serde_json::json!({
                "status": "ok",
                "rejected_requests": reports.rejected_requests(),
                "psp_problems": reports.problems(),
            });
            json(200, &body)
        }
        Err(error) => json(503, &serde_json::json!({"status": error.to_string()})),
    }
}

/// Only for whoever has the key; without one configured, for nobody.
async fn sweep<W: World, S: Store, P: PspTransport, F: Finals>(
    server: &Rc<Server<W, S, P, F>>,
    sweep_digest: Option<&[u8; 32]>,
    request: &Request<'_>,
) -> Response {
    let bearer = request
        .header("authorization")
        .and_then(|line| line.split_once(' '));
    let key = bearer.map_or("", |(_, key)| key.trim());
    let is_known = sweep_digest.is_some_and(|digest| bool::from(key_digest(key).ct_eq(digest)));
    if !is_known {
        return json(
            401,
            &serde_json::json!({"error": {"code": "UNAUTHORIZED", "message": "Send the sweep's key as \"Authorization: Bearer …\"."}}),
        );
    }
    match server.sweep(ASKED_MAX).await {
        Ok(swept) => json(200, &serde_json::json!(swept)),
        Err(error) => json(
            503,
            &serde_json::json!({"error": {"code": "STORE_UNAVAILABLE", "message": error.to_string()}}),
        ),
    }
}

fn json(status: u16, body: &serde_json::Value) -> Response {
    Response {
        status,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}

/// Core's answer as Spin's.
#[must_use]
pub fn translate(response: Response) -> Outgoing<Full<Bytes>> {
    let length = HeaderValue::from(response.body.len());
    let mut out = Outgoing::new(Full::new(Bytes::from(response.body)));
    // The body is a stream to the host; without its length the answer would be chunked.
    out.headers_mut().insert("content-length", length);
    *out.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        // Core writes visible ASCII only.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(&value),
        ) {
            out.headers_mut().append(name, value);
        }
    }
    out
}
