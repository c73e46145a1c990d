//! The journal: an append-only list of facts, each with its kind of knowledge (`docs/store.md`, “The record”). It *is* the
//! record, and the timeline that a merchant reads is the same list in words.
//!
//! Entries are postcard bytes under version [`crate::journal::record::VERSION`]: members and variants are only ever appended,
//! anything else is a new version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::config::Connector;
use crate::base::fingerprint::Fingerprint;
use crate::base::id::LocalId;
use crate::base::money::Money;
use crate::base::time::UnixMillis;
use crate::base::version::RecordVersion;
use crate::journal::evidence::Evidence;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When the writer's clock said it happened, in milliseconds since the Unix epoch.
    pub at_ms: UnixMillis,
    /// What happened.
    pub fact: Fact,
}

/// The kind of knowledge an entry is (`docs/store.md`, “The record”).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A client or an operator asked for it.
    Requested,
    /// We mean to do it.
    Intended,
    /// We may have sent it: from here on the outcome is unknown until evidence says otherwise.
    Dispatched,
    /// The PSP, or an operator, said so.
    Observed,
    /// We concluded it from what is above.
    Inferred,
}

impl EntryKind {
    /// Every one.
    pub const ALL: [EntryKind; 5] = [
        EntryKind::Requested,
        EntryKind::Intended,
        EntryKind::Dispatched,
        EntryKind::Observed,
        EntryKind::Inferred,
    ];
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// Requested: the attempt was created.
    Created {
        /// Owner.
        merchant: String,
        /// Create key; the attempt's id is its digest.
        key: String,
        /// Digest of the create request.
        fingerprint: Fingerprint,
        /// `Create`, or `Charge` for the one-call form.
        request: RequestKind,
        /// What is to be paid, and how.
        terms: Terms,
        /// Name of the PSP in the configuration. An attempt never changes its PSP.
        psp: String,
        /// How that PSP is spoken to.
        connector: Connector,
    },
    /// Requested: a client asked for an operation under a key.
    Requested {
        /// The key.
        key: String,
        /// Digest of the request.
        fingerprint: Fingerprint,
        /// The operation.
        request: RequestKind,
        /// PSP token, when it came with authorize.
        payment_method: Option<String>,
    },
    /// Intended: an operation was begun.
    Intended {
        /// Which.
        operation: Operation,
        /// On whose behalf.
        cause: Cause,
        /// Minor units.
        amount_minor: u64,
        /// The PSP object or effect that it is aimed at, when it is not the attempt's own authorization.
        target: Option<String>,
    },
    /// Dispatched: one PSP call may be sent, by the writer of this entry only, until `send_by_ms` (rule 1).
    Dispatched {
        /// Names the call; unique, so that a writer whose swap had an unknown end can tell its own entry.
        call: LocalId,
        /// Which operation.
        operation: Operation,
        /// Makes the object (no money), or acts on it.
        step: CallStep,
        /// Generation (rule 3).
        generation: u16,
        /// The PSP key (rule 3).
        psp_key: String,
        /// The object or effect addressed, once known (rule 12).
        target: Option<String>,
        /// When the request is sent, at the earliest.
        sent_at_ms: UnixMillis,
        /// When it may be sent at the latest.
        send_by_ms: UnixMillis,
    },
    /// Observed: something the PSP (or an operator) let us see. Order and repetition do not matter (rule 7).
    Observed {
        /// By which way it came.
        source: Source,
        /// The call it answers, if it answers one.
        call: Option<LocalId>,
        /// Becomes the `auth_…` or `cap_…` of what is seen here first.
        id: LocalId,
        /// What was seen.
        evidence: Evidence,
    },
    /// Inferred: a conclusion.
    Inferred {
        /// Which.
        conclusion: Conclusion,
    },
    /// Requested: where the customer goes once a 3-D Secure is over. Beside the request that said so; a journal has one.
    ReturnTo {
        /// The shop's address.
        url: String,
    },
    /// Requested: the installation that made the attempt, whose name is part of the attempt's id. Right behind `Created`; a
    /// journal without it belongs to the installation `""`.
    Installation {
        /// Its name.
        name: String,
    },
    /// Intended: the wire form of all dispatches that follow, until another one is named. A journal that names none has
    /// dispatches of form 0.
    WireForm {
        /// The form: see [`super::wire_form::WireForm`].
        form: u16,
    },
    /// Requested: a client asked again, under its key, for what the PSP had rejected.
    Resumed {
        /// The key.
        key: String,
    },
    /// Requested: an operator proposed a resolution, which another operator has to agree with.
    Proposed {
        /// The key of the request.
        key: String,
        /// What is proposed.
        proposal: Proposal,
    },
    /// Inferred: the store was restored, and this record may lack what was written to it between these times. Requests of the
    /// operation that is under way, or of the next one, may have been sent.
    Suspected {
        /// From when on writes may be missing, in milliseconds since the Unix epoch.
        begins_ms: UnixMillis,
        /// When the store was restored, in milliseconds since the Unix epoch.
        restored_ms: UnixMillis,
    },
}

/// A resolution that one operator proposed. It has no effect before another operator asks for the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Name of the credential.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// The parked operation.
    pub operation: Operation,
    /// Which parking of it ([`crate::journal::running::Parking::version`]).
    pub version: RecordVersion,
    /// What the PSP's books show.
    pub happened: bool,
    /// The PSP's id of what happened, if it was given.
    pub psp_reference: Option<String>,
}

