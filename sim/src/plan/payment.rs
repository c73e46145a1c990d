//! What a customer and the merchant's client do about one payment.

use pay_once_core::AttemptId;
use serde::{Deserialize, Serialize};

use super::Class;
use crate::world::MERCHANTS;

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
    /// That other client captures half of what this one does, and asks a little later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rival_takes_half: bool,
    /// A client sends the key of each operation again, with another body or for another operation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
    /// How often somebody looks, a second apart.
    #[serde(default)]
    pub looks: u8,
    /// Whose it is: 0 is the first merchant, 1 the second.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub merchant: u8,
    /// The payment whose keys it has as well, at another merchant. `None`: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_of: Option<u32>,
    /// The client hangs up on the first sending of each request after so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hang_up_ms: Option<u64>,
    /// The other merchant asks for the attempt, and acts on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stranger: bool,
    /// An operator resolves before anything is parked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hasty: bool,
    /// The client comes back after healing, and asks until it knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returns: bool,
    /// ISO 4217 code.
    #[serde(default = "euro", skip_serializing_if = "is_euro")]
    pub currency: String,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(merchant: &u8) -> bool {
    *merchant == 0
}

fn euro() -> String {
    "EUR".to_owned()
}

fn is_euro(currency: &String) -> bool {
    currency == "EUR"
}

impl Payment {
    /// An ordinary payment of the first merchant: created, authorized and captured by a patient client.
    #[must_use]
    pub fn usual(payment: u32) -> Self {
        Self {
            payment,
            flow: Flow::Manual,
            amount_minor: 2_599,
            token: Token::Good,
            copies: 1,
            tries: 4,
            timeout_ms: 500,
            pause_ms: 500,
            think_ms: 100,
            wait_s: None,
            rival: false,
            rival_takes_half: false,
            reuse: false,
            looks: 0,
            merchant: 0,
            keys_of: None,
            hang_up_ms: None,
            stranger: false,
            hasty: false,
            returns: false,
            currency: euro(),
        }
    }

    /// Its attempt: the key is the address (`docs/store.md`, “The address”).
    #[must_use]
    pub fn attempt_id(&self, installation: &str) -> AttemptId {
        let first = if self.flow == Flow::Charge {
            "charge"
        } else {
            "create"
        };
        AttemptId::derive(installation, self.merchant_id(), &self.key(first))
    }

    /// The merchant's id.
    #[must_use]
    pub fn merchant_id(&self) -> &'static str {
        let [first, second] = MERCHANTS;
        if self.merchant == 0 { first } else { second }
    }

    /// The key of one of its requests.
    #[must_use]
    pub fn key(&self, operation: &str) -> String {
        format!("p{}-{operation}", self.keys_of.unwrap_or(self.payment))
    }

    /// An amount in the units that its PSP is sent. Stripe takes ISK and UGX with two decimals, which ISO 4217 does not have.
    #[must_use]
    pub fn sent_minor(&self, class: Class, amount_minor: u64) -> u64 {
        match self.currency.as_str() {
            "ISK" | "UGX" if class.is_stripe() => amount_minor * 100,
            _ => amount_minor,
        }
    }

    /// The least difference of two amounts that its PSP can express, in minor units.
    #[must_use]
    pub fn step_minor(&self) -> u64 {
        if self.currency == "KWD" { 10 } else { 1 }
    }

    /// What the capture of another client is asked to take, in minor units.
    #[must_use]
    pub fn rival_minor(&self) -> u64 {
        let step = self.step_minor();
        match self.rival && self.rival_takes_half {
            true => (self.capture_minor() / 2 / step).max(1) * step,
            false => self.capture_minor(),
        }
    }

    /// What a capture is asked to take, in minor units.
    #[must_use]
    pub fn capture_minor(&self) -> u64 {
        match self.flow {
            // Of what has three decimals, the last must be 0.
            Flow::Part if self.currency == "KWD" => (self.amount_minor * 2).div_ceil(30) * 10,
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
    /// The acquirer approves a quarter of the amount, and says so. Stripe approves the whole.
    PartialApproval,
    /// A capture of a part captures the whole, and says so.
    CapturesAll,
}

impl Token {
    /// Whether the PSP keeps an error under the key, and tells nothing else by it.
    #[must_use]
    pub fn keeps_error(self) -> bool {
        matches!(self, Self::ErrorKept | Self::CaptureErrorKept)
    }

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
            Self::PartialApproval => "pm_sandbox_partial_approval",
            Self::CapturesAll => "pm_sandbox_captures_all",
        }
    }
}
