//! Rule 13: whose an object is that carries an attempt's reference. Another installation on the same PSP account, or a test run of
//! last year, may have used the same one; what it made is none of ours, whatever it shows.
//!
//! The first row that fits decides.
//!
//! | the object | is |
//! | --- | --- |
//! | is named by the journal: an answer to a dispatch of ours named it, or a dispatch addressed it | ours, with all that was done to it |
//! | was seen before, and was foreign | foreign |
//! | any, where nothing that makes objects was dispatched | foreign |
//! | was made before the first such dispatch (less clock skew and one unit of the PSP's time) | foreign |
//! | has another amount or currency, and the installation has no name | disputed: an operator decides |
//! | has another amount or currency, and was perhaps asked for so in the time of a loss (rule 16) | disputed: an operator decides |
//! | has another amount or currency, and holds or took something | ours, and is released |
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

/// What a webhook or a look-up shows, sorted by whose it is.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// Evidence from the attempt's own objects. The caller decides whether it is complete.
    pub(crate) ours: Evidence,
    /// Ids of foreign objects.
    pub(crate) foreign: BTreeSet<String>,
    /// Ids of objects of which only an operator can say whose they are.
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

/// Sorts what was seen at once.
pub(crate) fn sort(state: &State, psp: &Psp, sightings: &[Sighting]) -> Sorted {
    let mut sorted = Sorted::default();
    // An object is foreign as a whole: a capture of last minute belongs to the authorization of last year.
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
        // What was done to an object that nobody has shown does not make it ours.
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

/// Whether it is a refusal of a try that was proven to have had no effect: it names no object, and came about before the try that is
/// under way (found by the simulator: the event of a declined try, whose answer was lost, ended a payment that was approved at
/// the next one).
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

/// The earliest time that a PSP can give to what a request of ours brought about, by when that was sent: clocks differ, and the PSP
/// counts in whole seconds.
fn earliest_ms(psp: &Psp, sent_ms: UnixMillis) -> UnixMillis {
    sent_ms - psp.timing.max_clock_skew_ms - PSP_TIME_UNIT_MS
}

enum Whose {
    Ours,
    Foreign,
    Disputed,
    Unclear,
}

/// Whether all that is shown was done to an object that is not shown itself.
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

/// Whether the object, or an authorization shown here, has another amount or currency than the attempt asks for.
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

/// Why an operation is parked over an object that cannot be told to be ours.
pub(crate) fn not_ours(reference: &str) -> String {
    format!(
        "the PSP shows {reference}, which carries this attempt's reference and was not made by it as far as is known: say whether it is this payment"
    )
}
