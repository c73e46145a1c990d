//! The simulator of Pay Once (`sim/README.md`): the plan is the artefact, the ledger is the truth.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod batch;
pub mod coverage;
pub mod deployment;
pub mod dials;
pub mod explore;
pub mod forgery;
pub mod full;
pub mod hands;
pub mod met;
pub mod met_in;
pub(crate) mod met_world;
pub mod meta;
pub mod model;
pub mod operator;
pub mod oracles;
pub mod page;
pub mod plan;
#[cfg(feature = "planted")]
pub mod planted;
pub mod rng;
pub mod seen;
pub mod shopper;
pub mod shrink;
pub mod swarm;
pub mod tier;
pub mod trace;
pub mod world;
