//! The calls of the Stripe face.

use std::collections::BTreeMap;

use crate::faces::kind::Kind;

use super::method_types::MethodTypes;

/// A call, and whether `latest_charge` is expanded in its answer.
pub(crate) struct Call {
    pub(crate) action: Action,
    pub(crate) expand_charge: bool,
}

/// What is asked.
pub(crate) enum Action {
    Create(Create),
    Confirm {
        id: String,
        payment_method: Option<String>,
        types: MethodTypes,
        return_url: Option<String>,
    },
    Capture {
        id: String,
        amount_minor: Option<u64>,
    },
    Cancel {
        id: String,
        reason: Option<String>,
    },
    Authenticate {
        id: String,
        success: bool,
    },
    Retrieve {
        id: String,
    },
    List(Page),
    Refund {
        intent: String,
        amount_minor: Option<u64>,
        reason: Option<String>,
        metadata: BTreeMap<String, String>,
    },
    RetrieveDispute {
        id: String,
    },
    RetrieveRefund {
        id: String,
    },
    Refunds {
        intent: String,
        limit: usize,
    },
}

/// Parameters of `POST /v1/payment_intents`.
pub(crate) struct Create {
    pub(crate) amount_minor: u64,
    pub(crate) currency: String,
    pub(crate) payment_method: Option<String>,
    pub(crate) types: MethodTypes,
    pub(crate) automatic_capture: bool,
    pub(crate) confirm: bool,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) return_url: Option<String>,
    pub(crate) description: Option<String>,
}

/// Parameters of `GET /v1/payment_intents`.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) starting_after: Option<String>,
    pub(crate) ending_before: Option<String>,
    /// Unix seconds.
    pub(crate) created_gte: Option<u64>,
    /// Unix seconds.
    pub(crate) created_lte: Option<u64>,
}

impl Call {
    /// Whether the call is one that can move money.
    pub(crate) fn moves_money(&self) -> bool {
        match &self.action {
            Action::Create(create) => create.confirm,
            Action::Confirm { .. }
            | Action::Capture { .. }
            | Action::Cancel { .. }
            | Action::Refund { .. } => true,
            Action::Authenticate { .. }
            | Action::Retrieve { .. }
            | Action::RetrieveRefund { .. }
            | Action::RetrieveDispute { .. }
            | Action::List(_)
            | Action::Refunds { .. } => false,
        }
    }

    /// What kind of call it is.
    pub(crate) fn kind(&self) -> Kind {
        match &self.action {
            Action::Create(_)
            | Action::Confirm { .. }
            | Action::Capture { .. }
            | Action::Cancel { .. }
            | Action::Refund { .. } => Kind::Change,
            Action::Retrieve { .. } | Action::RetrieveRefund { .. } | Action::RetrieveDispute { .. } => {
                Kind::Read
            }
            Action::List(_) | Action::Refunds { .. } => Kind::List,
            Action::Authenticate { .. } => Kind::Own,
        }
    }

    /// The PaymentIntent that is read, if one is.
    pub(crate) fn read_id(&self) -> Option<&str> {
        match &self.action {
            Action::Retrieve { id } => Some(id),
            _ => None,
        }
    }
}
