//! The machine. It decides about one record at a time.

pub mod admit;
pub(crate) mod builder;
pub(crate) mod client;
pub(crate) mod dispatch;
pub mod event;
pub mod handle;
pub(crate) mod look;
pub(crate) mod look_now;
pub(crate) mod outcome;
pub mod pending;
pub mod put_off;
pub mod route;
pub mod routed;
pub mod search;
pub mod step;
pub mod unserved;
