//! What a crash leaves in doubt is found and ended without anybody asking for it (there is no timer).

use std::time::Duration;

use serde_json::{Value, json};

use crate::oracle::{check, is_settled};
use crate::world::{Host, Mode, SWEEP_KEY, World, body, until};

const LIMIT: Duration = Duration::from_secs(30);

/// A charge that the PSP takes while the process that sent it dies. Gives its id.
fn orphan(world: &World, host: &mut Host, key: &str) -> String {
    world.turn(&json!({"latency_ms": {"min": 1_000, "max": 1_000}}));
    let begun = host.post("/charge", key, &body(key, "pm_card_visa"));
    assert_eq!(begun.status, 202, "{begun:?}");
    host.kill();
    world.turn(&json!({"latency_ms": {"min": 0, "max": 0}}));
    host.restart();
    begun.json()["attempt_id"].as_str().unwrap().to_owned()
}

/// One look at the attempt, once everything is over: a read sets nothing going.
fn ended(world: &World, host: &Host, id: &str) -> bool {
    let attempt = host.get(&format!("/attempts/{id}")).json();
    if is_settled(&attempt) {
        check(&attempt, &world.ledger()[id]);
    }
    is_settled(&attempt)
}

fn captures(world: &World, id: &str) -> u64 {
    world.ledger()[id]["captures"].as_u64().unwrap_or(0)
}

#[test]
fn a_sweep_that_is_asked_for_ends_it() {
    for mode in [Mode::Sqlite, Mode::Redis, Mode::Correct, Mode::Postgres] {
        let world = World::new(mode);
        let mut host = world.host();
        let id = orphan(&world, &mut host, "orphan");
        // It is asked for before a sweep behind any request could have come.
        until("a sweep finds it", LIMIT, || (asked_for(&host) > 0).then_some(()));
        until("its call is done", LIMIT, || {
            asked_for(&host);
            (captures(&world, &id) == 1).then_some(())
        });
        until("it ends", LIMIT, || ended(&world, &host, &id).then_some(()));
    }
}

/// What is due of it cannot be done, and its operator has to know.
#[test]
fn a_row_whose_id_cannot_be_read_is_told_and_hides_no_other() {
    let world = World::new(Mode::Sqlite);
    let mut host = world.host();
    let ids = ["lost", "kept"].map(|key| orphan(&world, &mut host, key));
    host.kill();
    world.damage_first_id();
    host.restart();
    until("the other one is ended", LIMIT, || {
        asked_for(&host);
        ended(&world, &host, &ids[1]).then_some(())
    });
    until("the row is told of", LIMIT, || {
        asked_for(&host);
        world
            .stderr()
            .contains("1 rows that are due have no readable id")
            .then_some(())
    });
}

/// Records that a sweep woke.
fn asked_for(host: &Host) -> u64 {
    let swept = host.sweep(SWEEP_KEY);
    assert_eq!(swept.status, 200, "{swept:?}");
    swept.json()["woken"].as_u64().unwrap()
}

/// A sweep between two operations moves what the index has of the attempt; the second operation is found all the same.
#[test]
fn what_comes_after_a_sweep_is_found_by_the_next() {
    for mode in [Mode::Correct, Mode::Redis, Mode::Sqlite, Mode::Postgres] {
        let world = World::new(mode);
        let mut host = world.host();
        let created = host.post("/attempts", "k", &body("k", "pm_card_visa"));
        let id = created.json()["attempt_id"].as_str().unwrap().to_owned();
        let held = host.post_wait(&format!("/attempts/{id}/authorize"), "a", &Value::Null);
        assert_eq!(held.status, 200, "{held:?}");
        // Until the authorization's own look would have come.
        std::thread::sleep(Duration::from_secs(5));
        asked_for(&host);
        world.turn(&json!({"latency_ms": {"min": 1_000, "max": 1_000}}));
        let begun = host.post(&format!("/attempts/{id}/capture"), "c", &Value::Null);
        assert_eq!(begun.status, 202, "{begun:?}");
        host.kill();
        world.turn(&json!({"latency_ms": {"min": 0, "max": 0}}));
        host.restart();
        // Nobody asks about it until it has ended.
        until("a sweep finds it", LIMIT, || (asked_for(&host) > 0).then_some(()));
        until("it ends", LIMIT, || {
            asked_for(&host);
            ended(&world, &host, &id).then_some(())
        });
        assert_eq!(captures(&world, &id), 1, "{mode:?}");
    }
}

#[test]
fn requests_for_other_things_end_it() {
    for mode in [Mode::Sqlite, Mode::Redis] {
        let world = World::new(mode);
        let mut host = world.host();
        let id = orphan(&world, &mut host, "orphan");
        until("a request sweeps behind it", LIMIT, || {
            assert_eq!(host.get("/attempts/pa_00000000000000000000000000").status, 404);
            (captures(&world, &id) == 1).then_some(())
        });
        until("it ends", LIMIT, || ended(&world, &host, &id).then_some(()));
    }
}

#[test]
fn asking_again_ends_it() {
    let world = World::new(Mode::Sqlite);
    let mut host = world.host();
    let id = orphan(&world, &mut host, "orphan");
    let answer = host.post_wait("/charge", "orphan", &body("orphan", "pm_card_visa"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(ended(&world, &host, &id));
}

#[test]
fn a_sweep_is_for_those_who_have_its_key() {
    let mut world = World::new(Mode::Sqlite);
    let host = world.host();
    for key in ["", "wrong", "suite-token-of-shop"] {
        let refused = host.sweep(key);
        assert_eq!((refused.status, refused.code().as_str()), (401, "UNAUTHORIZED"));
    }
    assert_eq!(
        host.sweep(SWEEP_KEY).json(),
        json!({"due": 0, "woken": 0, "indexed": 0})
    );
    world
        .variables
        .insert("sweep_key_sha256".to_owned(), String::new());
    let closed = world.host();
    assert_eq!(closed.sweep(SWEEP_KEY).status, 401);
    assert_eq!(closed.sweep("").status, 401);
    assert_eq!(world.ledger(), Value::Object(serde_json::Map::new()));
}
