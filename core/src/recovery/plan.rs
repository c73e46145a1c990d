//! What is done next (`docs/rules.md`, rules 3–6, 8–12): re-sends, reads, look-ups, proofs, parking, expiry,
//! compensation. It follows from the state, the PSP's constants and the time alone, so that a restart forgets nothing.

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

/// What is known of the outcome of the operation under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Its answer may still come.
    InFlight,
    /// Its answer was lost. Its outcome is unknown, and is being determined.
    InDoubt,
    /// Only evidence that comes by itself, such as a webhook, or an operator can end it.
    Parked,
}

impl OperationState {
    /// All of them.
    pub const ALL: [OperationState; 3] = [
        OperationState::InFlight,
        OperationState::InDoubt,
        OperationState::Parked,
    ];
}

/// What is known of the operation under way, and when the machine has to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// What is known of the outcome of the operation under way.
    pub doubt: OperationState,
    /// When the machine has to be woken, in milliseconds since the Unix epoch. `None`: nothing is due by time.
    pub wake_at_ms: Option<UnixMillis>,
}

/// The next action.
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
    /// Read the object by its id.
    Read { reference: String },
    /// Look up effects by the attempt's reference.
    Lookup,
    /// Park the operation for an operator.
    Park { reason: &'static str },
    /// Conclude that the current generation had no effect: the PSP refused it for good.
    Disprove,
    /// Take back a client's operation that the PSP rejected and that is proven to have had no effect.
    Withdraw,
    /// End the operation: it had no effect, and is not tried again.
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

/// The outlook at `now_ms`, for answers and timers.
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
        // A read or look-up that is due has just been made, or is being made. The time is that of the next one.
        RecoveryAction::Read { .. } | RecoveryAction::Lookup if plan.due_ms <= now_ms => {
            due::poll_again_ms(state, psp, now_ms, plan.what == RecoveryAction::Lookup)
        }
        _ => plan.due_ms.max(now_ms),
    });
    Outlook { doubt, wake_at_ms }
}

/// The next action, if there is one.
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

/// The action for a parked operation: a release was refused while nothing was known to be held, and something is now.
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

/// Rule 10: an authorization or 3-D Secure that is not used in time is released.
pub(crate) fn give_up(state: &State) -> RecoveryAction {
    let amount_minor = state.terms.money.amount_minor;
    RecoveryAction::Begin {
        operation: Operation::Void,
        cause: Cause::Expiry,
        target: None,
        amount_minor,
    }
}

/// When the time of a 3-D Secure is over, it is read or looked up once more, since its customer may have finished just
/// in time. If that is impossible or fails, it is released, and the PSP's answer to the release shows what happened.
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

