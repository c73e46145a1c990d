//! The numbers of PSP keys (rule 3): what is proven not to have happened goes out under a new number, and what the PSP rejected
//! under the number that it had, for as long as the PSP knows that key. One key is one request, and is not sent again once the PSP
//! may have forgotten it (rule 5).

use std::collections::BTreeMap;

use pay_once_core::journal::entry::{CallStep, Conclusion, Fact, Operation};

use super::{Case, Oracle, Wrong, since};

pub(super) const ORACLE: Oracle = Oracle {
    name: "numbers follow proof",
    rule: "rule 3",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Ok(());
    };
    // Core stops to rely on a key before its horizon: a request may be in flight, and clocks differ.
    let declared = &case.run.plan.world.declared;
    let margin_ms = 2 * (declared.max_in_flight_ms + declared.skew_ms);
    let known_ms = declared.horizon_ms.saturating_sub(margin_ms);
    let mut absent: Vec<(Operation, u16)> = Vec::new();
    // The number that was rejected last, and when its key was sent first. A capture of another amount is another request.
    let mut rejected: BTreeMap<Operation, (u16, u64)> = BTreeMap::new();
    let mut first_sent: BTreeMap<(Operation, u16), u64> = BTreeMap::new();
    // When each key arrived at the PSP first.
    let mut keys: BTreeMap<&str, u64> = BTreeMap::new();
    // What was sent before a restore is proven absent before anything is sent, where it can be looked for.
    let restored_ms = case
        .lost
        .filter(|_| case.class.is_listed())
        .map_or(0, |lost| lost.at_ms);
    for call in case.run.psp_calls.iter().filter(|call| call.at_ms >= restored_ms) {
        keys.entry(&call.key).or_insert(call.at_ms);
    }
    let mut targets: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for entry in record.entries() {
        if let Fact::Dispatched {
            psp_key,
            target,
            sent_at_ms,
            ..
        } = &entry.fact
        {
            let first = *targets.entry(psp_key).or_insert(target.as_deref());
            if first != target.as_deref() {
                let what = format!("{psp_key} was sent to {first:?} first, and to {target:?} later");
                return Err((since(sent_at_ms.get()), what));
            }
        }
        match &entry.fact {
            Fact::Inferred {
                conclusion:
                    Conclusion::NoEffect {
                        operation,
                        generation,
                    },
            } => absent.push((*operation, *generation)),
            Fact::Inferred {
                conclusion:
                    Conclusion::Withdrawn {
                        operation,
                        generation,
                        ..
                    },
            } => {
                let sent_ms = first_sent.get(&(*operation, *generation)).copied().unwrap_or(0);
                rejected.insert(*operation, (*generation, sent_ms));
            }
            Fact::Dispatched {
                operation,
                generation,
                step: CallStep::Execute,
                sent_at_ms,
                psp_key,
                ..
            } => {
                first_sent
                    .entry((*operation, *generation))
                    .or_insert(sent_at_ms.get());
                let arrived_ms = keys.get(&**psp_key).copied();
                let age_ms = arrived_ms.map_or(0, |at_ms| since(sent_at_ms.get()).saturating_sub(at_ms));
                let is_late =
                    case.class.is_keyed() && *operation != Operation::Void && age_ms > declared.horizon_ms;
                if is_late {
                    let what = format!("{psp_key} was sent again after the PSP may have forgotten it");
                    return Err((since(sent_at_ms.get()), what));
                }
                if absent.contains(&(*operation, *generation)) {
                    let what = format!("{psp_key} was dispatched again after it was proven absent");
                    return Err((since(sent_at_ms.get()), what));
                }
                let before = rejected.remove(operation);
                let is_other = |(number, first_ms): &(u16, u64)| {
                    let is_known =
                        case.class.is_keyed() && sent_at_ms.get().saturating_sub(*first_ms) < known_ms;
                    is_known
                        && number != generation
                        && *operation == Operation::Authorize
                        // Before its first dispatch an operation has no number: then all of them are proven absent.
                        && ![*number, 0].iter().any(|number| absent.contains(&(*operation, *number)))
                };
                if let Some((number, _)) = before.filter(is_other) {
                    let what = format!("number {number} was rejected, and {psp_key} asks for it again");
                    return Err((since(sent_at_ms.get()), what));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
