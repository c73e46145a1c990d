//! Stripe's face: PaymentIntents, as forms and JSON.

use std::borrow::Cow;

use super::{Answer, Held, Ledger, Stands};
use crate::setup::name;

impl Ledger {
    pub(super) fn stripe(&mut self, method: &str, path: &str, body: &[u8], now_ms: u64) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut parts = path.split('/');
        match (method, parts.next(), parts.next(), parts.next()) {
            ("POST", Some("payment_intents"), None, None) => {
                let id = self.new_id("pi");
                assert_eq!(field(body, "metadata[attempt_id]"), name(), "whose it is");
                self.held.push(Held {
                    id,
                    amount: number(body, "amount"),
                    stands: Stands::Prepared,
                    automatic: field(body, "capture_method") == "automatic",
                    at_ms: now_ms,
                    captures: Vec::new(),
                    void: None,
                });
                let last = self.held.len() - 1;
                if field(body, "confirm") == "true" {
                    return self.confirm(last, body, now_ms);
                }
                (200, self.intent(last))
            }
            ("POST", Some("payment_intents"), Some(id), Some("confirm")) => match self.find(id) {
                Some(index) => self.confirm(index, body, now_ms),
                None => missing(),
            },
            ("POST", Some("payment_intents"), Some(id), Some("capture")) => {
                let amount = number(body, "amount_to_capture");
                self.change(
                    id,
                    |held| held.stands == Stands::Held,
                    |held| held.take(amount, now_ms),
                )
            }
            ("POST", Some("payment_intents"), Some(id), Some("cancel")) => self.change(
                id,
                |held| !matches!(held.stands, Stands::Taken | Stands::Cancelled | Stands::Abandoned),
                |held| {
                    held.stands = if held.stands == Stands::Held {
                        Stands::Cancelled
                    } else {
                        Stands::Abandoned
                    };
                },
            ),
            ("GET", Some("payment_intents"), Some(id), None) => match self.find(id) {
                Some(index) => (200, self.intent(index)),
                None => missing(),
            },
            ("GET", Some("payment_intents"), None, None) => (200, self.list(query.as_bytes(), now_ms)),
            ("POST", Some("refunds"), None, None) => {
                let id = field(body, "payment_intent");
                let Some(index) = self.find(&id) else {
                    return missing();
                };
                let captures = self.held.get_mut(index).map(|held| &mut held.captures);
                captures
                    .into_iter()
                    .flatten()
                    .for_each(|capture| capture.is_given_back = true);
                let amount = number(body, "amount");
                (200, refund(&id, amount))
            }
            ("GET", Some("refunds"), None, None) => {
                let id = field(query.as_bytes(), "payment_intent");
                let held = self.find(&id).and_then(|index| self.held.get(index));
                let captures = held.into_iter().flat_map(|held| &held.captures);
                let back = captures.filter(|capture| capture.is_given_back);
                let data: Vec<String> = back.map(|capture| refund(&id, capture.amount)).collect();
                (
                    200,
                    format!(r#"{{"data":[{}],"has_more":false}}"#, data.join(",")),
                )
            }
            other => panic!("no such call: {other:?}"),
        }
    }

    pub(super) fn intent(&self, index: usize) -> String {
        let Some(held) = self.held.get(index) else {
            return String::new();
        };
        let received: u64 = held.captures.iter().map(|capture| capture.amount).sum();
        let error = match held.stands {
            Stands::Declined => {
                r#"{"code":"card_declined","decline_code":"generic_decline","message":"No."}"#
            }
            _ => "null",
        };
        let action = match held.stands {
            Stands::Action => r#"{"type":"redirect_to_url","redirect_to_url":{"url":"http://psp.test/3ds"}}"#,
            _ => "null",
        };
        format!(
            r#"{{"id":"{}","object":"payment_intent","amount":{},"amount_received":{received},"currency":"gbp","status":"{}","metadata":{{"attempt_id":"{}"}},"latest_charge":null,"next_action":{action},"last_payment_error":{error},"cancellation_reason":null}}"#,
            held.id,
            held.amount,
            held.stands.stripe(),
            name(),
        )
    }

    pub(super) fn note_intent(&mut self, index: usize) {
        let object = self.intent(index);
        self.notices.push(format!(
            r#"{{"type":"payment_intent.changed","data":{{"object":{object}}}}}"#
        ));
    }

    /// Stripe's refusal of an act on an object in the wrong state has the object beside it.
    pub(super) fn change(
        &mut self,
        id: &str,
        may: impl Fn(&Held) -> bool,
        act: impl FnOnce(&mut Held),
    ) -> Answer {
        let Some(index) = self.find(id) else {
            return missing();
        };
        match self.held.get_mut(index) {
            Some(held) if may(held) => {
                act(held);
                self.note_intent(index);
                (200, self.intent(index))
            }
            _ => (
                400,
                self.failure("invalid_request_error", "payment_intent_unexpected_state", index),
            ),
        }
    }

    pub(super) fn failure(&self, kind: &str, code: &str, index: usize) -> String {
        let intent = self.intent(index);
        format!(
            r#"{{"error":{{"type":"{kind}","code":"{code}","message":"No.","payment_intent":{intent}}}}}"#
        )
    }

    pub(super) fn confirm(&mut self, index: usize, body: &[u8], now_ms: u64) -> Answer {
        let token = field(body, "payment_method");
        let Some(held) = self.held.get_mut(index) else {
            return missing();
        };
        if held.stands != Stands::Prepared {
            return (
                400,
                self.failure("invalid_request_error", "payment_intent_unexpected_state", index),
            );
        }
        match &*token {
            "pm_card_declined" => {
                held.stands = Stands::Declined;
                self.note_intent(index);
                return (402, self.failure("card_error", "card_declined", index));
            }
            "pm_card_3ds" => held.stands = Stands::Action,
            _ => held.authorize(now_ms),
        }
        self.note_intent(index);
        (200, self.intent(index))
    }

    pub(super) fn list(&self, query: &[u8], now_ms: u64) -> String {
        let made_s = number(query, "created[gte]")..=number(query, "created[lte]");
        let listed = |index: &usize| {
            self.held.get(*index).is_some_and(|held| {
                held.at_ms + self.listing_lag_ms <= now_ms && made_s.contains(&(held.at_ms / 1000))
            })
        };
        let data: Vec<String> = (0..self.held.len())
            .rev()
            .filter(listed)
            .map(|index| self.intent(index))
            .collect();
        format!(
            r#"{{"object":"list","has_more":false,"data":[{}]}}"#,
            data.join(",")
        )
    }
}

fn missing() -> Answer {
    let error = r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#;
    (404, error.to_owned())
}

fn field<'a>(form: &'a [u8], name: &str) -> Cow<'a, str> {
    let mut pairs = form_urlencoded::parse(form);
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
        .unwrap_or_default()
}

fn number(form: &[u8], name: &str) -> u64 {
    field(form, name)
        .parse()
        .unwrap_or_else(|_| panic!("{name} is no number"))
}

/// The refund of an intent: there is one at most.
fn refund(intent: &str, amount: u64) -> String {
    format!(r#"{{"id":"re_{intent}","amount":{amount},"status":"succeeded","payment_intent":"{intent}"}}"#)
}
