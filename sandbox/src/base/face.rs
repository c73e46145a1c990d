//! The two faces.

use serde::{Deserialize, Serialize};

/// Which face a thing belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Face {
    /// PaymentIntents.
    Stripe,
    /// The plain card network.
    Acquirer,
}
