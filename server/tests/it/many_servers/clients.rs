//! Clients that ask any server until they have a final answer, and what must hold of all that they were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{PATIENCE, Place, SERVERS};
use crate::random::Random;

/// The final answers of payments, by their keys.
pub(super) type Answers = BTreeMap<String, Value>;

impl Place {
    /// Asks one server after the other, as a load balancer does, until one has a final answer.
    pub(super) fn ask(&self, target: &str, key: &str, body: &Value, random: &mut Random) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < until {
            let server = usize::try_from(random.below(SERVERS as u64)).unwrap();
            let answer = self.post(server, target, key, 2, body);
            match answer {
                Some(answer) if [200, 201].contains(&answer.status) => return answer.json(),
                answer => last = answer,
            }
            thread::sleep(Duration::from_millis(20 + random.below(30)));
        }
        panic!("{target} {key}: no final answer; the last one: {last:?}")
    }

    pub(super) fn charge(&self, key: &str, random: &mut Random) -> Value {
        let body = json!({"order_id": key, "amount": 2599, "currency": "GBP"});
        self.ask("/charge", key, &body, random)
    }

    /// One payment: a charge, or a create, an authorize and a capture. Gives the final answer of each step.
    pub(super) fn pay(&self, key: &str, random: &mut Random) -> Value {
        if !key.ends_with("-steps") {
            return json!([self.charge(key, random)]);
        }
        let body = json!({"order_id": key, "amount": 2599, "currency": "GBP"});
        let created = self.ask("/attempts", &format!("{key}-1"), &body, random);
        let id = created["attempt_id"].as_str().unwrap();
        let authorize = format!("/attempts/{id}/authorize");
        let authorized = self.ask(&authorize, &format!("{key}-2"), &Value::Null, random);
        let capture = format!("/attempts/{id}/capture");
        let captured = self.ask(&capture, &format!("{key}-3"), &Value::Null, random);
        json!([created, authorized, captured])
    }

    /// Payments that are each asked for by two clients under the same keys, at any servers. Every third one is paid in steps. They begin
    /// within `within_ms`.
    pub(super) fn clients(
        self: &Arc<Self>,
        name: &str,
        payments: usize,
        within_ms: u64,
        seed: u64,
    ) -> Clients {
        let told: Arc<Mutex<BTreeMap<String, Vec<Value>>>> = Arc::default();
        let threads = (0..2 * payments)
            .map(|nth| {
                let (place, told) = (Arc::clone(self), Arc::clone(&told));
                let steps = if nth / 2 % 3 == 2 { "-steps" } else { "" };
                let key = format!("{name}-{}{steps}", nth / 2);
                let mut random = Random(seed ^ (nth as u64 + 1));
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(random.below(within_ms)));
                    let answer = place.pay(&key, &mut random);
                    told.lock().unwrap().entry(key).or_default().push(answer);
                })
            })
            .collect();
        Clients { threads, told }
    }

    /// Nothing that a client was told is lost, and the PSP's books have one effect for each payment.
    pub(super) fn was_paid_once(&self, answers: Answers) {
        let mut random = Random(7);
        for (key, answer) in answers {
            let last = answer.as_array().unwrap().last().unwrap();
            assert_eq!(last["status"], "CAPTURED", "{key}: {answer:#}");
            let ledger = self.ledger_of(last);
            let effects = ["captures", "captured_minor", "authorizations"].map(|name| ledger[name].clone());
            assert_eq!(effects, [json!(1), json!(2599), json!(1)], "{key}: {ledger:#}");
            let again = self.pay(&key, &mut random);
            assert_eq!(again, answer, "{key}: and so at any time after");
        }
    }
}

/// Clients that pay without a pause until they are stopped. Pairs of them ask for the same payments.
pub(super) struct Load {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    told: Arc<Mutex<Answers>>,
}

impl Load {
    const CLIENTS: usize = 8;

    pub(super) fn start(place: &Arc<Place>) -> Self {
        let (is_over, told) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Answers>>::default());
        let threads = (0..Self::CLIENTS)
            .map(|nth| {
                let (place, is_over, told) = (Arc::clone(place), Arc::clone(&is_over), Arc::clone(&told));
                let mut random = Random(nth as u64);
                thread::spawn(move || {
                    for payment in 0.. {
                        if is_over.load(Ordering::Acquire) {
                            return;
                        }
                        let steps = if payment % 3 == 2 { "-steps" } else { "" };
                        let key = format!("l{}-{payment}{steps}", nth / 2);
                        let answer = place.pay(&key, &mut random);
                        let before = told.lock().unwrap().insert(key.clone(), answer.clone());
                        assert!(
                            before.as_ref().is_none_or(|before| *before == answer),
                            "{key}: both clients are told the same: {before:#?} {answer:#}"
                        );
                    }
                })
            })
            .collect();
        Self {
            is_over,
            threads,
            told,
        }
    }

    /// Waits until so many payments more are made.
    pub(super) fn goes_on(&self, payments: usize) {
        let count = || self.told.lock().unwrap().len();
        let (until, enough) = (Instant::now() + PATIENCE, count() + payments);
        while count() < enough {
            assert!(Instant::now() < until, "{} of {enough} payments", count());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the clients were told.
    pub(super) fn end(self) -> Answers {
        self.is_over.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().unwrap();
        }
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

/// Clients at work.
pub(super) struct Clients {
    threads: Vec<JoinHandle<()>>,
    told: Arc<Mutex<BTreeMap<String, Vec<Value>>>>,
}

impl Clients {
    /// What they were told, once all of them have final answers. Both clients of a payment were told the same.
    pub(super) fn answers(self) -> Answers {
        for thread in self.threads {
            thread.join().unwrap();
        }
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        told.into_iter()
            .map(|(key, answers)| {
                assert!(
                    answers.len() == 2 && answers[0] == answers[1],
                    "{key}: both clients are told the same: {answers:#?}"
                );
                (key, answers[0].clone())
            })
            .collect()
    }
}
