//! The HTTP contract: what may be asked, and how it is answered (`docs/http.md`).

pub mod answer;
pub(crate) mod command;
pub(crate) mod condition;
pub mod error;
pub mod json;
pub mod key;
pub mod look;
pub mod search;
pub mod search_walk;
pub mod timeline;
pub mod view;
