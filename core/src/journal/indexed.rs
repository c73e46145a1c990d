//! What a store keeps beside a record, so that a search finds the record. It is derived from the record and decides nothing.

use std::fmt;
use std::sync::Arc;

use super::standing::{Standing, WaitsFor};
use super::state::State;
use super::status::Status;
use crate::base::time::UnixMillis;

/// What an attempt waits for, or its status if it waits for nothing but its merchant's next request. An attempt has one of
/// these at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchState {
    /// An operator has to find out what happened.
    Parked,
    /// A call was sent, and its outcome is not known.
    InDoubt,
    /// An operation is intended, and no call of it can have been executed.
    Unsent,
    /// The customer has to finish a 3-D Secure.
    RequiresAction,
    /// Nothing was sent to the PSP.
    Created,
    /// Funds are reserved.
    Authorized,
    /// Funds were taken.
    Captured,
    /// The payment was declined, or its authorization ended without money.
    Declined,
    /// Funds were released.
    Voided,
    /// The authorization lapsed, or was released because it was not used in time.
    Expired,
}

impl SearchState {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Parked,
        Self::InDoubt,
        Self::Unsent,
        Self::RequiresAction,
        Self::Created,
        Self::Authorized,
        Self::Captured,
        Self::Declined,
        Self::Voided,
        Self::Expired,
    ];

    /// Its name in requests, answers and stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::InDoubt => "in_doubt",
            Self::Unsent => "unsent",
            Self::RequiresAction => "requires_action",
            Self::Created => "created",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Voided => "voided",
            Self::Expired => "expired",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    fn of(standing: Standing) -> Self {
        match (standing.waits, standing.status) {
            (Some((WaitsFor::Operator, _)), _) => Self::Parked,
            (Some((WaitsFor::Psp, _)), _) => Self::InDoubt,
            (Some((WaitsFor::Customer, _)), _) | (None, Status::RequiresAction) => Self::RequiresAction,
            // A status of something under way has an operation, so that the attempt waits.
            (Some((WaitsFor::Sending, _)), _)
            | (None, Status::Authorizing | Status::Capturing | Status::Voiding) => Self::Unsent,
            (None, Status::Created) => Self::Created,
            (None, Status::Authorized) => Self::Authorized,
            (None, Status::Captured) => Self::Captured,
            (None, Status::Declined) => Self::Declined,
            (None, Status::Voided) => Self::Voided,
            (None, Status::Expired) => Self::Expired,
        }
    }
}

impl fmt::Display for SearchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// By what a record is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The merchant that owns the attempt. It never changes.
    pub merchant: Arc<str>,
    /// The merchant's name of the order, if it gave one. It never changes.
    pub order_id: Option<String>,
    /// What the attempt waits for, or its status.
    pub state: SearchState,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: UnixMillis,
}

impl IndexEntry {
    pub(super) fn of(state: &State) -> Self {
        let standing = Standing::of(state);
        let waits_since_ms = standing.waits.map(|(_, since_ms)| since_ms);
        Self {
            merchant: Arc::clone(&state.merchant),
            order_id: state.terms.order_id.clone(),
            state: SearchState::of(standing),
            since_ms: waits_since_ms.unwrap_or(state.status_since_ms),
        }
    }
}
