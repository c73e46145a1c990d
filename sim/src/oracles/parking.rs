//! Parking is for what no PSP can tell: each reason is looked for in what happened.

use std::collections::{BTreeMap, BTreeSet};

use pay_once_core::journal::entry::{Conclusion, Fact, Operation};
use pay_once_core::journal::evidence::Signal;
use pay_once_core::limits::{GENERATIONS_PER_OPERATION_MAX, OUTCOME_RETRY_MS, RESENDS_MAX};
use pay_once_sandbox::LedgerEvent;
use pay_once_sandbox::tokens::Operation as PspOperation;

use super::{Case, Oracle, Wrong};
use crate::plan::{Act, Calls, Class, Hand, Plan, PspFault, StoreFault, Token};
use crate::seen::OperationState;
use crate::world::{DAY_MS, EPOCH_MS};

/// Over how long the numbers of an operation are spread at least, in milliseconds.
const SPENT_MS_MIN: u64 = 3_600_000;
/// Over how long the sendings of an operation are spread at least, under whatever numbers, in milliseconds.
const WORN_OUT_MS_MIN: u64 = 20 * 3_600_000;
/// Within how long an operator who saw that something is parked has an answer, in milliseconds.
const ANSWERED_MS: u64 = 2_000;
/// Within how long after healing a key that is known has told, in milliseconds.
const TOLD_MS_MAX: u64 = 2 * 3_600_000;
/// How many sendings of one number are many.
const SENDS_MANY: usize = 16;

pub(super) const ORACLE: Oracle = Oracle {
    name: "parked for a reason",
    rule: "rules 4, 5, 6",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let told = case.last().and_then(|last| last.told.as_ref());
    let shown = told.and_then(|told| told.shown.as_ref());
    let operation = shown.and_then(|shown| shown.operation.as_ref());
    if operation.is_none_or(|operation| operation.state != OperationState::Parked) {
        return Ok(());
    }
    let ended_ms = case.run.ended_ms;
    let operator_ms = case.run.plan.world.operator_ms;
    if operator_ms.is_some_and(|operator_ms| parked_ms(case) + operator_ms + ANSWERED_MS < ended_ms) {
        return Err((
            ended_ms,
            "still parked, though an operator resolves what is".to_owned(),
        ));
    }
    if is_restored(case)?
        || is_amount(case)
        || is_foreign(case)
        || is_spent(case)
        || is_unseen(case)
        || is_unknown(case)?
    {
        return Ok(());
    }
    Err((
        ended_ms,
        format!("parked ({operation:?}), and nothing that happened is a reason for it"),
    ))
}

/// When it was parked, in milliseconds from the start.
fn parked_ms(case: &Case<'_>) -> u64 {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return 0;
    };
    let mut entries = record.entries().iter().rev();
    let is_parking = |fact: &Fact| {
        matches!(
            fact,
            Fact::Inferred {
                conclusion: Conclusion::Parked { .. }
            }
        )
    };
    let parking = entries.find(|entry| is_parking(&entry.fact));
    parking.map_or(0, |entry| entry.at_ms.get().saturating_sub(EPOCH_MS))
}

/// The PSP took or holds another amount than was asked for.
fn is_amount(case: &Case<'_>) -> bool {
    let mut steps = case.run.plan.steps.iter();
    let by_hand = steps.any(|step| {
        matches!(step.act, Act::ByHand { payment, hand: Hand::Capture(_), .. } if payment == case.payment.payment)
    });
    // After a restore nobody knows whether another amount was asked for.
    let record = case
        .run
        .journals()
        .get(&case.id)
        .and_then(|record| record.as_ref().ok());
    let is_disputed = case.run.plan.world.installation.is_empty()
        || record.is_some_and(|record| record.state().loss.is_some());
    let other_hold = case.payment.token == Token::PartialApproval && is_disputed;
    // Of two amounts that were asked for, the one that was asked for first may have been taken, and its answer was a rejection.
    let other_request = case.payment.rival_takes_half && (is_second_answer(case) || case.lost.is_some());
    // A key that the restore has forgotten is no longer refused with another amount.
    let is_restored = record.is_some_and(|record| record.state().loss.is_some());
    let other_request = other_request || case.payment.reuse && is_restored;
    case.captures_other() || by_hand || other_hold || other_request
}

