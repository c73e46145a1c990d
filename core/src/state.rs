//! State: the fold of a journal. Nothing is stored that the journal does not say, and folding any prefix gives the
//! state as it was then: that is how a replay gives the same bytes for ever (DESIGN §2, “Replays”).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Face;
use crate::evidence::{EffectKind, Knowledge};
use crate::id::LocalId;
use crate::journal::{CallStep, CaptureMethod, Cause, Entry, Fact, Operation, RequestKind, Terms};
use crate::json::Fingerprint;
use crate::planted::{Bug, planted};
use crate::running::{CallTrack, Running, Tried};
use crate::status::Status;

/// An attempt, as its journal tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Owner.
    pub merchant: Arc<str>,
    /// What is to be paid, and how.
    pub terms: Arc<Terms>,
    /// Where the customer goes once a 3-D Secure is over.
    pub return_url: Option<Arc<str>>,
    /// Name of the PSP in the configuration.
    pub psp: Arc<str>,
    /// How that PSP is spoken to.
    pub face: Face,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// Where it stands.
    pub status: Status,
    /// Keys bound to it, in order; the first is the create key.
    pub keys: Vec<BoundKey>,
    /// The one authorization that counts.
    pub authorization: Option<Authorization>,
    /// The one capture that counts.
    pub capture: Option<Capture>,
    /// Why it was declined.
    pub decline: Option<Decline>,
    /// What the customer has to do.
    pub action: Option<Action>,
    /// The PSP's object, once its id is in the journal (rule 12).
    pub object: Option<String>,
    /// The operation under way.
    pub running: Option<Running>,
    /// All that was seen at the PSP.
    pub knowledge: Knowledge,
    /// Highest effect number used, by operation (rule 3).
    pub(crate) effects_used: BTreeMap<Operation, u16>,
    /// Effect number of every call that was dispatched.
    pub(crate) effect_of_call: BTreeMap<LocalId, u16>,
    /// Whether a void under way ends in VOIDED (a client's) or EXPIRED (nobody's).
    pub(crate) void_cause: Cause,
}

/// A key and what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundKey {
    /// The key.
    pub key: Arc<str>,
    /// Digest of the request.
    pub fingerprint: Fingerprint,
    /// What was asked.
    pub request: RequestKind,
    /// Index of the entry by which its answer became final; the answer is the state as of there.
    pub settled_at: Option<usize>,
}

/// The authorization that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// `auth_…`.
    pub id: LocalId,
    /// The PSP's id.
    pub psp_reference: String,
    /// When it was first seen, in milliseconds since the Unix epoch.
    pub authorized_at_ms: u64,
    /// From when on it may have been held at the PSP, in milliseconds since the Unix epoch: when it was first asked for.
    pub held_since_ms: u64,
}

/// The capture that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// `cap_…`.
    pub id: LocalId,
    /// The PSP's id.
    pub psp_reference: String,
    /// When it was first seen, in milliseconds since the Unix epoch.
    pub captured_at_ms: u64,
    /// Minor units.
    pub amount_minor: u64,
}

/// A definite no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decline {
    /// The PSP's code, or one of ours.
    pub code: String,
    /// Words for people.
    pub message: String,
}

/// 3-D Secure, waiting for the customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The PSP's object.
    pub reference: String,
    /// Where the customer goes.
    pub url: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

impl State {
    /// Folds a journal, or a prefix of one. `None` if it does not begin with `Created`.
    #[must_use]
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<Self> {
        let mut entries = entries.into_iter().enumerate();
        let (_, first) = entries.next()?;
        let mut state = Self::from_first(first)?;
        for (index, entry) in entries {
            state.apply(index, entry);
        }
        Some(state)
    }

    /// The state that a first entry makes.
    fn from_first(entry: &Entry) -> Option<Self> {
        let Fact::Created {
            merchant,
            key,
            fingerprint,
            request,
            terms,
            psp,
            face,
        } = &entry.fact
        else {
            return None;
        };
        let settled_at = (*request == RequestKind::Create).then_some(0);
        Some(Self {
            merchant: merchant.as_str().into(),
            terms: Arc::new(terms.clone()),
            return_url: None,
            psp: psp.as_str().into(),
            face: *face,
            created_at_ms: entry.at_ms,
            status: Status::Created,
            keys: vec![BoundKey {
                key: key.as_str().into(),
                fingerprint: *fingerprint,
                request: *request,
                settled_at,
            }],
            authorization: None,
            capture: None,
            decline: None,
            action: None,
            object: None,
            running: None,
            knowledge: Knowledge::default(),
            effects_used: BTreeMap::new(),
            effect_of_call: BTreeMap::new(),
            void_cause: Cause::Client,
        })
    }

