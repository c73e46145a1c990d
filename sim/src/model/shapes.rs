//! What is particular to the shapes of host: objects and instances.
//!
//! An object alone holds its attempt's record. It writes without waiting, and until the write is on disk no answer and no call
//! leaves it; if its process ends before that, the write is lost. Its alarm is kept with the record, and goes off early, late or
//! twice. An instance does not live long: its timers are near ones, it learns of no change, and a sweep finds what is due.

use pay_once_core::{AttemptId, Input, Millis, Turn, UnixMillis};
use std::rc::Rc;
use std::sync::Arc;

use super::server::{Job, Work};
use super::store::Swap;
use super::{Event, ReplyTo, Sim};
use crate::plan::{Shape, StoreFault};

/// A time further away than this is left to the sweep, in milliseconds.
const NEAR_MS: Millis = Millis::new(5_000);
/// An instance sweeps behind its requests this often, in milliseconds.
const SWEEP_EVERY_MS: u64 = 1_000;
/// Most records that a sweep behind a request wakes.
const SWEEP_MAX: usize = 4;
/// How often a scheduler has a sweep made, in milliseconds. (Once a minute in the field, where an authorization lives for days.)
const SCHEDULED_MS: u64 = 2_000;
/// The same long after healing, in milliseconds.
const SCHEDULED_LATER_MS: u64 = 60_000;
/// How long after healing that begins, in milliseconds.
const LATER_MS: u64 = 60_000;
/// Nobody else wakes a record for this long after a sweep took it up, in milliseconds.
const TAKEN_MS: Millis = Millis::new(10_000);
/// How early an alarm goes off at most, in milliseconds.
const ALARM_EARLY_MS: u64 = 40;
/// How late an alarm goes off at most, in milliseconds.
const ALARM_LATE_MS: u64 = 300;
/// How long a process takes to start again, in milliseconds.
const START_MS: u64 = 20;
/// After how long an alarm comes again whose object does not answer, in milliseconds.
const ALARM_AGAIN_MS: u64 = 500;

