//! Stripe's events: which concern an attempt, and what they show.
//!
//! A *snapshot* event carries the object (`data.object`); a *thin* one names it (`related_object`) and nothing else. Any event may
//! reach any endpoint of the account. Most are no concern of ours; they are taken with a 2xx all the same, since Stripe delivers
//! what is refused for three days and then switches the endpoint off.

use serde::Deserialize;
use serde_json::Value;

use super::amount::Units;
use super::call::{CallResult, HttpCall, Purpose};
use super::driver::{Reading, without_mark};
use super::event::Next;
use super::report::Rejection;
use super::stripe;
use super::stripe_objects::{Intent, Refund};
use crate::base::config::{Connector, Psp};
use crate::base::id::AttemptId;
use crate::base::money::Money;
use crate::journal::entry::{CaptureMethod, Terms};
use crate::journal::evidence::{Effect, EffectKind, Evidence, Sighting, clip};
use crate::journal::wire_form::WireForm;

/// What an event, and the reads that it caused, show of an attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventObjects {
    intent: Option<Intent>,
    refund: Option<Refund>,
    dispute: Option<Dispute>,
}

/// What has to be read to know which attempt an event is about.
#[derive(Clone, Debug)]
pub(crate) enum About {
    /// The PaymentIntent of this id; its metadata names the attempt.
    Intent(String, Box<EventObjects>),
    /// The refund of this id; it names its PaymentIntent.
    Refund(String),
    /// The dispute of this id; it names its PaymentIntent.
    Dispute(String),
}

/// What follows from an event of Stripe's.
pub(super) type StripeNext = Next<Box<EventObjects>, About>;

/// The issuer takes captured money back, at least until the dispute is decided.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dispute {
    id: String,
    amount: u64,
    currency: String,
    payment_intent: Option<String>,
}

impl About {
    pub(crate) fn write(&self, psp: &Psp) -> HttpCall {
        match self {
            Self::Intent(id, _) => stripe::write_read(psp, id),
            Self::Refund(id) => stripe::write_read_refund(psp, id),
            Self::Dispute(id) => stripe::write_read_dispute(psp, id),
        }
    }
}

impl EventObjects {
    /// What was seen, each under the PaymentIntent that it belongs to.
    pub(super) fn sightings(&self, units: Units) -> Vec<Sighting> {
        let under = |object: Option<&str>, evidence: Evidence| {
            object.map(|object| Sighting {
                object: clip(object),
                created_ms: None,
                amount: None,
                evidence,
            })
        };
        let intent = self.intent.as_ref().map(|intent| intent.sighting(units));
        let refund = self.refund.as_ref();
        let refund = refund.and_then(|refund| under(refund.object(), refund.evidence(units, "", None)));
        let dispute = self.dispute.as_ref();
        let dispute = dispute.and_then(|dispute| under(dispute.object(), dispute.evidence(units)));
        // The object itself first: whose it is, is told by when it was made.
        [intent, refund, dispute].into_iter().flatten().collect()
    }
}

impl Dispute {
    fn object(&self) -> Option<&str> {
        self.payment_intent.as_deref()
    }

    fn evidence(&self, units: Units) -> Evidence {
        Evidence {
            effects: vec![Effect {
                kind: EffectKind::Reversal,
                id: clip(self.id.clone()),
                of: self.payment_intent.clone().map(clip),
                amount_minor: units
                    .from_wire(&self.currency, self.amount)
                    .unwrap_or(self.amount),
                currency: Some(clip(self.currency.to_ascii_uppercase())),
                listed: true,
            }],
            ..Evidence::default()
        }
    }
}

/// Reads an event. `None` if it is no JSON at all.
pub(super) fn read(body: &[u8]) -> Option<StripeNext> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let object = event.get("data").and_then(|data| data.get("object"));
    Some(match (kind.strip_prefix("v1."), object) {
        (Some(kind), _) => thin(kind, event.get("related_object")),
        (None, Some(object)) => snapshot(kind, object),
        (None, None) => Next::Nothing,
    })
}

