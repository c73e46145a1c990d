//! A complete adapter in memory, to be read and copied: HTTP in front, a map for a store, timers that are tasks. It passes the
//! suite of every adapter. Yours replaces `Store`, `Host::arm` and the way in; `Host::run` stays as it is.
//!
//! What an adapter owes is in the table of [`pay_once_core::host::turn`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pay_once::ports::PspTransport;
use pay_once::psp_client::{HttpPsp, TcpConnect};
use pay_once_core::limits::PSP_ANSWER_BYTES_MAX;
use pay_once_core::{
    Action, AttemptId, Call, CallResult, Config, Entropy, Questions, Record, RecordVersion, Request,
    Response, Swap, Swapped, Turn, UnixMillis, body_did_not_arrive, not_answered,
};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::spawn_local;

/// One record an attempt, with a compare-and-swap. A map here; a database elsewhere.
#[derive(Default)]
struct Store {
    rows: BTreeMap<AttemptId, (RecordVersion, Vec<u8>)>,
}

impl Store {
    fn load(&self, id: AttemptId) -> Option<&[u8]> {
        self.rows.get(&id).map(|(_, bytes)| &**bytes)
    }

    /// All of them, for a search. A database has an index of [`Swap::entry`] instead.
    fn records(&self) -> Vec<Record> {
        let records = self.rows.iter();
        records
            .filter_map(|(id, (_, bytes))| Record::decode(*id, bytes).ok())
            .collect()
    }

    fn swap(&mut self, swap: Swap) -> Swapped {
        let there = self.rows.get(&swap.id).map(|(version, _)| *version);
        if there != swap.expected_version {
            return Swapped::Conflict;
        }
        self.rows.insert(swap.id, (swap.version, swap.bytes));
        Swapped::Applied
    }
}

/// The process.
struct Host {
    config: Config,
    store: RefCell<Store>,
    questions: RefCell<Questions>,
    psp: HttpPsp<TcpConnect>,
    /// When each attempt wants to be woken, in milliseconds since the Unix epoch.
    timers: RefCell<BTreeMap<AttemptId, UnixMillis>>,
    /// Told of every change. (A large host has one for each attempt.)
    changed: Notify,
}

/// Serves until it is dropped. [`Config::check`] is the caller's to have passed.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, config: Config) -> std::io::Result<()> {
    let host = Rc::new(Host {
        config,
        store: RefCell::default(),
        questions: RefCell::default(),
        psp: HttpPsp::new(TcpConnect::new()),
        timers: RefCell::default(),
        changed: Notify::new(),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let host = Rc::clone(&host);
        let service = service_fn(move |request| {
            let host = Rc::clone(&host);
            // A task of its own: a client that hangs up must not stop what it has begun.
            let answer = spawn_local(async move { host.answer(request).await });
            async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|_| translate(not_answered()))) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .title_case_headers(true)
            .serve_connection(TokioIo::new(stream), service);
        // How a connection ends is its client's business.
        spawn_local(async move { drop(connection.await) });
    }
}

