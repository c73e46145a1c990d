//! Every constant of the sandbox that may be turned, at start or over `PUT /dials`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

mod choices;

pub use choices::{LapseReason, RefundStatus, RejectCalls};

use super::versions;

/// A range of milliseconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeMs {
    /// Shortest, in milliseconds.
    pub min: u64,
    /// Longest, in milliseconds.
    pub max: u64,
}

/// The dials. They are settings, not history: a restart goes back to what the command line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dials {
    /// How long after its arrival a call on either face is answered. The effect lands on arrival.
    pub latency_ms: RangeMs,
    /// How long an idempotency key is remembered, in milliseconds.
    pub key_horizon_ms: u64,
    /// Whether the acquirer face honours `Idempotency-Key`.
    pub acquirer_keyed: bool,
    /// Whether the acquirer face answers `GET /lookup` (404 otherwise).
    pub lookup_enabled: bool,
    /// Age in milliseconds below which `GET /lookup` does not list an effect yet.
    pub lookup_lag_ms: u64,
    /// How late a late request lands, in milliseconds after its arrival.
    pub max_in_flight_ms: u64,
    /// Whether the acquirer face declines a second capture of one authorization. Off, it captures again.
    pub refuse_second_capture: bool,
    /// How long an authorization lives uncaptured, in milliseconds.
    pub authorization_lifetime_ms: u64,
    /// Whether webhooks are sent at all (they also need a URL).
    pub webhooks_enabled: bool,
    /// How long after the answer a webhook is sent, in milliseconds.
    pub webhook_delay_ms: u64,
    /// How many extra copies of each webhook are sent.
    pub webhook_duplicates: u8,
    /// Per mille of calls that have no effect and no answer.
    pub hang_before_permille: u16,
    /// Per mille of calls that have their effect and no answer.
    pub hang_after_permille: u16,
    /// Per mille of calls that have no effect and answer 500.
    pub error_before_permille: u16,
    /// Per mille of calls that have their effect and answer 500 (from a gateway: the key is not spoilt).
    pub error_after_permille: u16,
    /// Per mille of calls that have their effect and answer 200 with an unparsable body.
    pub garbage_permille: u16,
    /// Per mille of calls that have no effect and answer 429.
    pub throttle_permille: u16,
    /// Per mille of calls that move money and have no effect but the answer 503, while questions are answered: a PSP that is
    /// read-only.
    pub read_only_permille: u16,
    /// Per mille of calls that move money and are executed twice. The answer is that of the first execution.
    pub twice_permille: u16,
    /// Per mille of authorizations that the issuer declines, whatever the token does: as one that is out of order for a while.
    pub decline_permille: u16,
    /// Per mille of calls that move money and are delivered twice by the network. The answer is that of the second delivery: a key
    /// that is honoured gives the first one's answer, and without one the call is executed a second time.
    pub redelivered_permille: u16,
    /// The status with which the second of two deliveries is refused before execution: 400, 401 or 403. 0: it is handled as any
    /// call.
    pub redelivered_status: u16,
    /// Per mille of calls that are not answered and land `max_in_flight_ms` later.
    pub late_permille: u16,
    /// Per mille of webhooks that are never sent.
    pub webhook_lost_permille: u16,
    /// The version of Stripe's API that a call without `Stripe-Version` has, and that webhooks are written in.
    pub stripe_default_version: String,
    /// The least amount that is authorized or captured, in the units that are sent.
    pub min_amount_minor: u64,
    /// The status with which calls are refused before execution: 400, 401, 403 or 424. 0: none is refused so.
    pub reject_status: u16,
    /// Which calls `reject_status` is about.
    pub reject_calls: RejectCalls,
    /// Per mille of those calls that are refused.
    pub reject_permille: u16,
    /// Whether a refusal by `reject_status` 400 names the amount, as the refusal of a form does.
    pub reject_names_amount: bool,
    /// Whether a refusal by `reject_status` says `Stripe-Should-Retry: true`.
    pub reject_should_retry: bool,
    /// Per mille of reads of one PaymentIntent that are answered 404 though it is there.
    pub read_missing_permille: u16,
    /// Per mille of pages behind the first of a Stripe list that are the first page once more.
    pub list_stuck_permille: u16,
    /// Whether a PaymentIntent on the Stripe face tells of its creation by a webhook.
    pub created_webhooks: bool,
    /// What a refund on the Stripe face is at its creation.
    pub refund_status: RefundStatus,
    /// Whether refunds on the Stripe face send webhooks.
    pub refund_webhooks: bool,
    /// Whether `refund.updated` is among them: an endpoint chooses the events that it is sent.
    pub refund_updated_webhooks: bool,
    /// Whether Stripe's webhooks are thin events.
    pub thin_webhooks: bool,
    /// The most objects on a page of a Stripe list, whatever its `limit`; at most 100.
    pub list_page_max: usize,
    /// Age in milliseconds below which a Stripe list does not have a PaymentIntent yet.
    pub list_lag_ms: u64,
    /// The `cancellation_reason` of a PaymentIntent whose authorization lapsed.
    pub lapse_reason: LapseReason,
}

