//! `kill -9` at random moments under load, two host processes over one store: nothing acknowledged is lost, and the money
//! moved once (`docs/faults.md`).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Answer;
use crate::oracle::{agree, is_settled};
use crate::random::Random;
use crate::world::{Mode, World, ask, body};

const ROUNDS: u64 = 20;
const CLIENTS: u64 = 4;
/// How long everything may take to settle after the last crash.
const SETTLE: Duration = Duration::from_secs(40);

/// What clients were told for good: body and answer, by target and key.
type Told = BTreeMap<(String, String), (Value, Vec<u8>)>;

struct Load {
    addresses: Vec<String>,
    told: Mutex<Told>,
    attempts: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Load {
    /// Repeats one request until its answer is final; `None` if load has been stopped for too long.
    fn ask(&self, random: &mut Random, target: &str, key: &str, sent: &Value) -> Option<Answer> {
        let mut until = None;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                assert!(
                    Instant::now() < *until.get_or_insert(Instant::now() + SETTLE),
                    "{target} {key}: no end"
                );
            }
            let address = &self.addresses[random.below(self.addresses.len() as u64) as usize];
            let headers = [("Idempotency-Key", key), ("Prefer", "wait=1")];
            match ask(address, "POST", target, &headers, sent) {
                Ok(answer) if matches!(answer.status, 200 | 201 | 402) => {
                    let place = (target.to_owned(), key.to_owned());
                    let mut told = self.told.lock().unwrap();
                    let (_, before) = told.entry(place).or_insert((sent.clone(), answer.body.clone()));
                    assert_eq!(
                        &answer.body, before,
                        "{target} {key} was answered otherwise before"
                    );
                    return Some(answer);
                }
                Ok(answer) => assert!(
                    matches!(answer.status, 202 | 500 | 503),
                    "{target} {key}: {answer:?}"
                ),
                // Nobody there, or cut off.
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn client(&self, seed: u64, number: u64) {
        let mut random = Random(seed ^ (number << 32));
        let mut serial = 0;
        while !self.stop.load(Ordering::Relaxed) {
            serial += 1;
            let key = format!("client-{number}-{serial}");
            let token = if random.below(8) == 0 {
                "pm_card_chargeDeclined"
            } else {
                "pm_card_visa"
            };
            let charges = random.below(3) == 0;
            let target = if charges { "/charge" } else { "/attempts" };
            let Some(first) = self.ask(&mut random, target, &key, &body(&key, token)) else {
                return;
            };
            let told = first.json();
            let attempt = told.get("error").map_or(&told, |error| &error["attempt"]);
            let id = attempt["attempt_id"].as_str().unwrap().to_owned();
            self.attempts.lock().unwrap().push(id.clone());
            let mut operations = if charges {
                vec![]
            } else {
                vec!["authorize", "capture"]
            };
            if random.below(4) == 0 && !charges {
                operations = vec!["authorize", "void"];
            }
            for operation in operations {
                let target = format!("/attempts/{id}/{operation}");
                match self.ask(&mut random, &target, operation, &Value::Null) {
                    Some(answer) if answer.status == 200 => {}
                    _ => break,
                }
            }
        }
    }
}

fn crashes(mode: Mode) {
    let seed = Random::seed();
    println!("PAY_ONCE_TEST_SEED={seed}");
    let world = World::new(mode);
    world.turn(&json!({"latency_ms": {"min": 0, "max": 120}}));
    let mut hosts = [world.host(), world.host()];
    let load = Load {
        addresses: hosts.iter().map(|host| host.address.clone()).collect(),
        told: Mutex::default(),
        attempts: Mutex::default(),
        stop: AtomicBool::new(false),
    };
    let mut random = Random(seed);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let load = &load;
                scope.spawn(move || load.client(seed, number))
            })
            .collect();
        for round in 0..ROUNDS {
            thread::sleep(Duration::from_millis(200 + random.below(500)));
            let host = &mut hosts[(round % 2) as usize];
            host.kill();
            host.restart();
        }
        load.stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
    });
    reckon(&world, &load, seed);
}

/// Nothing that was acknowledged is lost, and the ledger agrees with every attempt.
fn reckon(world: &World, load: &Load, seed: u64) {
    let (told, attempts) = (load.told.lock().unwrap(), load.attempts.lock().unwrap());
    println!("{} payments, {} final answers", attempts.len(), told.len());
    assert!(
        attempts.len() > ROUNDS as usize,
        "hardly any load: {}",
        attempts.len()
    );
    for ((target, key), (sent, before)) in &*told {
        let headers = [("Idempotency-Key", key.as_str())];
        let again = ask(&load.addresses[0], "POST", target, &headers, sent).unwrap();
        assert!(
            again.is_replayed() && &again.body == before,
            "seed {seed}: {target} {key}: {again:?}"
        );
    }
    let until = Instant::now() + SETTLE;
    for id in &*attempts {
        loop {
            let attempt = ask(
                &load.addresses[1],
                "GET",
                &format!("/attempts/{id}"),
                &[],
                &Value::Null,
            )
            .unwrap()
            .json();
            let ledger = world.ledger();
            let untouched = json!({
                "live_authorizations": 0, "captures": 0, "captured_minor": 0, "refunded_minor": 0,
            });
            let row = ledger.get(id).unwrap_or(&untouched);
            if is_settled(&attempt) {
                agree(&attempt, row).unwrap_or_else(|why| panic!("seed {seed}: {why}\n{attempt:#}\n{row:#}"));
                break;
            }
            assert!(Instant::now() < until, "seed {seed}: without an end: {attempt:#}");
            thread::sleep(Duration::from_millis(100));
        }
    }
    // One effect each: nothing in the ledger was done twice.
    for (id, row) in world.ledger().as_object().unwrap() {
        assert!(
            row["authorizations"].as_u64() <= Some(1),
            "seed {seed}: {id}: {row}"
        );
        assert!(row["captures"].as_u64() <= Some(1), "seed {seed}: {id}: {row}");
    }
}

#[test]
fn kill_9_under_load_on_sqlite() {
    crashes(Mode::Sqlite);
}

#[test]
fn kill_9_under_load_on_redis() {
    crashes(Mode::Redis);
}

#[test]
fn kill_9_under_load_on_postgres() {
    crashes(Mode::Postgres);
}
