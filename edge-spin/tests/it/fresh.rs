//! What the first request of a fresh instance takes, over that of a component with nothing in it but Spin's stores: both read one
//! row, by the same host program, in the same run, in turns; medians are compared. What else the machine does may spoil a round, so one
//! of several has to be good; a component that is too slow has none. `edge-spin/test` runs it alone.

use std::thread;
use std::time::{Duration, Instant};

use pay_once_suite::loopback::free_address;
use serde_json::Value;

use crate::world::{Mode, World, artifact, ask};

/// Longer than the host keeps an instance that nobody asks anything (1 s).
const UNTIL_IT_IS_GONE: Duration = Duration::from_millis(1_300);
const TURNS: usize = 5;
const ROUNDS: usize = 4;
/// What must never be: a component that has grown out of all measure. The figure itself, about 2, is printed and in README.
const RATIO_MAX: f64 = 5.0;

/// How long one request takes.
fn took(address: &str, target: &str, status: u16) -> Duration {
    let start = Instant::now();
    let answer = ask(address, "GET", target, &[], &Value::Null).unwrap();
    let took = start.elapsed();
    assert_eq!(answer.status, status, "{answer:?}");
    took
}

/// The middle one.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

#[test]
#[ignore = "alone on the machine: edge-spin/test runs it by itself"]
fn the_first_request_of_a_fresh_instance_is_of_the_order_of_an_empty_ones() {
    let (ours, bare) = (World::new(Mode::Sqlite), World::new(Mode::Sqlite));
    let our_host = ours.host();
    let bare_host = bare.host_of(&artifact("PAY_ONCE_SPIN_BARE"), free_address().unwrap());
    let nobodys = "/attempts/pa_00000000000000000000000000";
    // The table, and whatever the first request of a process brings about.
    ask(&bare_host.address, "POST", "/insert/k", &[], &Value::Null).unwrap();
    took(&our_host.address, nobodys, 404);
    let round = || {
        let (mut ours, mut empty) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            thread::sleep(UNTIL_IT_IS_GONE);
            ours.push(took(&our_host.address, nobodys, 404));
            empty.push(took(&bare_host.address, "/read/k", 200));
        }
        let ratio = median(ours.clone()) / median(empty.clone());
        println!("ours {ours:?}, empty {empty:?}: {ratio:.2}");
        ratio
    };
    assert!((0..ROUNDS).any(|_| round() <= RATIO_MAX), "no round was good");
}
