//! The two faces of the PSP on the wire (`docs/psp.md`): PaymentIntents, and a plain card network.

use std::collections::BTreeMap;

use pay_once_core::CallResult;
use serde_json::{Value, json};

use super::action::Refusal;
use super::cell::PspClass;
use super::ledger::{Dials, Hold, Ledger, Said, Stand, Take};
use super::oracle::at;

/// The token that is declined.
pub(super) const TOKEN_DECLINED: &str = "pm_card_declined";
/// The token that asks for 3-D Secure.
pub(super) const TOKEN_3DS: &str = "pm_card_3ds";

impl Ledger {
    pub(super) fn stripe(
        &mut self,
        dials: &Dials,
        method: &str,
        path: &str,
        body: &[u8],
        now_ms: u64,
    ) -> Said {
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match (method, parts.as_slice()) {
            ("POST", ["payment_intents"]) => self.make_intent(&form, now_ms),
            ("POST", ["payment_intents", id, "confirm"]) => {
                self.confirm(id, text(&form, "payment_method")?, now_ms)
            }
            ("POST", ["payment_intents", id, "capture"]) => {
                let amount = number(&form, "amount_to_capture")?;
                self.change(id, Stand::Open, |hold| hold.take(hold.id.clone(), amount, now_ms))
            }
            ("POST", ["payment_intents", id, "cancel"]) => {
                let from = self.find(id).map(|hold| hold.stand);
                let from =
                    from.filter(|stand| !matches!(stand, Stand::Taken | Stand::Gone | Stand::Abandoned));
                self.change(id, from.unwrap_or(Stand::Made), |hold| {
                    let held = hold.stand == Stand::Open;
                    hold.stand = if held { Stand::Gone } else { Stand::Abandoned };
                    hold.void = Some((hold.id.clone(), now_ms));
                })
            }
            ("GET", ["payment_intents", id]) => {
                Ok(self.find(id).map_or_else(missing, |hold| (200, hold.intent())))
            }
            ("GET", ["payment_intents"]) => self.list(dials, query, now_ms),
            ("POST", ["refunds"]) => self.refund(text(&form, "payment_intent")?, number(&form, "amount")?),
            ("GET", ["refunds"]) => {
                let query: BTreeMap<String, String> =
                    form_urlencoded::parse(query.as_bytes()).into_owned().collect();
                let of = text(&query, "payment_intent")?;
                let data: Vec<Value> = self.find(of).into_iter().flat_map(Hold::refunds).collect();
                Ok((200, json!({"object": "list", "has_more": false, "data": data})))
            }
            other => Err(format!("no such call: {other:?}")),
        }
    }

