//! Tier 1: a discrete-event simulation around the real core. No async and no sockets: many servers, clients, a load
//! balancer, a store and the sandbox PSP's pure logic, each message an event in one queue.
//!
//! The loop is core's own. Its hosts come in three shapes (`shapes.rs`): long-lived servers, one object an attempt, and instances
//! that do not live long.

mod clients;
mod events;
mod faults;
mod process;
mod psp;
mod restore;
mod server;
mod shapes;
mod steps;
mod store;
mod strangers;
mod ways;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use pay_once_core::{AttemptId, Config, Entropy};
use pay_once_sandbox::{Sandbox, Timed};

use crate::met::{Met, Sometimes};
use crate::plan::{Act, Host, Plan};
use crate::rng::{Concern, Draw};
use crate::seen::{Heard, Lost, PspCall, Run};
use crate::shopper::{Ask, Shopper};
use crate::trace::{Kind, Trace, Traced};
use crate::world::{EPOCH_MS, config, psp_settings};

use events::{Event, Http, Queued, ReplyTo, attempt_in};
use faults::Faults;
use process::Server;
use store::Store;

/// Most events of a run, some hundred times what a run of days has. What needs more never rests.
const EVENTS_MAX: u64 = 1_500_000;
/// Base of the PSP's addresses.
const PSP_URL: &str = "http://psp";

/// Carries a plan out. The trace is kept only if `is_traced`.
#[must_use]
pub fn run(plan: &Plan, is_traced: bool) -> Traced {
    let mut sim = Sim::new(plan, is_traced);
    sim.carry_out();
    sim.end()
}

/// The whole world of one run.
pub(crate) struct Sim<'a> {
    plan: &'a Plan,
    config: Config,
    /// Milliseconds from the start.
    now_ms: u64,
    queue: BinaryHeap<Queued>,
    queued: u64,
    happened: u64,
    entropy: Draw,
    psp_draw: Draw,
    store_draw: Draw,
    net_draw: Draw,
    balancer_draw: Draw,
    deaths: Draw,
    places: Draw,
    faults: Faults,
    servers: Vec<Server>,
    store: Store,
    /// Swaps of unknown end that will apply yet.
    late_swaps: usize,
    /// Backups, by the step that restores them.
    backups: BTreeMap<usize, restore::Backup>,
    /// Attempts that a restore has thrown back.
    lost: BTreeMap<String, Lost>,
    sandbox: Sandbox,
    shoppers: Vec<Shopper>,
    heard: Vec<Heard>,
    /// The shopper of each request.
    heard_by: Vec<usize>,
    psp_calls: Vec<PspCall>,
    sends: Vec<PspCall>,
    /// How many sendings each server came to: about to leave, and left.
    sendings: BTreeMap<(usize, bool), u32>,
    unknown: BTreeMap<String, u64>,
    /// Attempts for whose parked operation an operator is on the way.
    operators: BTreeSet<AttemptId>,
    met: Met,
    /// How many webhooks were delivered, and which of them were not answered yet.
    deliveries: u64,
    open_deliveries: BTreeSet<u64>,
    acknowledged: Vec<(u64, Vec<u8>)>,
    broken: Vec<String>,
    trace: Trace,
}

impl<'a> Sim<'a> {
    fn new(plan: &'a Plan, is_traced: bool) -> Self {
        let world = &plan.world;
        let seed = world.seed;
        let config = config(world, PSP_URL);
        let server = |skew: &i64| Server::new(*skew, &config);
        let servers = world.clocks_ms.iter().map(server).collect();
        Self {
            plan,
            config,
            now_ms: 0,
            queue: BinaryHeap::with_capacity(256),
            queued: 0,
            happened: 0,
            entropy: Draw::new(seed, Concern::Entropy),
            psp_draw: Draw::new(seed, Concern::Psp),
            store_draw: Draw::new(seed, Concern::Store),
            net_draw: Draw::new(seed, Concern::Network),
            balancer_draw: Draw::new(seed, Concern::Balancer),
            deaths: Draw::new(seed, Concern::Deaths),
            places: Draw::new(seed, Concern::NoPlace),
            faults: Faults::default(),
            servers,
            store: Store::default(),
            late_swaps: 0,
            backups: BTreeMap::new(),
            lost: BTreeMap::new(),
            sandbox: Sandbox::new(psp_settings(world, PSP_URL, "/webhooks")),
            shoppers: Vec::new(),
            heard: Vec::new(),
            heard_by: Vec::new(),
            psp_calls: Vec::new(),
            sends: Vec::new(),
            sendings: BTreeMap::new(),
            unknown: BTreeMap::new(),
            operators: BTreeSet::new(),
            met: Met::default(),
            deliveries: 0,
            open_deliveries: BTreeSet::new(),
            acknowledged: Vec::new(),
            broken: Vec::new(),
            trace: Trace::new(is_traced),
        }
    }

    fn carry_out(&mut self) {
        for (n, step) in self.plan.steps.iter().enumerate() {
            if let Act::Restore { age_ms, .. } = step.act {
                self.at(step.at_ms.saturating_sub(age_ms), Event::BackUp(n));
            }
            self.at(step.at_ms, Event::Step(n));
        }
        let heal_ms = self.plan.world.heal_ms;
        self.at(heal_ms, Event::Heal);
        for server in 0..self.servers.len() {
            self.at(0, Event::Scan { server, epoch: 0 });
        }
        if self.plan.world.crowd > 0 {
            self.at(0, Event::Crowd);
        }
        self.drain(heal_ms + self.plan.world.patience_ms);
        // Copies are believed for a while, and the last look is taken after that.
        for server in &mut self.servers {
            server.copies.clear();
        }
        self.ask_all(|shopper| vec![shopper.last_look()]);
        self.ask_all(Shopper::once_more);
    }

