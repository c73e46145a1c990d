//! Planted bugs are kept outside the sources, as exact replacements (`sim/bugs/*.toml`). This crate makes a copy of the
//! workspace with all of them in it, each behind a switch of its own (`../switch.rs`). The simulator is built from the copy.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

mod catalogue;
mod copy;
mod generate;

pub use catalogue::{Bug, Catalogue, Replacement};
pub use copy::{Copied, copy};
