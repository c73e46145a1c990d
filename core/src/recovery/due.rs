//! The times of recovery: from when on something may be done, counts, or is repeated (`docs/rules.md`, rules 4–6, 10).
//! `plan.rs` decides what is done then. The times are pure functions of the state, the PSP's declared constants and the
//! present time, so that a restart forgets nothing.

use crate::base::config::Psp;
use crate::base::limits::{
    BACKOFF_FIRST_MS, BACKOFF_MAX_MS, GENERATION_PAUSE_FIRST_MS, GENERATIONS_PER_OPERATION_MAX,
    LOOKS_FAILED_MAX_MS, REJECTED_PAUSE_FIRST_MS, REJECTED_PAUSE_MAX_MS, RESENDS_MAX,
};
use crate::base::loss::Loss;
use crate::base::time::{Millis, UnixMillis};
use crate::journal::entry::{CallStep, Operation};
use crate::journal::running::{CurrentOperation, DeliveryState, DispatchedCall};
use crate::journal::state::{Creation, Rejections, State};
use crate::journal::status::Status;

/// Shortest pause between two reads or look-ups of an unfinished 3-D Secure, in milliseconds.
const ACTION_POLL_FIRST_MS: Millis = Millis::new(2_000);
/// Longest such pause, in milliseconds. If no webhook reports the end of a 3-D Secure, the end is seen this much later
/// at most.
const ACTION_POLL_MAX_MS: Millis = Millis::new(120_000);
/// Longest pause between tries to release an unfinished 3-D Secure, in milliseconds. Later the longest pause is half of
/// the time that has passed.
const ACTION_RELEASE_PAUSE_MS: Millis = Millis::new(300_000);

/// How long the last read or look-up of a 3-D Secure is tried once its time is over, in milliseconds. After that it is
/// released without one.
const ACTION_LAST_LOOK_MS: Millis = Millis::new(60_000);
/// Most doublings of the pause before another generation. The pauses are longer than a day long before this bound.
const GENERATION_PAUSE_DOUBLINGS_MAX: u32 = 20;

/// From when on the next action for the operation under way may be carried out.
pub(crate) fn ready_at_ms(running: &CurrentOperation, psp: &Psp) -> UnixMillis {
    // Once the object is made, the call that acts on it is not delayed by the tries to make it, however many were lost
    // (found with localstripe: eight of them delayed the next call by a minute).
    let is_made = |call: &DispatchedCall| {
        call.step == CallStep::CreateObject && matches!(call.delivery, DeliveryState::Answered { .. })
    };
    let is_made = running.current().any(is_made);
    let counting = || {
        running
            .current()
            .filter(|call| !is_made || call.step != CallStep::CreateObject)
    };
    let tries = counting().count();
    counting()
        .map(|call| match call.delivery {
            DeliveryState::Pending => silent_from_ms(call, psp),
            // An answer that ended nothing (a capture answered with a state before capture) is no better than none, and
            // must not be asked for in a tight loop.
            DeliveryState::Unknown { at_ms }
            | DeliveryState::NotSent { at_ms }
            | DeliveryState::Answered { at_ms } => at_ms + backoff_ms(tries),
            // A PSP that rejects this server does so under any generation. The pauses go on growing from one generation
            // to the next.
            DeliveryState::Rejected { at_ms } => at_ms + backoff_ms(tries.max(running.rejections_in_a_row())),
        })
        .max()
        .unwrap_or_default()
}

/// From when on a call counts as unanswered (rule 4): its owner has the answer by then, or has lost it.
pub(crate) fn silent_from_ms(call: &DispatchedCall, psp: &Psp) -> UnixMillis {
    call.send_by_ms + psp.timing.call_timeout_ms
}

fn backoff_ms(tries: usize) -> Millis {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX).min(20);
    BACKOFF_FIRST_MS.doubled(doublings).min(BACKOFF_MAX_MS)
}

/// Rule 5: whether the current PSP key may be sent again at `at_ms`.
pub(crate) fn within_horizon(running: &CurrentOperation, psp: &Psp, at_ms: UnixMillis) -> bool {
    match (psp.capabilities.keyed_horizon_ms, running.first_send_ms()) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(_), Some(first_ms)) => is_key_known(psp, first_ms, at_ms),
    }
}

