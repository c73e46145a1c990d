//! The same key gives the same final answer for ever (`docs/http.md`, “Replays”).

use std::collections::BTreeMap;

use super::{Case, Oracle, Wrong};
use crate::seen::{Heard, Told};

pub(super) const ORACLE: Oracle = Oracle {
    name: "same key, same answer",
    rule: "http: replays",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    let mut by_key: BTreeMap<&str, Vec<&Heard>> = BTreeMap::new();
    let asked = case
        .heard
        .iter()
        .filter(|heard| heard.ask.role.is_own() && !heard.ask.key.is_empty());
    for heard in asked {
        by_key.entry(&heard.ask.key).or_default().push(heard);
    }
    // A create whose swap ended unknown is handled again, and is a replay then.
    let is_copied = case.run.plan.has_disturbed_servers() || case.run.plan.has_copies();
    by_key.into_values().try_for_each(|heard| {
        one_key(&heard)?;
        if is_copied { Ok(()) } else { has_a_first(&heard) }
    })
}

fn one_key(heard: &[&Heard]) -> Result<(), Wrong> {
    let kept = heard.iter().filter_map(|heard| Some((*heard, kept(heard)?)));
    // A retry after a 202 gets the news, never a stale 202.
    let stale = |heard: &&&Heard| {
        heard
            .told
            .as_ref()
            .is_some_and(|told| told.status == 202 && told.is_replay)
    };
    if let Some(heard) = heard.iter().find(stale) {
        return Err((
            heard.ended_ms,
            format!("key {} was answered with a 202 that was kept", heard.ask.key),
        ));
    }
    let Some((first, answer)) = kept.clone().min_by_key(|(heard, _)| heard.ended_ms) else {
        return Ok(());
    };
    let mut fresh = 0;
    for (other, told) in kept {
        fresh += u32::from(!told.is_replay);
        let family = |status: u16| if status == 201 { 200 } else { status };
        if told.body != answer.body || family(told.status) != family(answer.status) {
            return Err((
                other.ended_ms,
                format!("key {} has two final answers", other.ask.key),
            ));
        }
    }
    if fresh > 1 {
        return Err((
            first.ended_ms,
            format!(
                "key {} was answered {fresh} times as if for the first time",
                first.ask.key
            ),
        ));
    }
    // Once it was answered for good, no other answer comes (but “the store did not answer”).
    let later = heard.iter().filter(|heard| heard.began_ms > first.ended_ms);
    for heard in later {
        match &heard.told {
            Some(told) if told.status != 503 && kept_one(told).is_none() => {
                let what = format!(
                    "key {} was answered for good, and then {}",
                    heard.ask.key, told.status
                );
                return Err((heard.ended_ms, what));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where every request had its final answer at once, one of them is no replay.
fn has_a_first(heard: &[&Heard]) -> Result<(), Wrong> {
    let Some(first) = heard
        .first()
        .filter(|_| heard.iter().all(|heard| kept(heard).is_some()))
    else {
        return Ok(());
    };
    let mut finals = heard.iter().filter_map(|heard| kept(heard));
    if finals.all(|told| told.is_replay) {
        let what = format!("key {} was answered with replays alone", first.ask.key);
        return Err((first.ended_ms, what));
    }
    Ok(())
}

fn kept(heard: &Heard) -> Option<&Told> {
    heard.told.as_ref().and_then(kept_one)
}

fn kept_one(told: &Told) -> Option<&Told> {
    Some(told).filter(|told| told.is_kept())
}