    fn refund(&mut self, id: &str, amount: u64) -> Said {
        let refund = self.new_id("re");
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.id == id) else {
            return Ok(missing());
        };
        if !hold.takes.iter().any(Take::stands) {
            let error =
                json!({"type": "invalid_request_error", "code": "charge_already_refunded", "message": "No."});
            return Ok((400, json!({"error": error})));
        }
        for take in &mut hold.takes {
            take.backs.push(refund.clone());
        }
        let currency = &hold.currency;
        Ok((
            200,
            json!({"id": refund, "amount": amount, "currency": currency, "status": "succeeded", "payment_intent": id}),
        ))
    }

    fn make_intent(&mut self, form: &BTreeMap<String, String>, now_ms: u64) -> Said {
        let id = self.new_id("pi");
        self.holds.push(Hold {
            id: id.clone(),
            attempt: text(form, "metadata[attempt_id]")?.to_owned(),
            amount: number(form, "amount")?,
            currency: text(form, "currency")?.to_owned(),
            stand: Stand::Made,
            automatic: text(form, "capture_method")? == "automatic",
            at_ms: now_ms,
            takes: Vec::new(),
            void: None,
            is_foreign: false,
            is_by_hand: false,
        });
        if form.contains_key("confirm") {
            return self.confirm(&id, text(form, "payment_method")?, now_ms);
        }
        Ok(self.find(&id).map_or_else(missing, |hold| (200, hold.intent())))
    }

    fn find(&self, id: &str) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.id == id)
    }

    /// Stripe's refusal of an act on an object in the wrong state has the object beside it.
    fn change(&mut self, id: &str, from: Stand, act: impl FnOnce(&mut Hold)) -> Said {
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.id == id) else {
            return Ok(missing());
        };
        if hold.stand != from {
            let error = json!({
                "type": "invalid_request_error", "code": "payment_intent_unexpected_state", "message": "No.",
                "payment_intent": hold.intent(),
            });
            return Ok((400, json!({"error": error})));
        }
        act(hold);
        Ok((200, hold.intent()))
    }

    fn confirm(&mut self, id: &str, token: &str, now_ms: u64) -> Said {
        if token == TOKEN_DECLINED && self.find(id).is_some_and(|hold| hold.stand == Stand::Made) {
            let (_, intent) = self.change(id, Stand::Made, |hold| hold.stand = Stand::Declined)?;
            let error = json!({
                "type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "message": "No.",
                "payment_intent": intent,
            });
            return Ok((402, json!({"error": error})));
        }
        self.change(id, Stand::Made, |hold| {
            if token == TOKEN_3DS {
                hold.stand = Stand::Waiting;
            } else {
                hold.approve(now_ms);
            }
        })
    }

    fn list(&self, dials: &Dials, query: &str, now_ms: u64) -> Said {
        let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let (from_s, to_s) = (number(&query, "created[gte]")?, number(&query, "created[lte]")?);
        let listed = self.holds.iter().rev().filter(|hold| {
            (from_s..=to_s).contains(&(hold.at_ms / 1000)) && hold.at_ms + dials.listing_lag_ms <= now_ms
        });
        let data: Vec<Value> = listed.map(Hold::intent).collect();
        Ok((200, json!({"object": "list", "has_more": false, "data": data})))
    }

    pub(super) fn acquirer(&mut self, dials: &Dials, path: &str, body: &[u8], now_ms: u64) -> Said {
        if let Some(reference) = path.strip_prefix("/lookup?reference=") {
            return Ok((200, self.listing(dials, reference, now_ms)));
        }
        let asked: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let amount = at(&asked, "/amount").as_u64().ok_or("a call without an amount")?;
        let target = at(&asked, "/psp_reference").as_str().unwrap_or_default();
        match path {
            "/authorize" => Ok(self.authorize(&asked, amount, now_ms)),
            "/capture" => {
                let id = self.new_id("cap");
                match self.holds.iter_mut().find(|hold| hold.id == target) {
                    // Naive: it captures again as often as it is asked.
                    // What somebody did by hand is in its books.
                    Some(hold) if hold.is_by_hand && hold.stand == Stand::Taken => {
                        Ok(declined("already_captured"))
                    }
                    Some(hold) if hold.is_by_hand && hold.stand == Stand::Gone => {
                        Ok(declined("already_voided"))
                    }
                    Some(hold) if matches!(hold.stand, Stand::Open | Stand::Taken) => {
                        hold.take(id.clone(), amount, now_ms);
                        Ok(approved(&id, amount))
                    }
                    _ => Ok(declined("no_such_authorization")),
                }
            }
            "/void" => Ok(self.undo(target, amount, now_ms)),
            other => Err(format!("no such call: {other}")),
        }
    }

    fn authorize(&mut self, asked: &Value, amount: u64, now_ms: u64) -> (u16, Value) {
        let token = at(asked, "/payment_method").as_str().unwrap_or_default();
        if token == TOKEN_DECLINED {
            return declined("generic_decline");
        }
        let waits = token == TOKEN_3DS;
        let id = self.new_id("auth");
        self.holds.push(Hold {
            id: id.clone(),
            attempt: at(asked, "/reference").as_str().unwrap_or_default().to_owned(),
            amount,
            currency: at(asked, "/currency").as_str().unwrap_or_default().to_owned(),
            stand: if waits { Stand::Waiting } else { Stand::Open },
            automatic: false,
            at_ms: now_ms,
            takes: Vec::new(),
            void: None,
            is_foreign: false,
            is_by_hand: false,
        });
        if waits {
            let url = "http://psp.test/3ds";
            return (
                200,
                json!({"status": "requires_action", "psp_reference": id, "action_url": url}),
            );
        }
        approved(&id, amount)
    }

    /// Releases an authorization, or gives a capture back.
    fn undo(&mut self, target: &str, amount: u64, now_ms: u64) -> (u16, Value) {
        let id = self.new_id("void");
        for hold in &mut self.holds {
            if let Some(take) = hold.takes.iter_mut().find(|take| take.id == target) {
                take.backs.push(id.clone());
                return approved(&id, amount);
            }
            if hold.id == target && hold.takes.is_empty() {
                hold.release();
                hold.void.get_or_insert((id.clone(), now_ms));
                return approved(&id, amount);
            }
        }
        declined("nothing_to_void")
    }

    fn listing(&self, dials: &Dials, reference: &str, now_ms: u64) -> Value {
        let listed = |at_ms: u64| at_ms + dials.listing_lag_ms <= now_ms;
        let mine: Vec<&Hold> = self
            .holds
            .iter()
            .filter(|hold| hold.attempt == reference)
            .collect();
        let waits = |hold: &Hold| matches!(hold.stand, Stand::Waiting | Stand::Abandoned);
        let authorize: Vec<Value> = mine
            .iter()
            .filter(|hold| !waits(hold) && listed(hold.at_ms))
            .map(|hold| json!({"id": hold.id, "amount": hold.amount, "created": hold.at_ms / 1000}))
            .collect();
        let capture: Vec<Value> = mine
            .iter()
            .flat_map(|hold| hold.takes.iter().map(|take| (&hold.id, take)))
            .filter(|(_, take)| listed(take.at_ms))
            .map(|(of, take)| json!({"id": take.id, "amount": take.amount, "psp_reference": of, "created": take.at_ms / 1000}))
            .collect();
        let given_back = mine.iter().flat_map(|hold| &hold.takes).flat_map(|take| {
            take.backs
                .iter()
                .map(move |id| json!({"id": id, "amount": take.amount, "psp_reference": take.id}))
        });
        let void: Vec<Value> = mine
            .iter()
            .filter_map(|hold| hold.void.as_ref().map(|(id, at_ms)| (hold, id, *at_ms)))
            .filter(|(_, _, at_ms)| listed(*at_ms))
            .map(|(hold, id, _)| json!({"id": id, "amount": hold.amount, "psp_reference": hold.id}))
            .chain(given_back)
            .collect();
        let waiting: Vec<Value> = mine
            .iter()
            .filter(|hold| hold.stand == Stand::Waiting && listed(hold.at_ms))
            .map(|hold| json!({"id": hold.id, "amount": hold.amount, "action_url": "http://psp.test/3ds", "created": hold.at_ms / 1000}))
            .collect();
        json!({"authorize": authorize, "capture": capture, "void": void, "lapsed": [], "requires_action": waiting})
    }
}

