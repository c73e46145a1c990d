//! State: the fold of a journal. Nothing is stored that the journal does not say, and folding any prefix gives the
//! state as it was then: that is how a replay gives the same bytes for ever (`docs/http.md`, “Replays”).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::config::Connector;
use crate::base::fingerprint::Fingerprint;
use crate::base::id::LocalId;
use crate::base::loss::Loss;
use crate::base::money::Money;
use crate::base::time::UnixMillis;
use crate::base::version::RecordVersion;
use crate::journal::entry::{
    CallStep, CaptureMethod, Cause, Entry, Fact, Operation, Proposal, RequestKind, Terms,
};
use crate::journal::evidence::{EffectKind, Knowledge};
use crate::journal::running::{CurrentOperation, DeliveryState, DispatchedCall};
use crate::journal::status::Status;

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
    pub connector: Connector,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at_ms: UnixMillis,
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
    /// Whether an answer to a dispatch named it: nobody else's word replaces that.
    pub(crate) object_is_answered: bool,
    /// The operation under way.
    pub running: Option<CurrentOperation>,
    /// All that was seen at the PSP of objects of our own.
    pub knowledge: Knowledge,
    /// The installation that made the attempt; `""` for one without a name.
    pub installation: Arc<str>,
    /// The wire form of the dispatches that follow.
    pub wire_form: u16,
    /// When the requests that make an object at the PSP were sent, if any was dispatched.
    pub creation: Option<Creation>,
    /// Ids of objects that carry the attempt's reference and are not its own (rule 13).
    pub foreign: BTreeSet<String>,
    /// Consecutive rejections of a client's operation, if its last try was rejected.
    pub rejections: Option<Rejections>,
    /// The capture that differs from what was asked for, until an operator has seen to it (rule 14).
    pub mismatch: Option<Mismatch>,
    /// The same, for good: answers show it.
    pub mismatch_shown: Option<Mismatch>,
    /// The last resolution that was proposed. It is about one parking, and says nothing of another one.
    pub proposal: Option<Proposal>,
    /// The last loss that the record was told of (rule 16).
    pub loss: Option<Loss>,
    /// Whether something may have been sent in the time of that loss that no look has shown or excluded yet (rule 16).
    pub is_suspect: bool,
    /// Whether the object was known before that loss. One that came to be known later need not be the one that was acted on then.
    pub had_object_at_loss: bool,
    /// Highest generation used, by operation (rule 3).
    pub(crate) generations_used: BTreeMap<Operation, u16>,
    /// Generation of every call that was dispatched.
    pub(crate) generation_of_call: BTreeMap<LocalId, u16>,
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
    /// Index of the entry by which it was asked for: for the first time, or again after a rejection.
    pub asked_at: usize,
    /// Index of the entry by which its answer became final; the answer is the state as of there.
    pub finalized_at: Option<usize>,
    /// Set while the PSP has rejected what was asked under it: nothing is under way for it until its client asks again.
    pub is_withdrawn: bool,
    /// Whether another key has since requested the same operation; its result does not finalize this key.
    pub is_superseded: bool,
    /// The operator who proposed a resolution under it, which another operator has to agree with.
    pub proposed_by: Option<Arc<str>>,
    /// Set once the PSP has refused the form of what was asked under it: that is its answer.
    pub form_refused: Option<FormRefused>,
}

impl BoundKey {
    pub(crate) fn new(key: &str, fingerprint: Fingerprint, request: RequestKind, asked_at: usize) -> Self {
        Self {
            asked_at,
            key: key.into(),
            fingerprint,
            request,
            finalized_at: None,
            is_withdrawn: false,
            is_superseded: false,
            proposed_by: None,
            form_refused: None,
        }
    }
}

/// What the PSP refused of a client's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormRefused {
    /// The PSP's code.
    pub code: String,
    /// The PSP's words.
    pub message: String,
    /// The member at fault.
    pub field: String,
}

/// When an attempt's object can have been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// When the first request that makes one was dispatched, in milliseconds since the Unix epoch.
    pub first_sent_ms: UnixMillis,
    /// When the last one may have been sent at the latest, in milliseconds since the Unix epoch.
    pub last_send_by_ms: UnixMillis,
}