impl Proposal {
    /// Whether both say the same of the same parking, whoever says it and why.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        (self.operation, self.version, self.happened, &self.psp_reference)
            == (
                other.operation,
                other.version,
                other.happened,
                &other.psp_reference,
            )
    }
}

/// What a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// `POST /attempts`.
    Create,
    /// `POST /charge`.
    Charge,
    /// `POST /attempts/{id}/authorize`.
    Authorize,
    /// `POST /attempts/{id}/capture`.
    Capture,
    /// `POST /attempts/{id}/void`.
    Void,
    /// `POST /attempts/{id}/resolve`.
    Resolve,
}

/// What we can ask of a PSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Reserve funds (and, for `automatic`, take them in the same call where the PSP can).
    Authorize,
    /// Take reserved funds.
    Capture,
    /// Release reserved funds.
    Void,
    /// Give back taken funds; only ever as compensation (rule 8).
    Refund,
}

/// The part of an operation that a call carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStep {
    /// Makes the PSP's object. No money can move.
    #[serde(rename = "prepare")]
    CreateObject,
    /// Moves money, or releases it.
    #[serde(rename = "act")]
    Execute,
}

/// On whose behalf an operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A client's request.
    Client,
    /// `capture_method: automatic` at a PSP that could not do both at once.
    Automatic,
    /// Nobody captured in time, or nobody finished 3-D Secure (rule 10).
    Expiry,
    /// An effect that must not stand (rules 8 and 10).
    Compensation,
}

/// By which way evidence came (rule 7: all three are one type).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The answer to our call.
    Response,
    /// The PSP's own message.
    Webhook,
    /// The answer to a read or a look-up.
    Lookup,
    /// A named person.
    Operator {
        /// Who.
        operator: String,
        /// Why; kept in the timeline.
        reason: String,
    },
    /// The answer to our call, with the name that the PSP gave to the exchange: what its support asks for.
    NamedResponse {
        /// The PSP's `Request-Id`.
        request_id: String,
    },
}

impl Source {
    /// Whether it is the answer to a call of ours.
    #[must_use]
    pub fn is_response(&self) -> bool {
        match self {
            Self::Response | Self::NamedResponse { .. } => true,
            Self::Webhook | Self::Lookup | Self::Operator { .. } => false,
        }
    }
}

/// A conclusion that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conclusion {
    /// This generation did not happen and no longer can (rules 3 and 6).
    NoEffect {
        /// Which operation.
        operation: Operation,
        /// Which generation.
        generation: u16,
    },
    /// The operation ended without an effect, proven, and is not tried again.
    NotCarriedOut {
        /// Which operation.
        operation: Operation,
        /// Stable word.
        code: String,
        /// For people.
        message: String,
    },
    /// Nothing but a webhook or an operator can end this unknown (class `blind`).
    Parked {
        /// Which operation.
        operation: Operation,
        /// Why.
        reason: String,
    },
    /// An effect that must not stand was seen (rule 8).
    Unwanted {
        /// What undoes it.
        operation: Operation,
        /// Its id at the PSP.
        reference: String,
    },
    /// The PSP rejected a client's operation, which is proven to have had no effect: the attempt is back in the status before
    /// it, and only the client's retry sends it again.
    Withdrawn {
        /// Which operation.
        operation: Operation,
        /// Which generation.
        generation: u16,
        /// The PSP's code.
        code: String,
    },
    /// An object carries this attempt's reference and was not made by this installation (rule 13). It is left alone.
    Foreign {
        /// Its id at the PSP.
        reference: String,
    },
    /// The PSP captured another amount or currency than was asked for (rule 14).
    CaptureMismatch {
        /// The capture's id at the PSP.
        reference: String,
        /// What was asked for, in minor units of the attempt's currency.
        asked_minor: u64,
        /// What the PSP says that it captured.
        captured: Money,
    },
}

/// What is to be paid, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The merchant's order.
    pub order_id: Option<String>,
    /// How much.
    pub money: Money,
    /// Capture by a call of its own, or with the authorization.
    pub capture_method: CaptureMethod,
    /// PSP token.
    pub payment_method: Option<String>,
    /// The merchant's own small notes.
    pub metadata: BTreeMap<String, String>,
}

/// When funds are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMethod {
    /// By `/capture`.
    Manual,
    /// As soon as they are authorized.
    Automatic,
}

impl Fact {
    /// The kind of knowledge.
    #[must_use]
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::Created { .. }
            | Self::Requested { .. }
            | Self::ReturnTo { .. }
            | Self::Installation { .. }
            | Self::Resumed { .. }
            | Self::Proposed { .. } => EntryKind::Requested,
            Self::Intended { .. } | Self::WireForm { .. } => EntryKind::Intended,
            Self::Dispatched { .. } => EntryKind::Dispatched,
            Self::Observed { .. } => EntryKind::Observed,
            Self::Inferred { .. } | Self::Suspected { .. } => EntryKind::Inferred,
        }
    }
}

impl RequestKind {
    /// The word in messages and in the timeline.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Charge => "charge",
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Resolve => "resolve",
        }
    }

    /// Whether a client's request of this kind sets the operation going.
    pub(crate) fn asks_for(self, operation: Operation) -> bool {
        match operation {
            Operation::Authorize => matches!(self, Self::Authorize | Self::Charge),
            Operation::Capture => self == Self::Capture,
            Operation::Void => self == Self::Void,
            Operation::Refund => false,
        }
    }
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Authorize, Self::Capture, Self::Void, Self::Refund];

    /// The word in messages, PSP keys and the timeline.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }
}
