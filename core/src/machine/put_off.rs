//! What happens to a step that would call a PSP which takes no more calls at present. Nothing of the step is written
//! yet.

use super::step::Input;
use crate::base::http::Response;
use crate::contract::answer;
use crate::contract::error::{ApiError, Code};

impl Input {
    /// Whether the step on this input can be put off. Evidence from a PSP is always stored, and the calls that follow
    /// from it wait for a place.
    pub(crate) fn can_be_put_off(&self) -> bool {
        if let Self::Request(pending) = self
            && pending.brings_an_answer()
        {
            return false;
        }
        matches!(self, Self::Request(_) | Self::Wake)
    }

    /// The answer to a client whose request needs a PSP that takes no more calls at present. `pause_s` is the
    /// `Retry-After` in seconds, at least 1. `None`: the input has no client.
    #[must_use]
    pub fn psp_unavailable(&self, pause_s: u64) -> Option<Response> {
        let Self::Request(pending) = self else { return None };
        let message = "The payment service provider takes no calls of this server at present, so nothing was begun for this request. Retry it with the same Idempotency-Key, not before Retry-After.";
        let mut refusal = ApiError::new(Code::PspUnavailable, message);
        refusal.retry_after_s = Some(pause_s.max(1));
        Some(answer::error(&refusal, &pending.early()))
    }
}
