//! Servers that race for one payment, and one that dies for good.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{KEYED, LOOK_UP_ONLY, PATIENCE, SERVERS, place};
use crate::http;
use crate::postgres::text;
use crate::server::ledger;

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
    assert_eq!(text(&records).trim(), "40");
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
        if ledger["captures"] == 1 && text(&status).trim() == "t" {
            assert_eq!(ledger["authorizations"], 1, "{ledger:#}");
            return;
        }
        assert!(Instant::now() < until, "{ledger:#}");
        thread::sleep(Duration::from_millis(100));
    }
}
