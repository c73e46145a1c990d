//! What comes next: re-sends, reads, look-ups, proofs, parking, expiry, compensation (`docs/rules.md`, rules 3–6, 8–12); when,
//! is `due`'s. A pure function of the state, the PSP's declared constants and the time: a restart forgets nothing.

use serde::Serialize;

use crate::base::config::Psp;
use crate::base::limits::{LOOKUP_PAGE_OBJECTS, RESENDS_BEFORE_LOOKUP, RESENDS_MAX};
use crate::base::time::UnixMillis;
use crate::journal::entry::{CallStep, Cause, Operation};
use crate::journal::running::{CurrentOperation, DeliveryState, DispatchedCall, Refused};
use crate::journal::state::State;
use crate::journal::status::Status;
use crate::psp;
use crate::psp::call::{Asked, Lookup};
use crate::recovery::{due, generation};

/// How well the operation under way is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Its answer may still come.
    InFlight,
    /// Its answer was lost; its outcome is unknown and is being found out.
    InDoubt,
    /// Only a webhook or an operator can end it.
    Parked,
}

impl OperationState {
    /// Every one.
    pub const ALL: [OperationState; 3] = [
        OperationState::InFlight,
        OperationState::InDoubt,
        OperationState::Parked,
    ];
}

/// What lies ahead of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// How well the operation under way is known.
    pub doubt: OperationState,
    /// When the machine wants to be woken, in milliseconds since the Unix epoch.
    pub wake_at_ms: Option<UnixMillis>,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecoveryAction {
    /// Begin an operation that no client asked for.
    Begin {
        operation: Operation,
        cause: Cause,
        target: Option<String>,
        amount_minor: u64,
    },
    /// Dispatch a call of the running operation.
    Send { step: CallStep, generation: u16 },
    /// Read the object.
    Read { reference: String },
    /// Look for effects by our reference.
    Lookup,
    /// Give the unknown to an operator.
    Park { reason: &'static str },
    /// Conclude that the current generation did not happen: the PSP refused it for good.
    Disprove,
    /// Take a client's operation back: the PSP rejected it, which is proven to have had no effect.
    Withdraw,
    /// End the operation: it had no effect, and will not be tried again.
    End {
        code: &'static str,
        message: &'static str,
    },
}

/// An action and the time from which it may be carried out, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) due_ms: UnixMillis,
    pub(crate) what: RecoveryAction,
}

/// What lies ahead, for answers and timers.
#[must_use]
pub fn outlook(state: &State, psp: &Psp, now_ms: UnixMillis) -> Outlook {
    let doubt = match &state.running {
        Some(running) if running.parked.is_some() => OperationState::Parked,
        Some(running) if state.status != Status::RequiresAction && is_in_doubt(running, psp, now_ms) => {
            OperationState::InDoubt
        }
        Some(running) if running.refused.is_some() => OperationState::InDoubt,
        Some(_) | None => OperationState::InFlight,
    };
    let wake_at_ms = plan(state, psp, now_ms).map(|plan| match plan.what {
        // A look that is due has just been taken, or is being taken: the next one comes later.
        RecoveryAction::Read { .. } | RecoveryAction::Lookup if plan.due_ms <= now_ms => {
            due::poll_again_ms(state, psp, now_ms, plan.what == RecoveryAction::Lookup)
        }
        _ => plan.due_ms.max(now_ms),
    });
    Outlook { doubt, wake_at_ms }
}

/// The next move, if the attempt wants one.
pub(crate) fn plan(state: &State, psp: &Psp, now_ms: UnixMillis) -> Option<Plan> {
    match &state.running {
        Some(running) if running.parked.is_some() => unparked(state, running),
        Some(running)
            if state.status == Status::RequiresAction && running.operation == Operation::Authorize =>
        {
            Some(plan_action(state, psp, now_ms))
        }
        Some(running) => Some(match &running.refused {
            _ if running.is_suspect() => plan_suspect(state, running, psp, now_ms),
            Some(refused) => plan_refused(state, running, refused, psp),
            None => plan_running(state, running, psp, now_ms),
        }),
        None => plan_idle(state, psp),
    }
}

