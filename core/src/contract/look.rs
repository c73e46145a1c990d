//! What an operator's look at the PSP showed (`docs/http.md`, “Look”).

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::timeline::{effects, saw};
use crate::base::time::{UnixMillis, rfc3339_ms};
use crate::journal::evidence::{Evidence, Signal};

/// What a read or a whole look-up showed.
pub(crate) enum Seen {
    /// The PSP did not answer it, or not usefully.
    Failed {
        why: String,
    },
    Shown(Shown),
}

/// What the PSP has of the attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    found: String,
    effects: Vec<Value>,
    not_ours: BTreeSet<String>,
}

impl Shown {
    pub(crate) fn of(evidence: &Evidence, not_ours: BTreeSet<String>) -> Self {
        Self {
            found: saw(evidence),
            effects: effects(evidence),
            not_ours,
        }
    }
}

impl Seen {
    /// What a read or a page showed that is of no use.
    pub(crate) fn failed(evidence: &Evidence) -> Self {
        let why = match &evidence.signal {
            Signal::Unknown { reason } | Signal::NotSent { reason } | Signal::KeyUseless { reason } => {
                reason.clone()
            }
            Signal::Rejected { status, code, .. } => {
                format!("it rejected this server's request: {status} {code}")
            }
            Signal::None
            | Signal::Prepared { .. }
            | Signal::ActionRequired { .. }
            | Signal::Refused { .. }
            | Signal::FormRefused { .. } => "its answer is of no use".to_owned(),
        };
        Self::Failed { why }
    }
}

/// The look, as the answer shows it.
#[derive(Clone, Debug, Serialize)]
pub struct LookView {
    state: LookState,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_at: Option<String>,
    /// Whether the timeline has an entry more by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_new: Option<bool>,
    /// In the words of the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    effects: Vec<Value>,
    /// Objects with the attempt's reference that are not known to be its own.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    not_ours: BTreeSet<String>,
}

/// What became of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LookState {
    /// The PSP answered it.
    Answered,
    /// It was left out, since the PSP had been asked about the attempt a moment ago.
    TooSoon,
}

impl LookState {
    /// All of them.
    pub const ALL: [LookState; 2] = [LookState::Answered, LookState::TooSoon];
}

impl LookView {
    /// A look that the PSP answered.
    pub(crate) fn answered(asked_at_ms: UnixMillis, is_new: bool, shown: Shown) -> Self {
        Self {
            state: LookState::Answered,
            asked_at: Some(rfc3339_ms(asked_at_ms)),
            is_new: Some(is_new),
            found: Some(shown.found),
            effects: shown.effects,
            not_ours: shown.not_ours,
        }
    }

    /// A look that was left out.
    pub(crate) fn too_soon() -> Self {
        Self {
            state: LookState::TooSoon,
            asked_at: None,
            is_new: None,
            found: None,
            effects: Vec::new(),
            not_ours: BTreeSet::new(),
        }
    }
}
