//! Evidence: what a response, a webhook, a look-up or an operator shows. All of them have one type (rule 7).
//!
//! [`Knowledge`] is the join of all evidence. It is a set that only grows, so that merging is commutative and repeated
//! evidence changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::limits::{PSP_PAGE_BYTES_MAX, PSP_TEXT_BYTES_MAX};
use crate::base::time::UnixMillis;

/// One observation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Effects that exist at the PSP.
    pub effects: Vec<Effect>,
    /// Whether the observation is complete. If it is, an effect that it does not list did not exist when the PSP
    /// answered.
    pub complete: bool,
    /// When an authorization that is seen here lapses, in milliseconds since the Unix epoch, if the PSP says so.
    pub capture_before_ms: Option<UnixMillis>,
    /// What the observation says besides effects.
    pub signal: Signal,
}

/// Something that happened at the PSP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Effect {
    /// The kind of effect.
    pub kind: EffectKind,
    /// The PSP's id of the effect.
    pub id: String,
    /// The id of the effect that it undoes or builds on, if the PSP says so.
    pub of: Option<String>,
    /// The amount, in minor units.
    pub amount_minor: u64,
    /// ISO 4217 code, upper case, if the PSP says so.
    pub currency: Option<String>,
    /// Whether `id` comes from the PSP's one namespace of effects, in which two ids are two effects. The *answer* of an
    /// acquirer may give an effect another id than the acquirer's *list* does. That alone must not count as a
    /// duplicate.
    pub listed: bool,
}

/// Kinds of effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Funds were reserved.
    Authorize,
    /// Funds were taken.
    Capture,
    /// Reserved funds were released by a call.
    Void,
    /// Reserved funds were released by time.
    Lapse,
    /// Taken funds were given back.
    Refund,
    /// Taken funds were taken back by the PSP or the issuer: a dispute, a reversal, a debit that bounced.
    Reversal,
    /// A refund that was reported before did not go through: the money came back. `of` names the refund.
    RefundFailure,
}

/// What an observation says besides effects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// Nothing.
    #[default]
    None,
    /// The object exists and has not been acted on.
    Prepared {
        /// The object's id.
        reference: String,
    },
    /// The customer has to finish an action (3-D Secure).
    ActionRequired {
        /// The object's or effect's id.
        reference: String,
        /// The page for the customer. Empty: the PSP named no page.
        url: String,
    },
    /// A refusal that decides on the operation (rule 9).
    Refused {
        /// The PSP's code.
        code: String,
        /// The PSP's message.
        message: String,
    },
    /// The outcome of the call is unknown (rule 9: 429, 5xx, broken or unparsable answers, timeouts).
    Unknown {
        /// Why it is unknown.
        reason: String,
    },
    /// No byte of the request can have left this machine. The call had no effect.
    NotSent {
        /// Why it was not sent.
        reason: String,
    },
    /// The PSP rejects this server's credentials, account or request. That says nothing of the payment. The PSP's
    /// message is left out: merchants read the timeline, and the message may quote this server's API key.
    Rejected {
        /// HTTP status.
        status: u16,
        /// The PSP's code of the error, or its type.
        code: String,
        /// Whether the rejection proves that the call had no effect, provided that no other sending under the same key
        /// may have left.
        is_conclusive: bool,
    },
    /// The PSP refuses the client's terms before it asks anybody for money: for example, an amount below its minimum,
    /// or a payment method that it does not know.
    FormRefused {
        /// The PSP's code.
        code: String,
        /// The PSP's message.
        message: String,
        /// The member of the client's request that is at fault.
        field: String,
    },
    /// The outcome is unknown, and no further sending under the same key can show it. The PSP knows the key with
    /// another request, or says that it is of no use to send it again.
    KeyUseless {
        /// Why no sending under the key can show the outcome.
        reason: String,
    },
}

impl Evidence {
    /// Evidence that consists of a signal.
    #[must_use]
    pub fn signal(signal: Signal) -> Self {
        Self {
            signal,
            ..Self::default()
        }
    }

    /// An unknown outcome.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::signal(Signal::Unknown { reason: clip(reason) })
    }

    /// Whether the evidence shows anything of the PSP's own state.
    #[must_use]
    pub fn is_informative(&self) -> bool {
        self.complete
            || !self.effects.is_empty()
            || !matches!(
                self.signal,
                Signal::None
                    | Signal::Unknown { .. }
                    | Signal::NotSent { .. }
                    | Signal::Rejected { .. }
                    | Signal::KeyUseless { .. }
            )
    }

    /// Whether the evidence shows an action that the customer has not finished. It has no effect yet, and may have one
    /// at any time.
    #[must_use]
    pub fn shows_open_action(&self) -> bool {
        matches!(self.signal, Signal::ActionRequired { .. })
    }
}