/// A void or refund that the PSP refused. What it should release may have ended by itself, or may still come about. It
/// is read or looked up if that is possible. Otherwise an operator has to find out.
fn plan_refused(state: &State, running: &CurrentOperation, refused: &Refused, psp: &Psp) -> Plan {
    if !refused.held && state.holds_something() {
        // Something to release became known since. The refusal proves that the refused try had no effect.
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

/// Rule 16: before the first dispatch after a loss the PSP is asked, as a lost dispatch may be of a later generation.
/// If only the key can tell, the generation that was next is sent, unless a rejection may have moved it on.
fn plan_suspect(state: &State, running: &CurrentOperation, psp: &Psp, now_ms: UnixMillis) -> Plan {
    let due_ms = due::within_key_ms(running, psp, due::ready_at_ms(running, psp));
    let at_ms = due_ms.max(now_ms);
    // The key shows nothing of a capture of that time, and some PSPs execute the release of a capture as its refund.
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

/// How an attempt ends if it is proven that nobody finished its 3-D Secure (`due::action_proof_counts_ms`).
pub(crate) const ABANDONED: RecoveryAction = RecoveryAction::End {
    code: "abandoned",
    message: "Nobody finished 3-D Secure in its time, so nothing was reserved.",
};

fn plan_running(state: &State, running: &CurrentOperation, psp: &Psp, now_ms: UnixMillis) -> Plan {
    let due_ms = due::within_key_ms(running, psp, due::ready_at_ms(running, psp));
    // The action is carried out at `due_ms` or later. What depends on time has to hold then.
    let at_ms = due_ms.max(now_ms);
    let is_stale =
        running.operation == Operation::Authorize && at_ms > due::authorize_until_ms(state, running, psp);
    let no_act_left = running.no_act_left();
    let is_of_client = running.cause == Cause::Client
        && matches!(state.status, Status::Authorizing | Status::Capturing)
        && matches!(running.operation, Operation::Authorize | Operation::Capture);
    // Rejected, and proven to have had no effect by that or by a later look: a client's operation waits for its client.
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

/// Whether a request of the current generation was rejected, and its key is too old to be sent again.
fn is_rejected_key_forgotten(running: &CurrentOperation, psp: &Psp, at_ms: UnixMillis) -> bool {
    let is_keyed = psp.capabilities.keyed_horizon_ms.is_some();
    let is_rejected = |call: &DispatchedCall| matches!(call.delivery, DeliveryState::Rejected { .. });
    let was_rejected = running.key_used_since_ms.is_some() || running.current().any(is_rejected);
    is_keyed && was_rejected && !due::within_horizon(running, psp, at_ms)
}

/// An operation that no client waits for stays open while the PSP rejects it. It is sent again with growing pauses:
/// under its key within the horizon, and under a new generation once a look has proven that it had no effect. An
/// unfinished 3-D Secure is looked at before it is released again, as its customer may have finished meanwhile.
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

/// Whether a rejected release of an unfinished 3-D Secure, which was just looked at, is to be sent again.
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

/// Rule 4: an expired lease means reconcile. The request is sent again only while the PSP knows its key (rule 5).
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
    // A PSP that goes on rejecting this server shows nothing of what it did before.
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

/// Whether the current PSP key may be sent again at `at_ms`, and can show the outcome.
pub(crate) fn may_resend(running: &CurrentOperation, psp: &Psp, at_ms: UnixMillis) -> bool {
    due::within_horizon(running, psp, at_ms) && resends(running) < RESENDS_MAX && !running.key_is_useless
}

/// What follows from a read or look-up that failed. The same key is sent again now and then. If it cannot be sent, and
/// reads and look-ups have failed for a day, the operation is parked. An answered one is repeated until it counts.
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

/// The first call of a generation. It makes the object if the PSP's class prepares one and none is made yet (rule 12).
pub(crate) fn first_step(state: &State, psp: &Psp, running: &CurrentOperation) -> CallStep {
    let is_made = state.object.is_some();
    if running.operation == Operation::Authorize && psp.capabilities.prepares() && !is_made {
        CallStep::CreateObject
    } else {
        CallStep::Execute
    }
}

/// A look at the PSP's own state, if there is a way: a read if the id is known (rule 12), otherwise a look-up.
pub(super) fn look(state: &State, psp: &Psp) -> Option<RecoveryAction> {
    let running = state.running.as_ref()?;
    if lists_refund(running, psp) {
        let is_listed = psp.capabilities.addressable || psp.capabilities.lookup_lag_ms.is_some();
        return is_listed.then_some(RecoveryAction::Lookup);
    }
    // The object that was acted on must be read. Another object may have become known meanwhile.
    let acted_on = running.current().rev().find_map(|call| call.target.as_deref());
    let reference = running.target.as_deref().or(acted_on).or(state.own_reference());
    match reference.filter(|_| psp.capabilities.addressable && !state.may_have_another_object()) {
        Some(reference) => Some(RecoveryAction::Read {
            reference: reference.to_owned(),
        }),
        None => psp.capabilities.lookup_lag_ms.map(|_| RecoveryAction::Lookup),
    }
}

/// Whether the operation is a refund that is shown by a list and not by its object.
fn lists_refund(running: &CurrentOperation, psp: &Psp) -> bool {
    running.operation == Operation::Refund && psp::driver_capabilities(psp.connector).lists_refunds
}

/// The first page of the look-up for the operation under way.
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
