//! What a deployment says, by Spin's variables. Secrets have variables of their own, so that a provider of secrets can
//! supply them.

use std::collections::BTreeMap;

use pay_once_core::config::{Class, Config, Face, Merchant, Psp, Secret, Timing};
use serde::Deserialize;
use spin_sdk::http::Uri;

use crate::ports::FinalsWhen;

/// The variables, as they are named in `spin.toml`.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// `deployment`: merchants, the PSP's class and constants, as JSON.
    pub deployment: String,
    /// `psp_url`: scheme and host of the PSP; the only place that the component may reach.
    pub psp_url: String,
    /// `psp_api_key`: a secret.
    pub psp_api_key: String,
    /// `psp_webhook_secret`: a secret; empty if webhooks are refused.
    pub psp_webhook_secret: String,
    /// `store`: `sqlite` or `key-value`.
    pub store: String,
    /// `finals`: `off`, `fallback` or `first`.
    pub finals: String,
    /// `sweep_key_sha256`: who may ask for a sweep; empty if nobody.
    pub sweep_key_sha256: String,
}

/// What they come to.
#[derive(Debug)]
pub struct Deployment {
    /// For core.
    pub config: Config,
    /// The authority.
    pub store: StoreKind,
    /// When copies are asked for.
    pub finals: FinalsWhen,
    /// Digest of the key that `/internal/sweep` takes.
    pub sweep_digest: Option<[u8; 32]>,
}

/// The two authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// `spin:sqlite`.
    Sqlite,
    /// `wasi:keyvalue`, if it passes the probe.
    KeyValue,
}