/// One object of a PSP, as a webhook or a look-up shows it. `recovery/ownership.rs` decides whose object it is
/// (rule 13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The PSP's id of the object. An effect that builds on another effect belongs to the object of that other effect.
    pub object: String,
    /// When the PSP made it, in milliseconds since the Unix epoch, if the PSP says so. PSPs count in whole seconds.
    pub created_ms: Option<UnixMillis>,
    /// The amount and the currency of the object, if the PSP states them: minor units, ISO 4217 code.
    pub amount: Option<(u64, Option<String>)>,
    /// What the object shows.
    pub evidence: Evidence,
}

impl Signal {
    /// How much the signal leaves open. If several objects of one attempt are seen at once, the most open signal
    /// counts.
    fn openness(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::NotSent { .. } => 1,
            Self::Prepared { .. } => 2,
            Self::Refused { .. } | Self::FormRefused { .. } => 3,
            Self::ActionRequired { .. } => 4,
            Self::Unknown { .. } | Self::Rejected { .. } | Self::KeyUseless { .. } => 5,
        }
    }
}

impl Evidence {
    /// Joins another part of the same observation: a further page, or a further object.
    pub(crate) fn absorb(&mut self, other: Evidence) {
        self.effects.extend(other.effects);
        self.complete = other.complete;
        self.capture_before_ms = match (self.capture_before_ms, other.capture_before_ms) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        // The signal that leaves more open is kept, whichever part it came in.
        if other.signal.openness() > self.signal.openness() {
            self.signal = other.signal;
        }
    }
}

/// Cuts a text from a PSP to [`PSP_TEXT_BYTES_MAX`] bytes or fewer, between two characters.
pub(crate) fn clip(text: impl Into<String>) -> String {
    let mut text = text.into();
    text.truncate(text.floor_char_boundary(PSP_TEXT_BYTES_MAX));
    text
}

/// The address of a PSP's page. One of more than [`PSP_PAGE_BYTES_MAX`] bytes is left out, since a part of it leads
/// nowhere.
pub(crate) fn page(url: Option<String>) -> String {
    url.filter(|url| url.len() <= PSP_PAGE_BYTES_MAX)
        .unwrap_or_default()
}

/// Everything that was seen of an attempt at the PSP. It is a join-semilattice under [`Knowledge::merge`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    effects: BTreeMap<(EffectKind, String), Seen>,
    /// The earliest lapse that any observation named, in milliseconds since the Unix epoch.
    pub capture_before_ms: Option<UnixMillis>,
}

/// What is known of one effect. If reports conflict, the maximum is kept: taking the maximum is commutative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The id of the effect that it undoes or builds on.
    pub of: Option<String>,
    /// The amount, in minor units.
    pub amount_minor: u64,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// See [`Effect::listed`].
    pub listed: bool,
    /// Generations of the calls whose answers named it (rule 3). Two ids that answers to different generations named
    /// are two effects.
    pub answers_to: BTreeSet<u16>,
}

/// The call that evidence answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered<'a> {
    /// Its generation (rule 3).
    pub generation: u16,
    /// The id of what the call acted on. An answer need not repeat it.
    pub of: Option<&'a str>,
}

