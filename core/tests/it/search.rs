//! `GET /attempts`: who finds what, in which order, page by page.

use pay_once_core::{Ask, AttemptId, IndexEntry, Place, Response, Search, SearchState, UnixMillis, Walk};
use serde_json::Value;

use crate::support::{ADA, CREATE, Kind, START_MS, Told, World, closed, code, json, not_sent, timeout};

const DEMO: (&str, &str) = ("authorization", "Bearer mk_demo");
const OTHER: (&str, &str) = ("authorization", "Bearer mk_other");

fn search(world: &mut World, who: (&str, &str), query: &str) -> Response {
    world.send("GET", &format!("/attempts?{query}"), &[who], b"")
}

/// The page, which must be one.
fn page(world: &mut World, who: (&str, &str), query: &str) -> Value {
    let response = search(world, who, query);
    assert_eq!(response.status, 200, "{query}: {response:?}");
    json(&response)
}

fn ids(page: &Value) -> Vec<String> {
    let attempts = page["attempts"].as_array().unwrap();
    let id = |attempt: &Value| attempt["attempt_id"].as_str().unwrap().to_owned();
    attempts.iter().map(id).collect()
}

fn create(world: &mut World, who: (&str, &str), key: &str, order: &str) -> AttemptId {
    let body = CREATE.replace("ord_123", order);
    let headers = [who, ("idempotency-key", key)];
    let response = world.send("POST", "/attempts", &headers, body.as_bytes());
    assert_eq!(response.status, 201, "{response:?}");
    AttemptId::parse(json(&response)["attempt_id"].as_str().unwrap()).unwrap()
}

fn authorize(world: &mut World, who: (&str, &str), id: AttemptId) {
    let headers = [who, ("idempotency-key", "a")];
    world.send("POST", &format!("/attempts/{id}/authorize"), &headers, b"");
}

fn two_shops() -> World {
    World::with(closed(Kind::Stripe), Kind::Stripe)
}

#[test]
fn an_attempt_is_found_by_what_it_waits_for_and_otherwise_by_its_status() {
    let mut world = World::new(Kind::Blind);
    let created = world.create_with("k1", CREATE);
    let authorized = world.create_with("k2", CREATE);
    world.op(authorized, "authorize", "a");
    let captured = world.create_with("k3", CREATE);
    world.op(captured, "authorize", "a");
    world.op(captured, "capture", "c");
    let voided = world.create_with("k4", CREATE);
    world.op(voided, "authorize", "a");
    world.op(voided, "void", "v");
    let declined = world.create_with("k5", &CREATE.replace("visa", "declined"));
    world.op(declined, "authorize", "a");
    let unsent = world.create_with("k6", CREATE);
    world.script.push_back(Told::Instead(not_sent()));
    world.op(unsent, "authorize", "a");
    let parked = world.create_with("k7", CREATE);
    world.script.push_back(Told::Lost(timeout()));
    world.op(parked, "authorize", "a");
    world.settle(parked, 50);
    assert!(world.is_parked(parked));
    for (state, id) in [
        ("created", created),
        ("authorized", authorized),
        ("captured", captured),
        ("voided", voided),
        ("declined", declined),
        ("unsent", unsent),
        ("parked", parked),
    ] {
        let found = page(&mut world, ("x", ""), &format!("state={state}"));
        assert_eq!(ids(&found), [id.to_string()], "{state}");
        assert_eq!(found["attempts"][0]["state"], state);
        assert_eq!(
            found["attempts"][0]["merchant"],
            Value::Null,
            "a merchant knows its name"
        );
        assert_eq!(found["next"], Value::Null, "the last page");
    }
    for state in ["in_doubt", "requires_action", "expired"] {
        let found = page(&mut world, ("x", ""), &format!("state={state}"));
        assert!(ids(&found).is_empty(), "{state}");
    }
}

#[test]
fn a_merchant_finds_its_own_attempts_and_an_operator_those_of_all() {
    let mut world = two_shops();
    let ours = create(&mut world, DEMO, "k1", "ord_1");
    let theirs = create(&mut world, OTHER, "k1", "ord_1");
    for query in ["state=created", "order_id=ord_1", "order_id=ord_1&state=created"] {
        assert_eq!(ids(&page(&mut world, DEMO, query)), [ours.to_string()], "{query}");
        assert_eq!(
            ids(&page(&mut world, OTHER, query)),
            [theirs.to_string()],
            "{query}"
        );
        let all = page(&mut world, ADA, query);
        assert_eq!(ids(&all), [ours.to_string(), theirs.to_string()], "{query}");
        assert_eq!(all["attempts"][1]["merchant"], "other");
    }
    let nobody = world.send("GET", "/attempts?state=created", &[], b"");
    assert_eq!(nobody.status, 401);
    world.config.operators.get_mut("ada").unwrap().roles.clear();
    let refused = search(&mut world, ADA, "state=created");
    assert_eq!((refused.status, code(&refused)), (403, "FORBIDDEN".to_owned()));
}

