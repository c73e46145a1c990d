//! Where a healed world comes to rest: what must hold there, with the PSP's ledger as the truth.

use pay_once_core::journal::entry::{Conclusion, Fact, Operation};
use pay_once_core::journal::evidence::EffectKind;
use pay_once_core::journal::running::{CurrentOperation, DeliveryState};
use pay_once_core::journal::state::State;
use pay_once_core::{Record, Status};
use pay_once_psp_model::{Hold, Ledger, Stand, Take};

use super::cell::{PspClass, TIMING};
use super::mix::Mix;
use super::oracle::{Violation, ensure};
use super::world::{IN_TIME_MS, Scene, World};

const ORACLE: &str = "promise: once faults stop it ends, and agrees with the ledger";

/// Liveness: final, or never begun, and agreeing with the ledger; parked only where nothing more can be found out.
pub(super) fn rest(scene: &Scene, world: &World) -> Result<(), Violation> {
    let ledger = &world.ledger.it;
    let Some(record) = &world.store else {
        let untouched = ledger.ours().next().is_none();
        return ensure(untouched, ORACLE, || {
            "no record, but the ledger has one".to_owned()
        });
    };
    let state = record.state();
    in_time(scene, world, state)?;
    amount_is_shown(ledger, record)?;
    if let Some(running) = state.running.as_ref().filter(|running| running.parked.is_some())
        && may_be_parked(scene, world, running)
    {
        // An operator who says what is true ends it (`heal`); there nothing stays parked.
        let left = running
            .calls
            .iter()
            .filter(|call| !matches!(call.delivery, DeliveryState::NotSent { .. }))
            .count();
        ensure(
            scene.cell.mix != Mix::Operator,
            "an operator ends what is parked",
            || format!("{running:?}; the ledger: {:?}", ledger.holds),
        )?;
        return ensure(
            left > 0 || !scene.cell.strict,
            "promise: parked is an unknown",
            || {
                format!(
                    "{:?} is parked, though nothing of it can have left: {:?}",
                    state.status, state.running
                )
            },
        );
    }
    unwanted_is_undone(ledger, record)?;
    let taken = usize::from(state.status == Status::Captured);
    let is_known_hold =
        |hold: &&Hold| ledger.twices == 0 || is_certain(state, EffectKind::Authorize, &hold.id);
    let is_known_take = |take: &&Take| ledger.twices == 0 || is_certain(state, EffectKind::Capture, &take.id);
    let standing = ledger.standing().filter(is_known_take).count();
    let open = |hold: &&Hold| hold.stand == Stand::Open;
    let open = ledger.ours().filter(open).filter(is_known_hold).count();
    let ended = state.running.is_none() && (state.status.is_final() || state.status == Status::Created);
    ensure(ended && standing == taken && open == 0, ORACLE, || {
        format!(
            "{:?}, running {:?}; the ledger: {:?}",
            state.status, state.running, ledger.holds
        )
    })
}

/// Whether this class has no way left to find out: a blind PSP; one that only honours keys, once the key is past its horizon or
/// can tell nothing more; an object of which only an operator can say whose it is.
fn may_be_parked(scene: &Scene, world: &World, running: &CurrentOperation) -> bool {
    let sent_ms = running.calls.iter().map(|call| call.sent_at_ms.get()).min();
    let past = |horizon_ms: u64| {
        sent_ms.is_some_and(|sent_ms| world.now_ms + TIMING.landed_after_ms().get() >= sent_ms + horizon_ms)
    };
    let is_over_foreign = || {
        let reason = running.parked.as_ref().map_or("", |parked| &parked.reason);
        world.ledger.it.foreign().any(|hold| reason.contains(&hold.id))
    };
    match scene.cell.class {
        PspClass::Blind => true,
        PspClass::Keyed => {
            world.ledger.it.dials.horizon_ms.is_some_and(past)
                || running.key_is_useless
                || running.refused.is_some()
        }
        PspClass::Stripe | PspClass::Addressable | PspClass::Queryable | PspClass::KeyedQueryable => {
            is_over_foreign()
        }
    }
}

