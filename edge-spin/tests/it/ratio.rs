//! Throughput over that of a component that does one bare statement (`../bench`). Ignored otherwise: it is slow, and its
//! figures are for people.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pay_once_suite::loopback::free_address;
use serde_json::Value;

use crate::world::{Mode, World, artifact, ask, body};

const CLIENTS: u64 = 8;
const TURN: Duration = Duration::from_secs(3);
const TURNS: usize = 5;

/// Requests a second over one turn; `send` is given a serial number that never comes again.
fn rate(serial: &AtomicU64, send: impl Fn(u64) + Sync) -> f64 {
    let (start, count) = (Instant::now(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while start.elapsed() < TURN {
                    send(serial.fetch_add(1, Ordering::Relaxed));
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    count.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a benchmark: run ./bench"]
fn ratio_to_a_bare_component() {
    let (ours, bare) = (World::new(Mode::Sqlite), World::new(Mode::Sqlite));
    let our_host = ours.host();
    let bare_host = bare.host_of(&artifact("PAY_ONCE_SPIN_BARE"), free_address().unwrap());
    let serial = AtomicU64::new(0);
    let create = |number: u64, expected: u16| {
        let key = format!("k{number}");
        let sent = body(&key, "pm_card_visa");
        let answer = ask(
            &our_host.address,
            "POST",
            "/attempts",
            &[("Idempotency-Key", &key)],
            &sent,
        )
        .unwrap();
        assert_eq!(answer.status, expected, "{answer:?}");
    };
    let bare = |method: &str, target: &str, number: u64| {
        let answer = ask(
            &bare_host.address,
            method,
            &format!("/{target}/k{number}"),
            &[],
            &Value::Null,
        )
        .unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, b"1".as_slice()),
            "{answer:?}"
        );
    };
    for number in 0..100 {
        create(1_000_000_000 + number, 201);
        bare("POST", "insert", 1_000_000_000 + number);
    }
    println!("requests/s     create  bare insert  ratio   replay  bare read  ratio");
    for _ in 0..TURNS {
        let creates = rate(&serial, |number| create(number, 201));
        let inserts = rate(&serial, |number| bare("POST", "insert", number));
        let replays = rate(&serial, |number| create(1_000_000_000 + number % 100, 200));
        let reads = rate(&serial, |number| {
            bare("GET", "read", 1_000_000_000 + number % 100)
        });
        println!(
            "            {creates:9.0}  {inserts:11.0}  {:5.2}  {replays:7.0}  {reads:9.0}  {:5.2}",
            creates / inserts,
            replays / reads
        );
    }
}
