//! The real binary, with a data directory of its own, killed at the end whatever happens.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pay_once_suite::loopback::own_ip;
use serde_json::{Value, json};

use crate::http::{self, Answer};

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a process may take to end whose start has failed.
const END_LIMIT: Duration = Duration::from_secs(5);
/// The exit status that asks a supervisor for another start (`docs/operating.md`).
#[cfg(feature = "postgres-tests")]
const START_AGAIN: i32 = 75;

/// A directory that goes away with its owner.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pay-once-it-{}-{serial}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        // As a data directory has to be: for its owner alone.
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The command that starts the binary, with nothing of this process's environment that configures it.
pub(crate) fn command() -> Command {
    command_of(env!("CARGO_BIN_EXE_pay-once"))
}

fn command_of(binary: &str) -> Command {
    let mut command = Command::new(binary);
    for name in ["LISTEN", "DATA", "CONFIG", "TIME_BUDGET_MS", "LOG"] {
        command.env_remove(format!("PAY_ONCE_{name}"));
    }
    // Many servers run at the same time here.
    command.env("PAY_ONCE_ADMIN_LISTEN", "127.0.0.1:0");
    command
}

/// The quick start's operator.
pub(crate) const OPERATOR: (&str, &str) = ("Authorization", "Bearer sandbox_operator");

/// Environment variable that says how many files a server may have open.
pub(crate) const OPEN_FILES: &str = "IT_OPEN_FILES";

/// Environment variable that names another build's binary.
pub(crate) const BINARY: &str = "IT_BINARY";

/// The same, with no more open files than the environment says, or of the build that it names.
fn limited(environment: &[(String, String)]) -> Command {
    if let Some((_, binary)) = environment.iter().find(|(name, _)| name == BINARY) {
        return command_of(binary);
    }
    if !environment.iter().any(|(name, _)| name == OPEN_FILES) {
        return command();
    }
    let mut shell = Command::new("sh");
    shell.env("PAY_ONCE_ADMIN_LISTEN", "127.0.0.1:0");
    let script = format!("ulimit -n \"${OPEN_FILES}\" && exec \"$0\" \"$@\"");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_pay-once")]);
    shell
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    output: Arc<Mutex<Vec<u8>>>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    data: Dir,
    /// `host:port` of the API.
    pub(crate) address: String,
    /// `host:port` of the sandbox PSP inside; empty with a configuration file.
    pub(crate) sandbox: String,
    /// `host:port` of the operators' listener.
    pub(crate) operators: String,
}

impl Server {
    /// Starts the quick start with these arguments more.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// Starts a 0 ms sandbox of the class.
    pub(crate) fn fast(class: &str) -> Self {
        Self::start(&["--sandbox-psp", class, "--sandbox-latency-ms", "0..0"])
    }

