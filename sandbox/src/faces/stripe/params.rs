//! Form parameters, taken one by one; what nobody took is unknown.

use std::collections::BTreeMap;

use crate::base::outcome::Outcome;

use super::errors::invalid;

/// The greatest amount: what every JSON reader can hold exactly.
const MAX_AMOUNT_MINOR: u64 = (1 << 53) - 1;

/// The parameters of one request.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Decodes a form-encoded body or query.
    pub(crate) fn new(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// A text; of several, the last.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Outcome> {
        let mut taken = None;
        self.0.retain(|(known, value)| {
            let ours = known == name;
            if ours {
                taken = Some(value.clone());
            }
            !ours
        });
        match taken {
            Some(value) if value.is_empty() => {
                let message = format!("You passed an empty string for '{name}'.");
                Err(invalid("parameter_invalid_empty", name, &message))
            }
            taken => Ok(taken),
        }
    }

    /// A text that must be there.
    pub(crate) fn required(&mut self, name: &str) -> Result<String, Outcome> {
        self.text(name)?.ok_or_else(|| {
            invalid(
                "parameter_missing",
                name,
                &format!("Missing required param: {name}."),
            )
        })
    }

    /// A whole number, not negative.
    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<u64>, Outcome> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            invalid(
                "parameter_invalid_integer",
                name,
                &format!("Invalid integer: {text}"),
            )
        })
    }

    /// An amount in minor units, greater than zero.
    pub(crate) fn amount_minor(&mut self, name: &str) -> Result<Option<u64>, Outcome> {
        match self.integer(name)? {
            Some(0) => Err(invalid(
                "parameter_invalid_integer",
                name,
                "This value must be greater than or equal to 1.",
            )),
            Some(amount) if amount > MAX_AMOUNT_MINOR => Err(invalid(
                "amount_too_large",
                name,
                "Amount must be no more than 2^53-1.",
            )),
            amount => Ok(amount),
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, Outcome> {
        match self.text(name)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(invalid(
                "parameter_invalid_boolean",
                name,
                &format!("Invalid boolean: {other}"),
            )),
        }
    }

    /// One of `choices`.
    pub(crate) fn choice(&mut self, name: &str, choices: &[&str]) -> Result<Option<String>, Outcome> {
        match self.text(name)? {
            Some(text) if !choices.contains(&text.as_str()) => {
                let message = format!("Invalid {name}: must be one of {}", choices.join(", "));
                Err(invalid("parameter_invalid_string", name, &message))
            }
            text => Ok(text),
        }
    }

    /// `name[k]=v` pairs.
    pub(crate) fn map(&mut self, name: &str) -> BTreeMap<String, String> {
        let mut taken = BTreeMap::new();
        self.0.retain(|(known, value)| match subscript(known, name) {
            Some(key) if !key.is_empty() => {
                taken.insert(key.to_owned(), value.clone());
                false
            }
            _ => true,
        });
        taken
    }

    /// `name[]=v` or `name[0]=v` values, in their order.
    pub(crate) fn list(&mut self, name: &str) -> Vec<String> {
        let mut taken = Vec::new();
        self.0.retain(|(known, value)| match subscript(known, name) {
            Some(index) if index.bytes().all(|byte| byte.is_ascii_digit()) => {
                taken.push(value.clone());
                false
            }
            _ => true,
        });
        taken
    }

    /// Whether there is a `name` or a `name[…]`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(known, _)| known == name || subscript(known, name).is_some())
    }

    /// # Errors
    /// 400 that names the first parameter nobody took.
    pub(crate) fn finish(self) -> Result<(), Outcome> {
        match self.0.first() {
            Some((name, _)) => Err(invalid(
                "parameter_unknown",
                name,
                &format!("Received unknown parameter: {name}"),
            )),
            None => Ok(()),
        }
    }
}

/// `k` of `name[k]`.
fn subscript<'a>(param: &'a str, name: &str) -> Option<&'a str> {
    param.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')
}
