//! What a test runs in: a directory, the sandbox PSP, a Redis server if need be, and any number of host processes over
//! the same stores. Everything is on loopback, and is gone at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pay_once_sandbox::Settings;
use pay_once_sandbox::server::{Options, serve};
use pay_once_suite::environment::{self, Secrets};
use pay_once_suite::loopback::free_address;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::http::{self, Answer};

/// The key that sweeps are asked for with.
pub(crate) const SWEEP_KEY: &str = "sweep";

/// Which stores the component runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The default: `spin:sqlite`.
    Sqlite,
    /// The key-value mode on a real Redis server, by Spin's Redis backend.
    Redis,
    /// The key-value mode on a backend whose swap is right.
    Correct,
    /// The key-value mode on Spin's default backend, which must be refused.
    SqliteKv,
    /// The other flavour, on a PostgreSQL server.
    Postgres,
}

pub(crate) struct World {
    dir: PathBuf,
    mode: Mode,
    pub(crate) sandbox: String,
    redis: Option<(Child, u16)>,
    database: Option<Cluster>,
    /// Where the component reaches the database.
    database_place: String,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) allow: bool,
}

/// A path of an artifact that `edge-spin/test` built.
pub(crate) fn artifact(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; run edge-spin/test"))
}

/// The digest of a key: what the suite's configuration has for a shop with that token.
fn digest(key: &str) -> String {
    let secrets = Secrets {
        shop_token: key.to_owned(),
        ..Secrets::default()
    };
    let config = environment::config("http://127.0.0.1:1", &secrets);
    config["merchants"]["shop"]["api_key_sha256"][0]
        .as_str()
        .unwrap()
        .to_owned()
}

impl World {
    pub(crate) fn new(mode: Mode) -> Self {
        let world = Self::without_tables_in(mode);
        if let Some(database) = &world.database {
            database.pay_once("migrate");
        }
        world
    }

    /// On a database that `pay-once migrate` has not seen.
    pub(crate) fn without_tables() -> Self {
        Self::without_tables_in(Mode::Postgres)
    }

    fn without_tables_in(mode: Mode) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("pay-once-spin-{}-{serial}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let redis = (mode == Mode::Redis).then(|| redis(&dir));
        let database = (mode == Mode::Postgres).then(|| Cluster::start(&dir));
        let mut world = Self {
            dir,
            mode,
            sandbox: String::new(),
            redis,
            database_place: database.as_ref().map_or_else(String::new, Cluster::address),
            database,
            variables: BTreeMap::new(),
            allow: true,
        };
        world.sandbox = sandbox(None);
        world.configure();
        world
    }

    /// A sandbox that sends webhooks to `host`, for the suite.
    pub(crate) fn with_webhooks_to(mode: Mode, host: &str) -> Self {
        let mut world = Self::new(mode);
        world.sandbox = sandbox(Some(format!("http://{host}/webhooks")));
        world.configure();
        world
    }

    /// Its PSPs are at this address, in place of the sandbox's.
    pub(crate) fn pay_at(&mut self, address: &str) {
        address.clone_into(&mut self.sandbox);
        self.configure();
    }

