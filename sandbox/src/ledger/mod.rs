//! All that the sandbox remembers, the money first: what changes it, and the log of the changes.

pub(crate) mod challenge;
pub(crate) mod entry;
pub(crate) mod event;
pub(crate) mod intent;
pub(crate) mod money;
pub(crate) mod state;
pub(crate) mod work;
