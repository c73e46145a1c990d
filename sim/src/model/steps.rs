//! The plan's steps: payments begin, faults strike.

use super::Sim;
use super::events::Event;
use crate::hands;
use crate::met::Sometimes;
use crate::plan::{Act, Host};
use crate::shopper::Shopper;
use crate::trace::Kind;

impl Sim<'_> {
    /// Carries out one step.
    pub(super) fn step(&mut self, n: usize) {
        let Some(step) = self.plan.steps.get(n) else {
            return;
        };
        let until = |for_ms: &u64| (self.now_ms + for_ms).min(self.plan.world.heal_ms);
        match &step.act {
            Act::Pay(payment) => {
                let mut shopper = Shopper::new(payment.clone(), &self.plan.world);
                let todo = shopper.begin(self.now_ms);
                self.shoppers.push(shopper);
                self.carry(self.shoppers.len() - 1, todo);
            }
            Act::Crash {
                server,
                down_ms,
                silent,
            } => {
                let back_ms = until(down_ms).max(self.now_ms + 1);
                self.crash(*server, *silent);
                self.at(back_ms, Event::Restart(*server));
            }
            Act::Die { server } => {
                self.crash(*server, false);
                self.server(*server).is_gone = true;
                self.met.meet(Sometimes::ServerGone);
            }
            // It comes with its sending.
            Act::AtSend { .. } => {}
            Act::SetClock { server, ahead_ms } => self.set_clock(*server, *ahead_ms),
            Act::Pause { server, for_ms } => {
                let until_ms = until(for_ms);
                self.faults.pause(*server, until_ms);
                self.met.meet(Sometimes::ServerPaused);
                self.note(Host::Server(*server), Kind::Fault, || {
                    format!("paused for {for_ms} ms")
                });
            }
            Act::Partition {
                from,
                to,
                one_way,
                for_ms,
            } => {
                self.faults.cut(*from, *to, *one_way, until(for_ms));
                self.note(*from, Kind::Fault, || {
                    format!("cut off from {to:?} for {for_ms} ms")
                });
            }
            Act::Hold { from, to, for_ms } => {
                self.faults.hold(*from, *to, until(for_ms));
                self.note(*from, Kind::Fault, || {
                    format!("messages to {to:?} wait for {for_ms} ms")
                });
            }
            Act::Store {
                fault,
                permille,
                for_ms,
            } => {
                self.faults.store(*fault, *permille, until(for_ms));
                self.note(Host::Store, Kind::Fault, || format!("{fault:?} for {for_ms} ms"));
            }
            Act::Psp {
                fault,
                permille,
                for_ms,
            } => {
                let until_ms = until(for_ms);
                self.faults.psp(*fault, *permille, until_ms);
                self.at(until_ms, Event::PspDialsBack);
                self.psp_dials();
                self.note(Host::Psp, Kind::Fault, || format!("{fault:?} for {for_ms} ms"));
            }
            Act::Replay {
                permille,
                later_ms,
                for_ms,
            } => {
                self.faults.replay(*permille, *later_ms, until(for_ms));
                self.note(Host::Balancer, Kind::Fault, || format!("replays for {for_ms} ms"));
            }
            Act::Forge { payment, misdirected } => self.forge(*payment, *misdirected),
            Act::ByHand {
                payment,
                hand,
                foreign,
                extra,
            } => self.by_hand(*payment, *hand, hands::whose(*foreign, *extra)),
            Act::Foreign { payment, object } => self.foreign(*payment, object),
            Act::Restore { down_ms, .. } => {
                let back_ms = until(down_ms).max(self.now_ms + 1);
                self.restore(n, back_ms);
            }
        }
    }
}
