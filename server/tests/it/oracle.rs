//! What must hold between an attempt and the PSP's own ledger.

use serde_json::Value;

/// Whether nothing is under way any more and nothing will begin by itself soon.
pub(crate) fn is_settled(attempt: &Value) -> bool {
    let automatic = attempt["capture_method"] == "automatic";
    attempt.get("operation").is_none()
        && match status(attempt) {
            "CREATED" | "CAPTURED" | "VOIDED" | "DECLINED" | "EXPIRED" => true,
            "AUTHORIZED" => !automatic,
            _ => false,
        }
}

pub(crate) fn status(attempt: &Value) -> &str {
    attempt["status"].as_str().unwrap_or_default()
}

/// Panics unless a settled attempt and the ledger tell the same story, and the money moved at most once.
pub(crate) fn check(attempt: &Value, ledger: &Value) {
    if let Err(why) = agree(attempt, ledger) {
        panic!("{why}\nattempt: {attempt:#}\nledger: {ledger:#}");
    }
}

/// As [`check`], as a result.
pub(crate) fn agree(attempt: &Value, ledger: &Value) -> Result<(), String> {
    let of = |name: &str| {
        ledger[name]
            .as_u64()
            .ok_or_else(|| format!("no {name} in the ledger"))
    };
    let (live, captures) = (of("live_authorizations")?, of("captures")?);
    let kept_minor = of("captured_minor")? - of("refunded_minor")?;
    let amount = attempt["amount"].as_u64().unwrap_or_default();
    if live > 1 || captures > 1 || kept_minor > amount {
        return Err(format!(
            "more than once: {live} live, {captures} captures, {kept_minor} of {amount}"
        ));
    }
    let expected = match status(attempt) {
        "AUTHORIZED" => (1, 0, 0),
        "CAPTURED" => (1, 1, attempt["capture"]["amount"].as_u64().unwrap_or_default()),
        "CREATED" | "VOIDED" | "DECLINED" | "EXPIRED" => (0, captures, 0),
        other => return Err(format!("{other} is no settled status")),
    };
    if (live, captures, kept_minor) == expected {
        Ok(())
    } else {
        Err(format!(
            "{} but the ledger has {live} live, {captures} captures, {kept_minor} kept",
            status(attempt)
        ))
    }
}
