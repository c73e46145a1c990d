//! Whatever was seen is in the journal for ever: a timeline only grows, every effect of the ledger is in the last one, and
//! the stored record's chain and invariants hold (`docs/store.md`, “The record”: the timeline *is* the journal; rule 7: late
//! evidence is always taken in).

use super::{Case, Oracle, Wrong};
use crate::seen::{Heard, TIMELINE};
use crate::world::EPOCH_MS;
use memchr::memmem;
use pay_once_core::Record;
use pay_once_core::journal::entry::{Fact, Source};
use pay_once_core::journal::evidence::Evidence;
use pay_once_core::journal::invariant;
use pay_once_sandbox::tokens::Operation;

pub(super) const ORACLE: Oracle = Oracle {
    name: "the journal keeps everything",
    rule: "store: record; rule 7",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    match case.run.journals().get(&case.id) {
        Some(Err(why)) => return Err((case.run.ended_ms, format!("the stored record is refused: {why}"))),
        Some(Ok(record)) => {
            invariant::check(record)
                .map_err(|(which, what)| (case.run.ended_ms, format!("{which}: {what}")))?;
            if let Some(at_ms) = repeated_webhook_ms(record) {
                return Err((
                    at_ms,
                    "a webhook that was heard before is on record twice".to_owned(),
                ));
            }
        }
        None => {}
    }
    let has_copies = case.run.plan.world.copies_ms.is_some();
    let mut seen: Vec<(&Heard, &str)> = case
        .heard
        .iter()
        .filter_map(|heard| Some((*heard, timeline(heard)?)))
        .collect();
    seen.sort_by_key(|(heard, _)| heard.ended_ms);
    for (earlier, later) in seen.iter().zip(seen.iter().skip(1)) {
        // A copy of a final record may be behind by what was seen after the end.
        let is_behind = has_copies && earlier.1.starts_with(later.1);
        if earlier.0.ended_ms < later.0.began_ms && !later.1.starts_with(earlier.1) && !is_behind {
            return Err((
                later.0.ended_ms,
                "a line of the timeline was changed or is gone".to_owned(),
            ));
        }
    }
    let is_shown_again =
        |n: usize, lines: &str| seen.get(n + 1).is_some_and(|(_, next)| next.starts_with(lines));
    for (n, (heard, lines)) in seen.iter().enumerate() {
        // What the next one begins with is looked through there.
        if is_shown_again(n, lines) {
            continue;
        }
        let whole = (0..)
            .zip(memmem::find_iter(lines.as_bytes(), SEQ))
            .all(|(n, at)| {
                lines
                    .get(at + SEQ.len()..)
                    .is_some_and(|rest| rest.starts_with(&format!("{n},")))
            });
        if !whole {
            return Err((heard.ended_ms, "the timeline leaves a line out".to_owned()));
        }
    }
    let Some((last, words)) = seen.last() else {
        return Ok(());
    };
    let Some(status) = last
        .told
        .as_ref()
        .and_then(|told| told.shown.as_ref())
        .map(|shown| shown.status)
    else {
        return Ok(());
    };
    // What is not final yet may still be on its way into the journal.
    // What a person undoes before anybody saw it need not have been seen.
    if !status.is_final() || case.is_touched() {
        return Ok(());
    }
    // An authorization that was released unseen (its void is there) need not have been seen itself.
    let money = case.money();
    for (operation, is_there) in [
        // Of what a restore has lost a capture may be all that is told.
        (Operation::Authorize, money.live > 0 && case.lost.is_none()),
        (Operation::Capture, money.captures > 0),
    ] {
        if is_there && !is_named(words, operation) {
            return Err((
                last.ended_ms,
                format!("the ledger's {operation:?} is not in the timeline"),
            ));
        }
    }
    Ok(())
}

/// What each line of a timeline begins with.
const SEQ: &str = r#"{"seq":"#;

/// When the journal holds what a webhook said for the second time. A repetition is no news, whatever came between.
fn repeated_webhook_ms(record: &Record) -> Option<u64> {
    let mut heard: Vec<&Evidence> = Vec::new();
    for entry in record.entries() {
        let Fact::Observed {
            source: Source::Webhook,
            evidence,
            ..
        } = &entry.fact
        else {
            continue;
        };
        if heard.contains(&evidence) {
            return Some(entry.at_ms.get().saturating_sub(EPOCH_MS));
        }
        heard.push(evidence);
    }
    None
}

fn is_named(words: &str, operation: Operation) -> bool {
    let kind = match operation {
        Operation::Capture => r#""kind":"capture""#,
        _ => r#""kind":"authorize""#,
    };
    words.contains(kind)
}

/// The timeline's lines as text, without the closing bracket, so that a longer one begins with a shorter one.
fn timeline(heard: &Heard) -> Option<&str> {
    let told = heard.told.as_ref().filter(|told| told.status == 200)?;
    let at = memmem::find(&told.body, TIMELINE.as_bytes())?;
    let lines = told.body.get(at + TIMELINE.len()..)?;
    std::str::from_utf8(lines).ok()?.strip_suffix("]}")
}
