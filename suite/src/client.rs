//! HTTP/1.1 to the adapter and to the sandbox PSP: one connection a request, everything bounded in time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
        if method == "HEAD" {
            return match tokio::time::timeout(ANSWER_TIMEOUT, head(url, headers)).await {
                Ok(answer) => answer.map_err(|error| format!("{method} {url}: {error}")),
                Err(_) => Err(format!("{method} {url}: no answer within {ANSWER_TIMEOUT:?}")),
            };
        }
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

/// What is asked after a HEAD on the same connection: its answer ends the wait for a body that must not come.
const NEXT: &[u8] = b"GET / HTTP/1.1\r\nHost: next\r\nConnection: close\r\n\r\n";
/// What its answer begins with.
const NEXT_ANSWER: &[u8] = b"HTTP/1.1 ";

/// A HEAD, read from the socket: a client library looks for no body, so it would not see one.
async fn head(url: &str, headers: &[(&str, Vec<u8>)]) -> Result<Answer, String> {
    let rest = url.strip_prefix("http://").ok_or("not http")?;
    let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut bytes = format!("HEAD {target} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(NEXT);
    exchange_raw(authority, &bytes)
        .await
        .map_err(|error| chain(&error))?
}

/// Sends these bytes, and reads the first answer and as much of what follows as shows whether it is the next.
async fn exchange_raw(authority: &str, bytes: &[u8]) -> std::io::Result<Result<Answer, String>> {
    let mut stream = TcpStream::connect(authority).await?;
    stream.write_all(bytes).await?;
    let mut came = Vec::new();
    loop {
        let length = stream.read_buf(&mut came).await?;
        match read_head(&came) {
            Some(answer) if length == 0 || answer.body.len() >= NEXT_ANSWER.len() => {
                return Ok(Ok(before_the_next(answer)));
            }
            None if length == 0 => return Ok(Err(format!("no HTTP: {}", String::from_utf8_lossy(&came)))),
            Some(_) | None => {}
        }
    }
}

/// The answer without the next one.
fn before_the_next(mut answer: Answer) -> Answer {
    if answer.body.starts_with(NEXT_ANSWER) {
        answer.body.clear();
    }
    answer
}

/// An answer whose body is whatever follows its headers.
fn read_head(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Answer {
        status,
        headers,
        body: Bytes::copy_from_slice(bytes.get(end + 4..)?),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_after_the_headers_of_a_head_is_seen() {
        let answer = read_head(b"HTTP/1.1 200 OK\r\nContent-Length:2\r\nAllow: GET, HEAD\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
        assert_eq!(before_the_next(answer.clone()), answer);
        assert_eq!(answer.header("Content-Length").as_deref(), Some("2"));
        assert_eq!(answer.header("Allow").as_deref(), Some("GET, HEAD"));
        let answer = read_head(b"HTTP/1.1 404 Not Found\r\n\r\nHTTP/1.1 200 OK\r\n").unwrap();
        assert_eq!((answer.status, before_the_next(answer).body.len()), (404, 0));
        assert!(read_head(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
