//! Two effects where one was asked for, seen and undone.

use super::steps::Moment;
use super::{LISTED, QUERYABLE, STRIPE, Scene, Stage};
use crate::plan::{Calls, Flow, Hand, PspFault};

/// The PSP authorizes twice, and the answer is lost until a list shows both.
pub(super) const AUTHORIZATIONS: Scene = Scene {
    classes: LISTED,
    play: |stage| {
        stage.flows(&[
            Flow::Manual,
            Flow::Void,
            Flow::Abandon,
            Flow::Charge,
            Flow::Automatic,
        ]);
        authorize_twice(stage);
    },
};

/// The PSP captures twice, the answer is lost, and so are answers to what undoes one of them.
pub(super) const CAPTURES: Scene = Scene {
    classes: QUERYABLE,
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Part, Flow::Charge, Flow::Automatic]);
        let moment = *stage.draw.pick(&[Moment::Capture, Moment::Authorize]);
        stage.world.captures_once = false;
        stage.psp(moment, PspFault::Twice, 1_000);
        stage.psp(moment, PspFault::HangAfter, 1_000);
        silence(stage);
        lose_answers(stage);
    },
};

/// Somebody gives a part of a second capture back by hand.
pub(super) const PART_REFUND: Scene = Scene {
    classes: LISTED,
    play: |stage| {
        stage.flows(&[Flow::Charge, Flow::Automatic, Flow::Manual]);
        authorize_twice(stage);
        let at_ms = stage.from_ms + stage.draw.between(1_500, 5_000);
        stage.by_hand(at_ms, Hand::Refund(400), true);
    },
};

/// The cardholder's bank takes a second capture back before we do. Nobody resolves what the PSP refuses from then on.
pub(super) const DISPUTED: Scene = Scene {
    classes: STRIPE,
    play: |stage| {
        stage.flows(&[Flow::Charge, Flow::Automatic]);
        authorize_twice(stage);
        stage.world.refund_ms = None;
        stage.world.refunds_fail_late = false;
        stage.world.operator_ms = None;
        let delay_ms = stage.draw.between(0, 400);
        stage.world.webhooks = Some((delay_ms, 0));
        let at_ms = stage.from_ms + stage.draw.between(1_500, 5_000);
        stage.by_hand(at_ms, Hand::Dispute, true);
    },
};

fn authorize_twice(stage: &mut Stage<'_>) {
    stage.psp(Moment::Authorize, PspFault::Twice, 1_000);
    stage.psp(Moment::Authorize, PspFault::HangAfter, 1_000);
    silence(stage);
    if stage.draw.chance(500) {
        lose_answers(stage);
    }
    if stage.world.class.is_stripe() && stage.draw.chance(700) {
        let (after_ms, succeeds) = (stage.draw.between(200, 3_000), stage.draw.chance(200));
        stage.world.refund_ms = Some((after_ms, succeeds));
        stage.world.refunds_fail_late = !succeeds && stage.draw.chance(400);
        // Nobody tells of a refund that fails, where nothing but a look does.
        if stage.world.refunds_fail_late {
            // What had gone through is not looked at again: only an event tells.
            stage.world.webhooks = stage.world.webhooks.or(Some((100, 0)));
        } else if stage.draw.chance(700) {
            stage.world.webhooks = None;
        }
    }
}

/// A key that is sent again would tell of one of the two alone: nothing that moves money is taken until keys are forgotten.
fn silence(stage: &mut Stage<'_>) {
    if stage.world.class.is_keyed() {
        let horizon_ms = stage.world.truth.horizon_ms;
        if horizon_ms > 10_000 {
            // Keys of a day are looked up for other reasons.
            stage.world.truth.horizon_ms = 5_000;
            stage.world.declared.horizon_ms = 5_000;
            stage.world.patience_ms = 600_000;
        }
        let status = 401;
        let calls = Calls::Money;
        let fault = *stage
            .draw
            .pick(&[PspFault::ReadOnly, PspFault::Rejected { status, calls }]);
        let (at_ms, for_ms) = stage.moment(Moment::Capture);
        stage.psp_at(at_ms, for_ms + 4_000, fault, 1_000);
    }
}

/// The answers to what undoes a duplicate get lost.
fn lose_answers(stage: &mut Stage<'_>) {
    let (at_ms, for_ms) = stage.moment(Moment::Capture);
    let fault = *stage.draw.pick(&[PspFault::HangAfter, PspFault::ErrorAfter]);
    stage.psp_at(at_ms + for_ms, 6_000, fault, 500);
}
