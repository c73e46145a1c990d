//! End to end: the real binary, real HTTP, the sandbox PSP's own ledger as the judge.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod counting_psp;
mod deployment;
mod http;
mod image;
mod operators;
mod oracle;
mod random;
mod restored;
mod search;
mod server;
mod world;

mod backup;
mod checkpoint;
mod clocks;
mod config_check;
mod console;
mod convergence;
mod counters;
mod crash;
mod damage;
mod front_door;
mod high_water;
mod lifecycle;
mod lost_files;
#[cfg(feature = "postgres-tests")]
mod many_servers;
mod modes;
mod old_store;
mod ops;
mod outside;
mod overload;
mod ports;
#[cfg(feature = "postgres-tests")]
mod postgres;
#[cfg(feature = "postgres-tests")]
mod postgres_search;
mod power;
mod power_store;
mod psp_places;
mod refusals;
mod refused_bodies;
mod reload;
mod store;
mod successor;
mod suite;
mod tokens;
mod tour;
mod traces;
mod transport;
