//! What comes next, and when: re-sends, reads, look-ups, proofs, parking, expiry, compensation (DESIGN §4, rules 3–6,
//! 8–12). A pure function of the state, the PSP's declared constants and the time: a restart forgets nothing.

use serde::Serialize;

use crate::config::{Face, Psp};
use crate::journal::{CallStep, Cause, Operation};
use crate::limits::{
    BACKOFF_FIRST_MS, BACKOFF_MAX_MS, EFFECT_PAUSE_FIRST_MS, EFFECTS_PER_OPERATION_MAX,
    RESENDS_BEFORE_LOOKUP, RESENDS_MAX,
};
use crate::planted::{Bug, planted};
use crate::running::{CallTrack, Refused, Running, Tried};
use crate::state::State;
use crate::status::Status;

/// Shortest pause between two looks at an unfinished 3-D Secure, in milliseconds.
const ACTION_POLL_FIRST_MS: u64 = 2_000;
/// Longest such pause, in milliseconds.
const ACTION_POLL_MAX_MS: u64 = 300_000;

/// How well the operation under way is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// Its answer may still come.
    InFlight,
    /// Its answer was lost; its outcome is unknown and is being found out.
    InDoubt,
    /// Only a webhook or an operator can end it.
    Parked,
}

impl Doubt {
    /// Every one.
    pub const ALL: [Doubt; 3] = [Doubt::InFlight, Doubt::InDoubt, Doubt::Parked];
}

/// What lies ahead of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// How well the operation under way is known.
    pub doubt: Doubt,
    /// When the machine wants to be woken, in milliseconds since the Unix epoch.
    pub wake_at_ms: Option<u64>,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// Begin an operation that no client asked for.
    Begin {
        operation: Operation,
        cause: Cause,
        target: Option<String>,
        amount_minor: u64,
    },
    /// Dispatch a call of the running operation.
    Send { step: CallStep, effect: u16 },
    /// Read the object.
    Read { reference: String },
    /// Look for effects by our reference.
    Lookup,
    /// Give the unknown to an operator.
    Park { reason: &'static str },
    /// Conclude that the current effect number did not happen: the PSP refused it for good.
    Disprove,
    /// End the operation: it had no effect, and will not be tried again.
    End {
        code: &'static str,
        message: &'static str,
    },
}

/// A move and the time from which it may be made, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) due_ms: u64,
    pub(crate) what: Move,
}

/// What lies ahead, for answers and timers.
#[must_use]
pub fn outlook(state: &State, psp: &Psp, now_ms: u64) -> Outlook {
    let doubt = match &state.running {
        Some(running) if running.parked.is_some() => Doubt::Parked,
        Some(running) if state.status != Status::RequiresAction && is_in_doubt(running, psp, now_ms) => {
            Doubt::InDoubt
        }
        Some(running) if running.refused.is_some() => Doubt::InDoubt,
        Some(_) | None => Doubt::InFlight,
    };
    let wake_at_ms = plan(state, psp, now_ms).map(|plan| match plan.what {
        // A look that is due has just been taken, or is being taken: the next one comes later.
        Move::Read { .. } | Move::Lookup if plan.due_ms <= now_ms => poll_again_ms(state, psp, now_ms),
        _ => plan.due_ms.max(now_ms),
    });
    Outlook { doubt, wake_at_ms }
}

/// The next move, if the attempt wants one.
pub(crate) fn plan(state: &State, psp: &Psp, now_ms: u64) -> Option<Plan> {
    match &state.running {
        Some(running) if running.parked.is_some() => None,
        Some(running)
            if state.status == Status::RequiresAction && running.operation == Operation::Authorize =>
        {
            Some(plan_action(state, psp, now_ms))
        }
        Some(running) => Some(match &running.refused {
            Some(refused) => plan_refused(state, running, refused, psp, now_ms),
            None => plan_running(state, running, psp, now_ms),
        }),
        None => plan_idle(state, psp),
    }
}

