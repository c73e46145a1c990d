//! `pay-once config check`: what a configuration file means, in words, and what a deployment usually wants beside it.

use std::fmt::Write as _;
use std::path::Path;

use pay_once_core::{Config, Merchant, Millis, Operator, Psp, Role, SecretPlace, Timing, key_digest};

use crate::config_source::{fetch, from_file};

/// Checks a file as a start would. The text says what it means; no secret is in it.
///
/// # Errors
/// One sentence that says what to change.
pub fn config_check(file: &Path, without_secrets: bool) -> Result<String, String> {
    // A text that is a key and a digest, another one for each place: what has the same key twice is refused.
    let placeholder = |place: SecretPlace<'_>| {
        let (SecretPlace::Environment(name) | SecretPlace::File(name)) = place;
        Ok(key_digest(name)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    };
    let config = if without_secrets {
        from_file(file, placeholder)?
    } else {
        // All that is missing is named at once.
        let mut missing = Vec::new();
        let fetched = from_file(file, |place| {
            fetch(place).or_else(|why| {
                missing.push(why);
                placeholder(place)
            })
        });
        if !missing.is_empty() {
            return Err(missing.join("; "));
        }
        fetched?
    };
    config.check()?;
    Ok(described(file, &config, without_secrets))
}

fn described(file: &Path, config: &Config, without_secrets: bool) -> String {
    let mut text = format!("{} is in order.\n", file.display());
    let mut line = |line: String| {
        // Writing into a string does not fail.
        let _ = writeln!(text, "{line}");
    };
    if without_secrets {
        line("The secrets were not fetched.".to_owned());
    }
    line(format!("installation   {:?}", config.installation));
    line(format!("time budget    {} ms", config.time_budget_ms.get()));
    for (name, merchant) in &config.merchants {
        line(format!("merchant       {name}: {}", merchant_line(merchant)));
    }
    for (name, psp) in &config.psps {
        line(format!("psp            {name}: {}", psp_line(psp)));
        line(format!("               {name}: {}", timing_line(&psp.timing)));
    }
    for (name, operator) in &config.operators {
        line(format!("operator       {name}: {}", operator_line(operator)));
    }
    if config.resolve_needs > 1 {
        line(format!(
            "resolve        needs {} operators who agree",
            config.resolve_needs
        ));
    }
    for (name, loss) in &config.losses {
        line(format!(
            "loss           {name}: writes from {} to {} may be lost (milliseconds since 1970)",
            loss.begins_ms.get(),
            loss.restored_ms.get()
        ));
    }
    for note in notes(config) {
        line(format!("note           {note}"));
    }
    text.trim_end().to_owned()
}

fn merchant_line(merchant: &Merchant) -> String {
    let keys = counted(merchant.key_digests.len(), "key");
    let token = match merchant.default_payment_method {
        Some(_) => ", a default payment method",
        None => "",
    };
    format!("pays at \"{}\", {keys}{token}", merchant.psp)
}

fn operator_line(operator: &Operator) -> String {
    let roles = operator.roles.iter().map(|role| match role {
        Role::Read => "read",
        Role::Resolve => "resolve",
    });
    let roles: Vec<&str> = roles.collect();
    let keys = counted(operator.key_digests.len(), "key");
    format!("may {}, {keys}", roles.join(" and "))
}

/// What becomes of an outcome that is unknown is what a reader has to know of a PSP.
fn psp_line(psp: &Psp) -> String {
    let capabilities = &psp.capabilities;
    let mut ways = Vec::new();
    if let Some(horizon_ms) = capabilities.keyed_horizon_ms {
        ways.push(format!("sent again under its key for {}", duration(horizon_ms)));
    }
    if capabilities.addressable {
        ways.push("read by id".to_owned());
    }
    if let Some(lag_ms) = capabilities.lookup_lag_ms {
        ways.push(format!(
            "looked up by reference, {} late at most",
            duration(lag_ms)
        ));
    }
    let ways = match ways.is_empty() {
        true => "parked for an operator".to_owned(),
        false => ways.join("; "),
    };
    let secrets = counted(psp.webhook_secrets.len(), "webhook secret");
    format!(
        "{} ({:?}), {secrets}; an unknown outcome is {ways}",
        psp.base_url, psp.connector
    )
}

/// The assumptions about time that absence and lapse are concluded from.
fn timing_line(timing: &Timing) -> String {
    format!(
        "a call is answered within {}, has its effect within {}; clocks differ by {} at most; an authorization lives {}; a customer has {}",
        duration(timing.call_timeout_ms),
        duration(timing.max_in_flight_ms),
        duration(timing.max_clock_skew_ms),
        duration(timing.authorization_lifetime_ms),
        duration(timing.action_timeout_ms),
    )
}

/// What is allowed and seldom meant.
fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, psp) in &config.psps {
        if psp.webhook_secrets.is_empty() {
            notes.push(format!(
                "psp \"{name}\" has no webhook secret: its webhooks are refused, and outcomes are learned by asking"
            ));
        }
        if !config.merchants.values().any(|merchant| merchant.psp == *name) {
            notes.push(format!("psp \"{name}\" is used by no merchant for new payments"));
        }
    }
    for (name, merchant) in &config.merchants {
        if merchant.key_digests.is_empty() && config.open_merchant.as_ref() != Some(name) {
            notes.push(format!(
                "merchant \"{name}\" has no key: nobody can pay through it"
            ));
        }
    }
    if let Some(name) = &config.open_merchant {
        notes.push(format!(
            "merchant \"{name}\" is served without a key: on a loopback address only"
        ));
    }
    let may_resolve = |operator: &Operator| operator.roles.contains(&Role::Resolve);
    if !config.operators.values().any(may_resolve) {
        notes.push("no operator may resolve: what is parked stays parked".to_owned());
    }
    if let Err(why) = config.check_public() {
        notes.push(format!("at the edge it would be refused: {why}"));
    }
    notes
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

fn duration(ms: Millis) -> String {
    let ms = ms.get();
    match ms {
        _ if ms >= 3_600_000 && ms.is_multiple_of(3_600_000) => format!("{} h", ms / 3_600_000),
        _ if ms >= 1_000 && ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        _ => format!("{ms} ms"),
    }
}
