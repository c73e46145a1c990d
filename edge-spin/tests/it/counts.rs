//! Performance is counted: durable steps, by the host.

use serde_json::{Value, json};

use crate::world::{Host, Mode, World, body};

/// A manual payment and one replay of each of its calls. Gives what the host counted for it.
fn manual_payment(host: &Host, key: &str) -> Value {
    let before = host.counters();
    let created = host.post("/attempts", key, &body(key, "pm_card_visa"));
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.json()["attempt_id"].as_str().unwrap().to_owned();
    for operation in ["authorize", "capture"] {
        let target = format!("/attempts/{id}/{operation}");
        let done = host.post_wait(&target, operation, &Value::Null);
        assert_eq!(done.status, 200, "{done:?}");
        let again = host.post_wait(&target, operation, &Value::Null);
        assert!(again.is_replayed() && again.body == done.body, "{again:?}");
    }
    assert!(
        host.post("/attempts", key, &body(key, "pm_card_visa"))
            .is_replayed()
    );
    // Behind the answer: copies, and the markers of the key-value mode.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let after = host.counters();
    let of = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    json!({
        "sqlite_writes": of("sqlite_writes"), "swaps": of("swaps"), "sets": of("sets"), "deletes": of("deletes"),
    })
}

#[test]
fn a_manual_payment_is_five_durable_steps() {
    let mut world = World::new(Mode::Sqlite);
    world.variables.insert("finals".to_owned(), "off".to_owned());
    let host = world.host();
    // The first request makes the tables.
    manual_payment(&host, "first");
    let counted = manual_payment(&host, "second");
    assert_eq!(
        counted,
        json!({"sqlite_writes": 5, "swaps": 0, "sets": 0, "deletes": 0})
    );
}

#[test]
fn a_copy_of_the_end_is_one_step_more_in_another_store() {
    let world = World::new(Mode::Sqlite);
    let host = world.host();
    manual_payment(&host, "first");
    let counted = manual_payment(&host, "second");
    assert_eq!(
        counted,
        json!({"sqlite_writes": 5, "swaps": 0, "sets": 1, "deletes": 0})
    );
}

#[test]
fn in_key_value_mode_it_is_five_swaps_and_a_marker() {
    for mode in [Mode::Correct, Mode::Redis] {
        let mut world = World::new(mode);
        world.variables.insert("finals".to_owned(), "off".to_owned());
        let host = world.host();
        // The first request probes the backend.
        manual_payment(&host, "first");
        let counted = manual_payment(&host, "second");
        assert_eq!(
            counted,
            json!({"sqlite_writes": 0, "swaps": 5, "sets": 1, "deletes": 1}),
            "{mode:?}"
        );
    }
}
