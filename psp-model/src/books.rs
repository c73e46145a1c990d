//! What is in the books: authorizations, their captures, and what has become of them.

use std::sync::Arc;

/// Where an authorization (acquirer) or a PaymentIntent (stripe) stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stand {
    /// Made, not acted on.
    Made,
    /// Waits for the customer.
    Waiting,
    /// Declined.
    Declined,
    /// Funds are held.
    Open,
    /// Funds were taken.
    Taken,
    /// Funds were held and are released.
    Gone,
    /// Given up before funds were held.
    Abandoned,
}

/// A capture that was given back on request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Back {
    /// Its id.
    pub id: String,
    /// From when on listings show it.
    pub listed_ms: u64,
}

/// A capture.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Take {
    /// Its id: at stripe its intent's.
    pub id: String,
    /// What was taken, in minor units.
    pub amount: u64,
    /// When.
    pub at_ms: u64,
    /// How it was given back on request: a naive network gives back as often as it is asked.
    pub backs: Vec<Back>,
    /// Id by which somebody gave it back by hand.
    pub returned_by_hand: Option<String>,
}

impl Take {
    /// Whether nobody has given it back.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.backs.is_empty() && self.returned_by_hand.is_none()
    }
}

/// An authorization or a PaymentIntent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Its id.
    pub id: String,
    /// The reference that it carries: an attempt's.
    pub attempt: Arc<str>,
    /// What it is about, in minor units.
    pub amount: u64,
    /// The currency, as it was asked for.
    pub currency: Arc<str>,
    /// Where it stands.
    pub stand: Stand,
    /// Whether an approval takes funds at once.
    pub automatic: bool,
    /// When it was made.
    pub at_ms: u64,
    /// Captures of it.
    pub takes: Vec<Take>,
    /// Id and time of its release.
    pub void: Option<(String, u64)>,
    /// Whether another installation made it (rule 13).
    pub is_foreign: bool,
    /// Whether somebody did something to it by hand: from then on even a naive network refuses what has been done.
    pub is_by_hand: bool,
}

impl Hold {
    /// Made now, and not acted on.
    pub(crate) fn new(id: String, attempt: &str, amount: u64, currency: &str, now_ms: u64) -> Self {
        Self {
            id,
            attempt: attempt.into(),
            amount,
            currency: currency.into(),
            stand: Stand::Made,
            automatic: false,
            at_ms: now_ms,
            takes: Vec::new(),
            void: None,
            is_foreign: false,
            is_by_hand: false,
        }
    }

    /// Whether it is a PaymentIntent.
    #[must_use]
    pub fn is_intent(&self) -> bool {
        self.id.starts_with("pi_")
    }

    /// Whether it never held funds, since the customer has not finished.
    pub(crate) fn is_unfinished(&self) -> bool {
        matches!(self.stand, Stand::Waiting | Stand::Abandoned)
    }

    /// Approved: funds are held, or taken at once.
    pub(crate) fn approve(&mut self, now_ms: u64) {
        self.stand = Stand::Open;
        if self.automatic {
            self.take(self.id.clone(), self.amount, now_ms);
        }
    }

    /// Takes funds.
    pub(crate) fn take(&mut self, id: String, amount: u64, now_ms: u64) {
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
    pub(crate) fn release(&mut self) {
        self.stand = if self.is_unfinished() {
            Stand::Abandoned
        } else {
            Stand::Gone
        };
    }
}
