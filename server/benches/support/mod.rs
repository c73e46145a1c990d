//! The binary under load, and a client that costs little.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The body of a charge.
pub(crate) const CHARGE: &str = r#"{"amount":2599,"currency":"GBP","payment_method":"pm_card_visa"}"#;

/// The body of a create.
pub(crate) const CREATE: &str =
    r#"{"order_id":"ord_123","amount":2599,"currency":"GBP","payment_method":"pm_card_visa"}"#;

/// The empty database that the arguments name, with tables, and for how many seconds each load is to run. `None`: they name none, and
/// standard error says how.
pub(crate) fn empty_database(bench: &str) -> Option<(String, u64)> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(url) = arguments.iter().find(|argument| argument.starts_with("postgres")) else {
        eprintln!(
            "name an empty database: cargo bench -p pay-once --bench {bench} -- postgres://USER@HOST/DATABASE"
        );
        return None;
    };
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok());
    let migrated = Command::new(env!("CARGO_BIN_EXE_pay-once"))
        .arg("migrate")
        .env("PAY_ONCE_STORE", url)
        .status()
        .unwrap();
    assert!(migrated.success());
    Some((url.clone(), seconds.unwrap_or(10)))
}

const LISTEN: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pay-once"));
    command.args(LISTEN);
    command
}

/// The binary under load, with a store of its own.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) sandbox: String,
    pub(crate) operators: String,
    dir: std::path::PathBuf,
}

impl Server {
    /// With the sandbox inside, as the PSP of everybody.
    pub(crate) fn start(latency: &str) -> Self {
        let mut command = command();
        command.args(["--sandbox-listen", "127.0.0.1:0", "--sandbox-latency-ms", latency]);
        Self::spawn(command, latency, true)
    }

    /// On a data directory that has records, with the sandbox inside. It goes away with the server.
    pub(crate) fn on_directory(dir: &std::path::Path) -> Self {
        let mut command = command();
        command.args(["--sandbox-listen", "127.0.0.1:0", "--sandbox-latency-ms", "0..0"]);
        Self::spawn_in(command, dir.to_owned(), true)
    }

    /// On a database, with the sandbox inside.
    pub(crate) fn on_database(url: &str) -> Self {
        let mut command = command();
        command.args(["--sandbox-listen", "127.0.0.1:0", "--sandbox-latency-ms", "0..0"]);
        command.env("PAY_ONCE_STORE", url);
        Self::spawn(command, "database", true)
    }

    /// With the PSPs of a configuration file, through `script`, which ends with `exec "$0" "$@"`.
    pub(crate) fn configured(script: &str, config: &std::path::Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(env!("CARGO_BIN_EXE_pay-once"));
        shell.args(LISTEN).arg("--config").arg(config);
        Self::spawn(shell, "configured", false)
    }

    /// One of several on a database, with the PSPs of a configuration file.
    pub(crate) fn configured_on_database(url: &str, config: &std::path::Path, name: &str) -> Self {
        let mut command = command();
        command.arg("--config").arg(config);
        command
            .env("PAY_ONCE_STORE", url)
            .env("BENCH_PSP_KEY", "sk_sandbox");
        Self::spawn(command, name, false)
    }

    fn spawn(command: Command, name: &str, has_sandbox: bool) -> Self {
        let dir = std::env::temp_dir().join(format!("pay-once-load-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self::spawn_in(command, dir, has_sandbox)
    }

    fn spawn_in(mut command: Command, dir: std::path::PathBuf, has_sandbox: bool) -> Self {
        let mut child = command
            .args(["--log", "error", "--data"])
            .arg(&dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |what: &str| {
            lines
                .next()
                .unwrap()
                .unwrap()
                .strip_prefix(what)
                .unwrap()
                .to_owned()
        };
        let address = after("listening on http://");
        let sandbox = match has_sandbox {
            true => after("sandbox PSP on http://"),
            false => String::new(),
        };
        let operators = after("operators on http://");
        Self {
            child,
            address,
            sandbox,
            operators,
            dir,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// One keep-alive connection that knows just enough HTTP to cost little.
pub(crate) struct Client {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            host: address.to_owned(),
            buffer: Vec::with_capacity(8192),
        }
    }

    pub(crate) async fn call(&mut self, method: &str, path: &str, key: &str, body: &str) -> Answer {
        self.call_with(method, path, key, "", body).await
    }

    /// `headers`: whole lines.
    pub(crate) async fn call_with(
        &mut self,
        method: &str,
        path: &str,
        key: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nIdempotency-Key: {key}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.buffer.clear();
        loop {
            assert_ne!(
                self.stream.read_buf(&mut self.buffer).await.unwrap(),
                0,
                "the server closed the connection"
            );
            let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(&self.buffer[..end])
                .unwrap()
                .to_ascii_lowercase();
            let length: usize = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "))
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            while self.buffer.len() < end + 4 + length {
                assert_ne!(
                    self.stream.read_buf(&mut self.buffer).await.unwrap(),
                    0,
                    "the server closed the connection"
                );
            }
            return Answer {
                status: head[9..12].parse().unwrap(),
                replayed: head.contains("idempotency-replayed: true"),
                body: self.buffer[end + 4..].to_vec(),
            };
        }
    }
}

pub(crate) fn percentiles(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let at = |p: f64| values[((values.len() - 1) as f64 * p) as usize];
    format!(
        "p50 {:.2} ms p99 {:.2} ms p99.9 {:.2} ms",
        at(0.5),
        at(0.99),
        at(0.999)
    )
}

pub(crate) async fn join_all<F>(futures: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let local = tokio::task::LocalSet::new();
    let tasks: Vec<_> = futures.map(|future| local.spawn_local(future)).collect();
    local.await;
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await.unwrap());
    }
    outputs
}
