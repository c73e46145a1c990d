//! The face of PaymentIntents: forms in, JSON out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::books::{Back, Hold, Stand, Take};
use crate::ledger::{Dials, Ledger, Said};
use crate::notices::with;
use crate::{ACTION_URL, TOKEN_3DS, TOKEN_DECLINED};

/// A form, or a query.
struct Form(BTreeMap<String, String>);

impl Form {
    fn new(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        let text = self.0.get(name).map(String::as_str);
        text.ok_or_else(|| format!("a call without {name}"))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        let number = self.text(name)?.parse();
        number.map_err(|_| format!("{name} is not a number"))
    }
}

impl Ledger {
    /// `path` is what follows `/v1/`.
    pub(crate) fn stripe(&mut self, method: &str, path: &str, body: &[u8], now_ms: u64) -> Said {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (form, query) = (Form::new(body), Form::new(query.as_bytes()));
        let parts: Vec<&str> = path.split('/').collect();
        match (method, parts.as_slice()) {
            ("POST", ["payment_intents"]) => self.make_intent(&form, now_ms),
            ("POST", ["payment_intents", id, "confirm"]) => {
                self.confirm(id, form.text("payment_method")?, now_ms)
            }
            ("POST", ["payment_intents", id, "capture"]) => {
                let amount = form.number("amount_to_capture")?;
                let may = |stand| stand == Stand::Open;
                self.change(id, may, |hold| hold.take(hold.id.clone(), amount, now_ms))
            }
            ("POST", ["payment_intents", id, "cancel"]) => {
                let may = |stand| !matches!(stand, Stand::Taken | Stand::Gone | Stand::Abandoned);
                self.change(id, may, |hold| {
                    let is_held = hold.stand == Stand::Open;
                    hold.stand = if is_held { Stand::Gone } else { Stand::Abandoned };
                    hold.void = Some((hold.id.clone(), now_ms));
                })
            }
            ("GET", ["payment_intents", id]) => Ok(self.read(id)),
            ("GET", ["payment_intents"]) => {
                let made_s = query.number("created[gte]")?..=query.number("created[lte]")?;
                let listed = self.holds.iter().rev().filter(|hold| {
                    made_s.contains(&(hold.at_ms / 1000)) && hold.at_ms + self.dials.listing_lag_ms <= now_ms
                });
                Ok(list(listed.map(|hold| hold.intent(&self.dials)).collect()))
            }
            ("POST", ["refunds"]) => {
                self.refund(form.text("payment_intent")?, form.number("amount")?, now_ms)
            }
            ("GET", ["refunds"]) => {
                let of = self.find(query.text("payment_intent")?);
                Ok(list(of.into_iter().flat_map(Hold::refunds).collect()))
            }
            other => Err(format!("no such call: {other:?}")),
        }
    }

    fn make_intent(&mut self, form: &Form, now_ms: u64) -> Said {
        let id = self.new_id("pi");
        let (attempt, amount) = (form.text("metadata[attempt_id]")?, form.number("amount")?);
        let mut hold = Hold::new(id.clone(), attempt, amount, form.text("currency")?, now_ms);
        hold.automatic = form.text("capture_method")? == "automatic";
        self.holds.push(hold);
        match form.text("confirm") {
            Ok(_) => self.confirm(&id, form.text("payment_method")?, now_ms),
            Err(_) => Ok(self.read(&id)),
        }
    }

    fn read(&self, id: &str) -> (u16, Value) {
        self.find(id)
            .map_or_else(missing, |hold| (200, hold.intent(&self.dials)))
    }

