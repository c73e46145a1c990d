//! From arguments to a running server, and to an orderly end.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pay_once_core::Config;
use pay_once_sandbox::server::{Options, serve as serve_sandbox};
use pay_once_sandbox::{Dials, RangeMs, Settings as SandboxOptions};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use crate::admin::{self, Check};
use crate::bounds::Bounds;
use crate::bounds::limits::Budget;
use crate::console;
use crate::counters::Counters;
use crate::door::{Entered, Wanted, enter};
use crate::failure::Failure;
use crate::fronts::{self, Fronts};
use crate::ports::{Clock, PspTransport, Store};
use crate::postgres::store::{OpenedStore, PostgresStore, Promises, write_note as write_note_into};
use crate::psp_client::{HttpPsp, TcpConnect};
use crate::restored::Losses;
use crate::scan;
use crate::server::Server;
use crate::settings::{
    self, Arguments, Failover, SANDBOX_OPERATOR_KEY, SandboxPsp, SandboxSettings, Settings, settings,
};
use crate::store::files::Place;
use crate::store::health::Health;
use crate::store::note::{RestoreNote, read_note, write_note};
use crate::store::opening::Opening;
use crate::store::sqlite::SqliteStore;
use crate::system::SystemClock;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// One sentence that says what to change.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !arguments.core_dumps {
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        setrlimit(Resource::Core, none)
            .map_err(|error| format!("core dumps cannot be turned off: {error}"))?;
    }
    // A configuration that is refused is refused before anything is waited for, or listens.
    settings(arguments, "http://127.0.0.1:1", String::new())?;
    let place = Place::new(&arguments.data);
    let mut wanted = vec![
        Wanted {
            address: arguments.listen,
            argument: "--listen",
        },
        Wanted {
            address: arguments.admin_listen,
            argument: "--admin-listen",
        },
    ];
    // All ports are bound before anything is said, so whoever reads the lines can connect.
    if arguments.config.is_none() {
        wanted.push(Wanted {
            address: arguments.sandbox_listen,
            argument: "--sandbox-listen",
        });
    }
    let database = arguments.database()?;
    let wait = Duration::from_millis(arguments.lock_wait_ms);
    // A data directory has one server at a time. A database has any number.
    let locked = database.is_none().then_some(&place);
    let Entered { lock, listeners } = enter(locked, &wanted, wait)?;
    let mut listeners = listeners.into_iter();
    let (Some(listener), Some(admin_listener)) = (listeners.next(), listeners.next()) else {
        return Err("there is no socket to listen on".to_owned().into());
    };
    let sandbox_listener = listeners.next();
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    // What counts is the address of the socket, which may be another one than that of the arguments.
    let arguments = &Arguments {
        listen: address,
        ..arguments.clone()
    };
    let admin_address = admin_listener.local_addr().map_err(|error| error.to_string())?;
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
    if let (Some(sandbox), Some(listener)) = (sandbox, sandbox_listener) {
        start_sandbox(arguments, &sandbox, listener, address)?;
    }
    let opened = Opened {
        config,
        budget,
        counters,
        listener,
        admin_listener,
        addresses: Addresses {
            clients: address,
            operators: admin_address,
            sandbox: sandbox_address,
        },
    };
    match (database, lock) {
        (Some(database), _) => {
            let is_synchronous = arguments.store_failover == Failover::Synchronous;
            let promises = Promises::of(&opened.config, is_synchronous, arguments.suspect_loss_since);
            let counters = Arc::clone(&opened.counters);
            let installation = &opened.config.installation;
            let OpenedStore { store, note } =
                PostgresStore::open(&database, installation, promises, counters)?;
            let write = |note: &RestoreNote| write_note_into(&database, note);
            let losses = Losses::of(note, &database, &opened.config, &arguments.reconciled, write)?;
            let health = store.health();
            serve_store(arguments, opened, store, health, &losses, None)
        }
        (None, Some(lock)) => {
            let opening = Opening {
                suspect_loss_since_ms: arguments.suspect_loss_since,
                skip_check: arguments.skip_start_check,
            };
            let counters = Arc::clone(&opened.counters);
            let installation = &opened.config.installation;
            let store = SqliteStore::open_locked(&place, lock, installation, counters, &opening)
                .map_err(|error| error.to_string())?;
            let (note, dir) = (read_note(&place)?, place.dir().display());
            let write = |note: &RestoreNote| write_note(&place, note);
            let losses = Losses::of(note, &dir, &opened.config, &arguments.reconciled, write)?;
            let health = store.health();
            serve_store(arguments, opened, store, health, &losses, Some(&arguments.data))
        }
        (None, None) => Err("there is no store".to_owned().into()),
    }
}

