//! The money of an attempt by the PSP's ledger: whose objects there are, what they hold, what was taken.

use std::collections::BTreeMap;
use std::fmt;

use pay_once_core::Status;
use pay_once_core::journal::evidence::EffectKind;
use pay_once_sandbox::tokens::Operation;
use pay_once_sandbox::{Cause, Face, LedgerEvent};

use super::{Case, since};
use crate::seen::Run;

/// The money of one attempt at one moment.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Money {
    /// Authorizations that calls of ours ever made.
    pub(super) authorizations: u32,
    /// Authorizations that hold or have taken money now, whoever made them.
    pub(super) live: u32,
    /// Captures that calls of ours ever made.
    pub(super) captures: u32,
    /// Captures of any cause that were ever made.
    pub(super) all_captures: u32,
    /// Taken and not given back, in the units that the PSP was sent.
    pub(super) kept_minor: u64,
}

impl fmt::Debug for Money {
    /// In words: it stands in messages for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} authorizations ({} live) and {} captures ({} minor units kept)",
            self.authorizations, self.live, self.captures, self.kept_minor
        )
    }
}

/// One authorization at one moment.
#[derive(Default)]
struct Hold {
    captured_minor: u64,
    refunded_minor: u64,
    is_ended: bool,
}

/// Sorts an attempt's events into those of other installations' objects and those of ours.
pub(super) fn sort(all: Vec<&LedgerEvent>) -> (Vec<&LedgerEvent>, Vec<&LedgerEvent>) {
    let foreign: Vec<&str> = all
        .iter()
        .filter(|event| event.operation == Operation::Authorize && event.cause == Some(Cause::Foreign))
        .map(|event| event.id.as_str())
        .collect();
    let is_foreign = |event: &&LedgerEvent| {
        let of = event.authorization.as_deref().unwrap_or(&event.id);
        foreign.contains(&of)
    };
    all.iter().copied().partition(is_foreign)
}

/// Whether the PSP executed a call a second time.
pub(super) fn has_extra(own: &[&LedgerEvent]) -> bool {
    own.iter().any(|event| event.cause == Some(Cause::Repeated))
}

/// Where the PSP executed a call a second time: leaves out what our journal does not show for certain. Certain is what a list
/// has, what a later call of ours acted on, and what is the attempt's own. (A webhook may name one effect by another id than its answer does.)
pub(super) fn seen<'a>(run: &Run, id: &str, own: Vec<&'a LedgerEvent>) -> Vec<&'a LedgerEvent> {
    if !has_extra(&own) {
        return own;
    }
    let record = run.journals().get(id).and_then(|record| record.as_ref().ok());
    let is_listed = |kind: EffectKind, id: &str| {
        let object = run.objects.get(id).map_or(id, String::as_str);
        record.is_some_and(|record| {
            let mut known = record.state().knowledge.of_kind(kind);
            known.any(|(id, seen)| id == object && seen.listed)
        })
    };
    let is_used = |id: &str| {
        let acts = |event: &&&LedgerEvent| event.cause.is_none() && event.operation != Operation::Lapse;
        let made_ms = own.iter().find(|event| event.id == id).map(|event| event.at_ms);
        // What came with the object is no later call.
        let mut acts = own
            .iter()
            .filter(acts)
            .filter(|event| Some(event.at_ms) > made_ms);
        acts.any(|event| event.authorization.as_deref() == Some(id))
    };
    // What a webhook alone has shown is not undone where another one was answered.
    let is_over = |status: Status| matches!(status, Status::Voided | Status::Declined | Status::Expired);
    let open = record.filter(|record| !is_over(record.state().status));
    let kept = open.and_then(|record| record.state().authorization.as_ref());
    let kept = kept.map(|kept| kept.psp_reference.as_str());
    let is_seen = |event: &&LedgerEvent| {
        let of = event.authorization.as_deref().unwrap_or(&event.id);
        let object = run.objects.get(of).map_or(of, String::as_str);
        let is_known = is_listed(EffectKind::Authorize, of) || is_used(of) || kept == Some(object);
        let is_second_capture = event.operation == Operation::Capture && event.cause == Some(Cause::Repeated);
        // A capture of Stripe's is known by its PaymentIntent, the acquirer's by an id of its own.
        let is_capture_known = event.face == Face::Stripe || is_listed(EffectKind::Capture, &event.id);
        is_known && (!is_second_capture || is_capture_known)
    };
    own.iter().copied().filter(|event| is_seen(event)).collect()
}

