//! A truthful PSP in memory with one ledger for both faces (DESIGN §5). It refuses nothing that a naive card network
//! would not refuse: the acquirer face authorizes and captures again as often as it is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use pay_once_core::psp::{CallResult, HttpCall};
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
    pub(super) given_back: bool,
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
}

/// Status and body of an answer; or why the call could not be read at all, which is a defect of the caller's.
pub(super) type Said = Result<(u16, Value), String>;

impl Ledger {
    /// Authorizations that hold funds now, or were used by a capture that stands.
    pub(super) fn live(&self) -> usize {
        let lives =
            |hold: &&Hold| hold.stand == Stand::Open || hold.takes.iter().any(|take| !take.given_back);
        self.holds.iter().filter(lives).count()
    }

    /// Authorizations that hold funds now and were not used.
    pub(super) fn open(&self) -> usize {
        self.holds.iter().filter(|hold| hold.stand == Stand::Open).count()
    }

    /// Authorizations ever made.
    pub(super) fn authorizations(&self) -> usize {
        let ever = |hold: &&Hold| matches!(hold.stand, Stand::Open | Stand::Taken | Stand::Gone);
        self.holds.iter().filter(ever).count()
    }

    /// Captures ever made.
    pub(super) fn captures(&self) -> impl Iterator<Item = (&Hold, &Take)> {
        self.holds
            .iter()
            .flat_map(|hold| hold.takes.iter().map(move |take| (hold, take)))
    }

    /// Captures that stand.
    pub(super) fn standing(&self) -> impl Iterator<Item = &Take> {
        self.captures()
            .map(|(_, take)| take)
            .filter(|take| !take.given_back)
    }

    /// Whether a customer can finish 3-D Secure.
    pub(super) fn waits_for_customer(&self) -> bool {
        self.holds.iter().any(|hold| hold.stand == Stand::Waiting)
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
    fn note_changes(&mut self, before: &[Hold]) {
        let mut said = Vec::new();
        for (index, hold) in self.holds.iter().enumerate() {
            let old = before.get(index);
            if old == Some(hold) {
                continue;
            }
            if hold.id.starts_with("pi_") {
                if old.is_none_or(|old| old.stand != hold.stand) {
                    said.push(json!({"type": "payment_intent.changed", "data": {"object": hold.intent()}}));
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
            given_back: false,
        });
    }

    fn notices(&self, old: Option<&Hold>, said: &mut Vec<Value>) {
        let mut say = |kind: &str, id: &str, amount: u64| {
            said.push(json!({
                "type": kind, "reference": self.attempt, "status": "approved", "psp_reference": id,
                "amount": amount, "currency": self.currency,
            }));
        };
        let waits = |hold: &Hold| matches!(hold.stand, Stand::Waiting | Stand::Abandoned);
        if !waits(self) && old.is_none_or(waits) {
            say("authorize", &self.id, self.amount);
        }
        for take in &self.takes {
            let known = old.and_then(|old| old.takes.iter().find(|known| known.id == take.id));
            if known.is_none() {
                say("capture", &take.id, take.amount);
            }
            if take.given_back && !known.is_some_and(|known| known.given_back) {
                say("void", &format!("{}_back", take.id), take.amount);
            }
        }
        if let (Some((id, _)), true) = (&self.void, old.is_none_or(|old| old.void.is_none())) {
            say("void", id, self.amount);
        }
    }
}

fn answered(status: u16, body: &[u8]) -> CallResult {
    CallResult::answered(status, body.to_vec())
}
