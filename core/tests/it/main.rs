//! Tests of the pure machine: one crate, one link step. Each test names the rule, or the page of `docs/`, that it holds to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

mod adversary;
mod amounts;
mod captured_amounts;
mod clocks;
mod clocks_doubt;
mod contract_bodies;
mod contract_copies;
mod contract_errors;
mod contract_http;
mod contract_keys;
mod contract_operations;
mod contract_outages;
mod contract_people;
mod contract_room;
mod contract_webhooks;
mod documents;
mod events;
mod expired;
mod first_examples;
mod foreign;
mod found;
mod golden;
mod invariants;
mod layers;
mod look_now;
mod looking;
mod model;
mod operators;
mod outages;
mod properties;
mod property_bytes;
mod property_evidence;
mod purity;
mod put_off;
mod record_bytes;
mod recorded;
mod refusals;
mod rejected;
mod rejected_pauses;
mod restored;
mod restored_later;
mod restored_numbers;
mod return_url;
mod rules_calls;
mod rules_compensation;
mod rules_ends;
mod rules_evidence;
mod rules_lookup;
mod rules_timers;
mod search;
mod setup;
mod standing;
mod traces;
mod trials;
mod wire_acquirer;
mod wire_forms;
mod wire_stripe;
