//! The two faces: what is asked of them, and what that does to the ledger.

pub(crate) mod acquirer;
pub(crate) mod call;
pub(crate) mod kind;
pub(crate) mod lapse;
pub(crate) mod stripe;
