//! The generation under which an operation is sent (rule 3).

use crate::base::config::Psp;
use crate::base::time::UnixMillis;
use crate::journal::entry::Operation;
use crate::journal::running::{CurrentOperation, DeliveryState, DispatchedCall};
use crate::journal::state::State;
use crate::recovery::due;

/// The generation of an operation that begins at `now_ms`. An operation that the PSP rejected keeps its generation
/// while the PSP knows the key. The rejection may have answered a second delivery of the request. The PSP then finds
/// the first delivery under the key and does not repeat it.
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

/// The current generation of an operation. If nothing was dispatched yet, it is the generation of the first dispatch.
pub(crate) fn current(state: &State, running: &CurrentOperation, psp: &Psp, now_ms: UnixMillis) -> u16 {
    match running.generation {
        0 => first(state, psp, running.operation, running.amount_minor, now_ms),
        generation => generation,
    }
}

/// The generation that follows the current one, once the current one is proven absent. If absence was proven before
/// anything was dispatched, the operation has no generation of its own. The result then follows the generations of the
/// earlier operations of the same kind.
pub(crate) fn following(state: &State, running: &CurrentOperation) -> u16 {
    let used = state.generations_used(running.operation).max(running.generation);
    used.saturating_add(1)
}

/// Whether it is known which generation would have been sent next when the store was lost (rule 16). A rejection from
/// before the restore makes it unknown: a later request with other terms, or one whose key is forgotten, has the next
/// generation. A rejection from after the restore changed nothing before it.
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
