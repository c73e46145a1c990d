//! From a plan's world to what core and the sandbox PSP are told.

use std::time::{Duration, UNIX_EPOCH};

use pay_once_core::{
    Capabilities, Config, Connector, Merchant, Millis, Operator, Psp, Role as CoreRole, Secret, Timing,
    key_digest,
};
use pay_once_sandbox::{Dials, RangeMs, RefundStatus, RejectCalls, Settings};

use crate::plan::{Calls, Class, Policy, PspFault, World};
use crate::shopper::{Ask, Op, Role};

/// A day, in milliseconds.
pub const DAY_MS: u64 = 86_400_000;
/// When a run begins: 2025-11-26T12:34:56Z, in milliseconds since the Unix epoch.
pub const EPOCH_MS: u64 = 1_764_160_496_000;
/// The budget of an answer, in milliseconds (`docs/http.md`).
pub const BUDGET_MS: u64 = 150;
/// The merchants.
pub const MERCHANTS: [&str; 2] = ["demo", "other"];
/// What each of them calls with.
const MERCHANT_KEYS: [&str; 2] = ["key_of_demo", "key_of_other"];
/// The operators: two who may resolve, and one who may only read.
const OPERATORS: [&str; 3] = ["ada", "grace", "reader"];

/// What a request is sent with: a merchant's key, or of a resolution an operator's.
#[must_use]
pub fn bearer(ask: &Ask) -> String {
    let operator = match (ask.op, ask.role) {
        (Op::Resolve, Role::Stranger | Role::Merchant) => None,
        (Op::Resolve, Role::OnlyReader) => Some("reader"),
        (Op::Resolve, Role::SecondOperator | Role::OtherWord) => Some("grace"),
        (Op::Resolve, _) => Some("ada"),
        _ => None,
    };
    operator.map_or_else(|| merchant_key(ask.merchant).to_owned(), operator_key)
}

fn operator_key(name: &str) -> String {
    format!("key_of_operator_{name}")
}

/// What a merchant calls with, by its number.
#[must_use]
pub fn merchant_key(merchant: u8) -> &'static str {
    let [first, second] = MERCHANT_KEYS;
    if merchant == 0 { first } else { second }
}
/// What a key without the permission to list is told.
const LISTS_FORBIDDEN: PspFault = PspFault::Rejected {
    status: 403,
    calls: Calls::Lists,
};
const WEBHOOK_SECRET: &str = "whsec_simulated";
/// How old a webhook's signed time may be, in milliseconds.
const WEBHOOK_TOLERANCE_MS: u64 = 300_000;
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

    fn core(self, world: &World) -> Capabilities {
        Capabilities {
            keyed_horizon_ms: self.is_keyed().then_some(Millis::new(world.declared.horizon_ms)),
            addressable: self.is_stripe(),
            lookup_lag_ms: self
                .is_listed()
                .then_some(Millis::new(world.declared.lookup_lag_ms)),
            prepare_first: self.is_stripe() && world.policy().prepare_first,
        }
    }
}

impl World {
    /// What the deployment chose, or what the swarm's plans are made for.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy.unwrap_or(Policy {
            time_budget_ms: BUDGET_MS,
            send_window_ms: SEND_WINDOW_MS,
            call_timeout_ms: CALL_TIMEOUT_MS.min(self.declared.max_in_flight_ms),
            authorize_retry_ms: AUTHORIZE_RETRY_MS,
            // Core takes at most a tenth of the life.
            capture_margin_ms: self.authorization_ms / 2,
            webhook_tolerance_ms: WEBHOOK_TOLERANCE_MS,
            prepare_first: false,
        })
    }
}

/// What core is told. `psp_url` has no trailing slash.
#[must_use]
pub fn config(world: &World, psp_url: &str) -> Config {
    let psps = world
        .classes()
        .map(|class| (class.psp_name().to_owned(), psp(world, class, psp_url)));
    let named = MERCHANTS.iter().zip(MERCHANT_KEYS);
    let merchants = named.zip(0..).map(|((id, key), number)| {
        let merchant = Merchant {
            psp: world.class_of(number).psp_name().to_owned(),
            key_digests: vec![key_digest(key)],
            ..Merchant::default()
        };
        ((*id).to_owned(), merchant)
    });
    Config {
        installation: world.installation.clone(),
        time_budget_ms: Millis::new(world.policy().time_budget_ms),
        merchants: merchants.collect(),
        psps: psps.collect(),
        operators: OPERATORS.into_iter().map(operator).collect(),
        resolve_needs: if world.two_operators { 2 } else { 1 },
        ..Config::default()
    }
}

fn operator(name: &str) -> (String, Operator) {
    let roles: &[CoreRole] = match name {
        "reader" => &[CoreRole::Read],
        _ => &[CoreRole::Read, CoreRole::Resolve],
    };
    let operator = Operator {
        key_digests: vec![key_digest(&operator_key(name))],
        roles: roles.iter().copied().collect(),
    };
    (name.to_owned(), operator)
}

