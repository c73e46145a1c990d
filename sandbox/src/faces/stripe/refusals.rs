//! Refusals of a call that is not executed at all.

use crate::base::outcome::Outcome;
use crate::faces::kind::Kind;

use super::actions::AMOUNT_TO_CAPTURE;
use super::call::{Action, Call};
use super::errors::{invalid, missing, rejected};

impl Call {
    /// 400, 401, 403 or 424: the call is refused for what its caller is or has, not for what it says.
    pub(crate) fn rejected(&self, status: u16) -> Outcome {
        let object = match &self.action {
            Action::Refund { .. } | Action::RetrieveRefund { .. } | Action::Refunds { .. } => "refund",
            Action::RetrieveDispute { .. } => "dispute",
            _ => "payment_intent",
        };
        let verb = match self.kind() {
            Kind::Read | Kind::List => "read",
            Kind::Change | Kind::Own => "write",
        };
        rejected(status, &format!("rak_{object}_{verb}"))
    }

    /// 400: the amount is wrong.
    pub(crate) fn form_refused(&self) -> Outcome {
        let param = match &self.action {
            Action::Capture { .. } => AMOUNT_TO_CAPTURE,
            _ => "amount",
        };
        invalid(
            "parameter_invalid_integer",
            param,
            "The amount is not acceptable.",
        )
    }
}

/// 404: there is no such PaymentIntent.
pub(crate) fn missing_intent(id: &str) -> Outcome {
    missing("intent", "payment_intent", id)
}
