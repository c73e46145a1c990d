//! What hosts the machine: the loop around it, and what that loop asks of a store.

pub mod action;
pub mod clock;
pub mod measure;
pub(crate) mod phase;
pub mod store;
pub mod turn;
