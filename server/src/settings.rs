//! What a deployment says: arguments, environment, one TOML file. Secrets come from the environment or from files of
//! their own, never from the TOML file or the command line, where others can read them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use pay_once_core::{
    Capabilities, Config, Connector, Merchant, Millis, Operator, Psp, Role, Secret, TIME_BUDGET_MS, Timing,
    key_digest,
};

use crate::bounds::limits::Limits;
use crate::commands::Command;
use crate::config_source::{fetch, from_file};
use crate::postgres::connect::Database;
use crate::store::note::Reconciled;
use crate::store::schema::installation_of;

/// Pay Once: a checkout may call it as often as it likes; the money moves once.
///
/// Without a configuration it serves one merchant on loopback, with a sandbox PSP inside. Nothing real is charged.
#[derive(Clone, Debug, Parser)]
#[command(name = "pay-once", version, after_help = AFTER_HELP)]
pub struct Arguments {
    /// Without a command: serves.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Address to listen on; port 0 picks a free one. Without merchants' keys: loopback only.
    #[arg(
        long,
        env = "PAY_ONCE_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,
    /// Address of the operators' listener: liveness, readiness, metrics, counters. Port 0 picks a free one. Whoever reaches it reads
    /// what the server does, and no payment.
    #[arg(
        long,
        env = "PAY_ONCE_ADMIN_LISTEN",
        default_value = "127.0.0.1:8082",
        value_name = "ADDRESS"
    )]
    pub admin_listen: SocketAddr,
    /// Directory of the store (and of the sandbox's ledger).
    #[arg(
        long,
        env = "PAY_ONCE_DATA",
        default_value = "data",
        value_name = "DIR",
        global = true
    )]
    pub data: PathBuf,
    /// PostgreSQL database in place of the directory's SQLite: any number of servers share it. Write postgres://USER@HOST/DATABASE. A
    /// password belongs into the variable, not on the command line. `pay-once migrate` makes the tables.
    #[arg(
        long,
        env = "PAY_ONCE_STORE",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    pub store: Option<String>,
    /// PEM file of the certificate authorities of the database, in place of the public ones.
    #[arg(long, env = "PAY_ONCE_STORE_CA", value_name = "FILE", global = true)]
    pub store_ca: Option<PathBuf>,
    /// What a promoted standby has: `unsafe`, it may lack acknowledged payments, and the start enters restore mode; or `synchronous`, it has
    /// all of them, and the primary before it can acknowledge nothing more.
    #[arg(
        long,
        env = "PAY_ONCE_STORE_FAILOVER",
        value_name = "WORD",
        default_value = "unsafe"
    )]
    pub store_failover: Failover,
    /// Configuration file (TOML): merchants, PSPs, constants. Without it: the sandbox.
    #[arg(long, env = "PAY_ONCE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How long an answer may take before it becomes a 202, in milliseconds. Overrides the file's.
    #[arg(long, env = "PAY_ONCE_TIME_BUDGET_MS", value_name = "MS")]
    pub time_budget_ms: Option<u64>,
    /// Loopback address of the sandbox PSP; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS")]
    pub sandbox_listen: SocketAddr,
    /// How long the sandbox PSP takes to answer, in milliseconds.
    #[arg(long, default_value = "100..800", value_name = "MIN..MAX", value_parser = range_ms)]
    pub sandbox_latency_ms: (u64, u64),
    /// What the sandbox PSP offers for recovery (its class; see README, “PSP classes”).
    #[arg(long, default_value = "stripe", value_name = "CLASS")]
    pub sandbox_psp: SandboxPsp,
    /// Least level of log lines on standard error: error, warn, info or off.
    #[arg(long, env = "PAY_ONCE_LOG", default_value = "info", value_name = "LEVEL")]
    pub log: tracing_subscriber::filter::LevelFilter,
    /// Threads that read requests and write answers, beside the one that decides. Without it: one for each processor but one, four at most.
    #[arg(long, env = "PAY_ONCE_FRONT_THREADS", value_name = "N")]
    pub front_threads: Option<NonZeroUsize>,
    /// How long a start waits for a predecessor that is still ending in the same data directory, in milliseconds.
    #[arg(
        long,
        env = "PAY_ONCE_LOCK_WAIT_MS",
        default_value_t = 15_000,
        value_name = "MS"
    )]
    pub lock_wait_ms: u64,
    /// How long answers and PSP calls under way may take to end after SIGTERM, in milliseconds. The next start finds out
    /// what became of calls that were left.
    #[arg(
        long,
        env = "PAY_ONCE_DRAIN_TIMEOUT_MS",
        default_value_t = 5_000,
        value_name = "MS"
    )]
    pub drain_timeout_ms: u64,
    /// Serves a store whose newest writes, since this time, may be missing (RFC 3339, for example 2026-11-29T10:00:00Z).
    /// The store gets an epoch of its own, and restore.toml says what may be missing. For one loss: another loss is refused.
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    pub suspect_loss_since: Option<u64>,
    /// Somebody has compared the PSP's payments with the store, up to the restore of this time (restored_at_ms in restore.toml; /status has
    /// the whole argument as end_with): what the store does not know of this PSP is not asked for any more. May be given several times.
    /// restore.toml keeps it.
    #[arg(long, value_name = "PSP:RESTORED_AT_MS")]
    pub reconciled: Vec<Reconciled>,
    /// Starts without checking the database's pages, for a store so large that this takes too long (about 2 s a gigabyte): run
    /// `pay-once check` beside the server instead.
    #[arg(long)]
    pub skip_start_check: bool,
    /// Lets the operating system write core dumps. They hold keys and payments; without this there are none.
    #[arg(long)]
    pub core_dumps: bool,
    /// What one process takes on at a time.
    #[command(flatten)]
    pub limits: Limits,
    /// Prints the SHA-256 of the API key on standard input, for `api_key_sha256`, and ends.
    #[arg(long)]
    pub hash_key: bool,
}

