//! The small world: one record, two servers, two clients, one PSP. A state is small, shares what it can, and has a
//! digest that says all of it.

use std::sync::Arc;

use pay_once_core::{AttemptId, Call, Config, Input, Record, RecordVersion, Reply, Turn, UnixMillis};
use pay_once_psp_model::{Asked, Ledger};

use super::cell::{Cell, START_MS, TIMING};
use super::digest::{self, Digest};
use super::mix::{Budget, Mix};
use crate::coverage::Shape;

/// What does not change while a world is explored.
pub(super) struct Scene {
    pub(super) cell: Cell,
    pub(super) config: Config,
    pub(super) id: AttemptId,
}

/// Which server's clock is how far behind true time, in milliseconds: the whole declared skew lies between the two.
pub(super) const BEHIND_MS: [u64; 2] = [0, TIMING.max_clock_skew_ms.get()];

/// How long before its deadline a 3-D Secure has to be finished to be certainly in time, in milliseconds: the skew between clocks,
/// and the lag of listings.
pub(super) const IN_TIME_MS: u64 = TIMING.max_clock_skew_ms.get() + super::cell::LOOKUP_LAG_MS;

/// Something with its digest, made once and shared.
#[derive(Debug)]
pub(super) struct Known<T> {
    pub(super) it: T,
    pub(super) digest: Digest,
}

/// What a server has decided and not yet made durable.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) expected_version: Option<RecordVersion>,
    pub(super) record: Arc<Record>,
    /// The record's shape.
    pub(super) shape: Shape,
    /// The timer that is kept beside the record.
    pub(super) wake_at_ms: Option<UnixMillis>,
    /// What follows once it is durable.
    pub(super) then: Then,
    /// The turn, which waits for the end of its swap.
    pub(super) turn: Turn,
}

/// What a turn asks for once nothing is left to be written.
#[derive(Debug)]
pub(super) struct Then {
    pub(super) calls: Vec<Arc<Known<Call>>>,
    /// When to wake the attempt, and whether that replaces a timer that comes before.
    pub(super) arm: Option<(UnixMillis, bool)>,
    pub(super) reply: Reply,
}

/// Whose the reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// A client's, for the request at this place of its list.
    Client { client: u8, at: u8 },
    /// A PSP's, for this notice.
    Webhook { notice: u8 },
    /// An operator's.
    Operator,
    /// What came of a call; whether it says what the PSP did.
    Outcome { told: bool, moves_money: bool },
    /// A timer.
    Timer,
}

/// How far a server is with something (`ARCHITECTURE.md`, “The loop”).
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// To be loaded for and decided on.
    Ready(Arc<Known<Input>>),
    /// Decided; the swap is next.
    Decided(Arc<Known<Input>>, Arc<Known<Decision>>),
    /// The swap's end is unknown; reading back is next.
    ReadBack(Arc<Known<Input>>, Arc<Known<Decision>>),
    /// A client waits: until the record changes here, or until then.
    Waiting {
        input: Arc<Known<Input>>,
        until_ms: UnixMillis,
        changed: bool,
    },
    /// A call to be sent.
    Given(Arc<Known<Call>>),
    /// A call whose request is on its way; the answer is waited for until then.
    Awaiting {
        call: Arc<Known<Call>>,
        until_ms: UnixMillis,
    },
}

/// Something that a server is at.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) origin: Origin,
    pub(super) phase: Phase,
}

impl Job {
    pub(super) fn digest(&self) -> Digest {
        match &self.phase {
            Phase::Ready(input) => digest::of(&(0, self.origin, input.digest)),
            Phase::Decided(input, decision) => digest::of(&(1, self.origin, input.digest, decision.digest)),
            Phase::ReadBack(input, decision) => digest::of(&(2, self.origin, input.digest, decision.digest)),
            Phase::Waiting {
                input,
                until_ms,
                changed,
            } => digest::of(&(3, self.origin, input.digest, until_ms, changed)),
            Phase::Given(call) => digest::of(&(4, self.origin, call.digest)),
            Phase::Awaiting { call, until_ms } => digest::of(&(5, self.origin, call.digest, until_ms)),
        }
    }

    /// Whether it holds the server's turn on the record.
    pub(super) fn holds_turn(&self) -> bool {
        matches!(self.phase, Phase::Decided(..) | Phase::ReadBack(..))
    }
}