/// A customer who has certainly finished in time is not told EXPIRED where the PSP can be asked, unless the authorization was seen
/// and lapsed unused.
fn in_time(scene: &Scene, world: &World, state: &State) -> Result<(), Violation> {
    let Some((finished_ms, deadline_ms)) = world.finished_ms.zip(world.deadline_ms()) else {
        return Ok(());
    };
    let was_in_time = finished_ms + IN_TIME_MS < deadline_ms;
    let is_lost = state.status == Status::Expired && state.authorization.is_none();
    ensure(
        !(was_in_time && is_lost && scene.cell.class.can_be_asked()),
        "rule 10: a 3-D Secure that was finished in time is not given up",
        || format!("finished {} ms before its deadline", deadline_ms - finished_ms),
    )
}

/// Rule 14: what is shown as captured is what the ledger has, and a difference from what was asked for is shown with both figures.
fn amount_is_shown(ledger: &Ledger, record: &Record) -> Result<(), Violation> {
    const ORACLE: &str = "rule 14: another captured amount is never taken silently";
    let state = record.state();
    let Some(capture) = state.capture.as_ref() else {
        return Ok(());
    };
    let shown = state.mismatch_shown.as_ref();
    let shown_minor = shown.map_or(capture.amount_minor, |mismatch| mismatch.captured.amount_minor);
    let is_true = ledger.standing().any(|take| take.amount == shown_minor);
    ensure(is_true, ORACLE, || {
        format!("{shown_minor} is shown; the ledger: {:?}", ledger.holds)
    })?;
    let before = (0..record.entries().len())
        .map(|index| record.state_at(index))
        .take_while(|state| state.status != Status::Captured)
        .last();
    let asked = before.as_ref().and_then(|state| state.running.as_ref());
    let asked_minor = asked.filter(|running| running.operation == Operation::Capture);
    let differs = asked_minor.is_some_and(|running| running.amount_minor != shown_minor);
    ensure(!differs || shown.is_some(), ORACLE, || {
        format!("{asked_minor:?} was asked for, {shown_minor} is shown, and no difference")
    })
}

/// Rule 8: of several effects that evidence proves to be different, all but one are undone, in the timeline and counted.
fn unwanted_is_undone(ledger: &Ledger, record: &Record) -> Result<(), Violation> {
    const ORACLE: &str = "rule 8: an effect too many is undone, shown and counted";
    if ledger.twices == 0 {
        return Ok(());
    }
    let state = record.state();
    let parked = state.running.is_some();
    ensure(parked || state.pending_compensations().is_empty(), ORACLE, || {
        format!("{:?} are still to be undone", state.pending_compensations())
    })?;
    let counted = |operation: Operation| {
        let is_of = |fact: &Fact| matches!(fact, Fact::Inferred { conclusion: Conclusion::Unwanted { operation: of, .. } } if *of == operation);
        record.entries().iter().filter(|entry| is_of(&entry.fact)).count()
    };
    let kinds = [
        (EffectKind::Authorize, Operation::Void),
        (EffectKind::Capture, Operation::Refund),
    ];
    for (kind, operation) in kinds {
        let seen = state.knowledge.distinct(kind).len();
        let counted = counted(operation);
        // Of authorizations that were captured, the captures are what is to be undone.
        let by_capture = state.knowledge.distinct(EffectKind::Capture).len();
        ensure(counted + 1 >= seen || by_capture >= seen, ORACLE, || {
            format!("{seen} of {kind:?} are certain, {counted} were counted")
        })?;
    }
    Ok(())
}

/// Whether the record has evidence that the effect is one of its own. One name alone proves nothing beside the kept effect's: an
/// acquirer's answers and notices may name an effect otherwise than its listing does.
fn is_certain(state: &State, kind: EffectKind, id: &str) -> bool {
    let distinct = state.knowledge.distinct(kind);
    let kept = match kind {
        EffectKind::Capture => state
            .capture
            .as_ref()
            .map(|capture| capture.psp_reference.as_str()),
        _ => state.own_reference(),
    };
    kept == Some(id) || (distinct.len() > 1 && distinct.contains(id))
}
