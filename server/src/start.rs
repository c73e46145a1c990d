//! From arguments to a running server, and to an orderly end.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use pay_once_sandbox::server::{Options, serve as serve_sandbox};
use pay_once_sandbox::{Dials, RangeMs, Settings as SandboxOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet, spawn_local};

use crate::bounds::Bounds;
use crate::bounds::limits::Budget;
use crate::bounds::stream::{ClientStream, WRITE_PROGRESS};
use crate::counters::Counters;
use crate::front::serve_in_place;
use crate::ports::{Clock, PspTransport, Store};
use crate::psp_client::{HttpPsp, TcpConnect};
use crate::server::Server;
use crate::settings::{Arguments, SandboxPsp, SandboxSettings, Settings, settings};
use crate::sqlite::SqliteStore;
use crate::system::SystemClock;

/// How long connections and PSP calls under way may take to end after a signal, in seconds.
const SHUTDOWN_S: u64 = 10;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// One sentence that says what to change.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let listener = bind(arguments.listen, "--listen")?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    // Both ports are bound before anything is said, so whoever reads the lines can connect.
    let sandbox_listener = if arguments.config.is_none() {
        Some(bind(arguments.sandbox_listen, "--sandbox-listen")?)
    } else {
        None
    };
    let sandbox_address = sandbox_listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());
    let sandbox_url = sandbox_address
        .map(|address| format!("http://{address}"))
        .unwrap_or_default();
    let webhook_secret = format!("whsec_{:032x}", SystemClock::default().entropy().0);
    let Settings { config, sandbox } = settings(arguments, &sandbox_url, webhook_secret)?;
    let budget = budget(arguments, config.psps.len(), sandbox.is_some())?;
    let counters = Arc::new(Counters::default());
    let store = SqliteStore::open(&arguments.data, &config.installation, Arc::clone(&counters))
        .map_err(|error| error.to_string())?;
    let server = Server::bounded(
        config,
        SystemClock::default(),
        store,
        HttpPsp::new(TcpConnect::new()).connect_within(budget.psp_connect),
        counters,
        Bounds::of(&budget),
    );

    if let (Some(sandbox), Some(listener)) = (sandbox, sandbox_listener) {
        start_sandbox(arguments, &sandbox, listener, address)?;
    }
    if let Err(error) = announce(address, sandbox_address) {
        // Whoever started us may have closed our standard output; payments do not depend on it.
        tracing::warn!(%error, "standard output is closed");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))?;
    LocalSet::new()
        .block_on(&runtime, serve(server, listener))
        .map_err(|error| error.to_string())
}

/// What the limit of open files leaves room for, once it is as high as it may be.
fn budget(arguments: &Arguments, psps: usize, has_sandbox: bool) -> Result<Budget, String> {
    let open_files = rlimit::increase_nofile_limit(u64::MAX)
        .map_err(|error| format!("the limit of open files cannot be read: {error}"))?;
    let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
    // A sandbox has the other end of each call.
    let files_per_call = if has_sandbox { 2 } else { 1 };
    Budget::of(&arguments.limits, open_files, psps, files_per_call)
}

fn bind(address: SocketAddr, argument: &str) -> Result<StdListener, String> {
    StdListener::bind(address).map_err(|error| {
        format!("cannot listen on {address}: {error}. Choose another address with {argument}")
    })
}

fn announce(address: SocketAddr, sandbox: Option<SocketAddr>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    if let Some(sandbox) = sandbox {
        writeln!(out, "sandbox PSP on http://{sandbox}")?;
        writeln!(
            out,
            "\nPay once:\n  curl -i -X POST http://{address}/charge -H 'Idempotency-Key: k1' -H 'Prefer: wait=5' \\\n       -d '{{\"order_id\": \"ord_123\", \"amount\": 2599, \"currency\": \"GBP\", \"payment_method\": \"pm_card_visa\"}}'\nAs often as you like. What happened to the money:\n  curl http://{sandbox}/ledger"
        )?;
    }
    out.flush()
}

/// Accepts until a signal, then lets what is under way end.
async fn serve<C: Clock, S: Store, P: PspTransport>(
    server: Rc<Server<C, S, P>>,
    listener: StdListener,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    spawn_local(Rc::clone(&server).run_timers());
    tracing::info!("serving");
    let mut signal = std::pin::pin!(signal());
    loop {
        tokio::select! {
            biased;
            () = &mut signal => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(place) = server.bounds().connections.open(peer.ip()) else {
                        continue;
                    };
                    if let Err(error) = stream.set_nodelay(true) {
                        // The client is gone already; others are not.
                        tracing::debug!(%error, "a connection broke");
                        continue;
                    }
                    let (server, mut stopping) = (Rc::clone(&server), stopping.clone());
                    connections.spawn_local(async move {
                        let shutdown = async move {
                            // A sender that is gone means the same.
                            let _ = stopping.wait_for(|stop| *stop).await;
                        };
                        let io = TokioIo::new(ClientStream::new(stream, WRITE_PROGRESS));
                        if let Err(error) = serve_in_place(io, server, place, shutdown).await {
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
    tracing::info!("stopping: no new connections; waiting for what is under way");
    // Refused from here on: nobody waits at a door that does not open again.
    drop(listener);
    let _ = stop.send(true);
    let ended = async {
        while connections.join_next().await.is_some() {}
        server.quiet().await;
    };
    if tokio::time::timeout(Duration::from_secs(SHUTDOWN_S), ended)
        .await
        .is_err()
    {
        tracing::warn!("some calls were still under way; the next start finds out what became of them");
    }
    Ok(())
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Then the default action ends the process, and the next start recovers.
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// The sandbox, on a thread and a runtime of its own: it must not share fate or time with the server.
fn start_sandbox(
    arguments: &Arguments,
    sandbox: &SandboxSettings,
    listener: StdListener,
    server: SocketAddr,
) -> Result<(), String> {
    let (min, max) = arguments.sandbox_latency_ms;
    let options = Options {
        settings: SandboxOptions {
            dials: Dials {
                latency_ms: RangeMs { min, max },
                acquirer_keyed: sandbox.psp == SandboxPsp::AcquirerKeyed,
                lookup_enabled: sandbox.psp != SandboxPsp::AcquirerBlind,
                ..Dials::default()
            },
            public_url: String::new(),
            webhook_url: Some(format!("http://{server}/webhooks")),
            webhook_secret: sandbox.webhook_secret.clone(),
        },
        data_dir: Some(arguments.data.join("sandbox")),
        seed: None,
    };
    let run = move || {
        let served = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(serve_sandbox(listener, options, std::future::pending())));
        if let Err(error) = served {
            tracing::error!(%error, "the sandbox PSP ended");
            eprintln!("pay-once: the sandbox PSP ended: {error}");
            std::process::exit(1);
        }
    };
    thread::Builder::new()
        .name("sandbox-psp".to_owned())
        .spawn(run)
        .map(|_| ())
        .map_err(|error| format!("the sandbox PSP cannot be started: {error}"))
}
