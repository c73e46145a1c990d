//! `spin:postgres`: which databases are refused, a swap whose answer is lost, and what servers hear of it.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::proxy::Proxy;
use crate::world::{Host, Mode, SWEEP_KEY, World, artifact, body, until};

const LIMIT: Duration = Duration::from_secs(40);

/// A fresh host is refused its database, with these words, and nothing is sent.
fn is_refused(world: &World, words: &[&str]) -> String {
    let host = world.host();
    let refused = host.post("/charge", "other", &body("other", "pm_card_visa"));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "STORE_UNSAFE"),
        "{refused:?}"
    );
    let health = host.get("/healthz");
    assert_eq!(health.status, 503, "{health:?}");
    assert_eq!(host.sweep(SWEEP_KEY).status, 503);
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
        let status = health.json()["status"].as_str().unwrap().to_owned();
        assert!(status.contains(word), "{word}: {status}");
    }
    message
}

fn creates(host: &Host, key: &str, status: u16) -> String {
    let created = host.post("/attempts", key, &body(key, "pm_card_visa"));
    assert_eq!(created.status, status, "{created:?}");
    created.json()["attempt_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_database_without_tables_or_of_another_installation_is_refused() {
    let world = World::without_tables();
    is_refused(&world, &["run `pay-once migrate` first"]);
    let database = world.database();
    database.pay_once("migrate");
    database.ask(&["UPDATE pay_once.meta SET value = '1' WHERE name = 'form'"]);
    is_refused(&world, &["have form 1", "run `pay-once migrate` first"]);
    database.pay_once("migrate");
    database.ask(&["INSERT INTO pay_once.meta VALUES ('installation', 'another')"]);
    is_refused(&world, &["another", "a retry is a new payment"]);
    assert_eq!(database.ask(&["SELECT count(*) FROM pay_once.records"]), "0");
    database.ask(&["DELETE FROM pay_once.meta WHERE name = 'installation'"]);
    creates(&world.host(), "k", 201);
    let noted = database
        .ask(&["SELECT name FROM pay_once.meta WHERE name IN ('installation', 'system') ORDER BY name"]);
    assert_eq!(noted, "installation\nsystem");
    assert_eq!(world.ledger(), json!({}));
}

#[test]
fn a_database_whose_commits_are_not_durable_is_refused() {
    let world = World::new(Mode::Postgres);
    let database = world.database();
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let set = format!("ALTER SYSTEM SET {setting} = off");
        database.ask(&[&set, "SELECT pg_reload_conf()"]);
        until("the setting", LIMIT, || {
            (database.ask(&[&format!("SHOW {setting}")]) == "off").then_some(())
        });
        is_refused(&world, &[&format!("{setting} is off")]);
        database.ask(&[
            &format!("ALTER SYSTEM RESET {setting}"),
            "SELECT pg_reload_conf()",
        ]);
        until("the setting", LIMIT, || {
            (database.ask(&[&format!("SHOW {setting}")]) == "on").then_some(())
        });
    }
    database.ask(&["ALTER ROLE postgres SET default_transaction_read_only = on"]);
    is_refused(&world, &["transaction_read_only is on"]);
    assert_eq!(world.ledger(), json!({}));
}

#[test]
fn a_database_that_was_restored_is_refused_until_somebody_says_what_was_lost() {
    let mut world = World::new(Mode::Postgres);
    creates(&world.host(), "k", 201);
    world.database_mut().begin_timeline();
    let why = is_refused(&world, &["Start a server on it", "\"loss\"", "postgres_identity"]);
    let identity = why.rsplit(' ').next().unwrap().trim_end_matches('.').to_owned();
    assert!(identity.ends_with("/00000002"), "{why}");
    world.variables.insert("postgres_identity".to_owned(), identity);
    creates(&world.host(), "k", 200);
    // What a start of a server notes after a restore.
    let note =
        json!({"epoch": 1, "restored_at_ms": 60, "loss_begins_at_ms": 50, "commits": 0, "reconciled": []});
    let noted = format!("INSERT INTO pay_once.meta VALUES ('restore_note', '{note}')");
    world.database().ask(&[&noted]);
    is_refused(&world, &["\"begins_ms\": 50, \"restored_ms\": 60"]);
    let config = world.variables.get_mut("config").unwrap();
    let mut document: Value = serde_json::from_str(config).unwrap();
    for psp in document["psps"].as_object_mut().unwrap().values_mut() {
        psp["loss"] = json!({"begins_ms": 50, "restored_ms": 60});
    }
    *config = document.to_string();
    creates(&world.host(), "k", 200);
}

