//! The plain card network's face.

use serde::Deserialize;

use super::{Answer, Captured, Held, Ledger, Stands};
use crate::setup::name;

impl Ledger {
    pub(super) fn acquirer(&mut self, path: &str, body: &[u8], now_ms: u64) -> Answer {
        if let Some(reference) = path.strip_prefix("/lookup?reference=") {
            assert_eq!(reference, name(), "whose it is");
            return (200, self.listing(now_ms));
        }
        let Ok(asked) = serde_json::from_slice::<Asked<'_>>(body) else {
            panic!("not a request to an acquirer")
        };
        assert_eq!(asked.reference, name(), "whose it is");
        match path {
            "/authorize" => self.authorize(&asked, now_ms),
            "/capture" => {
                let id = self.new_id("cap");
                let may = |held: &&mut Held| {
                    held.id == asked.psp_reference
                        && held.void.is_none()
                        && matches!(held.stands, Stands::Held | Stands::Taken)
                };
                let Some(held) = self.held.iter_mut().find(may) else {
                    return declined("no_such_authorization");
                };
                held.stands = Stands::Taken;
                held.captures.push(Captured {
                    id: id.clone(),
                    amount: asked.amount,
                    at_ms: now_ms,
                    is_given_back: false,
                });
                self.say("capture", &id, asked.amount)
            }
            "/void" => self.void(&asked, now_ms),
            other => panic!("no such call: {other}"),
        }
    }

    fn authorize(&mut self, asked: &Asked<'_>, now_ms: u64) -> Answer {
        if asked.payment_method == "pm_card_declined" {
            return declined("generic_decline");
        }
        let id = self.new_id("auth");
        let waits = asked.payment_method == "pm_card_3ds";
        self.held.push(Held {
            id: id.clone(),
            amount: asked.amount,
            stands: if waits { Stands::Action } else { Stands::Held },
            automatic: false,
            at_ms: now_ms,
            captures: Vec::new(),
            void: None,
        });
        if waits {
            let shown = format!(
                r#"{{"status":"requires_action","psp_reference":"{id}","action_url":"http://psp.test/3ds"}}"#
            );
            return (200, shown);
        }
        self.say("authorize", &id, asked.amount)
    }

    fn void(&mut self, asked: &Asked<'_>, now_ms: u64) -> Answer {
        let id = self.new_id("void");
        for held in &mut self.held {
            let target = asked.psp_reference;
            if let Some(capture) = held.captures.iter_mut().find(|capture| capture.id == target) {
                capture.is_given_back = true;
                return self.say("void", &id, asked.amount);
            }
            if held.id == target && held.captures.is_empty() {
                held.stands = match held.stands {
                    Stands::Action | Stands::Abandoned => Stands::Abandoned,
                    _ => Stands::Cancelled,
                };
                held.void.get_or_insert_with(|| (id.clone(), now_ms));
                return self.say("void", &id, asked.amount);
            }
        }
        declined("nothing_to_void")
    }

    /// An approval, and the notice of it. An acquirer's notices do not say of what they are.
    pub(super) fn say(&mut self, kind: &str, id: &str, amount: u64) -> Answer {
        self.notices.push(notice(kind, id, amount));
        (
            200,
            format!(r#"{{"status":"approved","psp_reference":"{id}","amount":{amount}}}"#),
        )
    }

    pub(super) fn note_authorized(&mut self, index: usize) {
        let Some(held) = self.held.get(index) else { return };
        if held.id.starts_with("pi_") {
            self.note_intent(index);
        } else {
            self.notices.push(notice("authorize", &held.id, held.amount));
        }
    }

    pub(super) fn listing(&self, now_ms: u64) -> String {
        let listed = |at_ms: u64| at_ms + self.listing_lag_ms <= now_ms;
        let (mut authorize, mut capture, mut void, mut waiting) = (vec![], vec![], vec![], vec![]);
        for held in &self.held {
            let (of, amount) = (&held.id, held.amount);
            match held.stands {
                Stands::Action => waiting.push(format!(
                    r#"{{"id":"{of}","amount":{amount},"action_url":"http://psp.test/3ds"}}"#
                )),
                Stands::Abandoned => {}
                _ if listed(held.at_ms) => authorize.push(format!(r#"{{"id":"{of}","amount":{amount}}}"#)),
                _ => {}
            }
            for taken in held.captures.iter().filter(|taken| listed(taken.at_ms)) {
                let (id, amount) = (&taken.id, taken.amount);
                capture.push(format!(
                    r#"{{"id":"{id}","amount":{amount},"psp_reference":"{of}"}}"#
                ));
            }
            if let Some((id, _)) = held.void.as_ref().filter(|(_, at_ms)| listed(*at_ms)) {
                void.push(format!(
                    r#"{{"id":"{id}","amount":{amount},"psp_reference":"{of}"}}"#
                ));
            }
        }
        format!(
            r#"{{"authorize":[{}],"capture":[{}],"void":[{}],"lapsed":[],"requires_action":[{}]}}"#,
            authorize.join(","),
            capture.join(","),
            void.join(","),
            waiting.join(",")
        )
    }
}

#[derive(Deserialize)]
struct Asked<'a> {
    reference: &'a str,
    amount: u64,
    #[serde(default)]
    payment_method: &'a str,
    #[serde(default)]
    psp_reference: &'a str,
}

fn notice(kind: &str, id: &str, amount: u64) -> String {
    format!(
        r#"{{"type":"{kind}","reference":"{}","status":"approved","psp_reference":"{id}","amount":{amount},"currency":"GBP"}}"#,
        name()
    )
}

fn declined(code: &str) -> Answer {
    (
        200,
        format!(r#"{{"status":"declined","code":"{code}","message":"No."}}"#),
    )
}
