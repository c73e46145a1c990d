//! Under which number an operation is sent (rule 3).

use crate::base::config::Psp;
use crate::base::time::UnixMillis;
use crate::journal::entry::Operation;
use crate::journal::running::{CurrentOperation, DispatchedCall};
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
