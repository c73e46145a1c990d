//! The world of a seed: its PSPs, its constants, and what lasts longer than a few seconds.

use super::HEAL_MS;
use crate::plan::{Act, Calls, Class, Constants, PLAN_VERSION, PspFault, Shape, Step, StoreFault, World};
use crate::rng::{Concern, Draw};
use crate::tier::Tier;
use crate::world::DAY_MS;

/// How late a late request lands, in milliseconds. What is left of `max_in_flight_ms` is for messages that wait.
const LATENESS_MS: [u64; 2] = [1_200, 1_900];
/// How long the PSP is read-only in one seed of 32, in milliseconds: longer than it takes to prove eight effects absent, one
/// after the other.
const OUTAGE_MS: u64 = 60_000;
/// How long an authorization lives where something lasts, in milliseconds: past the outage and the third try, and not so long
/// that nobody would see it released.
const OUTLIVES_OUTAGE_MS: u64 = 90_000;
/// How long a customer may take where customers are slow, in milliseconds.
const SLOW_ACTION_MS: u64 = 75_000;
/// How long an authorization lives where customers are slow and the clock takes time, in milliseconds.
const SLOW_CUSTOMERS_HOLD_MS: u64 = 25_000;
const HOUR_MS: u64 = 3_600_000;
/// How long a run of days may go on after healing, in milliseconds.
pub(super) const DAYS_MS: u64 = 4 * DAY_MS;
/// How far two clocks are apart at most where they are far apart, in milliseconds.
const LARGE_SKEW_MS: u64 = 1_500;
/// The constants as they are.
const TRUTH: Constants = Constants {
    horizon_ms: 5_000,
    max_in_flight_ms: 2_000,
    lookup_lag_ms: 1_000,
    skew_ms: 150,
};

/// The world of a seed, without what lasts. Its constants are varied for the tier that is given.
pub(super) fn world(seed: u64, class: Class, varied: Option<Tier>, draw: &mut Draw) -> World {
    let servers = draw.between(1, 3);
    let more = &mut Draw::new(seed, Concern::World);
    let (is_skewed, is_extreme) = (more.chance(250), more.chance(600));
    let (is_skewed, is_extreme) = (is_skewed && varied.is_some(), is_extreme && varied.is_some());
    let skew_ms = if is_skewed { LARGE_SKEW_MS } else { TRUTH.skew_ms };
    // The PSP's clock is the true one, so that each server is off by half of what two of them may differ by.
    let clocks_ms = (0..servers)
        .map(|_| {
            let any = draw.between(0, skew_ms);
            let ahead_ms = if is_extreme {
                any / (skew_ms / 2 + 1) * skew_ms
            } else {
                any
            };
            i64::try_from(ahead_ms).unwrap_or(0) - i64::try_from(skew_ms / 2).unwrap_or(0)
        })
        .collect();
    // Keys of a day get old only where days pass.
    let has_old_keys = more.chance(200) && varied == Some(Tier::Model);
    let truth = Constants {
        skew_ms,
        horizon_ms: if has_old_keys { DAY_MS } else { TRUTH.horizon_ms },
        ..TRUTH
    };
    let slow_psp = draw.chance(500);
    let webhooks = draw.chance(700).then_some((
        draw.between(0, 400),
        u8::try_from(draw.between(0, 2)).unwrap_or(0),
    ));
    let psp_late_ms = *draw.pick(&LATENESS_MS);
    let second = *more.pick(others(class));
    let has_second = more.chance(250);
    let is_stripe = class.is_stripe() || has_second && second.is_stripe();
    let (is_busy, page_max, crowd) = (more.chance(300), more.between(1, 3), more.between(1, 4));
    let is_busy = is_busy && is_stripe;
    let (has_operator, operator_ms) = (more.chance(500), more.between(4_000, 8_000));
    let (has_copies, copies_ms) = (more.chance(250), more.between(2_000, 60_000));
    let (is_named, is_thin) = (more.chance(500), more.chance(200));
    let later = &mut Draw::new(seed, Concern::Later);
    let (second_secret, created, once) = (later.chance(250), later.chance(200), later.chance(300));
    let is_choosy = later.chance(250) && is_stripe;
    let needs_two = later.chance(300);
    let (is_pending, refund_ms, succeeds) = (more.chance(250), more.between(300, 4_000), more.chance(700));
    World {
        plan: PLAN_VERSION,
        seed,
        class,
        truth,
        declared: truth,
        clocks_ms,
        psp_ms: if slow_psp { (100, 800) } else { (5, 60) },
        store_ms: (1, 4),
        net_ms: (0, 2),
        psp_late_ms,
        // Its margin, a hundredth of it, is to be more than what clocks differ by.
        authorization_ms: if is_skewed { 25_000 } else { 7_000 },
        action_ms: 3_000,
        webhooks,
        heal_ms: HEAL_MS,
        patience_ms: if has_old_keys { DAYS_MS } else { 600_000 },
        installation: if is_named { "eu".to_owned() } else { String::new() },
        second: has_second.then_some(second),
        page_max: if is_busy {
            usize::try_from(page_max).unwrap_or(1)
        } else {
            100
        },
        crowd: if is_busy {
            u32::try_from(crowd).unwrap_or(1)
        } else {
            0
        },
        operator_ms: has_operator.then_some(operator_ms),
        copies_ms: has_copies.then_some(copies_ms),
        thin_webhooks: is_thin && is_stripe,
        lists_forbidden: false,
        refund_ms: (is_pending && is_stripe).then_some((refund_ms, succeeds)),
        refunds_fail_late: false,
        no_refund_updates: is_choosy,
        captures_once: once,
        min_minor: 0,
        second_secret,
        shape: Shape::Servers,
        deaths_permille: 0,
        no_place_permille: 0,
        created_webhooks: created && is_stripe,
        dates: false,
        two_operators: needs_two && has_operator,
        policy: None,
    }
}

