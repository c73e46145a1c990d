//! The acquirer's error bodies.

use serde_json::json;

use crate::base::outcome::Outcome;

/// 400: the key was used with another body.
pub(crate) fn key_reused() -> Outcome {
    refused(
        400,
        "idempotency_key_reuse",
        "This key was used with another request.",
    )
}

/// 429.
pub(crate) fn throttled() -> Outcome {
    refused(429, "too_many_requests", "Slow down.")
}

/// 500.
pub(crate) fn failed() -> Outcome {
    Outcome {
        keep: true,
        ..refused(500, "internal_error", "Something went wrong.")
    }
}

/// 400, 401, 403 or 424, whatever was asked.
pub(crate) fn rejected(status: u16) -> Outcome {
    let (code, message) = match status {
        401 => ("unauthorized", "The credentials are not valid."),
        403 => ("forbidden", "The credentials do not allow this."),
        424 => ("failed_dependency", "A dependency of this acquirer failed."),
        _ => ("bad_request", "The request is not acceptable."),
    };
    refused(status, code, message)
}

/// 400: the amount is wrong.
pub(crate) fn form_refused() -> Outcome {
    let message = "The amount is not acceptable.";
    Outcome::refused(
        400,
        &json!({"error": {"code": "invalid_amount", "field": "amount", "message": message}}),
    )
}

/// A refusal before execution.
pub(crate) fn refused(status: u16, code: &str, message: &str) -> Outcome {
    Outcome::refused(status, &json!({"error": {"code": code, "message": message}}))
}
