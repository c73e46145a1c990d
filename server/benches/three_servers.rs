//! How soon three servers on one PostgreSQL database answer, with a PSP that takes 100–800 ms.
//!
//! `cargo bench -p pay-once --bench three_servers -- postgres://USER@HOST/DATABASE [SECONDS]`, on a database that nobody else uses.
//!
//! A payment is create, authorize and capture. Each client has one payment at a time, and sends each request to any of the servers. The
//! answer to a request comes within the time budget, as a 202 if the PSP takes longer. The client then asks another server with the same
//! key, every 200 ms, until the answer is final. Every answer counts, the 202s too: the promise is a p99 of less than 200 ms. Servers,
//! PSP, database and this generator share the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::time::{Duration, Instant};

use pay_once_core::key_digest;
use pay_once_sandbox::server::{Options, serve};
use pay_once_sandbox::{Dials, RangeMs, Settings};
use serde_json::Value;

mod support;
use support::{CREATE, Client, Server, empty_database, join_all, percentiles};

const SERVERS: usize = 3;
const KEY: &str = "sk_bench_three_servers";
/// The pause before a client asks again, in milliseconds.
const AGAIN_MS: u64 = 200;

fn main() {
    let Some((url, seconds)) = empty_database("three_servers") else {
        return;
    };
    let config = std::env::temp_dir().join(format!("pay-once-three-servers-{}.toml", std::process::id()));
    std::fs::write(&config, configuration(&psp())).unwrap();
    let servers: Vec<Server> = (0..SERVERS)
        .map(|nth| Server::configured_on_database(&url, &config, &nth.to_string()))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // The first load meets servers, and sessions of the database, that have done nothing yet.
    for (name, in_flight) in [("cold", 16), ("warm", 16), ("more", 48)] {
        runtime.block_on(load(&servers, name, in_flight, Duration::from_secs(seconds)));
    }
    drop(servers);
    std::fs::remove_file(config).unwrap();
}

/// A PSP in this process, which it ends with.
fn psp() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = Options {
        settings: Settings {
            dials: Dials {
                latency_ms: RangeMs { min: 100, max: 800 },
                ..Dials::default()
            },
            public_url: String::new(),
            webhook_url: None,
            webhook_secret: String::new(),
        },
        data_dir: None,
        seed: None,
    };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let served = serve(listener, options, std::future::pending());
        tokio::task::LocalSet::new().block_on(&runtime, served).unwrap();
    });
    address
}

fn configuration(psp: &str) -> String {
    let digest: String = key_digest(KEY).iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        r#"
        installation = "three-servers"
        [merchants.shop]
        api_key_sha256 = ["{digest}"]
        psp = "stripe"
        default_payment_method = "pm_card_visa"
        [psps.stripe]
        face = "stripe"
        base_url = "http://{psp}"
        api_key_env = "BENCH_PSP_KEY"
        keyed_horizon_ms = 86_400_000
        addressable = true
        "#
    )
}

/// What one client measured, in milliseconds.
#[derive(Default)]
struct Measured {
    /// The first answer to each request.
    first: Vec<f64>,
    /// The answers to each question after it.
    again: Vec<f64>,
    /// From a request to its final answer.
    end: Vec<f64>,
    payments: f64,
}

async fn load(servers: &[Server], name: &'static str, in_flight: usize, length: Duration) {
    let addresses: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
    let before = commits(servers).await;
    let begin = Instant::now();
    let workers = (0..in_flight).map(|worker| {
        let addresses = addresses.clone();
        async move {
            let mut clients = Vec::new();
            for address in &addresses {
                clients.push(Client::connect(address).await);
            }
            let mut measured = Measured::default();
            // Another run on the same database has other keys.
            let run = std::process::id();
            for n in 0.. {
                if begin.elapsed() >= length {
                    break;
                }
                let key = format!("{run}-{name}-{worker}-{n}");
                pay(&mut clients, worker + n, &key, &mut measured).await;
                measured.payments += 1.0;
            }
            measured
        }
    });
    let mut all = Measured::default();
    for measured in join_all(workers).await {
        all.first.extend(measured.first);
        all.again.extend(measured.again);
        all.end.extend(measured.end);
        all.payments += measured.payments;
    }
    let took = begin.elapsed().as_secs_f64();
    let commits = commits(servers).await - before;
    println!(
        "  {name}: {in_flight} in flight over {SERVERS} servers: {:.0} payments/s, {:.2} commits a payment",
        all.payments / took,
        commits / all.payments
    );
    println!("      first answer   {}", percentiles(&mut all.first));
    println!("      asked again    {}", percentiles(&mut all.again));
    println!("      final answer   {}", percentiles(&mut all.end));
}

async fn commits(servers: &[Server]) -> f64 {
    let mut all = 0.0;
    for server in servers {
        let answer = Client::connect(&server.operators)
            .await
            .call("GET", "/status", "-", "")
            .await;
        let status: Value = serde_json::from_slice(&answer.body).unwrap();
        all += status["counters"]["commits"].as_f64().unwrap();
    }
    all
}

/// Create, authorize, capture. Each request goes to the next server.
async fn pay(clients: &mut [Client], first: usize, key: &str, measured: &mut Measured) {
    let merchant = format!("Authorization: Bearer {KEY}\r\n");
    let (mut id, mut next) = (String::new(), first);
    for step in ["create", "authorize", "capture"] {
        let path = match step {
            "create" => "/attempts".to_owned(),
            step => format!("/attempts/{id}/{step}"),
        };
        let body = if step == "create" { CREATE } else { "{}" };
        let begun = Instant::now();
        let mut is_first = true;
        loop {
            next = (next + 1) % clients.len();
            let sent = Instant::now();
            let answer = clients[next]
                .call_with("POST", &path, &format!("{key}-{step}"), &merchant, body)
                .await;
            let took = sent.elapsed().as_secs_f64() * 1e3;
            if is_first {
                measured.first.push(took);
            } else {
                measured.again.push(took);
            }
            is_first = false;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            match answer.status {
                200 | 201 => {
                    measured.end.push(begun.elapsed().as_secs_f64() * 1e3);
                    if step == "create" {
                        let created: Value = serde_json::from_str(&text).unwrap();
                        id = created["attempt_id"].as_str().unwrap().to_owned();
                    }
                    break;
                }
                202 => tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await,
                status => panic!("{step}: {status} {text}"),
            }
        }
    }
}
