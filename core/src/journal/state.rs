//! The state: the fold of a journal. Everything in it follows from the journal. The fold of a prefix gives the state as
//! it was then. A replay therefore gives the same bytes at any time (`docs/http.md`, “Replays”).

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

/// An attempt, as its journal shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The merchant that owns the attempt, by its name in the configuration.
    pub merchant: Arc<str>,
    /// What is to be paid, and how.
    pub terms: Arc<Terms>,
    /// Where the customer is sent after a 3-D Secure.
    pub return_url: Option<Arc<str>>,
    /// Name of the PSP in the configuration.
    pub psp: Arc<str>,
    /// The connector of that PSP.
    pub connector: Connector,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at_ms: UnixMillis,
    /// Its status.
    pub status: Status,
    /// Since when it has this status, in milliseconds since the Unix epoch.
    pub status_since_ms: UnixMillis,
    /// Keys bound to it, in the order of binding. The first is the create key.
    pub keys: Vec<BoundKey>,
    /// The attempt's own authorization, once it was seen.
    pub authorization: Option<Authorization>,
    /// The attempt's own capture, once it was seen.
    pub capture: Option<Capture>,
    /// Why it was declined, if it was.
    pub decline: Option<Decline>,
    /// The 3-D Secure that the PSP required of the customer, if it required one.
    pub action: Option<Action>,
    /// The PSP's object, once its id is in the journal (rule 12).
    pub object: Option<String>,
    /// Whether an answer to a dispatch named `object`. Evidence from elsewhere does not replace it then.
    pub(crate) object_is_answered: bool,
    /// The operation under way.
    pub running: Option<CurrentOperation>,
    /// Everything that was seen at the PSP of the attempt's own objects.
    pub knowledge: Knowledge,
    /// The installation that made the attempt; `""` for one without a name.
    pub installation: Arc<str>,
    /// The number of the wire form of the dispatches that follow.
    pub wire_form: u16,
    /// When the requests that make an object at the PSP were sent, if any was dispatched.
    pub creation: Option<Creation>,
    /// Ids of objects that carry the attempt's reference and are not its own (rule 13).
    pub foreign: BTreeSet<String>,
    /// Consecutive rejections of a client's operation, if its last try was rejected.
    pub rejections: Option<Rejections>,
    /// The capture that differs from what was asked for, until an operator has resolved the difference (rule 14).
    pub mismatch: Option<Mismatch>,
    /// The same difference, also after it was resolved. Answers show it.
    pub mismatch_shown: Option<Mismatch>,
    /// The last resolution that was proposed. It is about one parking, and has no meaning for any other.
    pub proposal: Option<Proposal>,
    /// The last loss that the journal notes (rule 16).
    pub loss: Option<Loss>,
    /// Whether something may have been sent in the time of that loss that no read or look-up has shown or excluded yet
    /// (rule 16).
    pub is_suspect: bool,
    /// Whether the object was known before that loss. An object that became known later may not be the one that was
    /// acted on in that time.
    pub had_object_at_loss: bool,
    /// Highest generation used, by operation (rule 3).
    pub(crate) generations_used: BTreeMap<Operation, u16>,
    /// Generation of every call that was dispatched.
    pub(crate) generation_of_call: BTreeMap<LocalId, u16>,
    /// The cause of the last void that was no compensation. A client's void leads to VOIDED, a void for expiry to
    /// EXPIRED.
    pub(crate) void_cause: Cause,
}

/// A key that is bound to the attempt, and its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundKey {
    /// The idempotency key.
    pub key: Arc<str>,
    /// Digest of the request.
    pub fingerprint: Fingerprint,
    /// What was requested under it.
    pub request: RequestKind,
    /// Index of the entry that requested it: for the first time, or again after a rejection.
    pub asked_at: usize,
    /// Index of the entry that made its answer final. The answer is the state as of that entry.
    pub finalized_at: Option<usize>,
    /// Set while the PSP has rejected what was requested under it. Nothing is under way for it until its client asks
    /// again.
    pub is_withdrawn: bool,
    /// Whether another key has since requested the same operation. The result of that operation is not the answer to
    /// this key.
    pub is_superseded: bool,
    /// The operator who proposed a resolution under it. Another operator has to agree with the proposal.
    pub proposed_by: Option<Arc<str>>,
    /// Set once the PSP has refused the terms of the request. This refusal is the key's answer.
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

/// The PSP's refusal of a client's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormRefused {
    /// The PSP's code.
    pub code: String,
    /// The PSP's message.
    pub message: String,
    /// The member of the request that is at fault.
    pub field: String,
}

/// When the attempt's object may have been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// When the first request that makes one was dispatched, in milliseconds since the Unix epoch.
    pub first_sent_ms: UnixMillis,
    /// When the last one may have been sent at the latest, in milliseconds since the Unix epoch.
    pub last_send_by_ms: UnixMillis,
}

/// Consecutive rejections of a client's operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejections {
    /// The operation that was rejected.
    pub operation: Operation,
    /// How many rejections there were.
    pub count: u32,
    /// The first call that was rejected. If the operation is sent again under the key of this call, the same request is
    /// sent.
    pub call: Option<DispatchedCall>,
    /// The amount that was asked for, in minor units.
    pub amount_minor: u64,
    /// Whether the return address was known by then.
    pub had_return_url: bool,
    /// When the last one was seen, in milliseconds since the Unix epoch.
    pub last_ms: UnixMillis,
}

/// A capture that differs from what was asked for (rule 14).
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

