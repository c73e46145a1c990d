//! A deployment as it is written down: one document, TOML or JSON, the same members for every adapter. Secrets are
//! never in it; it says where they are, and the adapter fetches them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::base::config::{
    CLIENT_RETRY_HORIZON_MS, Capabilities, Config, Connector, Merchant, Operator, Psp, Role, Secret,
    TIME_BUDGET_MS, Timing, read_key_digest,
};
use crate::base::limits::INSTALLATION_BYTES_MAX;
use crate::base::loss::Loss;
use crate::base::time::Millis;

/// The document. Unknown members are refused. Read it with any serde format, then [`ConfigFile::into_config`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    installation: Option<String>,
    time_budget_ms: Option<Millis>,
    open_merchant: Option<String>,
    resolve_needs: Option<u8>,
    client_retry_horizon_ms: Option<Millis>,
    merchants: BTreeMap<String, MerchantEntry>,
    #[serde(default)]
    operators: BTreeMap<String, OperatorEntry>,
    psps: BTreeMap<String, PspEntry>,
}

/// Where a secret is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretPlace<'a> {
    /// `…_env`: a variable of the environment, or what the platform has for it (a secret binding, a variable).
    Environment(&'a str),
    /// `…_file`: a file. An adapter without files refuses it.
    File(&'a str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MerchantEntry {
    psp: String,
    #[serde(default)]
    api_key_sha256: Vec<String>,
    api_key_sha256_env: Option<String>,
    default_payment_method: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorEntry {
    #[serde(default)]
    api_key_sha256: Vec<String>,
    api_key_sha256_env: Option<String>,
    #[serde(default)]
    roles: BTreeSet<Role>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PspEntry {
    #[serde(rename = "face")]
    connector: Connector,
    base_url: String,
    api_key_env: Option<String>,
    api_key_file: Option<String>,
    webhook_secret_env: Option<String>,
    webhook_secret_file: Option<String>,
    keyed_horizon_ms: Option<Millis>,
    #[serde(default)]
    addressable: bool,
    lookup_lag_ms: Option<Millis>,
    #[serde(default)]
    prepare_first: bool,
    #[serde(default)]
    timing: TimingEntry,
    loss: Option<Loss>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimingEntry {
    send_window_ms: Option<Millis>,
    call_timeout_ms: Option<Millis>,
    max_in_flight_ms: Option<Millis>,
    max_clock_skew_ms: Option<Millis>,
    webhook_tolerance_ms: Option<Millis>,
    authorization_lifetime_ms: Option<Millis>,
    capture_margin_ms: Option<Millis>,
    action_timeout_ms: Option<Millis>,
    authorize_retry_ms: Option<Millis>,
}

/// What a format's library says of a document, without the strings of the document: one of them may be a key, put there by mistake.
#[must_use]
pub fn without_values(message: &str) -> String {
    let mut parts = message.split("string \"");
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // What follows the closing quote; a string that has quotes of its own loses more, and never less.
        let rest = part.rsplit_once('"').map_or("", |(_, rest)| rest);
        said.push_str("a string");
        said.push_str(rest);
    }
    said
}

impl ConfigFile {
    /// The configuration, its secrets fetched by `fetch`. [`Config::check`] is still to be passed.
    ///
    /// # Errors
    /// One sentence that names the entry and says what to change; what `fetch` says follows the entry's name.
    pub fn into_config(
        self,
        mut fetch: impl FnMut(SecretPlace<'_>) -> Result<String, String>,
    ) -> Result<Config, String> {
        let mut merchants = BTreeMap::new();
        for (id, entry) in self.merchants {
            let key_digests = digests(
                &entry.api_key_sha256,
                entry.api_key_sha256_env.as_deref(),
                &mut fetch,
            )
            .map_err(|why| format!("merchant \"{id}\": {why}"))?;
            let merchant = Merchant {
                key_digests,
                psp: entry.psp,
                default_payment_method: entry.default_payment_method,
            };
            merchants.insert(id, merchant);
        }
        let mut operators = BTreeMap::new();
        for (name, entry) in self.operators {
            let key_digests = digests(
                &entry.api_key_sha256,
                entry.api_key_sha256_env.as_deref(),
                &mut fetch,
            )
            .map_err(|why| format!("operator \"{name}\": {why}"))?;
            let roles = entry.roles;
            operators.insert(name, Operator { key_digests, roles });
        }
        let mut psps = BTreeMap::new();
        let mut losses = BTreeMap::new();
        for (name, entry) in self.psps {
            if let Some(loss) = entry.loss {
                losses.insert(name.clone(), loss);
            }
            let psp = entry
                .into_psp(&mut fetch)
                .map_err(|why| format!("psp \"{name}\": {why}"))?;
            psps.insert(name, psp);
        }
        let in_the_clear =
            |(_, psp): &(&String, &Psp)| psp.base_url.starts_with("http://") && !psp.is_on_loopback();
        if let Some((name, _)) = psps.iter().find(in_the_clear) {
            return Err(format!(
                "psp \"{name}\": base_url is http:// to another machine, which would send the API key in the clear; use https://"
            ));
        }
        let installation = installation(self.installation, &psps)?;
        Ok(Config {
            installation,
            time_budget_ms: self.time_budget_ms.unwrap_or(TIME_BUDGET_MS),
            merchants,
            psps,
            operators,
            resolve_needs: self.resolve_needs.unwrap_or(1),
            open_merchant: self.open_merchant,
            client_retry_horizon_ms: self.client_retry_horizon_ms.unwrap_or(CLIENT_RETRY_HORIZON_MS),
            losses,
        })
    }
}

/// The name of the installation. Two installations without one behind the same PSP account take each other's payments for their
/// own, so whoever pays through a real PSP has to choose.
fn installation(name: Option<String>, psps: &BTreeMap<String, Psp>) -> Result<String, String> {
    let Some(name) = name else {
        let outside = psps.iter().find(|(_, psp)| !psp.is_on_loopback());
        return match outside {
            None => Ok(String::new()),
            Some((psp, _)) => Err(format!(
                "installation is missing, and psp \"{psp}\" is not on loopback: give this installation a name of its own, like \"shop-production\"; a store that has records already keeps installation = \"\""
            )),
        };
    };
    let is_name = name.len() <= INSTALLATION_BYTES_MAX
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if is_name {
        Ok(name)
    } else {
        Err(format!(
            "installation must have at most {INSTALLATION_BYTES_MAX} letters, digits, dashes, dots and underscores"
        ))
    }
}

/// The digests of the document, and those that a secret holds, separated by commas or white space.
fn digests(
    written: &[String],
    secret: Option<&str>,
    fetch: &mut impl FnMut(SecretPlace<'_>) -> Result<String, String>,
) -> Result<Vec<[u8; 32]>, String> {
    let mut texts = written.to_vec();
    if let Some(name) = secret {
        let text = fetch(SecretPlace::Environment(name)).map_err(|why| format!("api_key_sha256: {why}"))?;
        let found = text.split(|c: char| c == ',' || c.is_whitespace());
        texts.extend(found.filter(|text| !text.is_empty()).map(str::to_owned));
    }
    // The text itself is not shown: it may be the key, put there by mistake.
    let digests = texts.iter().zip(1..).map(|(text, nth)| {
        read_key_digest(text).ok_or_else(|| {
            format!(
                "digest {nth} is not 64 hexadecimal digits; make it with: printf %s KEY | pay-once --hash-key"
            )
        })
    });
    digests.collect()
}

impl PspEntry {
    fn into_psp(
        self,
        fetch: &mut impl FnMut(SecretPlace<'_>) -> Result<String, String>,
    ) -> Result<Psp, String> {
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| self.base_url.strip_prefix(scheme))
            .and_then(|rest| rest.split('/').next());
        if host.is_none_or(str::is_empty) || !self.base_url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("base_url must begin with https:// (or http://) and name a host".to_owned());
        }
        let mut secret = |what: &str, env: &Option<String>, file: &Option<String>| {
            let place = match (env, file) {
                (Some(_), Some(_)) => return Err(format!("give {what}_env or {what}_file, not both")),
                (Some(name), None) => SecretPlace::Environment(name),
                (None, Some(path)) => SecretPlace::File(path),
                (None, None) => return Ok(None),
            };
            let text = fetch(place)
                .map(Zeroizing::new)
                .map_err(|why| format!("{what}: {why}"))?;
            match text.trim() {
                "" => Err(format!("{what} is empty")),
                text => Ok(Some(Secret::new(text))),
            }
        };
        let api_key = secret("api_key", &self.api_key_env, &self.api_key_file)?
            .ok_or("name its key with api_key_env or api_key_file")?;
        let webhook_secrets = secret(
            "webhook_secret",
            &self.webhook_secret_env,
            &self.webhook_secret_file,
        )?;
        // Several while one is being changed, apart by white space or commas.
        let webhook_secrets: Vec<Secret> = webhook_secrets
            .iter()
            .flat_map(|text| text.expose().split(|c: char| c == ',' || c.is_whitespace()))
            .filter(|text| !text.is_empty())
            .map(Secret::new)
            .collect();
        Ok(Psp {
            connector: self.connector,
            base_url: self.base_url.trim_end_matches('/').to_owned(),
            api_key,
            webhook_secrets,
            capabilities: Capabilities {
                keyed_horizon_ms: self.keyed_horizon_ms,
                addressable: self.addressable,
                lookup_lag_ms: self.lookup_lag_ms,
                prepare_first: self.prepare_first,
            },
            timing: self.timing.into_timing(),
        })
    }
}

impl TimingEntry {
    fn into_timing(self) -> Timing {
        let known = Timing::default();
        Timing {
            send_window_ms: self.send_window_ms.unwrap_or(known.send_window_ms),
            call_timeout_ms: self.call_timeout_ms.unwrap_or(known.call_timeout_ms),
            max_in_flight_ms: self.max_in_flight_ms.unwrap_or(known.max_in_flight_ms),
            max_clock_skew_ms: self.max_clock_skew_ms.unwrap_or(known.max_clock_skew_ms),
            webhook_tolerance_ms: self.webhook_tolerance_ms.unwrap_or(known.webhook_tolerance_ms),
            authorization_lifetime_ms: self
                .authorization_lifetime_ms
                .unwrap_or(known.authorization_lifetime_ms),
            capture_margin_ms: self.capture_margin_ms.unwrap_or(known.capture_margin_ms),
            action_timeout_ms: self.action_timeout_ms.unwrap_or(known.action_timeout_ms),
            authorize_retry_ms: self.authorize_retry_ms.unwrap_or(known.authorize_retry_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(document: Value) -> Result<Config, String> {
        let file: ConfigFile = serde_json::from_value(document).map_err(|error| error.to_string())?;
        file.into_config(|place| match place {
            SecretPlace::Environment("KEY") => Ok(" sk_1\n".to_owned()),
            SecretPlace::Environment("DIGESTS") => Ok(format!("{},\n{}\n", "11".repeat(32), "22".repeat(32))),
            SecretPlace::Environment("EMPTY") => Ok("\n".to_owned()),
            place => Err(format!("{place:?} is not there")),
        })
    }

    fn document(psp: &Value) -> Value {
        json!({
            "installation": "",
            "merchants": {"shop": {"psp": "p", "api_key_sha256": ["00".repeat(32)]}},
            "psps": {"p": psp},
        })
    }

    #[test]
    fn a_document_is_read_and_what_it_leaves_out_is_the_default() {
        let psp = json!({
            "face": "stripe", "base_url": "https://psp.example/", "api_key_env": "KEY", "addressable": true,
            "timing": {"call_timeout_ms": 5},
        });
        let config = read(document(&psp)).unwrap();
        assert_eq!(config.time_budget_ms, TIME_BUDGET_MS);
        assert_eq!(config.merchants["shop"].key_digests, [[0; 32]]);
        let psp = &config.psps["p"];
        assert_eq!(
            (psp.base_url.as_str(), psp.api_key.expose()),
            ("https://psp.example", "sk_1")
        );
        assert!(psp.webhook_secrets.is_empty());
        let timing = Timing {
            call_timeout_ms: Millis::new(5),
            ..Timing::default()
        };
        assert_eq!(psp.timing, timing);
    }

    #[test]
    fn digests_may_be_a_secret() {
        let psp = json!({"face": "stripe", "base_url": "https://psp.example", "api_key_env": "KEY"});
        let mut document = document(&psp);
        document["merchants"]["shop"]["api_key_sha256_env"] = json!("DIGESTS");
        let config = read(document).unwrap();
        assert_eq!(
            config.merchants["shop"].key_digests,
            [[0; 32], [0x11; 32], [0x22; 32]]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let psp = |member: &str, value: Value| {
            let mut psp = json!({"face": "stripe", "base_url": "https://psp.example", "api_key_env": "KEY"});
            psp[member] = value;
            document(&psp)
        };
        let mut no_digest = document(&json!({"face": "stripe", "base_url": "https://psp.example"}));
        no_digest["merchants"]["shop"]["api_key_sha256_env"] = json!("NONE");
        let mut bad_digest = psp("api_key_env", json!("KEY"));
        bad_digest["merchants"]["shop"]["api_key_sha256"] = json!(["00"]);
        for (document, words) in [
            (psp("base_url", json!("ftp://x")), "psp \"p\": base_url"),
            (psp("base_url", json!("https:///v1")), "psp \"p\": base_url"),
            (
                psp("base_url", json!("http://psp.example")),
                "psp \"p\": base_url is http://",
            ),
            (psp("base_url", json!("https://a b")), "psp \"p\": base_url"),
            (psp("base_ulr", json!("x")), "base_ulr"),
            (psp("api_key_env", Value::Null), "api_key_env or api_key_file"),
            (psp("api_key_env", json!("NONE")), "psp \"p\": api_key: Env"),
            (psp("api_key_file", json!("/key")), "not both"),
            (psp("webhook_secret_file", json!("/key")), "webhook_secret: File"),
            (
                psp("webhook_secret_env", json!("EMPTY")),
                "webhook_secret is empty",
            ),
            (
                bad_digest,
                "merchant \"shop\": digest 1 is not 64 hexadecimal digits",
            ),
            (no_digest, "merchant \"shop\": api_key_sha256: Env"),
        ] {
            let why = read(document).unwrap_err();
            assert!(why.contains(words), "{words}: {why}");
        }
    }

    #[test]
    fn what_a_library_says_is_shown_without_the_strings_of_the_document() {
        for (said, shown) in [
            (
                r#"invalid type: string "sk_live_1", expected a sequence"#,
                "invalid type: a string, expected a sequence",
            ),
            (
                r#"invalid value: string "a "quoted" key", expected u64"#,
                "invalid value: a string, expected u64",
            ),
            (r#"invalid type: string "cut"#, "invalid type: a string"),
            ("missing field `psps`", "missing field `psps`"),
        ] {
            assert_eq!(without_values(said), shown);
        }
    }
}
