//! PSPs of every class, one merchant, one attempt: what the targets share.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use pay_once_core::{
    AttemptId, Capabilities, Config, Connector, Merchant, Millis, Operator, Psp, Role, Secret, Timing,
    key_digest,
};
use pay_once_psp_model::PSP_URL;

/// 2025-11-26T12:34:56Z, when every story begins, in milliseconds since the Unix epoch.
pub const START_MS: u64 = 1_764_160_496_000;
/// A day, in milliseconds.
pub const DAY_MS: u64 = 86_400_000;
/// What webhooks are signed with.
pub const SECRET: &str = "whsec_test";
/// The API key of the one merchant, where one is asked for.
pub const MERCHANT_KEY: &str = "mk_demo";
/// What the operator calls with.
pub const OPERATOR_KEY: &str = "ok_ada";
/// The create request's body; a target may put another token in.
pub const CREATE: &str =
    r#"{"order_id":"ord_123","amount":2599,"currency":"GBP","payment_method":"pm_card_visa"}"#;
/// How long an effect may stay unlisted, in milliseconds.
pub const LOOKUP_LAG_MS: u64 = 5_000;

/// The PSP classes of `docs/psp.md`, on the faces that can have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keyed 24 h and addressable.
    Stripe,
    /// Addressable only: keys are sent and not honoured.
    StripeNoKeys,
    /// Keyed and found by listing, but not read by id.
    StripeListed,
    /// Keyed, and nothing else.
    AcquirerKeyed,
    /// Found by our reference.
    AcquirerQueryable,
    /// Both.
    AcquirerKeyedQueryable,
    /// Neither.
    Blind,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] = [
        Kind::Stripe,
        Kind::StripeNoKeys,
        Kind::StripeListed,
        Kind::AcquirerKeyed,
        Kind::AcquirerQueryable,
        Kind::AcquirerKeyedQueryable,
        Kind::Blind,
    ];

    /// Which driver speaks to it.
    #[must_use]
    pub fn connector(self) -> Connector {
        match self {
            Kind::Stripe | Kind::StripeNoKeys | Kind::StripeListed => Connector::Stripe,
            Kind::AcquirerKeyed | Kind::AcquirerQueryable | Kind::AcquirerKeyedQueryable | Kind::Blind => {
                Connector::Acquirer
            }
        }
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.connector() {
            Connector::Stripe => "stripe",
            Connector::Acquirer => "acquirer",
        }
    }

    /// What it offers for recovery.
    #[must_use]
    pub fn capabilities(self) -> Capabilities {
        let keyed = Some(Millis::new(DAY_MS));
        let lag = Some(Millis::new(LOOKUP_LAG_MS));
        let (keyed_horizon_ms, addressable, lookup_lag_ms) = match self {
            Kind::Stripe => (keyed, true, lag),
            Kind::StripeNoKeys => (None, true, lag),
            Kind::StripeListed => (keyed, false, lag),
            Kind::AcquirerKeyed => (keyed, false, None),
            Kind::AcquirerQueryable => (None, false, lag),
            Kind::AcquirerKeyedQueryable => (keyed, false, lag),
            Kind::Blind => (None, false, None),
        };
        Capabilities {
            keyed_horizon_ms,
            addressable,
            lookup_lag_ms,
            prepare_first: false,
        }
    }

    /// A deployment with this PSP. `is_patient`: authorizations are tried for a day.
    #[must_use]
    pub fn config(self, is_patient: bool) -> &'static Config {
        static CONFIGS: LazyLock<Vec<Config>> = LazyLock::new(|| {
            let all = Kind::ALL
                .iter()
                .flat_map(|kind| [kind.declared(false), kind.declared(true)]);
            all.collect()
        });
        let at = 2 * (self as usize) + usize::from(is_patient);
        CONFIGS.get(at).unwrap_or_else(|| unreachable!("two of each"))
    }

    fn declared(self, is_patient: bool) -> Config {
        let mut timing = Timing::default();
        if is_patient {
            timing.authorize_retry_ms = Millis::new(DAY_MS);
        }
        let psp = Psp {
            connector: self.connector(),
            base_url: PSP_URL.to_owned(),
            api_key: Secret::new("sk_test"),
            webhook_secrets: vec![Secret::new(SECRET)],
            capabilities: self.capabilities(),
            timing,
        };
        let merchant = Merchant {
            psp: self.name().to_owned(),
            ..Merchant::default()
        };
        let operator = Operator {
            key_digests: vec![key_digest(OPERATOR_KEY)],
            roles: [Role::Read, Role::Resolve].into_iter().collect(),
        };
        let config = Config {
            installation: String::new(),
            time_budget_ms: Millis::new(150),
            merchants: BTreeMap::from([("demo".to_owned(), merchant)]),
            psps: BTreeMap::from([(self.name().to_owned(), psp)]),
            operators: BTreeMap::from([("ada".to_owned(), operator)]),
            open_merchant: Some("demo".to_owned()),
            ..Config::default()
        };
        assert_eq!(config.check(), Ok(()));
        config
    }
}

/// The same deployment, but nobody is served without an API key.
#[must_use]
pub fn closed(config: &Config) -> Config {
    let mut config = config.clone();
    config.open_merchant = None;
    for (name, key) in [("demo", MERCHANT_KEY), ("other", "mk_other")] {
        let merchant = Merchant {
            key_digests: vec![key_digest(key)],
            psp: config.psps.keys().next().cloned().unwrap_or_default(),
            default_payment_method: None,
        };
        config.merchants.insert(name.to_owned(), merchant);
    }
    config
}

/// The one attempt: merchant `demo`, key `k1`.
#[must_use]
pub fn attempt() -> AttemptId {
    static ID: LazyLock<AttemptId> = LazyLock::new(|| AttemptId::derive("", "demo", "k1"));
    *ID
}

/// Its name.
#[must_use]
pub fn name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| attempt().to_string());
    &NAME
}

/// A webhook's signature header, as both PSPs make it.
#[must_use]
pub fn sign(at_s: u64, body: &[u8]) -> String {
    pay_once_psp_model::sign(SECRET, at_s, body)
}