    /// The refusal of an act on an object in the wrong state has the object beside it.
    fn change(&mut self, id: &str, may: impl Fn(Stand) -> bool, act: impl FnOnce(&mut Hold)) -> Said {
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.id == id) else {
            return Ok(missing());
        };
        if !may(hold.stand) {
            let error = json!({
                "type": "invalid_request_error", "code": "payment_intent_unexpected_state", "message": "No.",
                "payment_intent": hold.intent(&self.dials),
            });
            return Ok((400, json!({"error": error})));
        }
        act(hold);
        Ok((200, hold.intent(&self.dials)))
    }

    fn confirm(&mut self, id: &str, token: &str, now_ms: u64) -> Said {
        let (status, intent) = self.change(
            id,
            |stand| stand == Stand::Made,
            |hold| match token {
                TOKEN_DECLINED => hold.stand = Stand::Declined,
                TOKEN_3DS => hold.stand = Stand::Waiting,
                _ => hold.approve(now_ms),
            },
        )?;
        if status != 200 || token != TOKEN_DECLINED {
            return Ok((status, intent));
        }
        let error = json!({
            "type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "message": "No.",
            "payment_intent": intent,
        });
        Ok((402, json!({"error": error})))
    }

    fn refund(&mut self, id: &str, amount: u64, now_ms: u64) -> Said {
        let back = self.new_back("re", now_ms);
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.id == id) else {
            return Ok(missing());
        };
        if !hold.takes.iter().any(Take::stands) {
            let error =
                json!({"type": "invalid_request_error", "code": "charge_already_refunded", "message": "No."});
            return Ok((400, json!({"error": error})));
        }
        for take in &mut hold.takes {
            take.backs.push(back.clone());
        }
        Ok((
            200,
            json!({
                "id": back.id, "amount": amount, "currency": &*hold.currency, "status": "succeeded", "payment_intent": id,
            }),
        ))
    }

    /// How a capture is given back now.
    pub(crate) fn new_back(&mut self, prefix: &str, now_ms: u64) -> Back {
        let is_late = self.dials.lists_backs_late;
        Back {
            id: self.new_id(prefix),
            listed_ms: if is_late {
                now_ms + self.dials.listing_lag_ms
            } else {
                0
            },
        }
    }
}

impl Hold {
    /// The PaymentIntent as its face shows it.
    #[must_use]
    pub fn intent(&self, dials: &Dials) -> Value {
        let received: u64 = self.takes.iter().map(|take| take.amount).sum();
        let error = (self.stand == Stand::Declined)
            .then(|| json!({"code": "card_declined", "decline_code": "generic_decline", "message": "No."}));
        let action = (self.stand == Stand::Waiting)
            .then(|| json!({"type": "redirect_to_url", "redirect_to_url": {"url": ACTION_URL}}));
        let status = match self.stand {
            Stand::Made => "requires_confirmation",
            Stand::Waiting => "requires_action",
            Stand::Declined => "requires_payment_method",
            Stand::Open => "requires_capture",
            Stand::Taken => "succeeded",
            Stand::Gone | Stand::Abandoned => "canceled",
        };
        let intent = json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount, "amount_received": received,
            "currency": &*self.currency, "status": status, "metadata": {"attempt_id": &*self.attempt},
            "latest_charge": null, "next_action": action, "last_payment_error": error,
            "cancellation_reason": null,
        });
        with(intent, "created", dials.created(self.at_ms))
    }

    /// Its refunds, on request and by hand.
    pub(crate) fn refunds(&self) -> impl Iterator<Item = Value> {
        self.takes.iter().flat_map(move |take| {
            let on_request = take.backs.iter().map(|back| &back.id);
            on_request.chain(&take.returned_by_hand).map(move |id| {
                json!({
                    "id": id, "object": "refund", "amount": take.amount, "currency": &*self.currency,
                    "status": "succeeded", "payment_intent": self.id,
                })
            })
        })
    }
}

fn list(data: Vec<Value>) -> (u16, Value) {
    (200, json!({"object": "list", "has_more": false, "data": data}))
}

fn missing() -> (u16, Value) {
    let error = json!({"type": "invalid_request_error", "code": "resource_missing"});
    (404, json!({"error": error}))
}
