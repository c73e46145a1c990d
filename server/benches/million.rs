//! What stored attempts cost: `cargo bench -p pay-once --bench million [-- ATTEMPTS] [--postgres URL_FEW URL_MANY]`.
//!
//! One store has 1,000 attempts, the other 1,000,000 (or ATTEMPTS). A server on each takes its turns in the same run: payments of create,
//! authorize, capture and one replay of each, one at a time, against a PSP of 0 ms. Then searches: pages of 20, by state and by order, of a
//! merchant and of an operator, from the beginning and from the middle. With --postgres both are empty databases.
//!
//! The aims: a call costs at most 1.15 times as much with a million attempts on SQLite, and 1.3 times on PostgreSQL; a page takes less than
//! 20 ms in 99 of 100 cases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pay_once::counters::Counters;
use pay_once::ports::Store;
use pay_once::postgres::connect::Database;
use pay_once::postgres::store::{PostgresStore, Promises, bring_up};
use pay_once::store::sqlite::SqliteStore;
use pay_once_core::{
    Action, AttemptId, CallResult, Capabilities, Config, Connector, Entropy, Merchant, Millis, Psp,
    Questions, Record, Request, Secret, Swap, Swapped, Timing, Turn, UnixMillis,
};
use serde_json::Value;

mod support;
use support::{CREATE, Client, Server, join_all, percentiles};

const FEW: u64 = 1_000;
/// Payments of one turn of a server.
const TURN: u64 = 150;
const ROUNDS: u64 = 12;
const PAGES: u64 = 400;
/// Swaps at the same time while a store is filled.
const AT_ONCE: u64 = 512;
/// Attempts of one order.
const PER_ORDER: u64 = 2;
const APPROVED: &[u8] = br#"{"status":"approved","psp_reference":"psp_1"}"#;
/// 2026-01-01T00:00:00Z.
const BEGINNING_MS: u64 = 1_767_225_600_000;
const OPERATOR: &str = "Authorization: Bearer sandbox_operator\r\n";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let many = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let urls = arguments.iter().position(|a| a == "--postgres").map(|at| {
        let url = |n: usize| {
            arguments
                .get(at + n)
                .expect("--postgres URL_FEW URL_MANY")
                .as_str()
        };
        [url(1), url(2)]
    });
    let servers = match urls {
        Some(urls) => [(urls[0], FEW), (urls[1], many)].map(|(url, attempts)| {
            runtime.block_on(fill(&Rc::new(database(url)), attempts));
            Server::on_database(url)
        }),
        None => [FEW, many].map(|attempts| {
            let dir =
                std::env::temp_dir().join(format!("pay-once-million-{}-{attempts}", std::process::id()));
            let store = SqliteStore::open(&dir, "sandbox", Arc::new(Counters::default())).unwrap();
            let store = Rc::new(store);
            runtime.block_on(fill(&store, attempts));
            drop(store);
            Server::on_directory(&dir)
        }),
    };
    let [few, large] = &servers;
    runtime.block_on(async {
        wait_until_counted(few).await;
        wait_until_counted(large).await;
        compare(few, large).await;
        search(large, many).await;
    });
}

fn database(url: &str) -> PostgresStore {
    let database = Database::parse(url, None).unwrap();
    println!("{}", bring_up(&database).unwrap());
    let counters = Arc::new(Counters::default());
    PostgresStore::open(&database, "sandbox", Promises::default(), counters)
        .unwrap()
        .store
}

/// Puts captured payments into a store, and one in ten that is only created.
async fn fill(store: &Rc<impl Store>, attempts: u64) {
    let begun = Instant::now();
    let config = config();
    let mut next = 0;
    while next < attempts {
        let until = attempts.min(next + AT_ONCE);
        let swaps = (next..until).map(|n| {
            let (store, swap) = (Rc::clone(store), payment(&config, n));
            async move { store.swap(swap).await }
        });
        for swapped in join_all(swaps).await {
            assert_eq!(swapped, Swapped::Applied);
        }
        next = until;
        if next % (AT_ONCE * 400) == 0 {
            println!(
                "  {next} of {attempts} attempts stored, {:.0} s",
                begun.elapsed().as_secs_f64()
            );
        }
    }
    println!(
        "{attempts} attempts stored in {:.0} s",
        begun.elapsed().as_secs_f64()
    );
}