/// What a standby that is promoted has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Failover {
    /// It may lack acknowledged writes.
    Unsafe,
    /// It has everything that was acknowledged, and the primary before it acknowledges nothing more.
    Synchronous,
}

impl Arguments {
    /// The database of `--store`, if there is one.
    ///
    /// # Errors
    /// One sentence that says what to change.
    pub fn database(&self) -> Result<Option<Database>, String> {
        let parse = |url: &String| Database::parse(url, self.store_ca.as_deref());
        self.store.as_ref().map(parse).transpose()
    }
}

/// The key of the quick start's operator. No secret: the sandbox moves no real money, and serves loopback only.
pub const SANDBOX_OPERATOR_KEY: &str = "sandbox_operator";

const AFTER_HELP: &str = "\
Try it:
  pay-once --data /tmp/pay-once &
  curl -X POST http://127.0.0.1:8080/attempts -H 'Idempotency-Key: k1' \\
       -d '{\"order_id\": \"ord_123\", \"amount\": 2599, \"currency\": \"GBP\"}'
  curl http://127.0.0.1:8081/ledger      # what really happened to the money

Configuration by file: see pay-once.example.toml. The operators' listener has counters and metrics:
  curl http://127.0.0.1:8082/metrics";

/// The sandbox's faces and classes (`docs/psp.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SandboxPsp {
    /// Stripe's face: keyed and addressable.
    Stripe,
    /// Stripe's face, its object made and journalled before any money can move.
    StripePrepared,
    /// The acquirer's face with a key that it honours.
    AcquirerKeyed,
    /// The acquirer's face without keys, but with look-ups.
    AcquirerQueryable,
    /// The acquirer's face with neither: an unknown is parked.
    AcquirerBlind,
}

/// What to run.
#[derive(Debug)]
pub struct Settings {
    /// For core.
    pub config: Config,
    /// The sandbox to start, if any.
    pub sandbox: Option<SandboxSettings>,
}

/// The sandbox inside.
#[derive(Clone, Debug)]
pub struct SandboxSettings {
    /// Which class it plays.
    pub psp: SandboxPsp,
    /// The secret that it signs webhooks with: made anew at each start, known to nobody else.
    pub webhook_secret: String,
}

/// Puts arguments and file together.
///
/// # Errors
/// One sentence that says what to change.
pub fn settings(
    arguments: &Arguments,
    sandbox_url: &str,
    webhook_secret: String,
) -> Result<Settings, String> {
    let mut settings = match &arguments.config {
        Some(path) => Settings {
            config: from_file(path, fetch)?,
            sandbox: None,
        },
        None => quick_start(arguments, sandbox_url, webhook_secret),
    };
    if let Some(budget_ms) = arguments.time_budget_ms {
        settings.config.time_budget_ms = Millis::new(budget_ms);
    }
    settings.config.check()?;
    let has_keys = settings
        .config
        .merchants
        .values()
        .any(|merchant| !merchant.key_digests.is_empty());
    if !arguments.listen.ip().is_loopback() && (!has_keys || settings.config.open_merchant.is_some()) {
        return Err(format!(
            "{} is not a loopback address, and without a key anybody there could move money. Give every merchant api_key_sha256 (and no open_merchant), or listen on 127.0.0.1",
            arguments.listen
        ));
    }
    Ok(settings)
}

