//! What can be told to have been met from what was seen of a run, whichever tier made it. What only the tier itself can
//! see (a crash between two steps of a server, say) it counts where it happens.

use std::collections::BTreeMap;

use pay_once_core::journal::entry::{Cause, Conclusion, Fact, Operation, Source};
use pay_once_core::{Millis, Record};
use pay_once_sandbox::tokens::Operation as PspOperation;
use pay_once_sandbox::{Cause as PspCause, LedgerEvent};

use crate::met::{Met, Sometimes};
use crate::oracles::bounds::exact;
use crate::plan::{Class, World};
use crate::seen::{Heard, OperationState, PspCall, Run, Status, Told};
use crate::shopper::{Op, Role};

/// Adds all of it to what was met.
pub fn run(run: &mut Run) {
    let mut met = std::mem::take(&mut run.met);
    for class in run.plan.world.classes() {
        met.meet(match class {
            Class::Stripe => Sometimes::ClassStripe,
            Class::Addressable => Sometimes::ClassAddressable,
            Class::Keyed => Sometimes::ClassKeyed,
            Class::Queryable => Sometimes::ClassQueryable,
            Class::KeyedQueryable => Sometimes::ClassKeyedQueryable,
            Class::Blind => Sometimes::ClassBlind,
        });
    }
    crate::met_world::plan(&run.plan, &mut met);
    run.heard.iter().for_each(|heard| answer(heard, &mut met));
    twins(&run.heard, &mut met);
    calls(&run.psp_calls, &mut met);
    ledger(&run.ledger, &mut met);
    if !run.acknowledged.is_empty() {
        met.meet(Sometimes::EventAcknowledged);
    }
    for record in run.journals().values().flatten() {
        restored(record, &mut met);
        journal(record, &run.plan.world, &mut met);
    }
    let counted = |id: &str| run.writes.get(id).is_some_and(|writes| *writes > 0);
    let mut payments = run.plan.payments();
    if payments.any(|p| exact(run, p).is_some() && counted(&run.plan.attempt_of(p).to_string())) {
        met.meet(Sometimes::ExactWork);
    }
    run.met = met;
}

fn answer(heard: &Heard, met: &mut Met) {
    let Some(told) = &heard.told else { return };
    if told.is_replay {
        met.meet(Sometimes::ReplayedAnswer);
    }
    if told.status == 202 {
        met.meet(Sometimes::Accepted202);
    }
    if told.is_replay && heard.ask.role == Role::Again {
        met.meet(Sometimes::ReplayedLongAfter);
    }
    if heard.ask.role == Role::Back && told.is_kept() {
        met.meet(Sometimes::CameBack);
    }
    match (heard.ask.role, told.code.as_deref()) {
        (Role::Stranger, Some("ATTEMPT_NOT_FOUND")) => met.meet(Sometimes::StrangerRefused),
        (Role::Hasty, Some("INVALID_STATE")) => met.meet(Sometimes::HastyRefused),
        (Role::Late, Some("INVALID_STATE")) if shows_parked(told) => met.meet(Sometimes::LateWordRefused),
        (Role::Merchant | Role::OnlyReader, Some("FORBIDDEN")) => met.meet(Sometimes::UnauthorizedRefused),
        (Role::SecondOperator, _) if told.status == 200 => met.meet(Sometimes::TwoAgreed),
        (Role::Reuse, Some("IDEMPOTENCY_KEY_REUSE")) => met.meet(Sometimes::KeyReuseRefused),
        (_, Some("PSP_UNAVAILABLE")) => met.meet(Sometimes::PlaceRefused),
        (Role::Rival, Some("INVALID_STATE")) => met.meet(Sometimes::RivalRefused),
        _ => {}
    }
    if told.status == 402 {
        met.meet(match heard.ask.op {
            Op::Capture => Sometimes::CaptureDeclined,
            _ => Sometimes::Declined,
        });
    }
    let shown = told.shown.as_ref().map(|shown| shown.status);
    if shown == Some(Status::Captured) && heard.ask.op == Op::Void {
        met.meet(Sometimes::CaptureAgainstVoid);
    }
}

