//! The face of a plain card network: JSON in, JSON out.

use serde_json::{Value, json};

use crate::books::{Hold, Stand};
use crate::ledger::{Ledger, Said};
use crate::notices::with;
use crate::{ACTION_URL, TOKEN_3DS, TOKEN_DECLINED};

/// What every request of this face has.
struct Order<'a> {
    body: &'a Value,
    reference: &'a str,
    amount: u64,
    currency: &'a str,
}

impl<'a> Order<'a> {
    fn read(body: &'a Value) -> Result<Self, String> {
        let amount = body.get("amount").and_then(Value::as_u64);
        Ok(Self {
            body,
            reference: text(body, "reference")?,
            amount: amount.ok_or("a call without amount")?,
            currency: text(body, "currency")?,
        })
    }
}

impl Ledger {
    pub(crate) fn acquirer(&mut self, path: &str, body: &[u8], now_ms: u64) -> Said {
        if let Some(reference) = path.strip_prefix("/lookup?reference=") {
            return Ok((200, self.listing(reference, now_ms)));
        }
        let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let order = Order::read(&body)?;
        match path {
            "/authorize" => self.authorize(&order, now_ms),
            "/capture" => self.capture(&order, now_ms),
            "/void" => self.undo(&order, now_ms),
            other => Err(format!("no such call: {other}")),
        }
    }

    fn authorize(&mut self, order: &Order<'_>, now_ms: u64) -> Said {
        let token = text(order.body, "payment_method")?;
        if token == TOKEN_DECLINED {
            return Ok(declined("generic_decline"));
        }
        let waits = token == TOKEN_3DS;
        let id = self.new_id("auth");
        let mut hold = Hold::new(id.clone(), order.reference, order.amount, order.currency, now_ms);
        hold.stand = if waits { Stand::Waiting } else { Stand::Open };
        self.holds.push(hold);
        if waits {
            let shown = json!({"status": "requires_action", "psp_reference": id, "action_url": ACTION_URL});
            return Ok((200, shown));
        }
        Ok(self.approved(&id, order))
    }

    /// Naive: it captures again as often as it is asked. What somebody did by hand is in its books.
    fn capture(&mut self, order: &Order<'_>, now_ms: u64) -> Said {
        let target = text(order.body, "psp_reference")?;
        let id = self.new_id("cap");
        let hold = self.holds.iter_mut().find(|hold| hold.id == target);
        Ok(match hold.map(|hold| (hold.stand, hold)) {
            Some((Stand::Taken, hold)) if hold.is_by_hand => declined("already_captured"),
            Some((Stand::Gone, hold)) if hold.is_by_hand => declined("already_voided"),
            Some((Stand::Open | Stand::Taken, hold)) => {
                hold.take(id.clone(), order.amount, now_ms);
                self.approved(&id, order)
            }
            _ => declined("no_such_authorization"),
        })
    }

    /// Releases an authorization, or gives a capture back.
    fn undo(&mut self, order: &Order<'_>, now_ms: u64) -> Said {
        let target = text(order.body, "psp_reference")?;
        let back = self.new_back("void", now_ms);
        let id = back.id.clone();
        for hold in &mut self.holds {
            if let Some(take) = hold.takes.iter_mut().find(|take| take.id == target) {
                take.backs.push(back);
                return Ok(self.approved(&id, order));
            }
            if hold.id == target && hold.takes.is_empty() {
                hold.release();
                hold.void.get_or_insert((back.id, now_ms));
                return Ok(self.approved(&id, order));
            }
        }
        Ok(declined("nothing_to_void"))
    }

    fn listing(&self, reference: &str, now_ms: u64) -> Value {
        let listed = |at_ms: u64| at_ms + self.dials.listing_lag_ms <= now_ms;
        let made = |shown: Value, at_ms: u64| with(shown, "created", self.dials.created(at_ms));
        let (mut authorize, mut capture, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        let (mut void, mut given_back) = (Vec::new(), Vec::new());
        for hold in self.holds.iter().filter(|hold| *hold.attempt == *reference) {
            let shown = json!({"id": hold.id, "amount": hold.amount});
            if listed(hold.at_ms) && hold.stand == Stand::Waiting {
                waiting.push(made(with(shown, "action_url", Some(ACTION_URL)), hold.at_ms));
            } else if listed(hold.at_ms) && !hold.is_unfinished() {
                authorize.push(made(shown, hold.at_ms));
            }
            for take in &hold.takes {
                let of = |id: &str, of: &str| json!({"id": id, "amount": take.amount, "psp_reference": of});
                if listed(take.at_ms) {
                    capture.push(made(of(&take.id, &hold.id), take.at_ms));
                }
                let backs = take.backs.iter().filter(|back| back.listed_ms <= now_ms);
                given_back.extend(backs.map(|back| of(&back.id, &take.id)));
            }
            if let Some((id, _)) = hold.void.as_ref().filter(|(_, at_ms)| listed(*at_ms)) {
                void.push(json!({"id": id, "amount": hold.amount, "psp_reference": hold.id}));
            }
        }
        void.append(&mut given_back);
        json!({"authorize": authorize, "capture": capture, "void": void, "lapsed": [], "requires_action": waiting})
    }

    fn approved(&self, id: &str, order: &Order<'_>) -> (u16, Value) {
        let shown = json!({"status": "approved", "psp_reference": id, "amount": order.amount});
        let currency = self.dials.says_currency.then_some(order.currency);
        (200, with(shown, "currency", currency))
    }
}

fn declined(code: &str) -> (u16, Value) {
    (200, json!({"status": "declined", "code": code, "message": "No."}))
}

fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, String> {
    let text = body.get(name).and_then(Value::as_str);
    text.ok_or_else(|| format!("a call without {name}"))
}
