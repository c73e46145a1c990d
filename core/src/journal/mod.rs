//! The journal of an attempt: its entries, the state that is folded from them, and the record that stores them. The
//! state depends on nothing else.

pub(crate) mod compensation;
pub mod entry;
pub mod evidence;
pub(crate) mod fold;
pub mod indexed;
pub mod invariant;
pub(crate) mod observe;
pub mod record;
pub mod running;
pub mod standing;
pub mod state;
pub mod status;
pub mod wire_form;
