//! A truthful PSP in memory, both faces, one ledger, written without a line of core: the truth that answers are held
//! against. It refuses nothing that a naive card network would not refuse: the acquirer face authorizes and captures
//! again as often as it is asked.

use std::borrow::Cow;

use pay_once_core::psp::{CallResult, HttpCall};
use serde::Deserialize;

use crate::setup::{DAY_MS, PSP_URL, name};

/// Where an authorization stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// Made, and not acted on.
    Prepared,
    /// The customer has to do something.
    Action,
    /// The customer never did.
    Abandoned,
    /// Declined.
    Declined,
    /// Funds are reserved.
    Held,
    /// Funds were taken.
    Taken,
    /// Released.
    Cancelled,
}

impl Stands {
    fn stripe(self) -> &'static str {
        match self {
            Self::Prepared => "requires_confirmation",
            Self::Action => "requires_action",
            Self::Declined => "requires_payment_method",
            Self::Held => "requires_capture",
            Self::Taken => "succeeded",
            Self::Abandoned | Self::Cancelled => "canceled",
        }
    }
}

/// One authorization (acquirer) or one PaymentIntent (stripe).
#[derive(Clone, Debug)]
pub struct Held {
    /// Its id.
    pub id: String,
    amount: u64,
    /// Where it stands.
    pub stands: Stands,
    automatic: bool,
    at_ms: u64,
    captures: Vec<Captured>,
    void: Option<(String, u64)>,
}

#[derive(Clone, Debug)]
struct Captured {
    id: String,
    amount: u64,
    at_ms: u64,
    is_given_back: bool,
}

/// An answer that the PSP keeps under a key.
#[derive(Clone, Debug)]
struct Kept {
    key: String,
    asked: HttpCall,
    answer: CallResult,
    at_ms: u64,
}

/// What the PSP has in its books about the one attempt.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    honours_keys: bool,
    listing_lag_ms: u64,
    /// Every authorization that was ever begun.
    pub held: Vec<Held>,
    /// Every notice that the PSP would send, as things stood then.
    pub notices: Vec<String>,
    kept: Vec<Kept>,
    made: u32,
}

type Answer = (u16, String);

impl Ledger {
    /// Empty books.
    #[must_use]
    pub fn new(honours_keys: bool, listing_lag_ms: u64) -> Self {
        Self {
            honours_keys,
            listing_lag_ms,
            ..Self::default()
        }
    }

    /// Authorizations that hold funds, or were used by a capture that stands.
    #[must_use]
    pub fn live(&self) -> usize {
        let is_live = |held: &&Held| {
            held.stands == Stands::Held || held.captures.iter().any(|capture| !capture.is_given_back)
        };
        self.held.iter().filter(is_live).count()
    }

    /// Captures ever made.
    #[must_use]
    pub fn captures(&self) -> usize {
        self.held.iter().map(|held| held.captures.len()).sum()
    }

    /// Captures that stand.
    #[must_use]
    pub fn taken(&self) -> usize {
        let captures = self.held.iter().flat_map(|held| &held.captures);
        captures.filter(|capture| !capture.is_given_back).count()
    }

    /// Whether a capture took more than was authorized.
    #[must_use]
    pub fn took_too_much(&self) -> bool {
        let too_much = |held: &Held| held.captures.iter().any(|capture| capture.amount > held.amount);
        self.held.iter().any(too_much)
    }

    /// Authorizations that ever held funds.
    #[must_use]
    pub fn authorizations(&self) -> usize {
        let held_funds =
            |held: &&Held| matches!(held.stands, Stands::Held | Stands::Taken | Stands::Cancelled);
        self.held.iter().filter(held_funds).count()
    }

    /// The id of the authorization that holds funds, or was used.
    #[must_use]
    pub fn live_id(&self) -> Option<&str> {
        let is_live = |held: &&Held| matches!(held.stands, Stands::Held | Stands::Taken);
        self.held.iter().find(is_live).map(|held| held.id.as_str())
    }

    /// The id of the capture that stands.
    #[must_use]
    pub fn capture_id(&self) -> Option<&str> {
        let mut captures = self.held.iter().flat_map(|held| &held.captures);
        captures
            .find(|capture| !capture.is_given_back)
            .map(|capture| capture.id.as_str())
    }

    /// The id of the void by which nothing is held any more.
    #[must_use]
    pub fn void_id(&self) -> Option<&str> {
        let mut voids = self.held.iter().filter_map(|held| held.void.as_ref());
        voids
            .next()
            .filter(|_| self.live() == 0)
            .map(|(id, _)| id.as_str())
    }

