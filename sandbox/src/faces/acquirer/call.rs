//! The calls of the acquirer face.

use crate::faces::kind::Kind;

/// A call.
pub(crate) enum Call {
    Authorize {
        reference: String,
        amount_minor: u64,
        currency: String,
        payment_method: String,
        /// Where the customer goes when a 3-D Secure is over.
        return_url: Option<String>,
    },
    Capture(Act),
    Void(Act),
    Lookup {
        reference: String,
    },
}

/// A call about an earlier effect.
pub(crate) struct Act {
    pub(crate) reference: String,
    pub(crate) amount_minor: u64,
    pub(crate) currency: String,
    /// The authorization; a void may also name a capture.
    pub(crate) psp_reference: String,
}

impl Call {
    /// Whether the call is one that can move money.
    pub(crate) fn moves_money(&self) -> bool {
        !matches!(self, Self::Lookup { .. })
    }

    /// What kind of call it is.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Authorize { .. } | Self::Capture(_) | Self::Void(_) => Kind::Change,
            Self::Lookup { .. } => Kind::List,
        }
    }
}
