//! Calls that are executed a second time, by the PSP or by the network.

use crate::base::outcome::Outcome;
use crate::faces::call::Call;
use crate::ledger::event::Cause;
use crate::ledger::work::Work;

use super::reject;

/// Executes the call, and sometimes once more. A request that lands late meets no further fault.
pub(crate) fn execute(call: &Call, work: &mut Work<'_>, meets_faults: bool) -> Outcome {
    let outcome = call.execute(work);
    let permille = work.settings.dials.twice_permille;
    // Drawn only where it is turned up: what is drawn after it would be another draw in every run without it.
    if meets_faults && call.moves_money() && permille > 0 && work.draw.chance(permille) {
        work.cause = Some(Cause::Repeated);
        drop(call.execute(work));
        work.cause = None;
    }
    outcome
}

/// What the second delivery of a call is answered, if the network makes one and the key does not answer it as the first.
pub(crate) fn redelivered(call: &Call, work: &mut Work<'_>, is_kept: bool) -> Option<Outcome> {
    let dials = &work.settings.dials;
    // Drawn only where it is turned up, as above.
    let is_meant = call.moves_money() && dials.redelivered_permille > 0;
    if !is_meant || !work.draw.chance(dials.redelivered_permille) {
        return None;
    }
    if dials.redelivered_status != 0 {
        return Some(reject::with_status(call, dials.redelivered_status));
    }
    if is_kept {
        return None;
    }
    work.cause = Some(Cause::Repeated);
    let outcome = call.execute(work);
    work.cause = None;
    Some(outcome)
}
