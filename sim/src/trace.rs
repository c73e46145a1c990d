//! The trace of a run: one line for each message, fault and effect, in order of time. It is what the space-time diagram
//! draws, and its digest is what two runs of one plan are compared by.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::plan::Host;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A message that arrives.
    Message,
    /// A message that does not.
    Lost,
    /// A fault begins, or ends.
    Fault,
    /// Something became durable.
    Write,
    /// Money moved at the PSP, or was refused to.
    Effect,
    /// Anything else worth a mark.
    Note,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceLine {
    /// When it left, in milliseconds from the start.
    pub at_ms: u64,
    /// When it arrived; the same where nothing travels.
    pub until_ms: u64,
    /// Where.
    pub from: Host,
    /// Where to, if it is a message.
    pub to: Option<Host>,
    /// What it is about.
    pub kind: Kind,
    /// In words, with the payment's number in front where there is one.
    pub text: String,
}

/// A digest that is equal exactly if two runs did the same.
#[must_use]
pub fn digest<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update((line.len() as u64).to_be_bytes());
        hash.update(line);
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
