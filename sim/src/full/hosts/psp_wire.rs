//! The PSP's bytes: between messages and the sandbox's own words.

use pay_once_sandbox::{Answer, Method, Request};

use crate::full::wire::Message;

/// A request as the sandbox takes it.
pub(super) fn request(message: &Message) -> Request {
    let mut words = message.start_line().split(' ');
    let method = match words.next() {
        Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        Some("PUT") => Method::Put,
        _ => Method::Other,
    };
    Request {
        method,
        path_and_query: words.next().unwrap_or("/").to_owned(),
        headers: message
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: message.body().to_vec(),
    }
}

/// An answer as bytes, cut where it breaks off.
pub(super) fn write(answer: &Answer, date: Option<&str>) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {} -\r\ncontent-length: {}\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    if let Some(date) = date {
        head.push_str("date: ");
        head.push_str(date);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let body = answer
        .cut_at_bytes
        .and_then(|bytes| answer.body.get(..bytes))
        .unwrap_or(&answer.body);
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The attempt that a request is for, as far as it says; `*` if not.
pub(super) fn attempt_of(request: &Request) -> String {
    let key = request.header("idempotency-key").unwrap_or_default();
    let named = key
        .split('-')
        .next()
        .filter(|id| id.starts_with("pa_"))
        .or_else(|| request.query().strip_prefix("reference="));
    named.unwrap_or("*").to_owned()
}