const TIME_BUDGET_MS: u64 = 150;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    time_budget_ms: Option<u64>,
    #[serde(default)]
    merchants: BTreeMap<String, MerchantEntry>,
    psp: Option<PspEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MerchantEntry {
    #[serde(default)]
    api_key_sha256: Vec<String>,
    default_payment_method: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PspEntry {
    name: String,
    face: Face,
    keyed_horizon_ms: Option<u64>,
    #[serde(default)]
    addressable: bool,
    lookup_lag_ms: Option<u64>,
    #[serde(default)]
    prepare_first: bool,
    #[serde(default)]
    timing: TimingEntry,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimingEntry {
    send_window_ms: Option<u64>,
    call_timeout_ms: Option<u64>,
    max_in_flight_ms: Option<u64>,
    max_clock_skew_ms: Option<u64>,
    webhook_tolerance_ms: Option<u64>,
    authorization_lifetime_ms: Option<u64>,
    capture_margin_ms: Option<u64>,
    action_timeout_ms: Option<u64>,
    authorize_retry_ms: Option<u64>,
}

impl Deployment {
    /// Puts the variables together. Without merchants nobody is served (DESIGN §2, “Merchants”).
    ///
    /// # Errors
    /// One sentence that says what to change. It names no secret.
    pub fn read(variables: &Variables) -> Result<Self, String> {
        let file: File = serde_json::from_str(&variables.deployment)
            .map_err(|error| format!("the variable deployment: {error}"))?;
        let mut config = Config {
            time_budget_ms: file.time_budget_ms.unwrap_or(TIME_BUDGET_MS),
            merchants: BTreeMap::new(),
            psps: BTreeMap::new(),
            open_merchant: None,
        };
        if !file.merchants.is_empty() {
            let entry = file.psp.ok_or("the variable deployment: \"psp\" is missing")?;
            let name = entry.name.clone();
            config.psps.insert(name.clone(), psp(entry, variables)?);
            for (id, entry) in file.merchants {
                let merchant = merchant(&id, entry, &name)?;
                config.merchants.insert(id, merchant);
            }
        }
        config.check()?;
        Ok(Self {
            config,
            store: match variables.store.as_str() {
                "sqlite" => StoreKind::Sqlite,
                "key-value" => StoreKind::KeyValue,
                other => return Err(format!("the variable store is \"{other}\"; it is sqlite or key-value")),
            },
            finals: match variables.finals.as_str() {
                "off" => FinalsWhen::Off,
                "fallback" => FinalsWhen::Fallback,
                "first" => FinalsWhen::First,
                other => {
                    return Err(format!("the variable finals is \"{other}\"; it is off, fallback or first"));
                }
            },
            sweep_digest: match variables.sweep_key_sha256.as_str() {
                "" => None,
                hex => Some(
                    digest(hex).ok_or("the variable sweep_key_sha256 is not 64 hexadecimal digits".to_owned())?,
                ),
            },
        })
    }
}

fn merchant(id: &str, entry: MerchantEntry, psp: &str) -> Result<Merchant, String> {
    let digests = entry.api_key_sha256.iter().map(|hex| digest(hex));
    let key_digests: Option<Vec<[u8; 32]>> = digests.collect();
    Ok(Merchant {
        key_digests: key_digests
            .ok_or_else(|| format!("merchant \"{id}\": an api_key_sha256 is not 64 hexadecimal digits"))?,
        psp: psp.to_owned(),
        default_payment_method: entry.default_payment_method,
    })
}

fn psp(entry: PspEntry, variables: &Variables) -> Result<Psp, String> {
    let url: Uri = variables
        .psp_url
        .parse()
        .map_err(|_| format!("the variable psp_url, \"{}\", is not a URL", variables.psp_url))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none() {
        return Err("the variable psp_url must begin with https:// (or http://) and name a host".to_owned());
    }
    if variables.psp_api_key.trim().is_empty() {
        return Err("the variable psp_api_key is empty".to_owned());
    }
    let webhook_secret = variables.psp_webhook_secret.trim();
    let (given, known) = (entry.timing, Timing::default());
    Ok(Psp {
        face: entry.face,
        base_url: variables.psp_url.trim_end_matches('/').to_owned(),
        api_key: Secret::new(variables.psp_api_key.trim()),
        webhook_secret: (!webhook_secret.is_empty()).then(|| Secret::new(webhook_secret)),
        class: Class {
            keyed_horizon_ms: entry.keyed_horizon_ms,
            addressable: entry.addressable,
            lookup_lag_ms: entry.lookup_lag_ms,
            prepare_first: entry.prepare_first,
        },
        timing: Timing {
            send_window_ms: given.send_window_ms.unwrap_or(known.send_window_ms),
            call_timeout_ms: given.call_timeout_ms.unwrap_or(known.call_timeout_ms),
            max_in_flight_ms: given.max_in_flight_ms.unwrap_or(known.max_in_flight_ms),
            max_clock_skew_ms: given.max_clock_skew_ms.unwrap_or(known.max_clock_skew_ms),
            webhook_tolerance_ms: given.webhook_tolerance_ms.unwrap_or(known.webhook_tolerance_ms),
            authorization_lifetime_ms: given
                .authorization_lifetime_ms
                .unwrap_or(known.authorization_lifetime_ms),
            capture_margin_ms: given.capture_margin_ms.unwrap_or(known.capture_margin_ms),
            action_timeout_ms: given.action_timeout_ms.unwrap_or(known.action_timeout_ms),
            authorize_retry_ms: given.authorize_retry_ms.unwrap_or(known.authorize_retry_ms),
        },
    })
}

/// 64 hexadecimal digits.
fn digest(hex: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits: [u8; 64] = digits?.try_into().ok()?;
    let (pairs, _) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(deployment: &str) -> Variables {
        Variables {
            deployment: deployment.to_owned(),
            psp_url: "https://api.stripe.com".to_owned(),
            psp_api_key: "sk_secret".to_owned(),
            store: "sqlite".to_owned(),
            finals: "off".to_owned(),
            ..Variables::default()
        }
    }

    const ONE: &str = r#"{"merchants": {"shop": {"api_key_sha256": ["HEX"]}},
        "psp": {"name": "stripe", "face": "stripe", "keyed_horizon_ms": 86400000, "addressable": true}}"#;

    fn one() -> String {
        ONE.replace("HEX", &"0aF1".repeat(16))
    }

    #[test]
    fn nothing_configured_serves_nobody() {
        let deployment = Deployment::read(&variables("{}")).unwrap();
        assert!(deployment.config.merchants.is_empty() && deployment.config.open_merchant.is_none());
        assert_eq!(deployment.sweep_digest, None);
    }

    #[test]
    fn a_deployment_reads_and_its_digests_are_bytes() {
        let deployment = Deployment::read(&variables(&one())).unwrap();
        let merchant = &deployment.config.merchants["shop"];
        assert_eq!(merchant.key_digests[0][..4], [0x0a, 0xf1, 0x0a, 0xf1]);
        let psp = &deployment.config.psps["stripe"];
        assert_eq!(psp.webhook_secret, None);
        assert_eq!((psp.face, psp.api_key.expose()), (Face::Stripe, "sk_secret"));
    }

    #[test]
    fn every_mistake_is_named_and_no_secret_is() {
        let mistake = |change: &dyn Fn(&mut Variables)| {
            let mut variables = variables(&one());
            change(&mut variables);
            let why = Deployment::read(&variables).unwrap_err();
            assert!(!why.contains("sk_secret"), "{why}");
            why
        };
        assert!(mistake(&|v| v.deployment = "{".to_owned()).contains("deployment"));
        assert!(mistake(&|v| v.deployment = r#"{"merchant": {}}"#.to_owned()).contains("merchant"));
        assert!(mistake(&|v| v.deployment = one().replace("0aF1", "0xF1")).contains("64 hexadecimal"));
        assert!(mistake(&|v| v.deployment = one().replace("86400000", "1")).contains("keyed_horizon_ms"));
        assert!(mistake(&|v| v.deployment = r#"{"merchants": {"m": {}}}"#.to_owned()).contains("psp"));
        assert!(mistake(&|v| v.psp_url = "api.stripe.com".to_owned()).contains("psp_url"));
        assert!(mistake(&|v| v.psp_api_key = " ".to_owned()).contains("psp_api_key"));
        assert!(mistake(&|v| v.store = "redis".to_owned()).contains("store"));
        assert!(mistake(&|v| v.finals = String::new()).contains("finals"));
        assert!(mistake(&|v| v.sweep_key_sha256 = "abc".to_owned()).contains("sweep_key_sha256"));
    }
}
