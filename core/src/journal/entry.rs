//! The entries of a journal. A journal is an append-only list of facts, each with its kind of knowledge
//! (`docs/store.md`, “The record”). The journal *is* the record. The timeline that a merchant reads is the same list in
//! words.
//!
//! Entries are encoded with postcard, under version [`crate::journal::record::VERSION`]. Postcard stores a variant by
//! its index and members without names, so a build reads existing entries only if the sole change is a variant that was
//! appended to an enum. Every other change needs a new version.

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
    /// When the entry was made, by the clock of its writer, in milliseconds since the Unix epoch.
    pub at_ms: UnixMillis,
    /// The fact that it records.
    pub fact: Fact,
}

/// Which kind of knowledge an entry is (`docs/store.md`, “The record”).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A client or an operator asked for it.
    Requested,
    /// The machine decided to do it.
    Intended,
    /// A call may have been sent. From here on its outcome is unknown until evidence shows it.
    Dispatched,
    /// The PSP or an operator reported it.
    Observed,
    /// The machine concluded it.
    Inferred,
}

impl EntryKind {
    /// All kinds.
    pub const ALL: [EntryKind; 5] = [
        EntryKind::Requested,
        EntryKind::Intended,
        EntryKind::Dispatched,
        EntryKind::Observed,
        EntryKind::Inferred,
    ];
}

/// What an entry records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// Requested: the attempt was created.
    Created {
        /// The merchant that owns the attempt, by its name in the configuration.
        merchant: String,
        /// The create key. The attempt's id is a digest of the installation, the merchant and this key.
        key: String,
        /// Digest of the create request.
        fingerprint: Fingerprint,
        /// `Create`, or `Charge` for the one-call form.
        request: RequestKind,
        /// What is to be paid, and how.
        terms: Terms,
        /// Name of the PSP in the configuration. An attempt never changes its PSP.
        psp: String,
        /// The connector of that PSP.
        connector: Connector,
    },
    /// Requested: a client asked for an operation under a key, or an operator for a resolution.
    Requested {
        /// The idempotency key.
        key: String,
        /// Digest of the request.
        fingerprint: Fingerprint,
        /// The operation.
        request: RequestKind,
        /// The PSP's token for the payment method that the authorize named, or else the merchant's default. `None` if
        /// there is neither, and for other requests.
        payment_method: Option<String>,
    },
    /// Intended: an operation was begun.
    Intended {
        /// The operation.
        operation: Operation,
        /// On whose behalf it runs.
        cause: Cause,
        /// The amount, in minor units of the attempt's currency.
        amount_minor: u64,
        /// The PSP's id of the object or effect that it acts on. `None`: the attempt's own object or authorization.
        target: Option<String>,
    },
    /// Dispatched: one PSP call may be sent, by the writer of this entry only, until `send_by_ms` (rule 1).
    Dispatched {
        /// The name of the call. It is unique, so that a writer whose swap ended unknown recognizes its own entry.
        call: LocalId,
        /// The operation that the call belongs to.
        operation: Operation,
        /// Whether the call makes the object (no money moves) or acts on it.
        step: CallStep,
        /// Generation (rule 3).
        generation: u16,
        /// The PSP key (rule 3).
        psp_key: String,
        /// The PSP's id of the object or effect that the call addresses, if one is known (rule 12).
        target: Option<String>,
        /// The earliest time at which the request is sent, in milliseconds since the Unix epoch.
        sent_at_ms: UnixMillis,
        /// The latest time at which the request may be sent, in milliseconds since the Unix epoch.
        send_by_ms: UnixMillis,
    },
    /// Observed: evidence from the PSP or from an operator. Neither order nor repetition matters (rule 7).
    Observed {
        /// Where the evidence came from.
        source: Source,
        /// The call that the evidence answers, if it answers one.
        call: Option<LocalId>,
        /// The id of whatever is seen here first: it becomes the `auth_…` or `cap_…` of that effect.
        id: LocalId,
        /// The evidence.
        evidence: Evidence,
    },
    /// Inferred: a conclusion.
    Inferred {
        /// The conclusion.
        conclusion: Conclusion,
    },
    /// Requested: the address to which the customer is sent after a 3-D Secure. The entry belongs to the request that
    /// named the address. A journal has at most one such entry.
    ReturnTo {
        /// The URL at the merchant.
        url: String,
    },
    /// Requested: the installation that made the attempt. Its name is part of what the attempt's id is a digest of. The
    /// entry stands directly after `Created`. A journal without it belongs to the installation `""`.
    Installation {
        /// Its name.
        name: String,
    },
    /// Intended: the wire form of all dispatches that follow, until another entry names another form. Dispatches before
    /// the first such entry have form 0.
    WireForm {
        /// The number of the form: see [`super::wire_form::WireForm`].
        form: u16,
    },
    /// Requested: a client asked again, under its key, for an operation that the PSP had rejected.
    Resumed {
        /// The idempotency key.
        key: String,
    },
    /// Requested: an operator proposed a resolution. Another operator has to agree with it.
    Proposed {
        /// The idempotency key of the request.
        key: String,
        /// The proposed resolution.
        proposal: Proposal,
    },
    /// Inferred: the store was restored, and this record may lack what was written to it between these times (rule 16).
    /// Requests of the operation that is under way, or of the next one, may have been sent in that time.
    Suspected {
        /// From when on writes may be missing, in milliseconds since the Unix epoch.
        begins_ms: UnixMillis,
        /// When the store was restored, in milliseconds since the Unix epoch.
        restored_ms: UnixMillis,
    },
}

