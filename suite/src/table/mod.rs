//! The table: one file a subject, to be read as the contract's documentation by example.

mod declines;
mod doubt;
mod expiry;
mod http;
mod keys;
mod lifecycle;
mod looks;
mod parallel;
mod people;
mod refusals;
mod refused_bodies;
mod rejected;
mod slow;
mod three_d_secure;
mod webhooks;

use serde_json::{Value, json};

use crate::case::{Ask, Case, post};

/// Every case, in the order of the transcript.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        lifecycle::cases(),
        keys::cases(),
        refusals::cases(),
        refused_bodies::cases(),
        http::cases(),
        declines::cases(),
        three_d_secure::cases(),
        slow::cases(),
        parallel::cases(),
        doubt::cases(),
        webhooks::cases(),
        expiry::cases(),
        people::cases(),
        rejected::cases(),
        looks::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A body of `POST /attempts` or `/charge`.
fn order(payment_method: &str) -> Value {
    json!({"order_id": "ord_123", "amount": 2599, "currency": "GBP", "payment_method": payment_method})
}

/// Creates an attempt of 25.99 GBP under the key `{case}`; its id is then `{id}`.
fn create(payment_method: &str) -> Ask {
    create_as(&order(payment_method))
}

fn create_as(order: &Value) -> Ask {
    post("/attempts")
        .key("{case}")
        .json(order)
        .status(201)
        .is("/status", "CREATED")
        .save("id", "/attempt_id")
}

/// Authorizes `{id}` under the key `authorize`, waiting.
fn authorize() -> Ask {
    post("/attempts/{id}/authorize")
        .key("authorize")
        .wait()
        .is("/status", "AUTHORIZED")
}

/// Captures `{id}` under the key `capture`, waiting.
fn capture() -> Ask {
    post("/attempts/{id}/capture")
        .key("capture")
        .wait()
        .is("/status", "CAPTURED")
}

/// Voids `{id}` under the key `void`, waiting.
fn void() -> Ask {
    post("/attempts/{id}/void")
        .key("void")
        .wait()
        .is("/status", "VOIDED")
}

/// The ledger after an authorization that stands.
const HELD: &[(&str, u64)] = &[("authorizations", 1), ("live_authorizations", 1)];
/// The ledger after the whole amount was captured.
const TAKEN: &[(&str, u64)] = &[
    ("authorizations", 1),
    ("live_authorizations", 1),
    ("captures", 1),
    ("captured_minor", 2599),
];
/// The ledger after an authorization that was released.
const RELEASED: &[(&str, u64)] = &[("authorizations", 1), ("voids", 1)];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::case::Step;
    use crate::environment::Weather;

    #[test]
    fn names_are_unique_and_only_who_runs_alone_turns_dials() {
        let mut names = BTreeSet::new();
        for case in cases() {
            assert!(names.insert(case.name.clone()), "{} comes twice", case.name);
            let turns = case.steps.iter().any(|step| matches!(step, Step::Dials(_)));
            assert!(!turns || case.weather == Weather::Alone, "{}", case.name);
            assert!(
                !case.steps.is_empty() && case.about.ends_with('.'),
                "{}",
                case.name
            );
        }
    }
}
