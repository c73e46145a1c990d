//! What a search finds in a database that servers share, and what their metrics say of all of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::postgres::Cluster;
use crate::search::found;
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(60);

fn server(cluster: &Cluster, psp: &str) -> Server {
    let arguments = [
        "--sandbox-psp",
        psp,
        "--sandbox-latency-ms",
        "0..0",
        "--store",
        &cluster.url,
    ];
    Server::start(&arguments)
}

fn until<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn every_server_finds_and_counts_what_a_dead_one_has_left() {
    let cluster = Cluster::migrated();
    let mut first = server(&cluster, "acquirer-blind");
    first.turn(&json!({"webhooks_enabled": false}));
    let id = first.create("k1", "pm_sandbox_500_after");
    let parked = first.post(&format!("/attempts/{id}/authorize"), "a", &Value::Null);
    assert_eq!(parked.status, 202, "{parked:?}");
    first.until(&id, LIMIT, |attempt| attempt["operation"]["state"] == "parked");
    first.kill();
    let second = server(&cluster, "acquirer-blind");
    assert_eq!(found(&second, "state=parked", 10), std::slice::from_ref(&id));
    assert_eq!(found(&second, "order_id=k1", 10), [id]);
    let parked = "pay_once_waiting_attempts{waits_for=\"operator\"} 1\n";
    until("it is counted", || {
        let metrics = second.ask_operators("/metrics");
        String::from_utf8(metrics.body)
            .unwrap()
            .contains(parked)
            .then_some(())
    });
}

#[test]
fn what_an_older_build_writes_is_found_a_little_later() {
    let cluster = Cluster::migrated();
    let server = server(&cluster, "stripe");
    let ids: Vec<String> = (0..3)
        .map(|n| server.create(&format!("k{n}"), "pm_card_visa"))
        .collect();
    // As a server of form 1 leaves rows: it inserts without the columns, and updates the version alone.
    let inserted = "UPDATE pay_once.records SET merchant = NULL, order_id = NULL, state = NULL, since_ms = NULL, indexed_version = NULL";
    assert!(cluster.psql(inserted).status.success());
    let updated = "UPDATE pay_once.records SET state = 'captured', indexed_version = version - 1 WHERE id = (SELECT id FROM pay_once.records ORDER BY id LIMIT 1)";
    assert!(cluster.psql(updated).status.success());
    let mut expected = ids;
    expected.sort();
    until("all are found", || {
        let mut known = found(&server, "state=created", 2);
        known.sort();
        (known == expected).then_some(())
    });
    assert!(found(&server, "state=captured", 2).is_empty());
}

#[test]
fn reindex_goes_through_all_records() {
    let cluster = Cluster::migrated();
    let server = server(&cluster, "stripe");
    let id = server.create("k1", "pm_card_visa");
    server.create("k2", "pm_card_visa");
    // No version tells of this.
    let wrong = cluster.psql("UPDATE pay_once.records SET order_id = 'k3' WHERE order_id = 'k1'");
    assert!(wrong.status.success());
    assert!(found(&server, "order_id=k1", 10).is_empty());
    for (changed, whose) in [(1, "the wrong one"), (0, "none")] {
        let said = cluster.pay_once(&["reindex"]);
        let said = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        let expected = format!("2 records; the search entries of {changed} were");
        assert!(said.contains(&expected), "{whose}: {said}");
    }
    assert_eq!(found(&server, "order_id=k1", 10), [id]);
}

/// Somebody who holds a lock on the table for some seconds, while `meanwhile` runs.
fn with_lock<T>(cluster: &Cluster, mode: &str, seconds: u32, meanwhile: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let held = scope.spawn(|| {
            let lock = format!("LOCK TABLE pay_once.records IN {mode} MODE; SELECT pg_sleep({seconds})");
            cluster.psql(&lock)
        });
        until("the lock is held", || {
            let found = cluster.psql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
            (!found.stdout.is_empty()).then_some(())
        });
        let done = meanwhile();
        assert!(held.join().unwrap().status.success());
        done
    })
}

#[test]
fn a_search_that_takes_too_long_is_ended_and_the_next_one_is_answered() {
    let cluster = Cluster::migrated();
    let server = server(&cluster, "stripe");
    let id = server.create("k1", "pm_card_visa");
    let refused = with_lock(&cluster, "ACCESS EXCLUSIVE", 4, || {
        server.get("/attempts?order_id=k1")
    });
    assert_eq!((refused.status, refused.code().as_str()), (503, "OVERLOADED"));
    assert!(
        refused.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("longer")
    );
    assert_eq!(found(&server, "order_id=k1", 10), [id]);
}

#[test]
fn a_migration_waits_for_a_reader_longer_than_for_a_lock() {
    let cluster = Cluster::migrated();
    let form_1 = "
        ALTER TABLE pay_once.records DROP COLUMN merchant, DROP COLUMN order_id, DROP COLUMN state, DROP COLUMN since_ms,
            DROP COLUMN indexed_version;
        UPDATE pay_once.meta SET value = '1' WHERE name = 'form'";
    assert!(cluster.psql(form_1).status.success());
    // A dump, or a report.
    let said = with_lock(&cluster, "ACCESS SHARE", 4, || cluster.pay_once(&["migrate"]));
    let text = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
    assert!(said.status.success(), "{text}");
    assert!(text.contains("has form 2 now; it had form 1"), "{text}");
}
