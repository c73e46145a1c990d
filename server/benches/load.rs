//! Load against the real binary: `cargo bench -p pay-once --bench load [-- closed|open|baseline|all] [--seconds N] [--in-flight N]`.
//!
//! *closed*: a 0 ms PSP without webhooks, a fixed number of payments in flight, a payment being create, authorize, capture and one
//! replay of each. *open*: 100 payments a second against a PSP of 100–800 ms, every single call timed.
//! Server, PSP and this generator share the machine. Figures for people; nothing here fails on a slow machine, but
//! an error, a wrong answer or a missing write ends it with one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::time::{Duration, Instant};

mod support;
use support::{CREATE, Client, Server, join_all, percentiles};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let mode = arguments
        .iter()
        .find(|a| !a.starts_with("--") && a.parse::<u64>().is_err())
        .map_or("all", String::as_str);
    let seconds = arguments
        .iter()
        .position(|a| a == "--seconds")
        .and_then(|at| arguments[at + 1].parse().ok());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if matches!(mode, "baseline" | "closed" | "all") {
        let bare_commits = baseline(&runtime);
        if mode == "baseline" {
            return;
        }
        println!(
            "closed loop, PSP 0 ms without webhooks; a payment is create, authorize, capture and one replay of each"
        );
        let only = arguments
            .iter()
            .position(|a| a == "--in-flight")
            .and_then(|at| arguments[at + 1].parse().ok());
        for in_flight in only.map_or(vec![1, 16, 64], |only| vec![only]) {
            let length = Duration::from_secs(seconds.unwrap_or(10));
            runtime.block_on(closed(in_flight, length, bare_commits));
        }
    }
    if matches!(mode, "open" | "all") {
        println!("open loop, 100 payments/s, PSP 100–800 ms; every call timed");
        runtime.block_on(open(100, Duration::from_secs(seconds.unwrap_or(60))));
    }
}

/// What the machine can do without us, in the same run: figures are only worth their ratio to these.
/// Returns the commits a second of SQLite alone.
fn baseline(runtime: &tokio::runtime::Runtime) -> f64 {
    let dir = std::env::temp_dir().join(format!("pay-once-baseline-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let db = rusqlite::Connection::open(dir.join("bare.sqlite3")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
         CREATE TABLE t (place INTEGER PRIMARY KEY, bytes BLOB);",
    )
    .unwrap();
    let commits = |seconds: u64| {
        let (begin, mut n) = (Instant::now(), 0u32);
        while begin.elapsed() < Duration::from_secs(seconds) {
            db.execute("INSERT INTO t (bytes) VALUES (zeroblob(400))", [])
                .unwrap();
            n += 1;
        }
        f64::from(n) / begin.elapsed().as_secs_f64()
    };
    // The first pass makes the log's space, the second uses it again, as the server does.
    let _ = commits(1);
    db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
        .unwrap();
    let commits = commits(2);
    drop(db);
    let _ = std::fs::remove_dir_all(&dir);
    let http = runtime.block_on(bare_http(64, Duration::from_secs(3)));
    println!(
        "baseline: SQLite alone {commits:.0} commits/s one at a time (a payment has 5); a bare hyper server {http:.0} requests/s at 64 connections (a payment has 6, and 2 to the PSP)"
    );
    commits
}

/// The same generator against a server that only answers, on a thread of its own as the real one is.
async fn bare_http(connections: usize, length: Duration) -> f64 {
    use http_body_util::Full;
    use hyper::{Response, body::Bytes, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let answer = |_| async {
                    Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(
                        &[b'x'; 400],
                    ))))
                };
                tokio::spawn(
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)),
                );
            }
        });
    });
    let begin = Instant::now();
    let workers = (0..connections).map(|_| {
        let address = address.clone();
        async move {
            let mut client = Client::connect(&address).await;
            let mut n = 0u32;
            while begin.elapsed() < length {
                client.call("POST", "/attempts", "key", CREATE).await;
                n += 1;
            }
            f64::from(n)
        }
    });
    join_all(workers).await.into_iter().sum::<f64>() / begin.elapsed().as_secs_f64()
}

fn attempt_id(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    let at = text.find("pa_").unwrap();
    text[at..at + 29].to_owned()
}

async fn counters(address: &str) -> serde_json::Value {
    let answer = Client::connect(address)
        .await
        .call("GET", "/status", "-", "")
        .await;
    serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()["counters"].clone()
}

