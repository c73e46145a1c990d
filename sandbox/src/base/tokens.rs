//! The table of test tokens: what a `payment_method` makes the sandbox do.

use serde::{Deserialize, Serialize};

/// What a token is about: the calls at which it acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Reserving funds: `POST /authorize`, or creating with `confirm=true`, or `…/confirm`.
    Authorize,
    /// `POST /capture`, `…/capture`. Of the tokens that act here only a decline also acts inside a confirm with
    /// automatic capture, which it then declines whole.
    Capture,
    /// `POST /void`, `…/cancel`.
    Void,
    /// `POST /v1/refunds`, or a void of something captured.
    Refund,
    /// An authorization that ran out of time. Not a call.
    Lapse,
}

/// What happens to a call, or to its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Refused by the issuer, for good.
    Decline {
        /// The acquirer's `code` and Stripe's `decline_code`.
        code: &'static str,
        /// For people.
        message: &'static str,
    },
    /// The cardholder has to authenticate first (3-D Secure).
    Authenticate,
    /// The authorization lives this many milliseconds.
    Lifetime(u64),
    /// The answer takes this many milliseconds longer; the effect lands on arrival.
    Slow(u64),
    /// No effect, no answer.
    HangBefore,
    /// Effect, no answer.
    HangAfter,
    /// No effect, 500.
    ErrorBefore,
    /// Effect, then a gateway answers 500; the key keeps the true answer.
    ErrorAfter,
    /// No effect and 500, and the key keeps the 500.
    ErrorBeforeCached,
    /// Effect and 500, and the key keeps the 500.
    ErrorAfterCached,
    /// No effect, 429.
    Throttle,
    /// Effect, then 200 with a body that does not parse.
    Garbage,
    /// Effect, then the connection closes in the middle of the body.
    Truncated,
    /// No answer; the request lands `max_in_flight_ms` later.
    Late,
    /// The webhook is sent before the answer.
    WebhookFirst,
    /// The webhook is sent three times.
    WebhookThrice,
    /// Effect, no answer, and a webhook that the `webhook_lost_permille` dial cannot lose.
    WebhookOnly,
    /// Effect and answer, but the key is forgotten at once.
    KeyForgotten,
    /// The acquirer approves a quarter of the amount.
    PartialApproval,
    /// A capture of a part captures the whole.
    CapturesAll,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// The `payment_method` to send.
    pub name: &'static str,
    /// The calls at which it acts.
    pub operation: Operation,
    /// What it does there.
    pub behaviour: Behaviour,
    /// Whether only the first such call of an attempt is hit and later ones behave.
    pub first_only: bool,
    /// One line for the help text.
    pub about: &'static str,
}

/// The behaviour of `token` at `operation`, if it has one; any token not in the table approves.
pub(crate) fn find(token: &str, operation: Operation) -> Option<&'static Token> {
    TOKENS
        .iter()
        .find(|row| row.operation == operation && row.name == token)
}

/// The code and message of an issuer that declines for a while, whatever the token does.
pub(crate) const ISSUER_AWAY: (&str, &str) =
    ("issuer_not_available", "The card issuer could not be reached.");

/// The table as text, one token a line.
pub fn help() -> String {
    let mut text = String::from("Test tokens (payment_method); any other token approves:\n");
    for row in TOKENS {
        let once = if row.first_only {
            " First such call of an attempt only."
        } else {
            ""
        };
        text.push_str(&format!("  {:<42} {}{once}\n", row.name, row.about));
    }
    text
}

const GENERIC_DECLINE: Behaviour = Behaviour::Decline {
    code: "generic_decline",
    message: "Your card was declined.",
};

