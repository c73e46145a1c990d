//! Three servers on one PostgreSQL database: any of them may die, and so may the database.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pay_once_sandbox::server::{Options as SandboxOptions, serve};
use pay_once_sandbox::{Dials, RangeMs, Settings};
use serde_json::{Value, json};

use crate::deployment::{bearer, digest};
use crate::http;
use crate::postgres::Cluster;
use crate::random::Random;
use crate::server::{Dir, Server, bytes, ledger};
use crate::suite::block_on;

const KEY: &str = "sk_it_many_servers";
const SERVERS: usize = 3;
/// Payments of a round, each asked for by two clients under one key.
const PAYMENTS: usize = 12;
/// How long a client goes on asking.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rounds of chaos. `PAY_ONCE_ROUNDS=30` is the whole proof.
fn rounds() -> usize {
    let said = std::env::var("PAY_ONCE_ROUNDS");
    said.ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(8)
}

/// The database, its servers, and their PSP.
struct Place {
    servers: Vec<Mutex<Server>>,
    addresses: Vec<String>,
    psp: String,
    cluster: Mutex<Cluster>,
    _config: Dir,
}

/// A PSP that answers after up to so many milliseconds, and offers `capabilities`.
fn place(latency_ms: u64, capabilities: &str) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let psp = listener.local_addr().unwrap().to_string();
    let options = SandboxOptions {
        settings: Settings {
            dials: Dials {
                latency_ms: RangeMs {
                    min: 0,
                    max: latency_ms,
                },
                ..Dials::default()
            },
            public_url: String::new(),
            webhook_url: None,
            webhook_secret: String::new(),
        },
        data_dir: None,
        seed: None,
    };
    // It ends with this process.
    thread::spawn(move || block_on(serve(listener, options, std::future::pending())).unwrap());
    let digest = digest(KEY);
    let text = format!(
        r#"
        installation = "many"
        [merchants.shop]
        api_key_sha256 = ["{digest}"]
        psp = "stripe"
        default_payment_method = "pm_card_visa"
        [psps.stripe]
        face = "stripe"
        base_url = "http://{psp}"
        api_key_env = "IT_PSP_KEY"
        {capabilities}
        [psps.stripe.timing]
        send_window_ms = 500
        call_timeout_ms = 2000
        max_in_flight_ms = 2000
        max_clock_skew_ms = 100
        "#
    );
    let config = Dir::new();
    let file = config.path().join("pay-once.toml");
    std::fs::write(&file, text).unwrap();
    let cluster = Cluster::migrated();
    let servers: Vec<Server> = (0..SERVERS)
        .map(|_| {
            let arguments = [
                "--config",
                file.to_str().unwrap(),
                "--log",
                "error",
                "--store",
                &cluster.url,
            ];
            Server::start_with(&arguments, &[("IT_PSP_KEY", "sk_outside")])
        })
        .collect();
    Place {
        addresses: servers.iter().map(|server| server.address.clone()).collect(),
        servers: servers.into_iter().map(Mutex::new).collect(),
        psp,
        cluster: Mutex::new(cluster),
        _config: config,
    }
}

const KEYED: &str = "keyed_horizon_ms = 86_400_000\naddressable = true\nlookup_lag_ms = 500";
const LOOK_UP_ONLY: &str = "addressable = true\nlookup_lag_ms = 500";

impl Place {
    fn post(
        &self,
        server: usize,
        target: &str,
        key: &str,
        wait_s: u64,
        body: &Value,
    ) -> Option<http::Answer> {
        let bearer = bearer(KEY);
        let wait = format!("wait={wait_s}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Idempotency-Key", key),
            ("Prefer", &wait),
        ];
        http::send(&self.addresses[server], "POST", target, &headers, &bytes(body)).ok()
    }

    /// Asks one server after the other until one has a final answer.
    fn charge(&self, key: &str, random: &mut Random) -> Value {
        let body = json!({"order_id": key, "amount": 2599, "currency": "GBP"});
        let until = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < until {
            let server = usize::try_from(random.below(SERVERS as u64)).unwrap();
            let answer = self.post(server, "/charge", key, 2, &body);
            match answer {
                Some(answer) if answer.status == 200 => return answer.json(),
                answer => last = answer,
            }
            thread::sleep(Duration::from_millis(20 + random.below(30)));
        }
        panic!("{key}: no final answer; the last one: {last:?}")
    }
}