fn config() -> Config {
    let psp = Psp {
        connector: Connector::Acquirer,
        base_url: "http://127.0.0.1:1".to_owned(),
        api_key: Secret::new("sk_bench"),
        webhook_secrets: Vec::new(),
        capabilities: Capabilities {
            keyed_horizon_ms: Some(Millis::new(86_400_000)),
            ..Capabilities::default()
        },
        timing: Timing::default(),
    };
    let merchant = Merchant {
        psp: "acquirer".to_owned(),
        ..Merchant::default()
    };
    Config {
        installation: "sandbox".to_owned(),
        time_budget_ms: Millis::new(150),
        merchants: BTreeMap::from([("sandbox".to_owned(), merchant)]),
        psps: BTreeMap::from([("acquirer".to_owned(), psp)]),
        open_merchant: Some("sandbox".to_owned()),
        ..Config::default()
    }
}

/// The record of payment `n` at its end, as one swap.
fn payment(config: &Config, n: u64) -> Swap {
    let key = format!("stored-{n}");
    let order = n / PER_ORDER;
    let create = format!(
        r#"{{"order_id":"order-{order}","amount":2599,"currency":"GBP","payment_method":"pm_card_visa"}}"#
    );
    let id = AttemptId::derive("sandbox", "sandbox", &key);
    let mut now_ms = UnixMillis::new(BEGINNING_MS + n * 1_000);
    let mut requests = vec![("/attempts".to_owned(), key, create.as_str())];
    if !n.is_multiple_of(10) {
        for operation in ["authorize", "capture"] {
            requests.push((format!("/attempts/{id}/{operation}"), operation.to_owned(), ""));
        }
    }
    let (mut record, mut questions, mut last) = (None, Questions::default(), None);
    for (target, key, body) in requests {
        let headers = [("idempotency-key", key.as_bytes())];
        let request = Request {
            method: "POST",
            target: &target,
            headers: &headers,
            body: body.as_bytes(),
        };
        let mut turns = vec![Turn::request(config, &request, now_ms)];
        while let Some(mut turn) = turns.pop() {
            loop {
                now_ms = now_ms + Millis::new(1);
                match turn.next(now_ms, &mut questions) {
                    Action::Load => {
                        let entropy = Entropy(u128::from(now_ms.get()) << 64);
                        turn.loaded(config, record.as_deref(), now_ms, entropy);
                    }
                    Action::Swap => turn.swapped(Swapped::Applied, now_ms),
                    Action::Committed(write) => {
                        last = Some(Swap {
                            expected_version: None,
                            ..Swap::from(&write)
                        });
                        record = Some(write.record);
                    }
                    Action::Perform(call) => {
                        let approved = CallResult::answered(200, APPROVED.to_vec());
                        turns.extend(Turn::outcome(*call, approved, now_ms));
                    }
                    Action::Wait { .. } | Action::Reply(_) | Action::Done => break,
                    Action::Arm { .. } | Action::Note(_) => {}
                    other => panic!("no reason for {other:?}"),
                }
            }
        }
    }
    let record: Arc<Record> = record.unwrap();
    assert!(n.is_multiple_of(10) || record.is_final(), "payment {n}");
    last.unwrap()
}

