//! The simulator of Pay Once (`sim/README.md`).

pub mod full;
pub mod met;
pub mod plan;
pub mod rng;
pub mod seen;
pub mod shopper;
pub mod swarm;
pub mod world;
