//! Rule 13: who owns an object that carries an attempt's reference. Another installation on the same PSP account, or an
//! old test run, may have used the same reference. What it made is not the attempt's own, whatever it shows.
//!
//! The first row that applies decides.
//!
//! | the object | is |
//! | --- | --- |
//! | is named by the journal: an answer to a dispatch of ours named it, or a dispatch addressed it | ours, with everything that was done to it |
//! | was seen before and was foreign, or shows an effect on a foreign object | foreign |
//! | any, if no request that makes objects was dispatched | foreign |
//! | was made before the first such dispatch (less clock skew and one unit of the PSP's time) | foreign |
//! | has another amount or currency, and the installation has no name | disputed: an operator decides |
//! | has another amount or currency, and may have been requested so in the time of a loss (rule 16) | disputed: an operator decides |
//! | has another amount or currency, and holds or took funds | ours, and is released |
//! | has another amount or currency, and holds nothing yet | not acted on: it is neither confirmed nor shown to a customer |
//! | is not shown itself, but only what was done to it (a refund, a void, a reversal) | ignored until it is seen |
//! | any other | ours |

use std::collections::BTreeSet;

use crate::base::config::Psp;
use crate::base::time::{Millis, UnixMillis};
use crate::journal::evidence::{Effect, EffectKind, Evidence, Sighting, Signal};
use crate::journal::state::State;

/// Resolution of a PSP's timestamps: one second, in milliseconds.
const PSP_TIME_UNIT_MS: Millis = Millis::new(1_000);

/// What a webhook or a look-up shows, sorted by owner.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// Evidence from the attempt's own objects. The caller decides whether it is complete.
    pub(crate) ours: Evidence,
    /// Ids of foreign objects.
    pub(crate) foreign: BTreeSet<String>,
    /// Ids of objects whose owner only an operator can determine.
    pub(crate) disputed: BTreeSet<String>,
    /// Whether something was shown whose owner is not known yet; it is ignored for now.
    pub(crate) is_unclear: bool,
}

impl Sorted {
    /// Whether everything that was shown is our own.
    pub(crate) fn is_all_ours(&self) -> bool {
        self.foreign.is_empty() && self.disputed.is_empty() && !self.is_unclear
    }
}

/// Sorts the objects of one observation by owner.
pub(crate) fn sort(state: &State, psp: &Psp, sightings: &[Sighting]) -> Sorted {
    let mut sorted = Sorted::default();
    // An object is foreign with everything that was done to it: a new capture of an old foreign authorization is
    // foreign.
    let mut unclear = BTreeSet::new();
    for sighting in sightings {
        let object = sighting.object.clone();
        match whose(state, psp, sighting) {
            Whose::Foreign => {
                let effects = sighting.evidence.effects.iter();
                sorted.foreign.extend(effects.map(|effect| effect.id.clone()));
                sorted.foreign.insert(object);
            }
            Whose::Disputed => drop(sorted.disputed.insert(object)),
            Whose::Unclear => drop(unclear.insert(object)),
            Whose::Ours => {}
        }
    }
    let is_in = |ids: &BTreeSet<String>, sighting: &Sighting| {
        let of = |effect: &Effect| effect.of.as_ref().is_some_and(|of| ids.contains(of));
        ids.contains(&sighting.object) || sighting.evidence.effects.iter().any(of)
    };
    let stands_there = |sighting: &&Sighting| !builds_on(sighting);
    let seen: BTreeSet<&str> = sightings
        .iter()
        .filter(stands_there)
        .map(|s| s.object.as_str())
        .collect();
    for sighting in sightings {
        if is_in(&sorted.foreign, sighting) || is_in(&sorted.disputed, sighting) {
            continue;
        }
        // An effect on an object that was not shown itself does not make the object ours.
        let is_unfounded =
            builds_on(sighting) && !state.names(&sighting.object) && !seen.contains(sighting.object.as_str());
        if is_unfounded || is_in(&unclear, sighting) {
            sorted.is_unclear = true;
            continue;
        }
        if is_of_earlier_try(state, psp, sighting) {
            continue;
        }
        sorted.ours.absorb(sighting.evidence.clone());
    }
    sorted
}