impl Host {
    async fn answer(self: Rc<Self>, request: hyper::Request<Incoming>) -> hyper::Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        // One byte more than core ever takes: what is larger is core's to refuse.
        let Ok(body) = Limited::new(body, PSP_ANSWER_BYTES_MAX + 1).collect().await else {
            return translate(body_did_not_arrive());
        };
        let headers: Vec<(&str, &[u8])> = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let request = Request {
            method: head.method.as_str(),
            target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
            headers: &headers,
            body: &body.to_bytes(),
        };
        let turn = Turn::request(&self.config, &request, now_ms());
        translate(self.run(turn).await.unwrap_or_else(not_answered))
    }

    /// Carries a turn out. Whatever an action is answered with, core knows how to go on.
    async fn run(self: &Rc<Self>, mut turn: Turn) -> Option<Response> {
        let mut reply = None;
        loop {
            // Listening begins before the load, so that no change falls in between.
            let changed = self.changed.notified();
            let action = turn.next(now_ms(), &mut self.questions.borrow_mut());
            match action {
                Action::Read(call) => turn.read(&self.config, &self.send(&call).await, now_ms()),
                Action::Search(search) => {
                    let found = search.among(self.store.borrow().records());
                    turn.found(&self.config, found, now_ms());
                }
                Action::Load => self.load(&mut turn),
                Action::Swap => {
                    let swap = turn.write().map(Swap::from);
                    let swapped = swap.map_or(Swapped::Conflict, |swap| self.store.borrow_mut().swap(swap));
                    turn.swapped(swapped, now_ms());
                }
                Action::Committed(write) => {
                    self.timers.borrow_mut().remove(&write.record.id());
                    self.arm(Some(write.record.id()), write.wake_at_ms, true);
                    self.changed.notify_waiters();
                }
                Action::Perform(call) => {
                    let host = Rc::clone(self);
                    spawn_local(async move { host.perform(*call).await });
                }
                Action::Arm { at_ms, is_latest } => self.arm(turn.id(), Some(at_ms), is_latest),
                Action::Note(note) => note
                    .message()
                    .iter()
                    .for_each(|line| eprintln!("{:?}: {line}", turn.id())),
                Action::Wait { until_ms } => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(until_ms) => {}
                    }
                    turn.woken();
                }
                Action::Pause { until_ms } => {
                    sleep_until(until_ms).await;
                    turn.woken();
                }
                Action::Reply(response) => reply = Some(response),
                Action::Done => return reply,
            }
        }
    }

    fn load(&self, turn: &mut Turn) {
        let Some(id) = turn.id() else { return };
        let stored = self
            .store
            .borrow()
            .load(id)
            .map(|bytes| Record::decode(id, bytes))
            .transpose();
        let mut entropy = [0; 16];
        match (stored, getrandom::fill(&mut entropy)) {
            (Ok(record), Ok(())) => {
                let entropy = Entropy(u128::from_le_bytes(entropy));
                turn.loaded(&self.config, record.as_ref(), now_ms(), entropy);
            }
            // Bytes that are no record are left as they are.
            (Err(why), _) => turn.refused(why, now_ms()),
            // A store that does not answer is told in the same way.
            (Ok(_), Err(_)) => turn.store_failed(now_ms()),
        }
    }

    /// Sends at most once, and only in time.
    async fn send(&self, call: &Call) -> CallResult {
        self.psp.send(call, || call.may_send(now_ms())).await
    }

    // Boxed, since what it performs may lead to another call.
    fn perform(self: Rc<Self>, call: Call) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            let result = self.send(&call).await;
            if let Some(turn) = Turn::outcome(call, result, now_ms()) {
                self.run(turn).await;
            }
        })
    }

    /// Sets a timer. A store that outlives its process keeps the times beside the records, and is searched for those that are due.
    fn arm(self: &Rc<Self>, id: Option<AttemptId>, at_ms: Option<UnixMillis>, is_latest: bool) {
        let (Some(id), Some(at_ms)) = (id, at_ms) else {
            return;
        };
        let known_ms = self.timers.borrow().get(&id).copied();
        if known_ms.is_some_and(|known_ms| known_ms <= at_ms && !is_latest) {
            return;
        }
        self.timers.borrow_mut().insert(id, at_ms);
        let host = Rc::clone(self);
        spawn_local(async move {
            sleep_until(at_ms).await;
            // Moved meanwhile, it is another task's.
            let is_mine = host.timers.borrow().get(&id) == Some(&at_ms);
            if is_mine {
                host.timers.borrow_mut().remove(&id);
                host.run(Turn::wake(id)).await;
            }
        });
    }
}

fn now_ms() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

async fn sleep_until(at_ms: UnixMillis) {
    tokio::time::sleep((at_ms - now_ms()).into()).await;
}

fn translate(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut out = hyper::Response::builder().status(response.status);
    for (name, value) in response.headers {
        out = out.header(name, value);
    }
    // Core writes visible ASCII only.
    out.body(Full::new(Bytes::from(response.body)))
        .unwrap_or_default()
}
