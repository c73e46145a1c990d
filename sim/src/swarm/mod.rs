//! From a seed to a plan. Each seed turns on a random subset of the faults and of the clients' habits (a swarm), so that
//! some runs are quiet enough for one of them to be seen alone, and others are a storm.

mod aim;
mod faults;
mod scenes;
mod strangers;
mod workload;
pub(crate) mod worlds;

use crate::plan::{Act, Class, Payment, Plan, PspFault, Shape, Step};
use crate::rng::{Concern, Draw};
use crate::tier::Tier;
use faults::FAULTS;

/// What of a flight is for the messages' own latency, in milliseconds.
pub(crate) const LATENCY_MS_MAX: u64 = 60;
/// When faults end, in milliseconds from the start.
pub(crate) const HEAL_MS: u64 = 6_500;
/// When the last payment begins, in milliseconds from the start.
pub(crate) const LAST_PAYMENT_MS: u64 = 3_500;
/// When a backup is restored, in milliseconds from the start.
const RESTORE_MS: (u64, u64) = (600, 5_500);
/// How old a backup is at most, in milliseconds.
const BACKUP_AGE_MS_MAX: u64 = 3_000;
/// Payments in a plan: at least.
const PAYMENTS_MIN: u64 = 10;
/// At most.
const PAYMENTS_MAX: u64 = 14;

/// The plan of a seed for a tier. Plans of the two tiers differ only where days pass.
#[must_use]
pub fn plan(seed: u64, tier: Tier) -> Plan {
    plan_for(seed, tier, None)
}

/// The plan of a seed, with the classes of its PSPs if they are given.
#[must_use]
pub fn plan_for(seed: u64, tier: Tier, classes: Option<(Class, Option<Class>)>) -> Plan {
    // A deployment's plan is made of the constants that it brings.
    if let Some(mut scene) = scenes::scene(seed, tier).filter(|_| classes.is_none()) {
        shape(&mut scene, tier);
        restore(&mut scene, tier);
        set_clocks(&mut scene);
        return scene;
    }
    let mut swarm = Draw::new(seed, Concern::Swarm);
    let drawn = *swarm.pick(&Class::ALL);
    let class = classes.map_or(drawn, |(first, _)| first);
    // A deployment brings its own constants.
    let varied = classes.is_none().then_some(tier);
    let mut world = worlds::world(seed, class, varied, &mut swarm);
    if let Some((_, second)) = classes {
        world.second = second;
    }
    let lasting = worlds::lasting(&mut world, tier);
    let mut steps = workload::workload(seed, &world);
    let payments: Vec<(u64, Payment)> = steps
        .iter()
        .filter_map(|step| match &step.act {
            Act::Pay(payment) => Some((step.at_ms, payment.clone())),
            _ => None,
        })
        .collect();
    // One run in eight has no faults at all: what is slow there is slow of itself. One in eight has a single one.
    let kind = swarm.between(0, 7);
    let turned_on: Vec<bool> = FAULTS.iter().map(|_| swarm.chance(350)).collect();
    let mut faults = Draw::new(seed, Concern::Faults);
    let mut aim = Draw::new(seed, Concern::Aim);
    match kind {
        0 => {}
        1 => {
            let fault = *faults.pick(FAULTS);
            let act = fault(&mut faults, &world);
            steps.push(aim::single(&mut aim, &world, &payments, act));
        }
        _ => {
            for (fault, on) in FAULTS.iter().zip(turned_on) {
                for _ in 0..faults.between(1, 3) {
                    let at_ms = aim::moment(&mut aim, &world, &payments);
                    let act = fault(&mut faults, &world);
                    if on {
                        steps.push(Step { at_ms, act });
                    }
                }
            }
            steps.extend(lasting);
        }
    }
    if kind > 1 {
        // What strangers have made is there before the payment begins.
        let strangers = strangers::steps(&world, &payments);
        let has_foreign = strangers
            .iter()
            .any(|step| matches!(step.act, Act::Foreign { .. }));
        if has_foreign && tier == Tier::Model {
            // What a look shows of others is believed to go away for a day.
            world.patience_ms = worlds::DAYS_MS;
        }
        steps.splice(0..0, strangers);
    }
    // A process that is paused may well be killed before it goes on.
    let mut killed = Draw::new(seed, Concern::Killed);
    let kills: Vec<Step> = steps.iter().filter_map(|step| kill(step, &mut killed)).collect();
    steps.extend(kills);
    steps.sort_by_key(|step| step.at_ms);
    let mut plan = Plan {
        world,
        steps: decided_once(steps),
    };
    if classes.is_none() {
        shape(&mut plan, tier);
        restore(&mut plan, tier);
        set_clocks(&mut plan);
    }
    if tier == Tier::Full && plan.world.heal_ms > HEAL_MS {
        // What begins after a long fault would not end in the time that such a run has.
        for step in &mut plan.steps {
            if let Act::Pay(payment) = &mut step.act {
                payment.returns = false;
            }
        }
    }
    // A server whose clock is far ahead parks what it takes for forgotten.
    let is_skewed = plan.world.truth.skew_ms > 200;
    if is_skewed || plan.has_disturbed_servers() || plan.has_copies() {
        // A hasty word that comes late would be about something that is parked by then, and false.
        for step in &mut plan.steps {
            if let Act::Pay(payment) = &mut step.act {
                payment.hasty = false;
            }
        }
    }
    plan
}

