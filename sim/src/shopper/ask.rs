//! What a client asks for, why, and what it does next.

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Op {
    Create,
    Charge,
    Authorize,
    Capture,
    Void,
    Look,
    Resolve,
}

impl Op {
    /// Its last part in paths and keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Charge => "charge",
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Look => "look",
            Self::Resolve => "resolve",
        }
    }
}

/// Why it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The client itself.
    Main,
    /// The same request at the same time (a double click).
    Copy,
    /// Another client, under a key of its own.
    Rival,
    /// The key of a request, with another body or for another operation: must be refused.
    Reuse,
    /// The client itself, which has come back after healing.
    Back,
    /// Somebody looks.
    Reader,
    /// The look after healing.
    Last,
    /// The same request once more, long after.
    Again,
    /// The other merchant, to whom the attempt is not there.
    Stranger,
    /// An operator whose word is about something that is parked.
    Operator,
    /// A second operator with the first one's word, whose answer is there already: must be refused, whatever is parked by then.
    Late,
    /// An operator who does not wait until something is parked: must be refused.
    Hasty,
    /// Where two operators are needed: another operator, who agrees with the first one.
    SecondOperator,
    /// The same: the first operator once more, under another key. Must not count as an agreement.
    SameOperator,
    /// The same: the other operator says the opposite. Must not count as an agreement.
    OtherWord,
    /// The merchant itself, which may not resolve: must be refused.
    Merchant,
    /// An operator who may only read: must be refused.
    OnlyReader,
}

impl Role {
    /// Whether its answers are those that the attempt's own clients are to get.
    #[must_use]
    pub fn is_own(self) -> bool {
        !matches!(
            self,
            Self::Reuse | Self::Stranger | Self::Merchant | Self::OnlyReader
        )
    }

    /// Whether an operator is asking who may resolve.
    #[must_use]
    pub fn is_operator(self) -> bool {
        let first = matches!(self, Self::Operator | Self::Late | Self::Hasty);
        first || matches!(self, Self::SecondOperator | Self::SameOperator | Self::OtherWord)
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which payment.
    pub payment: u32,
    /// Which merchant asks.
    pub merchant: u8,
    /// What.
    pub op: Op,
    /// Why.
    pub role: Role,
    /// Method.
    pub method: &'static str,
    /// Path.
    pub target: String,
    /// `Idempotency-Key`; empty for a look.
    pub key: String,
    /// Body.
    pub body: String,
    /// `Prefer: wait`, in seconds.
    pub wait_s: Option<u8>,
    /// How many more times it may be sent after this.
    pub tries_left: u8,
    /// How long an answer is waited for, in milliseconds.
    pub timeout_ms: u64,
}

/// What a client does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Sends a request.
    Ask {
        /// When, in milliseconds from the start.
        at_ms: u64,
        /// Which.
        ask: Ask,
    },
    /// The client comes back.
    Return {
        /// When, in milliseconds from the start.
        at_ms: u64,
    },
    /// The customer answers every 3-D Secure challenge of the attempt that is open then. The bank tells of them, whatever became
    /// of the PSP's answers.
    Authenticate {
        /// When, in milliseconds from the start.
        at_ms: u64,
        /// The attempt.
        attempt_id: String,
        /// Whether it succeeds.
        success: bool,
    },
}
