//! What strangers do at the PSP: other installations on the account, persons at its dashboard.

use super::HEAL_MS;
use crate::plan::{Act, ForeignObject, Hand, Payment, Step, World};
use crate::rng::{Concern, Draw};

/// The steps of strangers, given the payments.
pub(super) fn steps(world: &World, payments: &[(u64, Payment)]) -> Vec<Step> {
    let draw = &mut Draw::new(world.seed, Concern::Strangers);
    let (has_foreign, has_hands) = (draw.chance(180), draw.chance(180));
    let mut steps = Vec::new();
    for (at_ms, payment) in payments {
        let (is_foreign, is_touched, is_changed) = (draw.chance(300), draw.chance(300), draw.chance(500));
        let made = foreign(draw, world, payment);
        let (hand, other_hand) = (*draw.pick(&Hand::ALL), *draw.pick(&Hand::ALL));
        let (after_ms, other_after_ms) = (draw.between(100, 4_000), draw.between(300, 3_000));
        let by_hand = |hand: Hand, after_ms: u64, foreign: bool| Step {
            at_ms: (at_ms + after_ms).min(HEAL_MS - 100),
            act: Act::ByHand {
                payment: payment.payment,
                hand,
                foreign,
                extra: false,
            },
        };
        if has_foreign && is_foreign {
            steps.push(Step {
                at_ms: *at_ms,
                act: made,
            });
            if is_changed {
                steps.push(by_hand(other_hand, other_after_ms, true));
            }
        }
        if has_hands && is_touched {
            steps.push(by_hand(hand, after_ms, false));
        }
    }
    steps
}

/// An object of another installation, made well before the payment's first request.
fn foreign(draw: &mut Draw, world: &World, payment: &Payment) -> Act {
    let sent_minor = payment.sent_minor(world.class_of(payment.merchant), payment.amount_minor);
    let other_minor = draw.between(1, 5_000) * 100;
    let (is_taken, is_same) = (draw.chance(400), draw.chance(600));
    Act::Foreign {
        payment: payment.payment,
        object: ForeignObject {
            is_taken,
            amount_minor: if is_same { sent_minor } else { other_minor },
            // Before the first request by any clock.
            age_s: *draw.pick(&[3, 10, 100, 3_600]) + 2 * world.truth.skew_ms / 1_000,
        },
    }
}
