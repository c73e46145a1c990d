//! What the PSP tells unasked: a notice of everything that has changed, as things stood then.

use serde_json::{Value, json};

use crate::books::Hold;
use crate::ledger::{Dials, Ledger};

impl Ledger {
    /// Lets something change, and notes whatever has changed by it.
    pub(crate) fn noting<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.holds.clone();
        let out = change(self);
        let mut said = Vec::new();
        for (index, hold) in self.holds.iter().enumerate() {
            let old = before.get(index);
            if old == Some(hold) {
                continue;
            }
            if hold.is_intent() {
                hold.intent_notices(&self.dials, old, &mut said);
            } else {
                hold.network_notices(&self.dials, old, &mut said);
            }
        }
        let said = said.into_iter().map(|notice| notice.to_string().into());
        self.notices.extend(said);
        out
    }
}

impl Hold {
    fn intent_notices(&self, dials: &Dials, old: Option<&Hold>, said: &mut Vec<Value>) {
        let event = |kind: &str, object: Value| json!({"type": kind, "data": {"object": object}});
        if old.is_none_or(|old| old.stand != self.stand) {
            said.push(event("payment_intent.changed", self.intent(dials)));
        }
        let is_returned = |hold: &Hold| hold.takes.iter().any(|take| take.returned_by_hand.is_some());
        if is_returned(self) && !old.is_some_and(is_returned) {
            said.extend(self.refunds().map(|refund| event("refund.created", refund)));
        }
    }

    fn network_notices(&self, dials: &Dials, old: Option<&Hold>, said: &mut Vec<Value>) {
        // Of a request of ours the network does not say of what it was.
        let mut say = |kind: &str, id: &str, of: Option<&str>, amount: u64, at_ms: u64| {
            let notice = json!({
                "type": kind, "reference": &*self.attempt, "status": "approved", "psp_reference": id,
                "amount": amount, "currency": &*self.currency,
            });
            said.push(with(with(notice, "created", dials.created(at_ms)), "of", of));
        };
        if !self.is_unfinished() && old.is_none_or(Hold::is_unfinished) {
            say("authorize", &self.id, None, self.amount, self.at_ms);
        }
        let of = (self.is_foreign || self.is_by_hand).then_some(self.id.as_str());
        for take in &self.takes {
            let known = old.and_then(|old| old.takes.iter().find(|known| known.id == take.id));
            if known.is_none() {
                say("capture", &take.id, of, take.amount, take.at_ms);
            }
            if let (Some(back), true) = (
                take.backs.first(),
                known.is_none_or(|known| known.backs.is_empty()),
            ) {
                say("void", &back.id, None, take.amount, take.at_ms);
            }
            let is_new = known.is_none_or(|known| known.returned_by_hand.is_none());
            if let (Some(id), true) = (&take.returned_by_hand, is_new) {
                say("refund", id, Some(&take.id), take.amount, take.at_ms);
            }
        }
        if let (Some((id, at_ms)), true) = (&self.void, old.is_none_or(|old| old.void.is_none())) {
            say("void", id, of, self.amount, *at_ms);
        }
    }
}

/// An object with one member more, if there is anything to say.
pub(crate) fn with(mut object: Value, name: &str, said: Option<impl Into<Value>>) -> Value {
    if let (Some(said), Some(members)) = (said, object.as_object_mut()) {
        members.insert(name.to_owned(), said.into());
    }
    object
}