#[test]
fn pages_have_each_attempt_once_and_the_oldest_first() {
    let mut world = two_shops();
    let mut made: Vec<String> = (0..7)
        .map(|n| {
            world.now_ms += 1_000;
            create(&mut world, DEMO, &format!("k{n}"), &format!("ord_{n}")).to_string()
        })
        .collect();
    made.push(create(&mut world, OTHER, "k", "ord").to_string());
    let walk = |world: &mut World, who, what: &str| {
        let (mut found, mut query, mut pages) = (Vec::new(), what.to_owned(), 0);
        loop {
            let page = page(world, who, &query);
            found.extend(ids(&page));
            pages += 1;
            match page["next"].as_str() {
                Some(next) => query = format!("{what}&after={next}"),
                None => return (found, pages),
            }
        }
    };
    assert_eq!(walk(&mut world, ADA, "state=created&limit=3"), (made.clone(), 3));
    assert_eq!(walk(&mut world, ADA, "state=created&limit=8"), (made.clone(), 1));
    assert_eq!(
        walk(&mut world, DEMO, "state=created&limit=3"),
        (made[..7].to_vec(), 3)
    );
    // A cursor of an operator's page does not lead a merchant to others.
    let after = page(&mut world, ADA, "state=created&limit=7")["next"]
        .as_str()
        .unwrap()
        .to_owned();
    let query = format!("state=created&after={after}");
    assert!(ids(&page(&mut world, DEMO, &query)).is_empty());
    for n in 0..3 {
        create(&mut world, DEMO, &format!("more{n}"), "ord_0");
    }
    let (found, pages) = walk(&mut world, DEMO, "order_id=ord_0&limit=1");
    assert_eq!((found.len(), pages), (4, 4));
}

#[test]
fn older_than_counts_from_the_time_when_the_state_began() {
    let mut world = two_shops();
    let id = create(&mut world, DEMO, "k1", "ord_1");
    world.now_ms += 60_000;
    authorize(&mut world, DEMO, id);
    world.now_ms += 9_000;
    let found = page(&mut world, DEMO, "state=authorized&older_than_s=9");
    assert_eq!(ids(&found), [id.to_string()]);
    let since = UnixMillis::new(START_MS + 60_000);
    let told = found["attempts"][0]["state_since"].as_str().unwrap();
    assert_eq!(told, pay_once_core::base::time::rfc3339_ms(since));
    let younger = page(&mut world, DEMO, "state=authorized&older_than_s=10");
    assert!(ids(&younger).is_empty());
}

#[test]
fn a_search_that_cannot_be_read_is_refused_with_its_parameter() {
    let mut world = two_shops();
    for (query, word, field) in [
        ("", "MISSING_FIELD", "state"),
        ("limit=5", "MISSING_FIELD", "state"),
        ("state=open", "INVALID_FIELD", "state"),
        ("state=PARKED", "INVALID_FIELD", "state"),
        ("state=parked&state=created", "INVALID_FIELD", "state"),
        ("order_id=", "INVALID_FIELD", "order_id"),
        ("order_id=a%00b", "INVALID_FIELD", "order_id"),
        ("state=parked&limit=0", "INVALID_FIELD", "limit"),
        ("state=parked&limit=101", "INVALID_FIELD", "limit"),
        ("state=parked&limit=%2B5", "INVALID_FIELD", "limit"),
        ("state=parked&older_than_s=-1", "INVALID_FIELD", "older_than_s"),
        ("state=parked&older_than_s=1e3", "INVALID_FIELD", "older_than_s"),
        ("state=parked&after=nonsense", "INVALID_FIELD", "after"),
        ("state=parked&after=", "INVALID_FIELD", "after"),
        ("state=parked&merchant=other", "UNKNOWN_FIELD", "merchant"),
    ] {
        let refused = search(&mut world, DEMO, query);
        assert_eq!(
            (refused.status, code(&refused)),
            (400, word.to_owned()),
            "{query}"
        );
        assert_eq!(json(&refused)["error"]["field"], field, "{query}");
    }
    let long = format!("order_id={}", "é".repeat(256));
    assert_eq!(search(&mut world, DEMO, &long).status, 400);
    let longest = format!("order_id={}", "é".repeat(255));
    assert_eq!(search(&mut world, DEMO, &longest).status, 200);
}

