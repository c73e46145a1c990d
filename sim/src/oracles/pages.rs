//! The page that a customer is sent to is the one that the PSP's answer to our own call names, whatever a webhook said before
//! (rule 7).

use pay_once_core::base::id::LocalId;
use pay_once_core::journal::entry::{Fact, Operation, Source};
use pay_once_core::journal::evidence::Signal;

use super::{Case, Oracle, Wrong, since};
use crate::seen::Status;

pub(super) const ORACLE: Oracle = Oracle {
    name: "the page is the answer's",
    rule: "rule 7",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Ok(());
    };
    // The calls of the last number: a late answer to one before it is history.
    let mut current: (u16, Vec<LocalId>) = (0, Vec::new());
    for entry in record.entries() {
        if let Fact::Dispatched {
            call,
            operation: Operation::Authorize,
            generation,
            ..
        } = &entry.fact
        {
            if *generation > current.0 {
                current = (*generation, Vec::new());
            }
            current.1.push(*call);
        }
    }
    let answered = record.entries().iter().rev().find_map(|entry| match &entry.fact {
        Fact::Observed {
            source: Source::Response | Source::NamedResponse { .. },
            call: Some(call),
            evidence,
            ..
        } if current.1.contains(call) => match &evidence.signal {
            Signal::ActionRequired { url, .. } if !url.is_empty() => Some((since(entry.at_ms.get()), url)),
            _ => None,
        },
        _ => None,
    });
    let Some((answered_ms, url)) = answered else {
        return Ok(());
    };
    let from_ms = answered_ms + 2 * case.run.plan.world.truth.skew_ms + 50;
    for heard in case
        .heard
        .iter()
        .filter(|heard| heard.ask.role.is_own() && heard.began_ms > from_ms)
    {
        let shown = heard.told.as_ref().and_then(|told| told.shown.as_ref());
        let waits = shown.filter(|shown| shown.status == Status::RequiresAction);
        let Some(action) = waits.and_then(|shown| shown.next_action.as_ref()) else {
            continue;
        };
        if action.url != *url {
            let what = format!(
                "the customer is sent to {}, and the PSP's answer names {url}",
                action.url
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}
