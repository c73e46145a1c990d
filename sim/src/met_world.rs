//! What a plan itself brings, as far as it can be told to have been met from the plan alone.

use crate::met::{Met, Sometimes};
use crate::plan::{Act, Plan, PspFault, StoreFault, Token};
use crate::world::DAY_MS;

/// From how long on a fault outlasts what servers try by themselves at once, in milliseconds.
const LONG_MS: u64 = 20_000;
/// From how long on a customer is slow, in milliseconds.
const SLOW_CUSTOMER_MS: u64 = 20_000;

/// Adds what the plan brings to what was met.
pub(crate) fn plan(plan: &Plan, met: &mut Met) {
    let world = &plan.world;
    let mut meet_if = |holds: bool, what: Sometimes| {
        if holds {
            met.meet(what);
        }
    };
    meet_if(world.second.is_some(), Sometimes::SecondMerchant);
    meet_if(world.crowd > 0 && world.page_max < 10, Sometimes::BusyAccount);
    meet_if(world.lists_forbidden, Sometimes::ListsForbidden);
    meet_if(world.refund_ms.is_some(), Sometimes::RefundPending);
    meet_if(world.patience_ms >= DAY_MS, Sometimes::Days);
    meet_if(
        world.second_secret && world.webhooks.is_some(),
        Sometimes::SecondSecret,
    );
    let mut faults = 0;
    for step in &plan.steps {
        match &step.act {
            Act::Pay(payment) => {
                meet_if(payment.hang_up_ms.is_some(), Sometimes::HungUp);
                meet_if(payment.currency != "EUR", Sometimes::OtherUnits);
                let is_slow = matches!(payment.token, Token::Secure(ms) if ms >= SLOW_CUSTOMER_MS);
                meet_if(is_slow, Sometimes::SlowCustomer);
                continue;
            }
            Act::Psp {
                fault: PspFault::Rejected { .. },
                for_ms,
                ..
            } => meet_if(*for_ms >= LONG_MS, Sometimes::LongRejection),
            Act::Psp { fault, .. } => match fault {
                PspFault::Redelivered { .. } => meet_if(true, Sometimes::Redelivered),
                PspFault::ReadMissing => meet_if(true, Sometimes::ReadMissing),
                PspFault::ListStuck => meet_if(true, Sometimes::ListStuck),
                PspFault::TryAgain => meet_if(true, Sometimes::TryAgain),
                PspFault::FormRefused => meet_if(true, Sometimes::FormRefused),
                PspFault::Declines => meet_if(true, Sometimes::IssuerDeclines),
                _ => {}
            },
            Act::Forge { misdirected, .. } => {
                meet_if(
                    *misdirected && world.second.is_some(),
                    Sometimes::MisdirectedWebhook,
                );
            }
            Act::Store {
                fault: StoreFault::Down | StoreFault::NoWrites,
                for_ms,
                ..
            } => meet_if(*for_ms >= LONG_MS, Sometimes::StoreOutage),
            _ => {}
        }
        faults += 1;
    }
    meet_if(faults == 1, Sometimes::SingleFault);
}
