//! An operator's word counts for the parking that it names and for no other one: who resolves what is still in flight is refused, and
//! so is who comes after that parking has ended, whatever has been parked since. Nobody resolves without the right to, and where two
//! operators are needed, one is not enough.

use pay_once_core::journal::entry::{Fact, Source};

use super::{Case, Oracle, Wrong};
use crate::seen::Heard;
use crate::shopper::Role;

pub(super) const ORACLE: Oracle = Oracle {
    name: "only what is parked is resolved",
    rule: "http: resolve",
    judge,
};

fn judge(case: &Case<'_>) -> Result<(), Wrong> {
    who_may(case)?;
    if case.run.plan.world.two_operators {
        two_agree(case)?;
    }
    for heard in case.heard.iter().filter(|heard| heard.ask.role == Role::Late) {
        let Some(told) = &heard.told else { continue };
        if !matches!(told.status, 404 | 409 | 503) {
            let what = format!(
                "a word about a parking that had ended was answered with {} {:?}",
                told.status, told.code
            );
            return Err((heard.ended_ms, what));
        }
    }
    // What was captured differs from what was asked for: that is parked at once.
    if case.captures_other() || case.is_touched() {
        return Ok(());
    }
    for heard in case.heard.iter().filter(|heard| heard.ask.role == Role::Hasty) {
        let Some(told) = &heard.told else { continue };
        if !matches!(told.status, 404 | 409 | 503) {
            let what = format!(
                "an operator resolved what was not parked, and was answered with {} {:?}",
                told.status, told.code
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}

/// Merchants, and operators who may only read, are refused whatever is parked and whatever the store does.
fn who_may(case: &Case<'_>) -> Result<(), Wrong> {
    let has_no_right = |heard: &&&Heard| matches!(heard.ask.role, Role::Merchant | Role::OnlyReader);
    for heard in case.heard.iter().filter(has_no_right) {
        let Some(told) = &heard.told else { continue };
        if told.status != 403 {
            let what = format!(
                "who may not resolve was answered with {} {:?}",
                told.status, told.code
            );
            return Err((heard.ended_ms, what));
        }
    }
    Ok(())
}

/// A resolution that was carried out was asked for by both operators, each under a key of its own.
fn two_agree(case: &Case<'_>) -> Result<(), Wrong> {
    for heard in case
        .heard
        .iter()
        .filter(|heard| heard.ask.role == Role::OtherWord)
    {
        if heard.told.as_ref().is_some_and(|told| told.status == 200) {
            let what = "a resolution that contradicts the proposal was carried out".to_owned();
            return Err((heard.ended_ms, what));
        }
    }
    for heard in case
        .heard
        .iter()
        .filter(|heard| heard.ask.role == Role::SameOperator)
    {
        if let Some(status @ (200 | 202)) = heard.told.as_ref().map(|told| told.status) {
            let what = format!("an operator's own agreement was answered with {status}");
            return Err((heard.ended_ms, what));
        }
    }
    let Some(Ok(record)) = case.run.journals().get(&case.id) else {
        return Ok(());
    };
    let mut proposed_by: Option<&str> = None;
    for entry in record.entries() {
        match &entry.fact {
            Fact::Proposed { proposal, .. } => proposed_by = Some(&proposal.operator),
            Fact::Observed {
                source: Source::Operator { operator, .. },
                ..
            } if proposed_by.is_none_or(|first| first == operator) => {
                let what = format!("{operator}'s word was carried out, and nobody else had proposed it");
                return Err((u64::MAX, what));
            }
            _ => {}
        }
    }
    Ok(())
}
