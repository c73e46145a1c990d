//! Faults that a test token asks for.

use crate::base::tokens::{self, Behaviour};
use crate::faces::call::Call;
use crate::ledger::entry::Change;
use crate::ledger::work::Work;

/// How the token of this call behaves at it, and the note that a first-only token has acted.
pub(crate) fn behaviour(work: &mut Work<'_>, call: &Call, key: Option<&str>) -> Option<Behaviour> {
    let site = call.site(work.state)?;
    let row = tokens::find(site.token.as_deref()?, site.operation)?;
    if row.first_only {
        // An attempt without a name is known by its key; without either, every call is a first one.
        if let Some(attempt) = site.attempt.or_else(|| key.map(|key| format!("key {key}"))) {
            if work.state.spent.contains(&(attempt.clone(), site.operation)) {
                return None;
            }
            work.commit(Change::Spent {
                attempt,
                operation: site.operation,
            });
        }
    }
    Some(row.behaviour)
}