/// Rule 6: from when on “not found” counts. Reads by id have no look-up lag.
fn absence_counts_at_ms(running: &Running, psp: &Psp, by_lookup: bool) -> u64 {
    let lag_ms = if by_lookup && !planted(Bug::AbsenceWithoutLookupLag) {
        psp.class.lookup_lag_ms.unwrap_or(0)
    } else {
        0
    };
    let sent_ms = if planted(Bug::AbsenceFromFirstSend) {
        running.first_send_ms()
    } else {
        running.last_send_ms()
    };
    let skew_ms = if planted(Bug::AbsenceWithoutSkew) {
        0
    } else {
        psp.timing.max_clock_skew_ms
    };
    // An owner may send as late as `send_by`, by a clock that may be behind by the skew.
    sent_ms
        .unwrap_or(running.since_ms)
        .saturating_add(psp.timing.max_in_flight_ms)
        .saturating_add(lag_ms)
        .saturating_add(skew_ms)
}

/// Rule 5: whether the current PSP key may be sent again at `at_ms`.
pub(crate) fn within_horizon(running: &Running, psp: &Psp, at_ms: u64) -> bool {
    match (psp.class.keyed_horizon_ms, running.first_send_ms()) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(horizon_ms), Some(first_ms)) => {
            let forgotten_ms = first_ms.saturating_add(horizon_ms);
            at_ms.saturating_add(psp.timing.landed_after_ms()) < forgotten_ms
                || (at_ms < forgotten_ms && planted(Bug::HorizonWithoutFlight))
                || planted(Bug::HorizonIgnored)
        }
    }
}

fn plan_idle(state: &State, psp: &Psp) -> Option<Plan> {
    if let Some((operation, target, amount_minor)) = state.obligations().into_iter().next() {
        let what = Move::Begin {
            operation,
            cause: Cause::Compensation,
            target: Some(target),
            amount_minor,
        };
        return Some(Plan { due_ms: 0, what });
    }
    if state.status != Status::Authorized || (!state.is_automatic() && planted(Bug::ExpiryForgetsVoid)) {
        return None;
    }
    if state.is_automatic() {
        let amount_minor = state.terms.amount_minor;
        let what = Move::Begin {
            operation: Operation::Capture,
            cause: Cause::Automatic,
            target: None,
            amount_minor,
        };
        return Some(Plan { due_ms: 0, what });
    }
    Some(Plan {
        due_ms: lapses_soon_ms(state, psp),
        what: give_up(state),
    })
}

/// When what is left of an authorization's life is no more than its margin.
fn lapses_soon_ms(state: &State, psp: &Psp) -> u64 {
    let authorized_at_ms = state
        .authorization
        .as_ref()
        .map_or(state.created_at_ms, |a| a.held_since_ms);
    let lapse_ms = state
        .knowledge
        .capture_before_ms
        .unwrap_or(authorized_at_ms.saturating_add(psp.timing.authorization_lifetime_ms));
    // A margin longer than a tenth of a short life would leave nothing to capture in.
    let margin_ms = psp
        .timing
        .capture_margin_ms
        .min(lapse_ms.saturating_sub(authorized_at_ms) / 10);
    lapse_ms.saturating_sub(margin_ms)
}

/// Rule 10: what nobody uses in time is released.
fn give_up(state: &State) -> Move {
    let amount_minor = state.terms.amount_minor;
    Move::Begin {
        operation: Operation::Void,
        cause: Cause::Expiry,
        target: None,
        amount_minor,
    }
}

fn plan_action(state: &State, psp: &Psp, now_ms: u64) -> Plan {
    let since_ms = state.action.as_ref().map_or(now_ms, |action| action.since_ms);
    let deadline_ms = since_ms.saturating_add(psp.timing.action_timeout_ms);
    if now_ms >= deadline_ms {
        return Plan {
            due_ms: deadline_ms,
            what: give_up(state),
        };
    }
    match look(state, psp) {
        Some(what) => Plan {
            due_ms: since_ms.saturating_add(ACTION_POLL_FIRST_MS).min(deadline_ms),
            what,
        },
        None => Plan {
            due_ms: deadline_ms,
            what: give_up(state),
        },
    }
}

