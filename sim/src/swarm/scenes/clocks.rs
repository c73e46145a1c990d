//! Clocks that are set.

use super::steps::Moment;
use super::{LISTED, Scene, Stage};
use crate::plan::{Act, Class, Flow, PspFault, Step};
use crate::swarm::clocks_hours;
use crate::tier::Tier;

/// How many seeds of a thousand are one of these.
pub(super) const PERMILLE: u16 = 40;
/// Those of every tier. Only ever appended to.
const ALL: &[Scene] = &[STEPPED, STEPPED_AT_SENDING];
/// Those of the model. What seems old once a clock is set right is looked at with pauses of up to a minute: longer than the full
/// stack's runs are patient. Only ever appended to.
const MODEL: &[Scene] = &[STEPPED, STEPPED_AT_SENDING, CORRECTED];
/// How long a server stands still at a sending while its clock is set, in milliseconds: past the time to send in.
const STILL_MS: u64 = 4_000;

/// The scenes of a tier.
pub(super) fn of(tier: Tier) -> &'static [Scene] {
    if tier == Tier::Model { MODEL } else { ALL }
}

impl Stage<'_> {
    fn set_clock(&mut self, at_ms: u64, server: usize, ahead_ms: i64) {
        let act = Act::SetClock { server, ahead_ms };
        self.steps.push(Step { at_ms, act });
    }

    /// Requests land late or never, or are not answered, at the moment that is drawn; its beginning.
    fn late(&mut self) -> u64 {
        self.world.dates = true;
        self.world.psp_late_ms = 1_900;
        self.world.webhooks = None;
        self.flows(&[Flow::Manual, Flow::Charge]);
        let moment = *self.draw.pick(&[Moment::Authorize, Moment::Capture]);
        let fault = *self
            .draw
            .pick(&[PspFault::Late, PspFault::HangAfter, PspFault::HangBefore]);
        self.psp(moment, fault, 1_000);
        self.all(|payment| {
            payment.tries = 12;
            payment.pause_ms = 300;
        });
        self.moment(moment).0
    }
}

/// A clock that was right is set wrong by hours while requests are under way, and perhaps set right again.
const STEPPED: Scene = Scene {
    classes: LISTED,
    play: |stage| {
        let at_ms = stage.late();
        for server in 0..stage.world.clocks_ms.len() {
            let ahead_ms = clocks_hours(stage.draw);
            let set_ms = at_ms + stage.draw.between(0, 1_200);
            stage.set_clock(set_ms, server, ahead_ms);
            if stage.draw.chance(400) {
                let back_ms = set_ms + stage.draw.between(100, 5_000);
                stage.set_clock(back_ms, server, 0);
            }
        }
    },
};

/// A clock is set back by hours while its server stands still before a sending.
const STEPPED_AT_SENDING: Scene = Scene {
    classes: &[Class::Queryable, Class::Addressable],
    play: |stage| {
        stage.servers(2);
        stage.late();
        stage.stand_still(false, STILL_MS);
        for server in 0..stage.world.clocks_ms.len() {
            let at_ms = stage.from_ms + stage.draw.between(300, 2_500);
            let ahead_ms = clocks_hours(stage.draw);
            stage.set_clock(at_ms, server, -ahead_ms.abs());
        }
    },
};

/// A machine that has started with a clock that is behind is set right while requests are under way.
const CORRECTED: Scene = Scene {
    classes: &[Class::Queryable, Class::Addressable],
    play: |stage| {
        stage.world.clocks_ms.truncate(1);
        if stage.draw.chance(500) {
            // So that a look is under way when the clock is set.
            stage.world.psp_ms = (100, 800);
        }
        let at_ms = stage.late();
        let behind_ms = i64::try_from(stage.draw.between(4_000, 120_000)).unwrap_or(4_000);
        stage.set_clock(0, 0, -behind_ms);
        // Before the look that could prove absence, or after it.
        let (soon_ms, late_ms) = (stage.draw.between(0, 2_500), stage.draw.between(4_000, 9_000));
        let set_ms = if stage.draw.chance(700) { soon_ms } else { late_ms };
        stage.set_clock(at_ms + set_ms, 0, 0);
    },
};
