//! A PSP that lives on while the server is killed: what was on its way lands all the same, answers get lost, and the
//! server is configured by a file.

use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use pay_once_sandbox::server::{Options, serve};
use pay_once_sandbox::{Dials, RangeMs, Settings};
use pay_once_suite::loopback::free_address;
use serde_json::json;
use tokio::sync::oneshot;

use crate::crash::{crashes, kill};
use crate::http;
use crate::random::Random;
use crate::server::{Dir, Server};

const WEBHOOK_SECRET: &str = "whsec_outside";

/// A sandbox on a thread of this process.
pub(crate) struct Outside {
    /// `host:port`.
    pub(crate) address: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Outside {
    fn start(dials: Dials, webhook_url: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let options = Options {
            settings: Settings {
                dials,
                public_url: String::new(),
                webhook_url: Some(webhook_url),
                webhook_secret: WEBHOOK_SECRET.to_owned(),
            },
            data_dir: None,
            seed: None,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let shutdown = async {
                // A sender that is gone means the same.
                let _ = stopped.await;
            };
            runtime.block_on(serve(listener, options, shutdown)).unwrap();
        });
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn turn(&self, dials: &serde_json::Value) {
        let body = dials.to_string();
        let answer = http::send(&self.address, "PUT", "/dials", &[], body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// Faults of every kind; none breaks a declared constant.
fn faults() -> Dials {
    Dials {
        latency_ms: RangeMs { min: 5, max: 60 },
        max_in_flight_ms: 1_500,
        hang_before_permille: 40,
        hang_after_permille: 60,
        error_before_permille: 30,
        error_after_permille: 60,
        garbage_permille: 30,
        throttle_permille: 30,
        late_permille: 60,
        webhook_lost_permille: 500,
        webhook_duplicates: 1,
        ..Dials::default()
    }
}

/// A server that pays through a PSP of its own process, and the directory of its configuration.
pub(crate) fn place(
    face: &str,
    class: &str,
    dials: Dials,
    environment: &[(&str, &str)],
) -> (Server, Outside, Dir) {
    // A port of the server's own, known to the PSP before the server runs.
    let listen = free_address().unwrap().to_string();
    let psp = Outside::start(dials, format!("http://{listen}/webhooks"));
    let dir = Dir::new();
    let config = dir.path().join("pay-once.toml");
    let text = format!(
        r#"
        open_merchant = "shop"
        [merchants.shop]
        psp = "{face}"
        [psps.{face}]
        face = "{face}"
        base_url = "http://{}"
        api_key_env = "IT_PSP_KEY"
        webhook_secret_env = "IT_WEBHOOK_SECRET"
        {class}
        [psps.{face}.timing]
        send_window_ms = 500
        call_timeout_ms = 800
        max_in_flight_ms = 4000
        max_clock_skew_ms = 100
        "#,
        psp.address
    );
    std::fs::write(&config, text).unwrap();
    let mut environment = environment.to_vec();
    environment.extend([
        ("IT_PSP_KEY", "sk_outside"),
        ("IT_WEBHOOK_SECRET", WEBHOOK_SECRET),
    ]);
    let server = Server::start_with(
        &[
            "--config",
            config.to_str().unwrap(),
            "--listen",
            &listen,
            "--log",
            "error",
        ],
        &environment,
    );
    (server, psp, dir)
}

fn crash_outside(face: &str, class: &str, rounds: u64) {
    let seed = Random::seed();
    let (mut server, psp, _dir) = place(face, class, faults(), &[]);
    let calm = || {
        // Liveness is promised once faults stop.
        psp.turn(&json!({
            "hang_before_permille": 0, "hang_after_permille": 0, "error_before_permille": 0,
            "error_after_permille": 0, "garbage_permille": 0, "throttle_permille": 0, "late_permille": 0,
        }));
    };
    crashes(&mut server, &psp.address, seed, rounds, kill, calm);
}

#[test]
fn stripe_lives_on_while_the_server_crashes() {
    let class = "keyed_horizon_ms = 86_400_000\naddressable = true\nlookup_lag_ms = 500";
    crash_outside("stripe", class, 15);
}

#[test]
fn an_acquirer_without_keys_lives_on_while_the_server_crashes() {
    crash_outside("acquirer", "lookup_lag_ms = 500", 10);
}