/// Until the scan of the start is over: it reads all records.
async fn wait_until_counted(server: &Server) {
    let begun = Instant::now();
    loop {
        let mut client = Client::connect(&server.operators).await;
        let metrics = client.call("GET", "/metrics", "-", "").await.body;
        let text = String::from_utf8(metrics).unwrap();
        if !text.contains("pay_once_attempts_counted 0") {
            println!(
                "the scan of the start was over after {:.0} s",
                begun.elapsed().as_secs_f64()
            );
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Milliseconds of each call, by turns on both servers.
async fn compare(few: &Server, large: &Server) {
    let mut times: [Vec<f64>; 2] = Default::default();
    for round in 0..ROUNDS + 1 {
        for (which, server) in [few, large].into_iter().enumerate() {
            let mut client = Client::connect(&server.address).await;
            let mut found = Vec::new();
            for n in 0..TURN {
                pay(&mut client, &format!("{round}-{n}"), &mut found).await;
            }
            // The first round warms up.
            if round > 0 {
                times[which].extend(found);
            }
        }
    }
    let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
    let means = [mean(&times[0]), mean(&times[1])];
    let told = times.map(|mut times| (percentiles(&mut times), times[times.len() / 2]));
    println!(
        "a call with few attempts:  mean {:.3} ms, {}",
        means[0], told[0].0
    );
    println!(
        "a call with many attempts: mean {:.3} ms, {}",
        means[1], told[1].0
    );
    println!(
        "ratio of the means {:.2}, of the medians {:.2}",
        means[1] / means[0],
        told[1].1 / told[0].1
    );
}

async fn pay(client: &mut Client, name: &str, times: &mut Vec<f64>) {
    let mut id = String::new();
    for operation in ["", "/authorize", "/capture"] {
        let (path, body) = match id.is_empty() {
            true => ("/attempts".to_owned(), CREATE),
            false => (format!("/attempts/{id}{operation}"), ""),
        };
        let key = format!("{name}{operation}");
        for _ in 0..2 {
            let begun = Instant::now();
            let mut answer = client.call("POST", &path, &key, body).await;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
            // Other work on this machine took the time that an answer may take.
            while answer.status == 202 {
                answer = client.call("POST", &path, &key, body).await;
            }
            assert!(matches!(answer.status, 200 | 201), "{}", answer.status);
            if id.is_empty() {
                let attempt: Value = serde_json::from_slice(&answer.body).unwrap();
                id = attempt["attempt_id"].as_str().unwrap().to_owned();
            }
        }
    }
}

async fn search(server: &Server, attempts: u64) {
    let mut client = Client::connect(&server.address).await;
    // From the beginning, and from where a quarter of all attempts came before.
    let middle_ms = BEGINNING_MS + attempts / 4 * 1_000;
    let after = format!("&after={middle_ms}.pa_00000000000000000000000000.sandbox");
    for (what, headers) in [("a merchant", ""), ("an operator", OPERATOR)] {
        for (name, query) in [
            ("captured, first page", "state=captured".to_owned()),
            ("captured, from the middle", format!("state=captured{after}")),
            (
                "created, older than a day",
                "state=created&older_than_s=86400".to_owned(),
            ),
            ("pages of 100", format!("state=captured&limit=100{after}")),
            ("by order", String::new()),
            ("parked: none", "state=parked".to_owned()),
        ] {
            let mut times = Vec::new();
            for n in 0..PAGES {
                let order = (n * 7_919) % (attempts / PER_ORDER);
                let target = match query.is_empty() {
                    true => format!("/attempts?order_id=order-{order}"),
                    false => format!("/attempts?{query}"),
                };
                let begun = Instant::now();
                let answer = client.call_with("GET", &target, "-", headers, "").await;
                times.push(begun.elapsed().as_secs_f64() * 1e3);
                let page: Value = serde_json::from_slice(&answer.body).unwrap();
                let found = page["attempts"].as_array().unwrap().len();
                let expected = match name {
                    "by order" => PER_ORDER as usize,
                    "parked: none" => 0,
                    "pages of 100" => 100,
                    _ => 20,
                };
                assert_eq!(found, expected, "{target}: {}", answer.status);
            }
            println!("search by {what}, {name}: {}", percentiles(&mut times));
        }
    }
}
