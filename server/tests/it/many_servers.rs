//! Many servers on one PostgreSQL database: any of them may die, and so may the database and the links to it.

mod chaos;
mod clients;
mod connections;
mod died;
mod link;
mod partitions;
mod restored;
mod starts;
mod upgrade;

use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use pay_once_sandbox::server::{Options as SandboxOptions, serve};
use pay_once_sandbox::{Dials, RangeMs, Settings};
use serde_json::Value;

use crate::deployment::{bearer, digest};
use crate::http;
use crate::postgres::Cluster;
use crate::server::{BINARY, Dir, Server, bytes, ledger};
use crate::suite::block_on;
use link::Link;

const KEY: &str = "sk_it_many_servers";
const SERVERS: usize = 3;
/// How long a client goes on asking.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the PSP offers: keys and look-ups.
const KEYED: &str = "keyed_horizon_ms = 86_400_000\naddressable = true\nlookup_lag_ms = 500";
/// What the PSP offers: look-ups alone, so that a call that is sent twice takes the money twice.
const LOOK_UP_ONLY: &str = "addressable = true\nlookup_lag_ms = 500";

/// How often chaos is repeated. `PAY_ONCE_ROUNDS=30` is the whole proof.
fn rounds(default: usize) -> usize {
    let said = std::env::var("PAY_ONCE_ROUNDS");
    said.ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(default)
}

/// How a place differs from the plainest one.
struct Plan<'a> {
    /// How long the PSP takes at most, in milliseconds.
    latency_ms: u64,
    /// What the PSP offers.
    capabilities: &'a str,
    /// Each server reaches the database by a link of its own, which can be broken.
    has_links: bool,
    /// The servers, and the tables, are those of another build.
    binary: Option<&'a str>,
}

/// The database, its servers, and their PSP.
struct Place {
    servers: Vec<Mutex<Server>>,
    addresses: Vec<String>,
    /// One for each server, if the plan has them.
    links: Vec<Link>,
    psp: String,
    cluster: Mutex<Cluster>,
    _config: Dir,
}

/// A place whose servers reach the database directly.
fn place(latency_ms: u64, capabilities: &str) -> Place {
    Place::start(&Plan {
        latency_ms,
        capabilities,
        has_links: false,
        binary: None,
    })
}

impl Place {
    fn start(plan: &Plan<'_>) -> Self {
        let psp = psp(plan.latency_ms);
        let config = Dir::new();
        let file = config.path().join("pay-once.toml");
        std::fs::write(&file, configuration(&psp, plan.capabilities)).unwrap();
        let cluster = Cluster::migrated_by(plan.binary);
        let links: Vec<Link> = (0..if plan.has_links { SERVERS } else { 0 })
            .map(|nth| Link::to(cluster.address, nth as u64))
            .collect();
        let mut environment = vec![("IT_PSP_KEY", "sk_outside")];
        environment.extend(plan.binary.map(|binary| (BINARY, binary)));
        let servers: Vec<Server> = (0..SERVERS)
            .map(|nth| {
                let url = links
                    .get(nth)
                    .map_or(cluster.url.clone(), |link| cluster.url_through(link.address));
                let file = file.to_str().unwrap();
                let arguments = ["--config", file, "--log", "error", "--store", &url];
                Server::start_with(&arguments, &environment)
            })
            .collect();
        Self {
            addresses: servers.iter().map(|server| server.address.clone()).collect(),
            servers: servers.into_iter().map(Mutex::new).collect(),
            links,
            psp,
            cluster: Mutex::new(cluster),
            _config: config,
        }
    }

    fn post(
        &self,
        server: usize,
        target: &str,
        key: &str,
        wait_s: u64,
        body: &Value,
    ) -> Option<http::Answer> {
        let bearer = bearer(KEY);
        let wait = format!("wait={wait_s}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Idempotency-Key", key),
            ("Prefer", &wait),
        ];
        http::send(&self.addresses[server], "POST", target, &headers, &bytes(body)).ok()
    }

    /// What the PSP's books say of a payment.
    fn ledger_of(&self, payment: &Value) -> Value {
        ledger(&self.psp, payment["attempt_id"].as_str().unwrap())
    }

    /// Waits until a server says that it is ready for payments, or that it is not.
    fn is_ready_when(&self, server: usize, is_ready: bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.servers[server].lock().unwrap().ask_operators("/readyz");
            if (answer.status == 200) == is_ready {
                return;
            }
            assert!(Instant::now() < until, "{answer:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A PSP in this process, which it ends with.
fn psp(latency_ms: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let options = SandboxOptions {
        settings: Settings {
            dials: Dials {
                latency_ms: RangeMs {
                    min: 0,
                    max: latency_ms,
                },
                ..Dials::default()
            },
            public_url: String::new(),
            webhook_url: None,
            webhook_secret: String::new(),
        },
        data_dir: None,
        seed: None,
    };
    thread::spawn(move || block_on(serve(listener, options, std::future::pending())).unwrap());
    address.to_string()
}

fn configuration(psp: &str, capabilities: &str) -> String {
    let digest = digest(KEY);
    format!(
        r#"
        installation = "many"
        [merchants.shop]
        api_key_sha256 = ["{digest}"]
        psp = "stripe"
        default_payment_method = "pm_card_visa"
        [psps.stripe]
        face = "stripe"
        base_url = "http://{psp}"
        api_key_env = "IT_PSP_KEY"
        {capabilities}
        [psps.stripe.timing]
        send_window_ms = 500
        call_timeout_ms = 2000
        max_in_flight_ms = 2000
        max_clock_skew_ms = 100
        "#
    )
}
