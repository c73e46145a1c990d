//! A merchant's own deployment, simulated: the PSPs that its configuration declares, each as bad as the declaration permits.
//!
//! A seed is about one PSP of the deployment. Its plan is the seed's ordinary plan, with the times stretched to what the
//! deployment declares (module `stretch`), so that it is a text like any other, and can be replayed without the configuration.

mod exempt;
pub mod limits;
mod stretch;

use std::path::Path;

use pay_once_core::{Config, ConfigFile, Connector, Millis, Psp, SecretPlace, key_digest};

use crate::plan::{Class, Constants, Plan, Policy};
use crate::swarm;
use crate::swarm::worlds::others;
use crate::tier::Tier;

pub use stretch::Pace;

/// The longest constant that can be simulated, in milliseconds.
const LONGEST_MS: Millis = Millis::new(400 * 24 * 3_600_000);
/// The key horizon of a PSP that honours no key, in milliseconds: nothing asks for it.
const NO_HORIZON_MS: u64 = 24 * 3_600_000;

/// A deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    installation: String,
    psps: Vec<Simulated>,
}

/// A PSP of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// Its name in the configuration.
    pub name: String,
    /// Its class in plans.
    pub class: Class,
    /// Its constants.
    pub constants: Constants,
    /// How long an authorization lives, in milliseconds.
    pub authorization_ms: u64,
    /// How long a customer may take for 3-D Secure, in milliseconds.
    pub action_ms: u64,
    /// What the deployment chose.
    pub policy: Policy,
    /// Whether more than one merchant pays through it.
    pub has_merchants: bool,
    /// The class of the PSP of the other face that can be beside it in one world.
    pub second: Option<Class>,
}

impl Deployment {
    /// Reads a configuration. The secrets that it names are not needed.
    ///
    /// # Errors
    /// One sentence that names the file, and what to change.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        Self::from_text(&text).map_err(|why| format!("{shown}: {why}"))
    }

    /// Takes the text of a configuration.
    ///
    /// # Errors
    /// One sentence that names the entry, and what to change.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let file: ConfigFile = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map(|before| before.matches('\n').count() + 1);
            let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            format!("{place}{}", error.message().trim().replace('\n', "; "))
        })?;
        let config = file.into_config(|place| Ok(placeholder(place)))?;
        config.check()?;
        Self::of(&config)
    }

    /// The deployment of a configuration.
    ///
    /// # Errors
    /// One sentence that names the PSP that cannot be simulated, and what to change.
    pub fn of(config: &Config) -> Result<Self, String> {
        let simulated = |(name, psp): (&String, &Psp)| {
            simulated(config, name, psp).map_err(|why| format!("psp \"{name}\": {why}"))
        };
        let mut psps: Vec<Simulated> = config.psps.iter().map(simulated).collect::<Result<_, _>>()?;
        if psps.is_empty() {
            return Err("no psp is configured, so there is nothing to simulate".to_owned());
        }
        let all = psps.clone();
        for psp in &mut psps {
            psp.second = all.iter().find(|other| psp.goes_with(other)).map(|it| it.class);
        }
        for (psp, one) in psps.iter_mut().zip(&all) {
            let other = all
                .iter()
                .find(|other| Some(other.class) == psp.second && one.goes_with(other));
            // The world's constants are those of both: a PSP without keys, or without look-ups, has none of its own.
            if let Some(other) = other {
                if !one.class.is_keyed() {
                    psp.constants.horizon_ms = other.constants.horizon_ms;
                }
                if !one.class.is_listed() {
                    psp.constants.lookup_lag_ms = other.constants.lookup_lag_ms;
                }
                psp.policy.prepare_first |= other.policy.prepare_first;
            }
        }
        Ok(Self {
            installation: config.installation.clone(),
            psps,
        })
    }

    /// Its PSPs.
    #[must_use]
    pub fn psps(&self) -> &[Simulated] {
        &self.psps
    }

    /// The PSP that a seed is about.
    #[must_use]
    #[allow(clippy::indexing_slicing)] // There is one: `of` sees to it.
    pub fn psp_of(&self, seed: u64) -> &Simulated {
        let number = seed % self.psps.len().max(1) as u64;
        &self.psps[usize::try_from(number).unwrap_or(0)]
    }

    /// The plan of a seed.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Plan {
        self.plan_at(seed, self.psp_of(seed), None)
    }

    /// The plan of a seed about one PSP, at a pace that is drawn unless it is given.
    pub(crate) fn plan_at(&self, seed: u64, psp: &Simulated, pace: Option<Pace>) -> Plan {
        let mut plan = swarm::plan_for(seed, Tier::Model, Some((psp.class, psp.second)));
        stretch::stretch(&mut plan, psp, pace);
        plan.world.installation.clone_from(&self.installation);
        plan
    }
}

