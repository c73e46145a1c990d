//! Once faults stop, the attempt ends in a final status that agrees with the PSP's ledger, without anybody's help. Only
//! what no PSP can tell is parked (`docs/promise.md`, “Liveness”; `docs/psp.md`).

use pay_once_core::journal::entry::Fact;
use pay_once_sandbox::LedgerEvent;
use pay_once_sandbox::tokens::Operation;

use super::money::Money;
use super::{Case, Oracle, Wrong, since};
use crate::plan::{Act, Class, Flow, PspFault, Shape};
use crate::seen::{OperationState, Status};
use crate::world::DAY_MS;

/// How long before it lapses an authorization must have been known, after healing, to be released in time, in
/// milliseconds.
const GRACE_MS: u64 = 2_000;

/// Whether a PSP rejects for so long that the pauses between two tries outlast what is left of an authorization's life.
fn is_rejected_for_long(case: &Case<'_>) -> bool {
    let mut steps = case.run.plan.steps.iter();
    steps.any(|step| {
        matches!(step.act, Act::Psp { fault: PspFault::Rejected { .. }, for_ms, .. } if for_ms >= LONG_REJECTION_MS)
    })
}

/// Until when a release that was sent before the faults stopped can be in doubt; 0 if there is none.
fn doubted_until_ms(case: &Case<'_>) -> u64 {
    let world = &case.run.plan.world;
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return 0;
    };
    let sent_ms = record.entries().iter().filter_map(|entry| match entry.fact {
        Fact::Dispatched {
            operation: pay_once_core::journal::entry::Operation::Void,
            sent_at_ms,
            ..
        } => Some(since(sent_at_ms.get())),
        _ => None,
    });
    let last_ms = sent_ms.filter(|sent_ms| *sent_ms < world.heal_ms).max();
    let declared = &world.declared;
    let proven_ms = world.policy().send_window_ms
        + declared.max_in_flight_ms
        + declared.lookup_lag_ms
        + 2 * declared.skew_ms;
    last_ms.map_or(0, |last_ms| last_ms + proven_ms)
}

/// Within how long an alarm or a sweep finds what is due, in milliseconds, also where the sweep before it came to nothing.
const SWEPT_MS: u64 = 75_000;
/// See [`is_rejected_for_long`], in milliseconds.
const LONG_REJECTION_MS: u64 = 15_000;

pub(super) const ORACLE: Oracle = Oracle {
    name: "liveness",
    rule: "promise: liveness; rules 4, 10, 11",
    judge,
};

