//! Everybody but the merchants' clients: cardholders, persons at the PSP's dashboard, other programs of the account,
//! operators; and the copies of records that servers answer from.

use std::sync::Arc;

use pay_once_core::{AttemptId, Record, Turn};
use pay_once_sandbox::{Cause, Request};

use super::{Event, Sim};
use crate::hands;
use crate::met::Sometimes;
use crate::operator;
use crate::plan::{ForeignObject, Hand, Host};
use crate::shopper::Shopper;
use crate::trace::Kind;
use crate::world::EPOCH_MS;

impl Sim<'_> {
    /// Something happens at the PSP without a call of ours.
    fn at_psp(&mut self, request: &Request, what: impl FnOnce() -> String) {
        let before = self.effects();
        let entropy = self.psp_draw.word();
        let reaction = self.sandbox.receive(EPOCH_MS + self.now_ms, entropy, request);
        if self.trace.is_asked_for() {
            let status = reaction.answer.as_ref().map_or(0, |answer| answer.status);
            self.note(Host::Psp, Kind::Effect, || format!("{}: {status}", what()));
        }
        self.pending_refunds(before);
        self.psp_reacts(reaction);
    }

    /// The customer answers what the bank asks.
    pub(super) fn authenticate(&mut self, attempt_id: &str, success: bool) {
        let open = self.sandbox.open_challenges(attempt_id);
        if open.len() > 1 {
            self.met.meet(Sometimes::SecureTwice);
        }
        for path in open {
            self.met.meet(Sometimes::SecureFinished);
            let request = hands::authenticate(&path, success);
            self.at_psp(&request, || {
                format!("{attempt_id}: 3-D Secure: success={success}")
            });
        }
    }

    /// Other programs use the account.
    pub(super) fn crowd(&mut self) {
        let request = hands::crowd(self.plan.world.crowd);
        self.at_psp(&request, || "objects of other programs".to_owned());
        let next_ms = self.now_ms + hands::CROWD_EVERY_MS;
        if hands::is_crowded(&self.plan.world, next_ms) {
            self.at(next_ms, Event::Crowd);
        }
    }

    /// A person acts on an object that carries a payment's reference.
    pub(super) fn by_hand(&mut self, payment: u32, hand: Hand, cause: Option<Cause>) {
        let Some(paid) = self.plan.payment(payment) else {
            return;
        };
        let (id, class) = (
            self.plan.attempt_of(paid).to_string(),
            self.plan.world.class_of(paid.merchant),
        );
        if let Some(request) = hands::act(&self.sandbox, class, &id, hand, cause) {
            self.met.meet(Sometimes::ByHand);
            self.at_psp(&request, || format!("{id}: {hand:?} by hand"));
        }
    }

    /// Another installation has an object that carries a payment's reference.
    pub(super) fn foreign(&mut self, payment: u32, object: &ForeignObject) {
        let Some(paid) = self.plan.payment(payment) else {
            return;
        };
        let (id, class) = (
            self.plan.attempt_of(paid).to_string(),
            self.plan.world.class_of(paid.merchant),
        );
        let request = hands::foreign(class, &id, &paid.currency, object, self.now_ms);
        self.at_psp(&request, || format!("{id}: an object of another installation"));
    }

    /// Stripe's refunds that are pending end after a while.
    pub(super) fn pending_refunds(&mut self, effects_before: usize) {
        let Some((after_ms, _)) = self.plan.world.refund_ms else {
            return;
        };
        if self.effects() == effects_before {
            return;
        }
        for id in hands::refunds_begun(&self.sandbox, self.now_ms) {
            self.at(self.now_ms + after_ms, Event::EndRefund(id));
        }
    }

    pub(super) fn end_refund(&mut self, id: &str) {
        let succeeds = self.plan.world.refund_ms.is_none_or(|(_, succeeds)| succeeds);
        let request = hands::end_refund(id, succeeds || self.now_ms >= self.plan.world.heal_ms);
        self.at_psp(&request, || format!("refund {id} ends"));
    }

    /// Something is parked, and an operator hears of it.
    pub(super) fn call_operator(&mut self, id: AttemptId, record: &Record) {
        let Some(after_ms) = self.plan.world.operator_ms else {
            return;
        };
        if operator::is_parked(record) && self.operators.insert(id) {
            let address = id.to_string();
            let found = self.shoppers.iter().find(|shopper| shopper.address() == address);
            let factor = found.map_or(1, Shopper::operator_factor);
            self.at(self.now_ms + after_ms * factor, Event::Operator(id));
        }
    }

    /// An operator says what the PSP's books say.
    pub(super) fn operator(&mut self, id: AttemptId) {
        self.operators.remove(&id);
        let Some(record) = self.store.peep(id) else { return };
        let address = id.to_string();
        let Some(body) = operator::word(&self.sandbox, &address, &record) else {
            return;
        };
        let mut shoppers = self.shoppers.iter_mut().enumerate();
        let Some((number, shopper)) = shoppers.find(|(_, shopper)| shopper.address() == address) else {
            return;
        };
        let asks = shopper.resolve(&body);
        if asks.is_empty() {
            return;
        }
        self.met.meet(Sometimes::OperatorResolves);
        for ask in asks {
            self.at(self.now_ms, Event::Ask { shopper: number, ask });
        }
        // Who got no answer looks again.
        self.call_operator(id, &record);
    }

    /// Every server keeps a copy of what is written, final or not: core says what a copy may answer.
    pub(super) fn keep_copy(&mut self, id: AttemptId, record: &Arc<Record>) {
        let Some(kept_ms) = self.plan.world.copies_ms else {
            return;
        };
        let until_ms = self.now_ms + kept_ms;
        for server in &mut self.servers {
            // A copy that is there stays as long as it is believed: readers may be behind.
            let copy = server
                .copies
                .entry(id)
                .or_insert_with(|| (Arc::clone(record), until_ms));
            if copy.1 <= self.now_ms {
                *copy = (Arc::clone(record), until_ms);
            }
        }
    }

    /// Lets a copy answer for good, if there is one that does.
    pub(super) fn offer_copy(&mut self, server: usize, turn: &mut Turn) -> bool {
        if self.plan.world.copies_ms.is_none() || !turn.may_use_copy() {
            return false;
        }
        let copy = turn
            .id()
            .and_then(|id| self.server(server).copies.get(&id).cloned());
        let Some((record, until_ms)) = copy else {
            return false;
        };
        let is_answered = until_ms > self.now_ms && turn.offer_copy(&record);
        if is_answered {
            self.met.meet(Sometimes::AnsweredFromCopy);
        }
        is_answered
    }
}
