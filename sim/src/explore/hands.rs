//! What people do at the PSP without asking this software: to the attempt's own object, and to objects that only carry its
//! reference (rule 13). All of it is truthful, and all of it is told by notices.

use super::cell::{AMOUNT_MINOR, Cell, MERCHANT, START_MS};
use super::ledger::{Hold, Ledger, Stand, Take};
use super::mix::Mix;
use super::people::CREATE_KEY;

/// What is captured by hand, in minor units: no client asks for it.
pub(super) const HAND_MINOR: u64 = 1_700;
/// How long before the world begins the foreign object was made, in milliseconds.
const FOREIGN_AGE_MS: u64 = 60_000;
/// What another installation's later object is about, in minor units. With the attempt's own amount it could not be told from the
/// attempt's own object (rule 13).
const OTHER_MINOR: u64 = 1_234;

/// Something done by hand to the attempt's own object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// A capture is given back whole.
    Refund,
    /// A hold, or an unfinished 3-D Secure, is released.
    Cancel,
    /// A part of a hold is captured.
    CapturePart,
}

impl Deed {
    pub(super) const ALL: [Self; 3] = [Self::Refund, Self::Cancel, Self::CapturePart];
}

/// Something that another installation does under the attempt's reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strange {
    /// It captures its own old hold.
    Captures,
    /// It makes another hold, of another amount.
    Begins,
}

impl Strange {
    pub(super) const ALL: [Self; 2] = [Self::Captures, Self::Begins];
}

impl Ledger {
    /// The books at the beginning.
    pub(super) fn new(cell: &Cell) -> Self {
        let mut ledger = Self::default();
        if cell.mix == Mix::Foreign {
            let id = format!("{}_000", prefix(cell.class.has_intents()));
            ledger.strange_hold(id, AMOUNT_MINOR, START_MS - FOREIGN_AGE_MS);
            ledger.note_changes(&[]);
        }
        ledger
    }

    fn strange_hold(&mut self, id: String, amount: u64, at_ms: u64) {
        let attempt = pay_once_core::AttemptId::derive("", MERCHANT, CREATE_KEY).to_string();
        let currency = if id.starts_with("pi_") { "gbp" } else { "GBP" };
        self.holds.push(Hold {
            id,
            attempt,
            amount,
            currency: currency.to_owned(),
            stand: Stand::Open,
            automatic: false,
            at_ms,
            takes: Vec::new(),
            void: None,
            is_foreign: true,
            is_by_hand: false,
        });
    }

    pub(super) fn can_be_done(&self, deed: Deed) -> bool {
        self.ours().any(|hold| hold.is_open_to(deed))
    }

    /// Does it to the first of the attempt's own objects that it can be done to.
    pub(super) fn do_by_hand(&mut self, deed: Deed, now_ms: u64) {
        let before = self.holds.clone();
        let id = self.new_id("hand");
        let Some(hold) = self
            .holds
            .iter_mut()
            .find(|hold| !hold.is_foreign && hold.is_open_to(deed))
        else {
            return;
        };
        hold.is_by_hand = true;
        let id = if hold.is_intent() && deed != Deed::Refund {
            hold.id.clone()
        } else {
            id
        };
        match deed {
            Deed::Refund => {
                let standing = hold.takes.iter_mut().find(|take| take.stands());
                if let Some(take) = standing {
                    take.returned_by_hand = Some(id);
                }
            }
            Deed::Cancel => {
                hold.release();
                hold.void = Some((id, now_ms));
            }
            Deed::CapturePart => hold.take(id, HAND_MINOR, now_ms),
        }
        self.note_changes(&before);
    }

    pub(super) fn can_happen(&self, what: Strange) -> bool {
        let mut strange = self.foreign();
        match what {
            Strange::Captures => strange.any(|hold| hold.stand == Stand::Open),
            Strange::Begins => strange.next().is_some(),
        }
    }

    pub(super) fn do_strangely(&mut self, what: Strange, now_ms: u64) {
        let before = self.holds.clone();
        let is_intent = self.foreign().any(Hold::is_intent);
        match what {
            Strange::Captures => {
                let id = self.new_id("cap");
                if let Some(hold) = self.holds.iter_mut().find(|hold| hold.is_foreign) {
                    let id = if is_intent { hold.id.clone() } else { id };
                    hold.take(id, hold.amount, now_ms);
                }
            }
            Strange::Begins => {
                let id = self.new_id(prefix(is_intent));
                self.strange_hold(id, OTHER_MINOR, now_ms);
            }
        }
        self.note_changes(&before);
    }

    /// Objects of other installations under the attempt's reference.
    pub(super) fn foreign(&self) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(|hold| hold.is_foreign)
    }

    /// Objects that the attempt's own requests made.
    pub(super) fn ours(&self) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(|hold| !hold.is_foreign)
    }
}

impl Hold {
    fn is_open_to(&self, deed: Deed) -> bool {
        match deed {
            Deed::Refund => self.takes.iter().any(Take::stands),
            Deed::Cancel => matches!(self.stand, Stand::Open | Stand::Waiting),
            Deed::CapturePart => self.stand == Stand::Open,
        }
    }
}

fn prefix(is_intent: bool) -> &'static str {
    if is_intent { "pi" } else { "auth" }
}
