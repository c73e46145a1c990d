//! Request bodies: one JSON object (RFC 8259), no repeated members (RFC 7493), bounded depth, and errors that name
//! the member. The fingerprint is taken of its RFC 8785 form, so that only the meaning counts.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::base::fingerprint::Fingerprint;
use crate::base::limits::{AMOUNT_MINOR_MAX, JSON_DEPTH_MAX};
use crate::contract::error::{ApiError, Code};

/// The fingerprint of a request to `route` (a [`crate::journal::entry::RequestKind`]'s word) and its path parameter with this
/// body: what [`crate::machine::route::route`] takes of it, here for fuzzing and for tools (`docs/http.md`, “Same body”).
///
/// # Errors
/// `INVALID_JSON` if the body is not one JSON object (RFC 8259) without repeated members.
pub fn fingerprint(route: &str, parameter: &str, body: &[u8]) -> Result<Fingerprint, ApiError> {
    Ok(Body::read(body)?.fingerprint(route, parameter))
}

/// The members of a request body, each to be taken once; what is left over is unknown.
pub(crate) struct Body {
    members: serde_json::Map<String, Value>,
}

impl Body {
    /// Reads the bytes. No bytes at all are an empty object.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ApiError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self {
                members: serde_json::Map::new(),
            });
        }
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Strict { depth: 0 }
            .deserialize(&mut reader)
            .and_then(|value| reader.end().map(|()| value))
            .map_err(|error| {
                ApiError::new(
                    Code::InvalidJson,
                    format!("The body is not one valid JSON object: {error}."),
                )
            })?;
        match value {
            Value::Object(members) => Ok(Self { members }),
            _ => Err(ApiError::new(
                Code::InvalidJson,
                "The body must be a JSON object, like {\"order_id\": \"ord_123\"}.",
            )),
        }
    }

    /// Digest of method, route, path parameter and canonical body.
    pub(crate) fn fingerprint(&self, route: &str, parameter: &str) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(b"pay-once fingerprint 1\0");
        for part in [route, parameter] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(canonical(&self.members));
        hash.finalize().into()
    }

    /// Takes an optional string.
    pub(crate) fn string(&mut self, name: &str, max_chars: usize) -> Result<Option<String>, ApiError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::String(value)) => text(name, value, max_chars).map(Some),
            Some(other) => Err(invalid(
                name,
                format!("\"{name}\" must be a string, not {}.", kind(&other)),
            )),
        }
    }

    /// Takes a required string.
    pub(crate) fn required_string(&mut self, name: &str, max_chars: usize) -> Result<String, ApiError> {
        self.string(name, max_chars)?.ok_or_else(|| missing(name))
    }

    /// Takes an optional amount: an integer of minor units from 1 to 2^53 − 1.
    pub(crate) fn amount(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        let wrong = |what: String| {
            Err(ApiError::new(
                Code::InvalidAmount,
                format!("\"{name}\" must be an integer of minor units from 1 to {AMOUNT_MINOR_MAX} (2599 is £25.99), not {what}."),
            )
            .field(name))
        };
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::Number(number)) => match number.as_u64() {
                Some(amount) if (1..=AMOUNT_MINOR_MAX).contains(&amount) => Ok(Some(amount)),
                _ => wrong(number.to_string()),
            },
            Some(other) => wrong(kind(&other).to_owned()),
        }
    }

    /// Takes a required count: an integer from 1 to 2^53 − 1.
    pub(crate) fn required_count(&mut self, name: &str) -> Result<u64, ApiError> {
        let wrong = |what: &str| {
            let message = format!("\"{name}\" must be an integer from 1, not {what}.");
            Err(invalid(name, message))
        };
        match self.members.remove(name) {
            None => Err(missing(name)),
            Some(Value::Number(number)) => match number.as_u64() {
                Some(count) if (1..=AMOUNT_MINOR_MAX).contains(&count) => Ok(count),
                _ => wrong(&number.to_string()),
            },
            Some(other) => wrong(kind(&other)),
        }
    }

    /// Takes an optional map of small strings.
    pub(crate) fn string_map(
        &mut self,
        name: &str,
        max_members: usize,
        max_name_chars: usize,
        max_value_chars: usize,
    ) -> Result<BTreeMap<String, String>, ApiError> {
        let members = match self.members.remove(name) {
            None => return Ok(BTreeMap::new()),
            Some(Value::Object(members)) => members,
            Some(other) => {
                return Err(invalid(
                    name,
                    format!("\"{name}\" must be an object, not {}.", kind(&other)),
                ));
            }
        };
        if members.len() > max_members {
            return Err(invalid(
                name,
                format!("\"{name}\" has more than {max_members} members."),
            ));
        }
        let mut map = BTreeMap::new();
        for (key, value) in members {
            let path = format!("{name}.{key}");
            if key.is_empty() || is_longer(&key, max_name_chars) {
                return Err(invalid(
                    &path,
                    format!("A name in \"{name}\" must have 1 to {max_name_chars} characters."),
                ));
            }
            match value {
                Value::String(text) if !is_longer(&text, max_value_chars) => map.insert(key, text),
                Value::String(_) => {
                    return Err(invalid(
                        &path,
                        format!("\"{path}\" is longer than {max_value_chars} characters."),
                    ));
                }
                other => {
                    return Err(invalid(
                        &path,
                        format!("\"{path}\" must be a string, not {}.", kind(&other)),
                    ));
                }
            };
        }
        Ok(map)
    }

    /// Refuses whatever has not been taken.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.members.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::new(
                Code::UnknownField,
                format!("\"{name}\" is not a member of this request. Nothing was changed; remove it, or check its spelling."),
            )
            .field(name)),
        }
    }
}

