//! What a deployment declares: merchants, PSPs, and the constants that the proofs rest on (`docs/psp.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::base::hex;
use crate::base::loss::Loss;
use crate::base::time::{Millis, UnixMillis};

/// How long an answer may take where a deployment does not say, in milliseconds (`docs/http.md`, “Time budget”).
pub const TIME_BUDGET_MS: Millis = Millis::new(150);

/// How long clients may retry where a deployment does not say, in milliseconds (`docs/operating.md`, “Restore”).
pub const CLIENT_RETRY_HORIZON_MS: Millis = Millis::new(30 * 24 * 3_600_000);

/// Everything core needs to know about a deployment. Checked by [`Config::check`] before it is used.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of this installation, part of every attempt's id: two installations behind one PSP account must not have the
    /// same one. A store has one for life. `""` is no name, for stores that were begun before there were names.
    pub installation: String,
    /// How long an answer may take before it becomes a 202, in milliseconds (`docs/http.md`, “Time budget”).
    pub time_budget_ms: Millis,
    /// The merchants, by id.
    pub merchants: BTreeMap<String, Merchant>,
    /// The PSPs, by the name that appears as `psp` and in `/webhooks/{psp}`.
    pub psps: BTreeMap<String, Psp>,
    /// The operators, by the name that the journal keeps. Without one, nobody can resolve.
    pub operators: BTreeMap<String, Operator>,
    /// How many operators must agree on a resolution: 1 or 2.
    pub resolve_needs: u8,
    /// A merchant that is served without a key. Only for a server that listens on loopback (`docs/http.md`, “Merchants”).
    pub open_merchant: Option<String>,
    /// How long a client may go on retrying a request, in milliseconds. For so long after a restore an attempt that the store does
    /// not know may be one that it has lost.
    pub client_retry_horizon_ms: Millis,
    /// What the store may have lost of the payments of a PSP, by the PSP's name. A PSP whose payments were compared with the store
    /// since is not in it.
    pub losses: BTreeMap<String, Loss>,
}

impl Default for Config {
    /// Nobody to serve, and every setting as a file that leaves it out has it.
    fn default() -> Self {
        Self {
            installation: String::new(),
            time_budget_ms: TIME_BUDGET_MS,
            merchants: BTreeMap::new(),
            psps: BTreeMap::new(),
            operators: BTreeMap::new(),
            resolve_needs: 1,
            open_merchant: None,
            client_retry_horizon_ms: CLIENT_RETRY_HORIZON_MS,
            losses: BTreeMap::new(),
        }
    }
}

/// One merchant: sees only its own attempts.
#[derive(Clone, Debug, Default)]
pub struct Merchant {
    /// SHA-256 of each API key that names this merchant; several while keys are being changed.
    pub key_digests: Vec<[u8; 32]>,
    /// Name of the PSP that its new attempts go to.
    pub psp: String,
    /// PSP token used when neither create nor authorize names one (the sandbox merchant has one).
    pub default_payment_method: Option<String>,
}

/// One operator: somebody of the deployment, not of a merchant. Sees the attempts of every merchant, and moves no money.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    /// SHA-256 of each key that names this operator; several while keys are being changed.
    pub key_digests: Vec<[u8; 32]>,
    /// What the operator may do.
    pub roles: BTreeSet<Role>,
}

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read attempts.
    Read,
    /// Resolve what is parked.
    Resolve,
}

/// Whom a bearer token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// This merchant.
    Merchant(&'a str),
    /// This operator.
    Operator(&'a str),
}

/// A PSP as declared: its face on the wire, its class, its constants.
#[derive(Clone, Debug)]
pub struct Psp {
    /// Which driver speaks to it.
    pub connector: Connector,
    /// Scheme, host and path prefix, without a closing slash.
    pub base_url: String,
    /// Its API key.
    pub api_key: Secret,
    /// The secrets that its webhooks may be signed with, several while one is being changed; without one they are refused.
    pub webhook_secrets: Vec<Secret>,
    /// What it offers for recovery.
    pub capabilities: Capabilities,
    /// Its constants.
    pub timing: Timing,
}

impl Psp {
    /// Whether it is on this machine: a sandbox, a double, a proxy of the deployment's own.
    #[must_use]
    pub fn is_on_loopback(&self) -> bool {
        let after_scheme = self.base_url.split("://").nth(1).unwrap_or_default();
        let authority = after_scheme.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        };
        let address: Option<core::net::IpAddr> = host.parse().ok();
        host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
    }
}