/// Chooses how core is hosted. Where anything is out of order, processes of some plans end between two operations of the store, and
/// servers of some have no place for a call.
fn shape(plan: &mut Plan, tier: Tier) {
    let draw = &mut Draw::new(plan.world.seed, Concern::Shape);
    let (shape, deaths_permille) = (
        *draw.pick(&[
            Shape::Servers,
            Shape::Servers,
            Shape::Objects,
            Shape::Instances,
            Shape::Instances,
        ]),
        *draw.pick(&[0, 0, 5, 30]),
    );
    if tier == Tier::Full {
        return;
    }
    let is_calm = plan.steps.iter().all(|step| matches!(step.act, Act::Pay(_)));
    // Only servers that live long have a clock to compare a wall clock with.
    let shape = if plan.clocks_set_ms() > 0 {
        Shape::Servers
    } else {
        shape
    };
    plan.world.shape = shape;
    // Where a second delivery is rejected, a webhook alone tells of the first: it must not be held up.
    let is_told_late = |step: &Step| matches!(step.act, Act::Psp { fault: PspFault::Redelivered { status }, .. } if status != 0);
    let is_calm = is_calm || plan.steps.iter().any(is_told_late);
    plan.world.deaths_permille = match shape {
        Shape::Objects | Shape::Instances if !is_calm => deaths_permille,
        _ => 0,
    };
    let places = &mut Draw::new(plan.world.seed, Concern::Places);
    let no_place_permille = *places.pick(&[0, 0, 20, 300]);
    plan.world.no_place_permille = match shape {
        Shape::Servers if !is_calm => no_place_permille,
        _ => 0,
    };
}

/// In one seed of twelve an operator restores a backup of the store while payments are made.
fn restore(plan: &mut Plan, tier: Tier) {
    let draw = &mut Draw::new(plan.world.seed, Concern::Restore);
    let (is_restored, at_ms) = (draw.chance(80), draw.between(RESTORE_MS.0, RESTORE_MS.1));
    let (age_ms, down_ms) = (draw.between(50, BACKUP_AGE_MS_MAX), draw.between(20, 600));
    if !is_restored || tier == Tier::Full {
        return;
    }
    for step in &mut plan.steps {
        // Another installation's object of that time cannot be told from one of ours.
        if let Act::Foreign { object, .. } = &mut step.act {
            object.age_s += step.at_ms.div_ceil(1_000) + plan.world.truth.skew_ms.div_ceil(1_000) + 1;
        }
    }
    let act = Act::Restore {
        age_ms: age_ms.min(at_ms),
        down_ms,
    };
    plan.steps.push(Step { at_ms, act });
    plan.steps.sort_by_key(|step| step.at_ms);
}

/// In some plans answers have a `Date`, and in some of these wall clocks are set by hours. Only servers that live long have a clock
/// beside it.
fn set_clocks(plan: &mut Plan) {
    let draw = &mut Draw::new(plan.world.seed, Concern::Clocks);
    // The word that scenes take.
    let _ = draw.word();
    let (has_dates, are_set) = (draw.chance(300), draw.chance(400));
    plan.world.dates |= has_dates;
    let has_scene = plan.clocks_set_ms() > 0;
    if has_scene || !has_dates || !are_set || plan.world.shape != Shape::Servers {
        return;
    }
    for server in 0..plan.world.clocks_ms.len() {
        let mut at_ms = 0;
        for _ in 0..draw.between(0, 2) {
            at_ms += draw.between(200, 3_000);
            let ahead_ms = match draw.chance(300) {
                true => 0,
                false => clocks_hours(draw),
            };
            let act = Act::SetClock { server, ahead_ms };
            plan.steps.push(Step { at_ms, act });
        }
    }
    plan.steps.sort_by_key(|step| step.at_ms);
}

/// Hours by which a clock is set wrong, in milliseconds.
fn clocks_hours(draw: &mut Draw) -> i64 {
    let hours = i64::try_from(draw.between(1, 5)).unwrap_or(1);
    let hours = if draw.chance(500) { hours } else { -hours };
    hours * 3_600_000
}

/// Leaves out an issuer's declines where the PSP may execute a call twice: what it declines at first and approves by itself right after
/// is not one payment's story.
fn decided_once(mut steps: Vec<Step>) -> Vec<Step> {
    let fault = |step: &Step| match step.act {
        Act::Psp { fault, .. } => Some(fault),
        _ => None,
    };
    let is_twice = |step: &Step| matches!(fault(step), Some(PspFault::Twice | PspFault::Redelivered { .. }));
    if steps.iter().any(is_twice) {
        steps.retain(|step| fault(step) != Some(PspFault::Declines));
    }
    steps
}

fn kill(step: &Step, draw: &mut Draw) -> Option<Step> {
    let Act::Pause { server, for_ms } = step.act else {
        return None;
    };
    let (is_killed, after_ms, silent) = (draw.chance(400), draw.between(1, for_ms), draw.chance(300));
    is_killed.then_some(Step {
        at_ms: step.at_ms + after_ms,
        act: Act::Crash {
            server,
            down_ms: 500,
            silent,
        },
    })
}
