//! What of [`Sometimes`] can be told from what was seen of a run, whichever tier made it.

use crate::met::{Met, Sometimes};
use crate::plan::{Class, Flow, Token};
use crate::seen::{Doubt, Heard, Run};
use crate::shopper::{Op, Role};
use pay_once_sandbox::tokens::Operation;

/// Adds what clients heard and what the ledger holds to what was met.
pub fn notice(run: &mut Run) {
    let mut met = std::mem::take(&mut run.met);
    met.meet(match run.plan.world.class {
        Class::Stripe => Sometimes::ClassStripe,
        Class::Addressable => Sometimes::ClassAddressable,
        Class::Keyed => Sometimes::ClassKeyed,
        Class::Queryable => Sometimes::ClassQueryable,
        Class::KeyedQueryable => Sometimes::ClassKeyedQueryable,
        Class::Blind => Sometimes::ClassBlind,
    });
    for heard in &run.heard {
        notice_heard(run, heard, &mut met);
    }
    for payment in run.plan.payments() {
        let asked = |op: Op| {
            let mut heard = run.heard.iter();
            heard.any(|heard| heard.is_honest() && heard.ask.payment == payment.payment && heard.ask.op == op)
        };
        if payment.flow == Flow::Race && asked(Op::Capture) && asked(Op::Void) {
            met.meet(Sometimes::CaptureAgainstVoid);
        }
        if payment.flow == Flow::Abandon && was_released(run, payment.payment) {
            met.meet(Sometimes::AuthorizationReleasedInTime);
        }
    }
    run.met = met;
}

fn notice_heard(run: &Run, heard: &Heard, met: &mut Met) {
    let Some(told) = &heard.told else {
        return;
    };
    let ask = &heard.ask;
    if told.is_replay {
        met.meet(Sometimes::ReplayedAnswer);
    }
    match (ask.role, told.status) {
        (Role::Reuse, 400..=499) => met.meet(Sometimes::KeyReuseRefused),
        (Role::Rival, 400..=499) => met.meet(Sometimes::RivalRefused),
        (_, 202) => met.meet(Sometimes::Accepted202),
        (_, 402) if ask.op == Op::Capture => met.meet(Sometimes::CaptureDeclined),
        (_, 402) => met.meet(Sometimes::Declined),
        _ => {}
    }
    let Some(shown) = &told.shown else {
        return;
    };
    if shown
        .operation
        .as_ref()
        .is_some_and(|op| op.state == Doubt::Parked)
    {
        met.meet(Sometimes::Parked);
    }
    let token = run.plan.payments().find(|payment| payment.payment == ask.payment);
    let is_abandoned = token.is_some_and(|payment| payment.token == Token::SecureAbandoned);
    if shown.next_action.is_some() && is_abandoned {
        met.meet(Sometimes::SecureAbandoned);
    }
}

/// Whether an authorization that nobody captured was voided by us.
fn was_released(run: &Run, payment: u32) -> bool {
    let mut shown = run.heard.iter().filter(|heard| heard.ask.payment == payment);
    let id = shown.find_map(|heard| Some(&heard.told.as_ref()?.shown.as_ref()?.attempt_id));
    let mut ledger = run.ledger.iter();
    ledger.any(|event| {
        Some(&event.attempt_id) == id && event.operation == Operation::Void && event.declined.is_none()
    })
}
