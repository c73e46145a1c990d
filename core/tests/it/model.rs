//! A truthful PSP in memory, both faces, one ledger. It refuses nothing that a naive card network would not refuse:
//! the acquirer face authorizes and captures again as often as it is asked.

use std::collections::BTreeMap;

use pay_once_core::{CallResult, HttpCall};
use serde_json::{Value, json};

/// How long keys are honoured, in milliseconds.
const HORIZON_MS: u64 = 86_400_000;

/// One authorization (acquirer) or one PaymentIntent (stripe).
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) attempt: String,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) status: &'static str,
    pub(crate) automatic: bool,
    pub(crate) at_ms: u64,
    /// Captures of it: id, amount, given back.
    pub(crate) captures: Vec<(String, u64, bool)>,
    pub(crate) void: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    honours_keys: bool,
    /// Effects younger than this are not listed yet, in milliseconds.
    pub(crate) listing_lag_ms: u64,
    pub(crate) held: Vec<Held>,
    /// Captures given back: its own id, of which capture, of which attempt, how much.
    refunds: Vec<(String, String, String, u64)>,
    /// Stripe's refunds, as they are shown.
    stripe_refunds: Vec<Value>,
    /// Every notice that the PSP would send, as things stood then.
    pub(crate) notices: Vec<Value>,
    kept: BTreeMap<String, (String, CallResult, u64)>,
    times: BTreeMap<String, u64>,
    made: u64,
}

impl Ledger {
    pub(crate) fn new(honours_keys: bool) -> Self {
        Self {
            honours_keys,
            ..Self::default()
        }
    }

    /// Authorizations that hold funds, or were used by a capture that stands.
    pub(crate) fn live(&self) -> usize {
        self.held
            .iter()
            .filter(|h| h.status == "requires_capture" || h.captures.iter().any(|c| !c.2))
            .count()
    }

    /// Captures ever made.
    pub(crate) fn captures(&self) -> usize {
        self.held.iter().map(|h| h.captures.len()).sum()
    }

    /// Captures that stand.
    pub(crate) fn taken(&self) -> usize {
        self.held
            .iter()
            .flat_map(|h| &h.captures)
            .filter(|c| !c.2)
            .count()
    }

    /// Authorizations ever made.
    pub(crate) fn authorizations(&self) -> usize {
        let never = [
            "requires_confirmation",
            "requires_action",
            "requires_payment_method",
        ];
        self.held
            .iter()
            .filter(|h| !never.contains(&h.status) && h.status != "abandoned")
            .count()
    }

    /// The customer finishes 3-D Secure.
    pub(crate) fn finish_action(&mut self) {
        let before = self.held.clone();
        for held in &mut self.held {
            if held.status == "requires_action" && held.automatic {
                held.status = "succeeded";
                held.captures.push((held.id.clone(), held.amount, false));
            } else if held.status == "requires_action" {
                held.status = "requires_capture";
            }
        }
        self.note_changes(&before);
    }

