//! A server with two merchants, each with a key and a PSP of its own.

use pay_once_core::key_digest;

use crate::server::{Dir, Server};

/// The merchants' API keys.
pub(crate) const KEYS: [&str; 2] = ["sk_it_merchant_a", "sk_it_merchant_b"];

/// Starts it. The merchants' PSPs are at these addresses; a call to them may take so long.
pub(crate) fn two_merchants(
    psps: [&str; 2],
    call_timeout_ms: u64,
    environment: &[(&str, &str)],
) -> (Server, Dir) {
    let dir = Dir::new();
    let config = dir.path().join("pay-once.toml");
    let mut text = String::new();
    for (name, (key, psp)) in ["a", "b"].iter().zip(KEYS.iter().zip(psps)) {
        let digest = digest(key);
        text.push_str(&format!(
            r#"
            [merchants.{name}]
            api_key_sha256 = ["{digest}"]
            psp = "psp_{name}"
            default_payment_method = "pm_card_visa"
            [psps.psp_{name}]
            face = "acquirer"
            base_url = "http://{psp}"
            api_key_env = "IT_PSP_KEY"
            keyed_horizon_ms = 86_400_000
            [psps.psp_{name}.timing]
            send_window_ms = 1000
            call_timeout_ms = {call_timeout_ms}
            max_in_flight_ms = {call_timeout_ms}
            max_clock_skew_ms = 100
            "#
        ));
    }
    std::fs::write(&config, text).unwrap();
    let mut environment = environment.to_vec();
    environment.push(("IT_PSP_KEY", "sk_outside"));
    let arguments = ["--config", config.to_str().unwrap(), "--log", "error"];
    (Server::start_with(&arguments, &environment), dir)
}

/// What a configuration file has of an API key.
pub(crate) fn digest(key: &str) -> String {
    key_digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The header that names a merchant.
pub(crate) fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}