impl Sim<'_> {
    /// A job that nobody waits for.
    pub(super) fn woken(&self, turn: Turn) -> Box<Job> {
        let is_polling = self.plan.world.shape == Shape::Instances;
        Job::new(if is_polling { turn.polling() } else { turn }, ReplyTo::Nobody)
    }

    /// A process ends instead of taking the store's answer, and another one starts.
    pub(super) fn dies(&mut self, server: usize) -> bool {
        let permille = self.plan.world.deaths_permille;
        if self.now_ms >= self.plan.world.heal_ms || !self.deaths.chance(permille) {
            return false;
        }
        self.crash(server, false);
        self.at(self.now_ms + START_MS, Event::Restart(server));
        true
    }

    // -- objects

    /// Where an attempt's object is: it moves only when its server is gone for good.
    fn home(&self, id: AttemptId) -> usize {
        let servers = self.servers.len();
        let first = id.to_bytes().iter().fold(0, |sum, byte| sum + usize::from(*byte));
        let mut homes = (0..servers).map(|turn| (first + turn) % servers);
        homes
            .find(|home| self.servers.get(*home).is_some_and(|server| !server.is_gone))
            .unwrap_or(0)
    }

    /// Hands a job to its attempt's object, which may be elsewhere.
    pub(super) fn hand_on(&mut self, server: usize, job: Box<Job>) {
        let home = match (self.plan.world.shape, job.turn.id()) {
            (Shape::Objects, Some(id)) => self.home(id),
            _ => server,
        };
        let elsewhere = job.http.as_ref().filter(|_| home != server);
        let Some((http, since_ms)) = elsewhere else {
            return self.advance(server, job);
        };
        // Each has its own clock: what is handed on is how long it took so far. What was read for a webhook is read again, in a time
        // of its own.
        let spent_ms = match job.turn.input() {
            Input::Request(_) => (self.clock_ms(server) - *since_ms).get(),
            Input::Webhook(_) | Input::Outcome(_) | Input::Wake => 0,
        };
        let (min, max) = self.plan.world.net_ms;
        let at_ms = self.now_ms + self.net_draw.between(min, max);
        let work = Work::Handed(Rc::clone(http), job.reply_to.clone(), spent_ms);
        if self.server(home).is_up {
            self.after(home, at_ms, work);
        }
    }

    /// An object reads its own storage.
    pub(super) fn load_at_once(&mut self, server: usize, job: &mut Job) {
        let Some(id) = job.turn.id() else { return };
        let (_, fault) = self.store_fault();
        let (now_ms, entropy) = (self.clock_ms(server), self.fresh_entropy());
        if fault == Some(StoreFault::Down) || self.home(id) != server {
            return job.turn.store_failed(now_ms);
        }
        let record = self.store.load(id);
        job.turn.loaded(&self.config, record.as_deref(), now_ms, entropy);
    }

    /// An object writes record and alarm. Returns when they are on disk.
    pub(super) fn put(&mut self, server: usize, job: &mut Job) -> Option<u64> {
        let (id, write) = (job.turn.id()?, job.turn.write()?);
        let swap = Swap {
            expected_version: write.expected_version,
            record: Arc::clone(&write.record),
            wake_at_ms: write.wake_at_ms,
        };
        let (latency_ms, fault) = self.store_fault();
        if matches!(fault, Some(StoreFault::Down | StoreFault::NoWrites)) {
            job.turn.store_failed(self.clock_ms(server));
            return None;
        }
        let before = self.store.row(id);
        if !self.apply(id, &swap) {
            self.broken
                .push(format!("{id}: another wrote to an object's record"));
        }
        // An object's writes reach the disk in their order: what is on disk has all that was written before.
        let before_ms = self.synced_ms(server, Some(id));
        let synced_ms = before_ms.max(self.now_ms + latency_ms);
        let now_ms = self.now_ms;
        let at = self.server(server);
        at.unsynced.retain(|(synced_ms, ..)| *synced_ms > now_ms);
        at.unsynced.push((synced_ms, id, before));
        self.set_alarm(id, swap.wake_at_ms);
        Some(synced_ms)
    }

    /// From when on everything that an object, or all objects of a server, wrote is on disk.
    pub(super) fn synced_ms(&mut self, server: usize, of: Option<AttemptId>) -> u64 {
        let unsynced = &self.server(server).unsynced;
        let meant = unsynced.iter().filter(|(_, id, _)| of.is_none_or(|of| of == *id));
        meant.map(|(synced_ms, ..)| *synced_ms).max().unwrap_or(0)
    }

    /// A process ends: what it wrote and was not on disk was never written.
    pub(super) fn lose_unsynced(&mut self, server: usize) {
        let now_ms = self.now_ms;
        // An alarm whose handler did not end comes again.
        for (id, at_ms) in std::mem::take(&mut self.server(server).alarms) {
            let is_second = true;
            self.at(now_ms + ALARM_AGAIN_MS, Event::Alarm { id, at_ms, is_second });
        }
        let unsynced = std::mem::take(&mut self.server(server).unsynced);
        for (synced_ms, id, before) in unsynced.into_iter().rev() {
            if synced_ms > now_ms {
                let wake_at_ms = self.store.put_back(id, before);
                self.set_alarm(id, wake_at_ms);
            }
        }
    }

    pub(super) fn set_alarm(&mut self, id: AttemptId, at_ms: Option<UnixMillis>) {
        let Some(at_ms) = at_ms else { return };
        let home = self.home(id);
        let (early_ms, late_ms) = (
            self.deaths.between(0, ALARM_EARLY_MS),
            self.deaths.between(0, ALARM_LATE_MS),
        );
        let due_ms = self.true_ms(home, at_ms);
        // Most are on time; what is early is not late.
        let fires_ms = match self.deaths.between(0, 3) {
            0 => due_ms.saturating_sub(early_ms),
            1 => due_ms + late_ms,
            _ => due_ms,
        };
        let alarm = |is_second| Event::Alarm { id, at_ms, is_second };
        self.at(fires_ms, alarm(false));
        if self.now_ms < self.plan.world.heal_ms && self.deaths.chance(100) {
            self.at(fires_ms + late_ms, alarm(true));
        }
    }

    pub(super) fn alarm_sooner(&mut self, id: AttemptId, at_ms: UnixMillis) {
        let known_ms = self.store.wake_at_ms(id);
        if known_ms.is_none_or(|known_ms| at_ms < known_ms) && self.store.move_wake(id, known_ms, Some(at_ms))
        {
            self.set_alarm(id, Some(at_ms));
        }
    }

    pub(super) fn alarm(&mut self, id: AttemptId, at_ms: UnixMillis, is_second: bool) {
        let home = self.home(id);
        if !is_second && self.store.wake_at_ms(id) != Some(at_ms) {
            return;
        }
        let is_paused = self.faults.paused_until(home, self.now_ms).is_some();
        if !self.server(home).is_up || is_paused {
            let again_ms = self.now_ms + ALARM_AGAIN_MS;
            return self.at(again_ms, Event::Alarm { id, at_ms, is_second });
        }
        if !is_second {
            self.store.move_wake(id, Some(at_ms), None);
        }
        let mut job = self.woken(Turn::wake(id));
        job.alarm_ms = Some(at_ms);
        self.server(home).alarms.push((id, at_ms));
        self.advance(home, job);
    }

    /// One handler of an alarm has ended. Another one of the same alarm may go on.
    pub(super) fn alarm_ends(&mut self, server: usize, job: &Job) {
        let (Some(id), Some(at_ms)) = (job.turn.id(), job.alarm_ms) else {
            return;
        };
        let alarms = &mut self.server(server).alarms;
        if let Some(at) = alarms.iter().position(|alarm| *alarm == (id, at_ms)) {
            alarms.swap_remove(at);
        }
    }

    // -- instances

    /// A time that is near is kept in memory; what is further away is in the store.
    pub(super) fn set_near(&mut self, server: usize, id: AttemptId, at_ms: Option<UnixMillis>) {
        if at_ms.is_some() && !self.server(server).is_scheduled {
            let (epoch, pause_ms) = (self.server(server).epoch, self.scheduled_pause_ms());
            self.server(server).is_scheduled = true;
            self.at(self.now_ms + pause_ms, Event::Scan { server, epoch });
        }
        let near_ms = self.clock_ms(server) + NEAR_MS;
        let Some(at_ms) = at_ms.filter(|at_ms| *at_ms <= near_ms) else {
            return;
        };
        self.sooner(server, id, at_ms);
    }

    /// Behind a request, now and then.
    pub(super) fn sweep_behind(&mut self, server: usize) {
        if self.now_ms >= self.server(server).swept_ms + SWEEP_EVERY_MS {
            self.server(server).swept_ms = self.now_ms;
            self.sweep(server, SWEEP_MAX);
        }
    }

    /// A scheduler asks for a sweep.
    pub(super) fn scheduled(&mut self, server: usize, epoch: u32) {
        if self.plan.world.shape != Shape::Instances || self.server(server).epoch != epoch {
            return;
        }
        let is_before_heal = self.now_ms < self.plan.world.heal_ms;
        // Sweeps alone do not keep a run going; what they may yet find does.
        let goes_on = !self.store.due().is_empty() || self.late_swaps > 0 || is_before_heal;
        self.server(server).is_scheduled = goes_on;
        if goes_on {
            let pause_ms = self.scheduled_pause_ms();
            self.at(self.now_ms + pause_ms, Event::Scan { server, epoch });
        }
        self.sweep(server, usize::MAX);
    }

    fn scheduled_pause_ms(&self) -> u64 {
        match self.now_ms < self.plan.world.heal_ms + LATER_MS {
            true => SCHEDULED_MS,
            false => SCHEDULED_LATER_MS,
        }
    }

    fn sweep(&mut self, server: usize, limit: usize) {
        let (_, fault) = self.store_fault();
        if fault == Some(StoreFault::Down) || !self.server(server).is_up {
            return;
        }
        let clock_ms = self.clock_ms(server);
        let mut due = self.store.due();
        due.retain(|(_, at_ms)| *at_ms <= clock_ms);
        due.sort_unstable_by_key(|(id, at_ms)| (*at_ms, *id));
        due.truncate(limit);
        for (id, at_ms) in due {
            let taken_ms = clock_ms + TAKEN_MS;
            if self.store.move_wake(id, Some(at_ms), Some(taken_ms)) {
                let mut job = self.woken(Turn::wake(id));
                job.taken_ms = Some(taken_ms);
                self.advance(server, job);
            }
        }
    }
}
