//! Whatever of an attempt's is undone beside its own authorization and capture is on record as unwanted (rule 8).

use pay_once_core::Record;
use pay_once_core::journal::entry::{Cause, Conclusion, Entry, Fact, Operation as CoreOperation};
use pay_once_core::journal::evidence::EffectKind;
use pay_once_sandbox::tokens::Operation;

use super::{Case, Oracle, Wrong, since};
use crate::plan::{Act, Step};

pub(super) const ORACLE: Oracle = Oracle {
    name: "what is undone is shown",
    rule: "rule 8",
    judge,
};

/// What a list has shown to be given back is not given back once more.
fn undone_again(record: &Record) -> Result<(), Wrong> {
    let mut done: Vec<&str> = Vec::new();
    for entry in record.entries() {
        match &entry.fact {
            Fact::Observed { evidence, .. } => {
                let voids = evidence
                    .effects
                    .iter()
                    .filter(|effect| effect.listed && effect.kind == EffectKind::Void);
                done.extend(voids.filter_map(|effect| effect.of.as_deref()));
            }
            Fact::Dispatched {
                operation: CoreOperation::Refund,
                target: Some(target),
                psp_key,
                sent_at_ms,
                ..
            } if done.contains(&target.as_str()) => {
                let what = format!("{psp_key} undoes {target}, which a list has shown to be undone");
                return Err((since(sent_at_ms.get()), what));
            }
            _ => {}
        }
    }
    Ok(())
}

/// From how long on a fault of the PSP or the store is long, in milliseconds.
const LONG_FAULT_MS: u64 = 3_000;
/// How long a release may take where the PSP takes it, in milliseconds.
const RELEASE_MS: u64 = 10_000;

/// A second authorization that a look-up has shown is released, and not left to lapse.
fn left_standing(case: &Case<'_>, record: &Record, own: Option<&str>) -> Result<(), Wrong> {
    let world = &case.run.plan.world;
    // After rejections and long faults the pauses between two tries outlast what is left of a simulated life.
    let lasts = |step: &Step| matches!(step.act, Act::Psp { for_ms, .. } | Act::Store { for_ms, .. } if for_ms >= LONG_FAULT_MS);
    if case.run.plan.has_rejections() || case.run.plan.steps.iter().any(lasts) {
        return Ok(());
    }
    for event in &case.ledger {
        let (Some(of), Operation::Lapse) = (event.authorization.as_deref(), event.operation) else {
            continue;
        };
        let object = case.run.objects.get(of).map_or(of, String::as_str);
        if own.is_none_or(|own| own == object || own == of) {
            continue;
        }
        let shows_it = |entry: &&Entry| match &entry.fact {
            Fact::Observed { evidence, .. } => evidence
                .effects
                .iter()
                .any(|effect| effect.listed && effect.kind == EffectKind::Authorize && effect.id == object),
            _ => false,
        };
        let Some(shown) = record.entries().iter().map(|entry| &**entry).find(shows_it) else {
            continue;
        };
        let from_ms = since(shown.at_ms.get()).max(world.heal_ms) + RELEASE_MS;
        if from_ms < since(event.at_ms) && idle_from_ms(record) + RELEASE_MS < since(event.at_ms) {
            let what = format!("{object}, a second authorization that was seen, was left to lapse");
            return Err((since(event.at_ms), what));
        }
    }
    Ok(())
}

/// When the attempt's last own operation ended, in milliseconds from the start: nothing else is released while that is in doubt.
fn idle_from_ms(record: &Record) -> u64 {
    let entries = record.entries().iter().enumerate();
    let is_busy = |index: usize| {
        let state = record.state_at(index);
        let running = state.running.as_ref();
        running.is_some_and(|running| running.cause != Cause::Compensation)
    };
    let mut busy = entries
        .filter(|(index, _)| is_busy(*index))
        .map(|(index, _)| index);
    let ended = busy.next_back().and_then(|index| record.entries().get(index + 1));
    ended.map_or(0, |entry| since(entry.at_ms.get()))
}

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Ok(());
    };
    // What a person takes need not have been seen before it is given back.
    if case.is_touched() {
        return Ok(());
    }
    let state = record.state();
    let own = state.authorization.as_ref().map(|own| own.psp_reference.as_str());
    let unwanted: Vec<&str> = case
        .written()
        .filter_map(|entry| match &entry.fact {
            Fact::Inferred {
                conclusion: Conclusion::Unwanted { reference, .. },
            } => Some(reference.as_str()),
            _ => None,
        })
        .collect();
    left_standing(case, record, own)?;
    undone_again(record)?;
    // What a client, or the end of its time, wanted released.
    let mut is_wanted = false;
    let mut released: Vec<&str> = Vec::new();
    for entry in case.written() {
        match &entry.fact {
            Fact::Intended { cause, .. } => is_wanted = *cause != Cause::Compensation,
            Fact::Dispatched {
                operation: CoreOperation::Void,
                target: Some(target),
                ..
            } if is_wanted => released.push(target),
            _ => {}
        }
    }
    let undone = case.ledger.iter().filter(|event| {
        matches!(event.operation, Operation::Void | Operation::Refund)
            && event.cause.is_none()
            && event.declined.is_none()
    });
    for event in undone {
        let Some(of) = event.authorization.as_deref() else {
            continue;
        };
        let object = case.run.objects.get(of).map_or(of, String::as_str);
        // An attempt's own authorization is released; its own capture is given back only where it must not stand.
        let is_the_attempts = own.is_none_or(|own| own == object || own == of) || released.contains(&object);
        let is_own = is_the_attempts && event.operation == Operation::Void;
        let is_captured = case.ledger.iter().any(|other| {
            other.operation == Operation::Capture
                && other.declined.is_none()
                && other.authorization.as_deref() == Some(of)
        });
        let is_shown = unwanted.iter().any(|reference| {
            let builds_on_it = |id: &str| {
                id == *reference
                    && case
                        .ledger
                        .iter()
                        .any(|other| other.id == *id && other.authorization.as_deref() == Some(of))
            };
            *reference == object || *reference == of || builds_on_it(reference)
        });
        if !is_shown && (!is_own || is_captured) {
            let what = format!(
                "{:?} of {object} undid something that the journal does not call unwanted",
                event.operation
            );
            return Err((since(event.at_ms), what));
        }
    }
    Ok(())
}
