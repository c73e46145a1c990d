//! Rule 13: whose an object is that carries an attempt's reference. Another installation on the same PSP account, or a test run of
//! last year, may have used the same one; what it made is none of ours, whatever it shows.
//!
//! | the object | is |
//! | --- | --- |
//! | is named by the journal: an answer to a dispatch of ours named it, or a dispatch addressed it | ours, with all that was done to it |
//! | was seen before, and was foreign | foreign |
//! | any, where nothing that makes objects was dispatched | foreign |
//! | was made before the first such dispatch (less clock skew and one unit of the PSP's time) | foreign |
//! | has another amount or currency, and the installation has no name | disputed: an operator decides |
//! | any other | ours; with another amount or currency it is released |

use std::collections::BTreeSet;

use crate::config::Psp;
use crate::evidence::{EffectKind, Evidence, Sighting};
use crate::state::State;

/// PSPs tell the time in whole seconds, in milliseconds.
const PSP_TIME_UNIT_MS: u64 = 1_000;

/// What a webhook or a look-up shows, sorted by whose it is.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// All that our own objects show. Whether that is all there is, the caller knows.
    pub(crate) ours: Evidence,
    /// Ids of foreign objects.
    pub(crate) foreign: BTreeSet<String>,
    /// Ids of objects of which only an operator can say whose they are.
    pub(crate) disputed: BTreeSet<String>,
}

impl Sorted {
    /// Whether everything that was shown is our own.
    pub(crate) fn is_all_ours(&self) -> bool {
        self.foreign.is_empty() && self.disputed.is_empty()
    }
}

/// Sorts what was seen at once.
pub(crate) fn sort(state: &State, psp: &Psp, sightings: &[Sighting]) -> Sorted {
    let mut sorted = Sorted::default();
    // An object is foreign as a whole: a capture of last minute belongs to the authorization of last year.
    for sighting in sightings {
        match whose(state, psp, sighting) {
            Whose::Foreign => drop(sorted.foreign.insert(sighting.object.clone())),
            Whose::Disputed => drop(sorted.disputed.insert(sighting.object.clone())),
            Whose::Ours => {}
        }
    }
    for sighting in sightings {
        let is_of_others =
            sorted.foreign.contains(&sighting.object) || sorted.disputed.contains(&sighting.object);
        if !is_of_others {
            sorted.ours.absorb(sighting.evidence.clone());
        }
    }
    sorted
}

enum Whose {
    Ours,
    Foreign,
    Disputed,
}

fn whose(state: &State, psp: &Psp, sighting: &Sighting) -> Whose {
    if state.names(&sighting.object) {
        return Whose::Ours;
    }
    let Some(creation) = state
        .creation
        .filter(|_| !state.foreign.contains(&sighting.object))
    else {
        return Whose::Foreign;
    };
    let earliest_ms = creation
        .first_sent_ms
        .saturating_sub(psp.timing.max_clock_skew_ms)
        .saturating_sub(PSP_TIME_UNIT_MS);
    if sighting
        .created_ms
        .is_some_and(|created_ms| created_ms < earliest_ms)
    {
        return Whose::Foreign;
    }
    if state.installation.is_empty() && is_of_other_terms(state, &sighting.evidence) {
        return Whose::Disputed;
    }
    Whose::Ours
}

/// Whether an authorization shown here has another amount or currency than the attempt asks for.
fn is_of_other_terms(state: &State, evidence: &Evidence) -> bool {
    let authorizations = evidence
        .effects
        .iter()
        .filter(|e| e.kind == EffectKind::Authorize);
    authorizations.into_iter().any(|effect| {
        let is_other_currency = effect
            .currency
            .as_ref()
            .is_some_and(|currency| *currency != state.terms.currency);
        effect.amount_minor != state.terms.amount_minor || is_other_currency
    })
}
