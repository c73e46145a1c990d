//! What people do at the PSP without asking the software under test: to the attempt's own object, and to objects that only carry
//! its reference (rule 13). All of it is truthful, and all of it is told by notices.

use crate::books::{Hold, Stand, Take};
use crate::ledger::Ledger;

/// What is captured by hand, in minor units: no client asks for it.
pub const HAND_MINOR: u64 = 1_700;
/// What another installation's later object is about, in minor units. With the attempt's own amount it could not be told from the
/// attempt's own object (rule 13).
const OTHER_MINOR: u64 = 1_234;

/// Something done by hand to the attempt's own object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A capture is given back whole.
    Refund,
    /// A hold, or an unfinished 3-D Secure, is released.
    Cancel,
    /// A part of a hold is captured.
    CapturePart,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refund, Self::Cancel, Self::CapturePart];

    fn is_possible(self, hold: &Hold) -> bool {
        match self {
            Self::Refund => hold.takes.iter().any(Take::stands),
            Self::Cancel => matches!(hold.stand, Stand::Open | Stand::Waiting),
            Self::CapturePart => hold.stand == Stand::Open,
        }
    }
}

/// Something that another installation does under the attempt's reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strange {
    /// It captures its own old hold.
    Captures,
    /// It makes another hold, of another amount.
    Begins,
}

impl Strange {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Captures, Self::Begins];
}

impl Ledger {
    /// Whether one of the attempt's own objects is open to it.
    #[must_use]
    pub fn can_be_done(&self, deed: Deed) -> bool {
        self.ours().any(|hold| deed.is_possible(hold))
    }

    /// Does it to the first of the attempt's own objects that it can be done to.
    pub fn do_by_hand(&mut self, deed: Deed, now_ms: u64) {
        let id = self.new_id("hand");
        self.noting(|ledger| {
            let mut ours = ledger.holds.iter_mut().filter(|hold| !hold.is_foreign);
            let Some(hold) = ours.find(|hold| deed.is_possible(hold)) else {
                return;
            };
            hold.is_by_hand = true;
            let own_id = if hold.is_intent() {
                hold.id.clone()
            } else {
                id.clone()
            };
            match deed {
                Deed::Refund => {
                    if let Some(take) = hold.takes.iter_mut().find(|take| take.stands()) {
                        take.returned_by_hand = Some(id);
                    }
                }
                Deed::Cancel => {
                    hold.release();
                    hold.void = Some((own_id, now_ms));
                }
                Deed::CapturePart => hold.take(own_id, HAND_MINOR, now_ms),
            }
        });
    }

    /// Objects of other installations under the attempt's reference.
    pub fn foreign(&self) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(|hold| hold.is_foreign)
    }

    /// Another installation's hold of funds comes into the books.
    pub fn add_foreign(&mut self, id: String, attempt: &str, amount: u64, at_ms: u64) {
        self.noting(|ledger| {
            let currency = if id.starts_with("pi_") { "gbp" } else { "GBP" };
            let mut hold = Hold::new(id, attempt, amount, currency, at_ms);
            (hold.stand, hold.is_foreign) = (Stand::Open, true);
            ledger.holds.push(hold);
        });
    }

    /// Whether another installation can do it: it does so only where it has an object already.
    #[must_use]
    pub fn can_happen(&self, what: Strange) -> bool {
        let mut foreign = self.foreign();
        match what {
            Strange::Captures => foreign.any(|hold| hold.stand == Stand::Open),
            Strange::Begins => foreign.next().is_some(),
        }
    }

    /// Another installation does it.
    pub fn do_strangely(&mut self, what: Strange, now_ms: u64) {
        let Some((attempt, is_intent)) = self
            .foreign()
            .next()
            .map(|hold| (hold.attempt.clone(), hold.is_intent()))
        else {
            return;
        };
        match what {
            Strange::Captures => {
                let id = self.new_id("cap");
                self.noting(|ledger| {
                    if let Some(hold) = ledger.holds.iter_mut().find(|hold| hold.is_foreign) {
                        let id = if is_intent { hold.id.clone() } else { id };
                        hold.take(id, hold.amount, now_ms);
                    }
                });
            }
            Strange::Begins => {
                let id = self.new_id(if is_intent { "pi" } else { "auth" });
                self.add_foreign(id, &attempt, OTHER_MINOR, now_ms);
            }
        }
    }
}
