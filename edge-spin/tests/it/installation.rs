//! A store has one installation for life, and the database says which.

use std::process::Command;

use serde_json::{Value, json};

use crate::world::{Host, Mode, SWEEP_KEY, World, body};

/// A host whose deployment has this installation.
fn host_of(world: &mut World, installation: &str) -> Host {
    let config = world.variables.get_mut("config").unwrap();
    let mut document: Value = serde_json::from_str(config).unwrap();
    document["installation"] = json!(installation);
    *config = document.to_string();
    world.host()
}

fn is_refused(world: &World, host: &Host, names: [&str; 2]) {
    let refused = host.post("/charge", "other", &body("other", "pm_card_visa"));
    assert_eq!((refused.status, refused.code().as_str()), (503, "STORE_UNSAFE"));
    let health = host.get("/healthz");
    assert_eq!(health.status, 503, "{health:?}");
    for said in [refused.json(), health.json()] {
        let said = said.to_string();
        for name in names {
            assert!(
                said.contains(&format!("installation \\\"{name}\\\""))
                    || said.contains(&format!("configured as \\\"{name}\\\"")),
                "{name}: {said}"
            );
        }
    }
    assert_eq!(host.sweep(SWEEP_KEY).status, 503);
    assert_eq!(world.ledger(), json!({}));
}

fn creates(host: &Host, key: &str, status: u16) {
    let created = host.post("/attempts", key, &body(key, "pm_card_visa"));
    assert_eq!(created.status, status, "{created:?}");
}

#[test]
fn the_first_record_notes_the_installation_and_another_one_is_refused() {
    let mut world = World::new(Mode::Sqlite);
    {
        let host = host_of(&mut world, "shop-a");
        creates(&host, "k", 201);
    }
    {
        let host = host_of(&mut world, "shop-b");
        is_refused(&world, &host, ["shop-a", "shop-b"]);
    }
    creates(&host_of(&mut world, "shop-a"), "k", 200);
}

#[test]
fn a_store_with_records_and_no_note_was_begun_before_there_were_names() {
    let mut world = World::new(Mode::Sqlite);
    creates(&host_of(&mut world, ""), "k", 201);
    let forget =
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('DROP TABLE meta'); db.commit()";
    let forgotten = Command::new("python3")
        .args(["-c", forget])
        .arg(world.sqlite_path())
        .status()
        .unwrap();
    assert!(forgotten.success());
    {
        let host = host_of(&mut world, "shop-b");
        is_refused(&world, &host, ["", "shop-b"]);
    }
    creates(&host_of(&mut world, ""), "k", 200);
}

#[test]
fn what_serves_nobody_yet_notes_nothing() {
    let mut world = World::new(Mode::Sqlite);
    let configured = world.variables["config"].clone();
    let unconfigured = r#"{"merchants": {}, "psps": {}}"#.to_owned();
    world.variables.insert("config".to_owned(), unconfigured);
    {
        let host = world.host();
        assert_eq!(host.get("/healthz").status, 200);
        assert_eq!(host.sweep(SWEEP_KEY).status, 200);
    }
    world.variables.insert("config".to_owned(), configured);
    creates(&host_of(&mut world, "shop-a"), "k", 201);
}