/// Two clients a payment, at any servers. Meanwhile servers are killed, and the database.
fn round(place: &Arc<Place>, round: usize, seed: u64, met: &AtomicUsize) -> BTreeMap<String, Value> {
    let answers: Arc<Mutex<BTreeMap<String, Vec<Value>>>> = Arc::default();
    let is_over = Arc::new(AtomicBool::new(false));
    let chaos = {
        let (place, is_over) = (Arc::clone(place), Arc::clone(&is_over));
        let mut random = Random(seed);
        thread::spawn(move || {
            let (mut kills, mut met) = (0, 0);
            while !is_over.load(Ordering::Acquire) || kills == 0 {
                thread::sleep(Duration::from_millis(20 + random.below(200)));
                met += usize::from(kills < 3 && !is_over.load(Ordering::Acquire));
                if kills == 0 && round % 2 == 1 {
                    let mut cluster = place.cluster.lock().unwrap();
                    cluster.stop("-QUIT");
                    thread::sleep(Duration::from_millis(random.below(300)));
                    cluster.run();
                } else if kills < 3 {
                    let server = usize::try_from(random.below(SERVERS as u64)).unwrap();
                    let mut server = place.servers[server].lock().unwrap();
                    server.kill();
                    server.restart();
                }
                kills += 1;
            }
            met
        })
    };
    let clients: Vec<_> = (0..2 * PAYMENTS)
        .map(|nth| {
            let (place, answers) = (Arc::clone(place), Arc::clone(&answers));
            thread::spawn(move || {
                let key = format!("r{round}-{}", nth / 2);
                let mut random = Random(seed ^ (nth as u64 + 1));
                thread::sleep(Duration::from_millis(random.below(300)));
                let answer = place.charge(&key, &mut random);
                answers.lock().unwrap().entry(key).or_default().push(answer);
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    is_over.store(true, Ordering::Release);
    met.fetch_add(chaos.join().unwrap(), Ordering::AcqRel);
    let answers = std::mem::take(&mut *answers.lock().unwrap());
    answers
        .into_iter()
        .map(|(key, answers)| {
            assert!(
                answers.len() == 2 && answers[0] == answers[1],
                "{key}: both clients are told the same: {answers:#?}"
            );
            (key, answers[0].clone())
        })
        .collect()
}

fn chaos(capabilities: &str) {
    let place = Arc::new(place(40, capabilities));
    let mut all = BTreeMap::new();
    let (rounds, met) = (rounds(), AtomicUsize::new(0));
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
    let mut random = Random(7);
    for (key, answer) in all {
        assert_eq!(answer["status"], "CAPTURED", "{key}: {answer:#}");
        let id = answer["attempt_id"].as_str().unwrap();
        let ledger = ledger(&place.psp, id);
        assert_eq!(
            (
                &ledger["captures"],
                &ledger["captured_minor"],
                &ledger["authorizations"]
            ),
            (&json!(1), &json!(2599), &json!(1)),
            "{key}: {ledger:#}"
        );
        assert_eq!(
            place.charge(&key, &mut random),
            answer,
            "{key}: and so at any time after"
        );
    }
}

#[test]
fn servers_and_the_database_die_and_each_payment_is_made_once() {
    chaos(KEYED);
}

#[test]
fn the_same_without_keys() {
    chaos(LOOK_UP_ONLY);
}

#[test]
fn forty_contended_creates_have_one_winner_each() {
    let place = Arc::new(place(0, KEYED));
    for nth in 0..40 {
        let key = format!("c{nth}");
        let body = json!({"order_id": key, "amount": 100 + nth, "currency": "GBP"});
        let asked: Vec<_> = (0..SERVERS)
            .map(|server| {
                let (place, key, body) = (Arc::clone(&place), key.clone(), body.clone());
                thread::spawn(move || place.post(server, "/attempts", &key, 2, &body).unwrap())
            })
            .collect();
        let answers: Vec<http::Answer> = asked.into_iter().map(|asked| asked.join().unwrap()).collect();
        let created = answers.iter().filter(|answer| !answer.is_replayed()).count();
        assert_eq!(created, 1, "{answers:?}");
        assert!(
            answers.iter().all(|answer| answer.json() == answers[0].json()),
            "{answers:?}"
        );
    }
    let records = place
        .cluster
        .lock()
        .unwrap()
        .psql("SELECT count(*) FROM pay_once.records");
    assert_eq!(crate::postgres::text(&records).trim(), "40");
}

/// The client hangs up and never comes back; the server that had begun dies for good. Another one ends what it left.
#[test]
fn what_a_dead_server_left_is_ended_by_another_one() {
    let place = place(400, LOOK_UP_ONLY);
    let body = json!({"order_id": "o", "amount": 2599, "currency": "GBP"});
    let begun = place.post(0, "/charge", "left", 0, &body).unwrap();
    assert_eq!(begun.status, 202, "{begun:?}");
    place.servers[0].lock().unwrap().kill();
    let id = begun.json()["attempt_id"].as_str().unwrap().to_owned();
    let until = Instant::now() + PATIENCE;
    loop {
        let status = place
            .cluster
            .lock()
            .unwrap()
            .psql("SELECT wake_at_ms IS NULL FROM pay_once.records");
        let ledger = ledger(&place.psp, &id);
        if ledger["captures"] == 1 && crate::postgres::text(&status).trim() == "t" {
            assert_eq!(ledger["authorizations"], 1, "{ledger:#}");
            return;
        }
        assert!(Instant::now() < until, "{ledger:#}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A copy of the database is served under another timeline: a restore, or a standby that was promoted.
#[test]
fn a_restored_database_begins_restore_mode() {
    let place = place(0, LOOK_UP_ONLY);
    let mut random = Random(1);
    let before = place.charge("before", &mut random);
    let mut cluster = place.cluster.lock().unwrap();
    // A copy, and then a payment that it does not have.
    cluster.stop("-INT");
    let (data, copy) = (cluster.data(), cluster.data().with_extension("copy"));
    copy_all(&data, &copy);
    cluster.run();
    drop(cluster);
    let lost = place.charge("lost", &mut random);
    let mut cluster = place.cluster.lock().unwrap();
    cluster.stop("-QUIT");
    std::fs::remove_dir_all(&data).unwrap();
    copy_all(&copy, &data);
    std::fs::write(data.join("recovery.signal"), "").unwrap();
    let auto = data.join("postgresql.auto.conf");
    std::fs::write(auto, "restore_command = 'false'\n").unwrap();
    cluster.run();
    drop(cluster);
    // No server goes on with it by itself.
    for server in &place.servers {
        let mut server = server.lock().unwrap();
        // For a supervisor: start it again.
        assert_eq!(server.wait(PATIENCE).code(), Some(75), "{}", server.output());
        assert!(server.output().contains("Start again"), "{}", server.output());
    }
    // A supervisor starts all of them at the same time.
    thread::scope(|scope| {
        for server in &place.servers {
            scope.spawn(|| server.lock().unwrap().restart());
        }
    });
    for server in &place.servers {
        let losses = server.lock().unwrap().ask_operators("/status").json()["losses"].clone();
        assert_eq!(losses[0]["psp"], "stripe", "{losses}");
    }
    assert_eq!(place.charge("before", &mut random), before);
    let again = place.charge("lost", &mut random);
    assert_eq!(again["status"], "CAPTURED", "{again:#}");
    let ledger = ledger(&place.psp, lost["attempt_id"].as_str().unwrap());
    assert_eq!(ledger["captures"], 1, "the PSP was asked first: {ledger:#}");
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(copied.success());
}