/// What takes up again what is parked: a void was refused when nothing was known to be held, and something is now.
fn unparked(state: &State, running: &CurrentOperation) -> Option<Plan> {
    let refused = running.refused.as_ref().filter(|_| !running.is_suspect())?;
    (!refused.held && state.holds_something()).then_some(Plan {
        due_ms: UnixMillis::EPOCH,
        what: RecoveryAction::Disprove,
    })
}

fn plan_idle(state: &State, psp: &Psp) -> Option<Plan> {
    if let Some((operation, target, amount_minor)) = state.pending_compensations().into_iter().next() {
        let what = RecoveryAction::Begin {
            operation,
            cause: Cause::Compensation,
            target: Some(target),
            amount_minor,
        };
        return Some(Plan {
            due_ms: UnixMillis::EPOCH,
            what,
        });
    }
    if state.status != Status::Authorized {
        return None;
    }
    if state.is_automatic() {
        let amount_minor = state.terms.money.amount_minor;
        let what = RecoveryAction::Begin {
            operation: Operation::Capture,
            cause: Cause::Automatic,
            target: None,
            amount_minor,
        };
        return Some(Plan {
            due_ms: UnixMillis::EPOCH,
            what,
        });
    }
    Some(Plan {
        due_ms: due::lapses_soon_ms(state, psp),
        what: give_up(state),
    })
}

/// Rule 10: what nobody uses in time is released.
pub(crate) fn give_up(state: &State) -> RecoveryAction {
    let amount_minor = state.terms.money.amount_minor;
    RecoveryAction::Begin {
        operation: Operation::Void,
        cause: Cause::Expiry,
        target: None,
        amount_minor,
    }
}

/// A 3-D Secure whose time is over is looked at once more: its customer may have finished just in time. Where no look can be
/// had, it is given up unseen; the release then tells.
fn plan_action(state: &State, psp: &Psp, now_ms: UnixMillis) -> Plan {
    let Some(what) = look(state, psp) else {
        return Plan {
            due_ms: due::action_over_ms(state, psp, now_ms),
            what: give_up(state),
        };
    };
    let by_lookup = what == RecoveryAction::Lookup;
    let given_up_ms = due::action_given_up_ms(state, psp, now_ms, by_lookup);
    if now_ms >= given_up_ms {
        return Plan {
            due_ms: given_up_ms,
            what: give_up(state),
        };
    }
    Plan {
        due_ms: due::action_look_ms(state, psp, now_ms, by_lookup),
        what,
    }
}

/// A void or refund that the PSP refused. What it should release may have gone by itself, or may come yet: that is
/// looked for where it can be; where it cannot, an operator has to.
fn plan_refused(state: &State, running: &CurrentOperation, refused: &Refused, psp: &Psp) -> Plan {
    if !refused.held && state.holds_something() {
        // Something to release has come to be known since: the refusal proves the try before without effect.
        return Plan {
            due_ms: UnixMillis::EPOCH,
            what: RecoveryAction::Disprove,
        };
    }
    let what = look(state, psp).unwrap_or(RecoveryAction::Park {
        reason: "the PSP refused it, and offers no way to find out what it holds",
    });
    Plan {
        due_ms: due::ready_at_ms(running, psp),
        what,
    }
}