#[test]
fn any_order_id_is_found_again() {
    let mut world = two_shops();
    for (key, order, query) in [
        ("k1", "a b&c=d", "a%20b%26c%3Dd"),
        ("k2", "100 % ü/…", "100+%25+%C3%BC%2F%E2%80%A6"),
    ] {
        let id = create(&mut world, DEMO, key, order);
        let found = page(&mut world, DEMO, &format!("order_id={query}"));
        assert_eq!(ids(&found), [id.to_string()], "{order}");
        assert_eq!(found["attempts"][0]["order_id"], order);
    }
}

#[test]
fn a_search_has_no_effect_and_its_head_is_that_of_the_get() {
    let mut world = two_shops();
    let id = create(&mut world, DEMO, "k1", "ord_1");
    world.script.push_back(Told::Lost(timeout()));
    authorize(&mut world, DEMO, id);
    let before = (world.writes, world.calls.len(), world.store.clone());
    let got = search(&mut world, DEMO, "order_id=ord_1");
    assert_eq!(json(&got)["attempts"][0]["state"], "in_doubt");
    let head = world.send("HEAD", "/attempts?order_id=ord_1", &[DEMO], b"");
    assert_eq!(
        (head.status, &head.headers, &head.body),
        (200, &got.headers, &got.body)
    );
    assert_eq!((world.writes, world.calls.len(), world.store.clone()), before);
}

/// An index may be behind, and a store may have the rows of an older index.
#[test]
fn a_row_that_is_not_what_was_searched_for_is_left_out() {
    let mut world = two_shops();
    let ours = create(&mut world, DEMO, "k1", "ord_1");
    let theirs = create(&mut world, OTHER, "k1", "ord_1");
    let routed = world.route("GET", "/attempts?state=created", &[DEMO], b"");
    let pay_once_core::Routed::Search(pending) = routed else {
        panic!("a search");
    };
    let found = pay_once_core::Found {
        records: [ours, theirs].map(|id| world.record(id)).into(),
        next: Some("more".to_owned()),
    };
    let page = json(&pending.answer(&world.config, Ok(found), world.now()));
    assert_eq!(ids(&page), [ours.to_string()]);
    assert_eq!(page["next"], "more", "the page is shorter, and not the last one");
}

#[test]
fn a_cursor_is_read_as_it_was_written() {
    let entry = IndexEntry {
        merchant: "a.b c".into(),
        order_id: None,
        state: SearchState::Parked,
        since_ms: UnixMillis::new(77),
    };
    let place = Place::of(&entry, AttemptId::from_bytes([9; 16]));
    assert_eq!(Place::read(&place.cursor()), Some(place));
    for bad in [
        "",
        "77",
        "77.pa_00000000000000000000000000.a\0",
        "77.pa_x.shop",
        "x.pa_00000000000000000000000000.shop",
    ] {
        assert_eq!(Place::read(bad), None, "{bad}");
    }
}

/// Of many merchants none may have what an operator searches for: a page ends after a hundred, and says where it goes on.
#[test]
fn a_page_looks_at_so_many_merchants_and_no_more() {
    let names: Vec<String> = (0..250).map(|n| format!("merchant-{n:03}")).collect();
    let (mut after, mut asked, mut pages) = (None, Vec::new(), 0);
    loop {
        let query = match &after {
            Some(after) => format!("state=parked&older_than_s=60&after={after}"),
            None => "state=parked&older_than_s=60".to_owned(),
        };
        let search = Search::read(&query, None, UnixMillis::new(START_MS)).unwrap();
        let mut walk = Walk::new(search).unwrap();
        while let Some(ask) = walk.next().cloned() {
            match ask {
                Ask::Merchant { after } => {
                    let next = names.iter().find(|name| **name > after);
                    walk.found_merchant(next.cloned());
                }
                Ask::Rows { merchant, range } => {
                    // Where a page goes on, nothing of the merchant before is left.
                    if range.after_id.is_empty() {
                        asked.push(merchant);
                    }
                    walk.found_rows(Vec::new());
                }
            }
        }
        let page = walk.page();
        assert!(page.records.is_empty());
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(asked, names, "each merchant is looked at once");
    assert_eq!(pages, 3);
}