    fn new_id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_3N{:05}", self.made)
    }

    pub(crate) fn act(&mut self, http: &HttpCall, now_ms: u64) -> CallResult {
        let before = self.held.clone();
        let result = self.act_by_key(http, now_ms);
        self.note_changes(&before);
        result
    }

    fn act_by_key(&mut self, http: &HttpCall, now_ms: u64) -> CallResult {
        let key = http.headers.iter().find(|(name, _)| *name == "idempotency-key");
        let asked = format!("{} {}", http.url, String::from_utf8_lossy(&http.body));
        let Some((_, key)) = key.filter(|_| self.honours_keys) else {
            return self.answer(http, now_ms);
        };
        if let Some((before, answer, at_ms)) = self.kept.get(key) {
            // A key that comes with another request is an error of the caller's (Stripe, “Idempotent requests”).
            assert_eq!(*before, asked, "one PSP key, one request");
            if now_ms <= at_ms + HORIZON_MS {
                return answer.clone();
            }
        }
        let answer = self.answer(http, now_ms);
        self.kept.insert(key.clone(), (asked, answer.clone(), now_ms));
        answer
    }

    /// Notices for whatever `before` did not have. An acquirer's do not say of what they are.
    fn note_changes(&mut self, before: &[Held]) {
        for (index, held) in self.held.clone().iter().enumerate() {
            let old = before.get(index);
            if held.id.starts_with("pi_") {
                if old.is_none_or(|old| old.status != held.status) {
                    let object = self.intent(&held.id);
                    self.notices
                        .push(json!({"type": "payment_intent.changed", "data": {"object": object}}));
                }
                continue;
            }
            let mut say = |kind: &str, id: &str, amount: u64| {
                self.notices.push(json!({
                    "type": kind, "reference": held.attempt, "status": "approved", "psp_reference": id,
                    "amount": amount, "currency": held.currency,
                }));
            };
            let waits = |held: &Held| ["requires_action", "abandoned"].contains(&held.status);
            if !waits(held) && old.is_none_or(waits) {
                say("authorize", &held.id, held.amount);
            }
            for (id, amount, back) in &held.captures {
                let known = old.and_then(|old| old.captures.iter().find(|c| c.0 == *id));
                if known.is_none() {
                    say("capture", id, *amount);
                }
                if *back && !known.is_some_and(|c| c.2) {
                    say("void", &format!("{id}_back"), *amount);
                }
            }
            if let Some(id) = held
                .void
                .as_ref()
                .filter(|_| old.is_none_or(|old| old.void.is_none()))
            {
                say("void", id, held.amount);
            }
        }
    }

    fn answer(&mut self, http: &HttpCall, now_ms: u64) -> CallResult {
        let path = http.url.strip_prefix("http://psp.test").unwrap();
        let (status, body) = if path.starts_with("/v1/") {
            self.stripe(http.method, path, &http.body, now_ms)
        } else {
            self.acquirer(path, &http.body, now_ms)
        };
        CallResult::answered(status, body.to_string().into_bytes())
    }

    fn stripe(&mut self, method: &str, path: &str, body: &[u8], now_ms: u64) -> (u16, Value) {
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match (method, parts.as_slice()) {
            ("POST", ["payment_intents"]) => {
                let id = self.new_id("pi");
                self.held.push(Held {
                    id: id.clone(),
                    attempt: form["metadata[attempt_id]"].clone(),
                    amount: form["amount"].parse().unwrap(),
                    currency: form["currency"].clone(),
                    status: "requires_confirmation",
                    automatic: form["capture_method"] == "automatic",
                    at_ms: now_ms,
                    captures: Vec::new(),
                    void: None,
                });
                if form.contains_key("confirm") {
                    return self.confirm(&id, &form["payment_method"]);
                }
                (200, self.intent(&id))
            }
            ("POST", ["payment_intents", id, "confirm"]) => self.confirm(id, &form["payment_method"]),
            ("POST", ["payment_intents", id, "capture"]) => {
                let amount = form["amount_to_capture"].parse().unwrap();
                self.change(id, "requires_capture", |held| {
                    held.status = "succeeded";
                    held.captures.push((held.id.clone(), amount, false));
                })
            }
            ("POST", ["payment_intents", id, "cancel"]) => {
                let from = self.find(id).map(|h| h.status).unwrap_or_default();
                let from = if from == "succeeded" { "never" } else { from };
                self.change(id, from, |held| {
                    held.status = "canceled";
                    held.void = Some(held.id.clone());
                })
            }
            ("GET", ["payment_intents", id]) => match self.find(id) {
                Some(_) => (200, self.intent(id)),
                None => missing(),
            },
            ("GET", ["payment_intents"]) => (200, self.list(query, now_ms)),
            ("POST", ["refunds"]) => {
                let id = form["payment_intent"].clone();
                let Some(held) = self.held.iter_mut().find(|h| h.id == id) else {
                    return missing();
                };
                held.captures.iter_mut().for_each(|c| c.2 = true);
                let amount: u64 = form["amount"].parse().unwrap();
                let refund = self.new_id("re");
                let refund =
                    json!({"id": refund, "amount": amount, "status": "succeeded", "payment_intent": id});
                self.stripe_refunds.push(refund.clone());
                (200, refund)
            }
            ("GET", ["refunds"]) => {
                let asked: BTreeMap<String, String> =
                    form_urlencoded::parse(query.as_bytes()).into_owned().collect();
                let wanted = |refund: &&Value| refund["payment_intent"] == asked["payment_intent"];
                let data: Vec<&Value> = self.stripe_refunds.iter().filter(wanted).collect();
                (200, json!({"object": "list", "data": data, "has_more": false}))
            }
            other => panic!("no such call: {other:?}"),
        }
    }

    fn find(&self, id: &str) -> Option<&Held> {
        self.held.iter().find(|h| h.id == id)
    }

    pub(crate) fn intent(&self, id: &str) -> Value {
        let held = self.find(id).unwrap();
        let received: u64 = held.captures.iter().map(|c| c.1).sum();
        let error = (held.status == "requires_payment_method")
            .then(|| json!({"code": "card_declined", "decline_code": "generic_decline", "message": "No."}));
        let action = (held.status == "requires_action")
            .then(|| json!({"type": "redirect_to_url", "redirect_to_url": {"url": "http://psp.test/3ds"}}));
        json!({
            "id": held.id, "object": "payment_intent", "amount": held.amount, "amount_received": received,
            "currency": held.currency, "status": held.status, "metadata": {"attempt_id": held.attempt},
            "latest_charge": null, "next_action": action, "last_payment_error": error,
            "cancellation_reason": null,
        })
    }

    /// Stripe's refusal of an act on an object in the wrong state has the object beside it.
    fn change(&mut self, id: &str, from: &str, act: impl FnOnce(&mut Held)) -> (u16, Value) {
        match self.held.iter_mut().find(|h| h.id == id) {
            Some(held) if held.status == from => act(held),
            Some(_) => {
                let intent = self.intent(id);
                let code = "payment_intent_unexpected_state";
                let error = json!({"type": "invalid_request_error", "code": code, "message": "No.", "payment_intent": intent});
                return (400, json!({"error": error}));
            }
            None => {
                return missing();
            }
        }
        (200, self.intent(id))
    }

    fn confirm(&mut self, id: &str, token: &str) -> (u16, Value) {
        let Some(held) = self.held.iter_mut().find(|h| h.id == id) else {
            return missing();
        };
        if held.status != "requires_confirmation" {
            return self.change(id, "never", |_| {});
        }
        match token {
            "pm_card_declined" => {
                held.status = "requires_payment_method";
                let intent = self.intent(id);
                let error = json!({"type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "message": "No.", "payment_intent": intent});
                return (402, json!({"error": error}));
            }
            "pm_card_3ds" => held.status = "requires_action",
            _ if held.automatic => {
                held.status = "succeeded";
                held.captures.push((held.id.clone(), held.amount, false));
            }
            _ => held.status = "requires_capture",
        }
        (200, self.intent(id))
    }

    fn list(&self, query: &str, now_ms: u64) -> Value {
        let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let bound = |name: &str| query[name].parse::<u64>().unwrap();
        let (from_s, to_s) = (bound("created[gte]"), bound("created[lte]"));
        let listed = self.held.iter().rev().filter(|h| {
            (from_s..=to_s).contains(&(h.at_ms / 1000)) && h.at_ms + self.listing_lag_ms <= now_ms
        });
        let data: Vec<Value> = listed.map(|h| self.intent(&h.id)).collect();
        json!({"object": "list", "has_more": false, "data": data})
    }

    fn acquirer(&mut self, path: &str, body: &[u8], now_ms: u64) -> (u16, Value) {
        if let Some(reference) = path.strip_prefix("/lookup?reference=") {
            return (200, self.listing(reference, now_ms));
        }
        let asked: Value = serde_json::from_slice(body).unwrap();
        let amount = asked["amount"].as_u64().unwrap();
        let target = asked["psp_reference"].as_str().unwrap_or_default().to_owned();
        let approved = |id: &str| {
            (
                200,
                json!({"status": "approved", "psp_reference": id, "amount": amount, "currency": asked["currency"]}),
            )
        };
        let declined = |code: &str| (200, json!({"status": "declined", "code": code, "message": "No."}));
        match path {
            "/authorize" => {
                let token = asked["payment_method"].as_str().unwrap();
                if token == "pm_card_declined" {
                    return declined("generic_decline");
                }
                let id = self.new_id("auth");
                self.note(&id, now_ms);
                let status = if token == "pm_card_3ds" {
                    "requires_action"
                } else {
                    "requires_capture"
                };
                self.held.push(Held {
                    id: id.clone(),
                    attempt: asked["reference"].as_str().unwrap().to_owned(),
                    amount,
                    currency: asked["currency"].as_str().unwrap().to_owned(),
                    status,
                    automatic: false,
                    at_ms: now_ms,
                    captures: Vec::new(),
                    void: None,
                });
                if status == "requires_action" {
                    let body = json!({"status": "requires_action", "psp_reference": id, "action_url": "http://psp.test/3ds"});
                    return (200, body);
                }
                approved(&id)
            }
            "/capture" => {
                let id = self.new_id("cap");
                self.note(&id, now_ms);
                match self.held.iter_mut().find(|h| h.id == target) {
                    Some(held) if held.void.is_none() && held.status != "requires_action" => {
                        held.status = "succeeded";
                        held.captures.push((id.clone(), amount, false));
                        approved(&id)
                    }
                    _ => declined("no_such_authorization"),
                }
            }
            "/void" => {
                let id = self.new_id("void");
                self.note(&id, now_ms);
                for held in &mut self.held {
                    if let Some(capture) = held.captures.iter_mut().find(|c| c.0 == target) {
                        capture.2 = true;
                        self.refunds
                            .push((id.clone(), target.clone(), held.attempt.clone(), capture.1));
                        return approved(&id);
                    }
                    if held.id == target && held.captures.is_empty() {
                        held.status = if held.status == "requires_action" {
                            "abandoned"
                        } else {
                            "canceled"
                        };
                        held.void.get_or_insert_with(|| id.clone());
                        return approved(&id);
                    }
                }
                declined("nothing_to_void")
            }
            other => panic!("no such call: {other}"),
        }
    }

    /// Remembers when an effect was made, for the listing's lag.
    fn note(&mut self, id: &str, now_ms: u64) {
        self.times.insert(id.to_owned(), now_ms);
    }

    fn listing(&self, reference: &str, now_ms: u64) -> Value {
        let listed = |id: &str| {
            self.times
                .get(id)
                .is_some_and(|at| at + self.listing_lag_ms <= now_ms)
        };
        let mine: Vec<&Held> = self.held.iter().filter(|h| h.attempt == reference).collect();
        let authorize: Vec<Value> = mine
            .iter()
            .filter(|h| !["requires_action", "abandoned"].contains(&h.status) && listed(&h.id))
            .map(|h| json!({"id": h.id, "amount": h.amount}))
            .collect();
        let capture: Vec<Value> = mine
            .iter()
            .flat_map(|h| h.captures.iter().map(|c| (h.id.clone(), c)))
            .filter(|(_, c)| listed(&c.0))
            .map(|(of, c)| json!({"id": c.0, "amount": c.1, "psp_reference": of}))
            .collect();
        let void: Vec<Value> = mine
            .iter()
            .filter_map(|h| h.void.as_ref().map(|id| (h, id)))
            .filter(|(_, id)| listed(id))
            .map(|(h, id)| json!({"id": id, "amount": h.amount, "psp_reference": h.id}))
            .chain(
                self.refunds
                    .iter()
                    .filter(|(id, _, attempt, _)| attempt == reference && listed(id))
                    .map(|(id, of, _, amount)| json!({"id": id, "amount": amount, "psp_reference": of})),
            )
            .collect();
        let waiting: Vec<Value> = mine
            .iter()
            .filter(|h| h.status == "requires_action")
            .map(|h| json!({"id": h.id, "amount": h.amount, "action_url": "http://psp.test/3ds"}))
            .collect();
        json!({"authorize": authorize, "capture": capture, "void": void, "lapsed": [], "requires_action": waiting})
    }
}

fn missing() -> (u16, Value) {
    let error = json!({"type": "invalid_request_error", "code": "resource_missing"});
    (404, json!({"error": error}))
}
