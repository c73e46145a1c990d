//! An amount with its currency: a number of minor units says nothing without it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount of money. Stored as its members, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units, as ISO 4217 counts them in this currency.
    pub amount_minor: u64,
    /// ISO 4217 code, upper case.
    pub currency: String,
}

impl Money {
    /// So many minor units of a currency.
    pub fn new(amount_minor: u64, currency: impl Into<String>) -> Self {
        Self {
            amount_minor,
            currency: currency.into(),
        }
    }

    /// Another amount of the same currency.
    #[must_use]
    pub fn with_amount(&self, amount_minor: u64) -> Self {
        Self::new(amount_minor, self.currency.as_str())
    }

    /// Whether a PSP that reports this amount reports other money. A currency that it does not name is taken to be the same.
    #[must_use]
    pub fn differs_from(&self, amount_minor: u64, currency: Option<&str>) -> bool {
        self.amount_minor != amount_minor || currency.is_some_and(|currency| currency != self.currency)
    }
}

/// `2599 GBP`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount_minor, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_in_another_currency_is_other_money() {
        let money = Money::new(2599, "GBP");
        assert!(!money.differs_from(2599, Some("GBP")));
        assert!(!money.differs_from(2599, None));
        assert!(money.differs_from(2599, Some("JPY")));
        assert!(money.differs_from(2598, Some("GBP")));
        assert!(money.differs_from(2598, None));
    }

    #[test]
    fn money_is_stored_as_its_amount_and_then_its_currency() {
        let stored = postcard::to_stdvec(&Money::new(2599, "GBP")).unwrap();
        assert_eq!(stored, postcard::to_stdvec(&(2599_u64, "GBP")).unwrap());
    }
}
