//! PostgreSQL, started and killed by the tests, and what a server demands of it before it serves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pay_once::ports::{Changed, Store, Swap, Swapped};
use pay_once::postgres::connect::Database;
use pay_once::postgres::store::{PostgresStore, Promises};
use pay_once_core::{AttemptId, RecordVersion};
use pay_once_suite::loopback::free_address;
use serde_json::json;

use crate::image::entry;
use crate::server::{Dir, Server, command};
use crate::suite::block_on;

/// How long a start or an end of the database may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database server of its own.
pub(crate) struct Cluster {
    dir: Dir,
    pub(crate) address: SocketAddr,
    settings: Vec<String>,
    running: Option<Child>,
    /// What `--store` takes.
    pub(crate) url: String,
}

impl Cluster {
    /// Initialized and running, with an empty database.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let dir = Dir::new();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(dir.path()));
        }
        let mut init = as_postgres("initdb");
        init.args(["--auth", "trust", "--username", "postgres", "--no-sync", "-D"]);
        run(init.arg(dir.path().join("data")));
        let address = free_address().unwrap();
        let mut cluster = Self {
            dir,
            address,
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            running: None,
            url: format!("postgres://postgres@{address}/postgres?sslmode=disable"),
        };
        cluster.run();
        cluster
    }

    /// The same, with tables.
    pub(crate) fn migrated() -> Self {
        Self::migrated_by(None)
    }

    /// The same, with the tables of another build.
    pub(crate) fn migrated_by(binary: Option<&str>) -> Self {
        let cluster = Self::start(&[]);
        let mut migrate = binary.map_or_else(command, Command::new);
        let said = migrate
            .args(["migrate", "--store", &cluster.url])
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", text(&said));
        cluster
    }

    /// What `--store` takes if the database is reached by this address.
    pub(crate) fn url_through(&self, address: SocketAddr) -> String {
        format!("postgres://postgres@{address}/postgres?sslmode=disable")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts the database server, and waits until it answers.
    pub(crate) fn run(&mut self) {
        let mut server = as_postgres("postgres");
        server.args([
            "-p",
            &self.address.port().to_string(),
            "-c",
            &format!("listen_addresses={}", self.address.ip()),
            "-k",
        ]);
        server.arg(self.dir.path()).arg("-D").arg(self.data());
        for setting in &self.settings {
            server.args(["-c", setting]);
        }
        let null = || Stdio::null();
        self.running = Some(
            server
                .stdin(null())
                .stdout(null())
                .stderr(null())
                .spawn()
                .unwrap(),
        );
        let until = Instant::now() + PATIENCE;
        while !self.psql("SELECT 1").status.success() {
            assert!(Instant::now() < until, "the database does not start");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it: `-INT` ends its sessions first, `-QUIT` is as a power cut for everything but the disk.
    pub(crate) fn stop(&mut self, signal: &str) {
        let mut running = self.running.take().unwrap();
        run(Command::new("kill").args([signal, &running.id().to_string()]));
        let until = Instant::now() + PATIENCE;
        while running.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the database does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// One statement.
    pub(crate) fn psql(&self, statement: &str) -> Output {
        let mut psql = Command::new("psql");
        let (ip, port) = (self.address.ip().to_string(), self.address.port().to_string());
        psql.args(["-X", "-A", "-t", "-h", &ip, "-p", &port]);
        psql.args(["-U", "postgres", "-c", statement, "postgres"])
            .output()
            .unwrap()
    }

    /// The binary, on this store.
    pub(crate) fn pay_once(&self, arguments: &[&str]) -> Output {
        command()
            .args(arguments)
            .args(["--store", &self.url])
            .output()
            .unwrap()
    }

    /// What a start says that is refused.
    fn refused(&self) -> String {
        let dir = Dir::new();
        let data = dir.path().join("data");
        let said = self.pay_once(&[
            "--listen",
            "127.0.0.1:0",
            "--sandbox-listen",
            "127.0.0.1:0",
            "--data",
            data.to_str().unwrap(),
        ]);
        assert!(!said.status.success(), "{}", text(&said));
        text(&said)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stop("-QUIT");
        }
    }
}

/// A program of the server package. It refuses to be root.
fn as_postgres(program: &str) -> Command {
    let path = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is not installed: ./postgres-tests installs it")
        .map(|version| version.unwrap().path().join("bin").join(program))
        .max()
        .unwrap();
    not_root(&path)
}

fn is_root() -> bool {
    let said = Command::new("id").arg("-u").output().unwrap();
    text(&said).trim() == "0"
}

/// A program that refuses to be root.
fn not_root(path: &Path) -> Command {
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres"]);
    command.arg("--clear-groups").arg(path);
    command
}

fn run(command: &mut Command) {
    let said = command.output().unwrap();
    assert!(said.status.success(), "{}", text(&said));
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
}

#[test]
fn a_database_without_tables_or_of_another_installation_is_refused() {
    let cluster = Cluster::start(&[]);
    let said = cluster.refused();
    assert!(said.contains("run `pay-once migrate` first"), "{said}");
    let said = text(&cluster.pay_once(&["migrate"]));
    assert!(said.contains("has form 2 now"), "{said}");
    let said = text(&cluster.pay_once(&["migrate"]));
    assert!(said.contains("has form 2 already"), "{said}");
    cluster.psql("INSERT INTO pay_once.meta VALUES ('installation', 'another')");
    let said = cluster.refused();
    assert!(
        said.contains("another") && said.contains("a retry is a new payment"),
        "{said}"
    );
}

#[test]
fn a_database_whose_commits_are_not_durable_is_refused() {
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let cluster = Cluster::start(&[&format!("{setting}=off")]);
        let said = text(&cluster.pay_once(&["migrate"]));
        assert!(said.contains(&format!("{setting} is off")), "{said}");
    }
    let cluster = Cluster::migrated();
    cluster.psql("ALTER ROLE postgres SET default_transaction_read_only = on");
    let said = cluster.refused();
    assert!(said.contains("transaction_read_only is on"), "{said}");
}

#[test]
fn commands_of_a_data_directory_do_not_touch_a_database() {
    let cluster = Cluster::start(&[]);
    for arguments in [
        &["check"][..],
        &["backup", "/dev/null"],
        &["restore", "/dev/null"],
    ] {
        let said = cluster.pay_once(arguments);
        assert!(
            !said.status.success() && text(&said).contains("pg_amcheck"),
            "{}",
            text(&said)
        );
    }
    let said = command().arg("migrate").output().unwrap();
    assert!(text(&said).contains("--store"), "{}", text(&said));
}

/// PgBouncer in front of the database, ended with its owner.
struct Proxy(Child, Cluster);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn behind_a_proxy(mode: &str) -> Proxy {
    let mut cluster = Cluster::migrated();
    let address = free_address().unwrap();
    let file = cluster.dir.path().join("pgbouncer.ini");
    let text = format!(
        "[databases]\npostgres = host={} port={} user=postgres\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n",
        cluster.address.ip(),
        cluster.address.port(),
        address.ip(),
        address.port()
    );
    std::fs::write(&file, text).unwrap();
    let null = || Stdio::null();
    let mut proxy = not_root(Path::new("/usr/sbin/pgbouncer"));
    let proxy = proxy
        .arg(&file)
        .stdin(null())
        .stdout(null())
        .stderr(null())
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "PgBouncer does not start");
        thread::sleep(Duration::from_millis(20));
    }
    cluster.url = format!("postgres://postgres@{address}/postgres?sslmode=disable");
    Proxy(proxy, cluster)
}

