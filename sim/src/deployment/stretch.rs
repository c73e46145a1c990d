//! From the seed's ordinary plan, which is made for a flight of two seconds and an authorization of seven, to one for what a
//! deployment declares.
//!
//! A deployment's constants lie far apart (a flight of minutes, an authorization of days), so that no single factor brings the
//! plan's steps near all of them. Each seed therefore goes at one [`Pace`]: its steps are as close to one of the constants as the
//! ordinary plan's are to that constant of theirs.

use super::Simulated;
use crate::plan::{Act, Host, Payment, Plan, Step, Token, World};
use crate::rng::{Concern, Draw};
use crate::swarm::{HEAL_MS, LATENCY_MS_MAX};
use crate::world::BUDGET_MS;
use crate::world::DAY_MS;

/// From how long on a fault of an ordinary plan is one that lasts, in milliseconds: what strikes and passes is shorter.
const LASTING_MS: u64 = 10_000;
const HOUR_MS: u64 = 3_600_000;
/// What the network may add to a flight that is all the PSP's, in milliseconds.
const ON_THE_WAY_MS: u64 = 100;

/// Which constant of the deployment the steps of a plan are close to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// None: clients and faults take seconds.
    Seconds,
    /// The longest flight.
    Flight,
    /// The time for 3-D Secure.
    Action,
    /// The horizon of keys.
    Horizon,
    /// The life of an authorization.
    Life,
}

/// A factor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    to_ms: u64,
    from_ms: u64,
}

impl Ratio {
    /// What makes `from_ms` to `to_ms`.
    pub(super) fn new(to_ms: u64, from_ms: u64) -> Self {
        Self {
            to_ms,
            from_ms: from_ms.max(1),
        }
    }

    /// `ms` by the factor, and not less than 1 unless it was 0.
    pub(super) fn of(self, ms: u64) -> u64 {
        let long = u128::from(ms) * u128::from(self.to_ms) / u128::from(self.from_ms);
        u64::try_from(long).unwrap_or(u64::MAX).max(ms.min(1))
    }

    fn is_below(self, other: Self) -> bool {
        u128::from(self.to_ms) * u128::from(other.from_ms)
            < u128::from(other.to_ms) * u128::from(self.from_ms)
    }

    /// The smaller of two.
    pub(super) fn at_most(self, other: Self) -> Self {
        if other.is_below(self) { other } else { self }
    }

    fn signed(self, ms: i64) -> i64 {
        let long = i64::try_from(self.of(ms.unsigned_abs())).unwrap_or(i64::MAX);
        long * ms.signum()
    }
}

/// Stretches a plan, at a pace that is drawn unless it is given.
pub(super) fn stretch(plan: &mut Plan, to: &Simulated, pace: Option<Pace>) {
    let draw = &mut Draw::new(plan.world.seed, Concern::Deployment);
    let drawn = *draw.pick(&[
        Pace::Seconds,
        Pace::Flight,
        Pace::Flight,
        Pace::Flight,
        Pace::Action,
        Pace::Horizon,
        Pace::Life,
    ]);
    let from = plan.world.clone();
    let flight = Ratio::new(to.constants.max_in_flight_ms, from.truth.max_in_flight_ms);
    let pace = match pace.unwrap_or(drawn) {
        Pace::Seconds => Ratio::new(1, 1),
        Pace::Horizon if to.class.is_keyed() => Ratio::new(to.constants.horizon_ms, from.truth.horizon_ms),
        Pace::Flight | Pace::Horizon => flight,
        Pace::Action => Ratio::new(to.action_ms, 3_000),
        Pace::Life => Ratio::new(to.authorization_ms, 7_000),
    };
    let short = pace.at_most(flight);
    world(&mut plan.world, to, (pace, short), draw);
    let hold = Ratio::new(room_ms(&plan.world), room_ms(&from));
    let mut longer_ms = 0;
    for step in &mut plan.steps {
        let is_lasting = lasts_ms(&step.act) >= LASTING_MS;
        step.at_ms = pace.of(step.at_ms);
        // A storm at the pace of days would leave nothing standing: half of the faults are over sooner.
        let fault = if draw.chance(500) { pace } else { short };
        stretch_step(step, to, &from, (pace, fault, short, hold));
        if is_lasting {
            longer_ms = longer_ms.max(lasts_ms(&step.act));
        }
    }
    if !to.has_merchants && to.second.is_none() {
        for step in &mut plan.steps {
            if let Act::Pay(payment) = &mut step.act {
                (payment.merchant, payment.keys_of) = (0, None);
            }
        }
    }
    plan.world.heal_ms = pace.of(HEAL_MS).saturating_add(longer_ms);
    plan.world.patience_ms = patience_ms(&plan.world);
}

/// What of the longest flight the PSP leaves to messages that wait, in milliseconds.
fn room_ms(world: &World) -> u64 {
    let latest_ms = world.psp_late_ms.saturating_add(LATENCY_MS_MAX);
    world.truth.max_in_flight_ms.saturating_sub(latest_ms)
}