/// Whether the PSP still knows a key that was first sent at `first_ms` when a request that is dispatched at `at_ms` lands.
pub(crate) fn is_key_known(psp: &Psp, first_ms: UnixMillis, at_ms: UnixMillis) -> bool {
    let horizon_ms = psp.capabilities.keyed_horizon_ms.unwrap_or_default();
    at_ms + psp.timing.landed_after_ms() < first_ms + horizon_ms
}

/// `due_ms`, or the last moment at which the key may be sent again, if `due_ms` is later than that (rule 5). If the
/// last try under a key is missed, the outcome may stay unknown and the operation may have to be parked.
pub(crate) fn within_key_ms(running: &CurrentOperation, psp: &Psp, due_ms: UnixMillis) -> UnixMillis {
    let (Some(horizon_ms), Some(first_ms)) = (psp.capabilities.keyed_horizon_ms, running.first_send_ms())
    else {
        return due_ms;
    };
    let last_ms = first_ms + horizon_ms - (psp.timing.landed_after_ms() + Millis::new(1));
    let tried_ms = running.current().map(|call| match call.delivery {
        DeliveryState::Pending => silent_from_ms(call, psp),
        DeliveryState::Unknown { at_ms }
        | DeliveryState::NotSent { at_ms }
        | DeliveryState::Answered { at_ms }
        | DeliveryState::Rejected { at_ms } => at_ms,
    });
    if tried_ms.max().unwrap_or_default() < last_ms {
        due_ms.min(last_ms)
    } else {
        due_ms
    }
}

/// Until when a new authorization may be sent. After that its customer is assumed to have left.
pub(crate) fn authorize_until_ms(state: &State, running: &CurrentOperation, psp: &Psp) -> UnixMillis {
    let lag_ms = psp.capabilities.lookup_lag_ms.unwrap_or_default();
    let landed_ms = lag_ms + psp.timing.max_in_flight_ms + psp.timing.max_clock_skew_ms;
    // Right after a restore no authorization can be sent before absence counts. Its time begins then.
    let is_meant = |loss: &Loss| {
        running.since_ms >= loss.restored_ms
            && running
                .calls
                .iter()
                .all(|call| call.step == CallStep::CreateObject)
    };
    let first_ms = state
        .loss
        .filter(is_meant)
        .map_or(UnixMillis::EPOCH, |loss| loss.restored_ms + landed_ms);
    running.since_ms.max(first_ms) + psp.timing.authorize_retry_ms
}

/// From when on a read or look-up that shows nothing proves absence: not before it counts by rule 6, and not before
/// another try may follow. The next try is sent in the step that proves absence, so that no try is based on an older
/// read or look-up.
pub(crate) fn proof_counts_at_ms(
    state: &State,
    running: &CurrentOperation,
    psp: &Psp,
    by_lookup: bool,
) -> UnixMillis {
    absence_counts_at_ms(running, psp, by_lookup).max(next_try_ms(state, running, psp))
}

/// Rule 6: from when on “not found” counts. A read by id has no look-up lag.
fn absence_counts_at_ms(running: &CurrentOperation, psp: &Psp, by_lookup: bool) -> UnixMillis {
    let lag_ms = if by_lookup {
        psp.capabilities.lookup_lag_ms.unwrap_or_default()
    } else {
        Millis::ZERO
    };
    // The owner of a call may send it as late as `send_by`, by a clock that may be behind by the skew.
    let sent_ms = running.last_send_ms().unwrap_or(running.since_ms);
    sent_ms + psp.timing.max_in_flight_ms + lag_ms + psp.timing.max_clock_skew_ms
}

/// How long, by the monotonic clock, a clock must have been right before a read or look-up that was requested by it
/// proves absence (rule 6). Until then, what was sent by the wrong clock may still land and be listed.
pub(crate) fn landed_and_listed_ms(psp: &Psp, by_lookup: bool) -> Millis {
    let lag_ms = psp.capabilities.lookup_lag_ms.filter(|_| by_lookup);
    psp.timing.landed_after_ms() + lag_ms.unwrap_or_default()
}

