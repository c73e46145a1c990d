//! Amounts in the units of a PSP. The API, the journal and the ledger of our own count in ISO 4217's minor units; some PSPs count
//! some currencies otherwise, and take only some amounts of others. Each driver has a table, used for all that is sent and
//! for all that comes back.

use iso_currency::Currency;

use crate::base::config::Connector;
use crate::base::money::Money;
use crate::journal::wire_form::WireForm;

/// The units that an amount is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    connector: Connector,
    form: WireForm,
}

/// Why an amount cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inexpressible {
    /// One sentence that says which amounts can be.
    pub why: String,
}

/// How a PSP counts a currency.
struct Rule {
    /// Decimals of the amounts on its wire.
    decimals: u32,
    /// What every amount on its wire is a multiple of.
    step: u64,
}

impl Units {
    /// Units of this driver, in the wire form of a dispatch.
    #[must_use]
    pub fn new(connector: Connector, form: WireForm) -> Self {
        Self { connector, form }
    }

    /// The amount on the wire.
    ///
    /// # Errors
    /// [`Inexpressible`] where the PSP has no such amount: nothing may be sent then.
    pub fn to_wire(self, money: &Money) -> Result<u64, Inexpressible> {
        let (minor, currency) = (money.amount_minor, money.currency.as_str());
        let Some((iso, rule)) = self.rules(currency) else {
            return Ok(minor);
        };
        let inexpressible = |why: String| Err(Inexpressible { why });
        let wire = if rule.decimals >= iso {
            let factor = power(rule.decimals - iso);
            match minor.checked_mul(factor) {
                Some(wire) => wire,
                None => return inexpressible("it is too large for the PSP".to_owned()),
            }
        } else {
            let factor = power(iso - rule.decimals);
            if !minor.is_multiple_of(factor) {
                return inexpressible(format!(
                    "the PSP counts {currency} without its last {} decimals, so it must be a multiple of {factor}",
                    iso - rule.decimals
                ));
            }
            minor / factor
        };
        if !wire.is_multiple_of(rule.step) {
            return inexpressible(format!(
                "the PSP takes amounts of {currency} in multiples of {} only",
                rule.step
            ));
        }
        Ok(wire)
    }

    /// The minor units, as ISO 4217 counts them, of an amount on the wire. `None` if there are none: the PSP speaks of a part
    /// of a minor unit, which nobody can have asked for.
    #[must_use]
    pub fn from_wire(self, currency: &str, wire: u64) -> Option<u64> {
        let Some((iso, rule)) = self.rules(currency) else {
            return Some(wire);
        };
        if rule.decimals >= iso {
            let factor = power(rule.decimals - iso);
            wire.is_multiple_of(factor).then(|| wire / factor)
        } else {
            wire.checked_mul(power(iso - rule.decimals))
        }
    }

    /// Decimals that ISO 4217 gives the currency, and the PSP's rule; `None` where both are the same, or there is no such
    /// currency.
    fn rules(self, currency: &str) -> Option<(u32, Rule)> {
        let code = currency.to_ascii_uppercase();
        let iso = u32::from(Currency::from_code(&code)?.exponent()?);
        match (self.connector, self.form) {
            // The acquirer counts as ISO 4217 does; so did every driver in the first form.
            (Connector::Acquirer, _) | (_, WireForm::Unversioned) => None,
            (Connector::Stripe, WireForm::Versioned) => Some((iso, stripe(&code))),
        }
    }
}

/// Stripe's currencies (docs.stripe.com/currencies, “Zero-decimal currencies”, “Three-decimal currencies”, “Special cases”).
fn stripe(code: &str) -> Rule {
    match code {
        "BIF" | "CLP" | "DJF" | "GNF" | "JPY" | "KMF" | "KRW" | "MGA" | "PYG" | "RWF" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => Rule { decimals: 0, step: 1 },
        // Two decimals for the sake of old integrations, and both must be zero.
        "ISK" | "UGX" => Rule {
            decimals: 2,
            step: 100,
        },
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => Rule {
            decimals: 3,
            step: 10,
        },
        _ => Rule { decimals: 2, step: 1 },
    }
}

fn power(decimals: u32) -> u64 {
    10_u64.saturating_pow(decimals)
}

/// Whether anybody can pay in it: a code of ISO 4217 that is money. Metals, funds, units of account, test codes and “no
/// currency” are not.
#[must_use]
pub fn is_currency(code: &str) -> bool {
    Currency::from_code(code)
        .is_some_and(|known| known.exponent().is_some() && !known.is_fund() && !known.is_special())
}