fn world(world: &mut World, to: &Simulated, (pace, short): (Ratio, Ratio), draw: &mut Draw) {
    let (from, constants) = (world.truth, to.constants);
    let flight = Ratio::new(constants.max_in_flight_ms, from.max_in_flight_ms);
    let skew = Ratio::new(constants.skew_ms, from.skew_ms);
    let is_extreme = draw.chance(500);
    for (clock_ms, sign) in world.clocks_ms.iter_mut().zip([1, -1].into_iter().cycle()) {
        *clock_ms = match is_extreme {
            true => sign * i64::try_from(constants.skew_ms / 2).unwrap_or(0),
            false => skew.signed(*clock_ms),
        };
    }
    let is_all_the_psps = world.psp_late_ms * 10 > from.max_in_flight_ms * 9;
    world.psp_late_ms = match is_all_the_psps {
        true => constants
            .max_in_flight_ms
            .saturating_sub(ON_THE_WAY_MS)
            .max(constants.max_in_flight_ms / 2),
        false => flight.of(world.psp_late_ms),
    };
    let wait = Ratio::new(to.policy.call_timeout_ms, 1_000);
    if draw.chance(500) || to.policy.call_timeout_ms < 1_000 {
        world.psp_ms = (wait.of(world.psp_ms.0), wait.of(world.psp_ms.1));
    }
    (world.truth, world.declared) = (constants, constants);
    (world.authorization_ms, world.action_ms) = (to.authorization_ms, to.action_ms);
    world.policy = Some(to.policy);
    let soon_ms = to.policy.webhook_tolerance_ms / 4;
    world.webhooks = world
        .webhooks
        .map(|(after_ms, copies)| (short.of(after_ms).min(soon_ms), copies));
    world.refund_ms = world
        .refund_ms
        .map(|(after_ms, succeeds)| (pace.of(after_ms), succeeds));
    // The books tell once nothing can land any more.
    let operator = Ratio::new(settled_ms(world), 3_650);
    world.operator_ms = world.operator_ms.map(|after_ms| operator.of(after_ms));
    if !world.classes().any(|class| class.is_stripe()) {
        world.crowd = 0;
        world.page_max = 100;
        world.thin_webhooks = false;
        world.refund_ms = None;
    }
}

/// How long after the commit of a dispatch all that came of it can be seen, in milliseconds.
fn settled_ms(world: &World) -> u64 {
    let truth = &world.truth;
    let all_ms = [truth.max_in_flight_ms, truth.lookup_lag_ms, truth.skew_ms];
    all_ms.iter().fold(world.policy().send_window_ms, |sum_ms, ms| {
        sum_ms.saturating_add(*ms)
    })
}

/// How long everything may take to end, in milliseconds: an authorization that nobody captures, the last tries of what the PSP does
/// not take, an operator who comes many times, ever later.
fn patience_ms(world: &World) -> u64 {
    let horizon_ms = match world.classes().any(|class| class.is_keyed()) {
        true => world.truth.horizon_ms,
        false => 0,
    };
    [
        world.authorization_ms,
        world.action_ms,
        horizon_ms,
        4 * DAY_MS,
        settled_ms(world).saturating_mul(20),
        world.operator_ms.unwrap_or(0).saturating_mul(800),
    ]
    .iter()
    .fold(0, |sum_ms: u64, ms| sum_ms.saturating_add(*ms))
}

/// Stretches one step: `pace` of the plan, `fault` of this step, `short` where days make no sense, `hold` for a message's wait.
fn stretch_step(
    step: &mut Step,
    to: &Simulated,
    from: &World,
    (pace, fault, short, hold): (Ratio, Ratio, Ratio, Ratio),
) {
    match &mut step.act {
        Act::Pay(payment) => pay(payment, to, from, pace),
        // Servers ask a store that is away every second: an hour of that shows what a day would.
        Act::Store { for_ms, .. } => *for_ms = fault.of(*for_ms).min(HOUR_MS),
        Act::Partition { from, to, for_ms, .. } if [*from, *to].contains(&Host::Store) => {
            *for_ms = fault.of(*for_ms).min(HOUR_MS);
        }
        Act::Crash { down_ms: for_ms, .. }
        | Act::Pause { for_ms, .. }
        | Act::AtSend { for_ms, .. }
        | Act::Partition { for_ms, .. } => {
            *for_ms = fault.of(*for_ms);
        }
        Act::Psp { for_ms, .. } => {
            let flight = Ratio::new(to.constants.max_in_flight_ms, from.truth.max_in_flight_ms);
            *for_ms = match *for_ms {
                // Hours are hours.
                HOUR_MS.. => *for_ms,
                LASTING_MS.. => flight.of(*for_ms),
                _ => fault.of(*for_ms),
            };
        }
        Act::Hold { for_ms, .. } => *for_ms = hold.of(*for_ms),
        Act::Replay { later_ms, for_ms, .. } => {
            *later_ms = short.of(*later_ms);
            *for_ms = fault.of(*for_ms);
        }
        // Made well before, by the PSP's clock.
        Act::Foreign { object, .. } => object.age_s += 2 * to.constants.skew_ms.div_ceil(1_000),
        Act::Restore { age_ms, down_ms } => {
            *age_ms = short.of(*age_ms);
            *down_ms = fault.of(*down_ms);
        }
        Act::Die { .. } | Act::Forge { .. } | Act::ByHand { .. } | Act::SetClock { .. } => {}
    }
}

/// How long a fault of the store or the PSP lasts, in milliseconds.
fn lasts_ms(act: &Act) -> u64 {
    match act {
        Act::Store { for_ms, .. } | Act::Psp { for_ms, .. } => *for_ms,
        _ => 0,
    }
}

fn pay(payment: &mut Payment, to: &Simulated, from: &World, pace: Ratio) {
    let action = Ratio::new(to.action_ms, from.action_ms);
    payment.pause_ms = pace.of(payment.pause_ms);
    payment.think_ms = pace.of(payment.think_ms);
    if to.policy.time_budget_ms > BUDGET_MS {
        payment.timeout_ms = Ratio::new(to.policy.time_budget_ms, BUDGET_MS).of(payment.timeout_ms);
    }
    match &mut payment.token {
        Token::Secure(after_ms) | Token::SecureFails(after_ms) => *after_ms = action.of(*after_ms),
        _ => {}
    }
}