/// Whether a release may be parked since the store was restored, and the PSP cannot be asked.
fn is_left_to_operator(case: &Case<'_>) -> bool {
    let record = case
        .run
        .journals()
        .get(&case.id)
        .and_then(|record| record.as_ref().ok());
    let is_suspect = record.is_some_and(|record| record.state().loss.is_some());
    let is_asked = !matches!(case.class, Class::Blind | Class::Keyed) && !case.run.plan.world.lists_forbidden;
    is_suspect && !is_asked
}

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let ended_ms = case.run.ended_ms;
    let money = case.money();
    let Some(told) = case.last().and_then(|last| last.told.as_ref()) else {
        return Err((
            ended_ms,
            "the last look had no answer, though all was healed".to_owned(),
        ));
    };
    if told.status == 404 {
        return match money {
            Money {
                authorizations: 0,
                captures: 0,
                ..
            } => Ok(()),
            // What a restore has lost comes back with its client's retry.
            _ if case.lost.is_some() => Ok(()),
            _ => Err((
                ended_ms,
                format!("the attempt is unknown, and the ledger holds {money:?}"),
            )),
        };
    }
    let Some(shown) = &told.shown else {
        return Err((
            ended_ms,
            format!("the last look was answered with {}", told.status),
        ));
    };
    let parked = shown
        .operation
        .as_ref()
        .is_some_and(|operation| operation.state == OperationState::Parked);
    // Whether it may be is for the oracle of parking.
    if parked {
        return Ok(());
    }
    // Rule 10: what nobody captures is voided in time, not left to lapse. (What was in doubt for nearly the life of an
    // authorization may lapse: simulated lives are short, and pauses between tries double.)
    let world = &case.run.plan.world;
    let known = case.heard.iter().filter(|heard| {
        let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
        // Whoever captures or voids may be in doubt of that until it lapses.
        let is_left = case.payment.flow == Flow::Abandon;
        is_left && shown.is_some_and(|shown| shown.status == Status::Authorized)
    });
    let known_ms = known.map(|heard| heard.ended_ms.max(world.heal_ms)).min();
    // A release that was lost in the chaos is in doubt for a while after it.
    let known_ms = known_ms.map(|known_ms| known_ms.max(doubted_until_ms(case)));
    // Who takes over from a server that is gone for good finds its timers within half a minute (`Scan::OWN`): less
    // than any real margin before an authorization lapses, and more than a simulated life.
    let mut steps = case.run.plan.steps.iter();
    // Alarms come late, and a sweep comes now and then.
    let is_left_to_chance = world.shape != Shape::Servers && world.policy().capture_margin_ms < SWEPT_MS;
    let is_orphaned = steps.any(|step| matches!(step.act, Act::Die { .. }))
        || is_left_to_chance
        || is_left_to_operator(case)
        || is_rejected_for_long(case);
    // Pauses between two tries grow with what lasted before: up to hours in a deployment.
    let grace_ms = GRACE_MS + world.policy.map_or(0, |policy| policy.capture_margin_ms);
    let left = |event: &&&LedgerEvent| {
        // Of two executions nobody need have seen the one that lapses.
        let known_in_time = known_ms.is_some_and(|known_ms| known_ms + grace_ms < since(event.at_ms));
        event.operation == Operation::Lapse && known_in_time && !is_orphaned && !case.has_extra
    };
    if let Some(event) = case.ledger.iter().find(left) {
        let at_ms = since(event.at_ms);
        return Err((
            at_ms,
            "an authorization lapsed at the PSP that nobody had released".to_owned(),
        ));
    }
    // Where a look shows another installation's object, nothing is proven for a day, and then it is parked.
    let is_short = case.run.plan.world.patience_ms < DAY_MS;
    if is_short && !case.foreign.is_empty() && shown.operation.is_some() {
        return Ok(());
    }
    // Refunds that are pending, or fail, are asked for and looked at with pauses of minutes.
    let is_refund = shown
        .operation
        .as_ref()
        .is_some_and(|operation| operation.name == "refund");
    let takes_long = world.refund_ms.is_some() || case.run.plan.has_rejections();
    if is_short && is_refund && takes_long {
        return Ok(());
    }
    let is_extra_disputed = case.has_extra && case.run.plan.is_extra_disputed(case.payment.payment);
    let agrees = match shown.status {
        // A person may have taken the execution that the attempt does not count as its own.
        Status::Captured if case.is_touched() && case.has_extra => true,
        Status::Captured if case.is_touched() => money.all_captures > 0,
        // No ledger tells that a bank has taken money back; the attempt knows, and has nothing left to do.
        Status::Captured | Status::Voided | Status::Expired | Status::Declined if is_extra_disputed => {
            shown.operation.is_none()
        }
        // Of two executions either may be the attempt's own.
        Status::Captured if case.has_extra => money.all_captures > 0 && money.live == 1,
        Status::Captured => money.captures == 1 && case.may_take(money.kept_minor) && money.live == 1,
        // Of two executions the one that only a webhook has shown is left to lapse (`FOUND.md`). What a list has shown is for the
        // oracle of what is undone.
        Status::Voided | Status::Expired | Status::Declined if case.has_extra => {
            money.live <= 1 && money.kept_minor == 0
        }
        Status::Voided | Status::Expired | Status::Declined => money.live == 0 && money.kept_minor == 0,
        // The PSP has taken the amount that another request had asked for before a restore, and refuses this one.
        Status::Capturing if case.lost.is_some() && case.payment.rival_takes_half => true,
        // Nobody has asked for more of it than its creation since it was lost.
        Status::Created if case.lost.is_some() => true,
        Status::Created => money.live == 0 && money.all_captures == 0,
        Status::Authorizing
        | Status::RequiresAction
        | Status::Authorized
        | Status::Capturing
        | Status::Voiding => false,
    };
    if !agrees {
        let what = format!(
            "in the end {:?} ({:?}), and the ledger holds {money:?}",
            shown.status, shown.operation
        );
        return Err((ended_ms, what));
    }
    Ok(())
}
