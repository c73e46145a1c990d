//! The table that every adapter must pass, in every mode that is accepted; and on Spin itself, where there is one.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pay_once_suite::loopback::free_address;
use pay_once_suite::{GOLDEN, Options, run};

use crate::http;
use crate::world::{Mode, World, artifact, until};

fn check(address: &str, world: &World) {
    // Before there is anything that one instance has seen and another has not.
    health_is_shown_to_get_and_head(address);
    let options = Options::new(&format!("http://{address}"), &format!("http://{}", world.sandbox));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let report = runtime.block_on(run(&options)).unwrap();
    println!("{}", report.lines());
    report.check(GOLDEN).unwrap_or_else(|why| panic!("{why}"));
}

/// The component's own path is no part of the table.
fn health_is_shown_to_get_and_head(address: &str) {
    let [got, head] =
        ["GET", "HEAD"].map(|method| http::send(address, method, "/healthz", &[], b"").unwrap());
    assert_eq!((got.status, head.status), (200, 200), "{head:?}");
    assert!(head.body.is_empty(), "{head:?}");
    for name in ["Content-Type", "Content-Length"] {
        assert!(head.header(name).is_some(), "{name}: {head:?}");
        assert_eq!(head.header(name), got.header(name));
    }
}

fn passes(mode: Mode) {
    let listen = free_address().unwrap();
    let world = World::with_webhooks_to(mode, &listen.to_string());
    let host = world.host_of(&world.component(), listen);
    check(&host.address, &world);
}

#[test]
fn the_suite_passes_on_sqlite() {
    passes(Mode::Sqlite);
}

#[test]
fn the_suite_passes_on_redis() {
    passes(Mode::Redis);
}

#[test]
fn the_suite_passes_on_a_key_value_store_whose_swap_is_right() {
    passes(Mode::Correct);
}

#[test]
fn the_suite_passes_on_postgres() {
    passes(Mode::Postgres);
}

struct Spin(Child);

impl Drop for Spin {
    fn drop(&mut self) {
        // SIGTERM: `spin up` ends the process that it started.
        let _ = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status();
        let _ = self.0.wait();
    }
}

#[test]
fn the_suite_passes_on_spin_itself() {
    let Ok(version) = Command::new("spin").arg("--version").output() else {
        println!("no spin on the PATH: the suite ran on the test host alone");
        return;
    };
    println!(
        "the suite runs on {}",
        String::from_utf8_lossy(&version.stdout).trim()
    );
    let listen = free_address().unwrap();
    let world = World::with_webhooks_to(Mode::Sqlite, &listen.to_string());
    let manifest = include_str!("../../spin.toml");
    let source = manifest
        .lines()
        .find(|line| line.starts_with("source = "))
        .unwrap();
    let component = format!("source = \"{}\"", artifact("PAY_ONCE_SPIN_COMPONENT"));
    let path = world.dir().join("spin.toml");
    std::fs::write(&path, manifest.replace(source, &component)).unwrap();
    let mut command = Command::new("spin");
    command
        .arg("up")
        .arg("--from")
        .arg(&path)
        .args(["--listen", &listen.to_string()]);
    command.arg("--state-dir").arg(world.dir().join("state"));
    command.env("SPIN_VARIABLE_PSP_URL", format!("http://{}", world.sandbox));
    for (name, value) in &world.variables {
        command.env(format!("SPIN_VARIABLE_{}", name.to_uppercase()), value);
    }
    let _spin = Spin(command.stdout(Stdio::null()).spawn().unwrap());
    let address = listen.to_string();
    until("spin up", Duration::from_secs(60), || {
        http::send(&address, "GET", "/healthz", &[], b"").ok()
    });
    check(&address, &world);
}
