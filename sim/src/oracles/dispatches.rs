//! Every call by which money can move was dispatched before: the journal has an entry that names its key, each entry is
//! sent at most once, and what arrives had left in its time (rule 1). The PSP tells of the calls, the journal of
//! the dispatches.

use std::collections::BTreeMap;

use pay_once_core::journal::entry::Fact;

use super::{Case, Oracle, Wrong};
use crate::world::EPOCH_MS;

/// What a message's own latency may add to a flight, in milliseconds: turmoil's steps are coarse.
const LATENCY_MS_MAX: u64 = 60;

pub(super) const ORACLE: Oracle = Oracle {
    name: "dispatched before sent",
    rule: "rule 1",
    judge,
};

/// From when and until when a dispatch may arrive, in milliseconds from the start.
type Window = (u64, u64);

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let world = &case.run.plan.world;
    let mut open: BTreeMap<&str, Vec<Window>> = BTreeMap::new();
    // A message waits in the network for what the PSP's own lateness leaves of the longest flight.
    let flight_ms = world.truth.max_in_flight_ms - world.psp_late_ms.min(world.truth.max_in_flight_ms);
    // A clock that is wrong from the start is no worse than that.
    let skew_ms = world.truth.skew_ms + case.run.plan.starts_off_ms();
    for entry in case.written() {
        if let Fact::Dispatched {
            psp_key,
            sent_at_ms,
            send_by_ms,
            ..
        } = &entry.fact
        {
            let from_ms = sent_at_ms.get().saturating_sub(EPOCH_MS + skew_ms);
            let until_ms = send_by_ms.get().saturating_sub(EPOCH_MS) + skew_ms + flight_ms + LATENCY_MS_MAX;
            open.entry(psp_key).or_default().push((from_ms, until_ms));
        }
    }
    for call in case
        .run
        .psp_calls
        .iter()
        .filter(|call| call.key.starts_with(&case.id))
    {
        let windows = open.entry(&call.key).or_default();
        let fits = |(from_ms, until_ms): &Window| (*from_ms..=*until_ms).contains(&call.at_ms);
        // Calls come in order of arrival: the dispatch that closes first is the one to take.
        let fitting = windows.iter().enumerate().filter(|(_, window)| fits(window));
        let Some((taken, _)) = fitting.min_by_key(|(_, (_, until_ms))| *until_ms) else {
            let why = match windows.is_empty() {
                true => "without a dispatch of its own",
                false => "outside the time that it was dispatched for",
            };
            return Err((call.at_ms, format!("the PSP was called with {} {why}", call.key)));
        };
        windows.swap_remove(taken);
    }
    Ok(())
}
