//! What executing a call comes to.

use serde::Serialize;

/// What executing a call came to, before any fault changes the answer.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Whether an idempotency key keeps it: true once execution began, false for refusals before it.
    pub(crate) keep: bool,
}

impl Outcome {
    /// An outcome of execution.
    pub(crate) fn kept(status: u16, body: &impl Serialize) -> Self {
        Self {
            status,
            body: written(body),
            keep: true,
        }
    }

    /// A refusal before execution.
    pub(crate) fn refused(status: u16, body: &impl Serialize) -> Self {
        Self {
            status,
            body: written(body),
            keep: false,
        }
    }
}

/// A body as text.
pub(crate) fn written(body: &impl Serialize) -> String {
    // Bodies are plain structs and values with text for names, so writing them does not fail.
    serde_json::to_string(body).unwrap_or_default()
}