/// The store was restored, and the PSP offers no way to find out what was sent before. A key tells until the loss is as old as its
/// horizon.
fn is_restored(case: &Case<'_>) -> Result<bool, Wrong> {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Ok(false);
    };
    let world = &case.run.plan.world;
    let mut first_sent = u64::MAX;
    let (mut begins, mut is_sent, mut is_restored, mut is_undoing) = (0, false, false, false);
    // What was rejected before the restore may have gone out under another number since.
    let mut was_rejected = false;
    for entry in record.entries() {
        match &entry.fact {
            Fact::Suspected { begins_ms, .. } => (begins, is_sent) = (begins_ms.get().min(first_sent), false),
            Fact::Dispatched { sent_at_ms, .. } => {
                is_sent = true;
                first_sent = first_sent.min(sent_at_ms.get());
            }
            Fact::Observed { evidence, .. } => {
                was_rejected |= begins == 0 && matches!(evidence.signal, Signal::Rejected { .. });
            }
            // The key of a release tells nothing of a capture.
            Fact::Intended { operation, .. } => {
                is_undoing = matches!(operation, Operation::Void | Operation::Refund);
            }
            Fact::Inferred {
                conclusion: Conclusion::Parked { reason, .. },
            } => {
                is_restored = reason.contains("restored from a backup");
                let margin_ms = 2 * (world.declared.max_in_flight_ms + world.declared.skew_ms);
                let known_ms = begins + world.declared.horizon_ms.saturating_sub(margin_ms);
                let is_told = case.class == Class::Keyed && entry.at_ms.get() < known_ms;
                if is_restored && is_told && !is_sent && !is_undoing && !was_rejected {
                    let at_ms = entry.at_ms.get().saturating_sub(EPOCH_MS);
                    let what = "parked after a restore while the key could still tell".to_owned();
                    return Err((at_ms, what));
                }
            }
            _ => {}
        }
    }
    // A key that is sent no more is no way out where looks are refused.
    let is_suspect = record.state().loss.is_some() && world.lists_forbidden;
    Ok(is_restored && matches!(case.class, Class::Blind | Class::Keyed) || is_suspect)
}

/// No look was answered for a day.
fn is_unseen(case: &Case<'_>) -> bool {
    let world = &case.run.plan.world;
    // In a deployment's plan any fault may last that long.
    if world.policy.is_some() && world.heal_ms >= DAY_MS {
        return true;
    }
    let mut steps = case.run.plan.steps.iter();
    steps.any(|step| match step.act {
        Act::Psp {
            fault: PspFault::Rejected { calls, .. },
            for_ms,
            ..
        } => calls != Calls::Money && for_ms >= DAY_MS,
        _ => false,
    })
}

/// Every number of an operation was used up, or one was sent as often as it may be: the PSP took none of them for a day.
fn is_spent(case: &Case<'_>) -> bool {
    let own = || {
        case.run
            .sends
            .iter()
            .filter(|call| call.key.starts_with(&case.id))
    };
    // A process that ends between commit and sending uses a number up as well.
    let dispatched = dispatched(case);
    let at_ms = || {
        let dispatched_ms = dispatched.iter().map(|(at_ms, _)| *at_ms);
        own().map(|call| call.at_ms).chain(dispatched_ms)
    };
    let span_ms = at_ms()
        .max()
        .unwrap_or(0)
        .saturating_sub(at_ms().min().unwrap_or(0));
    // Refunds that fail after they went through use up their numbers as fast as they fail.
    let fails = |event: &&&LedgerEvent| event.operation == PspOperation::Refund && event.declined.is_some();
    if case.ledger.iter().filter(fails).count() >= usize::from(GENERATIONS_PER_OPERATION_MAX) - 1 {
        return true;
    }
    // The numbers of a capture last as long as there is something to capture.
    let life_ms = case.run.plan.world.authorization_ms;
    if span_ms < SPENT_MS_MIN.min(life_ms - life_ms / 5) {
        return false;
    }
    let last = format!("-{GENERATIONS_PER_OPERATION_MAX}");
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for call in own() {
        *times.entry(&call.key).or_default() += 1;
    }
    times
        .iter()
        .any(|(key, times)| key.ends_with(&last) || *times >= SENDS_MANY)
        || dispatched.iter().any(|(_, key)| key.ends_with(&last))
        || (case.run.plan.world.policy.is_some() || span_ms >= WORN_OUT_MS_MIN.min(life_ms - life_ms / 5))
            && is_worn_out(case)
}

