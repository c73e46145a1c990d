//! When faults strike: half of them near a moment that matters to some payment, the others at any time.

use super::{HEAL_MS, LAST_PAYMENT_MS};
use crate::plan::{Act, Payment, Step, World};
use crate::rng::Draw;

/// How long after a moment that matters a fault may still begin, in milliseconds.
const NEAR_MS: u64 = 250;

/// When the next fault begins.
pub(super) fn moment(draw: &mut Draw, world: &World, payments: &[(u64, Payment)]) -> u64 {
    let anywhere_ms = draw.between(0, HEAL_MS - 500);
    let is_aimed = draw.chance(500);
    let number = draw.between(0, payments.len().saturating_sub(1) as u64);
    let (kind, off_ms) = (draw.between(0, 5), draw.between(0, NEAR_MS));
    let aimed = usize::try_from(number)
        .ok()
        .and_then(|number| payments.get(number));
    let Some((at_ms, payment)) = aimed.filter(|_| is_aimed) else {
        return anywhere_ms;
    };
    let mean_psp_ms = (world.psp_ms.0 + world.psp_ms.1) / 2;
    let (truth, dispatch_ms) = (&world.truth, at_ms + payment.think_ms);
    let moment_ms = match kind {
        // The authorization's dispatch, and its answer.
        0 | 1 => dispatch_ms,
        2 => dispatch_ms + mean_psp_ms,
        // The capture's.
        3 => dispatch_ms + mean_psp_ms + payment.think_ms,
        // The end of a 3-D Secure's time.
        4 => dispatch_ms + world.action_ms.min(HEAL_MS),
        // The look-up that may prove absence.
        _ => dispatch_ms + truth.max_in_flight_ms + truth.lookup_lag_ms,
    };
    (moment_ms + off_ms)
        .saturating_sub(NEAR_MS / 2)
        .min(HEAL_MS - 100)
}

/// The one fault of a run with a single fault: short, certain, and at a moment that matters.
pub(super) fn single(draw: &mut Draw, world: &World, payments: &[(u64, Payment)], act: Act) -> Step {
    let at_ms = moment(draw, world, payments).min(LAST_PAYMENT_MS + 3_000);
    let act = match act {
        Act::Psp { fault, for_ms, .. } => Act::Psp {
            fault,
            permille: 1_000,
            for_ms,
        },
        Act::Store { fault, for_ms, .. } => Act::Store {
            fault,
            permille: 1_000,
            for_ms,
        },
        act => act,
    };
    Step { at_ms, act }
}
