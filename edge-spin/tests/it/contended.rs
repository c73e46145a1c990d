//! Many clients, one key: exactly one of them creates, in every mode that is accepted; the unsafe one is refused.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use pay_once_suite::loopback::free_address;
use serde_json::Value;

use crate::world::{Mode, World, artifact, ask, body};

const KEYS: usize = 40;
const CLIENTS: usize = 8;

/// 40 × 8 contended creates over two host processes.
fn one_winner_each(mode: Mode) {
    let world = World::new(mode);
    let hosts = [world.host(), world.host()];
    for number in 0..KEYS {
        let key = format!("contended-{number}");
        let sent = body(&key, "pm_card_visa");
        let together = Barrier::new(CLIENTS);
        let answers: Vec<_> = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (key, sent, together, address) = (&key, &sent, &together, &hosts[client % 2].address);
                    scope.spawn(move || {
                        together.wait();
                        ask(address, "POST", "/attempts", &[("Idempotency-Key", key)], sent).unwrap()
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        let mut by_status = BTreeMap::new();
        for answer in &answers {
            assert_eq!(answer.body, answers[0].body, "{mode:?}: {key}");
            *by_status.entry(answer.status).or_insert(0) += 1;
        }
        assert_eq!(
            by_status,
            BTreeMap::from([(200, CLIENTS - 1), (201, 1)]),
            "{mode:?}: {key}"
        );
    }
}

#[test]
fn sqlite_has_one_winner_each() {
    one_winner_each(Mode::Sqlite);
}

#[test]
fn redis_has_one_winner_each_though_it_says_that_all_lost() {
    one_winner_each(Mode::Redis);
}

#[test]
fn a_key_value_store_whose_swap_is_right_has_one_winner_each() {
    one_winner_each(Mode::Correct);
}

#[test]
fn postgres_has_one_winner_each() {
    one_winner_each(Mode::Postgres);
}

#[test]
fn spins_default_key_value_store_is_refused_and_nothing_is_kept_in_it() {
    let world = World::new(Mode::SqliteKv);
    let host = world.host();
    for _ in 0..2 {
        let answer = host.post("/charge", "k1", &body("k1", "pm_card_visa"));
        assert_eq!((answer.status, answer.code().as_str()), (503, "STORE_UNSAFE"));
        assert!(
            answer.json()["error"]["message"]
                .as_str()
                .unwrap()
                .contains("both won"),
            "{answer:?}"
        );
    }
    assert_eq!(host.get("/healthz").status, 503);
    assert_eq!(host.sweep(crate::world::SWEEP_KEY).status, 503);
    assert_eq!(world.ledger(), Value::Object(serde_json::Map::new()));
    // Every swap was the probe's (two of them, and then it clears away), and nothing else was written.
    let counters = host.counters();
    let of = |name: &str| counters[name].as_u64().unwrap();
    assert!(of("swaps") > 0 && of("swaps") == 2 * of("deletes"), "{counters}");
    assert_eq!(
        (&counters["sets"], &counters["sqlite_writes"]),
        (&0.into(), &0.into()),
        "{counters}"
    );
}

/// What KEY-VALUE.md says of three backends.
#[test]
fn the_two_defects_as_they_are_reported() {
    for (mode, said) in [
        (
            Mode::SqliteKv,
            r#"seen (false, false), reported as won (true, true), value "second""#,
        ),
        (
            Mode::Redis,
            r#"seen (false, false), reported as won (false, false), value "first""#,
        ),
        (
            Mode::Correct,
            r#"seen (false, false), reported as won (true, false), value "first""#,
        ),
    ] {
        let world = World::new(mode);
        let host = world.host_of(&artifact("PAY_ONCE_SPIN_BARE"), free_address().unwrap());
        let answer = host.post("/race/key", "", &Value::Null);
        assert_eq!(String::from_utf8_lossy(&answer.body), said, "{mode:?}");
    }
}
