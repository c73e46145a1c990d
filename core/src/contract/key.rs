//! `Idempotency-Key`: one bare token or one RFC 8941 String, 1–255 visible ASCII characters (`docs/http.md`, “Keys”).

use crate::base::http::Request;
use crate::base::limits::KEY_CHARS_MAX;
use crate::contract::error::{ApiError, Code};

/// Reads the key of a request. `k1` and `"k1"` are the same key.
///
/// # Errors
/// [`Code::IdempotencyKeyRequired`] without the header; [`Code::IdempotencyKeyInvalid`] for repeated lines,
/// lists, parameters, control characters, spaces, and keys that are empty or too long.
pub fn idempotency_key(request: &Request<'_>) -> Result<String, ApiError> {
    let mut lines = request.header_values("idempotency-key");
    let Some(line) = lines.next() else {
        return Err(ApiError::new(
            Code::IdempotencyKeyRequired,
            "This call needs an Idempotency-Key header. Send a new unique value per operation, and the same value on every retry of it.",
        ));
    };
    if lines.next().is_some() {
        return Err(invalid(
            "The Idempotency-Key header was sent more than once. Send one line with one key.",
        ));
    }
    parse(line)
}

fn parse(line: &[u8]) -> Result<String, ApiError> {
    let text = std::str::from_utf8(line)
        .unwrap_or("\u{fffd}")
        .trim_matches([' ', '\t']);
    let key = if text.starts_with('"') {
        quoted(text)?
    } else {
        bare(text)?
    };
    if key.is_empty() {
        return Err(invalid(
            "The Idempotency-Key is empty. It must have 1 to 255 characters.",
        ));
    }
    if key.chars().count() > KEY_CHARS_MAX {
        return Err(invalid("The Idempotency-Key is longer than 255 characters."));
    }
    if !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(invalid(
            "The Idempotency-Key may hold visible ASCII characters only (no spaces, no control characters).",
        ));
    }
    Ok(key)
}

fn quoted(text: &str) -> Result<String, ApiError> {
    let item: sfv::Item = sfv::Parser::new(text)
        .parse()
        .map_err(|_| invalid("The Idempotency-Key starts with a quote but is not one RFC 8941 String."))?;
    if !item.params.is_empty() {
        return Err(invalid("The Idempotency-Key may not carry parameters."));
    }
    match item.bare_item {
        sfv::BareItem::String(s) => Ok(s.as_str().to_owned()),
        _ => Err(invalid(
            "The Idempotency-Key must be a bare token or an RFC 8941 String.",
        )),
    }
}

fn bare(text: &str) -> Result<String, ApiError> {
    if text.contains(',') {
        return Err(invalid("The Idempotency-Key is a list. Send exactly one key."));
    }
    if text.contains(['"', ';']) {
        return Err(invalid(
            "The Idempotency-Key holds a quote or a semicolon; put such a key in double quotes.",
        ));
    }
    Ok(text.to_owned())
}

fn invalid(message: &'static str) -> ApiError {
    ApiError::new(Code::IdempotencyKeyInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_token_and_a_string_are_the_same_key() {
        assert_eq!(parse(b"k1").unwrap(), "k1");
        assert_eq!(parse(b"\"k1\"").unwrap(), "k1");
        assert_eq!(parse(b" k1\t").unwrap(), "k1");
        assert_eq!(parse(b"550e8400-e29b-41d4-a716-446655440000").unwrap().len(), 36);
        assert_eq!(parse(br#""a\"b,c""#).unwrap(), "a\"b,c");
        assert_eq!(parse(&[b'x'; 255]).unwrap().len(), 255);
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            &b""[..],
            b"\"\"",
            b"k1, k2",
            b"\"k1\", \"k2\"",
            b"k1;a=1",
            b"\"k1\";a=1",
            b"\"k1",
            b"a b",
            b"\"a b\"",
            b"k\x07",
            b"\xff",
            "clé".as_bytes(),
            &[b'x'; 256],
        ] {
            assert_eq!(
                parse(bad).unwrap_err().code,
                Code::IdempotencyKeyInvalid,
                "{bad:?}"
            );
        }
    }
}
