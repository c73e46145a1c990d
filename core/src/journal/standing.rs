//! What operators watch of an attempt: its status, what it waits for, and since when.

use super::running::CurrentOperation;
use super::state::State;
use super::status::Status;
use crate::base::time::UnixMillis;

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitsFor {
    /// An operation is intended, and no call of it can have been executed: none was sent, or each was rejected.
    Sending,
    /// A call was sent, and its outcome is not known. It is in flight for some milliseconds, and in doubt after that.
    Psp,
    /// The customer has to finish a 3-D Secure.
    Customer,
    /// The operation is parked: an operator has to find out what happened.
    Operator,
}

impl WaitsFor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sending, Self::Psp, Self::Customer, Self::Operator];

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Psp => "psp",
            Self::Customer => "customer",
            Self::Operator => "operator",
        }
    }
}

/// The status of an attempt and what the attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its status.
    pub status: Status,
    /// What it waits for, and since when, in milliseconds since the Unix epoch. `None`: only its merchant's next
    /// request.
    pub waits: Option<(WaitsFor, UnixMillis)>,
}

impl Standing {
    /// Whether something is left to happen. A final attempt may still wait for a compensation or for an operator.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.status.is_final() || self.waits.is_some()
    }

    pub(super) fn of(state: &State) -> Self {
        let mismatch = state.mismatch.as_ref();
        let waits = match (&state.running, &state.action) {
            (Some(running), _) if running.parked.is_some() => Some((WaitsFor::Operator, running.since_ms)),
            (_, Some(action)) if state.status == Status::RequiresAction => {
                Some((WaitsFor::Customer, action.since_ms))
            }
            (Some(running), _) => Some((waits_of(running), running.since_ms)),
            (None, _) => mismatch.map(|mismatch| (WaitsFor::Operator, mismatch.since_ms)),
        };
        Self {
            status: state.status,
            waits,
        }
    }
}

fn waits_of(running: &CurrentOperation) -> WaitsFor {
    if running.no_act_left() {
        WaitsFor::Sending
    } else {
        WaitsFor::Psp
    }
}
