//! The way to a PSP: one `fetch`. It tells two ends apart, because money hangs on it: answered, and unknown. A failed
//! fetch does not say whether anything left, so only what was never begun counts as not sent.

use pay_once_core::limits::PSP_ANSWER_BYTES_MAX;
use pay_once_core::{ANSWER_HEADERS, Call, CallResult};
use worker::js_sys::Uint8Array;
use worker::{
    AbortController, AbortSignal, CacheMode, Fetch, Headers, Method, Request, RequestInit, RequestRedirect,
};

use crate::system;
use crate::wire::read_at_most;

const USER_AGENT: &str = concat!("pay-once/", env!("CARGO_PKG_VERSION"));

/// Sends one call, at most once, if it may still be sent, and waits for its answer.
pub(crate) async fn send(call: &Call) -> CallResult {
    let request = match prepare(call) {
        Ok(request) => request,
        Err(error) => {
            return CallResult::NotSent {
                reason: format!("the request to the PSP cannot be written: {error}"),
            };
        }
    };
    let now_ms = system::now_ms();
    if !call.may_send(now_ms) {
        let reason = "its time to be sent had passed (rule 1)".to_owned();
        return CallResult::NotSent { reason };
    }
    let abort = AbortController::default();
    let signal = abort.signal();
    let by_ms = now_ms + call.timeout_ms;
    let Some(result) = system::until(by_ms, exchange(request, &signal)).await else {
        abort.abort();
        return CallResult::Unknown {
            reason: format!("no answer within {} ms", call.timeout_ms.get()),
        };
    };
    result
}

async fn exchange(request: Request, signal: &AbortSignal) -> CallResult {
    let mut response = match Fetch::Request(request).send_with_signal(signal).await {
        Ok(response) => response,
        Err(error) => {
            return CallResult::Unknown {
                reason: format!("the connection broke: {error}"),
            };
        }
    };
    let status = response.status_code();
    let headers = headers_of(response.headers());
    let body = match response.stream() {
        Ok(stream) => read_at_most(stream, PSP_ANSWER_BYTES_MAX).await,
        // An answer without a body.
        Err(_) => Ok(Some(Vec::new())),
    };
    match body {
        Ok(Some(body)) => CallResult::Answered {
            status,
            headers,
            body,
        },
        Ok(None) => CallResult::TooLarge { status },
        Err(error) => CallResult::Unknown {
            reason: format!("the answer ({status}) did not arrive whole: {error}"),
        },
    }
}

/// The headers that core reads.
fn headers_of(headers: &Headers) -> Vec<(String, String)> {
    let named = |name: &&str| {
        let value = headers.get(name).ok()??;
        Some(((*name).to_owned(), value))
    };
    ANSWER_HEADERS.iter().filter_map(named).collect()
}

fn prepare(call: &Call) -> worker::Result<Request> {
    let headers = Headers::new();
    headers.set("authorization", &format!("Bearer {}", call.http.bearer.expose()))?;
    headers.set("user-agent", USER_AGENT)?;
    for (name, value) in &call.http.headers {
        headers.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::from(call.http.method.to_owned()))
        .with_headers(headers)
        // Followed, a redirect would be a second sending.
        .with_redirect(RequestRedirect::Manual)
        // An old “not found” would be taken for proof of absence (rule 6).
        .with_cache(CacheMode::NoStore);
    if !call.http.body.is_empty() {
        init.with_body(Some(Uint8Array::from(call.http.body.as_slice()).into()));
    }
    Request::new_with_init(&call.http.url, &init)
}
