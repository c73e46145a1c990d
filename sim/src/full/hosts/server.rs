//! A server's process: the loop that is in production, over the network, the clock and the store of the run.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper_util::rt::TokioIo;
use pay_once::counters::Counters;
use pay_once::front::{Front, serve_connection};
use pay_once::ports::{Clock, PspTransport};
use pay_once::psp_client::{Connect, HttpPsp};
use pay_once::server::Server;
use pay_once_core::{AttemptId, Call, CallResult, Entropy, Millis, Reading, UnixMillis};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::spawn_local;
use turmoil::net::{TcpListener, TcpStream};

use super::store_client::StoreClient;
use crate::full::stage::Stage;
use crate::full::wire::{PORT, Pool};
use crate::met::Sometimes;
use crate::plan::Host;
use crate::seen::{PspCall, is_unknown};
use crate::trace::Kind;
use crate::world::{EPOCH_MS, config};

/// How far a PSP call that can move money has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::full) enum Progress {
    /// Its dispatch is durable; not a byte of it is sent.
    Dispatched,
    /// Sent, maybe answered; what came of it is not durable.
    Sent,
}

/// What is known of a server's process from outside.
#[derive(Default)]
pub(in crate::full) struct Process {
    /// Until when it stands still, in milliseconds from the start.
    pub(in crate::full) paused_until_ms: Cell<u64>,
    /// How far its wall clock was set ahead, in milliseconds.
    pub(in crate::full) set_ms: Cell<i64>,
    /// How often it was started.
    pub(in crate::full) incarnation: Cell<u64>,
    /// How many sendings by which money can move it came to.
    pub(in crate::full) sendings: Cell<u32>,
    /// Its calls that can move money, by PSP key.
    pub(in crate::full) calls: RefCell<BTreeMap<String, Progress>>,
}

/// What a server's ports wait at while its process stands still.
#[derive(Clone)]
pub(super) struct Gate {
    stage: Rc<Stage>,
    server: usize,
    incarnation: u64,
}

impl Gate {
    fn known(&self) -> Option<&Process> {
        self.stage.processes.get(self.server)
    }

    fn paused_until_ms(&self) -> u64 {
        self.known().map_or(0, |process| process.paused_until_ms.get())
    }

    /// Returns once the process goes on.
    pub(super) async fn pass(&self) {
        // A pause may be made longer while it lasts.
        while self.stage.now_ms() < self.paused_until_ms() {
            self.stage.sleep_until(self.paused_until_ms()).await;
        }
    }

    /// What its clock shows if nobody sets it, in milliseconds since the Unix epoch.
    pub(super) fn clock_ms(&self) -> UnixMillis {
        let skew_ms = self.stage.plan.world.clocks_ms.get(self.server);
        let now_ms = EPOCH_MS + self.stage.now_ms();
        UnixMillis::new(now_ms.saturating_add_signed(skew_ms.copied().unwrap_or(0)))
    }

    /// Which process it is, and the how-manieth on its server.
    pub(super) fn process(&self) -> (u64, u64) {
        (u64::try_from(self.server).unwrap_or(u64::MAX), self.incarnation)
    }

    /// A record was written: what was sent for it and came back is durable.
    pub(super) fn written(&self, id: AttemptId) {
        let prefix = id.to_string();
        if let Some(process) = self.known() {
            let mut calls = process.calls.borrow_mut();
            calls.retain(|key, progress| *progress == Progress::Dispatched || !key.starts_with(&prefix));
        }
    }

    fn progress(&self, key: &str, progress: Progress) {
        if let Some(process) = self.known().filter(|_| !key.is_empty()) {
            process.calls.borrow_mut().insert(key.to_owned(), progress);
        }
    }

    /// Which sending of the process begins, counted from 1.
    fn next_sending(&self) -> u32 {
        self.known().map_or(0, |process| {
            process.sendings.set(process.sendings.get() + 1);
            process.sendings.get()
        })
    }

    /// The plan may have the process stand still at a sending.
    fn stand_still(&self, nth: u32, is_sent: bool) {
        let for_ms = self.stage.plan.still_ms(self.server, nth, is_sent);
        if let (Some(for_ms), Some(process)) = (for_ms, self.known()) {
            self.stage.meet(Sometimes::PausedAtSending);
            let until_ms = (self.stage.now_ms() + for_ms).min(self.stage.plan.world.heal_ms);
            process
                .paused_until_ms
                .set(process.paused_until_ms.get().max(until_ms));
        }
    }

    fn forget(&self, key: &str) {
        if let Some(process) = self.known() {
            process.calls.borrow_mut().remove(key);
        }
    }
}

impl Clock for Gate {
    fn reading(&self) -> Reading {
        let set_ms = self.known().map_or(0, |process| process.set_ms.get());
        Reading {
            wall_ms: UnixMillis::new(self.clock_ms().get().saturating_add_signed(set_ms)),
            since_boot_ms: Some(Millis::new(self.stage.now_ms())),
        }
    }

