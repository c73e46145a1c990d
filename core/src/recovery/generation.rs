//! Under which number an operation is sent (rule 3).

use crate::base::config::Psp;
use crate::base::time::UnixMillis;
use crate::journal::entry::Operation;
use crate::journal::running::{CurrentOperation, DeliveryState, DispatchedCall};
use crate::journal::state::State;
use crate::recovery::due;

/// The generation of an operation that begins at `now_ms`. What the PSP rejected goes out under the number that it had, where the PSP
/// honours its key: should the rejection have been the answer to a second delivery, the first one is found and not repeated.
pub(crate) fn first(
    state: &State,
    psp: &Psp,
    operation: Operation,
    amount_minor: u64,
    now_ms: UnixMillis,
) -> u16 {
    let is_known = |call: &&DispatchedCall| due::is_key_known(psp, call.sent_at_ms, now_ms);
    let rejected = state.rejected_call(operation, amount_minor).filter(is_known);
    match rejected {
        Some(call) => call.generation,
        None => state.generations_used(operation).saturating_add(1),
    }
}

/// The current generation of an operation; its first one, if nothing was dispatched yet.
pub(crate) fn current(state: &State, running: &CurrentOperation, psp: &Psp, now_ms: UnixMillis) -> u16 {
    match running.generation {
        0 => first(state, psp, running.operation, running.amount_minor, now_ms),
        generation => generation,
    }
}

/// The generation that follows the current one, once that is proven absent. What was proven absent before anything was dispatched has
/// no number of its own; the numbers of the operations before it are used.
pub(crate) fn following(state: &State, running: &CurrentOperation) -> u16 {
    let used = state.generations_used(running.operation).max(running.generation);
    used.saturating_add(1)
}

/// Whether the number is known under which a restored store would have gone on: a rejection lets a later request have another number, if
/// its terms differ or its key is forgotten (rule 16). A rejection that came after the restore moved nothing on before it.
pub(crate) fn is_known(state: &State, running: &CurrentOperation) -> bool {
    let Some(loss) = state.loss else { return true };
    let is_before = |at_ms: UnixMillis| at_ms < loss.restored_ms;
    let was_rejected = |call: &DispatchedCall| matches!(call.delivery, DeliveryState::Rejected { at_ms } if is_before(at_ms));
    let is_noted = state
        .rejections
        .as_ref()
        .is_some_and(|row| is_before(row.last_ms));
    !is_noted && !running.calls.iter().any(was_rejected)
}