/// When each call was dispatched, in milliseconds from the start, and its key, by the journal.
fn dispatched(case: &Case<'_>) -> Vec<(u64, String)> {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Vec::new();
    };
    let dispatches = record.entries().iter().filter_map(|entry| match &entry.fact {
        Fact::Dispatched { psp_key, .. } => {
            let at_ms = entry.at_ms.get().saturating_sub(EPOCH_MS);
            Some((at_ms, psp_key.clone()))
        }
        _ => None,
    });
    dispatches.collect()
}

/// One operation was dispatched as often as it may be, under whatever numbers. In a deployment's plan that may be within any time.
fn is_worn_out(case: &Case<'_>) -> bool {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return false;
    };
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in record.entries() {
        if let Fact::Dispatched { psp_key, .. } = &entry.fact {
            let operation = psp_key
                .rsplit_once('-')
                .map_or(&**psp_key, |(operation, _)| operation);
            *times.entry(operation).or_default() += 1;
        }
    }
    times.values().any(|times| *times >= RESENDS_MAX)
}

/// What a look shows is another installation's.
fn is_foreign(case: &Case<'_>) -> bool {
    !case.foreign.is_empty() && case.class.is_listed()
}

/// Whether a store can lose a dispatch or an answer for good: only a swap that applies late, or two faults at once. A single
/// fault that is over soon is read back, or tried again until it is.
fn is_lost_by_store(plan: &Plan) -> bool {
    let mut kinds: BTreeSet<StoreFault> = BTreeSet::new();
    let mut is_long = false;
    for step in &plan.steps {
        if let Act::Store { fault, for_ms, .. } = step.act {
            kinds.insert(fault);
            is_long |= for_ms >= OUTCOME_RETRY_MS.get() / 2;
        }
    }
    let is_late = kinds.contains(&StoreFault::LateUnknown) || kinds.contains(&StoreFault::Slow);
    is_long || is_late || kinds.len() > 1
}

/// The answer to a second delivery says that something was done before, and not by what.
fn is_second_answer(case: &Case<'_>) -> bool {
    let mut steps = case.run.plan.steps.iter();
    steps.any(|step| {
        matches!(
            step.act,
            Act::Psp {
                fault: PspFault::Redelivered { .. },
                ..
            }
        )
    })
}

/// What came of a call is not known, and nothing tells.
fn is_unknown(case: &Case<'_>) -> Result<bool, Wrong> {
    let world = &case.run.plan.world;
    // A server that stops with a call under way leaves nobody who knows.
    let unknown = case.run.unknown.contains_key(&case.id)
        || case.run.plan.has_stopped_servers()
        || is_lost_by_store(&case.run.plan)
        || is_second_answer(case);
    let is_told_by_key_alone = match case.class {
        Class::Blind => return Ok(unknown),
        Class::Keyed => true,
        Class::KeyedQueryable | Class::Stripe | Class::Queryable => {
            if !world.lists_forbidden {
                return Ok(false);
            }
            case.class.is_keyed()
        }
        // The object's id is in the journal before money can move.
        Class::Addressable => return Ok(false),
    };
    if !is_told_by_key_alone {
        return Ok(unknown);
    }
    // Until its horizon a key tells.
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Ok(unknown);
    };
    // The key of the last dispatch, and when it was sent first.
    let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
    let mut last_key = None;
    for entry in record.entries() {
        match &entry.fact {
            Fact::Dispatched {
                psp_key, sent_at_ms, ..
            } => {
                sent.entry(psp_key).or_insert(sent_at_ms.get());
                last_key = Some(&**psp_key);
            }
            Fact::Inferred {
                conclusion: Conclusion::Parked { .. },
            } => {
                let margin_ms = 2 * (world.declared.max_in_flight_ms + world.declared.skew_ms);
                let first_sent_ms = last_key.and_then(|key| sent.get(key)).copied();
                let from_ms =
                    first_sent_ms.unwrap_or(0) + world.declared.horizon_ms.saturating_sub(margin_ms);
                let long_after_ms = EPOCH_MS + world.heal_ms + TOLD_MS_MAX;
                if from_ms > long_after_ms && first_sent_ms.is_some() && !case.payment.token.keeps_error() {
                    let what = "parked, though the key was known for hours after all was healed".to_owned();
                    return Err((case.run.ended_ms, what));
                }
                if entry.at_ms.get() < from_ms {
                    let at_ms = entry.at_ms.get().saturating_sub(EPOCH_MS);
                    return Err((at_ms, "parked while the key could still tell".to_owned()));
                }
            }
            _ => {}
        }
    }
    Ok(unknown)
}
