//! Stripe's smallest unit of a currency, which is not always ISO 4217's.
//!
//! The table is the sandbox's own: it shares nothing with the code that pays through it.

use crate::base::outcome::Outcome;

use super::errors::invalid;

/// What an amount must be a multiple of, in the units that are sent. The currency is in lower case.
///
/// ISK and UGX have no decimals but are sent with two, which must be 00. The currencies with three decimals are
/// sent with a last digit of 0. Currencies without decimals, and those with two, have no rule.
fn step(currency: &str) -> u64 {
    match currency {
        "isk" | "ugx" => 100,
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 10,
        _ => 1,
    }
}

/// Decimals of the units that are sent, for messages to people.
fn decimals(currency: &str) -> u8 {
    match currency {
        "bif" | "clp" | "djf" | "gnf" | "jpy" | "kmf" | "krw" | "mga" | "pyg" | "rwf" | "vnd" | "vuv"
        | "xaf" | "xof" | "xpf" => 0,
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 3,
        _ => 2,
    }
}

/// Whether it looks like a currency in lower case.
pub(crate) fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// # Errors
/// 400 that names `param` when the amount is not one of the currency.
pub(crate) fn check(amount_minor: u64, currency: &str, param: &str) -> Result<(), Outcome> {
    let step = step(currency);
    if amount_minor.is_multiple_of(step) {
        return Ok(());
    }
    let message = format!(
        "Invalid amount: {amount_minor}. Amounts in {currency} are sent with {} decimals and must be divisible by {step}.",
        decimals(currency)
    );
    Err(invalid("invalid_charge_amount", param, &message))
}

/// # Errors
/// 400 that names `param` when the amount is below the least one.
pub(crate) fn check_least(amount_minor: u64, least_minor: u64, param: &str) -> Result<(), Outcome> {
    if amount_minor >= least_minor {
        return Ok(());
    }
    let message = format!("Amount must be at least {least_minor}.");
    Err(invalid("amount_too_small", param, &message))
}

#[cfg(test)]
mod tests;
