//! `docs/store.md`, “Copies”: a final answer never changes, so any copy of the record may give it. The other answers come from
//! the record itself.

use pay_once_core::{AttemptId, Input, Record, Response, Routed, finalized, may_be_finalized};

use crate::support::{CREATE, Kind, World, config};

/// What is asked: target, key (none for a read), body.
type Ask = (String, Option<&'static str>, &'static str);

fn input(world: &World, (target, key, body): &Ask) -> Input {
    let (method, headers) = match key {
        Some(key) => ("POST", vec![("idempotency-key", *key)]),
        None => ("GET", vec![]),
    };
    match world.route(method, target, &headers, body.as_bytes()) {
        Routed::Attempt { input, .. } => input,
        other => panic!("{target}: {other:?}"),
    }
}

fn asks(id: AttemptId) -> Vec<Ask> {
    let of = |operation: &str| format!("/attempts/{id}/{operation}");
    vec![
        ("/attempts".to_owned(), Some("k1"), CREATE),
        (
            "/attempts".to_owned(),
            Some("k1"),
            r#"{"order_id":"other","amount":1,"currency":"GBP"}"#,
        ),
        (of("authorize"), Some("k2"), ""),
        (of("authorize"), Some("k1"), ""),
        (of("capture"), Some("k3"), ""),
        (of("capture"), Some("k3"), r#"{"amount":7}"#),
        (of("capture"), Some("k4"), ""),
        (of("void"), Some("k5"), ""),
        (format!("/attempts/{id}"), None, ""),
    ]
}

/// Every version of the record of one manual payment, oldest first.
fn versions(world: &mut World) -> (AttemptId, Vec<Record>) {
    let id = world.create();
    let mut versions = vec![world.record(id)];
    for (operation, key) in [("authorize", "k2"), ("capture", "k3")] {
        world.op(id, operation, key);
        versions.push(world.record(id));
    }
    (id, versions)
}

#[test]
fn whatever_a_copy_answers_the_record_answers_too() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let (id, versions) = versions(&mut world);
        let mut answered = 0;
        for ask in asks(id) {
            let (method, headers) = match ask.1 {
                Some(key) => ("POST", vec![("idempotency-key", key)]),
                None => ("GET", vec![]),
            };
            let before = world.writes;
            let truth: Response = world.send(method, &ask.0, &headers, ask.2.as_bytes());
            assert_eq!(world.writes, before, "{ask:?} is a replay, a read or refused");
            for copy in &versions {
                let Some(answer) = finalized(id, copy, &input(&world, &ask)) else {
                    continue;
                };
                assert_eq!(answer, truth, "{kind:?} {ask:?} from version {}", copy.version());
                answered += 1;
            }
        }
        // The create from three versions, authorize from two, capture and the read from the last.
        assert_eq!(answered, 7, "{kind:?}");
    }
}

#[test]
fn a_copy_is_looked_at_for_whatever_it_may_answer_but_a_create() {
    let mut world = World::new(Kind::Stripe);
    let (id, versions) = versions(&mut world);
    let last = versions.last().unwrap();
    for ask in asks(id) {
        let input = input(&world, &ask);
        let is_create = ask.0 == "/attempts";
        assert_eq!(may_be_finalized(&input), !is_create, "{ask:?}");
    }
    assert!(!may_be_finalized(&Input::Wake));
    // Where a copy is all there is (the store is gone), it answers the create as well.
    let create = input(&world, &asks(id)[0]);
    assert_eq!(
        finalized(id, last, &create).map(|response| response.status),
        Some(200)
    );
}

#[test]
fn a_copy_gives_nothing_to_strangers_and_nothing_to_what_may_change() {
    let mut world = World::new(Kind::Stripe);
    let (id, versions) = versions(&mut world);
    let last = versions.last().unwrap();
    let settles = |target: String, key: Option<&'static str>, body: &'static str| {
        let input = input(&world, &(target, key, body));
        finalized(id, last, &input).map(|response| response.status)
    };
    let at = |operation: &str| format!("/attempts/{id}{operation}");
    assert_eq!(settles(at(""), None, ""), Some(200));
    assert_eq!(settles(at("/capture"), Some("k3"), ""), Some(200));
    // Another key, another body, another operation under the key: the record itself refuses them.
    assert_eq!(settles(at("/capture"), Some("k9"), ""), None);
    assert_eq!(settles(at("/capture"), Some("k3"), r#"{"amount":1}"#), None);
    assert_eq!(settles(at("/void"), Some("k3"), ""), None);
    // Evidence is always taken in.
    assert!(finalized(id, last, &Input::Wake).is_none());
    // A read of what is not final changes.
    let read = input(&world, &(at(""), None, ""));
    assert!(
        versions[..2]
            .iter()
            .all(|copy| finalized(id, copy, &read).is_none())
    );

    // Another merchant's request, with the very same key.
    let mut other = config(Kind::Stripe);
    let merchant = other.merchants.values().next().unwrap().clone();
    other.merchants.insert("stranger".to_owned(), merchant);
    other.open_merchant = Some("stranger".to_owned());
    let strange = World::with(other, Kind::Stripe);
    for ask in [(at(""), None, ""), (at("/capture"), Some("k3"), "")] {
        assert!(finalized(id, last, &input(&strange, &ask)).is_none(), "{ask:?}");
    }
}
