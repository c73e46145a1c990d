//! End to end: the component on the host with Spin's semantics, real SQLite files and a real Redis server, and the sandbox
//! PSP's own ledger as the judge. `edge-spin/test` builds what is needed and starts this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod cluster;
#[path = "../../../server/tests/it/http.rs"]
#[allow(
    dead_code,
    reason = "the client of server's tests; not all of it is used here"
)]
mod http;
#[path = "../../../server/tests/it/oracle.rs"]
#[allow(
    dead_code,
    reason = "the oracle of server's tests; not all of it is used here"
)]
mod oracle;
mod proxy;
#[path = "../../../server/tests/it/random.rs"]
mod random;
mod transport;
mod world;

mod contended;
mod counts;
mod crash;
mod fresh;
mod installation;
mod openapi;
mod outside;
mod postgres;
mod ratio;
mod reports;
mod scripted;
mod search;
mod suite;
mod sweep;
