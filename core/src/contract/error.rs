//! Refusals: a closed, documented set of codes. Each says what to do, whether trying again can help, and whether
//! trying again under a *new* key could pay twice (`docs/http.md`, “Errors”).

use std::borrow::Cow;

use serde::Serialize;

use super::view::AttemptView;
use crate::base::http::Response;

/// Every code that an answer can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// 400: a POST without `Idempotency-Key`.
    IdempotencyKeyRequired,
    /// 400: a key that is empty, too long, a list, sent twice, or not visible ASCII.
    IdempotencyKeyInvalid,
    /// 409: the key belongs to another operation or another body.
    IdempotencyKeyReuse,
    /// 409: the attempt has used all its keys.
    TooManyKeys,
    /// 400: the body is not one JSON object, or repeats a member.
    InvalidJson,
    /// 400: a member that this call does not know.
    UnknownField,
    /// 400: a required member is missing.
    MissingField,
    /// 400: a member has the wrong type or an impossible value.
    InvalidField,
    /// 400: an amount that is not an integer from 1 to 2^53 − 1, or more than there is to capture.
    InvalidAmount,
    /// 400: not an ISO 4217 code.
    InvalidCurrency,
    /// 400: a card number where a token belongs.
    CardNumberRefused,
    /// 413: the body is over 16 KiB.
    BodyTooLarge,
    /// 415: the body is compressed, or has any other `Content-Encoding` than `identity`.
    UnsupportedContentEncoding,
    /// 401: no merchant has this key.
    Unauthorized,
    /// 403: this key names somebody who may not do this.
    Forbidden,
    /// 404: no such path.
    NotFound,
    /// 404: no such attempt, or not this merchant's.
    AttemptNotFound,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 409: the attempt is not in a state that allows this.
    InvalidState,
    /// 402: the PSP declined, for good.
    Declined,
    /// 404: a webhook for a PSP that is not configured.
    UnknownPsp,
    /// 400: a webhook whose signature does not hold.
    WebhookSignatureInvalid,
    /// 400: a signed webhook that cannot be read.
    WebhookInvalid,
    /// 507: the attempt's record has no room for another request.
    RecordFull,
    /// 500: the stored record is damaged or of an unknown version; it was left as it is.
    RecordRefused,
    /// 503: the store did not answer; whether the request took effect is not known.
    StoreUnavailable,
    /// 503: the store failed its probe: its compare-and-swap lets two writers win. Nothing is kept in it.
    StoreUnsafe,
    /// 503: no merchants are configured.
    NotConfigured,
    /// 502: the PSP rejected our credentials, our account or our request; nothing is said of the payment, and nothing was done.
    PspRejectedRequest,
    /// 502: the PSP did not answer a look, or a read that a webhook caused.
    PspReadFailed,
    /// 503: this server has more to do than it can answer in time; nothing was begun for this request.
    Overloaded,
    /// 501: the store of this deployment has no index for this search.
    SearchUnsupported,
    /// 503: the PSP takes no calls of this server at present; nothing was begun for this request.
    PspUnavailable,
}

/// Whether trying the same request again, with the same key, may end differently.
const RETRY: bool = true;
/// It will not.
const FINAL: bool = false;

impl Code {
    /// Every code, for documentation and tests.
    pub const ALL: [Code; 33] = [
        Code::IdempotencyKeyRequired,
        Code::IdempotencyKeyInvalid,
        Code::IdempotencyKeyReuse,
        Code::TooManyKeys,
        Code::InvalidJson,
        Code::UnknownField,
        Code::MissingField,
        Code::InvalidField,
        Code::InvalidAmount,
        Code::InvalidCurrency,
        Code::CardNumberRefused,
        Code::BodyTooLarge,
        Code::UnsupportedContentEncoding,
        Code::Unauthorized,
        Code::Forbidden,
        Code::NotFound,
        Code::AttemptNotFound,
        Code::MethodNotAllowed,
        Code::InvalidState,
        Code::Declined,
        Code::UnknownPsp,
        Code::WebhookSignatureInvalid,
        Code::WebhookInvalid,
        Code::RecordFull,
        Code::RecordRefused,
        Code::StoreUnavailable,
        Code::StoreUnsafe,
        Code::NotConfigured,
        Code::PspRejectedRequest,
        Code::PspReadFailed,
        Code::Overloaded,
        Code::PspUnavailable,
        Code::SearchUnsupported,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.facts().0
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.facts().1
    }

