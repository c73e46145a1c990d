//! The log's entries: what changed, in order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::face::Face;
use crate::base::tokens::Operation;

use super::challenge::Challenge;
use super::event::LedgerEvent;
use super::intent::Intent;

/// What one request or timed event changed. Opaque to the host, which keeps entries in order and gives them
/// back to [`crate::Sandbox::replay`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    pub(crate) at_ms: u64,
    /// Identifiers given out so far, so that none is given out twice after a restart.
    pub(crate) ids: u64,
    pub(crate) changes: Vec<Change>,
}

/// One change of state. The only way state changes, live or replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// A PaymentIntent is now this.
    Intent(Arc<Intent>),
    /// Money moved, or was refused to.
    Ledger(Arc<LedgerEvent>),
    /// The acquirer waits for a cardholder.
    Challenge(Arc<Challenge>),
    /// The cardholder has answered.
    ChallengeEnded {
        id: String,
        /// In milliseconds since the Unix epoch; older logs do not say.
        #[serde(default)]
        at_ms: u64,
    },
    /// An answer is kept under a key.
    Key(Arc<KeptAnswer>),
    /// A token that acts on the first call only has acted.
    Spent { attempt: String, operation: Operation },
}

/// An answer kept under an idempotency key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptAnswer {
    pub(crate) face: Face,
    pub(crate) key: String,
    /// Digest of method, path and parameters.
    pub(crate) fingerprint: String,
    pub(crate) at_ms: u64,
    /// Until then the first request counts as being answered, and the key as in use.
    pub(crate) answered_at_ms: u64,
    pub(crate) status: u16,
    pub(crate) body: String,
}
