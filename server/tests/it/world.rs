//! A world of our own for the loop: a clock that stands still until it is moved, a store and a PSP that do as told.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use pay_once::bounds::{Bounds, BoundsState};
use pay_once::counters::Counters;
use pay_once::front::{Front, serve_connection};
use pay_once::ports::{Clock, Store, Swap, Swapped, Unavailable};
use pay_once::server::Server;
use pay_once_core::{
    AttemptId, Capabilities, Config, Connector, Entropy, Merchant, Millis, Psp, Reading, RecordVersion,
    Secret, Timing, UnixMillis,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::counting_psp::CountingPsp;
use crate::http::{Answer, parse};

/// Sun, 06 Nov 1994 08:49:37 GMT.
pub(crate) const START_MS: u64 = 784_111_777_000;

/// A clock that only [`FakeClock::advance`] moves.
#[derive(Clone)]
pub(crate) struct FakeClock(Rc<(Cell<u64>, Notify, Cell<u128>)>);

impl FakeClock {
    fn new() -> Self {
        Self(Rc::new((Cell::new(START_MS), Notify::new(), Cell::new(7))))
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.0.0.set(self.0.0.get() + ms);
        self.0.1.notify_waiters();
    }

    pub(crate) fn now_ms(&self) -> UnixMillis {
        UnixMillis::new(self.0.0.get())
    }

    pub(crate) async fn sleep_until(&self, at_ms: UnixMillis) {
        loop {
            let moved = self.0.1.notified();
            if self.now_ms() >= at_ms {
                return;
            }
            moved.await;
        }
    }
}

impl Clock for FakeClock {
    fn reading(&self) -> Reading {
        Reading {
            wall_ms: self.now_ms(),
            since_boot_ms: Some(Millis::new(self.0.0.get() - START_MS)),
        }
    }

    async fn sleep(&self, for_ms: Millis) {
        self.sleep_until(self.now_ms() + for_ms).await;
    }

    fn entropy(&self) -> Entropy {
        let next = self
            .0
            .2
            .get()
            .wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645)
            + 1;
        self.0.2.set(next);
        Entropy(next)
    }
}

/// What the store does with one swap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Does {
    Well,
    /// Says that another version is there, which is not so any more when one looks.
    Conflict,
    /// Applies it and does not say so.
    UnknownApplied,
    /// Does not apply it and does not say so.
    UnknownLost,
    /// Applies it only when the next swap comes.
    UnknownLate,
    /// Applies it and does not say so; then cannot be read for a while.
    UnknownAppliedThenDown,
    /// Applies it this many milliseconds later.
    Slow(u64),
}

/// One record a row: version, bytes, when it wants to be woken.
type Rows = BTreeMap<AttemptId, (RecordVersion, Vec<u8>, Option<UnixMillis>)>;

#[derive(Default)]
struct Memory {
    rows: Rows,
    script: VecDeque<Does>,
    late: Option<Swap>,
    loads_down: usize,
    writes: usize,
}

/// A store in memory, shared by any number of servers.
#[derive(Clone)]
pub(crate) struct MemoryStore {
    memory: Rc<RefCell<Memory>>,
    clock: FakeClock,
    is_exclusive: bool,
}

impl MemoryStore {
    /// What it does with the next swaps, one after the other; well, after that.
    pub(crate) fn script(&self, script: impl IntoIterator<Item = Does>) {
        self.memory.borrow_mut().script = script.into_iter().collect();
    }

    /// The next reads fail.
    pub(crate) fn down(&self, loads: usize) {
        self.memory.borrow_mut().loads_down = loads;
    }

    /// Swaps applied.
    pub(crate) fn writes(&self) -> usize {
        self.memory.borrow().writes
    }
}

impl Memory {
    fn apply(&mut self, swap: Swap) -> Swapped {
        let now = self.rows.get(&swap.id).map(|(version, ..)| *version);
        if now != swap.expected_version {
            return Swapped::Conflict;
        }
        self.writes += 1;
        self.rows
            .insert(swap.id, (swap.version, swap.bytes, swap.wake_at_ms));
        Swapped::Applied
    }
}

impl Store for MemoryStore {
    fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    async fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, Unavailable> {
        yield_now().await;
        let mut memory = self.memory.borrow_mut();
        if memory.loads_down > 0 {
            memory.loads_down -= 1;
            return Err(Unavailable("down".to_owned()));
        }
        Ok(memory.rows.get(&id).map(|(_, bytes, _)| bytes.clone()))
    }

    async fn swap(&self, swap: Swap) -> Swapped {
        yield_now().await;
        let does = {
            let mut memory = self.memory.borrow_mut();
            if let Some(late) = memory.late.take() {
                memory.apply(late);
            }
            memory.script.pop_front().unwrap_or(Does::Well)
        };
        if let Does::Slow(ms) = does {
            self.clock
                .sleep_until(self.clock.now_ms() + Millis::new(ms))
                .await;
        }
        let mut memory = self.memory.borrow_mut();
        match does {
            Does::Well | Does::Slow(_) => memory.apply(swap),
            Does::Conflict => Swapped::Conflict,
            Does::UnknownLost => Swapped::Unknown,
            Does::UnknownApplied => {
                memory.apply(swap);
                Swapped::Unknown
            }
            Does::UnknownAppliedThenDown => {
                memory.apply(swap);
                memory.loads_down = 3;
                Swapped::Unknown
            }
            Does::UnknownLate => {
                memory.late = Some(swap);
                Swapped::Unknown
            }
        }
    }