impl Simulated {
    /// Whether the two can be in one world: on one account of one sandbox, with the same constants.
    fn goes_with(&self, other: &Self) -> bool {
        let same = |has: fn(Class) -> bool, constant: fn(&Constants) -> u64| {
            !has(self.class) || !has(other.class) || constant(&self.constants) == constant(&other.constants)
        };
        let (policy, its) = (self.policy, other.policy);
        others(self.class).contains(&other.class)
            && same(Class::is_keyed, |it| it.horizon_ms)
            && same(Class::is_listed, |it| it.lookup_lag_ms)
            && self.constants.max_in_flight_ms == other.constants.max_in_flight_ms
            && self.constants.skew_ms == other.constants.skew_ms
            && (self.authorization_ms, self.action_ms) == (other.authorization_ms, other.action_ms)
            && Policy {
                prepare_first: its.prepare_first,
                ..policy
            } == its
    }
}

fn simulated(config: &Config, name: &str, psp: &Psp) -> Result<Simulated, String> {
    let timing = &psp.timing;
    let all = [
        (
            "keyed_horizon_ms",
            psp.capabilities.keyed_horizon_ms.unwrap_or_default(),
        ),
        (
            "lookup_lag_ms",
            psp.capabilities.lookup_lag_ms.unwrap_or_default(),
        ),
        ("send_window_ms", timing.send_window_ms),
        ("call_timeout_ms", timing.call_timeout_ms),
        ("max_in_flight_ms", timing.max_in_flight_ms),
        ("max_clock_skew_ms", timing.max_clock_skew_ms),
        ("webhook_tolerance_ms", timing.webhook_tolerance_ms),
        ("authorization_lifetime_ms", timing.authorization_lifetime_ms),
        ("capture_margin_ms", timing.capture_margin_ms),
        ("action_timeout_ms", timing.action_timeout_ms),
        ("authorize_retry_ms", timing.authorize_retry_ms),
        ("time_budget_ms (of the deployment)", config.time_budget_ms),
    ];
    if let Some((what, ms)) = all.iter().find(|(_, ms)| *ms > LONGEST_MS) {
        return Err(format!(
            "{what} = {} is more than 400 days, which is not simulated; are these milliseconds?",
            ms.get()
        ));
    }
    if timing.authorization_lifetime_ms <= timing.capture_margin_ms {
        return Err(
            "capture_margin_ms must be below authorization_lifetime_ms, or nothing could ever be captured"
                .to_owned(),
        );
    }
    let merchants = config.merchants.values().filter(|it| it.psp == name).count();
    Ok(Simulated {
        name: name.to_owned(),
        class: class(psp)?,
        constants: Constants {
            horizon_ms: psp
                .capabilities
                .keyed_horizon_ms
                .map_or(NO_HORIZON_MS, Millis::get),
            max_in_flight_ms: timing.max_in_flight_ms.get(),
            lookup_lag_ms: psp.capabilities.lookup_lag_ms.unwrap_or_default().get(),
            skew_ms: timing.max_clock_skew_ms.get(),
        },
        authorization_ms: timing.authorization_lifetime_ms.get(),
        action_ms: timing.action_timeout_ms.get(),
        policy: Policy {
            time_budget_ms: config.time_budget_ms.get(),
            send_window_ms: timing.send_window_ms.get(),
            call_timeout_ms: timing.call_timeout_ms.get(),
            authorize_retry_ms: timing.authorize_retry_ms.get(),
            capture_margin_ms: timing.capture_margin_ms.get(),
            webhook_tolerance_ms: timing.webhook_tolerance_ms.get(),
            prepare_first: psp.capabilities.prepare_first,
        },
        has_merchants: merchants > 1,
        second: None,
    })
}

/// The class of plans that a PSP is of.
fn class(psp: &Psp) -> Result<Class, String> {
    let is_keyed = psp.capabilities.keyed_horizon_ms.is_some();
    let is_listed = psp.capabilities.lookup_lag_ms.is_some();
    match (psp.connector, psp.capabilities.addressable, is_keyed, is_listed) {
        (Connector::Stripe, true, true, true) => Ok(Class::Stripe),
        (Connector::Stripe, true, false, true) => Ok(Class::Addressable),
        (Connector::Acquirer, false, true, true) => Ok(Class::KeyedQueryable),
        (Connector::Acquirer, false, true, false) => Ok(Class::Keyed),
        (Connector::Acquirer, false, false, true) => Ok(Class::Queryable),
        (Connector::Acquirer, false, false, false) => Ok(Class::Blind),
        (Connector::Stripe, false, _, _) => Err(
            "only a Stripe whose PaymentIntents are read by id is simulated; declare addressable = true".to_owned(),
        ),
        (Connector::Stripe, true, _, false) => Err(
            "only a Stripe whose PaymentIntents can be listed is simulated; declare lookup_lag_ms (10000, say)".to_owned(),
        ),
        (Connector::Acquirer, true, _, _) => Err(
            "the acquirer face has no objects to address; leave addressable out".to_owned(),
        ),
    }
}

/// What stands in for a secret: 64 hexadecimal digits, which are good as a key and as the digest of one, and others for each place.
fn placeholder(place: SecretPlace<'_>) -> String {
    let (SecretPlace::Environment(name) | SecretPlace::File(name)) = place;
    key_digest(name)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;
