//! What must hold, each with its place in DESIGN. The truth is the PSP's own ledger, never the record.

use pay_once_core::http::Response;
use pay_once_core::invariant;
use pay_once_core::record::Record;
use pay_once_core::running::Tried;
use pay_once_core::state::State;
use pay_once_core::status::Status;
use serde_json::Value;

use super::cell::{AMOUNT_MINOR, Ask, PspClass, TIMING};
use super::digest;
use super::world::{Decision, Scene, World};

/// Durable writes that an undisturbed attempt may need, a rival's request included (DESIGN §3: 5).
const WRITES_BASE: u32 = 6;
/// Money calls that an undisturbed attempt may need: one authorization, one capture or void.
const SENDS_BASE: u32 = 2;

/// Something that must hold and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// Which oracle, with its rule.
    pub(super) oracle: String,
    /// What was seen.
    pub(super) message: String,
}

impl Violation {
    pub(super) fn new(oracle: &str, message: impl Into<String>) -> Self {
        Self {
            oracle: oracle.to_owned(),
            message: message.into(),
        }
    }
}

/// §5: nothing is offered by a blind PSP, nor by one that only honours keys once the horizon is past.
fn offers_nothing(scene: &Scene, world: &World, state: &State) -> bool {
    let sent_ms = state
        .running
        .as_ref()
        .and_then(|running| running.calls.iter().map(|call| call.sent_at_ms).min());
    let past = |horizon_ms: u64| {
        sent_ms.is_some_and(|sent_ms| world.now_ms + TIMING.landed_after_ms() >= sent_ms + horizon_ms)
    };
    match scene.cell.class {
        PspClass::Blind => true,
        PspClass::Keyed => scene.dials.horizon_ms.is_some_and(past),
        PspClass::Stripe | PspClass::Addressable | PspClass::Queryable | PspClass::KeyedQueryable => false,
    }
}

fn ensure(holds: bool, oracle: &str, message: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation::new(oracle, message()))
    }
}

/// What must hold of every state.
pub(super) fn state(scene: &Scene, world: &World) -> Result<(), Violation> {
    let ledger = &world.ledger.it;
    let books = || format!("{:?}", ledger.holds);
    ensure(ledger.live() <= 1, "§1 at most one live authorization", books)?;
    // Stricter than §1: within the fault model no second one is ever made, compensated or not (rule 8).
    ensure(
        ledger.authorizations() <= 1,
        "rule 8: no second authorization, compensated or not",
        books,
    )?;
    ensure(
        ledger.captures().count() <= 1,
        "§1 at most one capture, ever",
        books,
    )?;
    ensure(
        ledger
            .captures()
            .all(|(hold, take)| take.amount <= hold.amount && hold.amount <= AMOUNT_MINOR),
        "§1 at most the authorized amount",
        books,
    )?;
    let none_taken = ledger.captures().next().is_none();
    ensure(
        !world.told.never_taken || none_taken,
        "§1 no answer says that money did not move when it did",
        books,
    )?;
    ensure(
        !world.told.taken || ledger.standing().count() == 1,
        "§1 no answer says that money moved when it did not",
        books,
    )?;
    bounded(scene, world)
}

/// DESIGN §3, “Writes”: what it costs is bounded by what went wrong.
fn bounded(scene: &Scene, world: &World) -> Result<(), Violation> {
    let (budget, left) = (&scene.cell.budget, &world.left);
    let faults = u32::from(budget.faults - left.faults);
    let nudges = u32::from(budget.wakes - left.wakes) + u32::from(budget.webhooks - left.webhooks);
    let (writes, sends) = (u32::from(world.writes), u32::from(world.sends));
    // A fault costs the note of it, the proof, and the next try; a timer, the steps of one operation.
    let most = WRITES_BASE + 3 * (faults + nudges);
    ensure(writes <= most, "§3 bounded writes", || {
        format!("{writes} writes, {faults} faults, {nudges} nudges")
    })?;
    let most = SENDS_BASE + faults + nudges;
    ensure(sends <= most, "§3 bounded money calls", || {
        format!("{sends} money calls, {faults} faults, {nudges} nudges")
    })
}

/// What must hold of every decision: the shared invariants, and that a journal only grows.
pub(super) fn decision(decision: &Decision, base: Option<&Record>) -> Result<(), Violation> {
    let record = &decision.record;
    invariant::check(record).map_err(|(which, what)| Violation::new(which, what))?;
    let bytes = record.encode();
    let read = Record::decode(record.id(), &bytes)
        .map_err(|why| Violation::new("§3 record bytes read back", why.to_string()))?;
    ensure(read == **record, "§3 record bytes read back", || {
        "as another record".to_owned()
    })?;
    ensure(
        base.is_none_or(|base| record.grew_from(base)),
        "§3 a journal only grows",
        || "it was rewritten".to_owned(),
    )
}

/// What must hold of every swap: status never goes back (rule 10).
pub(super) fn swap(world: &World, decision: &Decision) -> Result<(), Violation> {
    let Some(before) = &world.store else { return Ok(()) };
    let (old, new) = (before.state().status, decision.record.state().status);
    ensure(
        new.rank() >= old.rank() && (!old.is_final() || old == new),
        "rule 10: status never goes back",
        || format!("{old:?} became {new:?}"),
    )?;
    ensure(
        decision.record.grew_from(before),
        "§3 a journal only grows",
        || "it was rewritten".to_owned(),
    )
}