/// One server process.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    /// What it is at, in the order of the digests.
    pub(super) jobs: Vec<(Digest, Job)>,
    /// The timer in memory.
    pub(super) timer_ms: Option<UnixMillis>,
    /// It does nothing until it goes on.
    pub(super) paused: bool,
}

impl Server {
    pub(super) fn add(&mut self, job: Job) {
        let digest = job.digest();
        let at = self.jobs.partition_point(|(other, _)| *other < digest);
        self.jobs.insert(at, (digest, job));
    }

    /// Whether a timer that fired is being handled.
    pub(super) fn has_timer_under_way(&self) -> bool {
        self.jobs.iter().any(|(_, job)| job.origin == Origin::Timer)
    }

    pub(super) fn has_turn(&self) -> bool {
        self.jobs.iter().any(|(_, job)| job.holds_turn())
    }
}

/// A request on its way to the PSP.
#[derive(Clone, Debug)]
pub(super) struct Flying {
    pub(super) call: Arc<Known<Call>>,
    /// When it lands at the latest, by true time.
    pub(super) lands_by_ms: u64,
    /// Whether somebody has looked in the meantime, and not found its effect.
    pub(super) missed: bool,
}

/// One client: it goes through its requests in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Client {
    /// The request that it is at.
    pub(super) at: u8,
    /// The version at which it was told 202, or that the PSP rejected the request.
    pub(super) told_at: Option<u64>,
    /// After a rejection: when it may ask again, by true time.
    pub(super) again_ms: Option<u64>,
}

/// An answer that comes long after.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Who sent the request.
    pub(super) server: u8,
    /// The call, with its answer.
    pub(super) input: Arc<Known<Input>>,
    /// The PSP key that the request had.
    pub(super) key: Option<String>,
    pub(super) moves_money: bool,
}

/// What clients have been told, which must stay true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Told {
    /// That no money was taken, or that a new key is safe.
    pub(super) never_taken: bool,
    /// That money was taken.
    pub(super) taken: bool,
    /// The final answer to each key.
    pub(super) finals: Vec<(&'static str, Digest)>,
}

/// A state of the world.
#[derive(Clone)]
pub(super) struct World {
    /// True time, in milliseconds since the Unix epoch.
    pub(super) now_ms: u64,
    /// What is durable.
    pub(super) store: Option<Arc<Record>>,
    /// The timer kept beside it.
    pub(super) hint_ms: Option<UnixMillis>,
    /// A swap that was given up as unknown and is not yet applied.
    pub(super) slow_swap: Option<Arc<Known<Decision>>>,
    pub(super) servers: [Server; 2],
    pub(super) flying: Vec<Flying>,
    /// Answers that come long after.
    pub(super) held: Vec<Held>,
    pub(super) ledger: Arc<Known<Ledger>>,
    pub(super) clients: [Client; 2],
    pub(super) left: Budget,
    pub(super) told: Told,
    /// Notices delivered, one bit each.
    pub(super) delivered: u32,
    /// Swaps applied.
    pub(super) writes: u8,
    /// Money calls sent.
    pub(super) sends: u8,
    /// Resolutions that an operator has asked for; each has a key of its own.
    pub(super) resolved: u8,
    /// When the customer finished 3-D Secure, in milliseconds since the Unix epoch; noted only where the deadline matters.
    pub(super) finished_ms: Option<u64>,
    /// Whether time stops right before the deadline of a 3-D Secure. It is the same for all states of a world.
    pub(super) has_deadline: bool,
}

impl World {
    pub(super) fn new(cell: &Cell) -> Self {
        let ledger = cell.books();
        let digest = digest::of(&ledger);
        Self {
            now_ms: START_MS,
            store: None,
            hint_ms: None,
            slow_swap: None,
            servers: [Server::default(), Server::default()],
            flying: Vec::new(),
            held: Vec::new(),
            ledger: Arc::new(Known { it: ledger, digest }),
            clients: [Client::default(); 2],
            left: cell.budget,
            told: Told::default(),
            delivered: 0,
            writes: 0,
            sends: 0,
            resolved: 0,
            finished_ms: None,
            has_deadline: cell.mix == Mix::Deadline,
        }
    }

    /// What the servers' clocks say.
    pub(super) fn clock(&self, server: usize) -> UnixMillis {
        UnixMillis::new(self.now_ms - BEHIND_MS.get(server).copied().unwrap_or(0))
    }