/// A void or refund that the PSP refused. What it should release may have gone by itself, or may come yet: that is
/// looked for where it can be; where it cannot, an operator has to.
fn plan_refused(state: &State, running: &Running, refused: &Refused, psp: &Psp, now_ms: u64) -> Plan {
    let due_ms = ready_at_ms(running, psp);
    if !refused.held && state.holds_something() {
        // Something to release has come to be known since: the refusal proves the try before without effect.
        return Plan {
            due_ms: 0,
            what: Move::Disprove,
        };
    }
    let look = look(state, psp);
    if state.is_unfinished_action() {
        // The customer may finish until the action's own time is over; only then is there nothing left to release.
        let since_ms = state.action.as_ref().map_or(now_ms, |action| action.since_ms);
        let deadline_ms = since_ms.saturating_add(psp.timing.action_timeout_ms).max(due_ms);
        return match look {
            Some(what) if now_ms < deadline_ms => Plan {
                due_ms: due_ms.min(deadline_ms),
                what,
            },
            _ => Plan {
                due_ms: deadline_ms,
                what: ABANDONED,
            },
        };
    }
    let what = look.unwrap_or(Move::Park {
        reason: "the PSP refused it, and offers no way to find out what it holds",
    });
    Plan { due_ms, what }
}

const ABANDONED: Move = Move::End {
    code: "abandoned",
    message: "Nobody finished 3-D Secure in its time, so nothing was reserved.",
};

fn plan_running(state: &State, running: &Running, psp: &Psp, now_ms: u64) -> Plan {
    let due_ms = within_key_ms(running, psp, ready_at_ms(running, psp));
    // The move is made at `due_ms` or later; what the clock allows must hold then.
    let at_ms = due_ms.max(now_ms);
    let is_stale = running.operation == Operation::Authorize
        && at_ms > running.since_ms.saturating_add(psp.timing.authorize_retry_ms);
    let no_act_left = running.maybe_sent().all(|call| call.step == CallStep::Prepare);
    let what = if running.proven_absent {
        retry(
            running,
            is_stale,
            running
                .effect
                .saturating_add(u16::from(!planted(Bug::NumberStaysAfterProof))),
            first_step(state, psp, running),
        )
    } else if no_act_left {
        retry(
            running,
            is_stale,
            running.effect.max(1),
            first_step(state, psp, running),
        )
    } else {
        reconcile(state, running, psp, at_ms, is_stale)
    };
    Plan { due_ms, what }
}

/// Rule 4: an expired lease means reconcile. Re-sending is right only where the PSP promised to know the key.
fn reconcile(state: &State, running: &Running, psp: &Psp, at_ms: u64, is_stale: bool) -> Move {
    let resends = running
        .maybe_sent()
        .filter(|call| call.step == CallStep::Act)
        .count()
        .saturating_sub(1);
    let is_silent = running.current().any(|call| call.tried == Tried::Pending);
    let may_resend = (within_horizon(running, psp, at_ms) || (is_silent && planted(Bug::LeaseExpiryResends)))
        && resends < RESENDS_MAX;
    let look = look(state, psp);
    let resend = Move::Send {
        step: CallStep::Act,
        effect: running.effect + u16::from(planted(Bug::FreshEffectAfterUnknown)),
    };
    if is_stale && planted(Bug::InDoubtTimesOut) {
        return retry(running, is_stale, running.effect, CallStep::Act);
    }
    match look {
        Some(_) if may_resend && !is_stale && resends < RESENDS_BEFORE_LOOKUP => resend,
        Some(look) => look,
        None if may_resend || (resends == 0 && planted(Bug::BlindResends)) => resend,
        None => Move::Park {
            reason: "its outcome is unknown, and this PSP offers no way to find out",
        },
    }
}

