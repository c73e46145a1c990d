//! A truthful PSP in memory: one ledger, two faces (`docs/psp.md`). It is the truth that the tests of core, the explorer and the
//! fuzzers hold every claim against, and it shares no code with core.
//!
//! It refuses nothing that a naive card network would not refuse: the acquirer face authorizes and captures again as often as it
//! is asked. A [`Ledger`] is a value: it can be cloned, compared and hashed, and it has no clock. Every amount is in minor units,
//! every time in milliseconds since the Unix epoch.

mod acquirer;
mod books;
mod by_hand;
mod ledger;
mod notices;
mod sign;
mod stripe;

pub use books::{Back, Hold, Stand, Take};
pub use by_hand::{Deed, HAND_MINOR, Strange};
pub use ledger::{Answer, Asked, Dials, Ledger};
pub use sign::sign;

/// Where the PSP is.
pub const PSP_URL: &str = "http://psp.test";
/// The token that is declined.
pub const TOKEN_DECLINED: &str = "pm_card_declined";
/// The token that asks for 3-D Secure.
pub const TOKEN_3DS: &str = "pm_card_3ds";
/// Where a customer finishes 3-D Secure.
const ACTION_URL: &str = "http://psp.test/3ds";
