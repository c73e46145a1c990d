//! What happened to an attempt, and what follows from it alone: entries, the state that they fold to, the record.

pub(crate) mod compensation;
pub mod entry;
pub mod evidence;
pub(crate) mod fold;
pub mod invariant;
pub(crate) mod observe;
pub mod record;
pub mod running;
pub mod standing;
pub mod state;
pub mod status;
pub mod wire_form;
