//! The HTTP contract (`docs/http.md`) as an [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1) document: for people, for client
//! generators, and for testers that are driven by it.
//!
//! Limits, error codes, statuses and words are core's own, read from it: what core changes, the document changes. What
//! cannot be read from code (which member is in which answer) is written here, and held to the truth by a tester that nobody
//! here wrote (`peers/`), with every answer of every adapter. `openapi.json` is the document as of this commit.

use std::sync::LazyLock;

use serde_json::{Value, json};

mod answers;
mod bodies;
mod errors;
mod paths;

/// The document.
#[must_use]
pub fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pay Once",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Call as often as you like: the money moves once.",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"merchant": []}],
        "tags": [
            {"name": "payments", "description": "What a checkout calls."},
            {"name": "operators", "description": "What an operator ends by hand."},
            {"name": "psp", "description": "What the payment service provider calls."},
        ],
        "paths": paths::paths(),
        "components": {
            "securitySchemes": {
                "merchant": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The merchant's API key. A local server without keys serves one merchant and asks for none.",
                },
                "operator": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An operator's key: reads the attempts of every merchant, resolves what is parked, and moves no money.",
                },
            },
            "schemas": answers::schemas().chain(errors::schemas()).chain(bodies::schemas())
                .collect::<serde_json::Map<_, _>>(),
        },
    })
}

/// The document as it is kept and served; made once.
#[must_use]
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));
    &TEXT
}

const ABOUT: &str = "A payments API that is safe to call as often as you like.

Every POST but webhooks and looks carries an `Idempotency-Key`. The same key with the same meaning (white space and the order of members \
aside) is the same request: a retry gets the outcome of the first, however often it is sent, and the money moves once. Keys live \
as long as their attempt.

`202` means: under way. Ask again with the same key, or read the attempt; a `202` is never replayed. `Prefer: wait=N` waits for \
the outcome. An error's `safe_new_key` says whether trying again under a new key is known not to pay twice.

Errors come as RFC 9457 with `Accept: application/problem+json`.";

/// A reference to a schema of the document.
fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The members of all these objects.
fn join(objects: impl IntoIterator<Item = Value>) -> Value {
    let members = objects.into_iter().filter_map(|object| match object {
        Value::Object(members) => Some(members),
        _ => None,
    });
    Value::Object(members.flatten().collect())
}

/// The word of a serialized enumeration.
fn word(value: impl serde::Serialize) -> Value {
    // Plain enumerations of core's: they serialize into a string, and have no way to fail.
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `PAY_ONCE_REGENERATE_GOLDEN=1 cargo test -p pay-once-openapi` writes it anew.
    #[test]
    fn the_kept_document_is_the_current_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        if std::env::var_os("PAY_ONCE_REGENERATE_GOLDEN").is_some() {
            std::fs::write(path, text()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text());
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    for (name, value) in members {
                        match (name.as_str(), value) {
                            ("$ref", Value::String(to)) => found.push(to.clone()),
                            _ => references(value, found),
                        }
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            let reference = format!("#/components/schemas/{name}");
            assert!(found.contains(&reference), "nothing refers to {name}");
        }
    }
}