/// A resolution that one operator proposed. It has no effect until another operator asks for the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The operator, by its name in the configuration.
    pub operator: String,
    /// The reason that the operator gave.
    pub reason: String,
    /// The parked operation.
    pub operation: Operation,
    /// Which parking of it: see [`crate::journal::running::Parking::version`].
    pub version: RecordVersion,
    /// Whether the operation happened, according to the PSP's books.
    pub happened: bool,
    /// The PSP's id of what happened, if it was given.
    pub psp_reference: Option<String>,
}

impl Proposal {
    /// Whether both state the same outcome of the same parking. The operators and their reasons may differ.
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

/// What a client or an operator can request.
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

/// What the machine can request from a PSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Reserves funds. For `automatic` it also captures them in the same call, if the PSP can do that.
    Authorize,
    /// Captures reserved funds.
    Capture,
    /// Releases reserved funds.
    Void,
    /// Returns captured funds. It is only used as compensation (rule 8).
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
    /// The automatic capture (`capture_method: automatic`) of an authorization that the PSP did not capture in the same
    /// call.
    Automatic,
    /// Nobody captured the authorization in time, or nobody finished the 3-D Secure in time (rule 10).
    Expiry,
    /// An unwanted effect has to be undone (rules 8 and 10).
    Compensation,
}

/// Where evidence came from. Evidence from each of these has the same type (rule 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The answer to a dispatched call.
    Response,
    /// A webhook of the PSP.
    Webhook,
    /// The answer to a read or a look-up.
    Lookup,
    /// The resolution of a named operator.
    Operator {
        /// The operator, by its name in the configuration.
        operator: String,
        /// The reason that the operator gave. The timeline shows it.
        reason: String,
    },
    /// The answer to a dispatched call, together with the PSP's id of the request. The PSP's support asks for that id.
    NamedResponse {
        /// The PSP's `Request-Id`.
        request_id: String,
    },
}

impl Source {
    /// Whether the evidence is the answer to a dispatched call.
    #[must_use]
    pub fn is_response(&self) -> bool {
        match self {
            Self::Response | Self::NamedResponse { .. } => true,
            Self::Webhook | Self::Lookup | Self::Operator { .. } => false,
        }
    }
}

/// A conclusion of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conclusion {
    /// The effect of this generation did not happen and no longer can (rules 3 and 6).
    NoEffect {
        /// The operation.
        operation: Operation,
        /// The generation.
        generation: u16,
    },
    /// The operation has ended. It is proven that it had no effect, and it is not tried again.
    NotCarriedOut {
        /// The operation.
        operation: Operation,
        /// A stable code, for programs.
        code: String,
        /// An explanation, for people.
        message: String,
    },
    /// The operation is parked: only further evidence or an operator can end it.
    Parked {
        /// The operation.
        operation: Operation,
        /// Why it is parked. Answers show this text (`operation.reason`).
        reason: String,
    },
    /// An unwanted effect was seen (rule 8).
    Unwanted {
        /// The operation that undoes it.
        operation: Operation,
        /// The effect's id at the PSP.
        reference: String,
    },
    /// The PSP rejected a client's operation, and it is proven that the operation had no effect. The attempt is back in
    /// its previous status. The operation is sent again only when a client asks for it again.
    Withdrawn {
        /// The operation.
        operation: Operation,
        /// The generation.
        generation: u16,
        /// The PSP's code of the rejection.
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
        /// The captured amount, as the PSP reports it.
        captured: Money,
    },
}

/// What is to be paid, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The merchant's id of the order.
    pub order_id: Option<String>,
    /// The amount and its currency.
    pub money: Money,
    /// Whether the funds are captured by a call of their own, or with the authorization.
    pub capture_method: CaptureMethod,
    /// The PSP's token for the payment method. `None` until a request names one.
    pub payment_method: Option<String>,
    /// The merchant's metadata, shown in answers.
    pub metadata: BTreeMap<String, String>,
}

/// When funds are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMethod {
    /// When the client asks for it with `/capture`.
    Manual,
    /// As soon as they are authorized.
    Automatic,
}

impl Fact {
    /// The kind of knowledge that the entry is.
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
    /// The name in messages and in the timeline.
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

    /// Whether a client's request of this kind begins the operation.
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
    /// All operations.
    pub const ALL: [Self; 4] = [Self::Authorize, Self::Capture, Self::Void, Self::Refund];

    /// The name in messages, in PSP keys and in the timeline.
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
