//! How far a PSP may be from what a deployment declares of it, before a promise breaks. Core is told what is declared; the PSP is
//! worse by a factor, on seeds that are aimed at the constant; the control has the same seeds with a PSP as declared.

use super::{Deployment, Pace, Simulated};
use crate::batch::{Batch, Failure, Outcome};
use crate::plan::{Act, Class, Constants, Plan, PspFault, Step};
use crate::rng::{Concern, Draw};
use crate::tier::Tier;

mod page;

pub use page::page;

/// How much worse the PSP is, in thousandths, one after the other until something breaks.
pub const FACTORS: [u64; 7] = [1_050, 1_100, 1_250, 1_500, 2_000, 4_000, 10_000];
/// The PSP as declared.
const AS_DECLARED: u64 = 1_000;
/// What the network may add to a flight, in milliseconds.
const ON_THE_WAY_MS: u64 = 100;

/// What is no harm: an operation that is left to a person, or late.
const NO_HARM: [&str; 5] = [
    "parked for a reason",
    "liveness",
    "bounded work",
    "answered in time",
    "time budget",
];

/// A constant that a promise rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// How long a key is remembered.
    Horizon,
    /// The longest time from a sending to its effect.
    Flight,
    /// The longest time from an effect to its being found.
    Lag,
    /// The largest difference of two clocks.
    Skew,
}

impl Constant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Horizon, Self::Flight, Self::Lag, Self::Skew];

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Horizon => "keyed_horizon_ms",
            Self::Flight => "max_in_flight_ms",
            Self::Lag => "lookup_lag_ms",
            Self::Skew => "max_clock_skew_ms",
        }
    }

    /// Whether the promise for a class rests on it.
    fn bears(self, class: Class) -> bool {
        match self {
            Self::Horizon => class.is_keyed(),
            // Of a blind PSP nothing is concluded, so nothing rests on what it does.
            Self::Flight | Self::Skew => class != Class::Blind,
            Self::Lag => class.is_listed(),
        }
    }

    fn of(self, constants: &Constants) -> u64 {
        match self {
            Self::Horizon => constants.horizon_ms,
            Self::Flight => constants.max_in_flight_ms,
            Self::Lag => constants.lookup_lag_ms,
            Self::Skew => constants.skew_ms,
        }
    }

    /// The true value of a PSP that is worse by a factor: it forgets sooner, or takes longer.
    fn worse_ms(self, declared_ms: u64, permille: u64) -> u64 {
        let (to, from) = match self {
            Self::Horizon => (AS_DECLARED, permille.max(1)),
            _ => (permille, AS_DECLARED),
        };
        u64::try_from(u128::from(declared_ms) * u128::from(to) / u128::from(from)).unwrap_or(u64::MAX)
    }
}

/// What came of one constant of one PSP.
#[derive(Clone, Debug)]
pub struct Row {
    /// The PSP's name.
    pub psp: String,
    /// Its class.
    pub class: Class,
    /// The constant.
    pub constant: Constant,
    /// Its declared value, in milliseconds.
    pub declared_ms: u64,
    /// The largest factor without harm, in thousandths; 1,000 is the truth.
    pub harmless: u64,
    /// The first factor with harm, in thousandths; the first seed; how many of the first failures were harm.
    pub harm: Option<(u64, Failure, u64)>,
    /// Seeds of the control.
    pub control_seeds: u64,
    /// What broke in the control.
    pub control: Vec<Failure>,
}

/// How seeds are run.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Seeds of a factor.
    pub seeds: u64,
    /// Threads.
    pub threads: usize,
    /// Whether a progress bar is drawn.
    pub has_bar: bool,
}

/// Measures every constant of every PSP.
#[must_use]
pub fn measure(deployment: &Deployment, effort: Effort) -> Vec<Row> {
    let pairs = deployment
        .psps()
        .iter()
        .flat_map(|psp| Constant::ALL.map(|constant| (psp, constant)));
    pairs
        .filter(|(psp, constant)| constant.bears(psp.class) && constant.of(&psp.constants) > 0)
        .map(|(psp, constant)| row(deployment, psp, constant, effort))
        .collect()
}

fn row(deployment: &Deployment, psp: &Simulated, constant: Constant, effort: Effort) -> Row {
    let run = |permille: u64| -> Outcome {
        let change = |plan: &mut Plan| *plan = aimed(deployment, psp, constant, permille, plan.world.seed);
        let batch = Batch {
            tier: Tier::Model,
            from: 0,
            seeds: effort.seeds,
            threads: effort.threads,
            has_bar: effort.has_bar,
            change: &change,
            until: None,
            is_over_at_first: false,
            on_thread: &|| {},
        };
        batch.run()
    };
    let control = run(AS_DECLARED);
    let mut row = Row {
        psp: psp.name.clone(),
        class: psp.class,
        constant,
        declared_ms: constant.of(&psp.constants),
        harmless: AS_DECLARED,
        harm: None,
        control_seeds: control.seeds,
        control: control.failures,
    };
    for permille in FACTORS {
        let outcome = run(permille);
        // What breaks with a PSP as declared as well is not the factor's.
        let is_known = |seed: u64| row.control.iter().any(|failure| failure.seed == seed);
        let mut harms = outcome
            .failures
            .into_iter()
            .filter(|failure| !is_known(failure.seed) && !NO_HARM.contains(&failure.violation.oracle));
        if let Some(first) = harms.next() {
            let harmed = 1 + harms.count() as u64;
            row.harm = Some((permille, first, harmed));
            return row;
        }
        row.harmless = permille;
    }
    row
}

