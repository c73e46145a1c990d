//! The plan's faults, struck between two steps: turmoil cannot crash a host from inside one.

use std::collections::BTreeMap;
use std::rc::Rc;

use turmoil::Sim;

use super::hosts::name;
use super::hosts::server::Progress;
use super::stage::Stage;
use crate::met::Sometimes;
use crate::plan::{Act, Host, Plan};
use crate::trace::Kind;

/// A fault begins or ends.
#[derive(Clone, Debug)]
struct Change {
    at_ms: u64,
    /// The step of the plan that it comes from.
    step: usize,
    begins: bool,
}

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wrong {
    /// Messages from the first to the second host are lost.
    lost_there: bool,
    /// Messages from the second to the first host are lost.
    lost_back: bool,
    held: bool,
}

/// The faults of a run.
pub(super) struct Faults {
    stage: Rc<Stage>,
    /// Those to come, the next one last.
    changes: Vec<Change>,
    /// Steps whose fault is on.
    on: Vec<usize>,
    /// How links stand.
    links: BTreeMap<(Host, Host), Wrong>,
    /// Links that are as they should be only after the step that lets held messages out.
    again: Vec<(Host, Host)>,
    is_healed: bool,
}

impl Faults {
    /// Those of a plan.
    pub(super) fn new(stage: &Rc<Stage>) -> Self {
        let mut changes = changes(&stage.plan);
        changes.sort_by_key(|change| std::cmp::Reverse((change.at_ms, change.begins, change.step)));
        Self {
            stage: Rc::clone(stage),
            changes,
            on: Vec::new(),
            links: BTreeMap::new(),
            again: Vec::new(),
            is_healed: false,
        }
    }

    /// Strikes what is due before the step that begins now; heals everything when its time has come.
    pub(super) fn strike(&mut self, sim: &mut Sim<'_>) {
        let now_ms = self.stage.now_ms();
        for link in std::mem::take(&mut self.again) {
            self.mend(sim, link);
        }
        while self.changes.last().is_some_and(|change| change.at_ms <= now_ms) {
            if let Some(change) = self.changes.pop() {
                self.change(sim, change.step, change.begins);
            }
        }
        if !self.is_healed && now_ms >= self.stage.plan.world.heal_ms {
            self.is_healed = true;
            self.changes.clear();
            for step in self.on.clone() {
                self.change(sim, step, false);
            }
            self.stage
                .note(Host::Clients, Kind::Fault, || "everything is healed".to_owned());
        }
    }

    fn change(&mut self, sim: &mut Sim<'_>, step: usize, begins: bool) {
        let stage = Rc::clone(&self.stage);
        let Some(act) = stage.plan.steps.get(step).map(|step| &step.act) else {
            return;
        };
        // No healing brings back what is gone for good.
        if !begins && matches!(act, Act::Die { .. } | Act::SetClock { .. }) {
            return;
        }
        match begins {
            true => self.on.push(step),
            false => self.on.retain(|on| *on != step),
        }
        let word = if begins { "begins" } else { "ends" };
        let at = match act {
            Act::Crash { server, .. }
            | Act::Die { server }
            | Act::Pause { server, .. }
            | Act::SetClock { server, .. }
            | Act::AtSend { server, .. } => Host::Server(*server),
            Act::Partition { from, .. } | Act::Hold { from, .. } => *from,
            Act::Store { .. } | Act::Restore { .. } => Host::Store,
            Act::Psp { .. } => Host::Psp,
            Act::Replay { .. }
            | Act::Pay(_)
            | Act::Forge { .. }
            | Act::ByHand { .. }
            | Act::Foreign { .. } => Host::Balancer,
        };
        stage.note(at, Kind::Fault, || format!("{word}: {act:?}"));
        match act {
            Act::Crash { server, silent, .. } if begins => self.crash(sim, *server, *silent),
            Act::Crash { server, .. } => self.bounce(sim, *server),
            Act::Die { server } => {
                stage.meet(Sometimes::ServerGone);
                self.crash(sim, *server, false);
            }
            Act::Pause { server, for_ms } if begins => self.pause(*server, *for_ms),
            // It ends by itself.
            Act::Pause { .. } => {}
            Act::SetClock { server, ahead_ms } => {
                if let Some(process) = stage.processes.get(*server) {
                    process.set_ms.set(*ahead_ms);
                }
            }
            Act::Partition { from, to, .. } | Act::Hold { from, to, .. } => {
                if begins {
                    stage.meet(match act {
                        Act::Hold { .. } => Sometimes::Hold,
                        _ => Sometimes::Partition,
                    });
                }
                self.mend(sim, link(*from, *to));
            }
            Act::Store { .. } => self.turn_store(),
            Act::Psp { .. } => self.turn_psp(),
            Act::Replay { .. } => self.turn_replays(),
            Act::Pay(_)
            | Act::Forge { .. }
            | Act::ByHand { .. }
            | Act::Foreign { .. }
            | Act::Restore { .. }
            | Act::AtSend { .. } => {}
        }
    }

    fn acts(&self) -> impl Iterator<Item = &Act> {
        let steps = &self.stage.plan.steps;
        self.on
            .iter()
            .filter_map(|step| steps.get(*step).map(|step| &step.act))
    }

    fn crash(&self, sim: &mut Sim<'_>, server: usize, silent: bool) {
        let host = name(Host::Server(server));
        if !sim.is_host_running(host.as_str()) {
            return;
        }
        self.note_crash(server);
        let peers = [Host::Balancer, Host::Store, Host::Psp];
        if silent {
            for peer in peers {
                sim.partition(host.as_str(), name(peer).as_str());
            }
        }
        sim.crash(host.as_str());
        if silent {
            // What it would have said in dying is lost; its links are as they were.
            for peer in peers {
                let link = link(Host::Server(server), peer);
                sim.release(host.as_str(), name(peer).as_str());
                apply(sim, link, self.links.get(&link).copied().unwrap_or_default());
            }
        }
    }

