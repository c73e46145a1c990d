//! A truthful PSP in memory, both faces, one ledger, written without a line of core: the truth that answers are held
//! against. It refuses nothing that a naive card network would not refuse: the acquirer face authorizes and captures
//! again as often as it is asked.

mod acquirer;
mod stripe;

use pay_once_core::{CallResult, HttpCall};

use crate::setup::{DAY_MS, PSP_URL};

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
        CallResult::answered(status, body.into_bytes())
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.held.iter().position(|held| held.id == id)
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