    fn configure(&mut self) {
        let config = environment::config(&format!("http://{}", self.sandbox), &Secrets::default());
        let store = match self.mode {
            Mode::Sqlite => "sqlite",
            Mode::Postgres => "postgres",
            Mode::Redis | Mode::Correct | Mode::SqliteKv => "key-value",
        };
        for (name, value) in [
            ("config", config.to_string().as_str()),
            ("store", store),
            (
                "postgres_url",
                &format!("postgres://postgres@{}/postgres", self.database_place),
            ),
            ("postgres_identity", ""),
            ("finals", "fallback"),
            ("measures", "off"),
            ("sweep_key_sha256", &digest(SWEEP_KEY)),
            (&environment::PSP_KEY_ENV.to_lowercase(), environment::PSP_KEY),
            (
                &environment::WEBHOOK_SECRET_ENV.to_lowercase(),
                environment::WEBHOOK_SECRET,
            ),
        ] {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Starts a host process over this world's stores.
    pub(crate) fn host(&self) -> Host {
        self.host_of(&self.component(), free_address().unwrap())
    }

    /// The flavour of the component that has this store.
    pub(crate) fn component(&self) -> String {
        artifact(match self.mode {
            Mode::Postgres => "PAY_ONCE_SPIN_POSTGRES",
            _ => "PAY_ONCE_SPIN_COMPONENT",
        })
    }

    pub(crate) fn database(&self) -> &Cluster {
        self.database.as_ref().unwrap()
    }

    pub(crate) fn database_mut(&mut self) -> &mut Cluster {
        self.database.as_mut().unwrap()
    }

    /// For whoever stops it while this world is used.
    pub(crate) fn take_database(&mut self) -> Cluster {
        self.database.take().unwrap()
    }

    /// The component reaches the database by another way.
    pub(crate) fn reach_database_at(&mut self, address: &str) {
        address.clone_into(&mut self.database_place);
        self.configure();
    }

    pub(crate) fn host_of(&self, component: &str, listen: SocketAddr) -> Host {
        let variables = self.dir.join("variables.json");
        std::fs::write(&variables, json!(self.variables).to_string()).unwrap();
        let mut command = Command::new(artifact("PAY_ONCE_SPIN_HOST"));
        command
            .args(["--component", component, "--listen", &listen.to_string()])
            .arg("--sqlite")
            .arg(self.sqlite_path())
            .arg("--key-value-file")
            .arg(self.dir.join("key_value.db"))
            .arg("--variables")
            .arg(variables);
        if self.allow {
            command.args(["--allow", &format!("http://{}", self.sandbox)]);
            command.args(["--allow", &format!("postgres://{}", self.database_place)]);
        }
        match (self.mode, &self.redis) {
            (Mode::Redis, Some((_, port))) => {
                command.args(["--key-value", "redis", "--redis-port", &port.to_string()]);
            }
            (Mode::Correct, _) => {
                command.args(["--key-value", "correct"]);
            }
            _ => {
                command.args(["--key-value", "sqlite-kv"]);
            }
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        command.stderr(log);
        Host::start(command)
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("stderr")
    }

    /// Makes the id of the oldest record in the SQLite database one that cannot be read.
    pub(crate) fn damage_first_id(&self) {
        let database = Connection::open(self.sqlite_path()).unwrap();
        let short = "UPDATE records SET id = x'0102' WHERE place = (SELECT min(place) FROM records)";
        assert_eq!(database.execute(short, []).unwrap(), 1);
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The structured lines of the log of this world's hosts.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.stderr()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    pub(crate) fn sqlite_path(&self) -> PathBuf {
        self.dir.join("sqlite_db.db")
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Turns the sandbox's dials.
    pub(crate) fn turn(&self, dials: &Value) {
        let answer = http::send(&self.sandbox, "PUT", "/dials", &[], dials.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The whole ledger, by attempt.
    pub(crate) fn ledger(&self) -> Value {
        http::send(&self.sandbox, "GET", "/ledger", &[], b"")
            .unwrap()
            .json()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some((mut redis, _)) = self.redis.take() {
            let _ = redis.kill();
            let _ = redis.wait();
        }
        drop(self.database.take());
        if thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.log_path()).unwrap_or_default());
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The sandbox PSP on a thread of its own; it answers at once until its dials are turned.
fn sandbox(webhook_url: Option<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = Options {
        settings: Settings {
            webhook_url,
            webhook_secret: environment::WEBHOOK_SECRET.to_owned(),
            ..Settings::default()
        },
        ..Options::default()
    };
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(serve(listener, options, std::future::pending()))
            .unwrap();
    });
    let calm = json!({"latency_ms": {"min": 0, "max": 0}}).to_string();
    until("the sandbox", Duration::from_secs(20), || {
        http::send(&address, "PUT", "/dials", &[], calm.as_bytes()).ok()
    });
    address
}

/// A Redis server that writes every change to disk before it answers.
fn redis(dir: &Path) -> (Child, u16) {
    // The host takes a port alone. Nothing restarts it, and so nothing has time to take the port.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let server = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(dir)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server: apt-get install redis-server");
    until("the Redis server", Duration::from_secs(20), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    (server, port)
}

/// What `ask` gives, as soon as it gives something.
pub(crate) fn until<T>(what: &str, limit: Duration, ask: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(25));
    }
}

/// A host process, killed at the end.
pub(crate) struct Host {
    command: Command,
    child: Child,
    pub(crate) address: String,
}

impl Host {
    fn start(mut command: Command) -> Self {
        let (child, address) = spawn(&mut command);
        Self {
            command,
            child,
            address,
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Again, on the same port and the same stores.
    pub(crate) fn restart(&mut self) {
        let (child, address) = spawn(&mut self.command);
        assert_eq!(address, self.address);
        self.child = child;
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        ask(&self.address, "GET", target, &[], &Value::Null).unwrap()
    }

    pub(crate) fn post(&self, target: &str, key: &str, body: &Value) -> Answer {
        ask(&self.address, "POST", target, &[("Idempotency-Key", key)], body).unwrap()
    }

    /// Waits for the final answer.
    pub(crate) fn post_wait(&self, target: &str, key: &str, body: &Value) -> Answer {
        let headers = [("Idempotency-Key", key), ("Prefer", "wait=20")];
        ask(&self.address, "POST", target, &headers, body).unwrap()
    }

    pub(crate) fn sweep(&self, key: &str) -> Answer {
        let headers = [("Authorization", format!("Bearer {key}"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        http::send(&self.address, "POST", "/internal/sweep", &headers, b"").unwrap()
    }

    /// What the host has counted.
    pub(crate) fn counters(&self) -> Value {
        http::send(&self.address, "GET", "/.host/counters", &[], b"")
            .unwrap()
            .json()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().strip_prefix("listening on http://");
    let address = address
        .unwrap_or_else(|| panic!("the host said {line:?}"))
        .to_owned();
    (child, address)
}

/// As the suite's shop.
pub(crate) fn ask(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> std::io::Result<Answer> {
    let token = format!("Bearer {}", Secrets::default().shop_token);
    let headers: Vec<_> = [("Authorization", token.as_str())]
        .into_iter()
        .chain(headers.iter().copied())
        .collect();
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    http::send(address, method, target, &headers, &body)
}

/// The body of a charge, or of a create.
pub(crate) fn body(key: &str, payment_method: &str) -> Value {
    json!({"order_id": key, "amount": 2599, "currency": "GBP", "payment_method": payment_method})
}