#[test]
fn a_swap_whose_answer_is_lost_is_read_back() {
    let mut world = World::new(Mode::Postgres);
    let proxy = Proxy::to(world.database().address());
    world.reach_database_at(&proxy.address);
    let host = world.host();
    creates(&host, "first", 201);
    proxy.cut_after_insert(|| {});
    // The loop finds its own write, and answers as for anybody who comes later.
    let id = creates(&host, "cut", 200);
    assert!(proxy.has_cut());
    let unknown = |world: &World| {
        let is_one = |line: &Value| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.contains("a swap's end is unknown"))
        };
        world.log().iter().filter(|line| is_one(line)).count()
    };
    assert_eq!(unknown(&world), 1);
    assert_eq!(creates(&host, "cut", 200), id);
    // The same, and the database crashes before anybody can look.
    let database = Arc::new(Mutex::new(world.take_database()));
    let crashing = Arc::clone(&database);
    proxy.cut_after_insert(move || {
        let mut database: std::sync::MutexGuard<'_, Cluster> = crashing.lock().unwrap();
        assert_eq!(
            database.ask(&["SELECT count(*) FROM pay_once.records"]),
            "3",
            "it was carried out"
        );
        database.stop("-QUIT");
    });
    let answer = host.post("/attempts", "crash", &body("crash", "pm_card_visa"));
    assert!(proxy.has_cut() && answer.status == 503, "{answer:?}");
    database.lock().unwrap().run(&[]);
    let again = until("it is read back", LIMIT, || {
        let again = host.post("/attempts", "crash", &body("crash", "pm_card_visa"));
        (again.status != 503).then_some(again)
    });
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(unknown(&world), 2);
    let rows = database
        .lock()
        .unwrap()
        .ask(&["SELECT count(*) FROM pay_once.records"]);
    assert_eq!(rows, "3");
}

#[test]
fn servers_hear_what_changed_and_find_it_by_the_same_columns() {
    let world = World::new(Mode::Postgres);
    let host = world.host();
    creates(&host, "first", 201);
    let database = world.database();
    let (heard, id) = thread::scope(|scope| {
        let listener = scope.spawn(|| {
            let wait = "SELECT pg_sleep(3)";
            database.ask(&["LISTEN pay_once_changed", wait, "SELECT 1"])
        });
        until("it listens", LIMIT, || {
            let listens = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
            (database.ask(&[listens]) == "1").then_some(())
        });
        let id = creates(&host, "second", 201);
        (listener.join().unwrap(), id)
    });
    let newest = "SELECT encode(id, 'hex') FROM pay_once.records ORDER BY since_ms DESC LIMIT 1";
    assert!(heard.contains(&database.ask(&[newest])), "{id}: {heard}");
    let order = json!("zero\u{0}in it");
    let mut sent = body("zero", "pm_card_visa");
    sent["order_id"] = order;
    let odd = host.post("/attempts", "zero", &sent);
    assert!(matches!(odd.status, 201 | 400), "{odd:?}");
    // The server makes the columns from the records, and finds that they are as it would have made them.
    let said = database.pay_once("reindex");
    assert!(said.contains("the search entries of 0 were wrong"), "{said}");
}

#[test]
fn a_manual_payment_is_five_writes() {
    let mut world = World::new(Mode::Postgres);
    world.variables.insert("finals".to_owned(), "off".to_owned());
    let host = world.host();
    creates(&host, "first", 201);
    let before = host.counters();
    let id = creates(&host, "second", 201);
    for operation in ["authorize", "capture"] {
        let done = host.post_wait(&format!("/attempts/{id}/{operation}"), operation, &Value::Null);
        assert_eq!(done.status, 200, "{done:?}");
    }
    let after = host.counters();
    let of = |counters: &Value| counters["postgres_writes"].as_u64().unwrap();
    assert_eq!(of(&after) - of(&before), 5, "{before} {after}");
}

/// A host that does not offer an interface starts no component that imports it.
#[test]
fn each_flavour_imports_its_own_stores_alone() {
    for (component, has) in [
        ("PAY_ONCE_SPIN_POSTGRES", [true, false, false]),
        ("PAY_ONCE_SPIN_COMPONENT", [false, true, true]),
    ] {
        let bytes = std::fs::read(artifact(component)).unwrap();
        let names = ["spin:postgres/", "spin:sqlite/", "wasi:keyvalue/"];
        let imports = names.map(|name| bytes.windows(name.len()).any(|window| window == name.as_bytes()));
        assert_eq!(imports, has, "{component}");
    }
}

#[test]
fn the_address_is_shown_to_nobody() {
    let mut world = World::new(Mode::Postgres);
    let place = pay_once_suite::loopback::free_address().unwrap().to_string();
    world.reach_database_at(&place);
    let url = format!("postgres://ada:geheim@{place}/shop");
    world.variables.insert("postgres_url".to_owned(), url);
    let host = world.host();
    let refused = host.post("/charge", "k", &body("k", "pm_card_visa"));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "STORE_UNAVAILABLE")
    );
    let health = host.get("/healthz");
    let said = format!("{refused:?} {health:?} {:?}", world.log());
    assert!(
        !said.contains("geheim") && !world.stderr().contains("geheim"),
        "{said}"
    );
    assert!(world.stderr().contains("it cannot be reached"), "{said}");
    for (name, value, word) in [
        ("postgres_url", "host=db password=geheim", "postgres_url"),
        ("store", "sqlite", "--features postgres"),
    ] {
        let before = world.variables.insert(name.to_owned(), value.to_owned()).unwrap();
        let host = world.host();
        let refused = host.post("/charge", "k", &body("k", "pm_card_visa"));
        assert_eq!((refused.status, refused.code().as_str()), (503, "NOT_CONFIGURED"));
        until("it says why", LIMIT, || {
            world.stderr().contains(word).then_some(())
        });
        assert!(!world.stderr().contains("geheim"));
        world.variables.insert(name.to_owned(), before);
    }
    assert_eq!(world.ledger(), json!({}));
}