    pub(super) fn version(&self) -> u64 {
        self.store.as_ref().map_or(0, |record| record.version().get())
    }

    /// The digest of all that the future depends on.
    pub(super) fn digest(&self) -> Digest {
        let rest = (
            &self.told,
            self.delivered,
            self.clients,
            self.left,
            self.writes,
            self.sends,
        );
        digest::of(&(self.digest_of_rest(), rest))
    }

    /// The digest of all that a future without clients, notices and faults depends on.
    pub(super) fn digest_of_rest(&self) -> Digest {
        let server = |server: &Server| {
            let jobs: Vec<Digest> = server.jobs.iter().map(|(digest, _)| *digest).collect();
            digest::of(&(jobs, server.timer_ms, server.paused))
        };
        let [first, second] = &self.servers;
        let flying: Vec<_> = self
            .flying
            .iter()
            .map(|flying| (flying.call.digest, flying.lands_by_ms, flying.missed))
            .collect();
        let held: Vec<_> = self
            .held
            .iter()
            .map(|held| (held.server, held.input.digest))
            .collect();
        digest::of(&(
            self.now_ms,
            self.store.as_ref().map(|record| record.head()),
            self.hint_ms,
            self.slow_swap.as_ref().map(|swap| swap.digest),
            (server(first), server(second)),
            (flying, held, self.resolved, self.finished_ms),
            self.ledger.digest,
            (self.told.never_taken, self.told.taken),
        ))
    }

    /// Whether a client's request at a place of its list is still open at some server.
    pub(super) fn has_open(&self, client: u8, at: u8) -> bool {
        let origin = Origin::Client { client, at };
        self.servers
            .iter()
            .any(|server| server.jobs.iter().any(|(_, job)| job.origin == origin))
    }

    /// Lets the PSP's books change.
    pub(super) fn with_ledger<T>(&mut self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut ledger = self.ledger.it.clone();
        let out = change(&mut ledger);
        if ledger != self.ledger.it {
            let digest = digest::of(&ledger);
            self.ledger = Arc::new(Known { it: ledger, digest });
        }
        out
    }

    /// The next moments at which anything can become due, by true time; those past are left out.
    pub(super) fn next_moment_ms(&self) -> Option<u64> {
        let mut next: Option<u64> = None;
        let mut at = |true_ms: u64| {
            if true_ms > self.now_ms {
                next = Some(next.map_or(true_ms, |known| known.min(true_ms)));
            }
        };
        for (server, behind_ms) in self.servers.iter().zip(BEHIND_MS) {
            if let Some(timer_ms) = server.timer_ms.or(self.hint_ms) {
                at(timer_ms.get() + behind_ms);
            }
            for (_, job) in &server.jobs {
                match &job.phase {
                    Phase::Waiting { until_ms, .. } | Phase::Awaiting { until_ms, .. } => {
                        at(until_ms.get() + behind_ms)
                    }
                    // A server that was paused finds its window closed.
                    Phase::Given(call) => at(call.it.send_by_ms.get() + behind_ms + 1),
                    Phase::Ready(_) | Phase::Decided(..) | Phase::ReadBack(..) => {}
                }
            }
        }
        for flying in &self.flying {
            at(flying.lands_by_ms);
        }
        if self.left.polls > 0 {
            let waiting = self.clients.iter().filter(|client| client.told_at.is_some());
            waiting.filter_map(|client| client.again_ms).for_each(&mut at);
        }
        if let Some(deadline_ms) = self.deadline_ms().filter(|_| self.has_deadline) {
            at(deadline_ms - IN_TIME_MS - 1);
            at(deadline_ms - 1);
        }
        next
    }

    /// When the time of an unfinished 3-D Secure is over, by the clock that is not behind.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let action = self.store.as_ref()?.state().action.as_ref()?;
        Some((action.since_ms + TIMING.action_timeout_ms).get())
    }

    /// Whether a server's timer is due.
    pub(super) fn is_due(&self, server: usize) -> bool {
        let timer_ms = self
            .servers
            .get(server)
            .and_then(|server| server.timer_ms)
            .or(self.hint_ms);
        timer_ms.is_some_and(|timer_ms| timer_ms <= self.clock(server))
    }
}

/// A call as the PSP sees it.
pub(super) fn asked(call: &Call) -> Asked<'_> {
    let http = &call.http;
    Asked::new(http.method, &http.url, &http.headers, &http.body)
}
