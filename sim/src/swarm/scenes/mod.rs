//! Faults that come together on purpose. A rule that needs two things to go wrong at the same payment is met by a storm once in
//! many thousand seeds; a scene brings about just these, at all payments of its plan at once, and leaves the rest of the world
//! quiet. Four scenes of ten are drawn freely: two or three faults at moments that matter. The others are known to be hard.

mod clocks;
mod customers;
mod duplicates;
mod looks;
mod pairs;
mod refusals;
mod steps;

use super::worlds;
use crate::plan::{Act, Class, Payment, Plan, Step, World};
use crate::rng::{Concern, Draw};
use crate::tier::Tier;

/// How many seeds of a thousand are scenes.
const PERMILLE: u16 = 300;
/// How many payments a scene has at most.
const PAYMENTS_MAX: usize = 8;
/// How far apart the payments of a scene begin at most, in milliseconds.
const SPREAD_MS: u64 = 200;
/// How long clients of a scene think between two operations, in milliseconds: longer than the payments are apart.
const THINK_MS: u64 = 600;
/// When a scene's faults have ended, in milliseconds from the start: past a key's horizon and the looks behind it.
const HEAL_MS: u64 = 14_000;

/// What a scene is made of.
struct Stage<'a> {
    draw: &'a mut Draw,
    world: &'a mut World,
    payments: &'a mut Vec<Payment>,
    /// When the first payment begins, in milliseconds from the start.
    from_ms: u64,
    steps: Vec<Step>,
}

/// A scene: the classes that it is about, and what it does.
#[derive(Clone, Copy)]
struct Scene {
    classes: &'static [Class],
    play: fn(&mut Stage<'_>),
}

/// Classes whose objects can be found.
const LISTED: &[Class] = &[
    Class::Stripe,
    Class::Addressable,
    Class::Queryable,
    Class::KeyedQueryable,
];
/// Classes of Stripe's face.
const STRIPE: &[Class] = &[Class::Stripe, Class::Addressable];
/// Classes whose look-up lists all effects of an attempt.
const QUERYABLE: &[Class] = &[Class::Queryable, Class::KeyedQueryable];
/// Classes that honour keys.
const KEYED: &[Class] = &[Class::Stripe, Class::Keyed, Class::KeyedQueryable];

/// The hard ones. Only ever appended to.
const HARD: &[Scene] = &[
    refusals::STALE,
    refusals::RESEND,
    refusals::WITHDRAWN,
    refusals::REDELIVERED,
    refusals::SMALL_CAPTURE,
    customers::LATE,
    customers::TWO_PAGES,
    customers::CREATED_FIRST,
    duplicates::AUTHORIZATIONS,
    duplicates::CAPTURES,
    duplicates::PART_REFUND,
    looks::FAIL,
    looks::FORBIDDEN,
    looks::FOREIGN,
    looks::EVENTS,
    looks::POLLED,
    steps::LOST_SWAPS,
    steps::BUSY_STORE,
    steps::OTHERS_WRITE,
    refusals::TWO_AMOUNTS,
    duplicates::DISPUTED,
    looks::SKEWED,
];

/// The scene of a seed, if it is one of those that have one.
pub(super) fn scene(seed: u64, tier: Tier) -> Option<Plan> {
    let mut draw = Draw::new(seed, Concern::Clocks);
    if draw.chance(clocks::PERMILLE) {
        let scene = *draw.pick(clocks::of(tier));
        return Some(play(seed, tier, &scene, &mut draw));
    }
    let mut draw = Draw::new(seed, Concern::Scene);
    if !draw.chance(PERMILLE) {
        return None;
    }
    let (is_drawn, number) = (draw.chance(400), draw.between(0, HARD.len() as u64 - 1));
    let hard = usize::try_from(number).ok().and_then(|number| HARD.get(number));
    let scene = hard.filter(|_| !is_drawn).unwrap_or(&pairs::PAIR);
    Some(play(seed, tier, scene, &mut draw))
}

fn play(seed: u64, tier: Tier, scene: &Scene, draw: &mut Draw) -> Plan {
    let class = *draw.pick(scene.classes);
    let mut swarm = Draw::new(seed, Concern::Swarm);
    let mut world = worlds::world(seed, class, Some(tier), &mut swarm);
    calm(&mut world, tier);
    let mut payments: Vec<Payment> = super::workload::workload(seed, &world)
        .into_iter()
        .filter_map(|step| match step.act {
            Act::Pay(payment) => Some(payment),
            _ => None,
        })
        .take(PAYMENTS_MAX)
        .collect();
    for payment in &mut payments {
        plain(payment);
    }
    let from_ms = draw.between(300, 900);
    let mut stage = Stage {
        draw: &mut *draw,
        world: &mut world,
        payments: &mut payments,
        from_ms,
        steps: Vec::new(),
    };
    (scene.play)(&mut stage);
    let mut steps = stage.steps;
    for payment in payments {
        let at_ms = from_ms + draw.between(0, SPREAD_MS);
        steps.push(Step {
            at_ms,
            act: Act::Pay(payment),
        });
    }
    steps.sort_by_key(|step| step.at_ms);
    let steps = super::decided_once(steps);
    Plan { world, steps }
}

/// A world in which nothing but the scene is out of the ordinary.
fn calm(world: &mut World, tier: Tier) {
    world.second = None;
    world.heal_ms = HEAL_MS;
    world.psp_ms = (5, 60);
    world.crowd = 0;
    world.page_max = 100;
    // Long enough that what is found out late can be used, and short enough to see it released where time costs something.
    world.authorization_ms = if tier == Tier::Full { 20_000 } else { 30_000 };
    world.lists_forbidden = false;
}

/// A payment whose client is patient.
fn plain(payment: &mut Payment) {
    payment.merchant = 0;
    payment.keys_of = None;
    payment.think_ms = THINK_MS;
    payment.hang_up_ms = None;
    payment.hasty = false;
    payment.rival = false;
    payment.tries = payment.tries.max(4);
    payment.pause_ms = payment.pause_ms.max(300);
}
