//! What is explored: a PSP class (`docs/psp.md`), a plot (what the clients do), and how much may go wrong.

use std::collections::BTreeMap;

use pay_once_core::{
    AttemptId, Capabilities, Config, Connector, Merchant, Millis, Operator, Psp, Role, Secret, Timing,
    key_digest,
};
use pay_once_psp_model::{Dials, Ledger, PSP_URL, TOKEN_3DS, TOKEN_DECLINED};
use serde::Serialize;

use super::mix::{Budget, Mix};
use super::people::CREATE_KEY;

pub(super) const SECRET: &str = "whsec_explore";
pub(super) const MERCHANT: &str = "demo";
/// 2025-11-26T12:34:56Z.
pub(super) const START_MS: u64 = 1_764_160_496_000;
/// How long before the world begins the foreign object was made, in milliseconds.
const FOREIGN_AGE_MS: u64 = 60_000;
/// What is to be paid, in minor units.
pub(super) const AMOUNT_MINOR: u64 = 2_599;

pub(super) const LOOKUP_LAG_MS: u64 = 600;
const HORIZON_MS: u64 = 60_000;

/// A world's declared constants. Small ones, so that few polls lie between a dispatch and its proof of absence; only
/// their order matters to the machine.
pub(super) const TIMING: Timing = Timing {
    send_window_ms: Millis::new(200),
    call_timeout_ms: Millis::new(1_000),
    max_in_flight_ms: Millis::new(1_600),
    max_clock_skew_ms: Millis::new(100),
    webhook_tolerance_ms: Millis::new(300_000),
    authorization_lifetime_ms: Millis::new(7 * 24 * 3_600_000),
    capture_margin_ms: Millis::new(3_600_000),
    action_timeout_ms: Millis::new(6_000),
    authorize_retry_ms: Millis::new(4_000),
};

/// The PSP classes of `docs/psp.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PspClass {
    /// An acquirer that honours keys, and nothing else.
    Keyed,
    /// PaymentIntents: keyed, addressable, listed.
    Stripe,
    /// PaymentIntents whose keys are not honoured and that are not listed: addressable only.
    Addressable,
    /// An acquirer with look-ups.
    Queryable,
    /// An acquirer with keys and look-ups.
    KeyedQueryable,
    /// An acquirer with neither.
    Blind,
}

impl PspClass {
    /// Every class.
    pub const ALL: [Self; 6] = [
        Self::Keyed,
        Self::Stripe,
        Self::Addressable,
        Self::Queryable,
        Self::KeyedQueryable,
        Self::Blind,
    ];

    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keyed => "keyed",
            Self::Stripe => "stripe",
            Self::Addressable => "addressable",
            Self::Queryable => "queryable",
            Self::KeyedQueryable => "keyed_queryable",
            Self::Blind => "blind",
        }
    }

    pub(super) fn connector(self) -> Connector {
        match self {
            Self::Stripe | Self::Addressable => Connector::Stripe,
            Self::Keyed | Self::Queryable | Self::KeyedQueryable | Self::Blind => Connector::Acquirer,
        }
    }

    /// Whether its objects are PaymentIntents.
    pub(super) fn has_intents(self) -> bool {
        self.connector() == Connector::Stripe
    }

    /// Whether its look-ups show what carries a reference.
    pub(super) fn is_listed(self) -> bool {
        self.capabilities().lookup_lag_ms.is_some()
    }

    /// Whether the PSP can be asked what it holds.
    pub(super) fn can_be_asked(self) -> bool {
        self.capabilities().lookup_lag_ms.is_some() || self.capabilities().addressable
    }

    pub(super) fn psp(self) -> &'static str {
        match self.connector() {
            Connector::Stripe => "stripe",
            Connector::Acquirer => "acquirer",
        }
    }

    fn capabilities(self) -> Capabilities {
        let keyed = matches!(self, Self::Keyed | Self::Stripe | Self::KeyedQueryable);
        let listed = matches!(self, Self::Stripe | Self::Queryable | Self::KeyedQueryable);
        Capabilities {
            keyed_horizon_ms: keyed.then_some(Millis::new(HORIZON_MS)),
            addressable: self.connector() == Connector::Stripe,
            lookup_lag_ms: listed.then_some(Millis::new(LOOKUP_LAG_MS)),
            prepare_first: false,
        }
    }
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// Last part of the path, or `charge`.
    pub(super) what: &'static str,
    /// `Idempotency-Key`.
    pub(super) key: &'static str,
    /// Body, where it is not empty.
    pub(super) body: &'static str,
}

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Plot {
    /// A authorizes and captures a part; B captures all of it under a key of its own.
    Capture,
    /// A charges; B charges under the same key.
    Charge,
    /// A authorizes and captures; B voids.
    Void,
    /// A authorizes with a token that is declined; B repeats it, then voids.
    Decline,
    /// A authorizes, the customer may finish 3-D Secure; B voids.
    ThreeDSecure,
}