    async fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(AttemptId, UnixMillis)>, Unavailable> {
        let memory = self.memory.borrow();
        let due = memory.rows.iter().filter_map(|(id, (_, _, wake))| {
            let at_ms = (*wake)?;
            (at_ms <= until_ms).then_some((*id, at_ms))
        });
        Ok(due.take(limit).collect())
    }
}

type Loop = Rc<Server<FakeClock, MemoryStore, CountingPsp>>;

/// Servers over one store, one clock and one PSP.
pub(crate) struct World {
    pub(crate) clock: FakeClock,
    pub(crate) store: MemoryStore,
    pub(crate) psp: CountingPsp,
    servers: Vec<Loop>,
}

impl World {
    /// Starts servers; more than one share the store. Needs a `LocalSet`.
    pub(crate) fn new(servers: usize, is_exclusive: bool) -> Self {
        Self::bounded(servers, is_exclusive, Bounds::none)
    }

    /// The same, with bounds.
    pub(crate) fn bounded(servers: usize, is_exclusive: bool, bounds: impl Fn() -> Bounds) -> Self {
        let clock = FakeClock::new();
        let store = MemoryStore {
            memory: Rc::default(),
            clock: clock.clone(),
            is_exclusive,
        };
        let psp = CountingPsp::default();
        let servers: Vec<Loop> = (0..servers)
            .map(|_| {
                Server::bounded(
                    config(),
                    clock.clone(),
                    store.clone(),
                    psp.clone(),
                    Arc::new(Counters::default()),
                    bounds(),
                )
            })
            .collect();
        for server in &servers {
            tokio::task::spawn_local(Rc::clone(server).work());
        }
        Self {
            clock,
            store,
            psp,
            servers,
        }
    }

    /// Where the bounds of a server stand.
    pub(crate) fn bounds(&self, server: usize) -> BoundsState {
        self.servers[server].bounds().state()
    }

    /// Sends one request to one server, over a pipe, and gives the answer. Does not move the clock.
    pub(crate) fn begin(
        &self,
        server: usize,
        method: &str,
        target: &str,
        key: &str,
        body: &Value,
    ) -> tokio::task::JoinHandle<Answer> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIdempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let server = Rc::clone(&self.servers[server]);
        let intake = Arc::clone(server.intake());
        let front = Front::new(intake, Rc::new(move || server.now_ms()));
        tokio::task::spawn_local(async move {
            let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
            let serving = tokio::task::spawn_local(serve_connection(
                TokioIo::new(theirs),
                front,
                std::future::pending(),
            ));
            ours.write_all(head.as_bytes()).await.unwrap();
            let mut bytes = Vec::new();
            ours.read_to_end(&mut bytes).await.unwrap();
            serving.await.unwrap().unwrap();
            parse(&bytes).unwrap()
        })
    }

    /// As [`World::begin`], and moves the clock until the answer is there.
    pub(crate) async fn ask(&self, method: &str, target: &str, key: &str, body: &Value) -> Answer {
        let asked = self.begin(0, method, target, key, body);
        for _ in 0..10_000 {
            if asked.is_finished() {
                return asked.await.unwrap();
            }
            self.pass(10).await;
        }
        panic!("{method} {target}: no answer");
    }

    /// Lets everything happen that can, and then time pass.
    pub(crate) async fn pass(&self, ms: u64) {
        for _ in 0..50 {
            yield_now().await;
        }
        self.clock.advance(ms);
    }

    /// Repeats one request under one key, as clients do, until its answer is final.
    pub(crate) async fn insist(&self, target: &str, key: &str, body: &Value) -> Answer {
        let until_ms = self.clock.now_ms() + Millis::new(120_000);
        loop {
            let answer = self.ask("POST", target, key, body).await;
            if !matches!(answer.status, 202 | 503) {
                return answer;
            }
            assert!(self.clock.now_ms() < until_ms, "{target}: {answer:?}");
            self.pass(500).await;
        }
    }
}

fn config() -> Config {
    let psp = Psp {
        connector: Connector::Acquirer,
        base_url: "http://psp".to_owned(),
        api_key: Secret::new("sk"),
        webhook_secrets: Vec::new(),
        capabilities: Capabilities {
            keyed_horizon_ms: Some(Millis::new(86_400_000)),
            ..Capabilities::default()
        },
        timing: Timing {
            call_timeout_ms: Millis::new(1_000),
            max_in_flight_ms: Millis::new(2_000),
            ..Timing::default()
        },
    };
    let merchant = Merchant {
        psp: "cardnet".to_owned(),
        default_payment_method: Some("tok".to_owned()),
        ..Merchant::default()
    };
    Config {
        installation: String::new(),
        time_budget_ms: Millis::new(150),
        merchants: BTreeMap::from([("shop".to_owned(), merchant)]),
        psps: BTreeMap::from([("cardnet".to_owned(), psp)]),
        open_merchant: Some("shop".to_owned()),
        ..Config::default()
    }
}
