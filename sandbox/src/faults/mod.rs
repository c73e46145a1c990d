//! What goes wrong on request: by a dial, by the draw, or by the token of the call.

pub(crate) mod reject;
pub(crate) mod repeat;
pub(crate) mod strike;
pub(crate) mod token;
