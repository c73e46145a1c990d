//! `kill -9` at random moments under load: nothing acknowledged is lost, and the money moved once (`docs/faults.md`).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{self, Answer};
use crate::oracle::{agree, is_settled};
use crate::random::Random;
use crate::server::{Server, bytes, ledger};

/// Clients at the same time.
const CLIENTS: u64 = 6;
/// Payments that one client has open at the same time.
const OPEN_MAX: usize = 40;
/// How long everything may take to settle after the last crash.
const SETTLE: Duration = Duration::from_secs(40);

/// A request that a client repeats until its answer is final.
#[derive(Clone, Debug)]
struct Ask {
    target: String,
    key: String,
    body: Value,
}

/// A payment as its client sees it.
struct Payment {
    id: Option<String>,
    /// What is asked next, first at the end.
    asks: Vec<Ask>,
    /// What follows the creation: operation and body, first at the end.
    operations: Vec<(&'static str, Value)>,
    /// After a 202 there is no point in asking again at once.
    not_before: Instant,
}

/// What clients were told, for good: status and body, by target and key.
type Told = BTreeMap<(String, String), (Value, u16, Vec<u8>)>;

/// What all clients share.
struct World {
    address: String,
    told: Mutex<Told>,
    attempts: Mutex<Vec<String>>,
    stop: AtomicBool,
    answers: AtomicU64,
}

impl World {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            told: Mutex::default(),
            attempts: Mutex::default(),
            stop: AtomicBool::new(false),
            answers: AtomicU64::new(0),
        }
    }

    /// Asks once. A final answer is kept, and must be the one that anybody got before.
    fn ask(&self, ask: &Ask) -> Option<Answer> {
        let headers = [("Idempotency-Key", ask.key.as_str())];
        let answer = http::send(&self.address, "POST", &ask.target, &headers, &bytes(&ask.body)).ok()?;
        self.answers.fetch_add(1, Ordering::Relaxed);
        match answer.status {
            202 | 503 => return None,
            200 | 201 | 402 => {}
            _ => panic!("{ask:?}: {answer:?}"),
        }
        let place = (ask.target.clone(), ask.key.clone());
        let mut told = self.told.lock().unwrap();
        if let Some((_, _, body)) = told.get(&place) {
            assert_eq!(&answer.body, body, "{ask:?} was answered otherwise before");
            assert!(answer.is_replayed(), "{ask:?}: {answer:?}");
        } else {
            told.insert(place, (ask.body.clone(), answer.status, answer.body.clone()));
        }
        Some(answer)
    }

    /// One client: keeps some payments open and takes one step on one of them at a time.
    fn client(&self, seed: u64, number: u64) {
        let mut random = Random(seed ^ (number << 32));
        let mut open: Vec<Payment> = Vec::new();
        let mut serial = 0;
        let mut until = None;
        loop {
            let stopping = self.stop.load(Ordering::Relaxed);
            if stopping && open.is_empty() {
                return;
            }
            if stopping && Instant::now() > *until.get_or_insert_with(|| Instant::now() + SETTLE) {
                let left: Vec<_> = open.iter().map(|payment| payment.asks.last()).collect();
                panic!("without an end: {left:#?}");
            }
            open.retain(|payment| !payment.asks.is_empty());
            let now = Instant::now();
            let ready: Vec<usize> = (0..open.len()).filter(|at| open[*at].not_before <= now).collect();
            if !stopping && open.len() < OPEN_MAX && ready.len() < 3 {
                open.push(payment(&mut random, number, serial));
                serial += 1;
                continue;
            }
            if ready.is_empty() {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            let at = ready[random.below(ready.len() as u64) as usize];
            let Some(ask) = open[at].asks.last().cloned() else {
                continue;
            };
            let Some(answer) = self.ask(&ask) else {
                // Not final, or nobody there.
                open[at].not_before = now + Duration::from_millis(50 + random.below(300));
                continue;
            };
            self.advance(&mut open[at], &answer);
            // Now and then somebody asks again though it was told.
            if random.below(4) == 0 {
                self.ask(&ask);
            }
        }
    }

    fn advance(&self, payment: &mut Payment, answer: &Answer) {
        payment.asks.pop();
        let told = answer.json();
        let attempt = told.get("error").map_or(&told, |error| &error["attempt"]);
        let id = attempt["attempt_id"].as_str().unwrap().to_owned();
        if payment.id.is_none() {
            self.attempts.lock().unwrap().push(id.clone());
            payment.id = Some(id.clone());
        }
        if answer.status == 402 {
            return;
        }
        if let Some((operation, body)) = payment.operations.pop() {
            payment.asks.push(Ask {
                target: format!("/attempts/{id}/{operation}"),
                key: operation.to_owned(),
                body,
            });
        }
    }
}