/// Rule 16: before the first dispatch after a loss the PSP is asked, since a server whose dispatch is lost may have moved on to a later
/// number. Where only a key can tell, the number that was next is sent, unless a rejection may have moved it on meanwhile.
fn plan_suspect(state: &State, running: &CurrentOperation, psp: &Psp, now_ms: UnixMillis) -> Plan {
    let due_ms = due::within_key_ms(running, psp, due::ready_at_ms(running, psp));
    let at_ms = due_ms.max(now_ms);
    // A key tells nothing of a capture of that time, and some PSPs carry out the release of a capture as its refund.
    let is_undoing = matches!(running.operation, Operation::Void | Operation::Refund);
    let may_send = !is_undoing && generation::is_known(state, running) && may_resend(running, psp, at_ms);
    let what = match look(state, psp) {
        Some(look) => look,
        None if may_send => RecoveryAction::Send {
            step: first_step(state, psp, running),
            generation: generation::current(state, running, psp, at_ms),
        },
        None => RecoveryAction::Park { reason: SUSPECT },
    };
    Plan { due_ms, what }
}

/// Why an operation is parked that may have been sent before a restore.
const SUSPECT: &str = "the store was restored from a backup, this operation may have been sent before, and this PSP offers no way to find out: look for the attempt in the PSP's books";

/// How an attempt ends whose 3-D Secure nobody finished, once a look has proven that (`due::action_proof_counts_ms`).
pub(crate) const ABANDONED: RecoveryAction = RecoveryAction::End {
    code: "abandoned",
    message: "Nobody finished 3-D Secure in its time, so nothing was reserved.",
};

fn plan_running(state: &State, running: &CurrentOperation, psp: &Psp, now_ms: UnixMillis) -> Plan {
    let due_ms = due::within_key_ms(running, psp, due::ready_at_ms(running, psp));
    // The move is made at `due_ms` or later; what the clock allows must hold then.
    let at_ms = due_ms.max(now_ms);
    let is_stale =
        running.operation == Operation::Authorize && at_ms > due::authorize_until_ms(state, running, psp);
    let no_act_left = running.no_act_left();
    let is_of_client = running.cause == Cause::Client
        && matches!(state.status, Status::Authorizing | Status::Capturing)
        && matches!(running.operation, Operation::Authorize | Operation::Capture);
    // Rejected and without effect, by the rejection itself or by a look since: a client's operation waits for its client.
    let is_without_effect = running.proven_absent || (no_act_left && running.is_rejected());
    let is_withdrawn = running.was_rejected && is_without_effect
        || no_act_left && !running.proven_absent && is_rejected_key_forgotten(running, psp, at_ms);
    if is_withdrawn && is_of_client {
        return Plan {
            due_ms: UnixMillis::EPOCH,
            what: RecoveryAction::Withdraw,
        };
    }
    let is_forgotten = is_rejected_key_forgotten(running, psp, at_ms);
    if no_act_left && !running.proven_absent && (running.is_rejected() || is_forgotten) {
        return plan_rejected(state, running, psp, due_ms, at_ms);
    }
    let what = if running.proven_absent {
        retry(
            state,
            running,
            psp,
            is_stale,
            generation::following(state, running),
        )
    } else if no_act_left {
        retry(state, running, psp, is_stale, running.generation.max(1))
    } else {
        reconcile(state, running, psp, at_ms, is_stale)
    };
    Plan { due_ms, what }
}

/// Whether a request was rejected under the current number, and its key is too old to be sent.
fn is_rejected_key_forgotten(running: &CurrentOperation, psp: &Psp, at_ms: UnixMillis) -> bool {
    let is_keyed = psp.capabilities.keyed_horizon_ms.is_some();
    let is_rejected = |call: &DispatchedCall| matches!(call.delivery, DeliveryState::Rejected { .. });
    let was_rejected = running.key_used_since_ms.is_some() || running.current().any(is_rejected);
    is_keyed && was_rejected && !due::within_horizon(running, psp, at_ms)
}