/// The error for a required member that is not there.
pub(crate) fn missing(name: &str) -> ApiError {
    ApiError::new(Code::MissingField, format!("\"{name}\" is required.")).field(name)
}

/// The error for a member with an impossible value.
pub(crate) fn invalid(name: &str, message: String) -> ApiError {
    ApiError::new(Code::InvalidField, message).field(name)
}

/// A text of 1 to `max_chars` characters, without control characters.
///
/// # Errors
/// It is none. `name` is the member or the parameter.
pub(super) fn text(name: &str, value: String, max_chars: usize) -> Result<String, ApiError> {
    if value.is_empty() {
        let message = format!("\"{name}\" is empty. Leave it out, or give it a value.");
        return Err(invalid(name, message));
    }
    if is_longer(&value, max_chars) {
        let message = format!("\"{name}\" is longer than {max_chars} characters.");
        return Err(invalid(name, message));
    }
    if value.chars().any(char::is_control) {
        return Err(invalid(name, format!("\"{name}\" holds control characters.")));
    }
    Ok(value)
}

/// The members in their RFC 8785 form.
fn canonical(members: &serde_json::Map<String, Value>) -> Vec<u8> {
    // The two forms differ in numbers, and in the order of names outside ASCII. Hardly any body has either, and the usual form is
    // written several times faster.
    let written = are_usual(members)
        .then(|| serde_json::to_vec(members).ok())
        .flatten();
    written
        .or_else(|| serde_json_canonicalizer::to_vec(members).ok())
        // Canonical writing of a value that was just read has no way to fail; were it to, the raw form would still tell two bodies
        // apart.
        .unwrap_or_else(|| Value::Object(members.clone()).to_string().into_bytes())
}

/// Whether the usual JSON form of these members is their RFC 8785 form: names are ASCII, and numbers are integers that a double
/// holds exactly. (The members of a [`serde_json::Map`] are in the order of their names' bytes.)
fn are_usual(members: &serde_json::Map<String, Value>) -> bool {
    let is_usual = |(name, value): (&String, &Value)| name.is_ascii() && is_usual(value);
    members.iter().all(is_usual)
}

fn is_usual(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number.as_u64().is_some_and(|number| number <= AMOUNT_MINOR_MAX),
        Value::Array(items) => items.iter().all(is_usual),
        Value::Object(members) => are_usual(members),
    }
}

