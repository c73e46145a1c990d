//! An event that was acknowledged is in the journal: the PSP does not send it again (rule 2).

use pay_once_core::journal::entry::Fact;
use pay_once_core::journal::evidence::{Effect, EffectKind};
use pay_once_sandbox::tokens::Operation;
use pay_once_sandbox::{Cause, LedgerEvent};

use super::{Case, Oracle, Wrong, since};
use crate::plan::{Act, PspFault, Step, Token};
use crate::seen::AcknowledgedEvent;

pub(super) const ORACLE: Oracle = Oracle {
    name: "acknowledged events are kept",
    rule: "rule 2",
    judge,
};

/// How long after it was written down something is known for certain, in milliseconds.
const KNOWN_MS: u64 = 100;

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let Some(journal) = case.run.records.get(&case.id) else {
        return Ok(());
    };
    // What differs in its amount cannot be told to be ours where the installation has no name.
    let is_disputed = case.run.plan.world.installation.is_empty() || case.lost.is_some();
    if case.payment.token == Token::PartialApproval && is_disputed {
        return Ok(());
    }
    // What another installation made may be told of before the attempt is there.
    let objects = case
        .foreign
        .iter()
        .filter_map(|event| case.run.objects.get(&event.id));
    let foreign: Vec<&str> = objects
        .map(String::as_str)
        .chain(case.foreign.iter().map(|event| event.id.as_str()))
        .collect();
    for event in case
        .run
        .events()
        .iter()
        .filter(|event| event.at_ms >= kept_from_ms(case))
    {
        let told = event.effect.as_ref();
        let told = told
            .filter(|(attempt_id, _)| *attempt_id == case.id)
            .map(|(_, id)| id);
        // What a person or the card network does may be told of before what it was done to: it is looked up later.
        let is_of_call = |id: &str| {
            let mut own = case.ledger.iter().filter(|event| event.cause.is_none());
            own.any(|event| {
                event.id == id || case.run.objects.get(&event.id).is_some_and(|object| object == id)
            })
        };
        let Some(id) = told.filter(|id| !foreign.contains(&id.as_str()) && is_of_call(id)) else {
            continue;
        };
        // What was done to an authorization that a restore has lost is taken in once that is seen.
        let builds_on = |event: &&&LedgerEvent| event.id == *id && event.authorization.is_some();
        if case.lost.is_some() && case.ledger.iter().any(|event| builds_on(&event)) {
            continue;
        }
        if !journal.windows(id.len()).any(|bytes| bytes == id.as_bytes()) {
            let what = format!("an event about {id} was acknowledged, and the journal does not know of it");
            return Err((event.at_ms, what));
        }
    }
    is_reversal_kept(case, journal)
}

/// From when on what is written of the attempt is kept, in milliseconds from the start: a restore loses what was written before, and an
/// event about an attempt that is lost whole finds nothing.
fn kept_from_ms(case: &Case<'_>) -> u64 {
    let Some(lost) = case.lost else { return 0 };
    let record = case
        .run
        .journals()
        .get(&case.id)
        .and_then(|record| record.as_ref().ok());
    let created = record.and_then(|record| record.entries().first());
    let created_ms = created.map_or(u64::MAX, |entry| since(entry.at_ms.get()));
    // An answer that left before the restore may arrive after it.
    let world = &case.run.plan.world;
    (lost.at_ms + world.truth.max_in_flight_ms).max(created_ms + world.truth.skew_ms)
}

/// What was given back by hand, or is disputed, and was told by an acknowledged event, is in the journal.
fn is_reversal_kept(case: &Case<'_>, journal: &[u8]) -> Result<(), Wrong> {
    // What the PSP says not to have is no concern of ours: an endpoint may be told of other accounts' objects as well.
    let is_missing = |step: &Step| {
        matches!(
            step.act,
            Act::Psp {
                fault: PspFault::ReadMissing,
                ..
            }
        )
    };
    // A refund that is pending is no news yet.
    let world = &case.run.plan.world;
    let is_pending = world.refund_ms.is_some() && !world.refunds_fail_late;
    if is_pending || case.run.plan.steps.iter().any(is_missing) {
        return Ok(());
    }
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Ok(());
    };
    // What was done to an object that nobody had heard of is looked up later.
    let known_ms = record.entries().iter().find_map(|entry| match &entry.fact {
        Fact::Observed { evidence, .. } => {
            let is_capture = |effect: &Effect| effect.kind == EffectKind::Capture;
            evidence
                .effects
                .iter()
                .any(is_capture)
                .then(|| since(entry.at_ms.get()))
        }
        _ => None,
    });
    let margin_ms = 2 * case.run.plan.world.truth.skew_ms + KNOWN_MS;
    for event in case
        .run
        .events()
        .iter()
        .filter(|event| event.at_ms >= kept_from_ms(case))
    {
        let Some(id) = reversal_of(case, event) else {
            continue;
        };
        let is_known = known_ms.is_some_and(|known_ms| known_ms + margin_ms < event.at_ms);
        if is_known && !journal.windows(id.len()).any(|bytes| bytes == id.as_bytes()) {
            let what = format!("an event about {id} was acknowledged, and the journal does not know of it");
            return Err((event.at_ms, what));
        }
    }
    Ok(())
}

/// The refund or dispute of the attempt's that a Stripe event tells of.
fn reversal_of<'a>(case: &Case<'_>, told: &'a AcknowledgedEvent) -> Option<&'a str> {
    let id = told.object.as_deref()?;
    let own = case
        .ledger
        .iter()
        .filter(|event| event.cause != Some(Cause::Repeated));
    let is_own_object = |object: &str| {
        let mut made = own.clone().filter(|event| event.cause.is_none());
        made.any(|event| case.run.objects.get(&event.id).is_some_and(|it| it == object))
    };
    let is_refund = id.starts_with("re_")
        && own.clone().any(|event| {
            event.id == id && event.operation == Operation::Refund && event.cause == Some(Cause::Dashboard)
        });
    let is_dispute = id.starts_with("dp_") && told.intent.as_deref().is_some_and(is_own_object);
    (is_refund || is_dispute).then_some(id)
}
