//! What a deployment declares: the variable `PAY_ONCE`, an object of the same members as `pay-once.example.toml`, and the
//! Worker secrets that it names.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use pay_once_core::{Config, ConfigFile, Millis, SecretPlace, without_values};
use serde_json::json;
use worker::js_sys::{JSON, Reflect};
use worker::{Env, wasm_bindgen::JsValue};

use crate::system;

const VARIABLE: &str = "PAY_ONCE";

thread_local! {
    /// An isolate serves one version of one deployment: its variables never change.
    static CONFIG: OnceCell<Rc<Config>> = const { OnceCell::new() };
}

/// The configuration. One that cannot be used is nobody's: core then refuses every call (fail closed).
pub(crate) fn config(env: &Env) -> Rc<Config> {
    CONFIG.with(|known| {
        let config = known.get_or_init(|| {
            Rc::new(read(env).unwrap_or_else(|why| {
                system::error(&json!({"level": "ERROR", "message": "the configuration was refused, so nobody is served", "why": why}));
                nobody()
            }))
        });
        Rc::clone(config)
    })
}

fn read(env: &Env) -> Result<Config, String> {
    let file: ConfigFile = serde_json::from_str(&variable(env)?)
        .map_err(|error| format!("{VARIABLE}: {}", without_values(&error.to_string())))?;
    let config = file.into_config(|place| match place {
        SecretPlace::Environment(name) => env
            .secret(name)
            .map(|secret| secret.to_string())
            .map_err(|_| format!("the secret {name} is not set; set it with: wrangler secret put {name}")),
        SecretPlace::File(path) => Err(format!("{path} cannot be read: a Worker has no files")),
    })?;
    config.check()?;
    config.check_public()?;
    Ok(config)
}

/// The variable as JSON text: given as a table in `wrangler.toml`, or as text.
fn variable(env: &Env) -> Result<String, String> {
    let value = Reflect::get(env, &JsValue::from_str(VARIABLE)).unwrap_or(JsValue::UNDEFINED);
    if let Some(text) = value.as_string() {
        return Ok(text);
    }
    // Not by serde straight from the object: that way unknown members would go unnoticed.
    let text = JSON::stringify(&value).ok().and_then(|text| text.as_string());
    text.ok_or_else(|| format!("the variable {VARIABLE} is not set"))
}

fn nobody() -> Config {
    Config {
        installation: String::new(),
        time_budget_ms: Millis::ZERO,
        merchants: BTreeMap::new(),
        psps: BTreeMap::new(),
        open_merchant: None,
        ..Config::default()
    }
}