/// Two requests under one key at the same time.
fn twins(heard: &[Heard], met: &mut Met) {
    let mut open_until: BTreeMap<&str, u64> = BTreeMap::new();
    for heard in heard.iter().filter(|heard| !heard.ask.key.is_empty()) {
        if heard.ask.role == Role::Reuse {
            continue;
        }
        let until_ms = open_until.entry(&heard.ask.key).or_default();
        if heard.began_ms < *until_ms {
            met.meet(Sometimes::DuplicateWhileInFlight);
        }
        *until_ms = heard.ended_ms.max(*until_ms);
    }
}

/// A PSP key ends with its effect's number.
fn calls(calls: &[PspCall], met: &mut Met) {
    let mut keys: BTreeMap<&str, u32> = BTreeMap::new();
    for call in calls {
        *keys.entry(&call.key).or_default() += 1;
    }
    if keys.values().any(|times| *times > 1) {
        met.meet(Sometimes::KeyResent);
    }
    let effects = keys.keys().filter_map(|key| key.rsplit_once('-'));
    let (mut before, mut has_moved) = (None, false);
    for (generation, _) in effects {
        has_moved |= before == Some(generation);
        before = Some(generation);
    }
    if has_moved {
        met.meet(Sometimes::EffectNumberMoved);
    }
}

fn ledger(ledger: &[LedgerEvent], met: &mut Met) {
    for event in ledger {
        match event.cause {
            Some(PspCause::Foreign) if event.attempt_id.starts_with("pa_") => {
                met.meet(Sometimes::ForeignObject)
            }
            Some(PspCause::Repeated) if event.declined.is_none() => met.meet(Sometimes::ExecutedTwice),
            _ => {}
        }
        if event.late && event.declined.is_none() && event.operation != PspOperation::Lapse {
            met.meet(Sometimes::LateLanding);
        }
    }
}

fn journal(record: &Record, world: &World, met: &mut Met) {
    let is_keyed = matches!(world.class, Class::Stripe | Class::Keyed | Class::KeyedQueryable);
    let mut looked_in_vain = false;
    let mut first_sent_ms = None;
    for entry in record.entries() {
        match (&entry.fact, first_sent_ms) {
            (Fact::Intended { .. }, _) => first_sent_ms = None,
            (Fact::Dispatched { sent_at_ms, .. }, None) => first_sent_ms = Some(*sent_at_ms),
            (_, Some(sent_ms))
                if is_keyed
                    && entry.at_ms + Millis::new(world.declared.max_in_flight_ms)
                        > sent_ms + Millis::new(world.declared.horizon_ms) =>
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
                conclusion: Conclusion::Unwanted { .. },
            } => met.meet(Sometimes::UnwantedUndone),
            Fact::Inferred {
                conclusion: Conclusion::CaptureMismatch { .. },
            } => met.meet(Sometimes::CaptureMismatch),
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

/// What a look came to that was asked for because of a restore.
fn restored(record: &Record, met: &mut Met) {
    let mut is_asked = false;
    for entry in record.entries() {
        match &entry.fact {
            Fact::Suspected { .. } => is_asked = true,
            Fact::Observed {
                source: Source::Lookup,
                evidence,
                ..
            } if is_asked && !evidence.effects.is_empty() => met.meet(Sometimes::FoundAfterRestore),
            Fact::Inferred {
                conclusion: Conclusion::NoEffect { .. },
            } if is_asked => met.meet(Sometimes::AbsentAfterRestore),
            Fact::Inferred {
                conclusion: Conclusion::Parked { reason, .. },
            } if reason.contains("restored from a backup") => met.meet(Sometimes::ParkedAfterRestore),
            Fact::Dispatched { .. } => is_asked = false,
            _ => {}
        }
    }
}

/// Whether something is parked where it was refused.
fn shows_parked(told: &Told) -> bool {
    let operation = told.shown.as_ref().and_then(|shown| shown.operation.as_ref());
    operation.is_some_and(|operation| operation.state == OperationState::Parked)
}
