//! What is said to PostgreSQL, in one place for all that share a database: the embedded server, which sends many swaps in one statement,
//! and the Spin component, whose interface has no arrays of `bytea` and sends one. There is no I/O here.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod records;
mod search;
mod trust;

pub use records::{ALIVE, CHANNEL, DUE, INSERT_ONE, LOAD, LOAD_ONE, MOVE_ONE, NOTIFY, SWAP, UPDATE_ONE};
pub use search::{IN_STATE, INDEX_ONE, MISSING, NEXT_MERCHANT_IN_STATE, NEXT_MERCHANT_OF_ORDER, OF_ORDER};
pub use trust::{FORM, FORM_MIN, Form, IDENTITY, Identity, NO_TABLES, SETTINGS, Settings, foreign};

/// For how long whoever finds due records takes them, in milliseconds. If it ends meanwhile, another one finds them then.
pub const TAKEN_FOR_MS: i64 = 15_000;

/// Longest text of a column that is indexed, in characters: that of an order id.
const TEXT_CHARS_MAX: usize = 255;

/// As a column can have it: PostgreSQL takes no character U+0000, and an index no text of any length. Two texts that become one here are
/// told apart by their records.
#[must_use]
pub fn text(text: &str) -> String {
    text.chars()
        .take(TEXT_CHARS_MAX)
        .map(|letter| if letter == '\0' { '\u{fffd}' } else { letter })
        .collect()
}

/// A version or a time that PostgreSQL cannot hold is beyond all that there is: the greatest stands for it.
#[must_use]
pub fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_that_a_column_can_have() {
        assert_eq!(text("ord\0 1"), "ord\u{fffd} 1");
        assert_eq!(text(&"ä".repeat(300)).chars().count(), TEXT_CHARS_MAX);
        assert_eq!((signed(7), signed(u64::MAX)), (7, i64::MAX));
    }
}
