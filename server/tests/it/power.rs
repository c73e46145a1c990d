//! Power cuts, and a disk that fails (`docs/faults.md`): what was acknowledged is durable, or the answer was not given. The
//! server runs over a disk that keeps no promise but a sync's (`tests/shim/power.c`, preloaded): when the power goes, each sector
//! that was written since is there or is not, by lot.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use pay_once_sandbox::{Dials, RangeMs};

use crate::crash::crashes;
use crate::outside::{Outside, place};
use crate::random::Random;
use crate::server::{Dir, Server};

/// How long a cut is waited for; after that the server has nothing to write, and is killed.
const CUT_LIMIT: Duration = Duration::from_secs(4);
const CLASS: &str = "keyed_horizon_ms = 86_400_000\naddressable = true\nlookup_lag_ms = 500";

/// The disk's shim, compiled once.
pub(crate) fn shim() -> &'static str {
    static SHIM: OnceLock<&str> = OnceLock::new();
    SHIM.get_or_init(|| compiled("power"))
}

/// A shim of `tests/shim`, compiled once for all tests of this process.
pub(crate) fn compiled(name: &str) -> &'static str {
    static DIR: OnceLock<Dir> = OnceLock::new();
    static SHIMS: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());
    let mut shims = SHIMS.lock().unwrap();
    if let Some(path) = shims.get(name) {
        return path;
    }
    let dir = DIR.get_or_init(Dir::new);
    let path = dir.path().join(format!("{name}.so")).to_str().unwrap().to_owned();
    let source = format!("{}/tests/shim/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let status = Command::new("cc")
        .args([
            "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", &path, &source,
        ])
        .status()
        .unwrap();
    assert!(status.success());
    let path: &'static str = path.leak();
    shims.insert(name.to_owned(), path);
    path
}

/// A server on that disk, its PSP, and where orders for the disk go.
struct Place {
    server: Server,
    psp: Outside,
    orders: Dir,
    _config: Dir,
}

fn on_that_disk() -> Place {
    let orders = Dir::new();
    let dials = Dials {
        latency_ms: RangeMs { min: 0, max: 5 },
        ..Dials::default()
    };
    let environment = [
        ("LD_PRELOAD", shim()),
        ("POWER_DIR", orders.path().to_str().unwrap()),
    ];
    let (server, psp, config) = place("stripe", CLASS, dials, &environment);
    Place {
        server,
        psp,
        orders,
        _config: config,
    }
}

pub(crate) fn order(orders: &Dir, order: &str) {
    // Whole or not at all: the disk looks for it all the time.
    let (draft, path): (PathBuf, PathBuf) = (orders.path().join("draft"), orders.path().join("arm"));
    fs::write(&draft, order).unwrap();
    fs::rename(draft, path).unwrap();
}

/// What the disk did: the numbers of its reports, by their names.
pub(crate) fn reports(orders: &Dir, what: &str) -> Vec<Vec<u64>> {
    let text = fs::read_to_string(orders.path().join("report")).unwrap_or_default();
    assert!(!text.contains("full"), "the disk's memory is too short");
    let of = |line: &str| line.split(' ').filter_map(|word| word.parse().ok()).collect();
    text.lines()
        .filter(|line| line.starts_with(what))
        .map(of)
        .collect()
}

#[test]
fn power_cuts_lose_nothing_that_was_acknowledged() {
    let seed = Random::seed();
    let mut place = on_that_disk();
    let orders = &place.orders;
    let strike = |server: &mut Server, random: &mut Random| {
        // Few calls strike a commit; many, a checkpoint.
        let calls = if random.below(4) == 0 { 4_000 } else { 200 };
        order(
            orders,
            &format!("cut {} {}", 1 + random.below(calls), random.below(1 << 30)),
        );
        if !server.ended_within(CUT_LIMIT) {
            server.kill();
        }
        // Orders that nobody took were for that life.
        let _ = fs::remove_file(orders.path().join("arm"));
        server.restart();
    };
    crashes(&mut place.server, &place.psp.address, seed, 24, strike, || {});
    let cuts = reports(&place.orders, "cut");
    let sum = |at: usize| cuts.iter().map(|cut| cut[at]).sum::<u64>();
    println!(
        "{} cuts: {} unsynced writes, {} of them to the main file, {} sectors kept, {} lost",
        cuts.len(),
        sum(0),
        sum(1),
        sum(2),
        sum(3)
    );
    assert!(cuts.len() >= 20, "seed {seed}: {cuts:?}");
    assert!(
        sum(2) > 20 && sum(3) > 20,
        "seed {seed}: hardly anything was torn: {cuts:?}"
    );
}

/// The same disk, when it says that it has synced and has not: what was acknowledged is gone, and that shows. So the test
/// above rests on the syncs, and would fail without them.
#[test]
fn a_disk_that_lies_about_its_syncs_loses_what_was_acknowledged() {
    let mut place = on_that_disk();
    let before = place.server.create("before", "pm_card_visa");
    // So many writes and syncs that those which come with time alone, on a slow machine, leave enough for requests.
    order(&place.orders, "liar 600 7");
    let mut told = Vec::new();
    for n in 0.. {
        let body = serde_json::json!({"order_id": "o", "amount": 1, "currency": "GBP"});
        let headers = [("Idempotency-Key", &*format!("liar-{n}"))];
        let body = body.to_string();
        match crate::http::send(
            &place.server.address,
            "POST",
            "/attempts",
            &headers,
            body.as_bytes(),
        ) {
            Ok(answer) if answer.status == 201 => {
                told.push(answer.json()["attempt_id"].as_str().unwrap().to_owned());
            }
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => break,
        }
        assert!(n < 1_000, "the power stays");
    }
    assert!(place.server.ended_within(CUT_LIMIT));
    place.server.restart();
    assert_eq!(place.server.get(&format!("/attempts/{before}")).status, 200);
    let lost = told
        .iter()
        .filter(|id| place.server.get(&format!("/attempts/{id}")).status == 404)
        .count();
    assert!(
        told.len() > 10 && lost == told.len(),
        "{lost} of {} lost",
        told.len()
    );
}

#[test]
fn a_disk_that_fails_for_a_while_loses_nothing_that_was_acknowledged() {
    let seed = Random::seed();
    let mut place = on_that_disk();
    let orders = &place.orders;
    let strike = |server: &mut Server, random: &mut Random| {
        order(
            orders,
            &format!("fail {} {}", random.below(100), 1 + random.below(20)),
        );
        let has_ended = server.ended_within(Duration::from_millis(100 + random.below(600)));
        assert!(
            !has_ended,
            "a failing disk is no reason to die: {}",
            server.output()
        );
        if random.below(3) == 0 {
            server.kill();
            let _ = fs::remove_file(orders.path().join("arm"));
            server.restart();
        }
    };
    crashes(&mut place.server, &place.psp.address, seed, 20, strike, || {
        let _ = fs::remove_file(orders.path().join("arm"));
    });
    let failures = reports(orders, "fail").len();
    println!("{failures} calls of the disk failed");
    assert!(failures > 50, "seed {seed}: {failures}");
}