/// One merchant without a key, the sandbox as its PSP.
fn quick_start(arguments: &Arguments, sandbox_url: &str, webhook_secret: String) -> Settings {
    let (name, connector, capabilities) = match arguments.sandbox_psp {
        SandboxPsp::Stripe | SandboxPsp::StripePrepared => (
            "stripe",
            Connector::Stripe,
            Capabilities {
                keyed_horizon_ms: Some(Millis::new(86_400_000)),
                addressable: true,
                lookup_lag_ms: Some(Millis::new(1_000)),
                prepare_first: arguments.sandbox_psp == SandboxPsp::StripePrepared,
            },
        ),
        SandboxPsp::AcquirerKeyed => (
            "acquirer",
            Connector::Acquirer,
            Capabilities {
                keyed_horizon_ms: Some(Millis::new(86_400_000)),
                ..Capabilities::default()
            },
        ),
        SandboxPsp::AcquirerQueryable => (
            "acquirer",
            Connector::Acquirer,
            Capabilities {
                lookup_lag_ms: Some(Millis::new(1_000)),
                ..Capabilities::default()
            },
        ),
        SandboxPsp::AcquirerBlind => ("acquirer", Connector::Acquirer, Capabilities::default()),
    };
    // The sandbox runs on this machine, and lands what it takes within its own dial of 5 s: unknowns end soon.
    let call_timeout_ms = Millis::new(arguments.sandbox_latency_ms.1) + Millis::new(2_000);
    let timing = Timing {
        send_window_ms: Millis::new(1_000),
        call_timeout_ms,
        max_in_flight_ms: call_timeout_ms.max(Millis::new(6_000)),
        max_clock_skew_ms: Millis::new(500),
        ..Timing::default()
    };
    let psp = Psp {
        connector,
        base_url: sandbox_url.to_owned(),
        api_key: Secret::new("sk_sandbox"),
        webhook_secrets: vec![Secret::new(webhook_secret.clone())],
        capabilities,
        timing,
    };
    let merchant = Merchant {
        key_digests: Vec::new(),
        psp: name.to_owned(),
        default_payment_method: Some("pm_card_visa".to_owned()),
    };
    let operator = Operator {
        key_digests: vec![key_digest(SANDBOX_OPERATOR_KEY)],
        roles: [Role::Read, Role::Resolve].into_iter().collect(),
    };
    let config = Config {
        // A store of an older build goes on as what it is.
        installation: installation_of(&arguments.data).unwrap_or_else(|| "sandbox".to_owned()),
        time_budget_ms: TIME_BUDGET_MS,
        merchants: BTreeMap::from([("sandbox".to_owned(), merchant)]),
        psps: BTreeMap::from([(name.to_owned(), psp)]),
        operators: BTreeMap::from([("sandbox".to_owned(), operator)]),
        open_merchant: Some("sandbox".to_owned()),
        ..Config::default()
    };
    Settings {
        config,
        sandbox: Some(SandboxSettings {
            psp: arguments.sandbox_psp,
            webhook_secret,
        }),
    }
}

/// The configuration file as it is now, for a server that runs with `current`: merchants, their keys, PSPs and their secrets may have
/// changed. All of it is taken, or nothing.
///
/// # Errors
/// One sentence that says what to change, or what cannot be changed without a restart.
pub fn reload(arguments: &Arguments, current: &Config) -> Result<Config, String> {
    if arguments.config.is_none() {
        return Err("there is no configuration file to read again: this server runs its sandbox".to_owned());
    }
    let Settings { config, sandbox: _ } = settings(arguments, "", String::new())?;
    if config.installation != current.installation {
        return Err(format!(
            "installation is \"{}\" in the file and \"{}\" in this server: a store keeps its installation for life",
            config.installation, current.installation
        ));
    }
    Ok(config)
}

fn time_ms(text: &str) -> Result<u64, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|error| format!("write it like 2026-11-29T10:00:00Z ({error})"))?;
    u64::try_from(time.as_millisecond()).map_err(|_| "a time before 1970 cannot be meant".to_owned())
}

fn range_ms(text: &str) -> Result<(u64, u64), String> {
    let (min, max) = text
        .split_once("..")
        .ok_or("write it as MIN..MAX, for example 100..800")?;
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("'{text}' is not a number of milliseconds"))
    };
    match (number(min)?, number(max)?) {
        (min, max) if min > max => Err("MIN is greater than MAX".to_owned()),
        range => Ok(range),
    }
}