/// The two drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connector {
    /// Stripe's PaymentIntents.
    Stripe,
    /// A plain JSON card-network face.
    Acquirer,
}

/// What a PSP offers for ending an unknown (`docs/psp.md`). Nothing set is `blind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `keyed`: the same key within this many milliseconds has the same effect.
    pub keyed_horizon_ms: Option<Millis>,
    /// `addressable`: acts on an object made beforehand, whose state is read by id and which refuses to act twice.
    pub addressable: bool,
    /// `queryable`: found by our reference, this many milliseconds after the effect at the latest.
    pub lookup_lag_ms: Option<Millis>,
    /// Makes the object first and journals its id before any money can move, also where a key would do
    /// (rule 12; one write and one call more per authorization).
    pub prepare_first: bool,
}

impl Capabilities {
    /// Whether an authorization begins with a call that only makes the object.
    #[must_use]
    pub fn prepares(&self) -> bool {
        self.addressable && (self.prepare_first || self.keyed_horizon_ms.is_none())
    }
}

/// A PSP's constants, in milliseconds. Declared too low, they break the promise; the simulator shows how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the commit of a dispatch entry to the last moment at which its request may be sent (rule 1).
    pub send_window_ms: Millis,
    /// How long an answer is waited for.
    pub call_timeout_ms: Millis,
    /// Longest time between sending a request and its effect at the PSP (rule 6).
    pub max_in_flight_ms: Millis,
    /// Largest difference between any two clocks involved (rules 5, 6, 11).
    pub max_clock_skew_ms: Millis,
    /// How old a webhook's signed timestamp may be.
    pub webhook_tolerance_ms: Millis,
    /// How long an authorization lives where the PSP does not say (Stripe: 7 days).
    pub authorization_lifetime_ms: Millis,
    /// How long before that an uncaptured authorization is voided (rule 10). Far longer than it takes until somebody takes
    /// up the timers of a server that is gone for good (`server`: 30 s).
    pub capture_margin_ms: Millis,
    /// How long a customer may take for 3-D Secure before the attempt is abandoned.
    pub action_timeout_ms: Millis,
    /// How long after the request a new authorization may still be sent. A customer who left must not be charged
    /// hours later because a PSP came back.
    pub authorize_retry_ms: Millis,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            send_window_ms: Millis::new(2_000),
            call_timeout_ms: Millis::new(30_000),
            max_in_flight_ms: Millis::new(120_000),
            max_clock_skew_ms: Millis::new(2_000),
            webhook_tolerance_ms: Millis::new(300_000),
            authorization_lifetime_ms: Millis::new(7 * 24 * 3_600_000),
            capture_margin_ms: Millis::new(3_600_000),
            action_timeout_ms: Millis::new(3_600_000),
            authorize_retry_ms: Millis::new(120_000),
        }
    }
}

impl Timing {
    /// How long after the commit of a dispatch its effect can still come about, by any clock: the window to send in,
    /// the flight and the skew together.
    #[must_use]
    pub fn landed_after_ms(&self) -> Millis {
        self.send_window_ms + self.max_in_flight_ms + self.max_clock_skew_ms
    }
}

/// A secret: usable, never shown. Its memory is overwritten when it is dropped. A copy that an HTTP library makes of it is not.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }
    /// The text itself, for a header or a MAC.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads a digest that is written down: 64 hexadecimal digits. `None`: it is anything else.
#[must_use]
pub fn read_key_digest(digits: &str) -> Option<[u8; 32]> {
    hex::read(digits)
}

/// The digest under which a merchant's API key is kept.
#[must_use]
pub fn key_digest(api_key: &str) -> [u8; 32] {
    Sha256::digest(api_key.as_bytes()).into()
}

