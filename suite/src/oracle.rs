//! What must hold between an attempt and the PSP's own ledger, whatever a case is about.

use serde_json::{Value, json};

use crate::Options;
use crate::client::Client;

/// The ledger's counts that a case may name.
pub(crate) const COUNTS: [&str; 8] = [
    "authorizations",
    "live_authorizations",
    "captures",
    "captured_minor",
    "voids",
    "refunds",
    "refunded_minor",
    "declines",
];

/// What the PSP's ledger says of one attempt; an empty object if it has never heard of it.
pub(crate) async fn ledger(client: &Client, options: &Options, id: &str) -> Result<Value, String> {
    let url = format!("{}/ledger/{id}", options.psp_url);
    let answer = client.send("GET", &url, &[], Vec::new()).await?;
    match answer.status {
        200 => Ok(answer.json()),
        404 => Ok(json!({})),
        status => Err(format!("{url} answered {status}")),
    }
}

/// Nothing more than once; and once nothing is under way, the same story on both sides.
pub(crate) fn agree(attempt: &Value, ledger: &Value) -> Result<(), String> {
    let of = |name: &str| ledger.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (live, captures) = (of("live_authorizations"), of("captures"));
    let kept_minor = of("captured_minor").saturating_sub(of("refunded_minor"));
    let amount = attempt.get("amount").and_then(Value::as_u64).unwrap_or_default();
    if live > 1 || captures > 1 || kept_minor > amount {
        return Err(format!(
            "the money moved more than once: {live} live authorizations, {captures} captures, {kept_minor} kept of {amount}"
        ));
    }
    let status = attempt.get("status").and_then(Value::as_str).unwrap_or_default();
    let captured_minor = attempt.pointer("/capture/amount").and_then(Value::as_u64);
    let expected = match (attempt.get("operation"), status) {
        (None, "AUTHORIZED") => (1, 0),
        (None, "CAPTURED") => (1, captured_minor.unwrap_or_default()),
        (None, "CREATED" | "VOIDED" | "DECLINED" | "EXPIRED") => (0, 0),
        // Under way: either may be ahead.
        _ => return Ok(()),
    };
    if (live, kept_minor) == expected {
        Ok(())
    } else {
        Err(format!(
            "the attempt is {status}, but the PSP's ledger has {live} live authorizations and {kept_minor} kept"
        ))
    }
}
