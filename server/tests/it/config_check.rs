//! `pay-once config check FILE`: it says what a file means, refuses what a start would refuse, and shows no secret.

use std::path::PathBuf;
use std::process::Output;

use crate::server::{Dir, command};

const SECRET: &str = "sk_live_secret";

fn check(file: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    let dir = Dir::new();
    let path = dir.path().join("pay-once.toml");
    std::fs::write(&path, file).unwrap();
    let output = command()
        .args(["config", "check"])
        .args(arguments)
        .arg(&path)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8(said).unwrap())
}

fn document(more: &str) -> String {
    let digest = "0a".repeat(32);
    format!(
        r#"
        installation = "shop-production"
        [merchants.shop]
        api_key_sha256 = ["{digest}"]
        psp = "stripe"
        [operators.ada]
        api_key_sha256_env = "IT_ADA_SHA256"
        roles = ["read", "resolve"]
        [psps.stripe]
        face = "stripe"
        base_url = "https://api.stripe.com"
        api_key_env = "IT_STRIPE_KEY"
        keyed_horizon_ms = 86_400_000
        addressable = true
        lookup_lag_ms = 10_000
        {more}
        "#
    )
}

#[test]
fn a_file_that_is_in_order_is_described_without_its_secrets() {
    let digest = "0b".repeat(32);
    let environment = [("IT_STRIPE_KEY", SECRET), ("IT_ADA_SHA256", digest.as_str())];
    let (output, said) = check(&document(""), &[], &environment);
    assert!(output.status.success(), "{said}");
    for words in [
        "is in order",
        "shop: pays at \"stripe\", 1 key",
        "sent again under its key for 24 h; read by id; looked up by reference, 10 s late at most",
        "stripe: a call is answered within 30 s, has its effect within 120 s; clocks differ by 2 s at most",
        "ada: may read and resolve, 1 key",
        "no webhook secret",
    ] {
        assert!(said.contains(words), "{words}:\n{said}");
    }
    assert!(!said.contains(SECRET) && !said.contains(&digest), "{said}");
}

#[test]
fn a_file_is_checked_where_its_secrets_are_not() {
    let (output, said) = check(&document(""), &[], &[]);
    assert!(!output.status.success(), "{said}");
    for missing in ["IT_ADA_SHA256", "IT_STRIPE_KEY"] {
        assert!(said.contains(missing), "each missing secret is named: {said}");
    }
    let (output, said) = check(&document(""), &["--without-secrets"], &[]);
    assert!(
        output.status.success() && said.contains("The secrets were not fetched."),
        "{said}"
    );
}

#[test]
fn what_a_start_would_refuse_is_refused() {
    let cases = [
        (document("horizon = 1"), "line 16: unknown field `horizon`"),
        (document("").replace("https://", "http://"), "use https://"),
        (
            document("").replace("86_400_000", "1"),
            "keyed_horizon_ms must exceed",
        ),
        (
            document("").replace("psp = \"stripe\"", "psp = \"other\""),
            "no psp named \"other\"",
        ),
        (
            document("").replace("[\"read\", \"resolve\"]", "[]"),
            "operator \"ada\" needs",
        ),
    ];
    for (file, words) in cases {
        let (output, said) = check(&file, &["--without-secrets"], &[]);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words}:\n{said}");
    }
}

#[test]
fn the_example_is_in_order() {
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../pay-once.example.toml");
    let text = std::fs::read_to_string(example).unwrap();
    let (output, said) = check(&text, &["--without-secrets"], &[]);
    assert!(output.status.success(), "{said}");
}
