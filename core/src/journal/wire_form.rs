//! The wire form of requests. A record keeps it by its number (rule 15).

/// How requests are written: paths, members, their order, and headers. A PSP that honours keys refuses a different
/// request under a used key. A request that was dispatched in one form is therefore sent again in the same form, by any
/// later build (rule 15; `core/tests/golden/wire/`). Every change of what is written is a new form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WireForm {
    /// No `Stripe-Version`, amounts in ISO 4217's minor units, refunds without metadata.
    Unversioned,
    /// `Stripe-Version` 2026-07-29.dahlia, amounts in the PSP's units, refunds with metadata.
    Versioned,
}

impl WireForm {
    /// The form for new objects.
    pub const CURRENT: WireForm = WireForm::Versioned;

    /// Every form that has shipped.
    pub const ALL: [WireForm; 2] = [WireForm::Unversioned, WireForm::Versioned];

    /// The number in the journal.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Unversioned => 0,
            Self::Versioned => 1,
        }
    }

    /// The form of a number in the journal. An unknown number reads as the newest known form. It does not occur,
    /// because [`crate::journal::record::Record::decode`] refuses a record with such a number.
    #[must_use]
    pub fn of(number: u16) -> Self {
        match number {
            0 => Self::Unversioned,
            _ => Self::Versioned,
        }
    }
}
