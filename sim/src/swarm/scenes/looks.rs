//! Looks that fail, mislead, or are put off.

use super::steps::Moment;
use super::{LISTED, QUERYABLE, STRIPE, Scene, Stage};
use crate::plan::{Act, Calls, Class, Flow, ForeignObject, Hand, PspFault};
use crate::world::DAY_MS;

/// How long Stripe's answers are lost where a list is to tell, in milliseconds: longer than its key is sent again before that.
const KEYS_TELL_MS: u64 = 6_500;
/// How long the list is wrong, in milliseconds.
const LOOKS_MS: u64 = 12_000;

/// The answer is lost after the effect, and looks fail in one of the ways in which they can.
pub(super) const FAIL: Scene = Scene {
    classes: LISTED,
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Charge, Flow::Automatic]);
        let from_ms = stage.from_ms;
        let status = *stage.draw.pick(&[401, 403]);
        let calls = *stage.draw.pick(&[Calls::Reads, Calls::Lists]);
        let fault = *stage.draw.pick(&[
            PspFault::Rejected { status, calls },
            PspFault::ListStuck,
            PspFault::ReadMissing,
        ]);
        if stage.world.class == Class::Stripe {
            // A key would tell as well, until it has been sent often enough.
            stage.psp_at(
                from_ms.saturating_sub(50),
                KEYS_TELL_MS,
                PspFault::HangAfter,
                1_000,
            );
            stage.world.page_max = 1;
            stage.world.crowd = 2;
            stage.psp_at(from_ms, LOOKS_MS, PspFault::ListStuck, 1_000);
        } else {
            lose(stage);
            let for_ms = stage.draw.between(3_000, 9_000);
            stage.psp_at(from_ms, for_ms, fault, 1_000);
        }
    },
};

/// Look-ups are refused for ever, and a key that is remembered for a day could tell.
pub(super) const FORBIDDEN: Scene = Scene {
    classes: &[Class::Stripe, Class::KeyedQueryable, Class::Addressable],
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Charge, Flow::Automatic]);
        stage.world.lists_forbidden = true;
        stage.world.patience_ms = 4 * DAY_MS;
        if stage.world.class.is_keyed() {
            stage.world.truth.horizon_ms = DAY_MS;
            stage.world.declared.horizon_ms = DAY_MS;
        }
        let fault = *stage
            .draw
            .pick(&[PspFault::HangAfter, PspFault::HangBefore, PspFault::ErrorAfter]);
        let for_ms = stage.draw.between(800, 6_000);
        let from_ms = stage.from_ms;
        stage.psp_at(from_ms.saturating_sub(50), for_ms, fault, 1_000);
    },
};

/// How far two clocks are apart where they are far apart, in milliseconds.
const SKEW_MS: u64 = 1_500;

/// Another installation makes an object with the payment's reference while ours is in doubt.
pub(super) const FOREIGN: Scene = Scene {
    classes: QUERYABLE,
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Charge]);
        stage.world.installation = String::new();
        stage.world.patience_ms = 4 * DAY_MS;
        lose(stage);
        let (at_ms, spread_ms) = stage.moment(Moment::Authorize);
        let (is_after, is_taken) = (stage.draw.chance(600), stage.draw.chance(300));
        let age_s = if is_after {
            0
        } else {
            3 + 2 * stage.world.truth.skew_ms / 1_000
        };
        // One that was made before the first request may have the same amount.
        let at_ms = if is_after {
            at_ms + spread_ms
        } else {
            stage.from_ms
        };
        let other_minor = stage.draw.between(1, 5_000) * 100;
        let object = ForeignObject {
            is_taken,
            amount_minor: other_minor,
            age_s,
        };
        stage.at_each(at_ms, |payment| Act::Foreign { payment, object });
    },
};

/// A person or a bank takes money back, and the event about it cannot be read at once.
pub(super) const EVENTS: Scene = Scene {
    classes: STRIPE,
    play: |stage| {
        stage.flows(&[Flow::Charge, Flow::Automatic]);
        let is_thin = stage.draw.chance(500);
        stage.world.thin_webhooks = is_thin;
        let delay_ms = stage.draw.between(0, 200);
        stage.world.webhooks = Some((delay_ms, 0));
        let (at_ms, _) = stage.moment(Moment::Resend);
        let hand = *stage
            .draw
            .pick(&[Hand::Dispute, Hand::Refund(1_000), Hand::Refund(400)]);
        stage.by_hand(at_ms, hand, false);
        let calls = Calls::Reads;
        let fault = *stage.draw.pick(&[
            PspFault::HangBefore,
            PspFault::ErrorBefore,
            PspFault::Rejected { status: 401, calls },
        ]);
        stage.psp_at(at_ms, 1_200, fault, 1_000);
    },
};

/// Requests land as late as they may, and the server that looks is as far ahead of the one that sent as clocks may be.
pub(super) const SKEWED: Scene = Scene {
    classes: &[Class::Queryable],
    play: |stage| {
        stage.servers(2);
        stage.world.truth.skew_ms = SKEW_MS;
        stage.world.declared.skew_ms = SKEW_MS;
        let half_ms = i64::try_from(SKEW_MS / 2).unwrap_or(0);
        let ahead = [-half_ms, half_ms, half_ms];
        for (clock_ms, ahead_ms) in stage.world.clocks_ms.iter_mut().zip(ahead) {
            *clock_ms = ahead_ms;
        }
        stage.world.psp_late_ms = 1_900;
        stage.world.webhooks = None;
        stage.flows(&[Flow::Manual, Flow::Charge]);
        let moment = *stage.draw.pick(&[Moment::Authorize, Moment::Capture]);
        stage.psp(moment, PspFault::Late, 1_000);
        stage.all(|payment| {
            payment.tries = 12;
            payment.pause_ms = 300;
        });
    },
};

/// Answers are lost, and somebody asks every second for as long as a look would take.
pub(super) const POLLED: Scene = Scene {
    classes: LISTED,
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Charge]);
        // Looks go unanswered as well for a while, so that the pauses between them become longer than a second.
        let (from_ms, for_ms) = (stage.from_ms, stage.draw.between(2_000, 6_000));
        stage.psp_at(from_ms.saturating_sub(20), for_ms, PspFault::HangAfter, 1_000);
        stage.all(|payment| {
            payment.looks = 40;
            payment.tries = 8;
        });
    },
};

/// The answer to an authorization is lost after its effect.
fn lose(stage: &mut Stage<'_>) {
    let fault = *stage
        .draw
        .pick(&[PspFault::HangAfter, PspFault::ErrorAfter, PspFault::Garbage]);
    stage.psp(Moment::Authorize, fault, 1_000);
}