impl Plot {
    /// Every plot.
    pub const ALL: [Self; 5] = [
        Self::Capture,
        Self::Charge,
        Self::Void,
        Self::Decline,
        Self::ThreeDSecure,
    ];

    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Charge => "charge",
            Self::Void => "void",
            Self::Decline => "decline",
            Self::ThreeDSecure => "three_d_secure",
        }
    }

    /// What each client asks for, in its order.
    pub(super) fn asks(self) -> [&'static [Ask]; 2] {
        const fn ask(what: &'static str, key: &'static str, body: &'static str) -> Ask {
            Ask { what, key, body }
        }
        const AUTHORIZE: Ask = ask("authorize", "a-1", "");
        const PART: Ask = ask("capture", "a-2", r#"{"amount":1000}"#);
        const ALL: Ask = ask("capture", "a-2", "");
        const RIVAL: Ask = ask("capture", "b-2", "");
        const VOID: Ask = ask("void", "b-3", "");
        const CHARGE: Ask = ask("charge", "create", "");
        match self {
            Self::Capture => [&[AUTHORIZE, PART], &[RIVAL]],
            Self::Charge => [&[CHARGE], &[CHARGE]],
            Self::Void => [&[AUTHORIZE, ALL], &[VOID]],
            Self::Decline => [&[AUTHORIZE], &[AUTHORIZE, VOID]],
            Self::ThreeDSecure => [&[AUTHORIZE], &[VOID]],
        }
    }

    /// The body that makes the attempt: of the create, or of the charge.
    pub(super) fn terms(self) -> String {
        let token = match self {
            Self::Decline => TOKEN_DECLINED,
            Self::ThreeDSecure => TOKEN_3DS,
            Self::Capture | Self::Charge | Self::Void => "pm_card_visa",
        };
        format!(
            r#"{{"order_id":"ord_1","amount":{AMOUNT_MINOR},"currency":"GBP","payment_method":"{token}"}}"#
        )
    }
}

/// One world to explore.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The PSP's class.
    pub class: PspClass,
    /// What the clients do.
    pub plot: Plot,
    /// What may go wrong, by name.
    pub mix: Mix,
    /// What may go wrong.
    pub budget: Budget,
    /// How long a request really takes to the PSP at most, in milliseconds. The declared constant, unless an
    /// assumption is broken on purpose.
    pub really_in_flight_ms: u64,
    /// Holds parking to a stricter rule: never while every call of the operation is known not to have left.
    pub strict: bool,
}

impl Cell {
    /// The world of a class, a plot and a mix.
    #[must_use]
    pub fn new(class: PspClass, plot: Plot, mix: Mix) -> Self {
        Self {
            class,
            plot,
            mix,
            budget: mix.budget(class, plot),
            really_in_flight_ms: TIMING.max_in_flight_ms.get(),
            strict: false,
        }
    }

    /// `class/plot/mix`.
    #[must_use]
    pub fn name(&self) -> String {
        [self.class.as_str(), self.plot.as_str(), self.mix.as_str()].join("/")
    }

    /// The PSP's books at the beginning.
    pub(super) fn books(&self) -> Ledger {
        let class = self.class.capabilities();
        let mut ledger = Ledger::new(Dials {
            horizon_ms: class.keyed_horizon_ms.map(Millis::get),
            listing_lag_ms: class.lookup_lag_ms.unwrap_or_default().get(),
            says_created: true,
            ..Dials::default()
        });
        if self.mix == Mix::Foreign {
            let id = if self.class.has_intents() {
                "pi_000"
            } else {
                "auth_000"
            };
            let attempt = AttemptId::derive("", MERCHANT, CREATE_KEY).to_string();
            ledger.add_foreign(id.to_owned(), &attempt, AMOUNT_MINOR, START_MS - FOREIGN_AGE_MS);
        }
        ledger
    }

    pub(super) fn config(&self) -> Config {
        let psp = Psp {
            connector: self.class.connector(),
            base_url: PSP_URL.to_owned(),
            api_key: Secret::new("sk_explore"),
            webhook_secrets: vec![Secret::new(SECRET)],
            capabilities: self.class.capabilities(),
            timing: TIMING,
        };
        let merchant = Merchant {
            psp: self.class.psp().to_owned(),
            ..Merchant::default()
        };
        Config {
            installation: String::new(),
            time_budget_ms: Millis::new(150),
            merchants: BTreeMap::from([(MERCHANT.to_owned(), merchant)]),
            psps: BTreeMap::from([(self.class.psp().to_owned(), psp)]),
            operators: BTreeMap::from([("Ann".to_owned(), operator())]),
            open_merchant: Some(MERCHANT.to_owned()),
            ..Config::default()
        }
    }
}

/// The operator of `operator.rs`.
fn operator() -> Operator {
    Operator {
        key_digests: vec![key_digest("key_of_ann")],
        roles: [Role::Read, Role::Resolve].into_iter().collect(),
    }
}
