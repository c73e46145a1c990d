//! Unwanted effects and captured amounts that differ from the request, as far as the journal shows them
//! (rules 8 and 14).

use std::collections::BTreeSet;

use crate::base::money::Money;
use crate::journal::entry::{Conclusion, Operation};
use crate::journal::evidence::{Effect, EffectKind};
use crate::journal::state::State;
use crate::journal::status::Status;

impl State {
    /// Rule 14: the difference, if an observation shows another captured amount or currency than was asked for. An
    /// attempt reports one difference only: `None` if one was found before.
    #[must_use]
    pub(crate) fn capture_mismatch(&self, seen: &[Effect]) -> Option<Conclusion> {
        let capture = self.capture.as_ref()?;
        let asked_minor = capture.asked_minor?;
        if self.mismatch_shown.is_some() {
            return None;
        }
        // If there are several captures, all but one are undone (rule 8). Only the one that stays is compared.
        let is_only = self.knowledge.distinct(EffectKind::Capture).len() < 2;
        let is_kept = |effect: &&Effect| {
            effect.kind == EffectKind::Capture && (is_only || effect.id == capture.psp_reference)
        };
        let captures = seen.iter().filter(is_kept);
        let asked = self.terms.money.with_amount(asked_minor);
        let is_other = |effect: &&Effect| {
            let currency = effect.currency.as_deref().filter(|currency| !currency.is_empty());
            asked.differs_from(effect.amount_minor, currency)
        };
        let mut others = captures.filter(is_other);
        others.next().map(|effect| Conclusion::CaptureMismatch {
            reference: effect.id.clone(),
            asked_minor,
            captured: Money::new(
                effect.amount_minor,
                effect.currency.as_deref().unwrap_or(&asked.currency),
            ),
        })
    }

    /// Unwanted effects that still exist (rules 8 and 10): authorizations first, then captures. For each, the operation
    /// that undoes it, its id at the PSP, and the amount in minor units.
    #[must_use]
    pub fn pending_compensations(&self) -> Vec<(Operation, String, u64)> {
        let kept_auth = self.authorization.as_ref().map(|a| a.psp_reference.as_str());
        let kept_capture = self.capture.as_ref().map(|c| c.psp_reference.as_str());
        let released = matches!(self.status, Status::Voided | Status::Declined | Status::Expired);
        let at_most_one = |kind| self.knowledge.of_kind(kind).nth(1).is_none();
        if !released && at_most_one(EffectKind::Authorize) && at_most_one(EffectKind::Capture) {
            // The usual attempt: the one authorization and the one capture are its own. The capture cannot be unwanted,
            // because a capture that is seen before the attempt is final makes it CAPTURED.
            return Vec::new();
        }
        let mut found = Vec::new();
        let authorizations = self.knowledge.distinct(EffectKind::Authorize);
        let kept = if released {
            None
        } else {
            keep(kept_auth, &authorizations)
        };
        for id in authorizations {
            let is_dealt_with = self.knowledge.is_spent(id, self.own_reference());
            if Some(id) != kept && !is_dealt_with {
                found.push((Operation::Void, id));
            }
        }
        let captures = self.knowledge.distinct(EffectKind::Capture);
        let kept = if self.status == Status::Captured {
            keep(kept_capture, &captures)
        } else {
            None
        };
        for id in captures {
            if Some(id) != kept && !self.knowledge.is_refunded(id) {
                found.push((Operation::Refund, id));
            }
        }
        found
            .into_iter()
            .map(|(operation, id)| (operation, id.to_owned(), self.amount_of(operation, id)))
            .collect()
    }

    /// The amount with which an effect was seen, in minor units.
    pub(super) fn seen_minor(&self, kind: EffectKind, id: &str) -> Option<u64> {
        let mut seen = self.knowledge.of_kind(kind);
        seen.find(|(known, _)| *known == id)
            .map(|(_, seen)| seen.amount_minor)
    }

    fn amount_of(&self, operation: Operation, id: &str) -> u64 {
        let kind = if operation == Operation::Refund {
            EffectKind::Capture
        } else {
            EffectKind::Authorize
        };
        let seen_minor = self.seen_minor(kind, id).unwrap_or(0);
        if operation == Operation::Refund {
            self.knowledge.left_to_refund_minor(id, seen_minor)
        } else {
            seen_minor
        }
    }
}

/// Which of several distinct effects is the attempt's own: the one that the client was shown, or else the first.
fn keep<'a>(shown: Option<&'a str>, ids: &BTreeSet<&'a str>) -> Option<&'a str> {
    match shown {
        Some(id) if ids.contains(id) => Some(id),
        // The client was shown another id than these, such as one that the PSP's list does not have. The first of these
        // stands for it.
        _ => ids.first().copied(),
    }
}
