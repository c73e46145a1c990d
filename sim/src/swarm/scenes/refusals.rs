//! Refusals that are not about what they seem to be about.

use super::steps::Moment;
use super::{KEYED, Scene, THINK_MS};
use crate::plan::{Calls, Class, Flow, PspFault, Token};
use crate::world::DAY_MS;

/// A call is declined, and its server hears of it only when another server has proved absence and sent the next number, whose
/// answer is lost.
pub(super) const STALE: Scene = Scene {
    classes: &[Class::Queryable],
    play: |stage| {
        stage.servers(2);
        stage.flows(&[Flow::Manual, Flow::Charge, Flow::Automatic]);
        stage.psp(Moment::Authorize, PspFault::Declines, 1_000);
        // Slow enough that several answers are on their way when their server stands still.
        stage.world.psp_ms = (150, 250);
        // Just after the next number was sent, and before a look shows what became of it.
        let truth = &stage.world.truth;
        let proven_ms = truth.max_in_flight_ms + truth.lookup_lag_ms + truth.skew_ms;
        let (nth, late_ms) = (stage.draw.between(2, 4), stage.draw.between(100, 2_000));
        stage.stands_still(0, u32::try_from(nth).unwrap_or(1), true, proven_ms + late_ms);
        let lost = *stage.draw.pick(&[PspFault::HangAfter, PspFault::ErrorAfter]);
        stage.psp(Moment::Look, lost, 500);
        stage.all(|payment| {
            payment.tries = 12;
            payment.pause_ms = 300;
        });
    },
};

/// The answer is lost after the effect, and the next sending under the same key is refused.
pub(super) const RESEND: Scene = Scene {
    classes: KEYED,
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Charge, Flow::Automatic]);
        let is_charge = stage.draw.chance(500);
        if is_charge {
            stage.all(|payment| payment.flow = Flow::Charge);
        }
        let lost = *stage
            .draw
            .pick(&[PspFault::HangAfter, PspFault::ErrorAfter, PspFault::Garbage]);
        let refused = *stage.draw.pick(&[
            PspFault::FormRefused,
            PspFault::FormRefused,
            PspFault::TryAgain,
            PspFault::Rejected {
                status: 401,
                calls: Calls::All,
            },
            PspFault::Rejected {
                status: 400,
                calls: Calls::Money,
            },
        ]);
        let first_ms = if is_charge { 300 } else { 300 + THINK_MS };
        let from_ms = stage.from_ms;
        stage.psp_at(from_ms.saturating_sub(20), first_ms, lost, 1_000);
        stage.psp_at(from_ms + first_ms, 2_500, refused, 1_000);
    },
};

/// The PSP rejects what is asked for a while, and clients ask until it takes it.
pub(super) const WITHDRAWN: Scene = Scene {
    classes: &Class::ALL,
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Part, Flow::Charge, Flow::Automatic]);
        let status = *stage.draw.pick(&[400, 401, 403]);
        let moment = *stage.draw.pick(&[Moment::Authorize, Moment::Capture]);
        let calls = Calls::Money;
        stage.psp(moment, PspFault::Rejected { status, calls }, 1_000);
        stage.all(|payment| payment.returns = true);
    },
};

/// The network delivers a call twice, and the second answer is the one that arrives. A second answer that is a rejection can be
/// seen through only with a key that is remembered.
pub(super) const REDELIVERED: Scene = Scene {
    classes: &Class::ALL,
    play: |stage| {
        stage.flows(&[Flow::Manual, Flow::Part, Flow::Charge, Flow::Automatic]);
        let moment = *stage.draw.pick(&[Moment::Authorize, Moment::Capture]);
        let (is_refused, once) = (stage.draw.chance(500), stage.draw.chance(700));
        let permille = *stage.draw.pick(&[500, 1_000]);
        stage.world.captures_once = once;
        let has_memory = stage.world.class.is_keyed() && is_refused;
        let status = if has_memory { 401 } else { 0 };
        if has_memory {
            stage.world.truth.horizon_ms = DAY_MS;
            stage.world.declared.horizon_ms = DAY_MS;
            stage.all(|payment| payment.returns = true);
        }
        stage.psp(moment, PspFault::Redelivered { status }, permille);
    },
};

/// Two clients capture different amounts. The first one is rejected; the second one's capture is done, and the answer to it is a
/// rejection as well: only a webhook tells.
pub(super) const TWO_AMOUNTS: Scene = Scene {
    classes: KEYED,
    play: |stage| {
        stage.flows(&[Flow::Manual]);
        stage.all(|payment| {
            payment.rival = true;
            payment.rival_takes_half = true;
            payment.returns = true;
            payment.copies = 1;
        });
        stage.world.truth.horizon_ms = DAY_MS;
        stage.world.declared.horizon_ms = DAY_MS;
        let delay_ms = stage.draw.between(0, 1_000);
        stage.world.webhooks = Some((delay_ms, 0));
        // Otherwise the second client's capture is taken as well, if it comes before the webhook (`FOUND.md`).
        stage.world.captures_once = true;
        let (at_ms, for_ms) = stage.moment(Moment::Capture);
        let calls = Calls::Money;
        stage.psp_at(at_ms, for_ms, PspFault::Rejected { status: 401, calls }, 1_000);
        let permille = *stage.draw.pick(&[500, 1_000]);
        stage.psp_at(
            at_ms + for_ms,
            1_500,
            PspFault::Redelivered { status: 401 },
            permille,
        );
    },
};

/// A capture is below the PSP's minimum, and the authorization is not.
pub(super) const SMALL_CAPTURE: Scene = Scene {
    classes: &Class::ALL,
    play: |stage| {
        let least_minor = stage.draw.between(100, 1_000);
        let sent_minor = least_minor * 100;
        stage.world.min_minor = sent_minor;
        for payment in stage.payments.iter_mut() {
            payment.flow = Flow::Part;
            payment.token = Token::Good;
            payment.currency = "EUR".to_owned();
            payment.amount_minor = sent_minor + stage.draw.between(0, sent_minor / 3);
        }
    },
};
