//! Customers and their 3-D Secure.

use super::steps::Moment;
use super::{LISTED, STRIPE, Scene};
use crate::plan::{Calls, Class, Flow, PspFault, Token};

/// A customer comes about when the time is over, and the release at the end of it does not go through.
pub(super) const LATE: Scene = Scene {
    classes: LISTED,
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Charge, Flow::Charge, Flow::Automatic]);
        let action_ms = stage.world.action_ms;
        for payment in stage.payments.iter_mut() {
            // Near the end, or long after it: then the looks before it have shown an open page.
            let after_ms = match stage.draw.chance(500) {
                true => stage
                    .draw
                    .between(action_ms.saturating_sub(800), action_ms + 1_500),
                false => stage.draw.between(action_ms + 3_000, action_ms + 9_000),
            };
            payment.token = Token::Secure(after_ms);
        }
        if stage.draw.chance(700) {
            stage.world.webhooks = None;
        }
        let status = *stage.draw.pick(&[400, 401, 403]);
        let calls = Calls::Money;
        let fault = *stage.draw.pick(&[
            PspFault::Rejected { status, calls },
            PspFault::ReadOnly,
            PspFault::HangBefore,
            PspFault::ErrorBefore,
            PspFault::ReadOnly,
        ]);
        let (at_ms, _) = stage.moment(Moment::Deadline);
        let for_ms = stage.draw.between(1_000, 9_000);
        stage.psp_at(at_ms.saturating_sub(300), for_ms, fault, 1_000);
        if stage.draw.chance(300) {
            stage.psp_at(at_ms.saturating_sub(300), for_ms, PspFault::ReadMissing, 1_000);
        }
    },
};

/// The PSP executes a call twice, and asks for 3-D Secure at two pages. The webhook of one is faster than the answer with the
/// other.
pub(super) const TWO_PAGES: Scene = Scene {
    classes: &[Class::Stripe, Class::Queryable, Class::KeyedQueryable],
    play: |stage| {
        stage.servers(2);
        stage.flows(&[Flow::Manual, Flow::Charge]);
        for payment in stage.payments.iter_mut() {
            let after_ms = stage.draw.between(800, 2_500);
            payment.token = Token::Secure(after_ms);
            payment.looks = 3;
        }
        stage.world.webhooks = Some((0, 0));
        stage.psp(Moment::Authorize, PspFault::Twice, 1_000);
        let for_ms = stage.draw.between(300, 900);
        stage.stand_still(true, for_ms);
    },
};

/// Stripe tells of the object before the answer does, and the answer is lost: what is sent again must be the same request.
pub(super) const CREATED_FIRST: Scene = Scene {
    classes: STRIPE,
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Charge, Flow::Automatic]);
        stage.world.created_webhooks = true;
        stage.world.thin_webhooks = false;
        let delay_ms = stage.draw.between(0, 300);
        stage.world.webhooks = Some((delay_ms, 0));
        let lost = *stage
            .draw
            .pick(&[PspFault::HangAfter, PspFault::ErrorAfter, PspFault::Garbage]);
        stage.psp(Moment::Authorize, lost, 1_000);
    },
};