    /// The bound key of this name.
    #[must_use]
    pub fn bound(&self, key: &str) -> Option<&BoundKey> {
        self.keys.iter().find(|bound| *bound.key == *key)
    }

    /// The highest effect number that an operation has used; 0 if none.
    #[must_use]
    pub fn effects_used(&self, operation: Operation) -> u16 {
        self.effects_used.get(&operation).copied().unwrap_or(0)
    }

    /// Whether the terms ask for capture along with the authorization.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        self.terms.capture_method == CaptureMethod::Automatic
    }

    /// Whether anything was ever seen to be reserved.
    #[must_use]
    pub fn holds_something(&self) -> bool {
        self.authorization.is_some() || self.knowledge.has(EffectKind::Authorize)
    }

    /// Whether a 3-D Secure is being given up that, as far as is known, nobody has finished.
    #[must_use]
    pub fn is_unfinished_action(&self) -> bool {
        self.status == Status::Voiding && self.action.is_some() && !self.holds_something()
    }

    /// The PSP's id of the attempt's own authorization or object, once known.
    #[must_use]
    pub fn own_reference(&self) -> Option<&str> {
        self.authorization
            .as_ref()
            .map(|a| a.psp_reference.as_str())
            .or(self.action.as_ref().map(|a| a.reference.as_str()))
            .or(self.object.as_deref())
    }

    /// Whether another sending than `call`, to authorize or to capture under the same key, may have had its effect.
    pub(crate) fn may_have_sent_besides(&self, call: LocalId) -> bool {
        let moves =
            |running: &&Running| matches!(running.operation, Operation::Authorize | Operation::Capture);
        let unknown = |other: &CallTrack| {
            other.id != call
                && other.step == CallStep::Act
                && matches!(other.tried, Tried::Pending | Tried::Unknown { .. })
        };
        let mut sent = self
            .running
            .as_ref()
            .filter(moves)
            .into_iter()
            .flat_map(Running::current);
        sent.any(unknown)
    }

    /// Effects that must not stand and still do (rules 8 and 10): first authorizations, then captures.
    #[must_use]
    pub fn obligations(&self) -> Vec<(Operation, String, u64)> {
        let kept_auth = self.authorization.as_ref().map(|a| a.psp_reference.as_str());
        let kept_capture = self.capture.as_ref().map(|c| c.psp_reference.as_str());
        let released = matches!(self.status, Status::Voided | Status::Declined | Status::Expired);
        let at_most_one = |kind| self.knowledge.of_kind(kind).nth(1).is_none();
        if !released && at_most_one(EffectKind::Authorize) && at_most_one(EffectKind::Capture) {
            // The usual attempt: what there is is its own. A capture that is seen while nothing is final makes it CAPTURED.
            return Vec::new();
        }
        let mut found = Vec::new();
        let authorizations = self.knowledge.distinct(EffectKind::Authorize);
        let kept = if released && !planted(Bug::FinalKeepsAuthorization) {
            None
        } else {
            keep(kept_auth, &authorizations)
        };
        for id in authorizations {
            let is_dealt_with = self.knowledge.is_spent(id, self.own_reference())
                || (!released && planted(Bug::DuplicateNotCompensated));
            if Some(id) != kept && !is_dealt_with {
                found.push((Operation::Void, id));
            }
        }
        let captures = self.knowledge.distinct(EffectKind::Capture);
        let kept = if self.status == Status::Captured {
            keep(kept_capture, &captures)
        } else {
            None
        };
        for id in captures {
            if Some(id) != kept && !self.knowledge.is_refunded(id) {
                found.push((Operation::Refund, id));
            }
        }
        found
            .into_iter()
            .map(|(operation, id)| (operation, id.to_owned(), self.amount_of(operation, id)))
            .collect()
    }

    fn amount_of(&self, operation: Operation, id: &str) -> u64 {
        let kind = if operation == Operation::Refund {
            EffectKind::Capture
        } else {
            EffectKind::Authorize
        };
        self.knowledge
            .of_kind(kind)
            .find(|(known, _)| *known == id)
            .map_or(0, |(_, seen)| seen.amount_minor)
    }
}

/// Which of several certain effects is the attempt's own: the one already shown to the client, else the first.
fn keep<'a>(shown: Option<&'a str>, ids: &BTreeSet<&'a str>) -> Option<&'a str> {
    match shown {
        Some(id) if ids.contains(id) => Some(id),
        // Shown under another name than the listing's: the listing's first stands for it.
        _ => ids.first().copied(),
    }
}