/// The plan of a row and seed, for replay.
///
/// # Errors
/// One sentence that says which names there are.
pub fn plan_of(deployment: &Deployment, name: &str, seed: u64) -> Result<Plan, String> {
    let parts: Vec<&str> = name.split('/').collect();
    let found = match parts.as_slice() {
        [psp, constant, factor] => named(deployment, psp, constant, factor),
        _ => None,
    };
    let (psp, constant, permille) = found.ok_or_else(|| {
        let psps: Vec<&str> = deployment.psps().iter().map(|psp| psp.name.as_str()).collect();
        let constants = Constant::ALL.map(Constant::name);
        format!(
            "\"{name}\" is no row; give PSP/CONSTANT/FACTOR, like {}/max_in_flight_ms/1.5, of the PSPs {} and the constants {}",
            psps.first().copied().unwrap_or_default(),
            psps.join(", "),
            constants.join(", ")
        )
    })?;
    Ok(aimed(deployment, psp, constant, permille, seed))
}

fn named<'a>(
    deployment: &'a Deployment,
    psp: &str,
    constant: &str,
    factor: &str,
) -> Option<(&'a Simulated, Constant, u64)> {
    let psp = deployment.psps().iter().find(|it| it.name == psp)?;
    let constant = Constant::ALL.into_iter().find(|it| it.name() == constant)?;
    let factor: f64 = factor.parse().ok()?;
    let is_meant = (0.001..=1_000.0).contains(&factor);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Within the range that is checked.
    is_meant.then_some((psp, constant, (factor * 1_000.0).round() as u64))
}

/// A plan on which a constant matters, of a PSP that is worse by a factor.
fn aimed(deployment: &Deployment, psp: &Simulated, constant: Constant, permille: u64, seed: u64) -> Plan {
    // The rows are about one PSP each.
    let psp = Simulated {
        second: None,
        ..psp.clone()
    };
    let draw = &mut Draw::new(seed, Concern::Limits);
    // Until its horizon a key makes up for what is unknown: there the other constants matter at the end of it.
    let is_long = constant == Constant::Horizon || psp.class.is_keyed() && draw.chance(700);
    let pace = if is_long { Pace::Horizon } else { Pace::Flight };
    let mut plan = deployment.plan_at(seed, &psp, Some(pace));
    let world = &mut plan.world;
    world.lists_forbidden = false;
    // An operator's word is no evidence of the PSP's.
    world.operator_ms = None;
    worsen(&mut plan, constant, permille);
    let faults = faults(&psp, constant, is_long, draw);
    let (mut heal_ms, last_ms) = (plan.world.heal_ms, plan.world.heal_ms / 3);
    // Some of the payments have begun by then, and have an authorization.
    let mut at_ms = draw.between(0, last_ms);
    for (fault, permille, for_ms) in faults {
        let act = Act::Psp {
            fault,
            permille,
            for_ms,
        };
        plan.steps.push(Step { at_ms, act });
        at_ms = at_ms.saturating_add(for_ms);
        heal_ms = heal_ms.max(at_ms);
    }
    plan.steps.sort_by_key(|step| step.at_ms);
    plan.world.heal_ms = heal_ms;
    plan
}

/// Makes the truth worse than what is declared.
fn worsen(plan: &mut Plan, constant: Constant, permille: u64) {
    // The PSP takes all of the flight for itself.
    plan.steps.retain(|step| !matches!(step.act, Act::Hold { .. }));
    let world = &mut plan.world;
    let worse_ms = constant.worse_ms(constant.of(&world.declared), permille);
    match constant {
        Constant::Horizon => world.truth.horizon_ms = worse_ms,
        Constant::Flight => world.truth.max_in_flight_ms = worse_ms,
        Constant::Lag => world.truth.lookup_lag_ms = worse_ms,
        Constant::Skew => world.truth.skew_ms = worse_ms,
    }
    // All else is at its worst as well.
    let flight_ms = world.truth.max_in_flight_ms;
    world.psp_late_ms = flight_ms.saturating_sub(ON_THE_WAY_MS).max(flight_ms / 2);
    if world.clocks_ms.len() < 2 {
        world.clocks_ms.push(0);
    }
    let off_ms = i64::try_from(world.truth.skew_ms / 2).unwrap_or(i64::MAX);
    for (clock_ms, sign) in world.clocks_ms.iter_mut().zip([1, -1].into_iter().cycle()) {
        *clock_ms = sign * off_ms;
    }
}

/// What the PSP does, one after the other: fault, how often in a thousand, how long.
fn faults(psp: &Simulated, constant: Constant, is_long: bool, draw: &mut Draw) -> Vec<(PspFault, u16, u64)> {
    let (flight_ms, horizon_ms) = (psp.constants.max_in_flight_ms, psp.constants.horizon_ms);
    let share = *draw.pick(&[400, 1_000]);
    let (is_early, early_ms) = (draw.chance(500), draw.between(horizon_ms / 2, horizon_ms));
    let past_ms = draw.between(horizon_ms, horizon_ms + horizon_ms / 4);
    match (constant, is_long) {
        // The key is sent again and again, and nobody hears that it had its effect at once.
        (Constant::Horizon, _) => vec![(PspFault::HangAfter, 1_000, past_ms)],
        // Nothing arrives for long, and then late.
        (_, true) if is_early => vec![
            (PspFault::HangBefore, 1_000, early_ms),
            (PspFault::Late, 1_000, past_ms.saturating_sub(early_ms)),
        ],
        (_, true) => vec![(PspFault::Late, 1_000, past_ms)],
        (_, false) => vec![(PspFault::Late, share, draw.between(flight_ms, 3 * flight_ms))],
    }
}
