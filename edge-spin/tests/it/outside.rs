//! What surrounds a payment: a client that hangs up, a host that allows nothing, a deployment that says nothing, a store
//! that is gone.

use std::io::Write;
use std::thread;
use std::time::Duration;

use pay_once_suite::environment::Secrets;
use serde_json::{Value, json};

use crate::http;
use crate::world::{Mode, World, body, until};

#[test]
fn a_client_that_hangs_up_changes_nothing() {
    for mode in [Mode::Sqlite, Mode::Redis] {
        let world = World::new(mode);
        let host = world.host();
        world.turn(&json!({"latency_ms": {"min": 600, "max": 600}}));
        // A fresh instance, so that nothing but the hung-up request keeps it alive.
        let sent = body("gone", "pm_card_visa").to_string();
        let mut stream = http::connect(&host.address).unwrap();
        write!(
            stream,
            "POST /charge HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nIdempotency-Key: gone\r\nPrefer: wait=20\r\nContent-Length: {}\r\n\r\n{sent}",
            host.address,
            Secrets::default().shop_token,
            sent.len()
        )
        .unwrap();
        thread::sleep(Duration::from_millis(250));
        drop(stream);
        // Nobody asks again: the ledger alone is watched.
        until("the charge goes on", Duration::from_secs(10), || {
            world
                .ledger()
                .as_object()
                .unwrap()
                .values()
                .any(|row| row["captures"] == 1)
                .then_some(())
        });
        until("and is on record", Duration::from_secs(10), || {
            let again = host.post("/charge", "gone", &body("gone", "pm_card_visa"));
            (again.status == 200 && again.is_replayed()).then_some(())
        });
        assert_eq!(world.ledger().as_object().unwrap().len(), 1);
    }
}

#[test]
fn a_place_that_is_not_allowed_is_not_reached() {
    let mut world = World::new(Mode::Sqlite);
    world.allow = false;
    let host = world.host();
    let begun = host.post("/charge", "k", &body("k", "pm_card_visa"));
    assert_eq!(begun.status, 202, "{begun:?}");
    let id = begun.json()["attempt_id"].as_str().unwrap().to_owned();
    until("the refusal is on record", Duration::from_secs(10), || {
        let story = host.get(&format!("/attempts/{id}")).json()["timeline"].to_string();
        story.contains("HttpRequestDenied").then_some(())
    });
    assert_eq!(world.ledger(), Value::Object(serde_json::Map::new()));
}

#[test]
fn without_a_deployment_nobody_is_served() {
    for (name, value) in [
        ("config", r#"{"merchants": {}, "psps": {}}"#),
        ("config", "not json"),
        ("store", "redis"),
        ("store", "postgres"),
    ] {
        let mut world = World::new(Mode::Sqlite);
        world.variables.insert(name.to_owned(), value.to_owned());
        let host = world.host();
        let refused = host.post("/charge", "k", &body("k", "pm_card_visa"));
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "NOT_CONFIGURED"),
            "{name}: {value}"
        );
        assert_eq!(world.ledger(), Value::Object(serde_json::Map::new()));
    }
}

#[test]
fn a_final_answer_outlives_its_store() {
    let world = World::new(Mode::Sqlite);
    let mut host = world.host();
    let paid = host.post_wait("/charge", "paid", &body("paid", "pm_card_visa"));
    assert_eq!(paid.status, 200, "{paid:?}");
    let open = host.post("/attempts", "open", &body("open", "pm_card_visa"));
    assert_eq!(open.status, 201);
    // The copy is made behind the answer.
    until("a copy is kept", Duration::from_secs(5), || {
        (host.counters()["sets"] == 1).then_some(())
    });
    let place = format!("/attempts/{}", paid.json()["attempt_id"].as_str().unwrap());
    let shown = host.get(&place);
    host.kill();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", world.sqlite_path().display()));
    }
    std::fs::create_dir(world.sqlite_path()).unwrap();
    host.restart();
    let replay = host.post("/charge", "paid", &body("paid", "pm_card_visa"));
    assert!(
        replay.status == 200 && replay.is_replayed() && replay.body == paid.body,
        "{replay:?}"
    );
    // What has ended does not change, so that a copy may show it.
    let again = host.get(&place);
    assert!(again.status == 200 && again.body == shown.body, "{again:?}");
    // Everything else needs the store: a copy is no authority.
    let open = open.json()["attempt_id"].as_str().unwrap().to_owned();
    for refused in [
        host.get(&format!("/attempts/{open}")),
        host.post(
            "/charge",
            "paid",
            &json!({"amount": 1, "currency": "GBP", "payment_method": "pm_card_visa"}),
        ),
        host.post("/attempts", "open", &body("open", "pm_card_visa")),
        host.post("/charge", "new", &body("new", "pm_card_visa")),
    ] {
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "STORE_UNAVAILABLE"),
            "{refused:?}"
        );
    }
}

#[test]
fn where_the_store_is_far_a_copy_is_asked_first() {
    let mut world = World::new(Mode::Sqlite);
    world.variables.insert("finals".to_owned(), "first".to_owned());
    let host = world.host();
    let paid = host.post_wait("/charge", "paid", &body("paid", "pm_card_visa"));
    until("a copy is kept", Duration::from_secs(5), || {
        (host.counters()["sets"] == 1).then_some(())
    });
    let before = host.counters();
    let replay = host.post("/charge", "paid", &body("paid", "pm_card_visa"));
    assert!(replay.is_replayed() && replay.body == paid.body, "{replay:?}");
    let reads = host.counters()["sqlite_reads"].as_u64().unwrap() - before["sqlite_reads"].as_u64().unwrap();
    assert!(reads <= 1, "at most the sweep's: {reads}");
}