impl Default for Dials {
    fn default() -> Self {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        Self {
            latency_ms: RangeMs { min: 100, max: 800 },
            key_horizon_ms: DAY_MS,
            acquirer_keyed: false,
            lookup_enabled: true,
            lookup_lag_ms: 0,
            max_in_flight_ms: 5_000,
            refuse_second_capture: false,
            authorization_lifetime_ms: 7 * DAY_MS,
            webhooks_enabled: true,
            webhook_delay_ms: 50,
            webhook_duplicates: 0,
            hang_before_permille: 0,
            hang_after_permille: 0,
            error_before_permille: 0,
            error_after_permille: 0,
            garbage_permille: 0,
            throttle_permille: 0,
            read_only_permille: 0,
            twice_permille: 0,
            decline_permille: 0,
            redelivered_permille: 0,
            redelivered_status: 0,
            late_permille: 0,
            webhook_lost_permille: 0,
            stripe_default_version: versions::NEWEST_VERSION.to_owned(),
            min_amount_minor: 0,
            reject_status: 0,
            reject_calls: RejectCalls::All,
            reject_permille: 1000,
            reject_names_amount: false,
            reject_should_retry: false,
            read_missing_permille: 0,
            list_stuck_permille: 0,
            created_webhooks: false,
            refund_status: RefundStatus::Succeeded,
            refund_webhooks: false,
            refund_updated_webhooks: true,
            thin_webhooks: false,
            list_page_max: 100,
            list_lag_ms: 0,
            lapse_reason: LapseReason::Automatic,
        }
    }
}

impl Dials {
    /// These dials with the members of `patch` turned; the rest stays.
    ///
    /// # Errors
    /// Says what is wrong with `patch`: not an object, an unknown name, a wrong type, or a value out of range.
    pub fn patched(&self, patch: &Value) -> Result<Self, String> {
        let Value::Object(patch) = patch else {
            return Err("the body must be a JSON object".to_owned());
        };
        let Ok(Value::Object(mut merged)) = serde_json::to_value(self) else {
            return Err("the dials cannot be written as JSON".to_owned());
        };
        for (name, value) in patch {
            match (merged.get_mut(name), value) {
                // `latency_ms` may be turned one end at a time.
                (Some(Value::Object(old)), Value::Object(new)) => {
                    old.extend(new.iter().map(|(name, value)| (name.clone(), value.clone())));
                }
                _ => drop(merged.insert(name.clone(), value.clone())),
            }
        }
        let dials: Self = serde_json::from_value(Value::Object(merged)).map_err(|error| error.to_string())?;
        dials.check()?;
        Ok(dials)
    }

    /// # Errors
    /// Names the dial that is out of range.
    pub fn check(&self) -> Result<(), String> {
        if self.latency_ms.min > self.latency_ms.max {
            return Err("latency_ms: min is greater than max".to_owned());
        }
        if !versions::is_known(&self.stripe_default_version) {
            return Err(format!(
                "stripe_default_version: {} is not known",
                self.stripe_default_version
            ));
        }
        if ![0, 400, 401, 403, 424].contains(&self.reject_status) {
            return Err(format!(
                "reject_status: {} is none of 0, 400, 401, 403, 424",
                self.reject_status
            ));
        }
        if ![0, 400, 401, 403].contains(&self.redelivered_status) {
            return Err(format!(
                "redelivered_status: {} is none of 0, 400, 401, 403",
                self.redelivered_status
            ));
        }
        if !(1..=100).contains(&self.list_page_max) {
            return Err(format!(
                "list_page_max: {} is not between 1 and 100",
                self.list_page_max
            ));
        }
        let shares = [
            ("hang_before_permille", self.hang_before_permille),
            ("hang_after_permille", self.hang_after_permille),
            ("error_before_permille", self.error_before_permille),
            ("error_after_permille", self.error_after_permille),
            ("garbage_permille", self.garbage_permille),
            ("throttle_permille", self.throttle_permille),
            ("read_only_permille", self.read_only_permille),
            ("twice_permille", self.twice_permille),
            ("decline_permille", self.decline_permille),
            ("redelivered_permille", self.redelivered_permille),
            ("read_missing_permille", self.read_missing_permille),
            ("list_stuck_permille", self.list_stuck_permille),
            ("late_permille", self.late_permille),
            ("webhook_lost_permille", self.webhook_lost_permille),
            ("reject_permille", self.reject_permille),
        ];
        match shares.iter().find(|(_, permille)| *permille > 1000) {
            Some((name, permille)) => Err(format!("{name}: {permille} is more than 1000")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
