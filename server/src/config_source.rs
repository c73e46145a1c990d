//! Where a configuration comes from: one TOML file, and the environment and files that hold its secrets.

use std::path::Path;

use pay_once_core::{Config, ConfigFile, SecretPlace, without_values};

/// A configuration file, its secrets fetched by `fetch`. [`Config::check`] is still to be passed.
///
/// # Errors
/// One sentence that says what to change.
pub fn from_file(
    path: &Path,
    fetch: impl FnMut(SecretPlace<'_>) -> Result<String, String>,
) -> Result<Config, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let file: ConfigFile = toml::from_str(&text).map_err(|error| {
        let line = error.span().and_then(|span| text.get(..span.start));
        let line = line.map_or(1, |before| {
            before.lines().count().max(1) + usize::from(before.ends_with('\n'))
        });
        format!(
            "{}, line {line}: {}",
            path.display(),
            without_values(error.message())
        )
    })?;
    let config = file.into_config(fetch)?;
    for (name, psp) in &config.psps {
        if let Err(error) = psp.base_url.parse::<hyper::Uri>() {
            return Err(format!("psp \"{name}\": base_url is not a URL: {error}"));
        }
    }
    Ok(config)
}

/// Fetches a secret from where the file says that it is.
///
/// # Errors
/// Part of a sentence that names the place.
pub fn fetch(place: SecretPlace<'_>) -> Result<String, String> {
    match place {
        SecretPlace::Environment(name) => {
            std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))
        }
        SecretPlace::File(path) => {
            std::fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))
        }
    }
}