    /// The customer finishes 3-D Secure.
    pub fn finish_action(&mut self, now_ms: u64) {
        for index in 0..self.held.len() {
            let Some(held) = self
                .held
                .get_mut(index)
                .filter(|held| held.stands == Stands::Action)
            else {
                continue;
            };
            held.authorize(now_ms);
            self.note_authorized(index);
        }
    }

    /// A request arrives; what is answered.
    ///
    /// # Panics
    /// If a PSP key comes with two different requests (rule 3), or a request is none that this PSP knows.
    pub fn act(&mut self, http: &HttpCall, now_ms: u64) -> CallResult {
        let key = http.headers.iter().find(|(name, _)| *name == "idempotency-key");
        let Some((_, key)) = key.filter(|_| self.honours_keys) else {
            return self.answer(http, now_ms);
        };
        if let Some(before) = self.kept.iter().rev().find(|kept| kept.key == *key) {
            assert_eq!(
                (&before.asked.url, &before.asked.body),
                (&http.url, &http.body),
                "rule 3: one PSP key, one request"
            );
            if now_ms <= before.at_ms + DAY_MS {
                return before.answer.clone();
            }
        }
        let answer = self.answer(http, now_ms);
        self.kept.push(Kept {
            key: key.clone(),
            asked: http.clone(),
            answer: answer.clone(),
            at_ms: now_ms,
        });
        answer
    }

    fn new_id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_3N{:05}", self.made)
    }

    fn answer(&mut self, http: &HttpCall, now_ms: u64) -> CallResult {
        let path = http.url.strip_prefix(PSP_URL).unwrap_or_default();
        let (status, body) = match path.strip_prefix("/v1/") {
            Some(path) => self.stripe(http.method, path, &http.body, now_ms),
            None => self.acquirer(path, &http.body, now_ms),
        };
        CallResult::Answered {
            status,
            body: body.into_bytes(),
        }
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.held.iter().position(|held| held.id == id)
    }

    fn stripe(&mut self, method: &str, path: &str, body: &[u8], now_ms: u64) -> Answer {
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
                let refund = self.new_id("re");
                let captures = self.held.get_mut(index).map(|held| &mut held.captures);
                captures
                    .into_iter()
                    .flatten()
                    .for_each(|capture| capture.is_given_back = true);
                let amount = number(body, "amount");
                let shown = format!(
                    r#"{{"id":"{refund}","amount":{amount},"status":"succeeded","payment_intent":"{id}"}}"#
                );
                (200, shown)
            }
            other => panic!("no such call: {other:?}"),
        }
    }

    fn intent(&self, index: usize) -> String {
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

    fn note_intent(&mut self, index: usize) {
        let object = self.intent(index);
        self.notices.push(format!(
            r#"{{"type":"payment_intent.changed","data":{{"object":{object}}}}}"#
        ));
    }

    /// Stripe's refusal of an act on an object in the wrong state has the object beside it.
    fn change(&mut self, id: &str, may: impl Fn(&Held) -> bool, act: impl FnOnce(&mut Held)) -> Answer {
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

    fn failure(&self, kind: &str, code: &str, index: usize) -> String {
        let intent = self.intent(index);
        format!(
            r#"{{"error":{{"type":"{kind}","code":"{code}","message":"No.","payment_intent":{intent}}}}}"#
        )
    }

    fn confirm(&mut self, index: usize, body: &[u8], now_ms: u64) -> Answer {
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

    fn list(&self, query: &[u8], now_ms: u64) -> String {
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

    fn acquirer(&mut self, path: &str, body: &[u8], now_ms: u64) -> Answer {
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
    fn say(&mut self, kind: &str, id: &str, amount: u64) -> Answer {
        self.notices.push(notice(kind, id, amount));
        (
            200,
            format!(r#"{{"status":"approved","psp_reference":"{id}","amount":{amount}}}"#),
        )
    }

    fn note_authorized(&mut self, index: usize) {
        let Some(held) = self.held.get(index) else { return };
        if held.id.starts_with("pi_") {
            self.note_intent(index);
        } else {
            self.notices.push(notice("authorize", &held.id, held.amount));
        }
    }

    fn listing(&self, now_ms: u64) -> String {
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

impl Held {
    fn authorize(&mut self, now_ms: u64) {
        self.stands = Stands::Held;
        if self.automatic {
            self.take(self.amount, now_ms);
        }
    }

    fn take(&mut self, amount: u64, now_ms: u64) {
        self.stands = Stands::Taken;
        self.captures.push(Captured {
            id: self.id.clone(),
            amount,
            at_ms: now_ms,
            is_given_back: false,
        });
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