/// From when on the next generation may be sent, as far as its pauses are concerned. The tries of an authorization have
/// no such pauses, because its customer waits and its time is bounded. The tries of other operations are spread over a
/// day. Otherwise an outage of minutes would use up their generations (an outage of 17 minutes did). The second
/// generation is sent as soon as it may be.
fn next_try_ms(state: &State, running: &CurrentOperation, psp: &Psp) -> UnixMillis {
    let used = generations_used(running);
    if running.operation == Operation::Authorize || used < 2 || is_spent(state, running) {
        return UnixMillis::EPOCH;
    }
    let sent_ms = running.last_dispatch_ms().unwrap_or(running.since_ms);
    let doublings = u32::from(2 * (used - 2)).min(GENERATION_PAUSE_DOUBLINGS_MAX);
    let mut due_ms = sent_ms + GENERATION_PAUSE_FIRST_MS.doubled(doublings);
    // A PSP that rejects this server goes on doing so under the next generation.
    if running.was_rejected {
        due_ms = due_ms.max(sent_ms + backoff_ms(running.rejections_in_a_row()));
    }
    // A pause must not outlast the authorization that is to be captured. The remaining tries are spread over the rest
    // of its life.
    let last_ms = if running.operation == Operation::Capture {
        let tries_left = GENERATIONS_PER_OPERATION_MAX.saturating_sub(used).max(1);
        let left_ms = lapses_soon_ms(state, psp) - sent_ms;
        sent_ms + left_ms / u32::from(tries_left)
    } else if state.is_unfinished_action() {
        // The customer can finish the 3-D Secure as long as it is open. The pauses therefore grow slowly, with the time
        // that has passed.
        let passed_ms = sent_ms - running.since_ms;
        sent_ms + ACTION_RELEASE_PAUSE_MS.max(passed_ms / 2)
    } else {
        UnixMillis::MAX
    };
    due_ms.min(last_ms)
}

/// Whether recovery has used all of its own tries. The release of a 3-D Secure that may still be open has twice as
/// many, over more than a day, because its customer can finish it at any time.
pub(crate) fn is_spent(state: &State, running: &CurrentOperation) -> bool {
    let factor: u16 = if state.is_unfinished_action() { 2 } else { 1 };
    running.calls.len() >= RESENDS_MAX * usize::from(factor)
        || generations_used(running) >= GENERATIONS_PER_OPERATION_MAX * factor
}

/// From when on the same key may be sent again after a read or look-up that failed. The pauses grow with the number of
/// sendings.
pub(crate) fn resend_after_failed_look_ms(running: &CurrentOperation, psp: &Psp) -> UnixMillis {
    ready_at_ms(running, psp)
}

/// From when on an operation whose reads and look-ups fail is parked, if its key cannot be sent again.
pub(crate) fn looks_given_up_ms(running: &CurrentOperation) -> UnixMillis {
    let since_ms = match running.lost {
        // The reads and look-ups began when the loss was noted, however long ago the loss began.
        Some(lost) => lost.since_ms,
        None => running.first_send_ms().unwrap_or(running.since_ms),
    };
    since_ms + LOOKS_FAILED_MAX_MS
}

/// From when on the client of a rejected operation may ask for it again.
pub(crate) fn ask_again_ms(rejections: &Rejections) -> UnixMillis {
    let doublings = rejections.count.saturating_sub(1).min(20);
    let pause_ms = REJECTED_PAUSE_FIRST_MS
        .doubled(doublings)
        .min(REJECTED_PAUSE_MAX_MS);
    rejections.last_ms + pause_ms
}

/// The last moment, by any clock, at which the requests that make the attempt's object can have landed (rule 6).
pub(crate) fn creation_landed_ms(creation: &Creation, psp: &Psp) -> UnixMillis {
    creation.last_send_by_ms + psp.timing.max_in_flight_ms + psp.timing.max_clock_skew_ms
}

/// How many generations the operation has used, counted from its first dispatch.
fn generations_used(running: &CurrentOperation) -> u16 {
    running
        .generation
        .saturating_sub(first_generation(running))
        .saturating_add(1)
}

fn first_generation(running: &CurrentOperation) -> u16 {
    running.calls.first().map_or(1, |call| call.generation)
}

/// When the authorization will lapse, less the margin (rule 10).
pub(crate) fn lapses_soon_ms(state: &State, psp: &Psp) -> UnixMillis {
    let authorized_at_ms = state
        .authorization
        .as_ref()
        .map_or(state.created_at_ms, |a| a.held_since_ms);
    let lapse_ms = state
        .knowledge
        .capture_before_ms
        .unwrap_or(authorized_at_ms + psp.timing.authorization_lifetime_ms);
    // The margin is at most a tenth of the life. Otherwise it would leave no time to capture an authorization of a
    // short life.
    let margin_ms = psp
        .timing
        .capture_margin_ms
        .min((lapse_ms - authorized_at_ms) / 10);
    lapse_ms - margin_ms
}

