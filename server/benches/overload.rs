//! Twice as much as there is room for: `cargo bench -p pay-once --bench overload [-- CLIENTS SECONDS]`.
//!
//! First the capacity: charges as fast as they go, 64 at a time, of which those answered for good are counted. Then clients send
//! charges at twice that rate, each on a connection of its own. Figures for people: what was answered for good a second (the aim is
//! 90 % of the capacity), how long accepted charges took (the aim is 200 ms at p99), and how soon the others were refused (50 ms).
//! Server, PSP and this generator share the machine, so that the generator takes its part of the capacity.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

mod support;
use support::{CHARGE, Client, Server, join_all, percentiles};

/// How many charges are under way at a time while the capacity is measured.
const IN_FLIGHT: usize = 64;

/// How long each answer of a status took, in milliseconds.
type Took = BTreeMap<u16, Vec<f64>>;

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let clients = numbers.first().copied().unwrap_or(3_000);
    let length = Duration::from_secs(numbers.get(1).copied().unwrap_or(15));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let capacity = runtime.block_on(async {
        let server = quiet_server().await;
        let (took, seconds) = charges(&server, IN_FLIGHT, length, None).await;
        report("capacity", took, seconds)
    });
    runtime.block_on(async {
        let server = quiet_server().await;
        let rate = capacity * 2.0;
        let (took, seconds) = charges(&server, clients as usize, length, Some(rate)).await;
        let final_per_s = report(
            &format!("{clients} clients at {rate:.0} charges/s"),
            took,
            seconds,
        );
        println!(
            "  answered for good: {:.0} % of the capacity",
            final_per_s / capacity * 100.0
        );
        let status = Client::connect(&server.operators)
            .await
            .call("GET", "/status", "-", "")
            .await;
        let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
        println!("  {}", status["bounds"]);
    });
}

/// A PSP of 0 ms that sends no webhooks: each would be one more request to answer.
async fn quiet_server() -> Server {
    let server = Server::start("0..0");
    let dials = r#"{"webhooks_enabled": false}"#;
    let turned = Client::connect(&server.sandbox)
        .await
        .call("PUT", "/dials", "-", dials)
        .await;
    assert_eq!(turned.status, 200);
    server
}

/// Charges for a while: one after the other on each connection, or at so many a second over all of them.
async fn charges(server: &Server, connections: usize, length: Duration, rate: Option<f64>) -> (Took, f64) {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(&server.address).await);
    }
    let begin = Instant::now();
    let next = Rc::new(Cell::new(0u64));
    let workers = clients.into_iter().map(|mut client| {
        let next = Rc::clone(&next);
        async move {
            let mut took = Took::new();
            loop {
                let nth = next.get();
                next.set(nth + 1);
                // A charge whose connection was late is sent late, and timed from its sending.
                let at = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(nth as f64 / rate));
                if begin.elapsed().max(at) >= length {
                    return took;
                }
                tokio::time::sleep_until((begin + at).into()).await;
                let sent = Instant::now();
                let answer = client.call("POST", "/charge", &format!("c{nth}"), CHARGE).await;
                assert!(!answer.replayed, "each has a key of its own");
                took.entry(answer.status)
                    .or_default()
                    .push(sent.elapsed().as_secs_f64() * 1e3);
            }
        }
    });
    let mut all = Took::new();
    for took in join_all(workers).await {
        for (status, took) in took {
            all.entry(status).or_default().extend(took);
        }
    }
    (all, begin.elapsed().as_secs_f64())
}

/// Prints what was answered; returns how many were answered for good a second.
fn report(what: &str, took: Took, seconds: f64) -> f64 {
    println!("{what}, {seconds:.0} s");
    let mut final_per_s = 0.0;
    for (status, mut took) in took {
        let per_s = took.len() as f64 / seconds;
        println!("  {status}: {per_s:>6.0}/s  {}", percentiles(&mut took));
        if status == 200 {
            final_per_s = per_s;
        }
    }
    final_per_s
}