    /// Starts with environment variables.
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let data = Dir::new();
        let listen = if arguments.iter().any(|a| a == "--listen") {
            None
        } else {
            Some(any_ports())
        };
        let output = Arc::default();
        let (child, readers, address, sandbox, operators) = spawn(
            limited(&environment),
            &arguments,
            &environment,
            &data,
            listen,
            &output,
        )
        .unwrap_or_else(|status| panic!("no start: {status}: {}", said(&output)));
        Self {
            child,
            readers,
            output,
            arguments,
            environment,
            data,
            address,
            sandbox,
            operators,
        }
    }

    /// Starts the quick start through a shell, whose script ends with `exec "$0" "$@"`. Restarts go without it.
    pub(crate) fn start_through(script: &str, arguments: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(command().get_program());
        shell.env("PAY_ONCE_ADMIN_LISTEN", "127.0.0.1:0");
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let (data, output) = (Dir::new(), Arc::default());
        let listen = Some(any_ports());
        let (child, readers, address, sandbox, operators) =
            spawn(shell, &arguments, &[], &data, listen, &output)
                .unwrap_or_else(|status| panic!("no start: {status}: {}", said(&output)));
        Self {
            child,
            readers,
            output,
            arguments,
            environment: Vec::new(),
            data,
            address,
            sandbox,
            operators,
        }
    }

    /// Gives the next start these arguments more.
    pub(crate) fn add_arguments(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(|a| (*a).to_owned()));
    }

    /// Takes the last arguments away from the next start.
    pub(crate) fn drop_arguments(&mut self, count: usize) {
        self.arguments.truncate(self.arguments.len() - count);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.join_readers();
    }

    /// Whether it ended by itself within `limit`.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.join_readers();
        true
    }

    /// Starts again on the same data and the same ports.
    pub(crate) fn restart(&mut self) {
        let restarted = self.try_restart();
        restarted.unwrap_or_else(|status| panic!("no restart: {status}: {}", self.output()));
    }

    /// The same as a supervisor does it: a start that asks for another one gets it, within `limit`.
    #[cfg(feature = "postgres-tests")]
    pub(crate) fn supervised_restart(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        while let Err(status) = self.try_restart() {
            assert_eq!(status.code(), Some(START_AGAIN), "{}", self.output());
            assert!(
                Instant::now() < until,
                "no restart within {limit:?}: {}",
                self.output()
            );
        }
    }

    /// Gives the next start the binary of another build, or that of this one.
    #[cfg(feature = "postgres-tests")]
    pub(crate) fn set_binary(&mut self, binary: Option<&str>) {
        self.environment.retain(|(name, _)| name != BINARY);
        let binary = binary.map(|binary| (BINARY.to_owned(), binary.to_owned()));
        self.environment.extend(binary);
    }

    /// The same. The status that it ended with, if it does not serve.
    pub(crate) fn try_restart(&mut self) -> Result<(), ExitStatus> {
        let listen = Some((self.address.clone(), self.sandbox.clone()));
        let arguments = without_listen(&self.arguments);
        let (child, readers, address, sandbox, operators) = spawn(
            limited(&self.environment),
            &arguments,
            &self.environment,
            &self.data,
            listen,
            &self.output,
        )?;
        assert_eq!((&address, &sandbox), (&self.address, &self.sandbox));
        self.child = child;
        self.readers = readers;
        self.operators = operators;
        Ok(())
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Any signal, as `kill` names it.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// The exit status, within `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        assert!(self.ended_within(limit), "the server does not end");
        self.child.wait().unwrap()
    }

    /// Everything written to standard output and standard error since the first start.
    pub(crate) fn output(&self) -> String {
        said(&self.output)
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        http::send(&self.address, "GET", target, &[], b"").unwrap()
    }

    pub(crate) fn post(&self, target: &str, key: &str, body: &Value) -> Answer {
        self.post_with(target, &[("Idempotency-Key", key)], body)
    }

    /// Waits up to 30 s for the final answer.
    pub(crate) fn post_wait(&self, target: &str, key: &str, body: &Value) -> Answer {
        self.post_with(target, &[("Idempotency-Key", key), ("Prefer", "wait=30")], body)
    }

    pub(crate) fn post_with(&self, target: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut headers = headers.to_vec();
        if target.ends_with("/resolve") {
            headers.push(OPERATOR);
        }
        http::send(&self.address, "POST", target, &headers, &bytes(body)).unwrap()
    }

    /// Creates an attempt and gives its id.
    pub(crate) fn create(&self, key: &str, payment_method: &str) -> String {
        let body =
            json!({"order_id": key, "amount": 2599, "currency": "GBP", "payment_method": payment_method});
        let answer = self.post("/attempts", key, &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["attempt_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn attempt(&self, id: &str) -> Value {
        let answer = self.get(&format!("/attempts/{id}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// A read on the operators' listener.
    pub(crate) fn ask_operators(&self, target: &str) -> Answer {
        http::send(&self.operators, "GET", target, &[], b"").unwrap()
    }

    pub(crate) fn counters(&self) -> Value {
        self.ask_operators("/status").json()["counters"].clone()
    }

    /// What really happened to the money of one attempt.
    pub(crate) fn ledger(&self, id: &str) -> Value {
        ledger(&self.sandbox, id)
    }

    /// Turns the sandbox's dials.
    pub(crate) fn turn(&self, dials: &Value) {
        let answer = http::send(&self.sandbox, "PUT", "/dials", &[], &bytes(dials)).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Polls the attempt until `done`; panics with its story after `limit`.
    pub(crate) fn until(&self, id: &str, limit: Duration, done: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + limit;
        loop {
            let attempt = self.attempt(id);
            if done(&attempt) {
                return attempt;
            }
            assert!(
                Instant::now() < until,
                "not within {limit:?}: {attempt:#}\nledger: {:#}",
                self.ledger(id)
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of a request: nothing for `null`.
pub(crate) fn bytes(body: &Value) -> Vec<u8> {
    if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    }
}

/// What a sandbox's ledger says of one attempt; all zeros if it has never heard of it.
pub(crate) fn ledger(sandbox: &str, id: &str) -> Value {
    let answer = http::send(sandbox, "GET", &format!("/ledger/{id}"), &[], b"").unwrap();
    match answer.status {
        200 => answer.json(),
        404 => json!({
            "authorizations": 0, "live_authorizations": 0, "captures": 0, "captured_minor": 0,
            "voids": 0, "refunds": 0, "refunded_minor": 0, "declines": 0, "events": [],
        }),
        _ => panic!("{answer:?}"),
    }
}

/// Where a first start listens: for the API and for the sandbox PSP.
fn any_ports() -> (String, String) {
    let any = format!("{}:0", own_ip());
    (any.clone(), any)
}

fn without_listen(arguments: &[String]) -> Vec<String> {
    match arguments.iter().position(|a| a == "--listen") {
        Some(at) => [&arguments[..at], &arguments[at + 2..]].concat(),
        None => arguments.to_vec(),
    }
}

type Spawned = (Child, Vec<JoinHandle<()>>, String, String, String);

/// A process that serves, or the status that it ended with.
fn spawn(
    mut command: Command,
    arguments: &[String],
    environment: &[(String, String)],
    data: &Dir,
    listen: Option<(String, String)>,
    output: &Arc<Mutex<Vec<u8>>>,
) -> Result<Spawned, ExitStatus> {
    let has_sandbox = !arguments.iter().any(|a| a == "--config");
    command.args(arguments).arg("--data").arg(data.path());
    if let Some((address, sandbox)) = &listen {
        command.args(["--listen", address]);
        if has_sandbox {
            command.args(["--sandbox-listen", sandbox]);
        }
    }
    let mut child = command
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = keep(child.stderr.take().unwrap(), output, None);
    let (sent, lines) = channel();
    let stdout = keep(child.stdout.take().unwrap(), output, Some(sent));
    let until = Instant::now() + START_LIMIT;
    let listening = || -> Option<(String, String, String)> {
        let address = after(&lines, until, "listening on http://")?;
        let sandbox = if has_sandbox {
            after(&lines, until, "sandbox PSP on http://")?
        } else {
            String::new()
        };
        let operators = after(&lines, until, "operators on http://")?;
        Some((address, sandbox, operators))
    };
    let found = listening();
    let readers = vec![stderr, stdout];
    let Some((address, sandbox, operators)) = found else {
        let until = Instant::now() + END_LIMIT;
        while child.try_wait().unwrap().is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        let status = child.wait().unwrap();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        return Err(status);
    };
    Ok((child, readers, address, sandbox, operators))
}

/// What follows these words in the next line. `None`: no line, or another one.
fn after(lines: &Receiver<String>, until: Instant, what: &str) -> Option<String> {
    let line = lines
        .recv_timeout(until.saturating_duration_since(Instant::now()))
        .ok()?;
    line.trim_end().strip_prefix(what).map(str::to_owned)
}

fn said(output: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&output.lock().unwrap()).into_owned()
}

/// Keeps everything that is written, and sends its lines.
fn keep(
    from: impl Read + Send + 'static,
    output: &Arc<Mutex<Vec<u8>>>,
    lines: Option<Sender<String>>,
) -> JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while let Ok(1..) = from.read_until(b'\n', &mut line) {
            output.lock().unwrap().extend_from_slice(&line);
            // Nobody reads any further than the first lines.
            let text = String::from_utf8_lossy(&line).into_owned();
            lines.as_ref().map(|lines| lines.send(text));
            line.clear();
        }
    })
}
