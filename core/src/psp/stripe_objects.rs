//! Stripe's objects, and what their state shows: PaymentIntents and refunds (Stripe API reference).

use serde::Deserialize;

use super::amount::Units;
use super::call::Purpose;
use super::driver::{Answer, Reading, key_useless};
use crate::base::id::AttemptId;
use crate::base::time::UnixMillis;
use crate::journal::entry::Operation;
use crate::journal::evidence::{Effect, EffectKind, Evidence, Sighting, Signal, clip, page};

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    amount: u64,
    currency: Option<String>,
    status: Option<String>,
    pub(super) payment_intent: Option<String>,
}

impl Refund {
    /// The id of the PaymentIntent that it is of, where it says so.
    pub(super) fn object(&self) -> Option<&str> {
        self.payment_intent.as_deref()
    }

    /// What it shows. One that is pending, or waits for somebody, has not gone through and may yet: its signal stays open.
    pub(super) fn evidence(&self, units: Units, currency: &str, of: Option<&str>) -> Evidence {
        let currency = self.currency.as_deref().unwrap_or(currency);
        let effect = |kind: EffectKind, id: &str, of: Option<&str>| Effect {
            kind,
            id: clip(id),
            of: of.map(clip),
            amount_minor: units.from_wire(currency, self.amount).unwrap_or(self.amount),
            currency: Some(clip(currency.to_ascii_uppercase())),
            listed: true,
        };
        let of = self.payment_intent.as_deref().or(of);
        match self.status.as_deref() {
            Some("succeeded") => Evidence {
                effects: vec![effect(EffectKind::Refund, &self.id, of)],
                ..Evidence::default()
            },
            // Had it succeeded before, the money came back.
            Some("failed" | "canceled") => Evidence {
                effects: vec![effect(
                    EffectKind::RefundFailure,
                    &format!("{}/failed", self.id),
                    Some(&self.id),
                )],
                ..Evidence::default()
            },
            other => Evidence::unknown(format!("the refund is {}", other.unwrap_or("without a status"))),
        }
    }

    /// The answer to the call that made it. A pending one would be answered so for ever under its key: the list tells.
    pub(super) fn answer(&self, reading: Reading<'_>, target: Option<&str>) -> Answer {
        let evidence = self.evidence(reading.units, &reading.terms.money.currency, target);
        match &evidence.signal {
            Signal::Unknown { reason } => key_useless(reason.clone()),
            _ if self.status.as_deref() == Some("succeeded") => evidence.into(),
            _ => {
                let mut answer = key_useless("the refund failed");
                answer.evidence.effects = evidence.effects;
                answer
            }
        }
    }
}

/// The members of a PaymentIntent that matter here. Unknown members are ignored: Stripe adds some every month.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    amount: u64,
    /// A double may leave it out of an intent that was captured whole.
    amount_received: Option<u64>,
    currency: String,
    status: String,
    created: Option<u64>,
    #[serde(default)]
    pub(super) metadata: Metadata,
    latest_charge: Option<LatestCharge>,
    next_action: Option<NextAction>,
    last_payment_error: Option<LastPaymentError>,
    cancellation_reason: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Metadata {
    attempt_id: Option<String>,
}

