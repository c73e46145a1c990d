//! An honest operator: reads the PSP's books once nothing is on its way any more, and says what is true there.

use pay_once_core::journal::entry::Operation;
use pay_once_core::journal::running::CurrentOperation;
use pay_once_core::journal::state::State;
use pay_once_core::{Record, Reply};
use pay_once_psp_model::{Ledger, Stand};
use serde_json::{Value, json};

use super::apply::Turn;
use super::oracle::Violation;
use super::world::{Origin, Phase, World};

/// Most resolutions of one attempt.
pub(super) const RESOLUTIONS_MAX: u8 = 12;

impl Turn<'_> {
    /// The operator asks, and the server decides at once: whether an operation is parked cannot change in between.
    pub(super) fn operator(&mut self, server: usize) -> Result<(), Violation> {
        let Some(record) = self.world.store.clone() else {
            return Err(Violation::new("explorer", "nothing to resolve"));
        };
        let state = record.state();
        if is_open(state) {
            self.lab.covered.operator_resolved += 1;
        } else {
            self.lab.covered.operator_asked_too_early += 1;
        }
        self.world.left.operators = self.world.left.operators.saturating_sub(1);
        let key = format!("op-{}", self.world.resolved);
        self.world.resolved = self.world.resolved.saturating_add(1);
        let Some(mut body) = truth(&self.world.ledger.it, state) else {
            return Err(Violation::new("explorer", "the operator cannot tell yet"));
        };
        let (operation, generation) = parking(state);
        if let Some(members) = body.as_object_mut() {
            members.insert("operation".to_owned(), operation.as_str().into());
            members.insert("generation".to_owned(), generation.into());
            members.insert("reason".to_owned(), "as the PSP's books say".into());
        }
        let headers: [(&str, &[u8]); 2] = [
            ("idempotency-key", key.as_bytes()),
            ("authorization", b"Bearer key_of_ann"),
        ];
        let target = format!("/attempts/{}/resolve", self.scene.id);
        let input = self.routed(server, &target, &headers, body.to_string().as_bytes())?;
        match input {
            Some(input) => self.decide(server, Origin::Operator, input),
            None => Ok(()),
        }
    }
}

/// Whether there is something that an operator can say now: too early, or honestly.
pub(super) fn may_ask(world: &World, server: usize) -> bool {
    let Some(record) = &world.store else { return false };
    let state = record.state();
    let is_up = world
        .servers
        .get(server)
        .is_some_and(|server| !server.paused && !server.has_turn());
    let is_early = !is_open(state) && state.running.is_some();
    let has_truth = truth(&world.ledger.it, state).is_some();
    is_up && has_truth && (is_early || (is_open(state) && is_quiet(world)))
}

/// Whether nothing is on its way: what the books say now is what they will say.
fn is_quiet(world: &World) -> bool {
    let is_idle = |phase: &Phase| matches!(phase, Phase::Waiting { .. });
    let jobs = world.servers.iter().flat_map(|server| &server.jobs);
    world.flying.is_empty()
        && world.held.is_empty()
        && world.slow_swap.is_none()
        && jobs.map(|(_, job)| &job.phase).all(is_idle)
}

/// Whether an operator's word is wanted.
pub(super) fn is_open(state: &State) -> bool {
    state.parking().is_some()
}

/// What a word is about: what is parked, or, too early, what is under way.
fn parking(state: &State) -> (Operation, u64) {
    let too_early = state
        .running
        .as_ref()
        .map_or(Operation::Capture, |running| running.operation);
    state
        .parking()
        .map_or((too_early, 1), |(operation, version)| (operation, version.get()))
}

/// What is true of the operation, as the body of a resolution. `None` while that is not decided at the PSP.
fn truth(ledger: &Ledger, state: &State) -> Option<Value> {
    let Some(running) = &state.running else {
        return Some(json!({"outcome": "happened"}));
    };
    let happened = |reference: &str| json!({"outcome": "happened", "psp_reference": reference});
    let did_not = json!({"outcome": "did_not_happen"});
    Some(match running.operation {
        Operation::Authorize => {
            if ledger.waits_for_customer() {
                return None;
            }
            let is_held = |stand: Stand| matches!(stand, Stand::Open | Stand::Taken | Stand::Gone);
            let hold = ledger.ours().find(|hold| is_held(hold.stand));
            hold.map_or(did_not, |hold| happened(&hold.id))
        }
        Operation::Capture => {
            let take = ledger.standing().next();
            take.map_or(did_not, |take| happened(&take.id))
        }
        Operation::Void => {
            let is_gone = target(state, running).is_some_and(|target| is_released(ledger, target));
            if is_gone {
                json!({"outcome": "happened"})
            } else {
                did_not
            }
        }
        Operation::Refund => {
            let is_back = target(state, running).is_some_and(|target| is_given_back(ledger, target));
            if is_back {
                json!({"outcome": "happened"})
            } else {
                did_not
            }
        }
    })
}

fn target<'a>(state: &'a State, running: &'a CurrentOperation) -> Option<&'a str> {
    running.target.as_deref().or(state.own_reference())
}

fn is_released(ledger: &Ledger, id: &str) -> bool {
    let mut holds = ledger.ours();
    holds.any(|hold| hold.id == id && matches!(hold.stand, Stand::Gone | Stand::Abandoned))
}

fn is_given_back(ledger: &Ledger, id: &str) -> bool {
    ledger.takes().any(|(_, take)| take.id == id && !take.stands())
}

/// What an operator must be told: a refusal before anything is parked, and no refusal after.
pub(super) fn answer(record: Option<&Record>, reply: &Reply) -> Result<(), Violation> {
    const ORACLE: &str = "an operator ends what is parked, and nothing else";
    let Reply::Now(response) = reply else {
        return Ok(());
    };
    let is_open = record.is_some_and(|record| is_open(record.state()));
    let is_right = if is_open {
        response.status < 300
    } else {
        response.status == 409
    };
    if is_right {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&response.body);
    Err(Violation::new(
        ORACLE,
        format!("parked or not: {is_open}; the answer: {} {said}", response.status),
    ))
}
