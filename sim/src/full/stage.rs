//! What all hosts of a run share: its time, its randomness, its durable state and its notebook. It lives outside the
//! hosts, so that no crash touches it. No connection may ever be kept here.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::met::{Met, Sometimes};
use crate::plan::{Host, Plan};
use crate::rng::{Concern, Draw};
use crate::seen::PspCall;
use crate::trace::{Kind, Trace, TraceLine};

use super::TICK_MS;
use super::hosts::clients::Clients;
use super::hosts::psp::Bank;
use super::hosts::server::Process;
use super::hosts::store::Rows;

/// The shared part of a run.
pub(super) struct Stage {
    /// The plan.
    pub(super) plan: Plan,
    /// The time of the step under way.
    now_ms: Cell<u64>,
    trace: RefCell<Trace>,
    met: RefCell<Met>,
    /// What no oracle sees and may not be.
    broken: RefCell<Vec<String>>,
    /// Identifiers that servers make; a restart does not draw them again.
    pub(super) entropy: RefCell<Draw>,
    /// The load balancer's choices.
    pub(super) choices: RefCell<Draw>,
    /// The store.
    pub(super) rows: RefCell<Rows>,
    /// The PSP.
    pub(super) bank: RefCell<Bank>,
    /// The servers' processes.
    pub(super) processes: Vec<Process>,
    /// Calls that can move money as servers came to send them.
    pub(super) sends: RefCell<Vec<PspCall>>,
    /// How many calls of an attempt ended without its server's knowing what came of them.
    pub(super) unknown: RefCell<BTreeMap<String, u64>>,
    /// Webhooks that were acknowledged: when, and their bodies.
    pub(super) acknowledged: RefCell<Vec<(u64, Vec<u8>)>>,
    /// What clients do and heard.
    pub(super) clients: RefCell<Clients>,
    /// Replays that are on: how often, and how much later at most.
    pub(super) replays: RefCell<Vec<(u16, u64)>>,
}

impl Stage {
    /// Before the first step.
    pub(super) fn new(plan: &Plan, is_traced: bool) -> Rc<Self> {
        let seed = plan.world.seed;
        Rc::new(Self {
            now_ms: Cell::new(0),
            trace: RefCell::new(Trace::new(is_traced)),
            met: RefCell::default(),
            broken: RefCell::default(),
            entropy: RefCell::new(Draw::new(seed, Concern::Entropy)),
            choices: RefCell::new(Draw::new(seed, Concern::Balancer)),
            rows: RefCell::new(Rows::new(seed)),
            bank: RefCell::new(Bank::new(&plan.world)),
            processes: plan.world.clocks_ms.iter().map(|_| Process::default()).collect(),
            sends: RefCell::default(),
            acknowledged: RefCell::default(),
            unknown: RefCell::default(),
            clients: RefCell::new(Clients::default()),
            replays: RefCell::default(),
            plan: plan.clone(),
        })
    }

    /// The time of the step under way, in milliseconds from the start. All hosts of a step see the same time: turmoil
    /// ticks them one after the other, so that finer times would let a message arrive before it was sent.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// A step begins.
    pub(super) fn set_now(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
    }

    /// Returns in the first step at `at_ms` or later.
    pub(super) async fn sleep_until(&self, at_ms: u64) {
        while self.now_ms() < at_ms {
            let step_at_ms = at_ms.div_ceil(TICK_MS).saturating_mul(TICK_MS);
            let elapsed = turmoil::sim_elapsed().unwrap_or_default();
            let rest = Duration::from_millis(step_at_ms).saturating_sub(elapsed);
            tokio::time::sleep(rest.max(Duration::from_millis(1))).await;
        }
    }

    /// Returns so many milliseconds later.
    pub(super) async fn sleep(&self, ms: u64) {
        self.sleep_until(self.now_ms().saturating_add(ms)).await;
    }

    /// Something happened at a host.
    pub(super) fn note(&self, at: Host, kind: Kind, text: impl FnOnce() -> String) {
        self.trace.borrow_mut().mark(self.now_ms(), at, kind, text);
    }

    /// A message is sent or arrives.
    pub(super) fn pass(&self, from: Host, to: Host, text: impl FnOnce() -> String) {
        let now_ms = self.now_ms();
        self.trace
            .borrow_mut()
            .message(now_ms, Some(now_ms), (from, to), text);
    }

    /// Something that may not be.
    pub(super) fn broke(&self, what: String) {
        self.broken.borrow_mut().push(what);
    }

    /// It was met once more.
    pub(super) fn meet(&self, what: Sometimes) {
        self.met.borrow_mut().meet(what);
    }

    /// The notebook, when all is over: what happened, what was met, what may not be.
    pub(super) fn take_notes(&self) -> (Vec<TraceLine>, Met, Vec<String>) {
        (
            self.trace.borrow_mut().take(),
            self.met.take(),
            self.broken.take(),
        )
    }
}
