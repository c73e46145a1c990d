//! The ledger: what it does with a request, what it keeps under keys, and what can be asked of its books.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use crate::PSP_URL;
use crate::books::{Hold, Stand, Take};

/// What this PSP promises, and how much it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dials {
    /// How long keys are honoured, in milliseconds; `None`: not at all.
    pub horizon_ms: Option<u64>,
    /// How long an effect stays out of listings, in milliseconds.
    pub listing_lag_ms: u64,
    /// Whether that holds for captures that were given back as well: if not, they are listed at once.
    pub lists_backs_late: bool,
    /// Whether an acquirer's approval says its currency, which it need not.
    pub says_currency: bool,
    /// Whether objects say when they were made, which they need not.
    pub says_created: bool,
    /// What ids have between their prefix and their number.
    pub id_stem: &'static str,
}

impl Dials {
    /// When something was made, in seconds, if this PSP says so.
    pub(crate) fn created(&self, at_ms: u64) -> Option<u64> {
        self.says_created.then_some(at_ms / 1000)
    }
}

/// A request that has reached the PSP.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    method: &'a str,
    url: &'a str,
    headers: &'a [(&'static str, String)],
    body: &'a [u8],
}

impl<'a> Asked<'a> {
    /// Method, absolute URL, header lines with names in lower case, body bytes.
    #[must_use]
    pub fn new(method: &'a str, url: &'a str, headers: &'a [(&'static str, String)], body: &'a [u8]) -> Self {
        Self {
            method,
            url,
            headers,
            body,
        }
    }

    /// Whether executing it twice has two effects.
    #[must_use]
    pub fn makes_anew(&self) -> bool {
        let makes = ["/v1/payment_intents", "/authorize", "/capture"];
        self.method == "POST" && self.path().is_some_and(|path| makes.contains(&path))
    }

    fn path(&self) -> Option<&'a str> {
        self.url.strip_prefix(PSP_URL)
    }

    fn key(&self) -> Option<&'a str> {
        let key = self.headers.iter().find(|(name, _)| *name == "idempotency-key");
        key.map(|(_, key)| key.as_str())
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.url, self.body).hash(&mut hasher);
        hasher.finish()
    }
}

/// An answer: status and body.
pub type Answer = (u16, Arc<[u8]>);

/// Status and body of an answer; or why the call could not be read at all, which is a defect of the caller's.
pub(crate) type Said = Result<(u16, Value), String>;

/// An answer as it was given, kept under its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kept {
    asked: u64,
    answer: Answer,
    at_ms: u64,
}

/// The PSP's books: the truth that every claim is held against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// What this PSP promises.
    pub dials: Dials,
    /// Every authorization that was ever begun.
    pub holds: Vec<Hold>,
    /// Every notice that the PSP would send, as things stood then.
    pub notices: Vec<Arc<str>>,
    kept: BTreeMap<Arc<str>, Kept>,
    made: u16,
    /// Requests that were executed twice.
    pub twices: u8,
}

impl Ledger {
    /// Empty books.
    #[must_use]
    pub fn new(dials: Dials) -> Self {
        Self {
            dials,
            ..Self::default()
        }
    }

    /// What the PSP does with a request.
    ///
    /// # Errors
    /// A call that no PSP could read, or a key that comes with another request (rule 3).
    pub fn act(&mut self, asked: &Asked<'_>, now_ms: u64) -> Result<Answer, String> {
        if asked.method == "GET" {
            return self.act_by_key(asked, now_ms);
        }
        self.noting(|ledger| ledger.act_by_key(asked, now_ms))
    }

    /// The same, executed twice: the answer is the second one's.
    ///
    /// # Errors
    /// As of [`Ledger::act`].
    pub fn act_twice(&mut self, asked: &Asked<'_>, now_ms: u64) -> Result<Answer, String> {
        self.twices += 1;
        self.noting(|ledger| {
            ledger.answer(asked, now_ms)?;
            ledger.act_by_key(asked, now_ms)
        })
    }

    /// The customer finishes 3-D Secure.
    pub fn finish_action(&mut self, now_ms: u64) {
        self.noting(|ledger| {
            let waiting = ledger.holds.iter_mut();
            waiting
                .filter(|hold| hold.stand == Stand::Waiting)
                .for_each(|hold| hold.approve(now_ms));
        });
    }

    fn act_by_key(&mut self, asked: &Asked<'_>, now_ms: u64) -> Result<Answer, String> {
        let (Some(key), Some(horizon_ms)) = (asked.key(), self.dials.horizon_ms) else {
            return self.answer(asked, now_ms);
        };
        let digest = asked.digest();
        if let Some(kept) = self.kept.get(key) {
            // Stripe, “Idempotent requests”: an error of the caller's.
            if kept.asked != digest {
                return Err(format!("the PSP key {key} came with two different requests"));
            }
            if now_ms <= kept.at_ms + horizon_ms {
                return Ok(kept.answer.clone());
            }
        }
        let answer = self.answer(asked, now_ms)?;
        let kept = Kept {
            asked: digest,
            answer: answer.clone(),
            at_ms: now_ms,
        };
        self.kept.insert(key.into(), kept);
        Ok(answer)
    }

    fn answer(&mut self, asked: &Asked<'_>, now_ms: u64) -> Result<Answer, String> {
        let path = asked.path().ok_or_else(|| format!("a call to {}", asked.url))?;
        let (status, body) = match path.strip_prefix("/v1/") {
            Some(path) => self.stripe(asked.method, path, asked.body, now_ms)?,
            None => self.acquirer(path, asked.body, now_ms)?,
        };
        Ok((status, body.to_string().into_bytes().into()))
    }

    pub(crate) fn new_id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_{}{:03}", self.dials.id_stem, self.made)
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.id == id)
    }
}

/// What can be asked of the books, of objects that the caller's own requests made.
impl Ledger {
    /// Objects that the caller's own requests made.
    pub fn ours(&self) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(|hold| !hold.is_foreign)
    }

    /// Authorizations that hold funds now, or were used by a capture that was not given back on request. What somebody gave back by
    /// hand was taken all the same.
    #[must_use]
    pub fn live(&self) -> usize {
        let lives =
            |hold: &&Hold| hold.stand == Stand::Open || hold.takes.iter().any(|take| take.backs.is_empty());
        self.ours().filter(lives).count()
    }

    /// Authorizations that ever held funds.
    #[must_use]
    pub fn authorizations(&self) -> usize {
        let ever = |hold: &&Hold| matches!(hold.stand, Stand::Open | Stand::Taken | Stand::Gone);
        self.ours().filter(ever).count()
    }

    /// Captures ever made, each with what it is of.
    pub fn takes(&self) -> impl Iterator<Item = (&Hold, &Take)> {
        self.ours()
            .flat_map(|hold| hold.takes.iter().map(move |take| (hold, take)))
    }

    /// Captures that were not given back on request.
    pub fn standing(&self) -> impl Iterator<Item = &Take> {
        self.takes()
            .map(|(_, take)| take)
            .filter(|take| take.backs.is_empty())
    }

    /// How many captures were ever made.
    #[must_use]
    pub fn captures(&self) -> usize {
        self.takes().count()
    }

    /// How many captures were not given back on request.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.standing().count()
    }

    /// Whether a capture took more than was authorized.
    #[must_use]
    pub fn took_too_much(&self) -> bool {
        self.takes().any(|(hold, take)| take.amount > hold.amount)
    }

    /// Whether a customer can finish 3-D Secure.
    #[must_use]
    pub fn waits_for_customer(&self) -> bool {
        self.ours().any(|hold| hold.stand == Stand::Waiting)
    }
}
