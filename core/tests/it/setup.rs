//! PSPs of every class, merchants, and the constants that the tests share.

use std::collections::BTreeMap;

use pay_once_core::{
    Capabilities, Config, Connector, Merchant, Millis, Operator, Psp, Role, Secret, Timing, key_digest,
};

/// 2025-11-26T12:34:56Z, the moment of the contract's first examples.
pub(crate) const START_MS: u64 = 1_764_160_496_000;
pub(crate) const DAY_MS: u64 = 86_400_000;
pub(crate) const SECRET: &str = "whsec_test";
pub(crate) const LOOKUP_LAG_MS: u64 = 5_000;
pub(crate) const CREATE: &str =
    r#"{"order_id":"ord_123","amount":2599,"currency":"GBP","payment_method":"pm_card_visa"}"#;

/// The PSP classes of `docs/psp.md`, on the faces that can have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Keyed 24 h and addressable.
    Stripe,
    /// Addressable only: keys are sent and not honoured.
    StripeNoKeys,
    /// Keyed and found by listing, but not read by id.
    StripeListed,
    AcquirerKeyed,
    AcquirerQueryable,
    AcquirerKeyedQueryable,
    Blind,
}

impl Kind {
    pub(crate) const ALL: [Kind; 7] = [
        Kind::Stripe,
        Kind::StripeNoKeys,
        Kind::StripeListed,
        Kind::AcquirerKeyed,
        Kind::AcquirerQueryable,
        Kind::AcquirerKeyedQueryable,
        Kind::Blind,
    ];

    pub(crate) fn connector(self) -> Connector {
        match self {
            Kind::Stripe | Kind::StripeNoKeys | Kind::StripeListed => Connector::Stripe,
            Kind::AcquirerKeyed | Kind::AcquirerQueryable | Kind::AcquirerKeyedQueryable | Kind::Blind => {
                Connector::Acquirer
            }
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self.connector() {
            Connector::Stripe => "stripe",
            Connector::Acquirer => "acquirer",
        }
    }

    pub(crate) fn capabilities(self) -> Capabilities {
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
}

pub(crate) fn config(kind: Kind) -> Config {
    let psp = Psp {
        connector: kind.connector(),
        base_url: "http://psp.test".to_owned(),
        api_key: Secret::new("sk_test"),
        webhook_secrets: vec![Secret::new(SECRET)],
        capabilities: kind.capabilities(),
        timing: Timing::default(),
    };
    let merchant = Merchant {
        psp: kind.name().to_owned(),
        ..Merchant::default()
    };
    let config = Config {
        installation: String::new(),
        time_budget_ms: Millis::new(150),
        merchants: BTreeMap::from([("demo".to_owned(), merchant)]),
        psps: BTreeMap::from([(kind.name().to_owned(), psp)]),
        operators: ["ada", "grace"].map(operator).into_iter().collect(),
        resolve_needs: 1,
        open_merchant: Some("demo".to_owned()),
        ..Config::default()
    };
    config.check().unwrap();
    config
}

/// An operator with both roles, whose key is the name behind `ok_`.
fn operator(name: &str) -> (String, Operator) {
    let operator = Operator {
        key_digests: vec![key_digest(&format!("ok_{name}"))],
        roles: [Role::Read, Role::Resolve].into_iter().collect(),
    };
    (name.to_owned(), operator)
}

/// Two merchants with keys of their own, and nobody served without one.
pub(crate) fn closed(kind: Kind) -> Config {
    let mut config = config(kind);
    config.open_merchant = None;
    for (name, key) in [("demo", "mk_demo"), ("other", "mk_other")] {
        let merchant = Merchant {
            key_digests: vec![key_digest(key)],
            psp: kind.name().to_owned(),
            default_payment_method: None,
        };
        config.merchants.insert(name.to_owned(), merchant);
    }
    config
}
