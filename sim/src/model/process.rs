//! A server as a process: its memory, its clock, its timers, its end and its return.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use pay_once::ports::Scan;
use pay_once_core::{
    AttemptId, Call, CallResult, Clock, ClockNote, Config, Millis, Now, Questions, Reading, Record,
    UnixMillis,
};

use super::server::{Job, Waiting, Work};
use super::store::Row;
use super::{Event, Sim};
use crate::met::Sometimes;
use crate::plan::{Host, Shape};
use crate::trace::Kind;
use crate::world::EPOCH_MS;

/// One server process.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) skew_ms: i64,
    /// How far its wall clock was set ahead of that.
    pub(super) set_ms: i64,
    pub(super) clock: RefCell<Clock>,
    /// Whether its clock was set, and it has had no answer with a `Date` since.
    pub(super) is_untold: bool,
    /// Which life of the process this is: what an earlier one began is dropped.
    pub(super) epoch: u32,
    pub(super) is_up: bool,
    /// Down without its peers' knowing.
    pub(super) is_silent: bool,
    /// Down for good.
    pub(super) is_gone: bool,
    /// Whose turn it is, and who waits for it.
    pub(super) turns: BTreeMap<AttemptId, VecDeque<Box<Job>>>,
    pub(super) waiting: BTreeMap<AttemptId, Vec<Waiting>>,
    pub(super) timers: BTreeMap<AttemptId, UnixMillis>,
    pub(super) calls: BTreeMap<u64, Rc<Call>>,
    /// When each call left, and by what clock it was asked for.
    pub(super) sent: BTreeMap<u64, (Reading, Asked)>,
    /// Webhooks whose object is being read, by the number of the call.
    pub(super) reads: BTreeMap<u64, Box<Job>>,
    /// Copies of records, however old, and until when they are believed.
    pub(super) copies: BTreeMap<AttemptId, (Arc<Record>, u64)>,
    pub(super) questions: Questions,
    /// Writes of objects that are not on disk yet: from when on they are, whose they are, and what was there before.
    pub(super) unsynced: Vec<(u64, AttemptId, Option<Row>)>,
    /// Attempts whose alarm is being handled, and when it was due.
    pub(super) alarms: Vec<(AttemptId, UnixMillis)>,
    /// Whether a scheduler will have a sweep made here.
    pub(super) is_scheduled: bool,
    /// When an instance swept last, in milliseconds from the start.
    pub(super) swept_ms: u64,
    pub(super) numbers: u64,
}

/// The clock of a decision, as the truth has it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// Whether the clock had been set, and nothing had told the time since.
    pub(super) is_untold: bool,
    /// By how much the time was wrong, in milliseconds.
    pub(super) wrong_ms: u64,
    /// Whether the answer has a `Date`.
    pub(super) has_date: bool,
    /// How long the answer took, in milliseconds.
    pub(super) took_ms: u64,
}

