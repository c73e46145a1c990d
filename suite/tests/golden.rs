//! The committed transcript is this table's, and together they cover the contract's refusals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use pay_once_core::contract::error::Code;
use pay_once_core::{ConfigFile, Named, SecretPlace};
use pay_once_suite::environment::{
    Merchant, PSP_KEY_ENV, Secrets, TIME_BUDGET_MS, WEBHOOK_SECRET_ENV, config,
};
use pay_once_suite::{GOLDEN, table};

#[test]
fn the_transcript_has_the_tables_cases_in_the_tables_order() {
    let in_transcript: Vec<&str> = GOLDEN
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let cases = table::cases();
    let in_table: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(in_transcript, in_table);
}

/// What HTTP alone cannot bring about: a broken, silent or unsafe store, one without an index, an empty configuration, and a server or a
/// PSP that takes no more for a while.
const OUT_OF_REACH: [Code; 7] = [
    Code::RecordRefused,
    Code::StoreUnavailable,
    Code::StoreUnsafe,
    Code::NotConfigured,
    Code::Overloaded,
    Code::PspUnavailable,
    Code::SearchUnsupported,
];

#[test]
fn every_refusal_within_reach_is_in_the_transcript() {
    for code in Code::ALL {
        let word = code.as_str();
        let is_there = GOLDEN.contains(&format!("\"code\":\"{word}\""))
            || GOLDEN.contains(&format!("< code: \"{word}\""));
        assert_eq!(is_there, !OUT_OF_REACH.contains(&code), "{word}");
    }
}

#[test]
fn nothing_of_one_run_is_in_the_transcript() {
    for line in GOLDEN.lines() {
        assert!(
            !line.contains("127.0.0.1") && !line.contains("localhost"),
            "{line}"
        );
        // No time of day: every `:` between digits would be one.
        let bytes = line.as_bytes();
        let is_time = |at: &[u8]| matches!(at, [b'0'..=b'9', b':', b'0'..=b'9', b'0'..=b'9', b':']);
        assert!(!bytes.windows(5).any(is_time), "{line}");
    }
}

#[test]
fn core_accepts_the_environment() {
    let secrets = Secrets::default();
    let document = config("http://127.0.0.1:9090", &secrets);
    let file: ConfigFile = serde_json::from_value(document).unwrap();
    let config = file
        .into_config(|place| match place {
            SecretPlace::Environment(name) if [PSP_KEY_ENV, WEBHOOK_SECRET_ENV].contains(&name) => {
                Ok("secret".to_owned())
            }
            place => Err(format!("{place:?}")),
        })
        .unwrap();
    config.check().unwrap();
    assert_eq!(config.time_budget_ms.get(), TIME_BUDGET_MS);
    assert!(config.open_merchant.is_none());
    for merchant in Merchant::ALL {
        assert_eq!(
            config.named_by(secrets.token(merchant)),
            Some(Named::Merchant(merchant.id()))
        );
        assert!(config.psps[merchant.psp()].webhook_secrets.len() == 1);
    }
}
