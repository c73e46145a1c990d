//! The abstract state of a record.

use std::fmt;

use pay_once_core::journal::entry::{Cause, Operation};
use pay_once_core::journal::evidence::EffectKind;
use pay_once_core::journal::running::{CurrentOperation, DeliveryState};
use pay_once_core::journal::state::State;
use pay_once_core::{Record, Status};

/// What of a record's state decides how the machine goes on, without times, ids and amounts. Two records of one shape differ in these
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    status: Status,
    doing: Option<Doing>,
    seen: Seen,
    knows_object: bool,
    is_rejected: bool,
    has_unwanted: bool,
    has_action: bool,
    has_foreign: bool,
    mismatch: Mismatch,
}

/// The operation under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Doing {
    operation: Operation,
    cause: Word,
    doubt: OperationState,
    proof: Proof,
    /// Sendings under the current effect number: 0, 1, 2, and 3 for more.
    sends: u8,
    /// Effect numbers used: 1, 2, and 3 for more; 0 before the first dispatch.
    numbers: u8,
}

/// A cause, in the order of its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Word(&'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OperationState {
    /// Nothing was sent, or what was sent is answered or known not to have left.
    Clear,
    /// A call's answer may still come.
    InFlight,
    /// A call's outcome is unknown.
    Unknown,
    /// Only a webhook, a late answer or an operator ends it.
    Parked,
}

/// What is known of the effect of the current number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Proof {
    Open,
    /// Proven not to have happened.
    Absent,
    /// The PSP refused it for good; only of releases and refunds.
    Refused,
}

/// The furthest effect that was seen at the PSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Nothing,
    Held,
    Taken,
    /// Something was released, lapsed, given back or taken back.
    Undone,
}

/// A captured amount other than the one that was asked for (rule 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mismatch {
    None,
    Open,
    Resolved,
}

impl Shape {
    /// The shape of a record's state.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let state = record.state();
        let is_open = matches!(state.status, Status::RequiresAction | Status::Voiding);
        Self {
            status: state.status,
            doing: state.running.as_ref().map(|running| Doing::of(state, running)),
            seen: seen(state),
            knows_object: state.own_reference().is_some(),
            is_rejected: state.rejections.is_some()
                || state.running.as_ref().is_some_and(|running| running.was_rejected),
            has_unwanted: !state.pending_compensations().is_empty(),
            has_action: state.action.is_some() && is_open,
            has_foreign: !state.foreign.is_empty(),
            mismatch: match (&state.mismatch, &state.mismatch_shown) {
                (Some(_), _) => Mismatch::Open,
                (None, Some(_)) => Mismatch::Resolved,
                (None, None) => Mismatch::None,
            },
        }
    }
}

impl Doing {
    fn of(state: &State, running: &CurrentOperation) -> Self {
        let sends = running.current().count();
        let first = running
            .calls
            .first()
            .map_or(running.generation, |call| call.generation);
        let numbers = if running.calls.is_empty() {
            0
        } else {
            running.generation.saturating_sub(first).saturating_add(1)
        };
        let proof = if running.proven_absent {
            Proof::Absent
        } else if running.refused.is_some() {
            Proof::Refused
        } else {
            Proof::Open
        };
        Self {
            operation: running.operation,
            cause: Word(cause(running.cause)),
            doubt: doubt(state, running),
            proof,
            sends: u8::try_from(sends.min(3)).unwrap_or(3),
            numbers: u8::try_from(numbers.min(3)).unwrap_or(3),
        }
    }
}

fn doubt(state: &State, running: &CurrentOperation) -> OperationState {
    if running.parked.is_some() {
        return OperationState::Parked;
    }
    // Between the answer that asks for the customer and what the customer does, nothing is on its way.
    if state.status == Status::RequiresAction {
        return OperationState::Clear;
    }
    let any = |is: fn(&DeliveryState) -> bool| running.current().any(|call| is(&call.delivery));
    if any(|delivery| matches!(delivery, DeliveryState::Unknown { .. })) {
        OperationState::Unknown
    } else if any(|delivery| matches!(delivery, DeliveryState::Pending)) {
        OperationState::InFlight
    } else {
        OperationState::Clear
    }
}

fn seen(state: &State) -> Seen {
    let has = |kinds: &[EffectKind]| kinds.iter().any(|kind| state.knowledge.has(*kind));
    if has(&[
        EffectKind::Void,
        EffectKind::Lapse,
        EffectKind::Refund,
        EffectKind::Reversal,
    ]) {
        Seen::Undone
    } else if has(&[EffectKind::Capture]) {
        Seen::Taken
    } else if has(&[EffectKind::Authorize]) {
        Seen::Held
    } else {
        Seen::Nothing
    }
}

fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Client => "client",
        Cause::Automatic => "automatic",
        Cause::Expiry => "expiry",
        Cause::Compensation => "compensation",
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = serde_json::to_value(self.status).unwrap_or_default();
        write!(f, "{} |", status.as_str().unwrap_or_default())?;
        match &self.doing {
            Some(doing) => write!(f, " {doing}")?,
            None => write!(f, " idle")?,
        }
        let seen = match self.seen {
            Seen::Nothing => "nothing seen",
            Seen::Held => "seen held",
            Seen::Taken => "seen taken",
            Seen::Undone => "seen undone",
        };
        write!(f, ", {seen}")?;
        let marks = [
            (self.knows_object, "object known"),
            (self.is_rejected, "rejected"),
            (self.has_unwanted, "unwanted effect"),
            (self.has_action, "action open"),
            (self.has_foreign, "foreign object"),
            (self.mismatch == Mismatch::Open, "another amount"),
            (self.mismatch == Mismatch::Resolved, "another amount, resolved"),
        ];
        for (_, word) in marks.into_iter().filter(|(is, _)| *is) {
            write!(f, ", {word}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.operation.as_str(), self.cause.0)?;
        let doubt = match self.doubt {
            OperationState::Clear => "",
            OperationState::InFlight => ", in flight",
            OperationState::Unknown => ", in doubt",
            OperationState::Parked => ", parked",
        };
        let proof = match self.proof {
            Proof::Open => "",
            Proof::Absent => ", proven absent",
            Proof::Refused => ", refused",
        };
        write!(f, "{doubt}{proof}, ")?;
        match (self.sends, self.numbers) {
            (0, 0) => write!(f, "not sent"),
            (sends, numbers) => write!(f, "number {} sent {}", more(numbers), more(sends)),
        }
    }
}

/// `3` stands for three and more.
fn more(count: u8) -> &'static str {
    match count {
        0 => "0",
        1 => "1",
        2 => "2",
        _ => "3+",
    }
}