/// The attempt's own authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// `auth_…`.
    pub id: LocalId,
    /// The PSP's id.
    pub psp_reference: String,
    /// When it was first seen, in milliseconds since the Unix epoch.
    pub authorized_at_ms: UnixMillis,
    /// From when on it may have been held at the PSP, in milliseconds since the Unix epoch: when it was first asked
    /// for.
    pub held_since_ms: UnixMillis,
}

/// The attempt's own capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// `cap_…`.
    pub id: LocalId,
    /// The PSP's id.
    pub psp_reference: String,
    /// When it was first seen, in milliseconds since the Unix epoch.
    pub captured_at_ms: UnixMillis,
    /// The captured amount, in minor units.
    pub amount_minor: u64,
    /// The amount that we had asked for, in minor units. `None`: we had not asked, as for a capture by hand at the PSP.
    pub asked_minor: Option<u64>,
}

/// Why an attempt was declined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decline {
    /// The PSP's code, or one of Pay Once's own codes.
    pub code: String,
    /// An explanation, for people.
    pub message: String,
}

/// A 3-D Secure that waits for the customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The PSP's id of the object.
    pub reference: String,
    /// The page to which the customer is sent. Empty: the PSP named no page.
    pub url: String,
    /// When it was first seen, in milliseconds since the Unix epoch.
    pub since_ms: UnixMillis,
}

impl State {
    /// Whether an authorization whose dispatch is lost may be of another object than the one that is known, because
    /// that object became known after the loss.
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

    /// The state after the first entry. `None` if that is not `Created`.
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
            status_since_ms: entry.at_ms,
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

    /// The bound key of this name, if there is one.
    #[must_use]
    pub fn bound(&self, key: &str) -> Option<&BoundKey> {
        self.keys.iter().find(|bound| *bound.key == *key)
    }

    /// The operation that is parked, and the version of its parking. A captured amount that differs counts as a parked
    /// capture.
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

    /// The resolution that is proposed for the present parking.
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

    /// Whether an authorization was ever seen.
    #[must_use]
    pub fn holds_something(&self) -> bool {
        self.authorization.is_some() || self.knowledge.has(EffectKind::Authorize)
    }

    /// Whether a 3-D Secure is being released that nobody has finished, as far as is known.
    #[must_use]
    pub fn is_unfinished_action(&self) -> bool {
        self.status == Status::Voiding && self.action.is_some() && !self.holds_something()
    }

    /// The PSP's id of the attempt's own authorization, action or object, once one is known.
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

    /// Whether the journal names the object as the attempt's own: an answer to a dispatch or other evidence of the
    /// attempt's own objects named it, or a dispatch of the operation under way addressed it.
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

    /// The number of the wire form of a dispatch. For a call that is not of the operation under way, it is the present
    /// form.
    pub(crate) fn wire_form_of(&self, call: LocalId) -> u16 {
        let running = self.running.as_ref();
        let known = running.and_then(|running| running.calls.iter().find(|track| track.id == call));
        known.map_or(self.wire_form, |track| track.wire_form)
    }

    /// Whether another sending under the same key than `call` may have had an effect. A sending whose dispatch is lost
    /// counts (rule 16).
    pub(crate) fn may_have_sent_besides(&self, call: LocalId) -> bool {
        if self.running.as_ref().is_some_and(CurrentOperation::is_suspect) {
            return true;
        }
        let may_have_acted = |other: &DispatchedCall| match other.delivery {
            DeliveryState::Pending | DeliveryState::Unknown { .. } => true,
            // Its answer began the 3-D Secure, which the customer may still finish.
            DeliveryState::Answered { .. } => self.status == Status::RequiresAction,
            DeliveryState::NotSent { .. } | DeliveryState::Rejected { .. } => false,
        };
        let mut sent = self.running.iter().flat_map(CurrentOperation::current);
        sent.any(|other| other.id != call && other.step == CallStep::Execute && may_have_acted(other))
    }

    /// The amount that a dispatch of this generation asks for, in minor units. It is what an earlier dispatch of the
    /// generation asked for. A refund under a new generation asks for what is left to be given back.
    pub(crate) fn amount_to_ask_minor(&self, generation: u16) -> u64 {
        let Some(running) = &self.running else { return 0 };
        let sent_before = running.calls.iter().find(|call| call.generation == generation);
        match (sent_before, &running.target) {
            (Some(call), _) => call.amount_minor,
            // The rest is counted from the whole capture: refunds that had succeeded when this one was intended may
            // have failed since.
            (None, Some(target)) if running.operation == Operation::Refund => {
                let captured_minor = self.seen_minor(EffectKind::Capture, target);
                let whole_minor = captured_minor.filter(|minor| *minor > 0);
                self.knowledge
                    .left_to_refund_minor(target, whole_minor.unwrap_or(running.amount_minor))
            }
            (None, _) => running.amount_minor,
        }
    }

    /// The rejected call that is to be sent again unchanged, under its own key. `None`: there is none, or something
    /// else is asked for.
    pub(crate) fn rejected_call(&self, operation: Operation, amount_minor: u64) -> Option<&DispatchedCall> {
        let row = self.rejections.as_ref()?;
        let is_same = row.operation == operation
            && row.amount_minor == amount_minor
            && row.had_return_url == self.return_url.is_some();
        row.call.as_ref().filter(|_| is_same)
    }

    /// When this generation was first sent, in milliseconds since the Unix epoch, if the PSP rejected it then.
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