fn psp(world: &World, class: Class, psp_url: &str) -> Psp {
    let policy = world.policy();
    Psp {
        connector: match class.is_stripe() {
            true => Connector::Stripe,
            false => Connector::Acquirer,
        },
        base_url: psp_url.to_owned(),
        api_key: Secret::new("sk_simulated"),
        webhook_secrets: webhook_secrets(world),
        capabilities: class.core(world),
        timing: Timing {
            send_window_ms: Millis::new(policy.send_window_ms),
            call_timeout_ms: Millis::new(policy.call_timeout_ms),
            max_in_flight_ms: Millis::new(world.declared.max_in_flight_ms),
            max_clock_skew_ms: Millis::new(world.declared.skew_ms),
            webhook_tolerance_ms: Millis::new(policy.webhook_tolerance_ms),
            authorization_lifetime_ms: Millis::new(world.authorization_ms),
            capture_margin_ms: Millis::new(policy.capture_margin_ms),
            action_timeout_ms: Millis::new(world.action_ms),
            authorize_retry_ms: Millis::new(policy.authorize_retry_ms),
        },
    }
}

/// Oldest first: while a secret is replaced, a PSP may sign with either.
fn webhook_secrets(world: &World) -> Vec<Secret> {
    let before = world.second_secret.then(|| Secret::new("whsec_before"));
    before.into_iter().chain([Secret::new(WEBHOOK_SECRET)]).collect()
}

/// The signature of a webhook, as the PSPs of a plan write it.
#[must_use]
pub fn webhook_signature(at_ms: u64, body: &[u8]) -> String {
    pay_once_sandbox::signature(WEBHOOK_SECRET.as_bytes(), (EPOCH_MS + at_ms) / 1_000, body)
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
    let has = |is_meant: fn(Class) -> bool| world.classes().any(is_meant);
    let (webhook_delay_ms, webhook_duplicates) = world.webhooks.unwrap_or_default();
    let mut dials = Dials {
        latency_ms: RangeMs {
            min: world.psp_ms.0,
            max: world.psp_ms.1,
        },
        key_horizon_ms: match has(|class| class == Class::Addressable) {
            true => 0,
            false => world.truth.horizon_ms,
        },
        acquirer_keyed: has(|class| class.is_keyed() && !class.is_stripe()),
        lookup_enabled: has(|class| class.is_listed() && !class.is_stripe()),
        lookup_lag_ms: world.truth.lookup_lag_ms,
        max_in_flight_ms: world.psp_late_ms,
        authorization_lifetime_ms: world.authorization_ms,
        webhooks_enabled: world.webhooks.is_some(),
        webhook_delay_ms,
        webhook_duplicates,
        list_page_max: world.page_max,
        // The swarm's own plans were made for a Stripe that lists at once.
        list_lag_ms: world.policy.map_or(0, |_| world.truth.lookup_lag_ms),
        thin_webhooks: world.thin_webhooks,
        created_webhooks: world.created_webhooks,
        min_amount_minor: world.min_minor,
        refuse_second_capture: world.captures_once,
        refund_webhooks: true,
        refund_updated_webhooks: !world.no_refund_updates,
        refund_status: match world.refund_ms {
            Some(_) if !world.refunds_fail_late => RefundStatus::Pending,
            Some(_) | None => RefundStatus::Succeeded,
        },
        ..Dials::default()
    };
    if world.lists_forbidden {
        turn(&mut dials, LISTS_FORBIDDEN, 1_000);
    }
    dials
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
        PspFault::Twice => &mut dials.twice_permille,
        PspFault::Redelivered { status } => {
            dials.redelivered_status = status;
            &mut dials.redelivered_permille
        }
        PspFault::Declines => &mut dials.decline_permille,
        PspFault::ReadMissing => &mut dials.read_missing_permille,
        PspFault::ListStuck => &mut dials.list_stuck_permille,
        PspFault::FormRefused => {
            dials.reject_status = 400;
            dials.reject_calls = RejectCalls::Money;
            dials.reject_names_amount = true;
            &mut dials.reject_permille
        }
        PspFault::TryAgain => {
            dials.reject_status = 400;
            dials.reject_calls = RejectCalls::Money;
            dials.reject_names_amount = true;
            dials.reject_should_retry = true;
            &mut dials.reject_permille
        }
        PspFault::Rejected { status, calls } => {
            dials.reject_status = status;
            dials.reject_calls = match calls {
                Calls::All => RejectCalls::All,
                Calls::Money => RejectCalls::Money,
                Calls::Reads => RejectCalls::Reads,
                Calls::Lists => RejectCalls::Lists,
            };
            &mut dials.reject_permille
        }
    };
    *dial = permille;
}

/// The `Date` of an answer that leaves the PSP so many milliseconds from the start (RFC 9110, §5.6.7).
#[must_use]
pub fn date(at_ms: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(EPOCH_MS + at_ms))
}