    /// One row a code: word, status, title, may a retry help.
    fn facts(self) -> (&'static str, u16, &'static str, bool) {
        match self {
            Self::IdempotencyKeyRequired => {
                ("IDEMPOTENCY_KEY_REQUIRED", 400, "Idempotency-Key required", FINAL)
            }
            Self::IdempotencyKeyInvalid => ("IDEMPOTENCY_KEY_INVALID", 400, "Idempotency-Key invalid", FINAL),
            Self::IdempotencyKeyReuse => ("IDEMPOTENCY_KEY_REUSE", 409, "Idempotency-Key reused", FINAL),
            Self::TooManyKeys => ("TOO_MANY_KEYS", 409, "Too many keys on one attempt", FINAL),
            Self::InvalidJson => ("INVALID_JSON", 400, "Body is not valid", FINAL),
            Self::UnknownField => ("UNKNOWN_FIELD", 400, "Unknown field", FINAL),
            Self::MissingField => ("MISSING_FIELD", 400, "Missing field", FINAL),
            Self::InvalidField => ("INVALID_FIELD", 400, "Invalid field", FINAL),
            Self::InvalidAmount => ("INVALID_AMOUNT", 400, "Invalid amount", FINAL),
            Self::InvalidCurrency => ("INVALID_CURRENCY", 400, "Invalid currency", FINAL),
            Self::CardNumberRefused => ("CARD_NUMBER_REFUSED", 400, "Card number refused", FINAL),
            Self::BodyTooLarge => ("BODY_TOO_LARGE", 413, "Body too large", FINAL),
            Self::UnsupportedContentEncoding => (
                "UNSUPPORTED_CONTENT_ENCODING",
                415,
                "Unsupported content encoding",
                FINAL,
            ),
            Self::Unauthorized => ("UNAUTHORIZED", 401, "Unauthorized", FINAL),
            Self::Forbidden => ("FORBIDDEN", 403, "Forbidden", FINAL),
            Self::NotFound => ("NOT_FOUND", 404, "No such path", FINAL),
            Self::AttemptNotFound => ("ATTEMPT_NOT_FOUND", 404, "No such attempt", FINAL),
            Self::MethodNotAllowed => ("METHOD_NOT_ALLOWED", 405, "Method not allowed", FINAL),
            Self::InvalidState => ("INVALID_STATE", 409, "Invalid state", FINAL),
            Self::Declined => ("DECLINED", 402, "Declined", FINAL),
            Self::UnknownPsp => ("UNKNOWN_PSP", 404, "Unknown PSP", FINAL),
            Self::WebhookSignatureInvalid => (
                "WEBHOOK_SIGNATURE_INVALID",
                400,
                "Webhook signature invalid",
                FINAL,
            ),
            Self::WebhookInvalid => ("WEBHOOK_INVALID", 400, "Webhook invalid", FINAL),
            Self::RecordFull => ("RECORD_FULL", 507, "Record full", FINAL),
            Self::RecordRefused => ("RECORD_REFUSED", 500, "Record refused", FINAL),
            Self::StoreUnavailable => ("STORE_UNAVAILABLE", 503, "Store unavailable", RETRY),
            Self::StoreUnsafe => ("STORE_UNSAFE", 503, "Store unsafe", FINAL),
            Self::NotConfigured => ("NOT_CONFIGURED", 503, "Not configured", FINAL),
            Self::PspRejectedRequest => ("PSP_REJECTED_REQUEST", 502, "The PSP rejected the request", RETRY),
            Self::PspReadFailed => ("PSP_READ_FAILED", 502, "The PSP did not answer", RETRY),
            Self::Overloaded => ("OVERLOADED", 503, "Overloaded", RETRY),
            Self::SearchUnsupported => (
                "SEARCH_UNSUPPORTED",
                501,
                "This store cannot search for that",
                FINAL,
            ),
            Self::PspUnavailable => ("PSP_UNAVAILABLE", 503, "The PSP takes no calls at present", RETRY),
        }
    }
}

