//! A request as it is sent, and what is told when its answer is not the expected one.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::case::Sign;
use crate::client::{Answer, Client};

/// A request with every `{name}` filled in.
#[derive(Clone)]
pub(crate) struct Filled {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) url: String,
    /// What the transcript shows of the headers.
    pub(crate) shown: Vec<(&'static str, Vec<u8>)>,
    /// All of them.
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) sign: Option<(Sign, &'static str, String)>,
}

/// Sends, signing right before.
pub(crate) async fn send(client: &Client, filled: &Filled) -> Result<Answer, String> {
    let (mut headers, mut body) = (filled.headers.clone(), filled.body.clone());
    if let Some((sign, header, secret)) = &filled.sign {
        let now_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let signed = |secret: &str, at_s: u64| pay_once_sandbox::signature(secret.as_bytes(), at_s, &body);
        let value = match sign {
            Sign::Well | Sign::ThenTampered => signed(secret, now_s),
            Sign::Aged(seconds) => signed(secret, now_s.saturating_add_signed(seconds.saturating_neg())),
            Sign::WithSecret(other) => signed(other, now_s),
            Sign::As(value) => (*value).to_owned(),
        };
        if *sign == Sign::ThenTampered {
            body.push(b' ');
        }
        headers.push((*header, value.into_bytes()));
        headers.push(("Content-Type", b"application/json".to_vec()));
    }
    client.send(filled.method, &filled.url, &headers, body).await
}

/// What was sent, what came, what was expected.
pub(crate) fn failed(filled: &Filled, answer: &Answer, why: &str) -> String {
    let mut text = format!("{why}\n  sent: {} {}\n", filled.method, filled.path);
    for (name, value) in &filled.shown {
        text.push_str(&format!("        {name}: {}\n", String::from_utf8_lossy(value)));
    }
    let body = String::from_utf8_lossy(&filled.body);
    let body: String = body.chars().take(1_000).collect();
    if !body.is_empty() {
        text.push_str(&format!("        {body}\n"));
    }
    text.push_str(&format!("  came: {}\n", answer.status));
    for (name, value) in &answer.headers {
        text.push_str(&format!("        {name}: {value}\n"));
    }
    text.push_str(&format!("        {}", String::from_utf8_lossy(&answer.body)));
    text
}