/// The classes of the other face that can be on one account with `class`. Keys are remembered equally long on both.
pub(crate) fn others(class: Class) -> &'static [Class] {
    match class {
        Class::Stripe => &[
            Class::Keyed,
            Class::Queryable,
            Class::KeyedQueryable,
            Class::Blind,
        ],
        Class::Addressable => &[Class::Queryable, Class::Blind],
        Class::Keyed | Class::KeyedQueryable => &[Class::Stripe],
        Class::Queryable | Class::Blind => &[Class::Stripe, Class::Addressable],
    }
}

/// What lasts: one seed of four has something of the kind. Days pass in the model tier alone, where time costs nothing.
pub(super) fn lasting(world: &mut World, tier: Tier) -> Option<Step> {
    let draw = &mut Draw::new(world.seed, Concern::Outage);
    let (kind, at_ms) = (draw.between(0, 63), draw.between(500, 3_000));
    let (long_ms, hours) = (draw.between(20_000, 50_000), draw.between(1, 30));
    let (status, calls) = (*draw.pick(&[401, 403]), *draw.pick(&[Calls::All, Calls::Money]));
    let fault = *draw.pick(&[StoreFault::Down, StoreFault::NoWrites]);
    let outlast = |world: &mut World, for_ms: u64| {
        world.heal_ms = HEAL_MS + for_ms;
        // The full stack's clock takes time: what nobody uses is released there soon after.
        let least_ms = if tier == Tier::Full { 0 } else { OUTLIVES_OUTAGE_MS };
        world.authorization_ms = least_ms.max(for_ms + OUTLIVES_OUTAGE_MS / 3);
    };
    let psp = |fault: PspFault, for_ms: u64| Act::Psp {
        fault,
        permille: 1_000,
        for_ms,
    };
    let has_days = tier == Tier::Model;
    let act = match kind {
        0 | 1 => {
            outlast(world, OUTAGE_MS);
            psp(PspFault::ReadOnly, OUTAGE_MS)
        }
        2 | 3 => {
            world.action_ms = SLOW_ACTION_MS;
            outlast(world, SLOW_ACTION_MS);
            if tier == Tier::Full {
                // Nothing is out of order for long, and it begins when the customer comes.
                world.authorization_ms = SLOW_CUSTOMERS_HOLD_MS;
            }
            return None;
        }
        4 | 5 => {
            outlast(world, long_ms);
            psp(PspFault::Rejected { status, calls }, long_ms)
        }
        6 | 7 => {
            outlast(world, long_ms);
            Act::Store {
                fault,
                permille: 1_000,
                for_ms: long_ms,
            }
        }
        8 if has_days => {
            world.lists_forbidden = true;
            // Then events alone tell of a refund that was pending.
            world.no_refund_updates = false;
            world.patience_ms = DAYS_MS;
            world.authorization_ms = 3 * DAY_MS;
            return None;
        }
        9 if has_days => {
            let for_ms = hours * HOUR_MS;
            world.patience_ms = DAYS_MS;
            outlast(world, for_ms);
            psp(PspFault::Rejected { status, calls }, for_ms)
        }
        _ => return None,
    };
    Some(Step { at_ms, act })
}