#[test]
fn a_proxy_that_shares_sessions_is_refused() {
    let proxy = behind_a_proxy("transaction");
    let said = proxy.1.refused();
    assert!(said.contains("PgBouncer in transaction mode"), "{said}");
}

#[test]
fn a_proxy_that_keeps_sessions_apart_is_served_through() {
    let proxy = behind_a_proxy("session");
    let server = Server::start(&["--sandbox-latency-ms", "0..0", "--store", &proxy.1.url]);
    let body = json!({"order_id": "o", "amount": 2599, "currency": "GBP"});
    let answer = server.post_wait("/charge", "k", &body);
    assert_eq!(answer.json()["status"], "CAPTURED", "{answer:?}");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let mut cluster = Cluster::migrated();
    let (key, certificate) = (
        cluster.data().join("server.key"),
        cluster.data().join("server.crt"),
    );
    let mut openssl = not_root(Path::new("openssl"));
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
    ]);
    openssl.args([
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-days",
        "2",
    ]);
    run(openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate));
    cluster.stop("-INT");
    cluster.settings.push("ssl=on".to_owned());
    cluster.run();
    cluster.url = format!(
        "postgres://postgres@localhost:{}/postgres?sslmode=require&hostaddr={}",
        cluster.address.port(),
        cluster.address.ip()
    );
    let said = cluster.refused();
    assert!(
        said.contains("cannot be reached") && said.contains("UnknownIssuer"),
        "{said}"
    );
    let trusted = [
        "--sandbox-latency-ms",
        "0..0",
        "--store",
        &cluster.url,
        "--store-ca",
        certificate.to_str().unwrap(),
    ];
    let server = Server::start(&trusted);
    let body = json!({"order_id": "o", "amount": 2599, "currency": "GBP"});
    assert_eq!(
        server.post_wait("/charge", "k", &body).json()["status"],
        "CAPTURED"
    );
}

/// What one server has written, another one hears of. Without notifications nothing would come: the connection stays whole.
#[test]
fn a_server_hears_which_record_another_one_has_written() {
    let cluster = Cluster::migrated();
    let database = Database::parse(&cluster.url, None).unwrap();
    let open = || {
        PostgresStore::open(&database, "it", Promises::default(), Arc::default())
            .unwrap()
            .store
    };
    let (writes, hears) = (open(), open());
    let id = AttemptId::from_bytes([7; 16]);
    let swap = |version: u64| Swap {
        id,
        expected_version: (version > 1).then(|| RecordVersion::new(version - 1)),
        version: RecordVersion::new(version),
        wake_at_ms: None,
        bytes: vec![7],
        entry: entry(),
    };
    block_on(async {
        let writing = async {
            // The other one may not listen yet.
            for version in 1.. {
                assert_eq!(writes.swap(swap(version)).await, Swapped::Applied);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let heard = async { while hears.changed().await != Changed::Record(id) {} };
        let heard = tokio::time::timeout(PATIENCE, heard);
        tokio::select! {
            heard = heard => heard.unwrap(),
            () = writing => {}
        }
        assert_eq!(hears.load(id).await.unwrap(), Some(vec![7]));
    });
}