/// Tries again what is proven not to have happened, within bounds.
fn retry(running: &Running, is_stale: bool, effect: u16, step: CallStep) -> Move {
    let is_spent = is_spent(running);
    match running.operation {
        Operation::Authorize if is_stale || is_spent => Move::End {
            code: "psp_unavailable",
            message: "The PSP did not carry the authorization out, which is proven; it is not tried any more.",
        },
        Operation::Capture | Operation::Void | Operation::Refund if is_spent => Move::Park {
            reason: "the PSP did not carry it out in many tries",
        },
        Operation::Authorize | Operation::Capture | Operation::Void | Operation::Refund => {
            Move::Send { step, effect }
        }
    }
}

/// From when on a look that shows nothing is a proof: rule 6, and not before another try may follow. What is proven is tried
/// anew in the same step, so that no try rests on a look that is older than it.
pub(crate) fn proof_counts_at_ms(state: &State, running: &Running, psp: &Psp, by_lookup: bool) -> u64 {
    absence_counts_at_ms(running, psp, by_lookup).max(next_try_ms(state, running, psp))
}

/// An authorization's tries are bounded by its customer's patience; those of the others have a day, or an outage of minutes
/// would use their effect numbers up (it did, in 17). The second comes as soon as it may.
fn next_try_ms(state: &State, running: &Running, psp: &Psp) -> u64 {
    let used = numbers_used(running);
    if running.operation == Operation::Authorize
        || used < 2
        || is_spent(running)
        || planted(Bug::EffectsInARow)
    {
        return 0;
    }
    let sent_ms = running.last_send_ms().unwrap_or(running.since_ms);
    let due_ms = sent_ms.saturating_add(EFFECT_PAUSE_FIRST_MS << (2 * (used - 2)));
    // Nor may a pause outlast what there is to act on.
    let last_ms = if running.operation == Operation::Capture {
        lapses_soon_ms(state, psp)
    } else if state.is_unfinished_action() {
        sent_ms.saturating_add(ACTION_POLL_MAX_MS)
    } else {
        u64::MAX
    };
    due_ms.min(last_ms)
}

/// How many effect numbers the operation has used.
fn numbers_used(running: &Running) -> u16 {
    running
        .effect
        .saturating_sub(first_effect(running))
        .saturating_add(1)
}

/// Whether all tries that recovery has of itself were made.
fn is_spent(running: &Running) -> bool {
    running.calls.len() >= RESENDS_MAX || numbers_used(running) >= EFFECTS_PER_OPERATION_MAX
}

fn first_effect(running: &Running) -> u16 {
    running.calls.first().map_or(1, |call| call.effect)
}

/// The first call of an effect number: makes the object where the class has one and it is not made yet (rule 12).
pub(crate) fn first_step(state: &State, psp: &Psp, running: &Running) -> CallStep {
    let is_made = state.object.is_some() || planted(Bug::PrepareSkipped);
    if running.operation == Operation::Authorize && psp.class.prepares() && !is_made {
        CallStep::Prepare
    } else {
        CallStep::Act
    }
}

/// The way to look at the PSP's own state, if there is one: by id where it is known (rule 12), else by reference.
fn look(state: &State, psp: &Psp) -> Option<Move> {
    let running = state.running.as_ref()?;
    // Stripe's PaymentIntents do not show their refunds.
    if running.operation == Operation::Refund && psp.face == Face::Stripe {
        return None;
    }
    // What was acted on is what must be looked at: a later object may have come to be known meanwhile.
    let acted_on = running.current().rev().find_map(|call| call.target.as_deref());
    let reference = running.target.as_deref().or(acted_on).or(state.own_reference());
    match reference.filter(|_| psp.class.addressable) {
        Some(reference) => Some(Move::Read {
            reference: reference.to_owned(),
        }),
        None => psp.class.lookup_lag_ms.map(|_| Move::Lookup),
    }
}