    async fn sleep(&self, for_ms: Millis) {
        self.stage.sleep(for_ms.get()).await;
        self.pass().await;
    }

    fn entropy(&self) -> Entropy {
        let mut draw = self.stage.entropy.borrow_mut();
        Entropy(u128::from(draw.word()) << 64 | u128::from(draw.word()))
    }
}

/// Connections over the simulated network.
struct SimConnect(Gate);

impl Connect for SimConnect {
    type Io = TokioIo<TcpStream>;

    async fn connect(&self, host: &str, port: u16, _tls: bool) -> io::Result<Self::Io> {
        let stream = TcpStream::connect((host, port)).await?;
        // Whether it may still be sent is asked next, and must be asked after the pause.
        self.0.pass().await;
        Ok(TokioIo::new(stream))
    }
}

/// The real transport, behind the gate.
struct SimPsp {
    http: HttpPsp<SimConnect>,
    gate: Gate,
}

impl PspTransport for SimPsp {
    async fn send(&self, call: &Call, may_send: impl Fn() -> bool) -> CallResult {
        let gate = &self.gate;
        let key = match call.moves_money {
            true => idempotency_key(call),
            false => "",
        };
        if !key.is_empty() {
            let at_ms = gate.stage.now_ms();
            let key = key.to_owned();
            gate.stage.sends.borrow_mut().push(PspCall { at_ms, key });
        }
        gate.progress(key, Progress::Dispatched);
        let nth = if key.is_empty() { 0 } else { gate.next_sending() };
        gate.stand_still(nth, false);
        gate.pass().await;
        let may_send = || {
            let may = may_send();
            match may {
                true => {
                    gate.progress(key, Progress::Sent);
                    gate.stand_still(nth, true);
                }
                false => gate.stage.meet(Sometimes::SendWindowMissed),
            }
            may
        };
        let result = self.http.send(call, may_send).await;
        gate.pass().await;
        // Only the read of an event is for no attempt.
        if call.attempt.is_none() {
            gate.stage.meet(Sometimes::EventRead);
        }
        if let (Some(id), true) = (call.attempt, call.moves_money && is_unknown(&result)) {
            *gate.stage.unknown.borrow_mut().entry(id.to_string()).or_default() += 1;
        }
        if let CallResult::NotSent { reason } = &result {
            gate.forget(key);
            let at = Host::Server(gate.server);
            gate.stage.note(at, Kind::Lost, || format!("not sent: {reason}"));
        }
        result
    }
}

fn idempotency_key(call: &Call) -> &str {
    let found = call
        .http
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
    found.map_or("", |(_, key)| key)
}

/// Serves for ever: the process from its start.
pub(in crate::full) async fn run(stage: Rc<Stage>, server: usize) -> turmoil::Result {
    let incarnation = stage.processes.get(server).map_or(0, |process| {
        process.paused_until_ms.set(0);
        if process.incarnation.get() > 0 {
            process.set_ms.set(0);
        }
        process.calls.borrow_mut().clear();
        process.incarnation.set(process.incarnation.get() + 1);
        process.incarnation.get()
    });
    let gate = Gate {
        stage: Rc::clone(&stage),
        server,
        incarnation,
    };
    let store = StoreClient {
        gate: gate.clone(),
        pool: Pool::new(super::name(Host::Store)),
        is_exclusive: stage.processes.len() == 1,
    };
    let psp = SimPsp {
        http: HttpPsp::new(SimConnect(gate.clone())),
        gate: gate.clone(),
    };
    let config = config(&stage.plan.world, "http://psp");
    let serving = Server::new(config, gate.clone(), store, psp, Arc::new(Counters::default()));
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    spawn_local(Rc::clone(&serving).work());
    let for_front = Rc::clone(&serving);
    let front = Front::new(Arc::clone(serving.intake()), Rc::new(move || for_front.now_ms()));
    loop {
        let (stream, _) = listener.accept().await?;
        let io = TokioIo::new(Paused {
            stream,
            gate: gate.clone(),
            waiting: None,
        });
        let front = front.clone();
        spawn_local(async move {
            // A broken connection is its client's to notice.
            let _ = serve_connection(io, front, std::future::pending()).await;
        });
    }
}

type Waiting = Pin<Box<dyn Future<Output = ()>>>;

/// A client's connection: nothing of it is read or written while the process stands still.
struct Paused {
    stream: TcpStream,
    gate: Gate,
    waiting: Option<Waiting>,
}

impl Paused {
    fn poll_pass(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none() && self.gate.stage.now_ms() >= self.gate.paused_until_ms() {
            return Poll::Ready(());
        }
        let gate = self.gate.clone();
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(async move { gate.pass().await }));
        ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        Poll::Ready(())
    }
}

impl AsyncRead for Paused {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_pass(context));
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Paused {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_pass(context));
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
