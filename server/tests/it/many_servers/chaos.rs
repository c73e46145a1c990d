//! Servers are killed under load, and so is the database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::clients::Answers;
use super::{KEYED, LOOK_UP_ONLY, PATIENCE, Place, SERVERS, place, rounds};
use crate::random::Random;

/// Payments of a round.
const PAYMENTS: usize = 12;

impl Place {
    /// Kills a server, or in every second round once the database, and starts it again.
    pub(super) fn kill_one(&self, kills: usize, round: usize, random: &mut Random) {
        if kills == 0 && round % 2 == 1 {
            let mut cluster = self.cluster.lock().unwrap();
            cluster.stop("-QUIT");
            thread::sleep(Duration::from_millis(random.below(300)));
            cluster.run();
        } else {
            let server = usize::try_from(random.below(SERVERS as u64)).unwrap();
            let mut server = self.servers[server].lock().unwrap();
            server.kill();
            server.supervised_restart(PATIENCE);
        }
    }
}

/// Two clients a payment, at any servers. Meanwhile servers are killed, and the database.
fn round(place: &Arc<Place>, round: usize, seed: u64, met: &AtomicUsize) -> Answers {
    let is_over = Arc::new(AtomicBool::new(false));
    let chaos = {
        let (place, is_over) = (Arc::clone(place), Arc::clone(&is_over));
        let mut random = Random(seed);
        thread::spawn(move || {
            let (mut kills, mut met) = (0, 0);
            while !is_over.load(Ordering::Acquire) || kills == 0 {
                thread::sleep(Duration::from_millis(20 + random.below(200)));
                met += usize::from(kills < 3 && !is_over.load(Ordering::Acquire));
                if kills < 3 {
                    place.kill_one(kills, round, &mut random);
                }
                kills += 1;
            }
            met
        })
    };
    let answers = place.clients(&format!("r{round}"), PAYMENTS, 300, seed).answers();
    is_over.store(true, Ordering::Release);
    met.fetch_add(chaos.join().unwrap(), Ordering::AcqRel);
    answers
}

fn chaos(capabilities: &str) {
    let place = Arc::new(place(40, capabilities));
    let mut all = BTreeMap::new();
    let (rounds, met) = (rounds(8), AtomicUsize::new(0));
    for nth in 0..rounds {
        let begun = Instant::now();
        all.extend(round(&place, nth, 0x5eed ^ (nth as u64) << 8, &met));
        eprintln!(
            "round {nth} of {rounds}: {PAYMENTS} payments, {:?}",
            begun.elapsed()
        );
    }
    assert_eq!(all.len(), rounds * PAYMENTS);
    let met = met.load(Ordering::Acquire);
    assert!(
        met >= rounds,
        "{met} kills in {rounds} rounds met clients at work"
    );
    place.was_paid_once(all);
}

#[test]
fn servers_and_the_database_die_and_each_payment_is_made_once() {
    chaos(KEYED);
}

#[test]
fn the_same_without_keys() {
    chaos(LOOK_UP_ONLY);
}
