//! One merchant's PSP hangs: `cargo bench -p pay-once --bench isolation [-- SECONDS]`.
//!
//! Merchant B pays at a PSP that answers after 20 ms, 50 payments a second: first alone, then while merchant A sends 50 payments a second to a
//! PSP that never answers, and then alone again. The server has 1,024 file descriptors. Figures for people: how long B's payments took.
//! The aim is that all of B's payments are answered for good, with a p99 within 1.5 times of what it is alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use pay_once_core::key_digest;
use serde_json::json;

mod support;
use support::{CHARGE, Client, Server, join_all, percentiles};

const RATE: f64 = 50.0;
/// Connections of each merchant: at 50 payments a second and an answer after 150 ms at the latest, eight are in use at a time.
const CONNECTIONS: usize = 32;
const PSP_MS: u64 = 20;
/// Variable with the API key for both PSPs, which do not look at it.
const PSP_KEY: &str = "PATH";

fn main() {
    let seconds = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(20);
    let length = Duration::from_secs(seconds);
    let (hangs, answers) = (psp(false), psp(true));
    let config = std::env::temp_dir().join(format!("pay-once-isolation-{}.toml", std::process::id()));
    std::fs::write(&config, document(&hangs, &answers)).unwrap();
    let server = Server::configured("ulimit -n 1024; exec \"$0\" \"$@\"", &config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let phase = |name: &str, merchants: &[&'static str]| {
        runtime.block_on(async {
            let begin = Instant::now();
            let all = merchants.iter().flat_map(|merchant| {
                (0..CONNECTIONS).map(|nth| {
                    pay(
                        server.address.clone(),
                        merchant,
                        name.to_owned(),
                        nth,
                        begin,
                        length,
                    )
                })
            });
            let mut took: BTreeMap<(&str, u16), Vec<f64>> = BTreeMap::new();
            for (merchant, status, ms) in join_all(all.collect::<Vec<_>>().into_iter())
                .await
                .into_iter()
                .flatten()
            {
                took.entry((merchant, status)).or_default().push(ms);
            }
            println!("{name}, {} s", length.as_secs());
            for ((merchant, status), took) in &mut took {
                println!("  {merchant} {status}: {:>5}  {}", took.len(), percentiles(took));
            }
            let of_b = took.keys().filter(|(merchant, _)| *merchant == "b");
            assert_eq!(
                of_b.map(|(_, status)| *status).collect::<Vec<_>>(),
                [200],
                "all of b's are paid"
            );
            let paid = &took[&("b", 200)];
            paid[(paid.len() - 1) * 99 / 100]
        })
    };
    let before = phase("b alone", &["b"]);
    let beside = phase("b beside a", &["a", "b"]);
    let after = phase("b alone again", &["b"]);
    println!(
        "p99 of b beside a over p99 alone: {:.2} (before), {:.2} (after)",
        beside / before,
        beside / after
    );
    let _ = std::fs::remove_file(config);
}

/// One connection's share of a merchant's payments: merchant, status, milliseconds.
async fn pay(
    address: String,
    merchant: &'static str,
    phase: String,
    nth: usize,
    begin: Instant,
    length: Duration,
) -> Vec<(&'static str, u16, f64)> {
    let mut client = Client::connect(&address).await;
    let headers = format!("Authorization: Bearer key-of-{merchant}\r\n");
    let mut told = Vec::new();
    for turn in 0.. {
        let number = turn * CONNECTIONS + nth;
        let at = Duration::from_secs_f64(number as f64 / RATE);
        if at >= length {
            break;
        }
        tokio::time::sleep_until((begin + at).into()).await;
        let sent = Instant::now();
        let key = format!("{phase}-{merchant}-{number}").replace(' ', "-");
        let answer = client.call_with("POST", "/charge", &key, &headers, CHARGE).await;
        told.push((merchant, answer.status, sent.elapsed().as_secs_f64() * 1e3));
    }
    told
}

/// A PSP on a port of its own that approves everything after a while, or takes requests and never answers.
fn psp(answers: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let (mut bytes, mut chunk, mut nth) = (Vec::new(), [0; 4096], 0);
                while let Ok(read @ 1..) = stream.read(&mut chunk) {
                    bytes.extend_from_slice(&chunk[..read]);
                    let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else {
                        continue;
                    };
                    let length = head
                        .lines()
                        .find_map(|line| line.strip_prefix("content-length: "));
                    let length: usize = length.map_or(0, |length| length.parse().unwrap());
                    if body.len() < length || !answers {
                        continue;
                    }
                    bytes.clear();
                    thread::sleep(Duration::from_millis(PSP_MS));
                    nth += 1;
                    let reference = format!("{}_{nth}", stream.peer_addr().unwrap().port());
                    let body = json!({"status": "approved", "psp_reference": reference}).to_string();
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    if stream.write_all((head + &body).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn document(hangs: &str, answers: &str) -> String {
    let merchant = |name: &str, psp: &str| {
        let digest: String = key_digest(&format!("key-of-{name}"))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!(
            r#"
            [merchants.{name}]
            api_key_sha256 = ["{digest}"]
            psp = "{name}"
            [psps.{name}]
            face = "acquirer"
            base_url = "http://{psp}"
            api_key_env = "{PSP_KEY}"
            keyed_horizon_ms = 86_400_000
            "#
        )
    };
    merchant("a", hangs) + &merchant("b", answers)
}