async fn closed(in_flight: usize, length: Duration, bare_commits: f64) {
    let server = Server::start("0..0");
    // The systems it is compared with had a PSP that sends none; each would be one more request to answer.
    let dials = r#"{"webhooks_enabled": false}"#;
    assert_eq!(
        Client::connect(&server.sandbox)
            .await
            .call("PUT", "/dials", "-", dials)
            .await
            .status,
        200
    );
    let before = counters(&server.operators).await;
    let begin = Instant::now();
    let workers = (0..in_flight).map(|worker| {
        let address = server.address.clone();
        async move {
            let mut client = Client::connect(&address).await;
            let mut latencies = Vec::new();
            let mut replays = Vec::new();
            for n in 0.. {
                if begin.elapsed() >= length {
                    return (latencies, replays);
                }
                pay_closed(
                    &mut client,
                    &format!("w{worker}-{n}"),
                    &mut latencies,
                    &mut replays,
                )
                .await;
            }
            unreachable!()
        }
    });
    let cpu_before = (cpu_ms(server.child.id()), cpu_ms(std::process::id()));
    let (mut latencies, mut replays) = (Vec::new(), Vec::new());
    for (a, b) in join_all(workers).await {
        latencies.extend(a);
        replays.extend(b);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let payments = replays.len() as f64 / 3.0;
    let after = counters(&server.operators).await;
    let grown = |name: &str| (after[name].as_u64().unwrap() - before[name].as_u64().unwrap()) as f64;
    println!(
        "  {in_flight:>3} in flight: {:>5.0} payments/s  writes/payment {:.3}  syncs/payment {:.3}  money calls/payment {:.3}  call {}  replay {}",
        payments / seconds,
        grown("durable_writes") / payments,
        (grown("commits") + 2.0 * grown("checkpoints")) / payments,
        grown("psp_money_calls") / payments,
        percentiles(&mut latencies),
        percentiles(&mut replays),
    );
    println!(
        "                 durable writes/s over SQLite's bare commits/s: {:.2}; processor time a payment: server with PSP {:.3} ms, generator {:.3} ms",
        grown("durable_writes") / seconds / bare_commits,
        (cpu_ms(server.child.id()) - cpu_before.0) / payments,
        (cpu_ms(std::process::id()) - cpu_before.1) / payments,
    );
    check_ledger(&server, payments as u64).await;
}

/// User and system time of a process, in milliseconds; Linux counts it in ticks of 10 ms.
fn cpu_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    fields.get(11..13).map_or(0.0, |times| {
        times.iter().filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() * 10.0
    })
}

async fn pay_closed(client: &mut Client, name: &str, latencies: &mut Vec<f64>, replays: &mut Vec<f64>) {
    let mut id = String::new();
    for (operation, first, again) in [("", 201, 200), ("/authorize", 200, 200), ("/capture", 200, 200)] {
        let path = if id.is_empty() {
            "/attempts".to_owned()
        } else {
            format!("/attempts/{id}{operation}")
        };
        let key = format!("{name}{operation}");
        let body = if id.is_empty() { CREATE } else { "" };
        let begin = Instant::now();
        let mut answer = client.call("POST", &path, &key, body).await;
        latencies.push(begin.elapsed().as_secs_f64() * 1e3);
        while answer.status == 202 {
            answer = client.call("POST", &path, &key, body).await;
        }
        assert!(
            answer.status == first || answer.status == again,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        let begin = Instant::now();
        let replay = client.call("POST", &path, &key, body).await;
        replays.push(begin.elapsed().as_secs_f64() * 1e3);
        assert_eq!((replay.status, replay.replayed), (again, true));
        assert_eq!(replay.body, answer.body, "a replay has the same bytes");
        if id.is_empty() {
            id = attempt_id(&answer.body);
        }
    }
}

async fn open(per_second: u64, length: Duration) {
    let server = Server::start("100..800");
    let before = counters(&server.operators).await;
    let begin = Instant::now();
    let total = per_second * length.as_secs();
    let payments = (0..total).map(|n| {
        let address = server.address.clone();
        async move {
            tokio::time::sleep_until((begin + Duration::from_millis(n * 1000 / per_second)).into()).await;
            let mut client = Client::connect(&address).await;
            let mut latencies = Vec::new();
            let mut id = String::new();
            for operation in ["", "/authorize", "/capture"] {
                let path = if id.is_empty() {
                    "/attempts".to_owned()
                } else {
                    format!("/attempts/{id}{operation}")
                };
                let body = if id.is_empty() { CREATE } else { "" };
                loop {
                    let begin = Instant::now();
                    let answer = client
                        .call("POST", &path, &format!("o{n}{operation}"), body)
                        .await;
                    latencies.push(begin.elapsed().as_secs_f64() * 1e3);
                    match answer.status {
                        200 | 201 => {
                            id = attempt_id(&answer.body);
                            break;
                        }
                        202 => tokio::time::sleep(Duration::from_millis(100)).await,
                        other => panic!("{other}: {}", String::from_utf8_lossy(&answer.body)),
                    }
                }
            }
            latencies
        }
    });
    let mut latencies: Vec<f64> = join_all(payments).await.into_iter().flatten().collect();
    let after = counters(&server.operators).await;
    let grown =
        |name: &str| (after[name].as_u64().unwrap() - before[name].as_u64().unwrap()) as f64 / total as f64;
    println!(
        "  {total} payments, {} calls, 0 errors: {}  writes/payment {:.3}  money calls/payment {:.3}",
        latencies.len(),
        percentiles(&mut latencies),
        grown("durable_writes"),
        grown("psp_money_calls"),
    );
    check_ledger(&server, total).await;
}

/// The ledger has the last word: one authorization and one capture for each payment, and nothing else.
async fn check_ledger(server: &Server, payments: u64) {
    let answer = Client::connect(&server.sandbox)
        .await
        .call("GET", "/ledger", "-", "")
        .await;
    let ledger: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let entries = ledger.as_object().unwrap();
    assert_eq!(entries.len() as u64, payments, "every payment is in the ledger");
    for (id, entry) in entries {
        let once = entry["authorizations"] == 1 && entry["captures"] == 1 && entry["captured_minor"] == 2599;
        assert!(once, "{id}: {entry}");
    }
}