/// A refusal with all that the client needs to act on it.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// Which one.
    pub code: Code,
    /// What is wrong and what to do.
    pub message: Cow<'static, str>,
    /// The member at fault, if it is one.
    pub field: Option<String>,
    /// Overrides the code's default: while an operation is under way, the same refusal is worth a retry.
    pub retryable: Option<bool>,
    /// Whether trying again under a new key is known not to pay twice. It is known only of an attempt that ended
    /// without money: a request that was refused for its form may be the retry of one that was carried out.
    pub safe_new_key: bool,
    /// The PSP's code for a decline.
    pub decline_code: Option<String>,
    /// The attempt as it is, where the client may see it.
    pub attempt: Option<Box<AttemptView>>,
    /// Methods that the path knows (405 only).
    pub allow: Option<&'static [&'static str]>,
    /// When to try again, in seconds, where it is not at once.
    pub retry_after_s: Option<u64>,
}

impl ApiError {
    /// A refusal with a message.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            retryable: None,
            safe_new_key: false,
            decline_code: None,
            attempt: None,
            allow: None,
            retry_after_s: None,
        }
    }

    /// Whether trying the same request again, with the same key, may end differently.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable.unwrap_or(self.code.facts().3)
    }

    /// Names the member at fault.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.field = Some(name.into());
        self
    }

    /// Shows the attempt in the error.
    #[must_use]
    pub fn with_attempt(mut self, view: AttemptView) -> Self {
        self.attempt = Some(Box::new(view));
        self
    }

    /// The body: `{"error": {…}}`, or RFC 9457 if the client asked for `application/problem+json`.
    #[must_use]
    pub fn body(&self, problem_json: bool) -> Vec<u8> {
        let (word, status, title, _) = self.code.facts();
        let kind = format!("urn:pay-once:error:{word}");
        let problem = |text| problem_json.then_some(text);
        let facts = Facts {
            kind: problem(&*kind),
            title: problem(title),
            status: problem_json.then_some(status),
            detail: problem(&*self.message),
            code: word,
            message: &self.message,
            field: self.field.as_deref(),
            retryable: self.is_retryable(),
            safe_new_key: self.safe_new_key,
            decline_code: self.decline_code.as_deref(),
            attempt: self.attempt.as_deref(),
        };
        let bytes = if problem_json {
            serde_json::to_vec(&facts)
        } else {
            serde_json::to_vec(&Envelope { error: facts })
        };
        // Serialising plain structs of strings and numbers into memory has no way to fail.
        bytes.unwrap_or_default()
    }
}

/// Every code, for metrics.
pub fn error_codes() -> impl Iterator<Item = &'static str> {
    Code::ALL.into_iter().map(|code| code.facts().0)
}

/// The code that an answer of ours carries, for metrics. `None`: it is no refusal.
#[must_use]
pub fn error_code(response: &Response) -> Option<&'static str> {
    // In both forms this is where the code begins: within a string the quotes would be escaped.
    const BEFORE: &[u8] = br#""code":""#;
    if response.status < 400 {
        return None;
    }
    let at = response
        .body
        .windows(BEFORE.len())
        .position(|bytes| bytes == BEFORE)?;
    let code = response.body.get(at + BEFORE.len()..)?;
    error_codes().find(|word| {
        code.strip_prefix(word.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b'"'))
    })
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Facts<'a>,
}

/// A refusal in both forms. The first four members are those of RFC 9457.
#[derive(Serialize)]
struct Facts<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    retryable: bool,
    safe_new_key: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<&'a AttemptView>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_answer_is_found_in_both_forms() {
        for code in Code::ALL {
            for problem_json in [false, true] {
                let message = r#"Send "code":"NOT_FOUND" or {"code":"FORBIDDEN"}."#;
                let response = Response {
                    status: code.status(),
                    headers: Vec::new(),
                    body: ApiError::new(code, message).body(problem_json),
                };
                assert_eq!(error_code(&response), Some(code.facts().0));
            }
        }
    }

    #[test]
    fn an_answer_that_is_no_refusal_of_ours_has_no_code() {
        let of = |status, body: &str| Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        assert_eq!(error_code(&of(200, r#"{"code":"DECLINED"}"#)), None);
        assert_eq!(error_code(&of(402, r#"{"code":"DECLINED_TWICE"}"#)), None);
        assert_eq!(error_code(&of(404, "")), None);
    }
}