impl Hold {
    /// The PaymentIntent as its face shows it.
    pub(super) fn intent(&self) -> Value {
        let received: u64 = self.takes.iter().map(|take| take.amount).sum();
        let error = (self.stand == Stand::Declined)
            .then(|| json!({"code": "card_declined", "decline_code": "generic_decline", "message": "No."}));
        let action = (self.stand == Stand::Waiting)
            .then(|| json!({"type": "redirect_to_url", "redirect_to_url": {"url": "http://psp.test/3ds"}}));
        let status = match self.stand {
            Stand::Made => "requires_confirmation",
            Stand::Waiting => "requires_action",
            Stand::Declined => "requires_payment_method",
            Stand::Open => "requires_capture",
            Stand::Taken => "succeeded",
            Stand::Gone | Stand::Abandoned => "canceled",
        };
        json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount, "amount_received": received,
            "currency": self.currency, "status": status, "metadata": {"attempt_id": self.attempt},
            "latest_charge": null, "next_action": action, "last_payment_error": error,
            "cancellation_reason": null, "created": self.at_ms / 1000,
        })
    }

    /// Its refunds, on request and by hand.
    pub(super) fn refunds(&self) -> impl Iterator<Item = Value> {
        self.takes.iter().flat_map(move |take| {
            take.backs.iter().chain(&take.returned_by_hand).map(move |id| {
                json!({
                    "id": id, "object": "refund", "amount": take.amount, "currency": self.currency,
                    "status": "succeeded", "payment_intent": self.id,
                })
            })
        })
    }
}

/// A definite 4xx to any call.
pub(super) fn rejection(class: PspClass, refusal: Refusal) -> CallResult {
    let (status, body) = match (refusal, class.has_intents()) {
        (Refusal::Unauthorized, true) => (
            401,
            json!({"error": {"type": "invalid_request_error", "message": "Invalid API Key."}}),
        ),
        (Refusal::Unauthorized, false) => (401, json!({"error": {"code": "unauthorized", "message": "No."}})),
        (Refusal::Gateway, _) => (403, json!("Forbidden")),
        (Refusal::Bare, true) => (400, json!({"error": {"type": "invalid_request_error"}})),
        (Refusal::Bare, false) => (400, json!({"error": {"message": "Bad request."}})),
    };
    CallResult::answered(status, body.to_string().into_bytes())
}

fn approved(id: &str, amount: u64) -> (u16, Value) {
    (
        200,
        json!({"status": "approved", "psp_reference": id, "amount": amount}),
    )
}

fn declined(code: &str) -> (u16, Value) {
    (200, json!({"status": "declined", "code": code, "message": "No."}))
}

fn missing() -> (u16, Value) {
    let error = json!({"type": "invalid_request_error", "code": "resource_missing"});
    (404, json!({"error": error}))
}

fn text<'a>(form: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str, String> {
    form.get(name)
        .map(String::as_str)
        .ok_or_else(|| format!("a call without {name}"))
}

fn number(form: &BTreeMap<String, String>, name: &str) -> Result<u64, String> {
    text(form, name)?
        .parse()
        .map_err(|_| format!("{name} is not a number"))
}
