//! Tier 2: the full stack. The server loop that is in production, on turmoil's hosts and network, with the store, the
//! PSP and the load balancer around it. A run is a function of (plan, code), to the byte.

mod faults;
mod hosts;
mod panics;
mod stage;
mod wire;

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use turmoil::{Builder, Sim};

use crate::plan::{Host, Plan};
use crate::seen::Run;
use crate::trace::Traced;
use crate::world::EPOCH_MS;
use faults::Faults;
use hosts::store::attempt;
use stage::Stage;

/// Length of a step, in milliseconds. A message takes none or one of them; within one, all hosts see the same time.
const TICK_MS: u64 = 10;
/// How steeply long latencies get rare (turmoil's own is 5). A message that is not in time for its step loses a whole
/// one, so that more than two in a hundred would make answers slower than the network they model.
const LATENCY_CURVE: f64 = 8.0;
/// How long after healing everything may take to end, in milliseconds, whatever the plan says: a step of the clock takes time.
const LIVENESS_MS: u64 = 45_000;
/// How long what wants to be woken is waited for when all else is over, in milliseconds.
const GRACE_MS: u64 = 10_000;
/// How long the last looks may take, in milliseconds.
const LAST_LOOKS_MS: u64 = 6_000;
/// How often it is seen whether a run is over, in milliseconds.
const JUDGE_EVERY_MS: u64 = 50;

/// Runs a plan. Judges nothing: what was seen is for oracles. The trace is kept only if `is_traced`.
#[must_use]
pub fn run(plan: &Plan, is_traced: bool) -> Traced {
    panics::watch();
    let stage = Stage::new(plan, is_traced);
    let ran = catch_unwind(AssertUnwindSafe(|| play(&stage)));
    let mut broken = panics::seen();
    match ran {
        Ok(Ok(())) => {}
        Ok(Err(error)) => broken.push(format!("a host ended: {error}")),
        Err(_) => broken.push("the simulation panicked".to_owned()),
    }
    let (trace, met, mut unwelcome) = stage.take_notes();
    broken.append(&mut unwelcome);
    let clients = stage.clients.take();
    let mut heard = clients.heard;
    for buyer in clients.buyers {
        heard.extend(buyer.last);
        heard.extend(buyer.once_more);
    }
    let objects = stage.bank.borrow().objects();
    let twice = stage.bank.borrow().executed_twice();
    let (psp_calls, ledger) = stage.bank.borrow_mut().take();
    let rows = stage.rows.borrow();
    let run = Run {
        lost: std::collections::BTreeMap::new(),
        plan: plan.clone(),
        heard,
        ledger,
        psp_calls,
        sends: stage.sends.take(),
        acknowledged: stage.acknowledged.take(),
        unknown: stage.unknown.take(),
        objects,
        twice,
        writes: rows
            .all
            .iter()
            .map(|(id, row)| (attempt(*id), row.writes))
            .collect(),
        records: rows
            .all
            .iter()
            .map(|(id, row)| (attempt(*id), row.bytes.clone()))
            .collect(),
        ended_ms: stage.now_ms(),
        met,
        broken,
        journals: OnceCell::new(),
        events: OnceCell::new(),
    };
    Traced { run, trace }
}

/// From the first step to the last.
fn play(stage: &Rc<Stage>) -> turmoil::Result {
    let mut sim = set_up(stage);
    let mut faults = Faults::new(stage);
    let heal_ms = stage.plan.world.heal_ms;
    let patient_until_ms = heal_ms.saturating_add(LIVENESS_MS.min(stage.plan.world.patience_ms));
    let end_ms = patient_until_ms.saturating_add(LAST_LOOKS_MS);
    let mut over_since_ms = None;
    let mut now_ms = 0;
    while now_ms <= end_ms {
        stage.set_now(now_ms);
        faults.strike(&mut sim);
        sim.step()?;
        now_ms += TICK_MS;
        if now_ms < heal_ms || now_ms % JUDGE_EVERY_MS != 0 {
            continue;
        }
        if stage.clients.borrow().buyers.iter().all(|buyer| buyer.is_done) {
            break;
        }
        // What has not ended by now is looked at as it stands.
        if now_ms >= patient_until_ms {
            stage.clients.borrow_mut().is_last_round = true;
        } else if is_over(stage, now_ms) {
            let since_ms = *over_since_ms.get_or_insert(now_ms);
            let is_asleep = stage
                .rows
                .borrow()
                .all
                .values()
                .all(|row| row.wake_at_ms.is_none());
            if is_asleep || now_ms >= since_ms + GRACE_MS {
                stage.clients.borrow_mut().is_last_round = true;
            }
        }
    }
    Ok(())
}

/// Whether clients have seen an end everywhere and nothing is on its way.
fn is_over(stage: &Stage, now_ms: u64) -> bool {
    let world = &stage.plan.world;
    let bank = stage.bank.borrow();
    let clients = stage.clients.borrow();
    let mut buyers = clients.buyers.iter();
    buyers.all(|buyer| buyer.is_settled && buyer.todo == 0)
        && bank.landings == 0
        && bank.webhooks == 0
        && stage.rows.borrow().late == 0
        && now_ms >= world.heal_ms + world.truth.max_in_flight_ms
}

/// The hosts, in the order of a request's way: what is sent along it arrives within the step, what comes back takes
/// one step a hop.
fn set_up(stage: &Rc<Stage>) -> Sim<'static> {
    let world = &stage.plan.world;
    let mut sim = Builder::new()
        .rng_seed(world.seed)
        .epoch(UNIX_EPOCH + Duration::from_millis(EPOCH_MS))
        .tick_duration(Duration::from_millis(TICK_MS))
        .min_message_latency(Duration::from_millis(world.net_ms.0))
        .max_message_latency(Duration::from_millis(world.net_ms.1))
        .tcp_capacity(1_024)
        .build();
    sim.set_message_latency_curve(LATENCY_CURVE);
    let shared = || Rc::clone(stage);
    let clients = shared();
    sim.host(hosts::name(Host::Clients), move || {
        hosts::clients::run(Rc::clone(&clients))
    });
    let balancer = shared();
    sim.host(hosts::name(Host::Balancer), move || {
        hosts::balancer::run(Rc::clone(&balancer))
    });
    for server in 0..stage.processes.len() {
        let shared = shared();
        sim.host(hosts::name(Host::Server(server)), move || {
            hosts::server::run(Rc::clone(&shared), server)
        });
    }
    let psp = shared();
    sim.host(hosts::name(Host::Psp), move || hosts::psp::run(Rc::clone(&psp)));
    let store = shared();
    sim.host(hosts::name(Host::Store), move || {
        hosts::store::run(Rc::clone(&store))
    });
    sim
}
