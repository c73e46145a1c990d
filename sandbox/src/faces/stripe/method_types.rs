//! The parameters that say which kinds of payment method a PaymentIntent takes.

use crate::base::outcome::Outcome;
use crate::base::versions::Version;

use super::errors::{exclusive, invalid};
use super::params::Params;

const OLDER: &str = "payment_method_types";
const NEWER: &str = "allowed_payment_method_types";

/// Kinds of payment method; empty where nothing is said.
pub(crate) struct MethodTypes {
    pub(crate) older: Vec<String>,
    pub(crate) allowed: Vec<String>,
}

/// # Errors
/// 400 when the version takes `payment_method_types` no longer.
pub(crate) fn check(params: &Params, version: &Version) -> Result<(), Outcome> {
    if version.takes_payment_method_types || !params.has(OLDER) {
        return Ok(());
    }
    let message = format!(
        "The parameter `{OLDER}` is no longer supported as of API version {}. Use `{NEWER}` instead.",
        version.name
    );
    Err(invalid(
        "payment_method_types_no_longer_supported",
        OLDER,
        &message,
    ))
}

/// Takes both parameters.
///
/// # Errors
/// 400 when both are there.
pub(crate) fn taken(params: &mut Params) -> Result<MethodTypes, Outcome> {
    let types = MethodTypes {
        older: params.list(OLDER),
        allowed: params.list(NEWER),
    };
    if types.older.is_empty() || types.allowed.is_empty() {
        Ok(types)
    } else {
        Err(exclusive(OLDER, NEWER))
    }
}