/// Whether it is the refusal of an earlier try that was proven to have had no effect. Such a refusal names no object,
/// and is older than the current generation (found by the simulator: the event of a declined try, whose answer was
/// lost, ended a payment that was approved at the next try).
fn is_of_earlier_try(state: &State, psp: &Psp, sighting: &Sighting) -> bool {
    let is_refusal = matches!(sighting.evidence.signal, Signal::Refused { .. });
    let Some(running) = state
        .running
        .as_ref()
        .filter(|_| is_refusal && sighting.object.is_empty())
    else {
        return false;
    };
    let first_sent_ms = running.current().map(|call| call.sent_at_ms).min();
    let (Some(first_sent_ms), Some(created_ms)) = (first_sent_ms, sighting.created_ms) else {
        return false;
    };
    running.generation > 1 && created_ms < earliest_ms(psp, first_sent_ms)
}

/// The earliest time that a PSP can state for the effect of a request that was sent at `sent_ms`. Clocks differ, and
/// the PSP counts in whole seconds.
fn earliest_ms(psp: &Psp, sent_ms: UnixMillis) -> UnixMillis {
    sent_ms - psp.timing.max_clock_skew_ms - PSP_TIME_UNIT_MS
}

enum Whose {
    Ours,
    Foreign,
    Disputed,
    Unclear,
}

/// Whether everything that is shown was done to an object that is not shown itself.
fn builds_on(sighting: &Sighting) -> bool {
    let effects = &sighting.evidence.effects;
    let is_on = |effect: &Effect| effect.id != sighting.object && effect.kind != EffectKind::Authorize;
    let names_object = |effect: &Effect| effect.of.is_some();
    !effects.is_empty() && effects.iter().all(|effect| is_on(effect) && names_object(effect))
}

fn whose(state: &State, psp: &Psp, sighting: &Sighting) -> Whose {
    if state.names(&sighting.object) {
        return Whose::Ours;
    }
    let mut effects = sighting.evidence.effects.iter();
    let is_of_foreign = |effect: &Effect| effect.of.as_ref().is_some_and(|of| state.foreign.contains(of));
    let is_foreign = state.foreign.contains(&sighting.object) || effects.any(is_of_foreign);
    let Some(creation) = state.creation.filter(|_| !is_foreign) else {
        return Whose::Foreign;
    };
    let earliest_ms = earliest_ms(psp, creation.first_sent_ms);
    if sighting
        .created_ms
        .is_some_and(|created_ms| created_ms < earliest_ms)
    {
        return Whose::Foreign;
    }
    if !is_of_other_terms(state, sighting) {
        return Whose::Ours;
    }
    let is_held = |effect: &Effect| matches!(effect.kind, EffectKind::Authorize | EffectKind::Capture);
    if state.installation.is_empty() || state.is_suspect {
        Whose::Disputed
    } else if sighting.evidence.effects.iter().any(is_held) {
        Whose::Ours
    } else {
        Whose::Unclear
    }
}

/// Whether the object, or an authorization that is shown with it, has another amount or currency than the attempt asks
/// for.
fn is_of_other_terms(state: &State, sighting: &Sighting) -> bool {
    let asked = &state.terms.money;
    let of_object = sighting.amount.as_ref();
    let mut authorizations = sighting
        .evidence
        .effects
        .iter()
        .filter(|effect| effect.kind == EffectKind::Authorize);
    of_object.is_some_and(|(amount_minor, currency)| asked.differs_from(*amount_minor, currency.as_deref()))
        || authorizations.any(|effect| asked.differs_from(effect.amount_minor, effect.currency.as_deref()))
}

/// Why an operation is parked if it cannot be determined whether an object is ours.
pub(crate) fn not_ours(reference: &str) -> String {
    format!(
        "the PSP shows {reference}, which carries this attempt's reference and was not made by it as far as is known: say whether it is this payment"
    )
}