fn payment(random: &mut Random, client: u64, serial: u64) -> Payment {
    let token = if random.below(8) == 0 {
        "pm_card_chargeDeclined"
    } else {
        "pm_card_visa"
    };
    let key = format!("client-{client}-{serial}");
    let amount = 100 + random.below(9_000);
    let body = json!({"order_id": key, "amount": amount, "currency": "GBP", "payment_method": token});
    let (target, mut operations) = match random.below(6) {
        0 | 1 => ("/charge", vec![]),
        2 => (
            "/attempts",
            vec![("authorize", Value::Null), ("void", Value::Null)],
        ),
        3 => ("/attempts", vec![("authorize", Value::Null)]),
        4 => (
            "/attempts",
            vec![
                ("authorize", Value::Null),
                ("capture", json!({"amount": amount - 50})),
            ],
        ),
        _ => (
            "/attempts",
            vec![("authorize", Value::Null), ("capture", Value::Null)],
        ),
    };
    operations.reverse();
    let ask = Ask {
        target: target.to_owned(),
        key,
        body,
    };
    Payment {
        id: None,
        asks: vec![ask],
        operations,
        not_before: Instant::now(),
    }
}

/// `kill -9` at a random moment, and up again.
pub(crate) fn kill(server: &mut Server, random: &mut Random) {
    thread::sleep(Duration::from_millis(20 + random.below(300)));
    server.kill();
    server.restart();
}

/// Load, strokes of fate, calm, and then the reckoning.
pub(crate) fn crashes(
    server: &mut Server,
    sandbox: &str,
    seed: u64,
    rounds: u64,
    mut strike: impl FnMut(&mut Server, &mut Random),
    calm: impl Fn(),
) {
    let world = World::new(&server.address);
    let mut random = Random(seed);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let world = &world;
                scope.spawn(move || world.client(seed, number))
            })
            .collect();
        for _ in 0..rounds {
            strike(server, &mut random);
        }
        calm();
        world.stop.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().is_ok(), "seed {seed}");
        }
    });
    server.kill();
    server.restart();
    let told = world.told.into_inner().unwrap();
    let attempts = world.attempts.into_inner().unwrap();
    assert!(
        attempts.len() as u64 > rounds,
        "too little load: {} payments",
        attempts.len()
    );
    reckon(server, sandbox, &told, &attempts).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    println!(
        "seed {seed}: {} crashes, {} payments, {} answers",
        rounds + 1,
        attempts.len(),
        world.answers.into_inner()
    );
}

/// Nothing acknowledged is lost; every attempt agrees with the ledger; the ledger knows no other attempt.
fn reckon(server: &Server, sandbox: &str, told: &Told, attempts: &[String]) -> Result<(), String> {
    for ((target, key), (body, status, bytes)) in told {
        let again = server.post(target, key, body);
        let expected = if *status == 201 { 200 } else { *status };
        if (again.status, again.is_replayed(), &again.body) != (expected, true, bytes) {
            let was = String::from_utf8_lossy(bytes);
            return Err(format!(
                "{target} under {key} was told {status} {was}, now {again:?}"
            ));
        }
    }
    for id in attempts {
        let attempt = server.until(id, SETTLE, is_settled);
        let ledger = ledger(sandbox, id);
        let why = match agree(&attempt, &ledger) {
            Err(why) => why,
            Ok(()) if ledger["authorizations"].as_u64() > Some(1) => "authorized more than once".to_owned(),
            Ok(()) => continue,
        };
        return Err(format!("{why}\nattempt: {attempt:#}\nledger: {ledger:#}"));
    }
    let whole = http::send(sandbox, "GET", "/ledger", &[], b"").unwrap().json();
    let stranger = whole
        .as_object()
        .unwrap()
        .keys()
        .find(|id| !attempts.contains(id));
    match stranger {
        Some(id) => Err(format!("the ledger has {id}, which nobody asked for")),
        None => Ok(()),
    }
}

fn crash_class(class: &str, rounds: u64) {
    let seed = Random::seed();
    let mut server = Server::start(&[
        "--sandbox-psp",
        class,
        "--sandbox-latency-ms",
        "5..60",
        "--log",
        "error",
    ]);
    let sandbox = server.sandbox.clone();
    crashes(&mut server, &sandbox, seed, rounds, kill, || {});
}

#[test]
fn thirty_crashes_with_stripe() {
    crash_class("stripe", 30);
}

#[test]
fn crashes_with_a_prepared_object() {
    crash_class("stripe-prepared", 8);
}

#[test]
fn crashes_without_keys() {
    crash_class("acquirer-queryable", 8);
}

#[test]
fn crashes_with_keys_alone() {
    crash_class("acquirer-keyed", 8);
}
