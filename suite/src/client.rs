//! HTTP/1.1 to the adapter and to the sandbox PSP: one connection a request, everything bounded in time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longest wait for one answer: `Prefer: wait=30` may hold it back.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);

/// An answer as it came over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The value of a header; lines of the same name joined, so that a repeated one shows.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(" | "))
    }

    /// The body, `Null` if it is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn is_replayed(&self) -> bool {
        self.header("Idempotency-Replayed").as_deref() == Some("true")
    }
}

/// A client of both.
#[derive(Clone)]
pub(crate) struct Client(HyperClient<HttpConnector, Full<Bytes>>);

impl Client {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // No connection is used twice: one that the server has just closed would look like a lost answer.
        Self(
            HyperClient::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
        )
    }

    /// Sends one request.
    ///
    /// # Errors
    /// Why no answer came.
    pub(crate) async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, Vec<u8>)],
        body: Vec<u8>,
    ) -> Result<Answer, String> {
        let mut request = hyper::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, value.as_slice());
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| format!("{method} {url} cannot be sent: {error}"))?;
        match tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request)).await {
            Ok(answer) => answer.map_err(|error| format!("{method} {url}: {error}")),
            Err(_) => Err(format!("{method} {url}: no answer within {ANSWER_TIMEOUT:?}")),
        }
    }

    async fn exchange(&self, request: hyper::Request<Full<Bytes>>) -> Result<Answer, String> {
        let response = self.0.request(request).await.map_err(|error| chain(&error))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| chain(&error))?.to_bytes();
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        Ok(Answer {
            status: head.status.as_u16(),
            headers,
            body,
        })
    }

    /// A `GET` that must be answered 200 with JSON.
    pub(crate) async fn get_json(&self, url: &str) -> Result<Value, String> {
        let answer = self.send("GET", url, &[], Vec::new()).await?;
        match answer.status {
            200 => Ok(answer.json()),
            status => Err(format!("GET {url} answered {status}")),
        }
    }
}

/// An error and what it comes from, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