/// When an unfinished 3-D Secure is read or looked up for the first time, if no evidence about it arrives.
pub(crate) fn action_look_ms(state: &State, psp: &Psp, now_ms: UnixMillis, by_lookup: bool) -> UnixMillis {
    let look_ms = action_since_ms(state, now_ms) + ACTION_POLL_FIRST_MS;
    look_ms.min(action_last_look_ms(state, psp, now_ms, by_lookup))
}

/// When an unfinished 3-D Secure is read or looked up for the last time before it is released. From then on, what its
/// customer did in time can be seen.
pub(crate) fn action_last_look_ms(
    state: &State,
    psp: &Psp,
    now_ms: UnixMillis,
    by_lookup: bool,
) -> UnixMillis {
    let lag_ms = if by_lookup {
        psp.capabilities.lookup_lag_ms.unwrap_or_default()
    } else {
        Millis::ZERO
    };
    action_over_ms(state, psp, now_ms) + lag_ms
}

/// When an unfinished 3-D Secure is released although the last read or look-up of it fails.
pub(crate) fn action_given_up_ms(
    state: &State,
    psp: &Psp,
    now_ms: UnixMillis,
    by_lookup: bool,
) -> UnixMillis {
    action_last_look_ms(state, psp, now_ms, by_lookup) + ACTION_LAST_LOOK_MS
}

/// From when on a read or look-up that shows neither an effect nor an open action proves that a 3-D Secure was never
/// finished.
pub(crate) fn action_proof_counts_ms(
    state: &State,
    psp: &Psp,
    now_ms: UnixMillis,
    by_lookup: bool,
) -> UnixMillis {
    action_last_look_ms(state, psp, now_ms, by_lookup) + psp.timing.max_clock_skew_ms
}

/// When the customer's time to finish a 3-D Secure is over.
pub(crate) fn action_over_ms(state: &State, psp: &Psp, now_ms: UnixMillis) -> UnixMillis {
    action_since_ms(state, now_ms) + psp.timing.action_timeout_ms
}

fn action_since_ms(state: &State, now_ms: UnixMillis) -> UnixMillis {
    state.action.as_ref().map_or(now_ms, |action| action.since_ms)
}

/// When to read or look up again, if one at `now_ms` decided nothing. The pauses grow with the time that has passed.
pub(crate) fn poll_again_ms(state: &State, psp: &Psp, now_ms: UnixMillis, by_lookup: bool) -> UnixMillis {
    let Some(running) = &state.running else {
        return now_ms + BACKOFF_MAX_MS;
    };
    if let (Status::RequiresAction, Some(action)) = (state.status, &state.action) {
        // The pause is half of the time that has passed: a customer who returns from the bank after a minute waits half
        // a minute more at most.
        let pause_ms = ((now_ms - action.since_ms) / 2).clamp(ACTION_POLL_FIRST_MS, ACTION_POLL_MAX_MS);
        let last_ms = action_last_look_ms(state, psp, now_ms, by_lookup);
        if now_ms < last_ms {
            return (now_ms + pause_ms).min(last_ms);
        }
        // The last read or look-up has not been answered yet.
        let given_up_ms = action_given_up_ms(state, psp, now_ms, by_lookup);
        return (now_ms + ACTION_POLL_FIRST_MS).min(given_up_ms.max(now_ms));
    }
    let last_ms = running.last_send_ms().unwrap_or(running.since_ms);
    // After a restore the reads and look-ups begin when the loss is noted.
    let last_ms = running.lost.map_or(last_ms, |lost| last_ms.max(lost.since_ms));
    let next_ms = now_ms + (now_ms - last_ms).clamp(BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
    let mut counts_ms = proof_counts_at_ms(state, running, psp, by_lookup);
    if state.is_unfinished_action() {
        let ended_ms = action_proof_counts_ms(state, psp, now_ms, by_lookup);
        if now_ms < ended_ms && (counts_ms <= now_ms || ended_ms < counts_ms) {
            counts_ms = ended_ms;
        }
    }
    if now_ms < counts_ms {
        next_ms.min(counts_ms)
    } else {
        next_ms
    }
}
