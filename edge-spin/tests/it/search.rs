//! What a search finds on Spin: attempts in `spin:sqlite` and `spin:postgres`, those of an older build as well, and nothing in a key-value store.

use rusqlite::Connection;
use serde_json::Value;

use crate::http::{self, Answer};
use crate::world::{Host, Mode, SWEEP_KEY, World, body};

const OPERATOR: [(&str, &str); 1] = [("Authorization", "Bearer suite-token-of-operator")];

fn search(host: &Host, headers: &[(&str, &str)], query: &str) -> Answer {
    let target = format!("/attempts?{query}");
    if headers.is_empty() {
        return host.get(&target);
    }
    // Not as the suite's shop: of two keys none would count.
    http::send(&host.address, "GET", &target, headers, b"").unwrap()
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let page = answer.json();
    let id = |attempt: &Value| attempt["attempt_id"].as_str().unwrap().to_owned();
    page["attempts"].as_array().unwrap().iter().map(id).collect()
}

fn create(host: &Host, key: &str) -> String {
    let created = host.post("/attempts", key, &body(key, "pm_card_visa"));
    assert_eq!(created.status, 201, "{created:?}");
    created.json()["attempt_id"].as_str().unwrap().to_owned()
}

#[test]
fn pages_of_a_state_and_of_an_order() {
    for mode in [Mode::Sqlite, Mode::Postgres] {
        pages(mode);
    }
}

fn pages(mode: Mode) {
    let world = World::new(mode);
    let host = world.host();
    let made: Vec<String> = (0..5).map(|n| create(&host, &format!("k{n}"))).collect();
    let order = host.get(&format!("/attempts/{}", made[3])).json()["order_id"].clone();
    let found = search(&host, &[], &format!("order_id={}", order.as_str().unwrap()));
    assert!(ids(&found).contains(&made[3]), "{found:?}");
    for who in [&[][..], &OPERATOR[..]] {
        let (mut found, mut after) = (Vec::new(), String::new());
        for _ in 0..3 {
            let page = search(&host, who, &format!("state=created&limit=2{after}"));
            found.extend(ids(&page));
            let next = page.json()["next"].as_str().map(str::to_owned);
            after = next.map_or(String::new(), |next| format!("&after={next}"));
        }
        let (mut known, mut expected) = (found.clone(), made.clone());
        known.sort();
        expected.sort();
        assert_eq!((known, after.as_str()), (expected, ""), "{who:?}: {found:?}");
    }
    let held = host.post_wait(&format!("/attempts/{}/authorize", made[0]), "a", &Value::Null);
    assert_eq!(held.status, 200, "{held:?}");
    assert_eq!(ids(&search(&host, &[], "state=authorized")), [made[0].clone()]);
    assert_eq!(ids(&search(&host, &[], "state=created")).len(), 4);
}

#[test]
fn a_store_of_an_older_build_gets_its_columns_and_the_sweep_indexes_it() {
    let world = World::new(Mode::Sqlite);
    let mut host = world.host();
    let old = [create(&host, "k1"), create(&host, "k2")];
    host.kill();
    let database = Connection::open(world.sqlite_path()).unwrap();
    let statements = "
        DROP INDEX records_by_state; DROP INDEX records_by_order; DROP INDEX records_not_indexed;
        ALTER TABLE records DROP COLUMN merchant; ALTER TABLE records DROP COLUMN order_id;
        ALTER TABLE records DROP COLUMN state; ALTER TABLE records DROP COLUMN since_ms;
        ALTER TABLE records DROP COLUMN indexed_version;
    ";
    database.execute_batch(statements).unwrap();
    drop(database);
    host.restart();
    is_mended(&host, &old);
}

#[test]
fn what_a_server_of_an_older_build_wrote_is_indexed_by_the_sweep() {
    let world = World::new(Mode::Postgres);
    let host = world.host();
    let old = [create(&host, "k1"), create(&host, "k2")];
    let forget = "UPDATE pay_once.records SET merchant = NULL, order_id = NULL, state = NULL, since_ms = NULL, indexed_version = NULL";
    world.database().ask(&[forget]);
    is_mended(&host, &old);
}

/// Two attempts that no search finds.
fn is_mended(host: &Host, old: &[String; 2]) {
    assert!(ids(&search(host, &[], "state=created")).is_empty());
    let new = create(host, "k3");
    assert_eq!(
        ids(&search(host, &[], "state=created")),
        std::slice::from_ref(&new)
    );
    let swept = host.sweep(SWEEP_KEY);
    assert_eq!(swept.json()["indexed"], 2, "{swept:?}");
    let mut found = ids(&search(host, &[], "state=created"));
    let mut all = [old.as_slice(), &[new]].concat();
    found.sort();
    all.sort();
    assert_eq!(found, all);
    assert_eq!(host.sweep(SWEEP_KEY).json()["indexed"], 0);
}

#[test]
fn a_row_that_cannot_be_read_fails_the_search_and_does_not_shorten_its_page() {
    let world = World::new(Mode::Sqlite);
    let mut host = world.host();
    let made = [create(&host, "k1"), create(&host, "k2")];
    assert_eq!(ids(&search(&host, &[], "state=created")).len(), 2);
    host.kill();
    world.damage_first_id();
    host.restart();
    let failed = search(&host, &[], "state=created");
    assert_eq!(
        (failed.status, failed.code().as_str()),
        (503, "STORE_UNAVAILABLE")
    );
    assert_eq!(host.get(&format!("/attempts/{}", made[1])).status, 200);
}

#[test]
fn a_key_value_store_has_nothing_to_search_in() {
    let world = World::new(Mode::Redis);
    let host = world.host();
    create(&host, "k1");
    let refused = search(&host, &[], "state=created");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (501, "SEARCH_UNSUPPORTED")
    );
    assert!(
        refused.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("sqlite")
    );
}
