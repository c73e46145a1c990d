//! What must hold, each with its page of `docs/`. The truth is the PSP's own ledger, never the record.

use pay_once_core::journal::invariant;
use pay_once_core::journal::running::CurrentOperation;
use pay_once_core::journal::state::State;
use pay_once_core::{Record, Response, Status};
use pay_once_psp_model::{Hold, Ledger};
use serde_json::Value;

use super::cell::{AMOUNT_MINOR, Ask};
use super::digest;
use super::world::{Decision, Scene, World};

/// Durable writes that an undisturbed attempt may need, a rival's request included (`docs/store.md`, “Writes”: 5).
const WRITES_BASE: u32 = 6;
/// Sendings under one key until its horizon, with growing pauses.
const RESENDS: u32 = 12;
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

pub(super) fn ensure(holds: bool, oracle: &str, message: impl FnOnce() -> String) -> Result<(), Violation> {
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
    // What the PSP executes twice, nobody can prevent: it is undone (`rest`).
    let most = 1 + usize::from(ledger.twices);
    ensure(
        ledger.live() <= most,
        "promise: at most one live authorization",
        books,
    )?;
    // Stricter than the promise: within the fault model no second one is ever made, compensated or not (rule 8).
    ensure(
        ledger.authorizations() <= most,
        "rule 8: no second authorization, compensated or not",
        books,
    )?;
    ensure(
        ledger.captures() <= most,
        "promise: at most one capture, ever",
        books,
    )?;
    ensure(
        ledger
            .takes()
            .all(|(hold, take)| take.amount <= hold.amount && hold.amount <= AMOUNT_MINOR),
        "promise: at most the authorized amount",
        books,
    )?;
    ensure(
        ledger.takes().all(|(_, take)| take.backs.len() <= 1),
        "rule 8: money is conserved, and nothing is given back twice",
        books,
    )?;
    let none_taken = ledger.captures() == 0;
    ensure(
        !world.told.never_taken || none_taken,
        "promise: no answer says that money did not move when it did",
        books,
    )?;
    let standing = ledger.taken();
    ensure(
        !world.told.taken || (1..=most).contains(&standing),
        "promise: no answer says that money moved when it did not",
        books,
    )?;
    bounded(scene, world)
}

/// `docs/store.md`, “Writes”: what it costs is bounded by what went wrong.
fn bounded(scene: &Scene, world: &World) -> Result<(), Violation> {
    let (budget, left) = (&scene.cell.budget, &world.left);
    // A key under which the PSP keeps an answer that says nothing is asked up to its horizon.
    let is_by_hand = world.ledger.it.ours().any(|hold| hold.is_by_hand);
    let faults = budget.faults_of(left) + if is_by_hand { RESENDS } else { 0 };
    let nudges = budget.nudges_of(left);
    let (writes, sends) = (u32::from(world.writes), u32::from(world.sends));
    // A fault costs the note of it, the proof, and the next try; a timer, the steps of one operation.
    let most = WRITES_BASE + 3 * (faults + nudges);
    ensure(writes <= most, "store: bounded writes", || {
        format!("{writes} writes, {faults} faults, {nudges} nudges")
    })?;
    let most = SENDS_BASE + faults + nudges;
    ensure(sends <= most, "store: bounded money calls", || {
        format!("{sends} money calls, {faults} faults, {nudges} nudges")
    })
}

/// Rule 13: what another installation made is never taken for the attempt's own.
pub(super) fn foreign_is_left_alone(ledger: &Ledger, state: &State) -> Result<(), Violation> {
    let is_adopted = |id: &str| {
        let acts_on = |running: &CurrentOperation| {
            let aimed = running.calls.iter().filter_map(|call| call.target.as_deref());
            aimed.chain(running.target.as_deref()).any(|target| target == id)
        };
        let captured = state
            .capture
            .as_ref()
            .map(|capture| capture.psp_reference.as_str());
        state.own_reference() == Some(id)
            || captured == Some(id)
            || state.knowledge.names(id)
            || state.running.as_ref().is_some_and(acts_on)
    };
    let ids = |hold: &Hold| {
        let takes: Vec<String> = hold.takes.iter().map(|take| take.id.clone()).collect();
        std::iter::once(hold.id.clone()).chain(takes)
    };
    let adopted = ledger.foreign().flat_map(ids).find(|id| is_adopted(id));
    ensure(
        adopted.is_none(),
        "rule 13: what is foreign is never adopted",
        || format!("{adopted:?} is in {state:?}"),
    )
}

/// What must hold of every decision: the shared invariants, and that a journal only grows.
pub(super) fn decision(decision: &Decision, base: Option<&Record>) -> Result<(), Violation> {
    let record = &decision.record;
    invariant::check(record).map_err(|(which, what)| Violation::new(which, what))?;
    let bytes = record.encode();
    let read = Record::decode(record.id(), &bytes)
        .map_err(|why| Violation::new("store: record bytes read back", why.to_string()))?;
    ensure(read == **record, "store: record bytes read back", || {
        "as another record".to_owned()
    })?;
    ensure(
        base.is_none_or(|base| record.grew_from(base)),
        "store: a journal only grows",
        || "it was rewritten".to_owned(),
    )
}

