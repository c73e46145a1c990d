//! The form of what was sent, which a record keeps by its number.

/// How requests are written, in full: paths, members, their order, and headers. A PSP that honours keys refuses another request
/// under a key that is in use, so what was dispatched in one form is sent again in the same one, by any later build
/// (`core/tests/golden/wire/`). A change of what is written is a new form.
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

    /// The form of a number in the journal. A number that this build does not know reads as the newest one that it does: such a
    /// record is refused before (`Record::decode`).
    #[must_use]
    pub fn of(number: u16) -> Self {
        match number {
            0 => Self::Unversioned,
            _ => Self::Versioned,
        }
    }
}
