//! A truthful PSP in memory with one ledger for both faces (`docs/psp.md`). It refuses nothing that a naive card network
//! would not refuse: the acquirer face authorizes and captures again as often as it is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use pay_once_core::{CallResult, HttpCall};
use serde_json::{Value, json};

use super::digest;

/// What this PSP promises, and what the token does.
#[derive(Clone, Debug)]
pub(super) struct Dials {
    /// How long keys are honoured, in milliseconds; `None`: not at all.
    pub(super) horizon_ms: Option<u64>,
    /// How long an effect stays out of listings, in milliseconds.
    pub(super) listing_lag_ms: u64,
}

/// Where an authorization (acquirer) or a PaymentIntent (stripe) stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stand {
    /// Made, not acted on.
    Made,
    /// Waits for the customer.
    Waiting,
    /// Declined; it can be tried again.
    Declined,
    /// Funds are held.
    Open,
    /// Funds were taken.
    Taken,
    /// Released.
    Gone,
    /// Given up before the customer finished.
    Abandoned,
}

/// A capture.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Take {
    pub(super) id: String,
    pub(super) amount: u64,
    pub(super) at_ms: u64,
    /// Ids by which it was given back on request: a naive network gives back as often as it is asked.
    pub(super) backs: Vec<String>,
    /// Id by which somebody gave it back by hand.
    pub(super) returned_by_hand: Option<String>,
}

impl Take {
    /// Whether nobody has given it back.
    pub(super) fn stands(&self) -> bool {
        self.backs.is_empty() && self.returned_by_hand.is_none()
    }
}

/// An authorization or a PaymentIntent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hold {
    pub(super) id: String,
    pub(super) attempt: String,
    pub(super) amount: u64,
    pub(super) currency: String,
    pub(super) stand: Stand,
    pub(super) automatic: bool,
    pub(super) at_ms: u64,
    pub(super) takes: Vec<Take>,
    /// Id and time of its release.
    pub(super) void: Option<(String, u64)>,
    /// Whether another installation made it (rule 13).
    pub(super) is_foreign: bool,
    /// Whether somebody did something to it by hand: from then on even a naive network refuses what has been done.
    pub(super) is_by_hand: bool,
}

/// An answer as it was given, kept under its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kept {
    asked: digest::Digest,
    status: u16,
    body: Arc<[u8]>,
    at_ms: u64,
}

/// The PSP's books: the truth that every claim is held against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    pub(super) holds: Vec<Hold>,
    /// Every notice that the PSP would send, as things stood then.
    pub(super) notices: Vec<Arc<str>>,
    kept: BTreeMap<String, Kept>,
    made: u16,
    /// Requests that were executed twice.
    pub(super) twices: u8,
}

/// Status and body of an answer; or why the call could not be read at all, which is a defect of the caller's.
pub(super) type Said = Result<(u16, Value), String>;

impl Ledger {
    /// Authorizations that hold funds now, or were used by a capture that was not given back on request. What somebody gave back by
    /// hand was taken all the same.
    pub(super) fn live(&self) -> usize {
        let lives =
            |hold: &&Hold| hold.stand == Stand::Open || hold.takes.iter().any(|take| take.backs.is_empty());
        self.ours().filter(lives).count()
    }

    /// Authorizations ever made.
    pub(super) fn authorizations(&self) -> usize {
        let ever = |hold: &&Hold| matches!(hold.stand, Stand::Open | Stand::Taken | Stand::Gone);
        self.ours().filter(ever).count()
    }

    /// Captures ever made.
    pub(super) fn captures(&self) -> impl Iterator<Item = (&Hold, &Take)> {
        self.ours()
            .flat_map(|hold| hold.takes.iter().map(move |take| (hold, take)))
    }

    /// Captures that were not given back on request.
    pub(super) fn standing(&self) -> impl Iterator<Item = &Take> {
        self.captures()
            .map(|(_, take)| take)
            .filter(|take| take.backs.is_empty())
    }

    /// Whether a customer can finish 3-D Secure.
    pub(super) fn waits_for_customer(&self) -> bool {
        self.ours().any(|hold| hold.stand == Stand::Waiting)
    }

    /// The customer finishes 3-D Secure.
    pub(super) fn finish_action(&mut self, now_ms: u64) {
        let before = self.holds.clone();
        for hold in self.holds.iter_mut().filter(|hold| hold.stand == Stand::Waiting) {
            hold.approve(now_ms);
        }
        self.note_changes(&before);
    }

