//! How an operator's look asks about an attempt, with or without an operation under way.

use crate::base::config::Psp;
use crate::journal::state::State;
use crate::recovery::plan::{RecoveryAction, look};

/// The read or look-up that shows an attempt as its PSP has it now. `None`: the PSP offers neither.
pub(crate) fn look_now(state: &State, psp: &Psp) -> Option<RecoveryAction> {
    if state.running.is_some() {
        return look(state, psp);
    }
    let is_readable = psp.capabilities.addressable && !state.may_have_another_object();
    match state.own_reference().filter(|_| is_readable) {
        Some(reference) => Some(RecoveryAction::Read {
            reference: reference.to_owned(),
        }),
        None => psp.capabilities.lookup_lag_ms.map(|_| RecoveryAction::Lookup),
    }
}
