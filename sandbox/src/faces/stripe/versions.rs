//! The version of Stripe's API that a request and its answer have.

use crate::base::dials::Dials;
use crate::base::outcome::Outcome;
use crate::base::versions::{Version, find, is_known};
use crate::wire::request::Request;

use super::errors::unknown_version;

/// The version that the request is answered in: its own, or the account's default.
///
/// # Errors
/// 400 when the version is unknown.
pub(crate) fn of(request: &Request, dials: &Dials) -> Result<&'static Version, Outcome> {
    let name = request
        .header("stripe-version")
        .unwrap_or(&dials.stripe_default_version);
    find(name).ok_or_else(|| unknown_version(name))
}

/// The version that the answer names: the account's default when the request's own is unknown.
pub(crate) fn answered<'a>(request: &'a Request, dials: &'a Dials) -> &'a str {
    request
        .header("stripe-version")
        .filter(|name| is_known(name))
        .unwrap_or(&dials.stripe_default_version)
}

#[cfg(test)]
mod tests;