/// What must hold of every answer that a client hears: it is true (§1), and a final one is what it was (§2).
pub(super) fn answer(
    world: &mut World,
    ask: &Ask,
    response: &Response,
    record: Option<&Record>,
) -> Result<(), Violation> {
    let body = String::from_utf8_lossy(&response.body).into_owned();
    let said = || format!("{} under {}: {} {body}", ask.what, ask.key, response.status);
    let shown: Value = serde_json::from_slice(&response.body)
        .map_err(|error| Violation::new("§2 an answer is JSON", format!("{error}: {}", said())))?;
    let error = &shown["error"];
    let attempt = if error.is_null() {
        &shown
    } else {
        &error["attempt"]
    };
    ensure(
        response.status < 500,
        "§2 no server error without a fault of the store",
        said,
    )?;
    truth(world, attempt, response.status)
        .map_err(|what| Violation::new("§1 an answer is true", format!("{what}: {}", said())))?;
    let failed = attempt["charge_state"] == "failed" || response.status == 402;
    let in_doubt = matches!(
        attempt["operation"]["state"].as_str(),
        Some("in_doubt" | "parked")
    );
    let status = attempt["status"].as_str().unwrap_or_default();
    ensure(
        !failed || !in_doubt || is_final(status),
        "§1 in doubt is never failed",
        said,
    )?;
    world.told.never_taken |= failed || (error["safe_new_key"] == true && !attempt.is_null());
    world.told.taken |= status == "CAPTURED";
    same_again(world, ask, response, record).map_err(|what| {
        Violation::new(
            "§2 a key's final answer never changes",
            format!("{what}; now {}", said()),
        )
    })
}

fn is_final(status: &str) -> bool {
    [
        Status::Captured,
        Status::Voided,
        Status::Declined,
        Status::Expired,
    ]
    .iter()
    .any(|known| serde_json::to_value(known).is_ok_and(|word| word == status))
}

/// Holds what an answer says against the ledger.
fn truth(world: &World, attempt: &Value, status: u16) -> Result<(), String> {
    let ledger = &world.ledger.it;
    let claim = |holds: bool| {
        if holds {
            Ok(())
        } else {
            Err(format!("the ledger says {:?}", ledger.holds))
        }
    };
    match attempt["status"].as_str() {
        Some("CAPTURED") => {
            let amount = attempt["capture"]["amount"].as_u64();
            claim(ledger.standing().count() == 1 && ledger.standing().all(|take| Some(take.amount) == amount))
        }
        Some("VOIDED" | "EXPIRED") => claim(ledger.live() == 0),
        Some("AUTHORIZED" | "CAPTURING") if status == 200 => claim(ledger.authorizations() >= 1),
        Some("DECLINED") => claim(ledger.captures().next().is_none()),
        _ => Ok(()),
    }
}

/// §2, “Replays”: the final answer to a key, byte for byte.
fn same_again(
    world: &mut World,
    ask: &Ask,
    response: &Response,
    record: Option<&Record>,
) -> Result<(), String> {
    let settled = record
        .and_then(|record| record.state().bound(ask.key))
        .is_some_and(|bound| bound.settled_at.is_some());
    if !settled {
        return Ok(());
    }
    let now = digest::of(&(response.status, &response.body));
    match world.told.finals.iter().find(|(key, _)| *key == ask.key) {
        Some((_, before)) if *before != now => Err("it was another before".to_owned()),
        Some(_) => Ok(()),
        None => {
            world.told.finals.push((ask.key, now));
            world.told.finals.sort_unstable();
            Ok(())
        }
    }
}

/// §1, liveness: where a healed world comes to rest. Final, or never begun, and agreeing with the ledger; parked only
/// where the class offers nothing.
pub(super) fn rest(scene: &Scene, world: &World) -> Result<(), Violation> {
    const ORACLE: &str = "§1 once faults stop it ends, and agrees with the ledger";
    let Some(record) = &world.store else {
        let untouched = world.ledger.it.holds.is_empty();
        return ensure(untouched, ORACLE, || {
            "no record, but the ledger has one".to_owned()
        });
    };
    let state = record.state();
    let parked = state
        .running
        .as_ref()
        .is_some_and(|running| running.parked.is_some());
    if parked && offers_nothing(scene, world, state) {
        let calls = state.running.iter().flat_map(|running| &running.calls);
        let left = calls
            .filter(|call| !matches!(call.tried, Tried::NotSent { .. }))
            .count();
        return ensure(left > 0 || !scene.cell.strict, "§1 parked is an unknown", || {
            format!(
                "{:?} is parked, though nothing of it can have left: {:?}",
                state.status, state.running
            )
        });
    }
    let ledger = &world.ledger.it;
    let taken = usize::from(state.status == Status::Captured);
    let agrees = ledger.standing().count() == taken && ledger.open() == 0 && ledger.live() == taken;
    let ended = state.running.is_none() && (state.status.is_final() || state.status == Status::Created);
    ensure(ended && agrees, ORACLE, || {
        format!(
            "{:?}, parked {parked}, running {:?}; the ledger: {:?}",
            state.status, state.running, ledger.holds
        )
    })
}