/// What is there before the store is.
struct Opened {
    config: Config,
    budget: Budget,
    counters: Arc<Counters>,
    listener: StdListener,
    admin_listener: StdListener,
    addresses: Addresses,
}

/// Where the process listens.
struct Addresses {
    clients: SocketAddr,
    operators: SocketAddr,
    sandbox: Option<SocketAddr>,
}

/// Serves a store until SIGTERM or SIGINT.
fn serve_store<S: Store>(
    arguments: &Arguments,
    opened: Opened,
    store: S,
    health: Arc<Health>,
    losses: &Losses,
    scanned: Option<&Path>,
) -> Result<(), Failure> {
    let Opened {
        mut config,
        budget,
        counters,
        listener,
        admin_listener,
        addresses,
    } = opened;
    losses.tell(&mut config);
    config.check()?;
    losses.log(&config);
    let checks = vec![Check {
        name: "store",
        holds: Box::new(move || health.is_ready()),
    }];
    let server = Server::bounded(
        config,
        SystemClock::default(),
        store,
        HttpPsp::new(TcpConnect::new()).connect_within(budget.psp_connect),
        counters,
        Bounds::of(&budget),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))?;
    // Whoever has read the lines may send signals.
    let signals = {
        let _entered = runtime.enter();
        Signals::new().map_err(|error| format!("signals cannot be received: {error}"))?
    };
    if let Err(error) = announce(&addresses) {
        // Whoever started us may have closed our standard output; payments do not depend on it.
        tracing::warn!(%error, "standard output is closed");
    }
    LocalSet::new().block_on(&runtime, async {
        // A database of many servers is not read through at each start: its open attempts are not counted.
        if let Some(dir) = scanned {
            count_open(&server, dir);
        }
        spawn_local(serve_operators(admin_listener, Rc::clone(&server), checks));
        serve(server, listener, signals, arguments, losses).await
    })
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

fn announce(addresses: &Addresses) -> io::Result<()> {
    let Addresses {
        clients,
        operators,
        sandbox,
    } = addresses;
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{clients}")?;
    if let Some(sandbox) = sandbox {
        writeln!(out, "sandbox PSP on http://{sandbox}")?;
    }
    writeln!(out, "operators on http://{operators}")?;
    if let Some(sandbox) = sandbox {
        writeln!(
            out,
            "\nPay once:\n  curl -i -X POST http://{clients}/charge -H 'Idempotency-Key: k1' -H 'Prefer: wait=5' \\\n       -d '{{\"order_id\": \"ord_123\", \"amount\": 2599, \"currency\": \"GBP\", \"payment_method\": \"pm_card_visa\"}}'\nAs often as you like. What happened to the money:\n  curl http://{sandbox}/ledger\nIn a browser: http://{clients}/attempts/ with the attempt_id of the answer, and http://{operators}{} with the key {SANDBOX_OPERATOR_KEY}",
            console::PAGE
        )?;
    }
    out.flush()
}