fn is_longer(text: &str, max_chars: usize) -> bool {
    text.chars().nth(max_chars).is_some()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A reader of [`Value`] that refuses repeated members and deep nesting: two readers of the same bytes must not
/// see two different amounts.
struct Strict {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict { depth })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut members = serde_json::Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Strict { depth })?;
            if members.contains_key(&name) {
                return Err(de::Error::custom(format_args!(
                    "the member \"{name}\" is there twice"
                )));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

fn deeper<E: de::Error>(depth: usize) -> Result<usize, E> {
    if depth >= JSON_DEPTH_MAX {
        return Err(E::custom("it is nested too deeply"));
    }
    Ok(depth + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn print(text: &str) -> Fingerprint {
        Body::read(text.as_bytes())
            .unwrap()
            .fingerprint("POST /attempts", "")
    }

    #[test]
    fn white_space_and_order_do_not_matter_and_everything_else_does() {
        let a = print(r#"{"amount": 2599, "currency": "GBP"}"#);
        assert_eq!(a, print("{\"currency\":\"GBP\",\n\"amount\":2599}"));
        assert_ne!(a, print(r#"{"amount": 2600, "currency": "GBP"}"#));
        assert_ne!(a, print(r#"{"amount": 2599, "currency": "USD"}"#));
        assert_ne!(
            a,
            print(r#"{"amount": 2599, "currency": "GBP", "order_id": "o"}"#)
        );
        let body = Body::read(b"{}").unwrap();
        assert_ne!(body.fingerprint("a", "b"), body.fingerprint("ab", ""));
        assert_eq!(fingerprint("a", "b", b" {}").unwrap(), body.fingerprint("a", "b"));
        assert!(fingerprint("a", "b", b"{").is_err());
    }

    #[test]
    fn a_body_with_two_readings_is_refused() {
        for bad in [
            r#"{"amount":1,"amount":2}"#,
            r#"{"metadata":{"a":"1","a":"2"}}"#,
            "[]",
            "1",
            "{",
            "{} {}",
            r#"{"a":[[[[[1]]]]]}"#,
            "{\"a\":\"\u{0}\"}",
            "\u{feff}{}",
        ] {
            assert_eq!(
                Body::read(bad.as_bytes()).err().unwrap().code,
                Code::InvalidJson,
                "{bad}"
            );
        }
        assert_eq!(Body::read(b"\xff\xfe").err().unwrap().code, Code::InvalidJson);
        assert!(Body::read(b"").is_ok());
    }

    #[test]
    fn an_amount_that_is_refused_is_told_as_it_was_read() {
        for (sent, words) in [
            ("-1", "not -1."),
            ("25.99", "not 25.99."),
            ("null", "not null."),
            ("true", "not a boolean."),
        ] {
            let mut body = Body::read(format!("{{\"amount\":{sent}}}").as_bytes()).unwrap();
            let why = body.amount("amount").unwrap_err().message;
            assert!(why.ends_with(words), "{why}");
        }
    }

    #[test]
    fn amounts_are_exact_integers() {
        let amount = |text: &str| {
            Body::read(format!("{{\"amount\":{text}}}").as_bytes())
                .unwrap()
                .amount("amount")
        };
        assert_eq!(amount("1").unwrap(), Some(1));
        assert_eq!(amount("9007199254740991").unwrap(), Some(AMOUNT_MINOR_MAX));
        for bad in [
            "0",
            "-1",
            "1.0",
            "1e2",
            "9007199254740992",
            "99999999999999999999",
            "\"1\"",
            "null",
            "true",
            "[1]",
        ] {
            let error = amount(bad).unwrap_err();
            assert_eq!(
                (error.code, error.field.as_deref()),
                (Code::InvalidAmount, Some("amount")),
                "{bad}"
            );
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let names = || prop_oneof!["[a-zA-Z_\"\\\\\u{1}\u{7f}]{0,4}", "\\PC{0,3}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-3_i64..3).prop_map(Value::from),
            (AMOUNT_MINOR_MAX - 1..AMOUNT_MINOR_MAX + 3).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ -~\u{0}-\u{1f}\u{7f}é\u{2028}\u{fffd}\u{1f600}]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(names(), inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_usual_form_is_written_only_where_it_is_the_canonical_one(value in values()) {
            let body = Body { members: serde_json::Map::from_iter([("a".to_owned(), value)]) };
            prop_assert_eq!(canonical(&body.members), serde_json_canonicalizer::to_vec(&body.members).unwrap());
        }
    }

    #[test]
    fn integers_and_ascii_names_have_the_usual_form() {
        let is_usual_body = |text: &str| are_usual(&Body::read(text.as_bytes()).unwrap().members);
        assert!(is_usual_body(
            r#"{"amount":9007199254740991,"metadata":{"a":"é"},"b":[true,null]}"#
        ));
        for other in [
            r#"{"a":1.5}"#,
            r#"{"a":-1}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"é":1}"#,
            r#"{"a":[{"é":1}]}"#,
        ] {
            assert!(!is_usual_body(other), "{other}");
        }
    }
}