/// An operation without a waiting client stays open while the PSP rejects it. It is sent again with growing pauses: under its key
/// within the horizon, and under a new number after a look has proven that it had no effect. An unfinished 3-D Secure is looked at
/// before it is released again, because its customer may have finished meanwhile.
fn plan_rejected(
    state: &State,
    running: &CurrentOperation,
    psp: &Psp,
    due_ms: UnixMillis,
    at_ms: UnixMillis,
) -> Plan {
    let is_keyed = psp.capabilities.keyed_horizon_ms.is_some();
    let is_forgotten = is_keyed && !due::within_horizon(running, psp, at_ms);
    let what = match look(state, psp) {
        Some(look) if is_forgotten || (state.is_unfinished_action() && !due::is_spent(state, running)) => {
            look
        }
        None if is_forgotten => RecoveryAction::Park {
            reason: "the PSP rejected it for as long as it knows its key, and offers no way to find out what became of it",
        },
        _ => send_rejected_again(state, running, psp),
    };
    Plan { due_ms, what }
}

/// Sends again what the PSP rejected, within bounds.
pub(crate) fn send_rejected_again(state: &State, running: &CurrentOperation, psp: &Psp) -> RecoveryAction {
    retry(state, running, psp, false, running.generation.max(1))
}

/// Whether a rejected release of an unfinished 3-D Secure has just been looked at, and is to be sent again.
pub(crate) fn releases_again(
    state: &State,
    running: &CurrentOperation,
    now_ms: UnixMillis,
    psp: &Psp,
) -> bool {
    state.is_unfinished_action()
        && running.parked.is_none()
        && running.no_act_left()
        && running.is_rejected()
        && !running.proven_absent
        && now_ms >= due::ready_at_ms(running, psp)
}

/// Rule 4: an expired lease means reconcile. Re-sending is right only where the PSP promised to know the key.
fn reconcile(
    state: &State,
    running: &CurrentOperation,
    psp: &Psp,
    at_ms: UnixMillis,
    is_stale: bool,
) -> RecoveryAction {
    let resends = resends(running);
    let may_resend = may_resend(running, psp, at_ms);
    let look = look(state, psp);
    let resend = RecoveryAction::Send {
        step: CallStep::Execute,
        generation: running.generation,
    };
    // A PSP that goes on rejecting us tells nothing of what it did before.
    let goes_on = running.rejections_in_a_row() >= RESENDS_BEFORE_LOOKUP;
    let tells = may_resend && !is_stale && !goes_on && resends < RESENDS_BEFORE_LOOKUP;
    match look {
        Some(_) if tells => resend,
        Some(look) => look,
        None if may_resend => resend,
        None => RecoveryAction::Park {
            reason: "its outcome is unknown, and this PSP offers no way to find out",
        },
    }
}

/// How often the current generation was sent again.
fn resends(running: &CurrentOperation) -> usize {
    running
        .maybe_sent()
        .filter(|call| call.step == CallStep::Execute)
        .count()
        .saturating_sub(1)
}

/// Whether the current PSP key may be sent again at `at_ms`, and can tell something.
pub(crate) fn may_resend(running: &CurrentOperation, psp: &Psp, at_ms: UnixMillis) -> bool {
    due::within_horizon(running, psp, at_ms) && resends(running) < RESENDS_MAX && !running.key_is_useless
}

/// What follows from a look that failed: while looks fail, the same key is sent again now and then; once it cannot be, and
/// looks have failed for a day, an operator has to decide. A look that answered is repeated until it counts.
pub(crate) fn after_failed_look(state: &State, psp: &Psp, now_ms: UnixMillis) -> Option<RecoveryAction> {
    let running = state
        .running
        .as_ref()
        .filter(|running| running.parked.is_none())?;
    let waits_for_customer =
        state.status == Status::RequiresAction && running.operation == Operation::Authorize;
    if waits_for_customer || running.proven_absent {
        return None;
    }
    if releases_again(state, running, now_ms, psp) {
        return Some(send_rejected_again(state, running, psp));
    }
    let is_unknown = running.refused.is_none() && !running.no_act_left() && !running.is_suspect();
    if is_unknown && may_resend(running, psp, now_ms) {
        let is_due = now_ms >= due::resend_after_failed_look_ms(running, psp);
        return is_due.then_some(RecoveryAction::Send {
            step: CallStep::Execute,
            generation: running.generation,
        });
    }
    let is_given_up = now_ms >= due::looks_given_up_ms(running);
    is_given_up.then_some(RecoveryAction::Park {
        reason: "every look at the PSP has failed for a day, and its key cannot be sent again",
    })
}

