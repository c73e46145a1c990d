//! An operator restores a backup of the store. What was written after the backup is lost, and core is told from when to when.

use std::collections::BTreeMap;

use pay_once_core::{AttemptId, Loss, UnixMillis};

use super::Sim;
use super::events::Event;
use super::store::Row;
use crate::met::Sometimes;
use crate::plan::{Host, Shape};
use crate::seen::Lost;
use crate::trace::Kind;
use crate::world::EPOCH_MS;

/// A copy of the store.
#[derive(Debug)]
pub(super) struct Backup {
    /// When it was taken, in milliseconds from the start.
    at_ms: u64,
    rows: BTreeMap<AttemptId, Row>,
}

impl Sim<'_> {
    /// Takes the backup that a step restores.
    pub(super) fn back_up(&mut self, step: usize) {
        let backup = Backup {
            at_ms: self.now_ms,
            rows: self.store.back_up(),
        };
        self.backups.insert(step, backup);
        self.note(Host::Store, Kind::Fault, || "a backup is taken".to_owned());
    }

    /// Kills every server, puts the backup in place of the store, and starts the servers at `back_ms`.
    pub(super) fn restore(&mut self, step: usize, back_ms: u64) {
        let Some(backup) = self.backups.remove(&step) else {
            return;
        };
        for server in 0..self.servers.len() {
            self.crash(server, false);
            self.at(back_ms, Event::Restart(server));
        }
        // What a dead server wrote does not come to the store that is put in its place.
        self.queue
            .retain(|queued| !matches!(*queued.event, Event::LateSwap { .. }));
        self.late_swaps = 0;
        let lost = self.store.restore(backup.rows);
        self.note(Host::Store, Kind::Fault, || {
            format!(
                "the backup of {} ms is restored; {} attempts are thrown back",
                backup.at_ms,
                lost.len()
            )
        });
        let at_ms = self.now_ms;
        let lost = lost.into_iter();
        self.lost
            .extend(lost.map(|record| (record.id().to_string(), Lost { at_ms, record })));
        let loss = Loss {
            begins_ms: UnixMillis::new(EPOCH_MS + backup.at_ms),
            restored_ms: UnixMillis::new(EPOCH_MS + self.now_ms),
        };
        for psp in self.config.psps.keys() {
            let known = self.config.losses.entry(psp.clone()).or_insert(loss);
            *known = known.and(loss);
        }
        if self.plan.world.shape == Shape::Objects {
            for (id, at_ms) in self.store.due() {
                self.set_alarm(id, Some(at_ms));
            }
        }
        // Whoever was on the way for what is parked comes to find it parked again.
        for record in self.store.all() {
            self.call_operator(record.id(), &record);
        }
        self.met.meet(Sometimes::StoreRestored);
    }
}