impl Case<'_> {
    /// The money as it was at `until_ms` (from the start), later events left out.
    pub(super) fn money_at(&self, until_ms: u64) -> Money {
        let mut money = Money::default();
        let mut holds: BTreeMap<&str, Hold> = BTreeMap::new();
        for event in self.ledger.iter().filter(|event| since(event.at_ms) <= until_ms) {
            let by_call = u32::from(event.cause.is_none());
            let of = event.authorization.as_deref().unwrap_or(&event.id);
            if event.declined.is_some() {
                // A refund that fails later gives its money back to the merchant.
                if let (Some(_), Some(hold)) = (&event.undoes, holds.get_mut(of)) {
                    hold.refunded_minor = hold.refunded_minor.saturating_sub(event.amount_minor);
                }
                continue;
            }
            let hold = holds.entry(of).or_default();
            match event.operation {
                Operation::Authorize => money.authorizations += by_call,
                Operation::Capture => {
                    money.captures += by_call;
                    money.all_captures += 1;
                    hold.captured_minor += event.amount_minor;
                }
                Operation::Void | Operation::Lapse => hold.is_ended = true,
                Operation::Refund => hold.refunded_minor += event.amount_minor,
            }
        }
        for hold in holds.values() {
            let is_back = hold.captured_minor > 0 && hold.refunded_minor >= hold.captured_minor;
            money.live += u32::from(!hold.is_ended && !is_back);
            money.kept_minor += hold.captured_minor.saturating_sub(hold.refunded_minor);
        }
        money
    }

    /// The money when the run ended.
    pub(super) fn money(&self) -> Money {
        self.money_at(u64::MAX)
    }

    /// Whether somebody acted on an object of ours by hand, or the card network did.
    pub(super) fn is_touched(&self) -> bool {
        self.has_cause(&[Cause::Dashboard, Cause::Reversal])
            || self.run.plan.is_disputed(self.payment.payment)
    }

    fn has_cause(&self, causes: &[Cause]) -> bool {
        // What the PSP made by executing a call a second time is nobody's payment, unless it is the one that is kept.
        let record = self
            .run
            .journals()
            .get(&self.id)
            .and_then(|record| record.as_ref().ok());
        let kept = record.and_then(|record| record.state().authorization.as_ref());
        let kept = kept.map(|kept| kept.psp_reference.as_str());
        let all = || self.run.ledger.iter().filter(|event| event.attempt_id == self.id);
        let is_authorization = |event: &&LedgerEvent| event.operation == Operation::Authorize;
        let is_own = |event: &&LedgerEvent| {
            let of = event.authorization.as_deref().unwrap_or(&event.id);
            let object = self.run.objects.get(of).map_or(of, String::as_str);
            let made = all().filter(is_authorization).find(|made| made.id == of);
            made.is_none_or(|made| made.cause.is_none()) || kept == Some(object)
        };
        let mut found = all().filter(is_own).filter_map(|event| event.cause);
        found.any(|cause| causes.contains(&cause))
    }

    /// What a capture is asked to take, in the units that the PSP is sent. A PSP that captures all takes all.
    pub(super) fn taken_minor(&self) -> u64 {
        let minor = match self.captures_other() {
            true => self.payment.amount_minor,
            false => self.payment.capture_minor(),
        };
        self.payment.sent_minor(self.class, minor)
    }

    /// Whether a capture that a client asked for can have taken so much, in the units that the PSP is sent.
    pub(super) fn may_take(&self, minor: u64) -> bool {
        let rival_minor = self.payment.sent_minor(self.class, self.payment.rival_minor());
        minor == self.taken_minor() || minor == rival_minor && !self.captures_other()
    }

    /// Whether the PSP captures another amount than is asked for.
    pub(super) fn captures_other(&self) -> bool {
        self.payment.token == crate::plan::Token::CapturesAll && self.payment.flow == crate::plan::Flow::Part
    }
}
