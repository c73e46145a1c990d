//! Refusals: one schema a status, with the codes that go with it ([`Code`]).

use std::collections::BTreeMap;

use pay_once_core::contract::error::Code;
use serde_json::{Value, json};

use crate::paths::header;
use crate::{join, schema};

pub(crate) fn schemas() -> impl Iterator<Item = (String, Value)> {
    by_status()
        .into_iter()
        .filter(|(status, _)| *status != OF_NO_CALL)
        .flat_map(|(status, codes)| {
            [
                (format!("Error{status}"), envelope(&codes)),
                (format!("Problem{status}"), problem(status, &codes)),
            ]
        })
}

/// The answer to a method that a path does not have.
const OF_NO_CALL: u16 = 405;
/// The answer to a body that is compressed.
const ENCODED: u16 = 415;

/// The answer with this status.
pub(crate) fn response(status: u16) -> Value {
    let content = json!({
        "content": {
            "application/json": {"schema": schema(&format!("Error{status}"))},
            "application/problem+json": {"schema": schema(&format!("Problem{status}"))},
        },
    });
    join([without_body(status), content])
}

/// The same to a HEAD.
pub(crate) fn without_body(status: u16) -> Value {
    let codes = by_status().remove(&status).unwrap_or_default();
    let headers = match status {
        ENCODED => json!({
            "headers": {"Accept-Encoding": header("`identity`: send the body uncompressed.", true)},
        }),
        _ => json!({}),
    };
    join([json!({"description": codes.join(", ")}), headers])
}

fn by_status() -> BTreeMap<u16, Vec<&'static str>> {
    let mut all: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for code in Code::ALL {
        all.entry(code.status()).or_default().push(code.as_str());
    }
    all
}

fn facts(codes: &[&str]) -> Value {
    json!({
        "code": {"enum": codes},
        "message": {"type": "string", "minLength": 1, "description": "What is wrong, and what to do."},
        "field": {"type": "string", "description": "The member at fault."},
        "retryable": {"type": "boolean", "description": "Whether the same request with the same key may end differently."},
        "safe_new_key": {
            "type": "boolean",
            "description": "Whether trying again under a new key is known not to pay twice.",
        },
        "decline_code": {"type": "string", "description": "The PSP's code; ours where the PSP did not decide (psp_unavailable, amount_mismatch, abandoned, resolved_by_operator)."},
        "attempt": schema("Attempt"),
    })
}

const ALWAYS: [&str; 4] = ["code", "message", "retryable", "safe_new_key"];

fn envelope(codes: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": {
            "error": {"type": "object", "properties": facts(codes), "required": ALWAYS},
        },
        "required": ["error"],
    })
}

fn problem(status: u16, codes: &[&str]) -> Value {
    let kinds: Vec<String> = codes
        .iter()
        .map(|code| format!("urn:pay-once:error:{code}"))
        .collect();
    let always: Vec<&str> = ALWAYS
        .into_iter()
        .chain(["type", "title", "status", "detail"])
        .collect();
    json!({
        "type": "object",
        "properties": join([
            facts(codes),
            json!({
                "type": {"enum": kinds},
                "title": {"type": "string"},
                "status": {"const": status},
                "detail": {"type": "string"},
            }),
        ]),
        "required": always,
    })
}
