//! What the threads in front of the loop share with it: the configuration in force, the bounds, and the way in for requests.
//!
//! Any number of threads read requests and write answers ([`crate::front`]). One thread decides and stores ([`crate::server`]): no
//! two decisions on one store run side by side within a process. What is refused never reaches that thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use hyper::http::request::Parts;
use pay_once_core::{Config, Response};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::bounds::Bounds;
use crate::bounds::admission::{Admission, Permit};
use crate::bounds::connections::Connections;
use crate::counters::Counters;

/// The way to the loop, for threads in front of it.
#[derive(Debug)]
pub struct Intake {
    config: RwLock<Arc<Config>>,
    /// Client connections.
    pub connections: Arc<Connections>,
    /// Requests in work.
    pub admission: Arc<Admission>,
    /// What is counted of requests and answers.
    pub counters: Arc<Counters>,
    under_way: Arc<UnderWayCount>,
    // Bounded by the admission: what is in it has a permit.
    taken_on: mpsc::UnboundedSender<TakenOn>,
}

/// A request that was taken on, on its way to the loop.
#[derive(Debug)]
pub(crate) struct TakenOn {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
    pub(crate) permit: Permit,
    /// Closed when the client hangs up.
    pub(crate) reply: oneshot::Sender<Response>,
    /// When it was taken on.
    pub(crate) since: Instant,
}

/// The requests, as the loop receives them.
pub(crate) type TakenOnRequests = mpsc::UnboundedReceiver<TakenOn>;

#[derive(Debug, Default)]
struct UnderWayCount {
    requests: AtomicUsize,
    ended: Notify,
}

impl Intake {
    /// The way in, and its end.
    pub(crate) fn new(
        config: Config,
        bounds: &Bounds,
        counters: Arc<Counters>,
    ) -> (Arc<Self>, TakenOnRequests) {
        let (taken_on, requests) = mpsc::unbounded_channel();
        let intake = Self {
            config: RwLock::new(Arc::new(config)),
            connections: Arc::clone(&bounds.connections),
            admission: Arc::clone(&bounds.admission),
            counters,
            under_way: Arc::default(),
            taken_on,
        };
        (Arc::new(intake), requests)
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another configuration in force.
    pub(crate) fn reconfigure(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Hands a request to the loop, and waits for its answer. `None`: the loop ended without one. Once its first write has begun, the work
    /// goes on though this future is dropped.
    pub(crate) async fn respond(&self, head: Parts, body: Bytes, permit: Permit) -> Option<Response> {
        let _under_way = UnderWay::begin(&self.under_way);
        let (reply, answer) = oneshot::channel();
        let taken_on = TakenOn {
            head,
            body,
            permit,
            reply,
            since: Instant::now(),
        };
        self.taken_on.send(taken_on).ok()?;
        answer.await.ok()
    }

    /// Whether no request is being answered.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.under_way.requests.load(Ordering::Acquire) == 0
    }

    /// Returns once no request is being answered.
    pub async fn answered(&self) {
        loop {
            let mut ended = std::pin::pin!(self.under_way.ended.notified());
            // From here on no end is missed.
            ended.as_mut().enable();
            if self.is_quiet() {
                return;
            }
            ended.await;
        }
    }
}

/// A request that is being answered, until its answer is there or its client is gone.
struct UnderWay<'a>(&'a UnderWayCount);

impl<'a> UnderWay<'a> {
    fn begin(count: &'a UnderWayCount) -> Self {
        count.requests.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}
