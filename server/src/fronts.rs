//! The threads that accept clients' connections, read requests and write answers. Each has a runtime of its own.

use std::net::TcpListener as StdListener;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::bounds::stream::{ClientStream, WRITE_PROGRESS};
use crate::front::{Front, serve_in_place};
use crate::intake::Intake;
use crate::ports::Clock;
use crate::system::SystemClock;

/// How long answers that are there may take to be written when the server ends, in milliseconds.
const LAST_BYTES_MS: u64 = 250;
/// Most threads, unless an argument says otherwise. The loop is one thread, and four of them give it more than it can do.
const THREADS_MAX: usize = 4;

/// The threads.
#[derive(Debug)]
pub struct Fronts {
    stop: watch::Sender<bool>,
    /// A word of each thread that ends.
    ended: mpsc::UnboundedReceiver<()>,
}

/// How many threads there are: as the argument says, or one for each processor that the loop leaves.
#[must_use]
pub fn threads(argument: Option<NonZeroUsize>) -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    argument.map_or_else(
        || processors.saturating_sub(1).clamp(1, THREADS_MAX),
        NonZeroUsize::get,
    )
}

impl Fronts {
    /// Starts `threads` threads that accept from `listener`. With `has_pages` they show attempts to browsers.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn start(
        listener: &StdListener,
        threads: usize,
        intake: &Arc<Intake>,
        has_pages: bool,
    ) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("clients cannot be accepted: {error}");
        listener.set_nonblocking(true).map_err(cannot)?;
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = mpsc::unbounded_channel();
        for nth in 0..threads {
            let listener = listener.try_clone().map_err(cannot)?;
            let (intake, stopping) = (Arc::clone(intake), stopping.clone());
            let end = Ended(end.clone());
            let work = move || {
                let _end = end;
                let served = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .and_then(|runtime| {
                        LocalSet::new().block_on(&runtime, serve(listener, intake, has_pages, stopping))
                    });
                if let Err(error) = served {
                    tracing::error!(%error, "a thread that serves clients ended");
                }
            };
            thread::Builder::new()
                .name(format!("front-{nth}"))
                .spawn(work)
                .map_err(cannot)?;
        }
        Ok(Self { stop, ended })
    }

    /// Returns when a thread has ended. Before [`Fronts::stop`] that is a failure.
    pub async fn one_ended(&mut self) {
        let _ = self.ended.recv().await;
    }

    /// Accepts no more, and lets requests that are under way be answered.
    pub fn stop(&self) {
        let _ = self.stop.send(true);
    }

    /// Returns once all threads have ended.
    pub async fn ended(&mut self) {
        while self.ended.recv().await.is_some() {}
    }
}

/// Says that its thread has ended, if by a panic.
struct Ended(mpsc::UnboundedSender<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        // Whoever listens may be gone.
        let _ = self.0.send(());
    }
}

/// Accepts until it is told to stop, then lets what is under way end.
async fn serve(
    listener: StdListener,
    intake: Arc<Intake>,
    has_pages: bool,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let clock = SystemClock::default();
    let front =
        Front::new(Arc::clone(&intake), Rc::new(move || clock.reading().wall_ms)).with_pages(has_pages);
    let mut connections = JoinSet::new();
    let told = stopping.clone();
    loop {
        tokio::select! {
            biased;
            // A sender that is gone means the same.
            _ = stopping.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(place) = intake.connections.open(peer.ip()) else {
                        continue;
                    };
                    if let Err(error) = stream.set_nodelay(true) {
                        // The client is gone already; others are not.
                        tracing::debug!(%error, "a connection broke");
                        continue;
                    }
                    let (front, mut told) = (front.clone(), told.clone());
                    connections.spawn_local(async move {
                        let shutdown = async move {
                            let _ = told.wait_for(|stop| *stop).await;
                        };
                        let io = TokioIo::new(ClientStream::new(stream, WRITE_PROGRESS));
                        if let Err(error) = serve_in_place(io, front, place, shutdown).await {
                            tracing::debug!(%error, "a connection broke");
                        }
                    });
                    // One that was displaced is closed before another one is taken.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    // Out of file descriptors, usually: others will be closed soon.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    // Refused from here on: nobody waits at a door that does not open again.
    drop(listener);
    loop {
        intake.answered().await;
        let last_bytes = async { while connections.join_next().await.is_some() {} };
        let limit = Duration::from_millis(LAST_BYTES_MS);
        // A request that had arrived whole may have begun meanwhile.
        if tokio::time::timeout(limit, last_bytes).await.is_ok() || intake.is_quiet() {
            break;
        }
    }
    // What is left has sent no whole request: nothing was begun for it, and nothing is to be begun any more.
    connections.abort_all();
    Ok(())
}
