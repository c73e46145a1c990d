//! The links between servers and the database break under load: they fall silent, delay, and cut.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::clients::Answers;
use super::link::{Flow, Link};
use super::{KEYED, LOOK_UP_ONLY, PATIENCE, Place, Plan, SERVERS, rounds};
use crate::http::Answer;
use crate::random::Random;
use crate::server::Server;

/// Payments of a round.
const PAYMENTS: usize = 12;
/// In which time the payments of a round begin, in milliseconds.
const WITHIN_MS: u64 = 5_000;
/// After this time of a round no link breaks any more.
const BREAKS_FOR: Duration = Duration::from_secs(10);

fn place(latency_ms: u64, capabilities: &str) -> Place {
    Place::start(&Plan {
        latency_ms,
        capabilities,
        has_links: true,
        binary: None,
    })
}

/// Breaks a link in any way.
fn break_it(link: &Link, random: &mut Random) {
    let late = |random: &mut Random| Flow::Late(1 + random.below(3_000));
    match random.below(9) {
        0 => link.set(Flow::Silent, Flow::Silent, false),
        1 => link.set(Flow::Silent, Flow::Open, false),
        // The database commits, and its answer does not come.
        2 => link.set(Flow::Open, Flow::Silent, false),
        3 => link.set(Flow::Open, Flow::Lost(0), false),
        4 => link.set(Flow::Open, Flow::Torn, false),
        5 => link.set(Flow::Torn, Flow::Open, false),
        6 => link.set(Flow::Unended, Flow::Open, false),
        7 => link.set(late(random), late(random), false),
        _ => {
            link.reset();
            link.set(Flow::Open, Flow::Open, true);
        }
    }
}

/// Breaks a link and mends it, again and again. Gives how often it was broken while clients were at work.
fn break_and_mend(link: &Link, is_over: &AtomicBool, mut random: Random) -> usize {
    let begun = Instant::now();
    let goes_on = || !is_over.load(Ordering::Acquire) && begun.elapsed() < BREAKS_FOR;
    let rest = |ms: u64| {
        let until = Instant::now() + Duration::from_millis(ms);
        while goes_on() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
    };
    let mut breaks = 0;
    while goes_on() {
        rest(random.below(800));
        if !goes_on() {
            break;
        }
        break_it(link, &mut random);
        breaks += 1;
        // Longer than a statement may take, or shorter.
        rest(match random.below(5) {
            0 => 5_200 + random.below(2_000),
            _ => 50 + random.below(1_500),
        });
        if random.below(2) == 0 {
            link.reset();
        }
        link.mend();
    }
    breaks
}

/// Two clients a payment, at any servers. Meanwhile each link breaks, and servers and the database are killed as well if `kills` says
/// so.
fn round(place: &Arc<Place>, round: usize, seed: u64, kills: bool, breaks: &AtomicUsize) -> Answers {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (nth, link) in place.links.iter().enumerate() {
            let random = Random(seed ^ (nth as u64 + 1) << 32);
            let is_over = &is_over;
            scope.spawn(move || {
                breaks.fetch_add(break_and_mend(link, is_over, random), Ordering::AcqRel);
            });
        }
        if kills {
            scope.spawn(|| {
                let mut random = Random(seed ^ 1 << 40);
                for kills in 0..3 {
                    thread::sleep(Duration::from_millis(500 + random.below(1_500)));
                    place.kill_one(kills, round, &mut random);
                }
            });
        }
        let answers = place
            .clients(&format!("p{round}"), PAYMENTS, WITHIN_MS, seed)
            .answers();
        is_over.store(true, Ordering::Release);
        answers
    })
}

/// Rounds, and what must hold after them.
fn chaos(place: &Arc<Place>, kills: bool, default_rounds: usize) {
    let seed = Random::seed();
    let (mut all, breaks) = (BTreeMap::new(), AtomicUsize::new(0));
    let rounds = rounds(default_rounds);
    eprintln!("PAY_ONCE_TEST_SEED={seed}");
    for nth in 0..rounds {
        let begun = Instant::now();
        let before = breaks.load(Ordering::Acquire);
        all.extend(round(place, nth, seed ^ (nth as u64) << 8, kills, &breaks));
        eprintln!(
            "round {nth} of {rounds}: {PAYMENTS} payments, {} breaks, {:?}",
            breaks.load(Ordering::Acquire) - before,
            begun.elapsed()
        );
    }
    assert_eq!(all.len(), rounds * PAYMENTS);
    let breaks = breaks.load(Ordering::Acquire);
    assert!(
        breaks >= rounds * SERVERS,
        "{breaks} breaks in {rounds} rounds met clients at work"
    );
    (0..SERVERS).for_each(|server| place.is_ready_when(server, true));
    place.was_paid_once(all);
    place.hear_of_each_other();
}

impl Place {
    /// A request that waits at one server is answered with what another one does.
    fn hear_of_each_other(&self) {
        for works in 0..SERVERS {
            let waits = (works + 1) % SERVERS;
            let key = format!("heard-{works}");
            self.until_served(works, &key, 0);
            // Without a word of the other server it would be told 202 after this time.
            let ended = self.until_served(waits, &key, 25);
            assert_eq!(ended.status, 200, "{ended:?}");
        }
    }

    /// Asks one server until it answers. It may refuse for some seconds after a statement that was not answered.
    fn until_served(&self, server: usize, key: &str, wait_s: u64) -> Answer {
        let body = json!({"order_id": key, "amount": 2599, "currency": "GBP"});
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.post(server, "/charge", key, wait_s, &body).unwrap();
            if [200, 202].contains(&answer.status) {
                return answer;
            }
            assert!(Instant::now() < until, "{answer:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn pids(&self) -> Vec<u32> {
        let pid = |server: &Mutex<Server>| {
            let mut server = server.lock().unwrap();
            assert!(!server.ended_within(Duration::ZERO), "{}", server.output());
            server.pid()
        };
        self.servers.iter().map(pid).collect()
    }
}

/// Partitions alone end no server: the processes at the end are those of the beginning.
#[test]
fn links_break_and_no_server_ends() {
    let place = Arc::new(place(200, LOOK_UP_ONLY));
    let pids = place.pids();
    chaos(&place, false, 2);
    assert_eq!(place.pids(), pids);
}

/// A server that is started behind a broken link asks its supervisor for another start.
#[test]
fn links_break_while_servers_and_the_database_die() {
    let place = Arc::new(place(200, KEYED));
    chaos(&place, true, 2);
}