impl Server {
    pub(super) fn new(skew_ms: i64, config: &Config) -> Self {
        Self {
            skew_ms,
            set_ms: 0,
            clock: RefCell::new(Clock::new(config)),
            is_untold: false,
            sent: BTreeMap::new(),
            epoch: 0,
            is_up: true,
            is_silent: false,
            is_gone: false,
            turns: BTreeMap::new(),
            waiting: BTreeMap::new(),
            timers: BTreeMap::new(),
            calls: BTreeMap::new(),
            reads: BTreeMap::new(),
            copies: BTreeMap::new(),
            questions: Questions::default(),
            unsynced: Vec::new(),
            alarms: Vec::new(),
            is_scheduled: false,
            swept_ms: 0,
            numbers: 0,
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl Sim<'_> {
    /// What a server's clocks show. Only long-lived servers have a monotonic one.
    pub(super) fn reading(&self, server: usize) -> Reading {
        let off_ms = self.servers.get(server).map_or(0, |s| s.skew_ms + s.set_ms);
        Reading {
            wall_ms: UnixMillis::new((EPOCH_MS + self.now_ms).saturating_add_signed(off_ms)),
            since_boot_ms: (self.plan.world.shape == Shape::Servers).then_some(Millis::new(self.now_ms)),
        }
    }

    /// The time that core makes of it.
    pub(super) fn clock(&self, server: usize) -> Now {
        let reading = self.reading(server);
        let known = self.servers.get(server);
        known.map_or(reading.wall_ms.into(), |s| s.clock.borrow_mut().now(reading))
    }

    /// The same, in milliseconds since the Unix epoch.
    pub(super) fn clock_ms(&self, server: usize) -> UnixMillis {
        self.clock(server).at_ms
    }

    /// The true time, from the start, at which a server's clock will show `at_ms`.
    pub(super) fn true_ms(&self, server: usize, at_ms: UnixMillis) -> u64 {
        self.now_ms.saturating_add((at_ms - self.clock_ms(server)).get())
    }

    /// A server's wall clock is set.
    pub(super) fn set_clock(&mut self, server: usize, ahead_ms: i64) {
        let skew_ms = self.plan.world.declared.skew_ms;
        // A wall clock that comes back to a time that went on rightly agrees with it again.
        let agrees = ahead_ms.unsigned_abs() <= skew_ms && self.asked_now(server).wrong_ms <= skew_ms;
        let at = self.server(server);
        at.is_untold |= at.set_ms.abs_diff(ahead_ms) > skew_ms && !agrees;
        at.set_ms = ahead_ms;
        self.note(Host::Server(server), Kind::Fault, || {
            format!("its wall clock is set {ahead_ms} ms ahead")
        });
    }

    /// By what clock something is asked for now.
    pub(super) fn asked_now(&self, server: usize) -> Asked {
        let true_ms = UnixMillis::new(EPOCH_MS + self.now_ms);
        Asked {
            is_untold: self.servers.get(server).is_some_and(|s| s.is_untold),
            wrong_ms: self.clock_ms(server).abs_diff(true_ms).get(),
            ..Asked::default()
        }
    }

    /// A call has ended: what its answer says of the time.
    pub(super) fn told_time(
        &mut self,
        server: usize,
        number: u64,
        call: &Call,
        result: &CallResult,
    ) -> Asked {
        let ended = self.reading(server);
        let Some((sent, mut asked)) = self.server(server).sent.remove(&number) else {
            return Asked::default();
        };
        let has_date = |headers: &[(String, String)]| headers.iter().any(|(name, _)| name == "date");
        asked.has_date = matches!(result, CallResult::Answered { headers, .. } if has_date(headers));
        let since = |reading: Reading| reading.since_boot_ms.unwrap_or_default();
        asked.took_ms = (since(ended) - since(sent)).get();
        let psp = self.config.psps.get(&call.psp).cloned();
        let at = self.server(server);
        at.is_untold &= !asked.has_date;
        let mut notes = Vec::new();
        if let Some(psp) = psp {
            let mut clock = at.clock.borrow_mut();
            clock.answered(&psp, result, sent, ended);
            notes.extend(std::iter::from_fn(|| clock.take_note()));
        }
        for note in notes {
            self.met.meet(match note {
                ClockNote::Stepped { .. } => Sometimes::ClockStepSeen,
                ClockNote::Kept => Sometimes::DateEndsDoubt,
                _ => Sometimes::WallClockAdopted,
            });
            self.note(Host::Server(server), Kind::Fault, || note.message());
        }
        asked
    }

    pub(super) fn server(&mut self, server: usize) -> &mut Server {
        // Plans are checked: there is no such server but by a bug of the simulator's.
        #[allow(clippy::indexing_slicing)]
        &mut self.servers[server]
    }

    pub(super) fn after(&mut self, server: usize, at_ms: u64, work: Work) {
        let epoch = self.server(server).epoch;
        self.at(at_ms, Event::Work { server, epoch, work });
    }

    pub(super) fn set_timer(&mut self, server: usize, id: AttemptId, at_ms: Option<UnixMillis>) {
        match at_ms {
            None => drop(self.server(server).timers.remove(&id)),
            Some(at_ms) => {
                if self.server(server).timers.insert(id, at_ms) != Some(at_ms) {
                    let due_ms = self.true_ms(server, at_ms);
                    self.after(server, due_ms, Work::Timer(id, at_ms));
                }
            }
        }
    }

    pub(super) fn sooner(&mut self, server: usize, id: AttemptId, at_ms: UnixMillis) {
        let known = self.server(server).timers.get(&id).copied();
        if known.is_none_or(|known_ms| at_ms < known_ms) {
            self.set_timer(server, id, Some(at_ms));
        }
    }

    pub(super) fn crash(&mut self, server: usize, silent: bool) {
        self.lose_unsynced(server);
        let Server { skew_ms, is_gone, .. } = *self.server(server);
        let epoch = self.server(server).epoch + 1;
        let fresh = Server::new(skew_ms, &self.config);
        *self.server(server) = Server {
            epoch,
            is_up: false,
            is_silent: silent && !is_gone,
            is_gone,
            ..fresh
        };
        self.note(Host::Server(server), Kind::Fault, || {
            if silent { "loses power" } else { "is killed" }.to_owned()
        });
    }

    pub(super) fn restart(&mut self, server: usize) {
        if self.server(server).is_up || self.server(server).is_gone {
            return;
        }
        self.server(server).is_up = true;
        // It sets its clock, whatever became of it meanwhile.
        self.server(server).set_ms = 0;
        self.server(server).is_untold = false;
        let epoch = self.server(server).epoch;
        self.note(Host::Server(server), Kind::Fault, || "starts again".to_owned());
        self.at(self.now_ms, Event::Scan { server, epoch });
    }

    /// Finds the timers of attempts that nobody here knows of.
    pub(super) fn scan(&mut self, server: usize, epoch: u32) {
        if self.server(server).epoch != epoch || !self.server(server).is_up {
            return;
        }
        if self.plan.world.shape != Shape::Servers {
            return self.scheduled(server, epoch);
        }
        // A process reads its clocks from its start on.
        let _ = self.clock(server);
        let due = self.store.due();
        // Scans alone do not keep a run going; what they may yet find does.
        if !due.is_empty() || self.late_swaps > 0 || self.now_ms < self.plan.world.heal_ms {
            self.at(
                self.now_ms + Scan::OWN.every_ms.get(),
                Event::Scan { server, epoch },
            );
        }
        for (id, at_ms) in due {
            if !self.server(server).timers.contains_key(&id) {
                if epoch > 0 {
                    self.met.meet(Sometimes::RecoveredAfterRestart);
                }
                self.set_timer(server, id, Some(at_ms));
            }
        }
    }
}