    pub(super) fn new_id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_{:03}", self.made)
    }

    /// What the PSP does with a request that has reached it.
    ///
    /// # Errors
    /// A call that no PSP could read, or a key that comes with another request (rule 3).
    pub(super) fn act(&mut self, dials: &Dials, http: &HttpCall, now_ms: u64) -> Result<CallResult, String> {
        let before = self.holds.clone();
        let result = self.act_by_key(dials, http, now_ms);
        self.note_changes(&before);
        result
    }

    /// The same, executed twice: the answer is the second one's.
    ///
    /// # Errors
    /// As of [`Ledger::act`].
    pub(super) fn act_twice(
        &mut self,
        dials: &Dials,
        http: &HttpCall,
        now_ms: u64,
    ) -> Result<CallResult, String> {
        self.twices += 1;
        let before = self.holds.clone();
        self.answer(dials, http, now_ms)?;
        let result = self.act_by_key(dials, http, now_ms);
        self.note_changes(&before);
        result
    }

    /// Whether executing a request twice has two effects.
    pub(super) fn can_run_twice(&self, http: &HttpCall) -> bool {
        let makes = ["/v1/payment_intents", "/authorize", "/capture"];
        let path = http.url.strip_prefix(super::cell::PSP_URL).unwrap_or_default();
        http.method == "POST" && makes.contains(&path)
    }

    fn act_by_key(&mut self, dials: &Dials, http: &HttpCall, now_ms: u64) -> Result<CallResult, String> {
        let key = http.headers.iter().find(|(name, _)| *name == "idempotency-key");
        let (Some((_, key)), Some(horizon_ms)) = (key, dials.horizon_ms) else {
            let (status, body) = self.answer(dials, http, now_ms)?;
            return Ok(answered(status, body.to_string().as_bytes()));
        };
        let asked = digest::of(&(&http.url, &http.body));
        if let Some(kept) = self.kept.get(key) {
            if kept.asked != asked {
                return Err(format!("the PSP key {key} came with two different requests"));
            }
            if now_ms <= kept.at_ms + horizon_ms {
                return Ok(answered(kept.status, &kept.body));
            }
        }
        let (status, body) = self.answer(dials, http, now_ms)?;
        let body: Arc<[u8]> = body.to_string().into_bytes().into();
        let kept = Kept {
            asked,
            status,
            body: Arc::clone(&body),
            at_ms: now_ms,
        };
        self.kept.insert(key.clone(), kept);
        Ok(answered(status, &body))
    }

    fn answer(&mut self, dials: &Dials, http: &HttpCall, now_ms: u64) -> Said {
        let path = http
            .url
            .strip_prefix(super::cell::PSP_URL)
            .ok_or_else(|| format!("a call to {}", http.url))?;
        if path.starts_with("/v1/") {
            self.stripe(dials, http.method, path, &http.body, now_ms)
        } else {
            self.acquirer(dials, path, &http.body, now_ms)
        }
    }

    /// Notices for whatever `before` did not have. An acquirer's do not say of what they are.
    pub(super) fn note_changes(&mut self, before: &[Hold]) {
        let mut said = Vec::new();
        for (index, hold) in self.holds.iter().enumerate() {
            let old = before.get(index);
            if old == Some(hold) {
                continue;
            }
            if hold.is_intent() {
                if old.is_none_or(|old| old.stand != hold.stand) {
                    said.push(json!({"type": "payment_intent.changed", "data": {"object": hold.intent()}}));
                }
                let is_returned = |hold: &Hold| hold.takes.iter().any(|take| take.returned_by_hand.is_some());
                if is_returned(hold) && !old.is_some_and(is_returned) {
                    said.extend(
                        hold.refunds()
                            .map(|refund| json!({"type": "refund.created", "data": {"object": refund}})),
                    );
                }
            } else {
                hold.notices(old, &mut said);
            }
        }
        self.notices
            .extend(said.into_iter().map(|notice| notice.to_string().into()));
    }
}

impl Hold {
    /// Approved: funds are held, or taken at once.
    pub(super) fn approve(&mut self, now_ms: u64) {
        if self.automatic {
            self.stand = Stand::Taken;
            self.take(self.id.clone(), self.amount, now_ms);
        } else {
            self.stand = Stand::Open;
        }
    }

    /// Takes funds.
    pub(super) fn take(&mut self, id: String, amount: u64, now_ms: u64) {
        self.stand = Stand::Taken;
        self.takes.push(Take {
            id,
            amount,
            at_ms: now_ms,
            backs: Vec::new(),
            returned_by_hand: None,
        });
    }

    /// Lets funds go, or gives up what the customer has not finished.
    pub(super) fn release(&mut self) {
        self.stand = match self.stand {
            Stand::Waiting | Stand::Abandoned => Stand::Abandoned,
            Stand::Made | Stand::Declined | Stand::Open | Stand::Taken | Stand::Gone => Stand::Gone,
        };
    }

    /// Whether it is a PaymentIntent.
    pub(super) fn is_intent(&self) -> bool {
        self.id.starts_with("pi_")
    }

    fn notices(&self, old: Option<&Hold>, said: &mut Vec<Value>) {
        let mut say = |kind: &str, id: &str, of: Option<&str>, amount: u64, at_ms: u64| {
            let mut notice = json!({
                "type": kind, "reference": self.attempt, "status": "approved", "psp_reference": id,
                "amount": amount, "currency": self.currency, "created": at_ms / 1000,
            });
            // Of a request of ours the network does not say of what it was.
            if let (Some(of), Some(members)) = (of, notice.as_object_mut()) {
                members.insert("of".to_owned(), of.into());
            }
            said.push(notice);
        };
        let waits = |hold: &Hold| matches!(hold.stand, Stand::Waiting | Stand::Abandoned);
        if !waits(self) && old.is_none_or(waits) {
            say("authorize", &self.id, None, self.amount, self.at_ms);
        }
        let of = (self.is_foreign || self.is_by_hand).then_some(self.id.as_str());
        for take in &self.takes {
            let known = old.and_then(|old| old.takes.iter().find(|known| known.id == take.id));
            if known.is_none() {
                say("capture", &take.id, of, take.amount, take.at_ms);
            }
            if let Some(id) = take
                .backs
                .first()
                .filter(|_| known.is_none_or(|known| known.backs.is_empty()))
            {
                say("void", id, None, take.amount, take.at_ms);
            }
            let is_new = known.is_none_or(|known| known.returned_by_hand.is_none());
            if let Some(id) = take.returned_by_hand.as_ref().filter(|_| is_new) {
                say("refund", id, Some(&take.id), take.amount, take.at_ms);
            }
        }
        if let (Some((id, at_ms)), true) = (&self.void, old.is_none_or(|old| old.void.is_none())) {
            say("void", id, of, self.amount, *at_ms);
        }
    }
}

fn answered(status: u16, body: &[u8]) -> CallResult {
    CallResult::answered(status, body.to_vec())
}