impl Metadata {
    /// The attempt that it names.
    pub(super) fn attempt(&self) -> Option<AttemptId> {
        self.attempt_id.as_deref().and_then(AttemptId::parse)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum LatestCharge {
    Expanded {
        payment_method_details: Option<PaymentMethodDetails>,
    },
    Id(serde::de::IgnoredAny),
}

#[derive(Clone, Debug, Deserialize)]
struct PaymentMethodDetails {
    card: Option<Card>,
}

#[derive(Clone, Debug, Deserialize)]
struct Card {
    capture_before: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
struct NextAction {
    redirect_to_url: Option<Redirect>,
}

#[derive(Clone, Debug, Deserialize)]
struct Redirect {
    url: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct LastPaymentError {
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
}

impl Intent {
    /// The object, for whoever has to find out whose it is.
    pub(super) fn sighting(&self, units: Units) -> Sighting {
        Sighting {
            object: clip(self.id.clone()),
            created_ms: self.created.and_then(UnixMillis::from_seconds),
            amount: Some((
                units
                    .from_wire(&self.currency, self.amount)
                    .unwrap_or(self.amount),
                Some(clip(self.currency.to_ascii_uppercase())),
            )),
            evidence: self.evidence(units, false),
        }
    }

    /// Whether its state shows that what was asked for, or its opposite, has been done: a refusal with it inside is no refusal.
    pub(super) fn is_done_for(&self, purpose: &Purpose) -> bool {
        let authorizes = matches!(
            purpose,
            Purpose::Dispatched {
                operation: Operation::Authorize,
                ..
            }
        );
        match self.status.as_str() {
            "succeeded" | "canceled" => true,
            "requires_capture" | "requires_action" => authorizes,
            _ => false,
        }
    }

    pub(super) fn answer(&self, units: Units, complete: bool) -> Answer {
        self.evidence(units, complete).into()
    }

    /// The intent's state as evidence. `complete` when it was read just now: a webhook's snapshot may be old.
    pub(super) fn evidence(&self, units: Units, complete: bool) -> Evidence {
        let (Some(amount_minor), Some(received_minor)) = (
            units.from_wire(&self.currency, self.amount),
            units.from_wire(&self.currency, self.amount_received.unwrap_or(self.amount)),
        ) else {
            return Evidence::unknown("the PaymentIntent's amount is a part of a minor unit");
        };
        let effects = match self.status.as_str() {
            "requires_capture" => vec![self.effect(EffectKind::Authorize, amount_minor)],
            "succeeded" => vec![
                self.effect(EffectKind::Authorize, amount_minor),
                self.effect(EffectKind::Capture, received_minor),
            ],
            "canceled" if matches!(self.cancellation_reason.as_deref(), Some("automatic" | "expired")) => {
                vec![self.effect(EffectKind::Lapse, amount_minor)]
            }
            "canceled" => vec![self.effect(EffectKind::Void, amount_minor)],
            _ => Vec::new(),
        };
        let signal = match self.status.as_str() {
            "requires_capture" | "succeeded" | "canceled" => Signal::None,
            "requires_confirmation" => Signal::Prepared {
                reference: clip(self.id.clone()),
            },
            "requires_action" => Signal::ActionRequired {
                reference: clip(self.id.clone()),
                url: self.action_url(),
            },
            "requires_payment_method" => match &self.last_payment_error {
                Some(error) => Signal::Refused {
                    code: clip(
                        error
                            .decline_code
                            .clone()
                            .or(error.code.clone())
                            .unwrap_or_else(|| "declined".to_owned()),
                    ),
                    message: clip(error.message.clone().unwrap_or_default()),
                },
                None => Signal::Prepared {
                    reference: clip(self.id.clone()),
                },
            },
            other => Signal::Unknown {
                reason: clip(format!("the PaymentIntent is {other}")),
            },
        };
        // What is being worked on, or waits for its customer, is no effect yet and may become one: it proves no absence.
        let waits = matches!(signal, Signal::ActionRequired { .. });
        let is_open = matches!(signal, Signal::Unknown { .. }) || waits;
        let complete = complete && !is_open;
        Evidence {
            effects,
            complete,
            capture_before_ms: self.capture_before_ms(),
            signal,
        }
    }

    fn effect(&self, kind: EffectKind, amount_minor: u64) -> Effect {
        let of = (kind != EffectKind::Authorize).then(|| clip(self.id.clone()));
        Effect {
            kind,
            id: clip(self.id.clone()),
            of,
            amount_minor,
            currency: Some(clip(self.currency.to_ascii_uppercase())),
            listed: true,
        }
    }

    fn action_url(&self) -> String {
        let url = self
            .next_action
            .as_ref()
            .and_then(|a| a.redirect_to_url.as_ref())
            .and_then(|r| r.url.clone());
        page(url)
    }

    fn capture_before_ms(&self) -> Option<UnixMillis> {
        match &self.latest_charge {
            Some(LatestCharge::Expanded {
                payment_method_details: Some(details),
            }) => UnixMillis::from_seconds(details.card.as_ref()?.capture_before?),
            Some(LatestCharge::Expanded { .. } | LatestCharge::Id(_)) | None => None,
        }
    }
}
