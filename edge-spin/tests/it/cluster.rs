//! A PostgreSQL server of a test's own, on loopback. `edge-spin/test` installs it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pay_once_suite::loopback::free_address;

use crate::world::{artifact, until};

/// How long a start or an end may take.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    dir: PathBuf,
    address: SocketAddr,
    running: Option<Child>,
}

impl Cluster {
    /// Initialized and running, with an empty database.
    pub(crate) fn start(dir: &Path) -> Self {
        let dir = dir.join("postgres");
        std::fs::create_dir_all(&dir).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&dir));
        }
        let mut init = as_postgres("initdb");
        init.args(["--auth", "trust", "--username", "postgres", "--no-sync", "-D"]);
        run(init.arg(dir.join("data")));
        let mut cluster = Self {
            dir,
            address: free_address().unwrap(),
            running: None,
        };
        cluster.run(&[]);
        cluster
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Starts the server with these settings, and waits until it answers.
    pub(crate) fn run(&mut self, settings: &[&str]) {
        let mut server = as_postgres("postgres");
        let (ip, port) = (self.address.ip(), self.address.port());
        server.args(["-p", &port.to_string(), "-c", &format!("listen_addresses={ip}")]);
        server
            .arg("-k")
            .arg(&self.dir)
            .arg("-D")
            .arg(self.dir.join("data"));
        // Two hosts of 64 connections, and the test.
        for setting in settings.iter().chain(&["max_connections=200"]) {
            server.args(["-c", setting]);
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let null = || Stdio::null();
        self.running = Some(server.stdin(null()).stdout(null()).stderr(log).spawn().unwrap());
        until("the database", LIMIT, || {
            let said = self.psql(&["SELECT 'up' WHERE NOT pg_is_in_recovery()"]);
            String::from_utf8_lossy(&said.stdout).contains("up").then_some(())
        });
    }

    /// Ends it: `-INT` ends its sessions first, `-QUIT` is a crash.
    pub(crate) fn stop(&mut self, signal: &str) {
        let mut running = self.running.take().unwrap();
        run(Command::new("kill").args([signal, &running.id().to_string()]));
        let end = Instant::now() + LIMIT;
        while running.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the database does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Restores it to the end of its log: the same tables, under another timeline.
    pub(crate) fn begin_timeline(&mut self) {
        self.stop("-INT");
        let signal = self.dir.join("data").join("recovery.signal");
        std::fs::write(&signal, "").unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&signal));
        }
        self.run(&["restore_command=false"]);
    }

    /// Statements, each a transaction of its own.
    pub(crate) fn psql(&self, statements: &[&str]) -> Output {
        let mut psql = Command::new("psql");
        let (ip, port) = (self.address.ip().to_string(), self.address.port().to_string());
        psql.args(["-X", "-A", "-t", "-h", &ip, "-p", &port, "-U", "postgres"]);
        for statement in statements {
            psql.args(["-c", statement]);
        }
        psql.arg("postgres").output().unwrap()
    }

    /// What statements give, which succeed.
    pub(crate) fn ask(&self, statements: &[&str]) -> String {
        let said = self.psql(statements);
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    /// The server's binary, on this database.
    pub(crate) fn pay_once(&self, command: &str) -> String {
        let url = format!("postgres://postgres@{}/postgres?sslmode=disable", self.address);
        let mut program = Command::new(artifact("PAY_ONCE_SPIN_SERVER"));
        let said = program.args([command, "--store", &url]).output().unwrap();
        let text = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        assert!(said.status.success(), "{text}");
        text
    }

    fn log(&self) -> PathBuf {
        self.dir.with_extension("log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stop("-QUIT");
        }
        if thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.log()).unwrap_or_default());
        }
    }
}

/// A program of the server package. It refuses to be root.
fn as_postgres(program: &str) -> Command {
    let path = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is not installed: apt-get install postgresql")
        .map(|version| version.unwrap().path().join("bin").join(program))
        .max()
        .unwrap();
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    command.arg(path);
    command
}

fn is_root() -> bool {
    let said = Command::new("id").arg("-u").output().unwrap();
    said.stdout.trim_ascii() == b"0"
}

fn run(command: &mut Command) {
    let said = command.output().unwrap();
    assert!(said.status.success(), "{said:?}");
}