    /// Everybody asks, and is waited for.
    fn ask_all(&mut self, asks: impl Fn(&Shopper) -> Vec<Ask>) {
        let shoppers = self.shoppers.iter().enumerate();
        let asks: Vec<(usize, Ask)> = shoppers
            .flat_map(|(n, shopper)| asks(shopper).into_iter().map(move |ask| (n, ask)))
            .collect();
        for (shopper, ask) in asks {
            self.at(self.now_ms + 1, Event::Ask { shopper, ask });
        }
        self.drain(self.now_ms + 10_000 + self.config.time_budget_ms.get());
    }

    /// Handles what is due until `until_ms`, or until only scans are left.
    fn drain(&mut self, until_ms: u64) {
        while let Some(next) = self.queue.pop() {
            if next.at_ms > until_ms {
                self.queue.push(next);
                break;
            }
            self.now_ms = self.now_ms.max(next.at_ms);
            // Scans end with the run, however many days it has.
            self.happened += u64::from(!matches!(*next.event, Event::Scan { .. }));
            if self.happened > EVENTS_MAX {
                let what = format!("more than {EVENTS_MAX} events: something is repeated without pauses");
                self.broken.push(what);
                self.queue.clear();
            } else {
                self.happen(*next.event);
            }
        }
    }

    fn end(mut self) -> Traced {
        self.sandbox.fire(EPOCH_MS + self.now_ms, &Timed::Tick);
        self.broken.append(&mut self.store.wrong);
        let run = Run {
            plan: self.plan.clone(),
            heard: self.heard,
            ledger: self.sandbox.ledger().cloned().collect(),
            psp_calls: self.psp_calls,
            sends: self.sends,
            acknowledged: self.acknowledged,
            unknown: self.unknown,
            objects: self
                .sandbox
                .ledger()
                .map(|event| (event.id.clone(), self.sandbox.object_of(&event.id)))
                .collect(),
            twice: self.sandbox.executed_twice(),
            writes: self.store.writes(),
            records: self.store.records(),
            ended_ms: self.now_ms,
            lost: self.lost,
            met: self.met,
            broken: self.broken,
            journals: OnceCell::new(),
            events: OnceCell::new(),
        };
        Traced {
            run,
            trace: self.trace.take(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step(n) => self.step(n),
            Event::BackUp(n) => self.back_up(n),
            Event::Heal => {
                self.faults.heal();
                self.psp_dials();
                self.note(Host::Clients, Kind::Fault, || "everything is healed".to_owned());
            }
            Event::PspDialsBack => self.psp_dials(),
            Event::Restart(server) => self.restart(server),
            Event::Ask { shopper, ask } => self.ask(shopper, ask),
            Event::ClientTimeout(heard) => self.heard(heard, None),
            Event::Authenticate { attempt_id, success } => self.authenticate(&attempt_id, success),
            Event::Crowd => self.crowd(),
            Event::Return(shopper) => self.come_back(shopper),
            Event::Operator(id) => self.operator(id),
            Event::EndRefund(id) => self.end_refund(&id),
            Event::Request {
                server,
                http,
                reply_to,
            } => self.request_arrives(server, http, reply_to),
            Event::Answer {
                reply_to,
                status,
                is_replay,
                body,
            } => {
                self.answer_arrives(reply_to, status, is_replay, body);
            }
            Event::Work { server, epoch, work } => self.work(server, epoch, work),
            Event::PspArrives {
                server,
                epoch,
                number,
                call,
            } => self.psp_arrives(server, epoch, number, &call),
            Event::PspFires(timed) => self.psp_fires(&timed),
            Event::PspAnswers {
                server,
                epoch,
                number,
                result,
            } => {
                self.psp_answers(server, epoch, number, result);
            }
            Event::SendWebhook { webhook, tries } => self.send_webhook(webhook, tries),
            Event::WebhookTimeout {
                webhook,
                tries,
                number,
            } => self.webhook_unanswered(webhook, tries, number),
            Event::LateSwap { id, swap } => self.late_swap(id, swap),
            Event::Scan { server, epoch } => self.scan(server, epoch),
            Event::Alarm { id, at_ms, is_second } => self.alarm(id, at_ms, is_second),
        }
    }

    /// Puts an event into the queue.
    fn at(&mut self, at_ms: u64, event: Event) {
        self.queued += 1;
        self.queue.push(Queued {
            at_ms: at_ms.max(self.now_ms),
            number: self.queued,
            event: Box::new(event),
        });
    }

    /// When a message that leaves now arrives; `None` if it never does.
    fn travel(&mut self, from: Host, to: Host) -> Option<u64> {
        let (min, max) = self.plan.world.net_ms;
        let at_ms = self.now_ms + self.net_draw.between(min, max);
        let fate = self.faults.travel(from, to, self.now_ms, at_ms);
        match fate {
            None => self.met.meet(Sometimes::Partition),
            Some(held_ms) if held_ms > at_ms => self.met.meet(Sometimes::Hold),
            Some(_) => {}
        }
        fate
    }

    fn fresh_entropy(&mut self) -> Entropy {
        Entropy(u128::from(self.entropy.word()) << 64 | u128::from(self.entropy.word()))
    }

    fn note(&mut self, host: Host, kind: Kind, text: impl FnOnce() -> String) {
        self.trace.mark(self.now_ms, host, kind, text);
    }

    fn message(&mut self, from: Host, to: Host, arrives_ms: Option<u64>, text: impl FnOnce() -> String) {
        self.trace.message(self.now_ms, arrives_ms, (from, to), text);
    }
}