fn thin(kind: &str, related: Option<&Value>) -> StripeNext {
    let text = |name: &str| {
        related
            .and_then(|related| related.get(name))
            .and_then(Value::as_str)
    };
    match (text("type"), text("id")) {
        (Some("payment_intent"), Some(id)) if kind.starts_with("payment_intent.") => {
            Next::Read(About::Intent(clip(id), Box::default()))
        }
        (Some("refund"), Some(id)) if kind.starts_with("refund.") => Next::Read(About::Refund(clip(id))),
        (Some("dispute"), Some(id)) if kind == "charge.dispute.created" => {
            Next::Read(About::Dispute(clip(id)))
        }
        _ => Next::Nothing,
    }
}

fn snapshot(kind: &str, object: &Value) -> StripeNext {
    if kind.starts_with("payment_intent.") {
        return match Intent::deserialize(object) {
            Ok(intent) => of_intent(intent, EventObjects::default()),
            // In a form that is not known here, of a version to come perhaps: the object is read in ours.
            Err(_) => match object.get("id").and_then(Value::as_str) {
                Some(id) if id.starts_with("pi_") => Next::Read(About::Intent(clip(id), Box::default())),
                Some(_) | None => Next::Nothing,
            },
        };
    }
    match kind {
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
            Refund::deserialize(object).map_or(Next::Nothing, of_refund)
        }
        "charge.dispute.created" => Dispute::deserialize(object).map_or(Next::Nothing, of_dispute),
        _ => Next::Nothing,
    }
}

fn of_intent(intent: Intent, objects: EventObjects) -> StripeNext {
    let Some(id) = intent.metadata.attempt() else {
        return Next::Nothing;
    };
    let objects = EventObjects {
        intent: Some(intent),
        ..objects
    };
    Next::Tell(id, Box::new(objects))
}

fn of_refund(refund: Refund) -> StripeNext {
    let object = refund.object().map(clip);
    let objects = EventObjects {
        refund: Some(refund),
        ..EventObjects::default()
    };
    // Its PaymentIntent names the attempt, and tells whose it is: one that was made by hand carries no name of ours, and one that
    // carries it may be of another installation's payment.
    object.map_or(Next::Nothing, |object| {
        Next::Read(About::Intent(object, Box::new(objects)))
    })
}

fn of_dispute(dispute: Dispute) -> StripeNext {
    let object = dispute.payment_intent.clone().map(clip);
    let objects = EventObjects {
        dispute: Some(dispute),
        ..EventObjects::default()
    };
    object.map_or(Next::Nothing, |object| {
        Next::Read(About::Intent(object, Box::new(objects)))
    })
}

/// What follows from the read, and what the PSP rejected.
pub(super) fn after_read(about: About, result: &CallResult) -> (StripeNext, Option<Rejection>) {
    // An object of another account, or of test mode: Stripe knows it not, and it is none of ours.
    if matches!(result, CallResult::Answered { status: 404, .. }) {
        return (Next::Nothing, None);
    }
    let (status, body) = match result {
        CallResult::Answered { status, body, .. } => (*status, without_mark(body)),
        CallResult::TooLarge { .. } | CallResult::NotSent { .. } | CallResult::Unknown { .. } => {
            return (Next::Failed, None);
        }
    };
    if !(200..=299).contains(&status) {
        return (Next::Failed, rejected(result, status, body));
    }
    let next = match about {
        About::Intent(_, objects) => {
            serde_json::from_slice::<Intent>(body).map_or(Next::Failed, |intent| of_intent(intent, *objects))
        }
        About::Refund(_) => serde_json::from_slice::<Refund>(body).map_or(Next::Failed, of_refund),
        About::Dispute(_) => serde_json::from_slice::<Dispute>(body).map_or(Next::Failed, of_dispute),
    };
    (next, None)
}

fn rejected(result: &CallResult, status: u16, body: &[u8]) -> Option<Rejection> {
    if !(400..=499).contains(&status) || result.header("stripe-should-retry") == Some("true") {
        return None;
    }
    let terms = Terms {
        order_id: None,
        money: Money::new(0, ""),
        capture_method: CaptureMethod::Manual,
        payment_method: None,
        metadata: std::collections::BTreeMap::new(),
    };
    let reading = Reading {
        id: AttemptId::from_bytes([0; 16]),
        terms: &terms,
        units: Units::new(Connector::Stripe, WireForm::CURRENT),
    };
    stripe::read(reading, &Purpose::Event, status, body).rejection
}
