//! What everything stands on: draws, dials, tokens, versions, the outcome of a call. It knows nothing of what has happened.

pub(crate) mod dials;
pub(crate) mod draw;
pub(crate) mod face;
pub(crate) mod hex;
pub(crate) mod outcome;
pub(crate) mod rfc3339;
pub(crate) mod settings;
pub mod tokens;
pub(crate) mod versions;
