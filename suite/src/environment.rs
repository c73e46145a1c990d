//! The environment that an adapter must be started in for the suite: merchants, PSPs, constants. One home; the
//! adapters' tests print it (`pay-once-suite config`) instead of keeping one each.

use pay_once_core::key_digest;
use serde_json::{Value, json};

/// The merchants of the environment. Each pays through one PSP; the sandbox plays them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Merchant {
    /// Pays through `stripe`.
    Shop,
    /// Pays through `stripe` as well, and has a default payment method.
    Rival,
    /// Pays through `acquirer`, which honours no keys but answers look-ups.
    Market,
    /// Pays through `blind`: the acquirer's face, and nothing to find out an unknown with.
    Kiosk,
}

impl Merchant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Shop, Self::Rival, Self::Market, Self::Kiosk];

    /// Its id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Rival => "rival",
            Self::Market => "market",
            Self::Kiosk => "kiosk",
        }
    }

    /// The name of its PSP.
    #[must_use]
    pub fn psp(self) -> &'static str {
        match self {
            Self::Shop | Self::Rival => "stripe",
            Self::Market => "acquirer",
            Self::Kiosk => "blind",
        }
    }
}

/// How the sandbox PSP behaves while a case runs. Cases of one weather run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weather {
    /// Answers at once, sends no webhooks.
    Calm,
    /// Answers after 1.5 s (ten times the time budget), sends no webhooks.
    Slow,
    /// Answers at once, sends webhooks.
    Webhooks,
    /// Calm at first; the case turns dials itself, so it runs alone.
    Alone,
}

impl Weather {
    /// In the order in which they come.
    pub const ALL: [Self; 4] = [Self::Calm, Self::Slow, Self::Webhooks, Self::Alone];

    /// Every dial of the sandbox PSP that is not as it starts.
    pub(crate) fn dials(self) -> Value {
        let latency_ms = if self == Self::Slow { 1_500 } else { 0 };
        json!({
            "latency_ms": {"min": latency_ms, "max": latency_ms},
            "webhooks_enabled": self == Self::Webhooks,
            "webhook_delay_ms": 50,
            "webhook_duplicates": 0,
            "max_in_flight_ms": 2_000,
            "acquirer_keyed": false,
            "lookup_enabled": true,
            "lookup_lag_ms": 0,
            "refuse_second_capture": false,
            "key_horizon_ms": 86_400_000,
            "authorization_lifetime_ms": 604_800_000,
            "hang_before_permille": 0,
            "hang_after_permille": 0,
            "error_before_permille": 0,
            "error_after_permille": 0,
            "garbage_permille": 0,
            "throttle_permille": 0,
            "read_only_permille": 0,
            "late_permille": 0,
            "webhook_lost_permille": 0,
            "reject_status": 0,
            "reject_calls": "all",
        })
    }
}

/// The secrets of the environment: worth nothing, so they have fixed defaults.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Token of [`Merchant::Shop`].
    pub shop_token: String,
    /// Token of [`Merchant::Rival`].
    pub rival_token: String,
    /// Token of [`Merchant::Market`].
    pub market_token: String,
    /// Token of [`Merchant::Kiosk`].
    pub kiosk_token: String,
    /// Token of the operator [`OPERATOR`].
    pub operator_token: String,
    /// What the sandbox PSP signs webhooks with, for both faces.
    pub webhook_secret: String,
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            shop_token: "suite-token-of-shop".to_owned(),
            rival_token: "suite-token-of-rival".to_owned(),
            market_token: "suite-token-of-market".to_owned(),
            kiosk_token: "suite-token-of-kiosk".to_owned(),
            operator_token: "suite-token-of-operator".to_owned(),
            webhook_secret: WEBHOOK_SECRET.to_owned(),
        }
    }
}

impl Secrets {
    /// A merchant's token.
    #[must_use]
    pub fn token(&self, merchant: Merchant) -> &str {
        match merchant {
            Merchant::Shop => &self.shop_token,
            Merchant::Rival => &self.rival_token,
            Merchant::Market => &self.market_token,
            Merchant::Kiosk => &self.kiosk_token,
        }
    }
}

/// Name of the variable (or secret binding) that holds the PSPs' API key.
pub const PSP_KEY_ENV: &str = "PAY_ONCE_PSP_KEY";
/// Its value: the sandbox takes any that is not empty.
pub const PSP_KEY: &str = "sk_suite";
/// Name of the variable (or secret binding) that holds the webhook secret.
pub const WEBHOOK_SECRET_ENV: &str = "PAY_ONCE_WEBHOOK_SECRET";
/// Its value; the sandbox is started with `--webhook-secret` the same.
pub const WEBHOOK_SECRET: &str = "whsec_suite";

/// The operator of the environment, who may read and resolve.
pub const OPERATOR: &str = "ada";

/// How long an answer may take before it becomes a 202, in milliseconds.
pub const TIME_BUDGET_MS: u64 = 150;

/// The configuration, as the document that `pay_once_core::base::config_file` reads.
#[must_use]
pub fn config(psp_url: &str, secrets: &Secrets) -> Value {
    let digest = |token: &str| -> String {
        let bytes = key_digest(token);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let merchant = |merchant: Merchant| {
        let mut entry = json!({"psp": merchant.psp(), "api_key_sha256": [digest(secrets.token(merchant))]});
        if let (Merchant::Rival, Value::Object(members)) = (merchant, &mut entry) {
            members.insert("default_payment_method".to_owned(), json!("pm_card_visa"));
        }
        (merchant.id().to_owned(), entry)
    };
    let psp = |face: &str, class: Value| {
        let mut entry = json!({
            "face": face,
            "base_url": psp_url,
            "api_key_env": PSP_KEY_ENV,
            "webhook_secret_env": WEBHOOK_SECRET_ENV,
            // Unknowns end within seconds; the sandbox's own dial lands what is late within 2 s.
            "timing": {
                "send_window_ms": 1_000,
                "call_timeout_ms": 3_000,
                "max_in_flight_ms": 4_000,
                "max_clock_skew_ms": 500,
                "webhook_tolerance_ms": 300_000,
                "action_timeout_ms": 6_000,
            },
        });
        if let (Value::Object(members), Value::Object(class)) = (&mut entry, class) {
            members.extend(class);
        }
        entry
    };
    let merchants: serde_json::Map<_, _> = Merchant::ALL.into_iter().map(merchant).collect();
    json!({
        "time_budget_ms": TIME_BUDGET_MS,
        "merchants": merchants,
        "operators": {
            OPERATOR: {"api_key_sha256": [digest(&secrets.operator_token)], "roles": ["read", "resolve"]},
        },
        "psps": {
            "stripe": psp("stripe", json!({"keyed_horizon_ms": 86_400_000, "addressable": true, "lookup_lag_ms": 1_000})),
            "acquirer": psp("acquirer", json!({"lookup_lag_ms": 1_000})),
            "blind": psp("acquirer", json!({})),
        },
    })
}

/// The configuration as TOML.
///
/// # Errors
/// What cannot be written in TOML; nothing that [`config`] gives.
pub fn toml(document: &Value) -> Result<String, String> {
    toml::to_string_pretty(document).map_err(|error| error.to_string())
}
