//! The way to a PSP: `wasi:http`. It tells three ends apart, because money hangs on it: answered, certainly not sent,
//! and unknown. What is not certain is unknown.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use pay_once_core::limits::PSP_ANSWER_BYTES_MAX;
use pay_once_core::{ANSWER_HEADERS, Call, CallResult, Millis};
use spin_sdk::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, send};
use spin_sdk::wasip3::http::types::{ErrorCode, RequestOptions};
use spin_sdk::wasip3::http_compat::{Request, RequestOptionsExtension};

use crate::ports::{PspTransport, World, within};
use crate::wasi::nudge;

/// A [`PspTransport`] over `wasi:http`. Spin lets it reach the PSP alone (`allowed_outbound_hosts`).
pub struct WasiPsp<W> {
    world: Rc<W>,
}

impl<W: World> WasiPsp<W> {
    /// Nothing is connected yet.
    pub fn new(world: Rc<W>) -> Self {
        Self { world }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> CallResult {
        // `send` spawns what writes the body; without this the body leaves with the next event, which may be seconds away.
        nudge();
        let response = match send(request).await {
            Ok(response) => response,
            Err(error) if never_left(&error) => {
                return CallResult::NotSent {
                    reason: format!("no connection to the PSP: {error:?}"),
                };
            }
            Err(error) => {
                return CallResult::Unknown {
                    reason: format!("the connection broke: {error:?}"),
                };
            }
        };
        let status = response.status().as_u16();
        let headers = headers_of(response.headers());
        match Limited::new(response.into_body(), PSP_ANSWER_BYTES_MAX)
            .collect()
            .await
        {
            Ok(body) => CallResult::Answered {
                status,
                headers,
                body: body.to_bytes().to_vec(),
            },
            Err(error) if error.is::<LengthLimitError>() => CallResult::TooLarge { status },
            Err(error) => CallResult::Unknown {
                reason: format!("the answer ({status}) did not arrive whole: {error}"),
            },
        }
    }
}

impl<W: World> PspTransport for WasiPsp<W> {
    async fn send(&self, call: &Call, may_send: impl Fn() -> bool) -> CallResult {
        let left_ms = call.send_by_ms - self.world.now_ms();
        let request = match prepare(call, left_ms) {
            Ok(request) => request,
            Err(reason) => return CallResult::NotSent { reason },
        };
        let sent = Cell::new(false);
        let exchange = async {
            if !may_send() {
                let reason = "its time to be sent had passed (rule 1)".to_owned();
                return CallResult::NotSent { reason };
            }
            sent.set(true);
            self.exchange(request).await
        };
        let ended = within(&*self.world, call.timeout_ms, exchange).await;
        let reason = format!("no answer within {} ms", call.timeout_ms.get());
        ended.unwrap_or(if sent.get() {
            CallResult::Unknown { reason }
        } else {
            CallResult::NotSent { reason }
        })
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

/// Errors that come before the first byte of a request: the host refused it, or no connection came about.
fn never_left(error: &ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::DnsTimeout
            | ErrorCode::DnsError(_)
            | ErrorCode::DestinationNotFound
            | ErrorCode::DestinationIpProhibited
            | ErrorCode::DestinationIpUnroutable
            | ErrorCode::ConnectionRefused
            | ErrorCode::ConnectionLimitReached
            | ErrorCode::TlsCertificateError
            | ErrorCode::HttpRequestDenied
            | ErrorCode::HttpRequestUriInvalid
    )
}

/// The request. A connection that takes longer than `left_ms` is given up, where the host knows how: what is sent is sent
/// in time.
fn prepare(call: &Call, left_ms: Millis) -> Result<Request<Full<Bytes>>, String> {
    let uri: Uri = call
        .http
        .url
        .parse()
        .map_err(|_| "the PSP's URL cannot be read".to_owned())?;
    let method = Method::from_bytes(call.http.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut request = Request::new(Full::new(Bytes::from(call.http.body.clone())));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let bearer = format!("Bearer {}", call.http.bearer.expose());
    let own = [
        ("authorization", bearer.as_str()),
        ("user-agent", concat!("pay-once/", env!("CARGO_PKG_VERSION"))),
    ];
    let given = call
        .http
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    for (name, value) in own.into_iter().chain(given) {
        let unfit = |_| format!("the header {name} to the PSP cannot be written");
        let value = HeaderValue::from_str(value).map_err(unfit)?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        request.headers_mut().append(name, value);
    }
    let options = RequestOptions::new();
    // A host that has no such option is bound by the time-out of the whole call.
    let _ = options.set_connect_timeout(Some(left_ms.get().max(1).saturating_mul(1_000_000)));
    request.extensions_mut().insert(RequestOptionsExtension(options));
    Ok(request)
}