/// The table.
pub const TOKENS: &[Token] = &[
    authorize("pm_card_chargeDeclined", GENERIC_DECLINE, "Declined."),
    authorize("pm_card_visa_chargeDeclined", GENERIC_DECLINE, "Declined."),
    authorize(
        "pm_card_chargeDeclinedInsufficientFunds",
        Behaviour::Decline {
            code: "insufficient_funds",
            message: "Your card has insufficient funds.",
        },
        "Declined: insufficient funds.",
    ),
    authorize(
        "pm_card_authenticationRequired",
        Behaviour::Authenticate,
        "3-D Secure is required.",
    ),
    authorize(
        "pm_sandbox_slow",
        Behaviour::Slow(5_000),
        "The answer takes 5 s longer.",
    ),
    first(
        "pm_sandbox_hang_before",
        Operation::Authorize,
        Behaviour::HangBefore,
        "No effect, no answer.",
    ),
    first(
        "pm_sandbox_hang_after",
        Operation::Authorize,
        Behaviour::HangAfter,
        "Effect, no answer.",
    ),
    first(
        "pm_sandbox_500_before",
        Operation::Authorize,
        Behaviour::ErrorBefore,
        "No effect, 500.",
    ),
    first(
        "pm_sandbox_500_after",
        Operation::Authorize,
        Behaviour::ErrorAfter,
        "Effect, 500; the same key then replays the success.",
    ),
    authorize(
        "pm_sandbox_500_cached",
        Behaviour::ErrorAfterCached,
        "Effect, 500; the same key replays the 500 for ever.",
    ),
    first(
        "pm_sandbox_429",
        Operation::Authorize,
        Behaviour::Throttle,
        "No effect, 429.",
    ),
    first(
        "pm_sandbox_garbage",
        Operation::Authorize,
        Behaviour::Garbage,
        "Effect, unparsable 200 body.",
    ),
    authorize(
        "pm_sandbox_truncated",
        Behaviour::Truncated,
        "Effect, connection closed mid-body.",
    ),
    authorize(
        "pm_sandbox_late",
        Behaviour::Late,
        "No answer; the effect lands max_in_flight_ms later.",
    ),
    authorize(
        "pm_sandbox_webhook_first",
        Behaviour::WebhookFirst,
        "Webhook before the answer.",
    ),
    authorize(
        "pm_sandbox_webhook_duplicate",
        Behaviour::WebhookThrice,
        "Webhook three times.",
    ),
    authorize(
        "pm_sandbox_webhook_only",
        Behaviour::WebhookOnly,
        "Answer lost, webhook sent.",
    ),
    Token {
        name: "pm_sandbox_capture_declined",
        operation: Operation::Capture,
        behaviour: GENERIC_DECLINE,
        first_only: false,
        about: "Authorizes; every capture is declined.",
    },
    first(
        "pm_sandbox_capture_hang_after",
        Operation::Capture,
        Behaviour::HangAfter,
        "Authorizes; capture has its effect, no answer.",
    ),
    first(
        "pm_sandbox_capture_hang_before",
        Operation::Capture,
        Behaviour::HangBefore,
        "Authorizes; capture has no effect, no answer.",
    ),
    first(
        "pm_sandbox_capture_500_after",
        Operation::Capture,
        Behaviour::ErrorAfter,
        "Authorizes; capture has its effect, answers 500.",
    ),
    first(
        "pm_sandbox_capture_500_cached",
        Operation::Capture,
        Behaviour::ErrorBeforeCached,
        "Authorizes; capture has no effect, answers 500; the same key replays the 500 for ever.",
    ),
    first(
        "pm_sandbox_void_hang_after",
        Operation::Void,
        Behaviour::HangAfter,
        "Authorizes; void has its effect, no answer.",
    ),
    authorize(
        "pm_sandbox_key_forgotten",
        Behaviour::KeyForgotten,
        "The key is forgotten at once.",
    ),
    authorize(
        "pm_sandbox_expires_soon",
        Behaviour::Lifetime(20_000),
        "The authorization lives 20 s.",
    ),
    authorize(
        "pm_sandbox_partial_approval",
        Behaviour::PartialApproval,
        "The acquirer approves a quarter of the amount, rounded up, and says so in `amount`. Stripe approves the whole.",
    ),
    Token {
        name: "pm_sandbox_captures_all",
        operation: Operation::Capture,
        behaviour: Behaviour::CapturesAll,
        first_only: false,
        about: "Authorizes; a capture of a part captures the whole, and the answer says so.",
    },
];

const fn authorize(name: &'static str, behaviour: Behaviour, about: &'static str) -> Token {
    Token {
        name,
        operation: Operation::Authorize,
        behaviour,
        first_only: false,
        about,
    }
}

const fn first(name: &'static str, operation: Operation, behaviour: Behaviour, about: &'static str) -> Token {
    Token {
        name,
        operation,
        behaviour,
        first_only: true,
        about,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_and_the_help_list_every_token() {
        let readme = include_str!("../../README.md");
        for row in TOKENS {
            let operation = format!("{:?}", row.operation).to_lowercase();
            let once = if row.first_only { " Once." } else { "" };
            let line = format!("| `{}` | {operation} | {}{once} |", row.name, row.about);
            assert!(readme.contains(&line), "{line}");
            assert!(help().contains(row.name));
        }
    }
}
