//! What a customer and the merchant's client do about one payment.

use pay_once_core::id::AttemptId;
use serde::{Deserialize, Serialize};

use crate::world::MERCHANT;

/// What a customer and the merchant's client do about one payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// Its number; keys are made of it.
    pub payment: u32,
    /// What is done.
    pub flow: Flow,
    /// Minor units.
    pub amount_minor: u64,
    /// The PSP token.
    pub token: Token,
    /// How often each request is sent at once (a double click).
    pub copies: u8,
    /// How often a client tries before it vanishes.
    pub tries: u8,
    /// How long it waits for an answer, in milliseconds.
    pub timeout_ms: u64,
    /// How long between two tries, in milliseconds.
    pub pause_ms: u64,
    /// How long between two operations, in milliseconds.
    pub think_ms: u64,
    /// `Prefer: wait=`, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u8>,
    /// Another client does the last operation as well, under a key of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rival: bool,
    /// A client sends the key of each operation again, with another body or for another operation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
    /// How often somebody looks, a second apart.
    #[serde(default)]
    pub looks: u8,
}

impl Payment {
    /// Its attempt: the key is the address (DESIGN §3).
    #[must_use]
    pub fn attempt_id(&self) -> AttemptId {
        let first = if self.flow == Flow::Charge {
            "charge"
        } else {
            "create"
        };
        AttemptId::derive("", MERCHANT, &format!("p{}-{first}", self.payment))
    }

    /// What a capture is asked to take, in minor units.
    #[must_use]
    pub fn capture_minor(&self) -> u64 {
        match self.flow {
            Flow::Part => (self.amount_minor * 2).div_ceil(3),
            _ => self.amount_minor,
        }
    }
}

/// What is done about a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// Create, authorize, capture.
    Manual,
    /// Create, authorize, capture two thirds.
    Part,
    /// Create, authorize, void.
    Void,
    /// Create, authorize, capture and void at once.
    Race,
    /// Create, authorize, nothing: it lapses.
    Abandon,
    /// Create with `capture_method: automatic`, authorize.
    Automatic,
    /// One call.
    Charge,
}

impl Flow {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Manual,
        Self::Part,
        Self::Void,
        Self::Race,
        Self::Abandon,
        Self::Automatic,
        Self::Charge,
    ];
}

/// What the card does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// Approves.
    Good,
    /// Is declined.
    Declined,
    /// Authorizes, and declines the capture.
    CaptureDeclined,
    /// Wants 3-D Secure, which succeeds after so many milliseconds.
    Secure(u64),
    /// Wants 3-D Secure, which fails after so many milliseconds.
    SecureFails(u64),
    /// Wants 3-D Secure, and nobody comes.
    SecureAbandoned,
    /// The webhook comes before the answer.
    WebhookFirst,
    /// The authorization has its effect, is answered with 500, and the PSP keeps the 500 under the key.
    ErrorKept,
    /// The capture has no effect, is answered with 500, and the PSP keeps the 500 under the key.
    CaptureErrorKept,
    /// The authorization has its effect, and its answer breaks off in the middle.
    AnswerCut,
}

impl Token {
    /// The sandbox's name for it.
    #[must_use]
    pub fn payment_method(self) -> &'static str {
        match self {
            Self::Good => "pm_card_visa",
            Self::Declined => "pm_card_chargeDeclined",
            Self::CaptureDeclined => "pm_sandbox_capture_declined",
            Self::Secure(_) | Self::SecureFails(_) | Self::SecureAbandoned => {
                "pm_card_authenticationRequired"
            }
            Self::WebhookFirst => "pm_sandbox_webhook_first",
            Self::ErrorKept => "pm_sandbox_500_cached",
            Self::CaptureErrorKept => "pm_sandbox_capture_500_cached",
            Self::AnswerCut => "pm_sandbox_truncated",
        }
    }
}