/// Tries again what is proven not to have happened, within bounds, beginning with the first call of `generation`.
fn retry(
    state: &State,
    running: &CurrentOperation,
    psp: &Psp,
    is_stale: bool,
    generation: u16,
) -> RecoveryAction {
    let is_spent = due::is_spent(state, running);
    match running.operation {
        Operation::Authorize if is_stale || is_spent => RecoveryAction::End {
            code: "psp_unavailable",
            message: "The PSP did not carry the authorization out, which is proven; it is not tried any more.",
        },
        Operation::Capture | Operation::Void | Operation::Refund if is_spent => RecoveryAction::Park {
            reason: "the PSP did not carry it out in many tries",
        },
        Operation::Authorize | Operation::Capture | Operation::Void | Operation::Refund => {
            RecoveryAction::Send {
                step: first_step(state, psp, running),
                generation,
            }
        }
    }
}

/// The first call of a generation: makes the object where the class has one and it is not made yet (rule 12).
pub(crate) fn first_step(state: &State, psp: &Psp, running: &CurrentOperation) -> CallStep {
    let is_made = state.object.is_some();
    if running.operation == Operation::Authorize && psp.capabilities.prepares() && !is_made {
        CallStep::CreateObject
    } else {
        CallStep::Execute
    }
}

/// The way to look at the PSP's own state, if there is one: by id where it is known (rule 12), else by reference.
fn look(state: &State, psp: &Psp) -> Option<RecoveryAction> {
    let running = state.running.as_ref()?;
    if lists_refund(running, psp) {
        let is_listed = psp.capabilities.addressable || psp.capabilities.lookup_lag_ms.is_some();
        return is_listed.then_some(RecoveryAction::Lookup);
    }
    // What was acted on is what must be looked at: a later object may have come to be known meanwhile.
    let acted_on = running.current().rev().find_map(|call| call.target.as_deref());
    let reference = running.target.as_deref().or(acted_on).or(state.own_reference());
    match reference.filter(|_| psp.capabilities.addressable && !state.may_have_another_object()) {
        Some(reference) => Some(RecoveryAction::Read {
            reference: reference.to_owned(),
        }),
        None => psp.capabilities.lookup_lag_ms.map(|_| RecoveryAction::Lookup),
    }
}

/// Whether a list tells of the operation, as the object that it is of does not.
fn lists_refund(running: &CurrentOperation, psp: &Psp) -> bool {
    running.operation == Operation::Refund && psp::driver_capabilities(psp.connector).lists_refunds
}

/// The first page of the look-up that tells of the operation under way.
pub(crate) fn first_page(state: &State, psp: &Psp, asked: Asked) -> Lookup {
    let refunded = state
        .running
        .as_ref()
        .filter(|running| lists_refund(running, psp))
        .and_then(|running| running.target.clone());
    Lookup {
        asked,
        is_contradicted: false,
        after: None,
        objects: LOOKUP_PAGE_OBJECTS,
        refunds_of: refunded,
        found: Vec::new(),
        mark: None,
        mark_pages_max: 0,
        mark_pages: 0,
    }
}

fn is_in_doubt(running: &CurrentOperation, psp: &Psp, now_ms: UnixMillis) -> bool {
    let mut current = running.current();
    running.is_suspect()
        || current.any(|call| match call.delivery {
            DeliveryState::Pending => now_ms > due::silent_from_ms(call, psp),
            DeliveryState::Unknown { .. } => true,
            DeliveryState::NotSent { .. }
            | DeliveryState::Answered { .. }
            | DeliveryState::Rejected { .. } => false,
        })
}