/// Rejections in a row of what a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejections {
    /// Of which operation.
    pub operation: Operation,
    /// How many.
    pub count: u32,
    /// The first of the calls that were rejected: it is sent again as it was, if it is sent again under its key.
    pub call: Option<DispatchedCall>,
    /// Minor units that were asked for.
    pub amount_minor: u64,
    /// Whether a return address had been given by then.
    pub had_return_url: bool,
    /// When the last one was seen, in milliseconds since the Unix epoch.
    pub last_ms: UnixMillis,
}

/// A capture that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The capture's id at the PSP.
    pub reference: String,
    /// What was asked for, in minor units of the attempt's currency.
    pub asked_minor: u64,
    /// What was captured.
    pub captured: Money,
    /// When it was seen, in milliseconds since the Unix epoch.
    pub since_ms: UnixMillis,
    /// The record's version as of the entry that showed it, as in [`crate::journal::running::Parking`].
    pub version: RecordVersion,
}

/// The authorization that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// `auth_…`.
    pub id: LocalId,
    /// The PSP's id.
    pub psp_reference: String,
    /// When it was first seen, in milliseconds since the Unix epoch.
    pub authorized_at_ms: UnixMillis,
    /// From when on it may have been held at the PSP, in milliseconds since the Unix epoch: when it was first asked for.
    pub held_since_ms: UnixMillis,
}

/// The capture that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// `cap_…`.
    pub id: LocalId,
    /// The PSP's id.
    pub psp_reference: String,
    /// When it was first seen, in milliseconds since the Unix epoch.
    pub captured_at_ms: UnixMillis,
    /// Minor units.
    pub amount_minor: u64,
    /// What we had asked for, in minor units; `None` if we had not asked, as with a capture by hand at the PSP.
    pub asked_minor: Option<u64>,
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
    pub since_ms: UnixMillis,
}

