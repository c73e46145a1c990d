//! Authorizations that nobody captured in time.

use crate::base::face::Face;
use crate::base::tokens::Operation;
use crate::ledger::work::{Entry, Work};

use super::stripe;

/// Ends every authorization whose time is over. On the stripe face its PaymentIntent is canceled; the
/// acquirer says so in `GET /lookup` only.
pub(crate) fn run(work: &mut Work<'_>) {
    while let Some((at_ms, authorization_id)) = work.state.ledger.first_due(work.now_ms) {
        let Some(authorization) = work.state.ledger.authorizations.get(&authorization_id).cloned() else {
            return;
        };
        let id = work.new_id("lapse");
        work.enter_with(
            Entry {
                face: authorization.face,
                operation: Operation::Lapse,
                id: &id,
                attempt_id: &authorization.attempt_id,
                authorization: Some(&authorization_id),
                amount_minor: authorization.amount_minor,
                currency: &authorization.currency,
            },
            |event| event.at_ms = at_ms,
        );
        if authorization.face == Face::Stripe {
            stripe::lapse(work, &authorization_id, at_ms);
        }
    }
}