    fn note_crash(&self, server: usize) {
        let Some(process) = self.stage.processes.get(server) else {
            return;
        };
        let bank = self.stage.bank.borrow();
        for (key, progress) in process.calls.borrow().iter() {
            match progress {
                Progress::Dispatched => self.stage.meet(Sometimes::CrashBetweenPersistAndSend),
                Progress::Sent if bank.effects.contains(key) => {
                    self.stage.meet(Sometimes::CrashBetweenEffectAndPersist);
                }
                Progress::Sent => {}
            }
        }
    }

    /// Starts a server again, unless another crash keeps it down.
    fn bounce(&self, sim: &mut Sim<'_>, server: usize) {
        let keeps_down = |act: &Act| matches!(act, Act::Crash { server: down, .. } | Act::Die { server: down } if *down == server);
        let host = name(Host::Server(server));
        if !self.acts().any(keeps_down) && !sim.is_host_running(host.as_str()) {
            sim.bounce(host.as_str());
        }
    }

    fn pause(&self, server: usize, for_ms: u64) {
        self.stage.meet(Sometimes::ServerPaused);
        if let Some(process) = self.stage.processes.get(server) {
            let until_ms = self.stage.now_ms().saturating_add(for_ms);
            let until_ms = until_ms.min(self.stage.plan.world.heal_ms);
            process
                .paused_until_ms
                .set(process.paused_until_ms.get().max(until_ms));
        }
    }

    /// Brings a link to the state that the faults which are on ask for.
    fn mend(&mut self, sim: &mut Sim<'_>, link: (Host, Host)) {
        let mut wrong = Wrong::default();
        for act in self.acts() {
            match act {
                Act::Partition {
                    from, to, one_way, ..
                } if self::link(*from, *to) == link => {
                    wrong.lost_there |= !one_way || *from == link.0;
                    wrong.lost_back |= !one_way || *from == link.1;
                }
                Act::Hold { from, to, .. } if self::link(*from, *to) == link => wrong.held = true,
                _ => {}
            }
        }
        let before = self.links.insert(link, wrong).unwrap_or_default();
        if before.held && wrong.held {
            // One of two holds ended: what waited gets out, so that no message waits longer than one hold lasts.
            self.links.insert(link, Wrong::default());
            self.again.push(link);
            wrong = Wrong::default();
        }
        let (a, b) = (name(link.0), name(link.1));
        sim.release(a.as_str(), b.as_str());
        apply(sim, link, wrong);
    }

    fn turn_store(&self) {
        let faults = self.acts().filter_map(|act| match act {
            Act::Store { fault, permille, .. } => Some((*fault, *permille)),
            _ => None,
        });
        self.stage.rows.borrow_mut().faults = faults.collect();
    }

    fn turn_psp(&self) {
        let faults = self.acts().filter_map(|act| match act {
            Act::Psp { fault, permille, .. } => Some((*fault, *permille)),
            _ => None,
        });
        let mut bank = self.stage.bank.borrow_mut();
        bank.faults = faults.collect();
        bank.turn(&self.stage.plan.world);
    }

    fn turn_replays(&self) {
        let windows = self.acts().filter_map(|act| match act {
            Act::Replay {
                permille, later_ms, ..
            } => Some((*permille, *later_ms)),
            _ => None,
        });
        *self.stage.replays.borrow_mut() = windows.collect();
    }
}

/// A link that is healthy now comes to be as `wrong` says. Loss goes before holding.
fn apply(sim: &Sim<'_>, link: (Host, Host), wrong: Wrong) {
    let (a, b) = (name(link.0), name(link.1));
    match (wrong.lost_there, wrong.lost_back) {
        (true, true) => sim.partition(a.as_str(), b.as_str()),
        (true, false) => sim.partition_oneway(a.as_str(), b.as_str()),
        (false, true) => sim.partition_oneway(b.as_str(), a.as_str()),
        (false, false) if wrong.held => sim.hold(a.as_str(), b.as_str()),
        (false, false) => {}
    }
}

/// A link's one name.
fn link(a: Host, b: Host) -> (Host, Host) {
    if a < b { (a, b) } else { (b, a) }
}

/// Beginnings and ends.
fn changes(plan: &Plan) -> Vec<Change> {
    let mut changes = Vec::new();
    for (step, planned) in plan.steps.iter().enumerate() {
        let for_ms = match &planned.act {
            Act::Crash { down_ms, .. } => *down_ms,
            Act::Die { .. } | Act::SetClock { .. } => 0,
            Act::Pause { for_ms, .. }
            | Act::Partition { for_ms, .. }
            | Act::Hold { for_ms, .. }
            | Act::Store { for_ms, .. }
            | Act::Psp { for_ms, .. }
            | Act::Replay { for_ms, .. } => *for_ms,
            // The hosts of clients and of the PSP do these; no host restores a store.
            Act::Pay(_)
            | Act::Restore { .. }
            | Act::Forge { .. }
            | Act::ByHand { .. }
            | Act::Foreign { .. }
            | Act::AtSend { .. } => continue,
        };
        for (at_ms, begins) in [
            (planned.at_ms, true),
            (planned.at_ms.saturating_add(for_ms), false),
        ] {
            changes.push(Change { at_ms, step, begins });
        }
    }
    changes
}