impl State {
    /// Whether an authorization that may be lost need not be of the object that is known: the object came to be known after the loss.
    pub(crate) fn may_have_another_object(&self) -> bool {
        let authorize = self
            .running
            .as_ref()
            .filter(|running| running.operation == Operation::Authorize);
        authorize.is_some_and(CurrentOperation::is_suspect) && !self.had_object_at_loss
    }

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
            connector,
        } = &entry.fact
        else {
            return None;
        };
        let finalized_at = (*request == RequestKind::Create).then_some(0);
        Some(Self {
            merchant: merchant.as_str().into(),
            terms: Arc::new(terms.clone()),
            return_url: None,
            psp: psp.as_str().into(),
            connector: *connector,
            created_at_ms: entry.at_ms,
            status: Status::Created,
            keys: vec![BoundKey {
                finalized_at,
                ..BoundKey::new(key, *fingerprint, *request, 0)
            }],
            authorization: None,
            capture: None,
            decline: None,
            action: None,
            object: None,
            object_is_answered: false,
            running: None,
            knowledge: Knowledge::default(),
            installation: "".into(),
            wire_form: 0,
            creation: None,
            foreign: BTreeSet::new(),
            rejections: None,
            mismatch: None,
            mismatch_shown: None,
            proposal: None,
            loss: None,
            is_suspect: false,
            had_object_at_loss: false,
            generations_used: BTreeMap::new(),
            generation_of_call: BTreeMap::new(),
            void_cause: Cause::Client,
        })
    }

    /// The bound key of this name.
    #[must_use]
    pub fn bound(&self, key: &str) -> Option<&BoundKey> {
        self.keys.iter().find(|bound| *bound.key == *key)
    }

    /// The operation that waits for an operator, and which parking of it.
    #[must_use]
    pub fn parking(&self) -> Option<(Operation, RecordVersion)> {
        match (&self.running, &self.mismatch) {
            (Some(running), _) => {
                let parked = running.parked.as_ref()?;
                Some((running.operation, parked.version))
            }
            (None, Some(mismatch)) => Some((Operation::Capture, mismatch.version)),
            (None, None) => None,
        }
    }

    /// The resolution that is proposed for what is parked now.
    #[must_use]
    pub fn open_proposal(&self) -> Option<&Proposal> {
        let proposal = self.proposal.as_ref()?;
        let (_, version) = self.parking()?;
        (version == proposal.version).then_some(proposal)
    }

    /// The highest generation that an operation has used; 0 if none.
    #[must_use]
    pub fn generations_used(&self, operation: Operation) -> u16 {
        self.generations_used.get(&operation).copied().unwrap_or(0)
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

    /// Whether a call of the current generation acts on the attempt's object.
    pub(crate) fn acts_on_object(&self) -> bool {
        let mut current = self.running.iter().flat_map(CurrentOperation::current);
        current.any(|call| call.step == CallStep::Execute && call.target.is_some())
    }

    /// Whether the journal names the object as the attempt's own: an answer to a dispatch named it, or a dispatch addressed it.
    #[must_use]
    pub fn names(&self, object: &str) -> bool {
        let addressed = |running: &CurrentOperation| {
            running.target.as_deref() == Some(object)
                || running
                    .calls
                    .iter()
                    .any(|call| call.target.as_deref() == Some(object))
        };
        self.own_reference() == Some(object)
            || self.object.as_deref() == Some(object)
            || self
                .action
                .as_ref()
                .is_some_and(|action| action.reference == object)
            || self
                .capture
                .as_ref()
                .is_some_and(|capture| capture.psp_reference == object)
            || self.knowledge.names(object)
            || self.running.as_ref().is_some_and(addressed)
    }

    /// The wire form of a dispatch.
    pub(crate) fn wire_form_of(&self, call: LocalId) -> u16 {
        let running = self.running.as_ref();
        let known = running.and_then(|running| running.calls.iter().find(|track| track.id == call));
        known.map_or(self.wire_form, |track| track.wire_form)
    }

    /// Whether another sending than `call` under the same key may have had its effect.
    pub(crate) fn may_have_sent_besides(&self, call: LocalId) -> bool {
        if self.running.as_ref().is_some_and(CurrentOperation::is_suspect) {
            return true;
        }
        let may_have_acted = |other: &DispatchedCall| match other.delivery {
            DeliveryState::Pending | DeliveryState::Unknown { .. } => true,
            // Its answer began the 3-D Secure that the customer may finish.
            DeliveryState::Answered { .. } => self.status == Status::RequiresAction,
            DeliveryState::NotSent { .. } | DeliveryState::Rejected { .. } => false,
        };
        let mut sent = self.running.iter().flat_map(CurrentOperation::current);
        sent.any(|other| other.id != call && other.step == CallStep::Execute && may_have_acted(other))
    }

    /// What a dispatch of this generation asks for, in minor units: what it asked for before, or, of a refund under a new number,
    /// what is left to be given back.
    pub(crate) fn amount_to_ask_minor(&self, generation: u16) -> u64 {
        let Some(running) = &self.running else { return 0 };
        let sent_before = running.calls.iter().find(|call| call.generation == generation);
        match (sent_before, &running.target) {
            (Some(call), _) => call.amount_minor,
            // Of the whole capture: refunds that had gone through when this one was intended may have failed since.
            (None, Some(target)) if running.operation == Operation::Refund => {
                let captured_minor = self.seen_minor(EffectKind::Capture, target);
                let whole_minor = captured_minor.filter(|minor| *minor > 0);
                self.knowledge
                    .left_to_refund_minor(target, whole_minor.unwrap_or(running.amount_minor))
            }
            (None, _) => running.amount_minor,
        }
    }

    /// The call that was rejected and is to be sent again as it was: under its own key, where the same is asked for.
    pub(crate) fn rejected_call(&self, operation: Operation, amount_minor: u64) -> Option<&DispatchedCall> {
        let row = self.rejections.as_ref()?;
        let is_same = row.operation == operation
            && row.amount_minor == amount_minor
            && row.had_return_url == self.return_url.is_some();
        row.call.as_ref().filter(|_| is_same)
    }

    /// When this number was sent first, if the PSP rejected it then, in milliseconds since the Unix epoch.
    pub(crate) fn rejected_number_since_ms(
        &self,
        operation: Operation,
        generation: u16,
    ) -> Option<UnixMillis> {
        let row = self
            .rejections
            .as_ref()
            .filter(|row| row.operation == operation)?;
        let call = row.call.as_ref().filter(|call| call.generation == generation)?;
        Some(call.sent_at_ms)
    }
}