/// Compares digests in constant time, a word at a time: every request compares those of all merchants.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> Choice {
    // 32 bytes are four words, and nothing is left over.
    let (one, other) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    one.iter().zip(other).fold(Choice::from(1), |same, (one, other)| {
        same & u64::from_ne_bytes(*one).ct_eq(&u64::from_ne_bytes(*other))
    })
}

impl Config {
    /// Whom a bearer token names. Every digest is compared, each in constant time.
    #[must_use]
    pub fn named_by(&self, bearer: &str) -> Option<Named<'_>> {
        let digest = key_digest(bearer);
        let is_of = |known: &[[u8; 32]]| {
            let hits = known
                .iter()
                .fold(Choice::from(0), |hit, known| hit | is_same(&digest, known));
            bool::from(hits)
        };
        let mut found = None;
        for (name, merchant) in &self.merchants {
            if is_of(&merchant.key_digests) {
                found = Some(Named::Merchant(name));
            }
        }
        for (name, operator) in &self.operators {
            if is_of(&operator.key_digests) {
                found = Some(Named::Operator(name));
            }
        }
        found
    }

    /// What may have been lost of an attempt of this PSP that the store does not have.
    #[must_use]
    pub fn loss_of_absent(&self, psp: &str, now_ms: UnixMillis) -> Option<Loss> {
        let loss = self.losses.get(psp)?;
        (now_ms < loss.restored_ms + self.client_retry_horizon_ms).then_some(*loss)
    }

    /// Refuses a configuration that may not replace this one in a running deployment: a payment that a restored store has lost is looked
    /// for at the PSP that its merchant has now (rule 16).
    ///
    /// # Errors
    /// One sentence that says what to change.
    pub fn may_become(&self, next: &Self) -> Result<(), String> {
        let moved = self.merchants.iter().find(|(name, merchant)| {
            let is_moved = next
                .merchants
                .get(*name)
                .is_some_and(|next| next.psp != merchant.psp);
            is_moved && self.losses.contains_key(&merchant.psp)
        });
        match moved {
            Some((name, merchant)) => Err(format!(
                "merchant \"{name}\" cannot leave psp \"{}\" in restore mode: its lost payments would be looked for elsewhere, and paid again; end the mode first",
                merchant.psp
            )),
            None => Ok(()),
        }
    }

    /// Whether this operator has this role.
    #[must_use]
    pub fn allows(&self, operator: &str, role: Role) -> bool {
        self.operators
            .get(operator)
            .is_some_and(|operator| operator.roles.contains(&role))
    }

    /// Refuses a configuration on which no promise can be kept.
    ///
    /// # Errors
    /// One sentence that says what to change.
    pub fn check(&self) -> Result<(), String> {
        for (name, psp) in &self.psps {
            let t = &psp.timing;
            if psp
                .capabilities
                .keyed_horizon_ms
                .is_some_and(|h| h <= t.landed_after_ms())
            {
                return Err(format!(
                    "psp \"{name}\": keyed_horizon_ms must exceed send_window_ms + max_in_flight_ms + max_clock_skew_ms, or no key could ever be sent again"
                ));
            }
            if t.send_window_ms == Millis::ZERO || t.call_timeout_ms == Millis::ZERO {
                return Err(format!(
                    "psp \"{name}\": send_window_ms and call_timeout_ms must be above 0"
                ));
            }
            if t.call_timeout_ms > t.max_in_flight_ms {
                return Err(format!(
                    "psp \"{name}\": max_in_flight_ms must be at least call_timeout_ms"
                ));
            }
            // A URL is shown in logs. Its authority ends at the first slash.
            let authority = psp
                .base_url
                .split("://")
                .nth(1)
                .and_then(|rest| rest.split('/').next());
            if authority.is_some_and(|authority| authority.contains('@')) {
                return Err(format!(
                    "psp \"{name}\": base_url has credentials in it; they belong into api_key"
                ));
            }
            if psp.capabilities.addressable && psp.connector == Connector::Acquirer {
                return Err(format!(
                    "psp \"{name}\": the acquirer face has no objects to address; declare it keyed, queryable or blind"
                ));
            }
        }
        for (name, loss) in &self.losses {
            if !self.psps.contains_key(name) {
                return Err(format!("losses: no psp named \"{name}\" is configured"));
            }
            if loss.begins_ms > loss.restored_ms {
                return Err(format!(
                    "psp \"{name}\": loss.begins_ms is after loss.restored_ms"
                ));
            }
        }
        let mut digests = BTreeMap::new();
        for (id, merchant) in &self.merchants {
            for digest in &merchant.key_digests {
                if let Some(other) = digests.insert(digest, id).filter(|other| *other != id) {
                    return Err(format!(
                        "merchants \"{other}\" and \"{id}\" have the same API key; a key must name one merchant"
                    ));
                }
            }
            if !self.psps.contains_key(&merchant.psp) {
                return Err(format!(
                    "merchant \"{id}\": no psp named \"{}\" is configured",
                    merchant.psp
                ));
            }
        }
        self.check_operators(&digests)?;
        match &self.open_merchant {
            Some(id) if !self.merchants.contains_key(id) => {
                Err(format!("open_merchant \"{id}\" is not a configured merchant"))
            }
            _ => Ok(()),
        }
    }

    /// `merchants`: who has which digest.
    fn check_operators(&self, merchants: &BTreeMap<&[u8; 32], &String>) -> Result<(), String> {
        let mut digests = BTreeMap::new();
        for (name, operator) in &self.operators {
            if operator.key_digests.is_empty() || operator.roles.is_empty() {
                return Err(format!(
                    "operator \"{name}\" needs a key (api_key_sha256) and a role (roles = [\"read\", \"resolve\"])"
                ));
            }
            for digest in &operator.key_digests {
                if let Some(merchant) = merchants.get(digest) {
                    return Err(format!(
                        "operator \"{name}\" and merchant \"{merchant}\" have the same API key; an operator's key is nobody else's"
                    ));
                }
                if let Some(other) = digests.insert(digest, name).filter(|other| *other != name) {
                    return Err(format!(
                        "operators \"{other}\" and \"{name}\" have the same API key; a key must name one operator"
                    ));
                }
            }
        }
        let resolvers = self
            .operators
            .keys()
            .filter(|name| self.allows(name, Role::Resolve))
            .count();
        match self.resolve_needs {
            1 => Ok(()),
            2 if resolvers != 1 => Ok(()),
            2 => Err(
                "resolve_needs = 2, but only one operator has the role \"resolve\": add another one"
                    .to_owned(),
            ),
            other => Err(format!("resolve_needs is {other}; it can be 1 or 2")),
        }
    }

    /// Refuses what may not be reachable from outside (`docs/http.md`, “Merchants”): a merchant that needs no key or
    /// can have none, a PSP whose webhooks nobody signs.
    ///
    /// # Errors
    /// One sentence that says what to change.
    pub fn check_public(&self) -> Result<(), String> {
        if let Some(id) = &self.open_merchant {
            return Err(format!(
                "open_merchant \"{id}\": nobody is served without a key here; leave it out"
            ));
        }
        let keyless = |(_, merchant): &(&String, &Merchant)| merchant.key_digests.is_empty();
        if let Some((id, _)) = self.merchants.iter().find(keyless) {
            return Err(format!(
                "merchant \"{id}\" has no key: name the variable that has its digests with api_key_sha256_env"
            ));
        }
        let unsigned = |(_, psp): &(&String, &Psp)| psp.webhook_secrets.is_empty();
        match self.psps.iter().find(unsigned) {
            Some((name, _)) => Err(format!(
                "psp \"{name}\" has no webhook secret: name the variable that has it with webhook_secret_env"
            )),
            None if self.merchants.is_empty() => Err("no merchants are configured".to_owned()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_that_differs_in_any_byte_is_another_one() {
        let digest = key_digest("key");
        assert!(bool::from(is_same(&digest, &digest)));
        for place in 0..digest.len() {
            let mut other = digest;
            other[place] ^= 1;
            assert!(!bool::from(is_same(&digest, &other)), "byte {place}");
        }
    }
}
