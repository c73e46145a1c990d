//! The simulator of Pay Once (`sim/README.md`).

pub mod met;
pub mod met_in;
pub mod model;
pub mod oracles;
pub mod page;
pub mod plan;
pub mod rng;
pub mod seen;
pub mod shopper;
pub mod swarm;
pub mod trace;
pub mod world;