/// What must hold of every swap: status never goes back (rule 10).
pub(super) fn swap(world: &World, decision: &Decision) -> Result<(), Violation> {
    let Some(before) = &world.store else { return Ok(()) };
    let (old, new) = (before.state().status, decision.record.state().status);
    ensure(new.may_follow(old), "rule 10: status never goes back", || {
        format!("{old:?} became {new:?}")
    })?;
    ensure(
        decision.record.grew_from(before),
        "store: a journal only grows",
        || "it was rewritten".to_owned(),
    )
}

/// What must hold of every answer that a client hears: it is true (`docs/promise.md`), and a final one is what it was
/// (`docs/http.md`, “Replays”).
pub(super) fn answer(
    world: &mut World,
    ask: &Ask,
    response: &Response,
    record: Option<&Record>,
) -> Result<(), Violation> {
    let body = String::from_utf8_lossy(&response.body).into_owned();
    let said = || format!("{} under {}: {} {body}", ask.what, ask.key, response.status);
    let shown: Value = serde_json::from_slice(&response.body)
        .map_err(|error| Violation::new("http: an answer is JSON", format!("{error}: {}", said())))?;
    let error = at(&shown, "/error");
    let attempt = if error.is_null() {
        &shown
    } else {
        at(error, "/attempt")
    };
    let is_rejected = response.status == 502 && *at(error, "/code") == "PSP_REJECTED_REQUEST";
    ensure(
        response.status < 500 || is_rejected,
        "http: no server error without a fault of the store",
        said,
    )?;
    ensure(
        !is_rejected || is_undone(world, at(attempt, "/status").as_str()),
        "rule 9: rejected means that nothing was done",
        said,
    )?;
    nothing_foreign(world, attempt)?;
    truth(world, attempt, response.status)
        .map_err(|what| Violation::new("promise: an answer is true", format!("{what}: {}", said())))?;
    let failed = *at(attempt, "/charge_state") == "failed" || response.status == 402;
    let in_doubt = matches!(
        at(attempt, "/operation/state").as_str(),
        Some("in_doubt" | "parked")
    );
    let status = at(attempt, "/status").as_str().unwrap_or_default();
    ensure(
        !failed || !in_doubt || is_final(status),
        "promise: in doubt is never failed",
        said,
    )?;
    world.told.never_taken |= failed || (*at(error, "/safe_new_key") == true && !attempt.is_null());
    world.told.taken |= status == "CAPTURED";
    same_again(world, ask, response, record).map_err(|what| {
        Violation::new(
            "http: a key's final answer never changes",
            format!("{what}; now {}", said()),
        )
    })
}

/// An answer to an operator: it is true, as any.
pub(super) fn shown(world: &World, response: &Response) -> Result<(), Violation> {
    let shown: Value = serde_json::from_slice(&response.body)
        .map_err(|error| Violation::new("http: an answer is JSON", error.to_string()))?;
    let inside = at(&shown, "/error/attempt");
    let attempt = if inside.is_null() { &shown } else { inside };
    truth(world, attempt, response.status)
        .map_err(|what| Violation::new("promise: an answer is true", format!("{what}: {shown}")))?;
    nothing_foreign(world, attempt)
}

/// What a rejection promises: the operation has no effect, and none of it is on its way.
fn is_undone(world: &World, status: Option<&str>) -> bool {
    let ledger = &world.ledger.it;
    match status {
        Some("CREATED") => ledger.authorizations() == 0,
        Some("AUTHORIZED") => ledger.captures() == 0,
        _ => true,
    }
}

/// Rule 13: no answer shows a foreign object, but for the reason why something is parked.
fn nothing_foreign(world: &World, attempt: &Value) -> Result<(), Violation> {
    let mut shown = attempt.clone();
    if let Some(operation) = shown.pointer_mut("/operation").and_then(Value::as_object_mut) {
        operation.remove("reason");
    }
    let text = shown.to_string();
    let id = world.ledger.it.foreign().find(|hold| text.contains(&hold.id));
    ensure(id.is_none(), "rule 13: what is foreign is never shown", || text)
}

/// What is at a path of a JSON value; null if nothing is.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
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
    match at(attempt, "/status").as_str() {
        Some("CAPTURED") => {
            let amount = at(attempt, "/capture/amount").as_u64();
            let most = 1 + usize::from(ledger.twices);
            let is_one = (1..=most).contains(&ledger.taken());
            claim(is_one && ledger.standing().any(|take| Some(take.amount) == amount))
        }
        // What was executed twice is undone once it is known.
        Some("VOIDED" | "EXPIRED") => claim(ledger.live() <= usize::from(ledger.twices)),
        Some("AUTHORIZED" | "CAPTURING") if status == 200 => claim(ledger.authorizations() >= 1),
        Some("DECLINED") => claim(ledger.captures() == 0),
        _ => Ok(()),
    }
}

/// `docs/http.md`, “Replays”: the final answer to a key, byte for byte.
fn same_again(
    world: &mut World,
    ask: &Ask,
    response: &Response,
    record: Option<&Record>,
) -> Result<(), String> {
    let settled = record
        .and_then(|record| record.state().bound(ask.key))
        .is_some_and(|bound| bound.finalized_at.is_some());
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