impl Knowledge {
    /// Merges evidence. `answered` is the call that the evidence answers, if it answers one. Merging is commutative,
    /// associative and idempotent (rule 7; property-tested).
    pub fn merge(&mut self, evidence: &Evidence, answered: Option<Answered<'_>>) {
        for effect in &evidence.effects {
            let seen = self.effects.entry((effect.kind, effect.id.clone())).or_default();
            let of_call = answered.and_then(|call| call.of);
            let of = effect.of.clone().or_else(|| of_call.map(str::to_owned));
            seen.of = seen.of.take().max(of);
            seen.amount_minor = seen.amount_minor.max(effect.amount_minor);
            seen.currency = seen.currency.take().max(effect.currency.clone());
            seen.listed |= effect.listed;
            seen.answers_to.extend(answered.map(|call| call.generation));
        }
        self.capture_before_ms = match (self.capture_before_ms, evidence.capture_before_ms) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// The effects of one kind, in the order of their ids.
    pub fn of_kind(&self, kind: EffectKind) -> impl Iterator<Item = (&str, &Seen)> {
        self.effects
            .iter()
            .filter(move |((k, _), _)| *k == kind)
            .map(|((_, id), seen)| (id.as_str(), seen))
    }

    /// Whether any effect of this kind was seen.
    #[must_use]
    pub fn has(&self, kind: EffectKind) -> bool {
        self.of_kind(kind).next().is_some()
    }

    /// The ids of one kind that are certainly different effects (rule 8). These are the listed ids, or the ids that
    /// answers to different generations named, whichever are more. If there are neither, it is one of the ids that were
    /// seen.
    #[must_use]
    pub fn distinct(&self, kind: EffectKind) -> BTreeSet<&str> {
        let listed: BTreeSet<&str> = self
            .of_kind(kind)
            .filter(|(_, s)| s.listed)
            .map(|(id, _)| id)
            .collect();
        let mut answered: BTreeMap<u16, &str> = BTreeMap::new();
        for (id, seen) in self.of_kind(kind) {
            for generation in &seen.answers_to {
                answered.entry(*generation).or_insert(id);
            }
        }
        let answered: BTreeSet<&str> = answered.into_values().collect();
        if answered.len() > listed.len() {
            answered
        } else if listed.is_empty() {
            self.of_kind(kind).map(|(id, _)| id).take(1).collect()
        } else {
            listed
        }
    }

    /// Whether the authorization `id` no longer holds funds because it was voided, lapsed or captured. A void, lapse or
    /// capture that does not say of what counts for `own`, the attempt's own authorization.
    #[must_use]
    pub fn is_spent(&self, id: &str, own: Option<&str>) -> bool {
        [EffectKind::Void, EffectKind::Lapse, EffectKind::Capture]
            .into_iter()
            .flat_map(|kind| self.of_kind(kind))
            .any(|(by, seen)| by == id || seen.of.as_deref().map_or(own == Some(id), |of| of == id))
    }

    /// Whether an effect of this id was seen, or an effect that builds on it.
    #[must_use]
    pub fn names(&self, id: &str) -> bool {
        self.effects
            .iter()
            .any(|((_, known), seen)| known == id || seen.of.as_deref() == Some(id))
    }

    /// How much of the capture `id` is still to be given back, in minor units, if the capture is of `amount_minor`. A
    /// void of the capture gives all of it back. Refunds and reversals add up. A refund that failed later does not
    /// count.
    #[must_use]
    pub fn left_to_refund_minor(&self, id: &str, amount_minor: u64) -> u64 {
        let is_of = |seen: &Seen| seen.of.as_deref() == Some(id);
        let mut voids = self.of_kind(EffectKind::Void);
        if voids.any(|(_, seen)| is_of(seen)) {
            return 0;
        }
        let failed: BTreeSet<&str> = self
            .of_kind(EffectKind::RefundFailure)
            .filter_map(|(_, seen)| seen.of.as_deref())
            .collect();
        let refunded: u64 = self
            .of_kind(EffectKind::Refund)
            .filter(|(refund, seen)| is_of(seen) && !failed.contains(refund))
            .fold(0, |sum, (_, seen)| sum.saturating_add(seen.amount_minor));
        amount_minor
            .saturating_sub(refunded)
            .saturating_sub(self.reversed_minor(id))
    }

    /// Whether an authorization of this id was seen.
    #[must_use]
    pub fn is_authorization(&self, id: &str) -> bool {
        self.effects.contains_key(&(EffectKind::Authorize, id.to_owned()))
    }

    /// The currency in which an effect was reported. `None`: no report of it named a currency.
    #[must_use]
    pub fn currency_of(&self, kind: EffectKind, id: &str) -> Option<&str> {
        let seen = self.effects.get(&(kind, id.to_owned()))?;
        seen.currency.as_deref().filter(|currency| !currency.is_empty())
    }

    /// How much of the capture `id` the PSP or the issuer took back, in minor units.
    #[must_use]
    pub fn reversed_minor(&self, id: &str) -> u64 {
        let reversals = self.of_kind(EffectKind::Reversal);
        let of = reversals.filter(|(_, seen)| seen.of.as_deref() == Some(id));
        of.fold(0, |sum, (_, seen)| sum.saturating_add(seen.amount_minor))
    }

    /// Whether the whole capture `id` was given back.
    #[must_use]
    pub fn is_refunded(&self, id: &str) -> bool {
        let captured = self.of_kind(EffectKind::Capture).find(|(known, _)| *known == id);
        // If the captured amount is not known, any refund is taken to be of the whole amount.
        let amount_minor = captured.map_or(1, |(_, seen)| seen.amount_minor.max(1));
        self.left_to_refund_minor(id, amount_minor) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equally_open_signals_the_first_stands() {
        let refused = |code: &str| {
            Evidence::signal(Signal::Refused {
                code: code.to_owned(),
                message: String::new(),
            })
        };
        let mut seen = refused("first");
        seen.absorb(refused("second"));
        assert_eq!(seen, refused("first"));
        seen.absorb(Evidence::unknown("more open"));
        assert_eq!(seen.signal, Evidence::unknown("more open").signal);
    }

    #[test]
    fn what_shows_something_of_the_psp_is_informative() {
        let effect = Effect {
            kind: EffectKind::Capture,
            id: "c".to_owned(),
            of: None,
            amount_minor: 1,
            currency: None,
            listed: false,
        };
        let complete = Evidence {
            complete: true,
            ..Evidence::default()
        };
        let partial = Evidence {
            effects: vec![effect],
            ..Evidence::default()
        };
        assert!(complete.is_informative() && partial.is_informative());
        assert!(
            Evidence::signal(Signal::Prepared {
                reference: "o".to_owned()
            })
            .is_informative()
        );
        assert!(!Evidence::default().is_informative());
        assert!(!Evidence::unknown("timeout").is_informative());
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(clip("x".repeat(PSP_TEXT_BYTES_MAX)).len(), PSP_TEXT_BYTES_MAX);
        let long = format!("{}é", "x".repeat(PSP_TEXT_BYTES_MAX - 1));
        assert_eq!(clip(long).len(), PSP_TEXT_BYTES_MAX - 1);
    }
}
