//! What a deployment says, by Spin's variables. The configuration is one variable, the document that every adapter
//! takes, as JSON; each secret that it names is a variable of its own, so that a provider of secrets can supply it.

use std::collections::BTreeMap;

use pay_once_core::{Config, ConfigFile, SecretPlace, read_key_digest, without_values};

use crate::ports::{FinalsWhen, MeasuresTo};

/// The variables that are no secrets, as they are named in `spin.toml`.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// `config`: the document, as JSON.
    pub config: String,
    /// `store`: `sqlite`, `key-value` or `postgres`.
    pub store: String,
    /// `finals`: `off`, `fallback` or `first`.
    pub finals: String,
    /// `measures`: `off` or `log`.
    pub measures: String,
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
    /// Whether what happens is counted in log lines.
    pub measures: MeasuresTo,
    /// Digest of the key that `/internal/sweep` takes.
    pub sweep_digest: Option<[u8; 32]>,
}

/// The authorities. A build has the first two, or the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// `spin:sqlite`.
    Sqlite,
    /// `wasi:keyvalue`, if it passes the probe.
    KeyValue,
    /// `spin:postgres`, if the database passes its checks.
    Postgres,
}

impl Variables {
    /// The names of the variables that hold the secrets that the document names. Spin's names are in lower case.
    ///
    /// # Errors
    /// One sentence that says what to change.
    pub fn secret_names(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        let noted = self.document()?.into_config(|place| {
            names.push(variable(place)?);
            Ok("not fetched yet".to_owned())
        });
        noted.map(|_| names)
    }

    fn document(&self) -> Result<ConfigFile, String> {
        serde_json::from_slice(self.config.as_bytes())
            .map_err(|error| format!("the variable config: {}", without_values(&error.to_string())))
    }
}

impl Deployment {
    /// Puts the variables and the secrets together. Without merchants nobody is served, nor without their keys: what
    /// runs at the edge is open to all (`docs/http.md`, “Merchants”).
    ///
    /// # Errors
    /// One sentence that says what to change. It has no secret in it.
    pub fn read(variables: &Variables, secrets: &BTreeMap<String, String>) -> Result<Self, String> {
        let config = variables.document()?.into_config(|place| {
            let name = variable(place)?;
            secrets
                .get(&name)
                .cloned()
                .ok_or_else(|| format!("there is no variable {name}"))
        })?;
        config.check()?;
        if config.open_merchant.is_some() {
            return Err("the variable config: open_merchant is for a server on loopback; here every merchant needs a key".to_owned());
        }
        Ok(Self {
            config,
            store: match variables.store.as_str() {
                "sqlite" => StoreKind::Sqlite,
                "key-value" => StoreKind::KeyValue,
                "postgres" => StoreKind::Postgres,
                other => {
                    return Err(format!(
                        "the variable store is \"{other}\"; it is sqlite, key-value or postgres"
                    ));
                }
            },
            finals: match variables.finals.as_str() {
                "off" => FinalsWhen::Off,
                "fallback" => FinalsWhen::Fallback,
                "first" => FinalsWhen::First,
                other => {
                    return Err(format!(
                        "the variable finals is \"{other}\"; it is off, fallback or first"
                    ));
                }
            },
            measures: match variables.measures.as_str() {
                "off" => MeasuresTo::Off,
                "log" => MeasuresTo::Log,
                other => return Err(format!("the variable measures is \"{other}\"; it is off or log")),
            },
            sweep_digest: match variables.sweep_key_sha256.as_str() {
                "" => None,
                hex => Some(
                    read_key_digest(hex)
                        .ok_or("the variable sweep_key_sha256 is not 64 hexadecimal digits")?,
                ),
            },
        })
    }
}

fn variable(place: SecretPlace<'_>) -> Result<String, String> {
    match place {
        SecretPlace::Environment(name) => Ok(name.to_ascii_lowercase()),
        SecretPlace::File(_) => Err("a component has no files; name a variable with …_env".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"installation": "shop-test", "merchants": {"shop": {"psp": "stripe", "api_key_sha256": ["HEX"]}},
        "psps": {"stripe": {"face": "stripe", "base_url": "https://psp.example", "api_key_env": "PSP_KEY",
            "keyed_horizon_ms": 86400000, "addressable": true}}}"#;

    fn one() -> Variables {
        Variables {
            config: ONE.replace("HEX", &"0aF1".repeat(16)),
            store: "sqlite".to_owned(),
            finals: "off".to_owned(),
            measures: "log".to_owned(),
            sweep_key_sha256: String::new(),
        }
    }

    fn secrets() -> BTreeMap<String, String> {
        BTreeMap::from([("psp_key".to_owned(), "sk_secret".to_owned())])
    }

    #[test]
    fn nothing_configured_serves_nobody() {
        let variables = Variables {
            config: r#"{"merchants": {}, "psps": {}}"#.to_owned(),
            ..one()
        };
        assert_eq!(variables.secret_names().unwrap(), Vec::<String>::new());
        let deployment = Deployment::read(&variables, &BTreeMap::new()).unwrap();
        assert!(deployment.config.merchants.is_empty());
        assert_eq!(deployment.sweep_digest, None);
    }

    #[test]
    fn secrets_are_variables_in_lower_case() {
        let variables = Variables {
            sweep_key_sha256: "0aF1".repeat(16),
            ..one()
        };
        assert_eq!(variables.secret_names().unwrap(), ["psp_key"]);
        let deployment = Deployment::read(&variables, &secrets()).unwrap();
        assert_eq!(deployment.config.psps["stripe"].api_key.expose(), "sk_secret");
        assert_eq!(deployment.sweep_digest.unwrap()[..4], [0x0a, 0xf1, 0x0a, 0xf1]);
    }

    #[test]
    fn every_mistake_is_named_and_no_secret_is() {
        let mistake = |change: &dyn Fn(&mut Variables)| {
            let mut variables = one();
            change(&mut variables);
            let why = Deployment::read(&variables, &secrets()).unwrap_err();
            assert!(!why.contains("sk_secret"), "{why}");
            why
        };
        assert!(mistake(&|v| v.config = "{".to_owned()).contains("config"));
        assert!(mistake(&|v| v.config = one().config.replace("PSP_KEY", "OTHER")).contains("other"));
        assert!(
            mistake(&|v| v.config = one().config.replace("api_key_env", "api_key_file")).contains("no files")
        );
        assert!(mistake(&|v| v.config = one().config.replace("86400000", "1")).contains("keyed_horizon_ms"));
        let live = one().config.replace(r#"["HEX"]"#, "").replace(
            &format!(r#"["{}"]"#, "0aF1".repeat(16)),
            r#""sk_live_by_mistake""#,
        );
        let said = mistake(&|v| v.config = live.clone());
        assert!(said.contains("a string") && !said.contains("sk_live"), "{said}");
        let unnamed = one().config.replace(r#""installation": "shop-test", "#, "");
        assert!(mistake(&|v| v.config = unnamed.clone()).contains("installation is missing"));
        let open = one().config.replacen('{', r#"{"open_merchant": "shop", "#, 1);
        assert!(mistake(&|v| v.config = open.clone()).contains("open_merchant"));
        assert!(mistake(&|v| v.store = "redis".to_owned()).contains("store"));
        assert!(mistake(&|v| v.finals = String::new()).contains("finals"));
        assert!(mistake(&|v| v.measures = "prometheus".to_owned()).contains("measures"));
        assert!(mistake(&|v| v.sweep_key_sha256 = "abc".to_owned()).contains("sweep_key_sha256"));
    }
}
