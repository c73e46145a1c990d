//! HTTP: the platform's requests and answers to core's and back.

use futures_util::TryStreamExt;
use pay_once_core::{Millis, Request, Response, body_bytes_max};
use worker::js_sys::Uint8Array;
use worker::{ByteStream, Headers, Method, RequestInit, ResponseBuilder};

/// How many milliseconds of a request's time budget the Worker has spent before it hands the request on. A duration, so
/// that no two clocks have to agree.
const SPENT_MS: &str = "pay-once-spent-ms";

/// A request, read whole.
pub(crate) struct Asked {
    url: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    /// Reads a request. An error means that the body did not arrive whole.
    pub(crate) async fn read(request: &mut worker::Request) -> worker::Result<Self> {
        // Not `Request::url`: it brings a parser with all of Unicode's tables, a quarter of the whole module.
        let url = request.inner().url();
        let target = target(&url).to_owned();
        // One more than core takes here: what is larger is core's to refuse, and so many zeros are too large as well.
        let bytes_max = body_bytes_max(&target) + 1;
        let body = match request.inner().body() {
            None => Vec::new(),
            Some(_) => read_at_most(request.stream()?, bytes_max)
                .await?
                .unwrap_or_else(|| vec![0; bytes_max]),
        };
        Ok(Self {
            url,
            // `worker::Method` takes a method that it does not know for GET.
            method: request.inner().method(),
            target,
            headers: request.headers().entries().collect(),
            body,
        })
    }

    /// What the Worker has spent on it, in milliseconds.
    pub(crate) fn spent_ms(&self) -> Millis {
        let found = self.headers.iter().find(|(name, _)| name == SPENT_MS);
        let spent_ms = found.and_then(|(_, value)| value.parse().ok());
        spent_ms.map(Millis::new).unwrap_or_default()
    }

    /// The request as core sees it. The platform has joined repeated header lines with commas.
    pub(crate) fn with_request<T>(&self, read: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        read(&Request {
            method: &self.method,
            target: &self.target,
            headers: &headers,
            body: &self.body,
        })
    }

    /// The same request again, to be handed on after `spent_ms`.
    pub(crate) fn again(&self, spent_ms: Millis) -> worker::Result<worker::Request> {
        let headers = Headers::new();
        for (name, value) in &self.headers {
            headers.append(name, value)?;
        }
        headers.set(SPENT_MS, &spent_ms.get().to_string())?;
        let mut init = RequestInit::new();
        init.with_method(Method::from(self.method.clone()))
            .with_headers(headers);
        // The platform takes a GET with a body, and makes none. Core reads none either.
        let may_have_body = !matches!(self.method.as_str(), "GET" | "HEAD");
        if may_have_body && !self.body.is_empty() {
            init.with_body(Some(Uint8Array::from(self.body.as_slice()).into()));
        }
        worker::Request::new_with_init(&self.url, &init)
    }
}

/// Path and query of a URL that the platform has parsed and written out again: `scheme://authority/path?query`.
fn target(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

/// Core's answer as the platform's.
pub(crate) fn translate(response: Response) -> worker::Result<worker::Response> {
    let headers = Headers::new();
    for (name, value) in &response.headers {
        headers.append(name, value)?;
    }
    // The platform leaves the body of the answer to a HEAD out, and with it the length that it does not find here.
    headers.set("Content-Length", &response.body.len().to_string())?;
    let builder = ResponseBuilder::new()
        .with_status(response.status)
        .with_headers(headers);
    Ok(builder.fixed(response.body))
}

/// Reads a stream to its end; `None` if that is more than `bytes_max`.
pub(crate) async fn read_at_most(
    mut stream: ByteStream,
    bytes_max: usize,
) -> worker::Result<Option<Vec<u8>>> {
    let mut read = Vec::new();
    while let Some(part) = stream.try_next().await? {
        if read.len() + part.len() > bytes_max {
            return Ok(None);
        }
        read.extend_from_slice(&part);
    }
    Ok(Some(read))
}
