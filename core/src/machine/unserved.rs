//! Answers to inputs that could not be handled, because the store or the record cannot be used.

use super::step::Input;
use crate::base::http::Response;
use crate::contract::answer;
use crate::contract::answer::ReplyContext;
use crate::contract::error::{ApiError, Code};
use crate::journal::record::RecordError;

impl Input {
    /// The answer if the store cannot be reached. It is not known whether the input took effect. `None`: nobody waits
    /// for an answer.
    #[must_use]
    pub fn store_unavailable(&self) -> Option<Response> {
        let (message, context) = match self {
            Self::Request(pending) => (
                "The store did not answer, so it is not known whether this request took effect. Retry it with the same Idempotency-Key.",
                pending.context.clone(),
            ),
            Self::Webhook(_) => (
                "The store did not answer; send this webhook again.",
                ReplyContext::default(),
            ),
            Self::Outcome(_) | Self::Wake => return None,
        };
        Some(answer::error(
            &ApiError::new(Code::StoreUnavailable, message),
            &context,
        ))
    }

    /// The answer if the store failed its probe. The store was not used, so that nothing took effect.
    #[must_use]
    pub fn store_unsafe(&self, why: &str) -> Option<Response> {
        let context = match self {
            Self::Request(pending) => pending.context.clone(),
            Self::Webhook(_) => ReplyContext::default(),
            Self::Outcome(_) | Self::Wake => return None,
        };
        let message = format!("The configured store is refused, so this request did nothing: {why}.");
        Some(answer::error(
            &ApiError::new(Code::StoreUnsafe, message),
            &context,
        ))
    }

    /// The answer if the stored record cannot be used. The record was left as it is.
    #[must_use]
    pub fn record_refused(&self, why: &RecordError) -> Option<Response> {
        let context = match self {
            Self::Request(pending) => pending.context.clone(),
            Self::Webhook(_) => ReplyContext::default(),
            Self::Outcome(_) | Self::Wake => return None,
        };
        let message = format!("The stored record of this attempt was refused and left as it is: {why}.");
        Some(answer::error(
            &ApiError::new(Code::RecordRefused, message),
            &context,
        ))
    }
}
