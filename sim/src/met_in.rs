//! What can be told to have been met from what was seen, in either tier.

use pay_once_core::journal::{Cause, Conclusion, Fact, Operation, Source};
use pay_once_core::record::Record;
use pay_once_sandbox::LedgerEvent;
use pay_once_sandbox::tokens::Operation as PspOperation;

use crate::met::{Met, Sometimes};
use crate::plan::{Class, World};
use crate::seen::{Heard, Status};
use crate::shopper::{Op, Role};

/// From what clients heard.
pub fn heard(heard: &[Heard], met: &mut Met) {
    for heard in heard {
        let Some(told) = &heard.told else { continue };
        if told.is_replay {
            met.meet(Sometimes::ReplayedAnswer);
        }
        if told.status == 202 {
            met.meet(Sometimes::Accepted202);
        }
        match (heard.ask.role, told.code.as_deref()) {
            (Role::Reuse, Some("IDEMPOTENCY_KEY_REUSE")) => met.meet(Sometimes::KeyReuseRefused),
            (Role::Rival, Some("INVALID_STATE")) => met.meet(Sometimes::RivalRefused),
            _ => {}
        }
        let shown = told.shown.as_ref().map(|shown| shown.status);
        if told.status == 402 {
            met.meet(match heard.ask.op {
                Op::Capture => Sometimes::CaptureDeclined,
                _ => Sometimes::Declined,
            });
        }
        if shown == Some(Status::Captured) && heard.ask.op == Op::Void {
            met.meet(Sometimes::CaptureAgainstVoid);
        }
    }
}

/// From the PSP's ledger.
pub fn ledger<'a>(ledger: impl Iterator<Item = &'a LedgerEvent>, met: &mut Met) {
    for event in ledger {
        if event.late && event.declined.is_none() && event.operation != PspOperation::Lapse {
            met.meet(Sometimes::LateLanding);
        }
    }
}

/// From the journals.
pub fn records<'a>(records: impl Iterator<Item = &'a Record>, world: &World, met: &mut Met) {
    let keyed = matches!(world.class, Class::Stripe | Class::Keyed | Class::KeyedQueryable);
    for record in records {
        let mut looked_in_vain = false;
        let mut first_sent_ms = None;
        for entry in record.entries() {
            match (&entry.fact, first_sent_ms) {
                (Fact::Intended { .. }, _) => first_sent_ms = None,
                (Fact::Dispatched { sent_at_ms, .. }, None) => first_sent_ms = Some(*sent_at_ms),
                (_, Some(sent_ms))
                    if keyed
                        && entry.at_ms + world.declared.max_in_flight_ms
                            > sent_ms + world.declared.horizon_ms =>
                {
                    met.meet(Sometimes::KeyPastItsHorizon);
                    first_sent_ms = None;
                }
                _ => {}
            }
            match &entry.fact {
                Fact::Intended {
                    operation: Operation::Void,
                    cause: Cause::Expiry,
                    ..
                } => met.meet(match record.state().action {
                    Some(_) => Sometimes::SecureAbandoned,
                    None => Sometimes::AuthorizationReleasedInTime,
                }),
                Fact::Inferred {
                    conclusion: Conclusion::Parked { .. },
                } => met.meet(Sometimes::Parked),
                Fact::Inferred {
                    conclusion: Conclusion::NotCarriedOut { code, .. },
                } if code == "abandoned" => met.meet(Sometimes::SecureAbandoned),
                Fact::Observed { source, evidence, .. } => {
                    looked_in_vain |= *source == Source::Lookup && evidence.effects.is_empty();
                    if looked_in_vain && !evidence.effects.is_empty() {
                        met.meet(Sometimes::LateLandingAfterLookupMiss);
                    }
                }
                _ => {}
            }
        }
    }
}
