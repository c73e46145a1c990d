//! How a PaymentIntent comes about.

use std::collections::BTreeMap;

use crate::ledger::event::Cause;
use crate::ledger::intent::{Intent, Status};
use crate::ledger::work::Work;

use super::method_types::MethodTypes;

impl Intent {
    /// A PaymentIntent of which nobody has said more than this.
    pub(crate) fn new(work: &mut Work<'_>, amount_minor: u64, currency: &str) -> Self {
        let id = work.new_id("pi");
        Self {
            serial: work.state.ids,
            created_ms: work.now_ms,
            client_secret: format!("{id}_secret_{:016x}", work.draw.word()),
            id,
            amount_minor,
            currency: currency.to_owned(),
            automatic_capture: false,
            status: Status::RequiresPaymentMethod,
            payment_method: None,
            payment_method_types: vec!["card".to_owned()],
            allowed_types: Vec::new(),
            metadata: BTreeMap::new(),
            description: None,
            return_url: None,
            charge: None,
            charge_created_ms: None,
            capture_before_ms: None,
            captured_minor: 0,
            refunds: Vec::new(),
            failure: None,
            canceled_at_ms: None,
            cancellation_reason: None,
            cause: work.cause.filter(|cause| *cause == Cause::Repeated),
            dispute: None,
        }
    }

    /// Takes in what was said about kinds of payment method; nothing said changes nothing.
    pub(crate) fn take_types(&mut self, types: &MethodTypes) {
        if !types.older.is_empty() {
            self.payment_method_types = types.older.clone();
        }
        if !types.allowed.is_empty() {
            self.payment_method_types = types.allowed.clone();
            self.allowed_types = types.allowed.clone();
        }
    }
}
