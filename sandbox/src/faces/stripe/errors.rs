//! Stripe's error bodies. Those that show a PaymentIntent: `intent_errors`.

use serde_json::json;

use crate::base::outcome::Outcome;

/// Where Stripe explains the error code.
pub(super) fn doc_url(code: &str) -> String {
    format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))
}

/// 401: no key, or an empty one.
pub(crate) fn unauthorized() -> Outcome {
    let message =
        "You did not provide an API key. Send 'Authorization: Bearer sk_…'; any non-empty key does.";
    Outcome::refused(
        401,
        &json!({"error": {"type": "invalid_request_error", "message": message}}),
    )
}

/// 400: a parameter is wrong.
pub(crate) fn invalid(code: &str, param: &str, message: &str) -> Outcome {
    let error = json!({
        "type": "invalid_request_error",
        "code": code,
        "doc_url": doc_url(code),
        "param": param,
        "message": message,
    });
    Outcome::refused(400, &json!({"error": error}))
}

/// 400: the version of the API is unknown.
pub(crate) fn unknown_version(name: &str) -> Outcome {
    let message = format!("Invalid Stripe API version: {name}");
    Outcome::refused(
        400,
        &json!({"error": {"type": "invalid_request_error", "message": message}}),
    )
}

/// 400: two parameters exclude each other.
pub(crate) fn exclusive(param: &str, other: &str) -> Outcome {
    let message = format!("You may only specify one of these parameters: {param}, {other}.");
    let error = json!({"type": "invalid_request_error", "param": param, "message": message});
    Outcome::refused(400, &json!({"error": error}))
}

/// 400: the charge is in a state that allows no refund. Kept under a key, as execution had begun.
pub(crate) fn no_refund(code: &str, message: &str) -> Outcome {
    let error = json!({
        "type": "invalid_request_error",
        "code": code,
        "doc_url": doc_url(code),
        "message": message,
    });
    Outcome::kept(400, &json!({"error": error}))
}

/// 404: no such object.
pub(crate) fn missing(param: &str, kind: &str, id: &str) -> Outcome {
    let message = format!("No such {kind}: '{id}'");
    let error = json!({
        "type": "invalid_request_error",
        "code": "resource_missing",
        "doc_url": doc_url("resource_missing"),
        "param": param,
        "message": message,
    });
    Outcome::refused(404, &json!({"error": error}))
}

/// 400, 401, 403 or 424 without a parameter, whatever was asked.
pub(crate) fn rejected(status: u16, permission: &str) -> Outcome {
    let (kind, message) = match status {
        401 => (
            "invalid_request_error",
            "Invalid API Key provided: sk_test_*****".to_owned(),
        ),
        403 => (
            "invalid_request_error",
            format!(
                "The provided key 'rk_test_*********' does not have the required permissions for this endpoint on \
                 account 'acct_sandbox'. Having the '{permission}' permission would allow this request to continue."
            ),
        ),
        424 => ("api_error", "A dependency outside of Stripe failed.".to_owned()),
        _ => (
            "invalid_request_error",
            "The request is not acceptable.".to_owned(),
        ),
    };
    Outcome::refused(status, &json!({"error": {"type": kind, "message": message}}))
}

/// 404 or 405: no such address.
pub(crate) fn no_such_route(status: u16, method: &str, path: &str) -> Outcome {
    let message = format!("Unrecognized request URL ({method}: {path}).");
    Outcome::refused(
        status,
        &json!({"error": {"type": "invalid_request_error", "message": message}}),
    )
}

/// 400: the key was used with other parameters.
pub(crate) fn key_reused(key: &str) -> Outcome {
    let message = format!(
        "Keys for idempotent requests can only be used with the same parameters they were first used with. Try \
         using a key other than '{key}' if you meant to execute a different request."
    );
    Outcome::refused(
        400,
        &json!({"error": {"type": "idempotency_error", "message": message}}),
    )
}

/// 409: the first request with this key has not been answered yet.
pub(crate) fn key_in_use(key: &str) -> Outcome {
    let message = format!(
        "There is currently another in-progress request using this Idempotent Key ({key}). Try again later."
    );
    let error = json!({
        "type": "idempotency_error",
        "code": "idempotency_key_in_use",
        "doc_url": doc_url("idempotency_key_in_use"),
        "message": message,
    });
    Outcome::refused(409, &json!({"error": error}))
}

/// 429.
pub(crate) fn throttled() -> Outcome {
    let error = json!({
        "type": "invalid_request_error",
        "code": "rate_limit",
        "doc_url": doc_url("rate_limit"),
        "message": "Too many requests hit the API too quickly.",
    });
    Outcome::refused(429, &json!({"error": error}))
}

/// 500.
pub(crate) fn failed() -> Outcome {
    let error = json!({"type": "api_error", "message": "An unknown error occurred."});
    Outcome::kept(500, &json!({"error": error}))
}