/// From when on the running operation may be taken further.
fn ready_at_ms(running: &Running, psp: &Psp) -> u64 {
    // An object that was made is acted on at once, however many tries to make it were lost (found with localstripe: eight
    // of them kept the next call for a minute).
    let is_made =
        |call: &CallTrack| call.step == CallStep::Prepare && matches!(call.tried, Tried::Answered { .. });
    let is_made = running.current().any(is_made);
    let counting = || {
        running
            .current()
            .filter(|call| !is_made || call.step != CallStep::Prepare)
    };
    let tries = counting().count();
    counting()
        .map(|call| match call.tried {
            Tried::Pending => silent_from_ms(call, psp),
            // An answer that ended nothing (a capture answered with a state before capture) is no better than none, and
            // must not be asked for in a tight loop.
            Tried::Unknown { at_ms } | Tried::NotSent { at_ms } | Tried::Answered { at_ms } => {
                at_ms.saturating_add(backoff_ms(tries))
            }
        })
        .max()
        .unwrap_or(0)
}

/// `due_ms`, or the last moment at which the key may be sent again, if a pause would outlast that (rule 5): a try that is
/// let pass is an unknown that may have to be parked.
fn within_key_ms(running: &Running, psp: &Psp, due_ms: u64) -> u64 {
    let (Some(horizon_ms), Some(first_ms)) = (psp.class.keyed_horizon_ms, running.first_send_ms()) else {
        return due_ms;
    };
    let last_ms = first_ms
        .saturating_add(horizon_ms)
        .saturating_sub(psp.timing.landed_after_ms().saturating_add(1));
    let tried_ms = running.current().map(|call| match call.tried {
        Tried::Pending => silent_from_ms(call, psp),
        Tried::Unknown { at_ms } | Tried::NotSent { at_ms } | Tried::Answered { at_ms } => at_ms,
    });
    if tried_ms.max().unwrap_or(0) < last_ms {
        due_ms.min(last_ms)
    } else {
        due_ms
    }
}

/// From when on the owner of a call must have its answer, or has lost it.
fn silent_from_ms(call: &CallTrack, psp: &Psp) -> u64 {
    call.send_by_ms.saturating_add(psp.timing.call_timeout_ms)
}

fn is_in_doubt(running: &Running, psp: &Psp, now_ms: u64) -> bool {
    running.current().any(|call| match call.tried {
        Tried::Pending => now_ms > silent_from_ms(call, psp),
        Tried::Unknown { .. } => true,
        Tried::NotSent { .. } | Tried::Answered { .. } => false,
    })
}

fn backoff_ms(tries: usize) -> u64 {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX).min(20);
    (BACKOFF_FIRST_MS << doublings).min(BACKOFF_MAX_MS)
}

/// When to look again after a look at `now_ms` that settled nothing: pauses grow with the time that has passed.
pub(crate) fn poll_again_ms(state: &State, psp: &Psp, now_ms: u64) -> u64 {
    let Some(running) = &state.running else {
        return now_ms.saturating_add(BACKOFF_MAX_MS);
    };
    if let (Status::RequiresAction, Some(action)) = (state.status, &state.action) {
        let pause_ms = now_ms
            .saturating_sub(action.since_ms)
            .clamp(ACTION_POLL_FIRST_MS, ACTION_POLL_MAX_MS);
        return now_ms.saturating_add(pause_ms).min(
            action
                .since_ms
                .saturating_add(psp.timing.action_timeout_ms)
                .max(now_ms),
        );
    }
    let last_ms = running.last_send_ms().unwrap_or(running.since_ms);
    let next_ms = now_ms.saturating_add(
        now_ms
            .saturating_sub(last_ms)
            .clamp(BACKOFF_FIRST_MS, BACKOFF_MAX_MS),
    );
    if let (true, true, Some(action)) = (
        running.refused.is_some(),
        state.is_unfinished_action(),
        &state.action,
    ) {
        return next_ms.min(
            action
                .since_ms
                .saturating_add(psp.timing.action_timeout_ms)
                .max(now_ms),
        );
    }
    let counts_ms = proof_counts_at_ms(state, running, psp, true);
    if now_ms < counts_ms {
        next_ms.min(counts_ms)
    } else {
        next_ms
    }
}
