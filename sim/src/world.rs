//! From a plan's world to what core and the sandbox PSP are told.

use std::collections::BTreeMap;

use pay_once_core::config::{Class as CoreClass, Config, Face, Merchant, Psp, Secret, Timing};
use pay_once_sandbox::{Dials, RangeMs, Settings};

use crate::plan::{Class, PspFault, World};

/// When a run begins: 2025-11-26T12:34:56Z, in milliseconds since the Unix epoch.
pub const EPOCH_MS: u64 = 1_764_160_496_000;
/// The budget of an answer, in milliseconds (DESIGN §2).
pub const BUDGET_MS: u64 = 150;
/// The merchant of all payments.
pub const MERCHANT: &str = "demo";
const WEBHOOK_SECRET: &str = "whsec_simulated";
/// How long core waits for a PSP's answer, in milliseconds.
const CALL_TIMEOUT_MS: u64 = 1_000;
/// How long after a dispatch's commit it may be sent, in milliseconds.
const SEND_WINDOW_MS: u64 = 500;
/// How long after its request an authorization may be sent again, in milliseconds.
const AUTHORIZE_RETRY_MS: u64 = 6_000;

impl Class {
    /// The name of the PSP, in paths and in the configuration.
    #[must_use]
    pub fn psp_name(self) -> &'static str {
        match self {
            Self::Stripe | Self::Addressable => "stripe",
            Self::Keyed | Self::Queryable | Self::KeyedQueryable | Self::Blind => "acquirer",
        }
    }

    fn core(self, world: &World) -> CoreClass {
        let keyed = matches!(self, Self::Stripe | Self::Keyed | Self::KeyedQueryable);
        let listed = !matches!(self, Self::Keyed | Self::Blind);
        CoreClass {
            keyed_horizon_ms: keyed.then_some(world.declared.horizon_ms),
            addressable: matches!(self, Self::Stripe | Self::Addressable),
            lookup_lag_ms: listed.then_some(world.declared.lookup_lag_ms),
            prepare_first: false,
        }
    }
}

/// What core is told. `psp_url` has no trailing slash.
#[must_use]
pub fn config(world: &World, psp_url: &str) -> Config {
    let name = world.class.psp_name().to_owned();
    let face = match name.as_str() {
        "stripe" => Face::Stripe,
        _ => Face::Acquirer,
    };
    let psp = Psp {
        face,
        base_url: psp_url.to_owned(),
        api_key: Secret::new("sk_simulated"),
        webhook_secrets: vec![Secret::new(WEBHOOK_SECRET)],
        class: world.class.core(world),
        timing: Timing {
            send_window_ms: SEND_WINDOW_MS,
            call_timeout_ms: CALL_TIMEOUT_MS.min(world.declared.max_in_flight_ms),
            max_in_flight_ms: world.declared.max_in_flight_ms,
            max_clock_skew_ms: world.declared.skew_ms,
            webhook_tolerance_ms: 300_000,
            authorization_lifetime_ms: world.authorization_ms,
            capture_margin_ms: world.authorization_ms / 10,
            action_timeout_ms: world.action_ms,
            authorize_retry_ms: AUTHORIZE_RETRY_MS,
        },
    };
    let merchant = Merchant {
        psp: name.clone(),
        ..Merchant::default()
    };
    Config {
        installation: String::new(),
        time_budget_ms: BUDGET_MS,
        merchants: BTreeMap::from([(MERCHANT.to_owned(), merchant)]),
        psps: BTreeMap::from([(name, psp)]),
        open_merchant: Some(MERCHANT.to_owned()),
    }
}

/// What the sandbox PSP is told. Webhooks go to `webhook_url`, `/stripe` or `/acquirer` added.
#[must_use]
pub fn psp_settings(world: &World, public_url: &str, webhook_url: &str) -> Settings {
    Settings {
        dials: dials(world),
        public_url: public_url.to_owned(),
        webhook_url: Some(webhook_url.to_owned()),
        webhook_secret: WEBHOOK_SECRET.to_owned(),
    }
}

/// The PSP without faults.
#[must_use]
pub fn dials(world: &World) -> Dials {
    let class = world.class;
    let (webhook_delay_ms, webhook_duplicates) = world.webhooks.unwrap_or_default();
    Dials {
        latency_ms: RangeMs {
            min: world.psp_ms.0,
            max: world.psp_ms.1,
        },
        key_horizon_ms: match class {
            Class::Addressable => 0,
            _ => world.truth.horizon_ms,
        },
        acquirer_keyed: matches!(class, Class::Keyed | Class::KeyedQueryable),
        lookup_enabled: matches!(class, Class::Queryable | Class::KeyedQueryable),
        lookup_lag_ms: world.truth.lookup_lag_ms,
        max_in_flight_ms: world.psp_late_ms,
        authorization_lifetime_ms: world.authorization_ms,
        webhooks_enabled: world.webhooks.is_some(),
        webhook_delay_ms,
        webhook_duplicates,
        ..Dials::default()
    }
}

/// Turns one fault on.
pub fn turn(dials: &mut Dials, fault: PspFault, permille: u16) {
    let dial = match fault {
        PspFault::HangBefore => &mut dials.hang_before_permille,
        PspFault::HangAfter => &mut dials.hang_after_permille,
        PspFault::ErrorBefore => &mut dials.error_before_permille,
        PspFault::ErrorAfter => &mut dials.error_after_permille,
        PspFault::Garbage => &mut dials.garbage_permille,
        PspFault::Throttle => &mut dials.throttle_permille,
        PspFault::ReadOnly => &mut dials.read_only_permille,
        PspFault::Late => &mut dials.late_permille,
        PspFault::WebhookLost => &mut dials.webhook_lost_permille,
    };
    *dial = permille;
}