async fn serve_operators<C: Clock, S: Store, P: PspTransport>(
    listener: StdListener,
    server: Rc<Server<C, S, P>>,
    checks: Vec<Check>,
) {
    if let Err(error) = admin::serve(listener, server, checks).await {
        tracing::error!(%error, "the operators' listener ended; payments are served");
    }
}

/// Counts the attempts that are open, on a thread of its own and for metrics only.
fn count_open<C: Clock, S: Store, P: PspTransport>(server: &Rc<Server<C, S, P>>, data: &Path) {
    let (batches, mut found) = mpsc::channel(4);
    server.report().standings().borrow_mut().scan_begins();
    let (dir, counters) = (data.to_path_buf(), Arc::clone(server.report().counters()));
    if let Err(error) = thread::Builder::new()
        .name("scan".to_owned())
        .spawn(move || scan::scan(&dir, &counters, &batches))
    {
        tracing::warn!(%error, "open attempts of earlier starts are not counted");
    }
    let server = Rc::clone(server);
    spawn_local(async move {
        while let Some(batch) = found.recv().await {
            let mut standings = server.report().standings().borrow_mut();
            for (id, version, standing) in batch {
                standings.scanned(id, version, standing);
            }
        }
        server.report().standings().borrow_mut().scan_ends();
    });
}

/// Serves until a signal, then lets what is under way end.
async fn serve<C: Clock, S: Store, P: PspTransport>(
    server: Rc<Server<C, S, P>>,
    listener: StdListener,
    mut signals: Signals,
    arguments: &Arguments,
    losses: &Losses,
) -> Result<(), Failure> {
    let threads = fronts::threads(arguments.front_threads);
    // In the quick start a browser needs no key, so that an attempt can be a page.
    let has_pages = arguments.config.is_none();
    let mut fronts = Fronts::start(&listener, threads, server.intake(), has_pages)?;
    // The threads have clones: the socket is closed with the last of them.
    drop(listener);
    spawn_local(Rc::clone(&server).work());
    tracing::info!(threads, "serving");
    loop {
        tokio::select! {
            biased;
            order = signals.next() => match order {
                Order::Stop => break,
                Order::Reload => reload(&server, arguments, losses),
            },
            () = fronts.one_ended() => {
                let why = "a thread that serves clients ended; the log says why".to_owned();
                return Err(Failure::Temporary(why));
            }
            why = server.store_failed() => return Err(Failure::Temporary(why)),
        }
    }
    tracing::info!("stopping: no new connections; waiting for what is under way");
    fronts.stop();
    let ended = async {
        fronts.ended().await;
        server.quiet().await;
    };
    let bound = Duration::from_millis(arguments.drain_timeout_ms);
    if tokio::time::timeout(bound, ended).await.is_err() {
        tracing::warn!("some calls were still under way; the next start finds out what became of them");
    }
    Ok(())
}

/// Reads the configuration file again. What is refused changes nothing.
fn reload<C: Clock, S: Store, P: PspTransport>(
    server: &Server<C, S, P>,
    arguments: &Arguments,
    losses: &Losses,
) {
    let read = settings::reload(arguments, &server.config()).and_then(|mut config| {
        losses.tell(&mut config);
        config.check()?;
        server.config().may_become(&config)?;
        Ok(config)
    });
    match read {
        Ok(config) => {
            let merchants: Vec<&String> = config.merchants.keys().collect();
            let psps: Vec<&String> = config.psps.keys().collect();
            tracing::info!(
                ?merchants,
                ?psps,
                "the configuration was read again and is in force"
            );
            server.reconfigure(config);
        }
        Err(why) => {
            tracing::error!(
                why,
                "the configuration was read again and refused; the one before stays in force"
            );
        }
    }
}

/// What a signal asks for.
enum Order {
    Stop,
    Reload,
}

struct Signals {
    term: Signal,
    int: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            biased;
            _ = self.term.recv() => Order::Stop,
            _ = self.int.recv() => Order::Stop,
            _ = self.hangup.recv() => Order::Reload,
        }
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
