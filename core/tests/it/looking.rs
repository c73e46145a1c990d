//! Look-ups: any number of pages, all asked when the first one was; a look that failed shows nothing, and is no reason to hold a
//! payment for ever.

use pay_once_core::{AttemptId, Call, CallResult, Input, Millis, Outcome};
use serde_json::{Value, json};

use crate::support::{CREATE, DAY_MS, Kind, START_MS, Told, World, answered, timeout};

fn other(n: usize) -> Value {
    json!({"id": format!("pi_other{n}"), "amount": 1, "currency": "gbp", "status": "succeeded", "metadata": {}})
}

fn page(n: usize, has_more: bool) -> Told {
    Told::Instead(answered(
        200,
        json!({"data": [other(n)], "has_more": has_more}).to_string(),
    ))
}

/// An authorization whose answer was lost, at a PSP that has nothing but its list.
fn listed(keyed: bool) -> (World, AttemptId) {
    let mut world = World::new(Kind::StripeListed);
    if !keyed {
        world.psp_mut().capabilities.keyed_horizon_ms = None;
    }
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    (world, id)
}

/// Fires the timer of an attempt and tells each call that comes of it what `told` says, until no more call comes.
fn wake_and_tell(world: &mut World, id: AttemptId, mut told: impl FnMut(&Call) -> CallResult) {
    let mut calls = world.step(id, &Input::Wake).0;
    while let Some(call) = calls.pop() {
        let result = told(&call);
        let input = Input::Outcome(Box::new(Outcome { call, result }));
        calls.extend(world.step(id, &input).0);
    }
}

#[test]
fn a_busy_accounts_look_up_goes_on_over_any_number_of_pages() {
    let (mut world, id) = listed(false);
    let before = world.calls.len();
    for _ in 0..60 {
        if world.status(id) != "AUTHORIZING" {
            break;
        }
        world.script = (0..300).map(|n| page(n, n < 299)).collect();
        world.settle(id, 1);
    }
    assert_eq!(world.status(id), "DECLINED", "{:#?}", world.story(id));
    let urls: Vec<String> = world.calls[before..]
        .iter()
        .map(|call| call.http.url.clone())
        .collect();
    assert!(urls.len() > 300);
    // The window is that of the request, however long the wait: its last page and its first are of the same one.
    let window = |url: &String| {
        url.split("created")
            .skip(1)
            .map(|part| part.split('&').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(urls.iter().all(|url| window(url) == window(&urls[0])));
    assert!(
        urls.iter().all(|url| !url.contains("expand")),
        "lists expand nothing"
    );
}

/// The last page may come long after the first one was asked for: absence counts as of the first.
#[test]
fn all_pages_count_as_asked_when_the_first_one_was() {
    let (mut world, id) = listed(false);
    world.script.extend([page(1, true), Told::Hold]);
    world.settle(id, 1);
    let last = world.held.remove(0);
    world.now_ms += 10 * 60_000;
    world.outcome(last, answered(200, r#"{"data":[],"has_more":false}"#));
    assert_eq!(
        world.status(id),
        "AUTHORIZING",
        "it was asked before absence counts"
    );
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let (mut world, id) = listed(false);
    let too_large = || Told::Instead(CallResult::TooLarge { status: 200 });
    world.script.extend([too_large(), too_large(), page(1, false)]);
    let before = world.calls.len();
    world.settle(id, 1);
    let limits: Vec<&str> = world.calls[before..]
        .iter()
        .map(|call| {
            call.http
                .url
                .split("limit=")
                .nth(1)
                .unwrap()
                .split('&')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(limits, ["100", "10", "1"]);
}

/// What a list does not expand is read by its id: when the authorization lapses.
#[test]
fn the_charge_of_an_authorization_that_a_list_has_shown_is_read_by_its_id() {
    let mut world = World::new(Kind::Stripe);
    world.psp_mut().capabilities.keyed_horizon_ms = None;
    world.psp_mut().capabilities.addressable = true;
    world.psp_mut().timing.authorize_retry_ms = Millis::new(DAY_MS);
    let id = world.create();
    world.script.extend([Told::Truth, Told::Lost(timeout())]);
    world.op(id, "authorize", "k2");
    world.settle(id, 1);
    assert_eq!(world.status(id), "AUTHORIZED");
    // Made in one call, there is no id to read: the list shows it, and the read follows.
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "authorize", "k2");
    world.script.extend(std::iter::repeat_n(Told::Lost(timeout()), 3));
    for _ in 0..8 {
        if world.status(id) == "AUTHORIZED" {
            break;
        }
        world.settle(id, 1);
    }
    assert_eq!(world.status(id), "AUTHORIZED", "{:#?}", world.story(id));
    let last: Vec<&str> = world
        .calls
        .iter()
        .rev()
        .take(2)
        .map(|call| call.http.url.as_str())
        .collect();
    assert!(
        last[0].contains("/pi_3N00001?") && last[1].contains("payment_intents?limit"),
        "{last:?}"
    );
}

/// The key is good for a day: while looks fail, it is sent again now and then.
#[test]
fn while_looks_fail_the_key_is_sent_again() {
    let restricted = r#"{"error":{"type":"invalid_request_error","message":"'rak_payment_intent_read'"}}"#;
    for (status, said) in [(500, ""), (403, restricted)] {
        let (mut world, id) = listed(true);
        let mut sent = Vec::new();
        while world.now_ms < START_MS + 20 * 3_600_000 {
            let at_ms = world.due(id).expect("it goes on");
            world.now_ms = world.now_ms.max(at_ms);
            let now_ms = world.now_ms;
            wake_and_tell(&mut world, id, |call| {
                if call.moves_money {
                    sent.push(now_ms - START_MS);
                    return answered(500, "");
                }
                answered(status, said)
            });
        }
        assert!(
            sent.len() > 15 && sent.len() < 40,
            "{status}: {} sendings",
            sent.len()
        );
        let pauses: Vec<u64> = sent.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(pauses.last().unwrap() >= &3_000_000, "growing: {pauses:?}");
        assert!(!world.is_parked(id));
        // The PSP is back, and a look counts: nothing was authorized, and its customer is gone.
        world.settle(id, 3);
        assert_eq!(
            (world.status(id).as_str(), world.ledger.authorizations()),
            ("DECLINED", 0),
            "{status}"
        );
    }
}

/// The negative: a look that answered is repeated until it counts, and nothing is sent after it.
#[test]
fn a_look_that_answered_is_followed_by_no_sending() {
    let (mut world, id) = listed(true);
    world.psp_mut().timing.authorize_retry_ms = Millis::new(1_000);
    world.now_ms += 2_000;
    let before = world.money_calls;
    for _ in 0..100 {
        if world.status(id) != "AUTHORIZING" {
            break;
        }
        world.settle(id, 1);
    }
    assert_eq!(
        (world.status(id).as_str(), world.money_calls),
        ("DECLINED", before),
        "{:#?}",
        world.story(id)
    );
}

/// Past the horizon, and after a day of failed looks, an operator has to decide.
#[test]
fn a_day_of_failed_looks_past_the_horizon_is_an_operators() {
    for keyed in [true, false] {
        let (mut world, id) = listed(keyed);
        while !world.is_parked(id) {
            let at_ms = world.due(id).expect("it goes on until it is parked");
            world.now_ms = world.now_ms.max(at_ms);
            assert!(world.now_ms < START_MS + 3 * DAY_MS, "{keyed}");
            wake_and_tell(&mut world, id, |_| answered(500, ""));
        }
        assert!(
            world.now_ms >= START_MS + DAY_MS,
            "{keyed}: {}",
            world.now_ms - START_MS
        );
        assert!(
            world.record(id).entries().len() < 120,
            "{keyed}: {}",
            world.record(id).entries().len()
        );
    }
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    let mut marked = b"\xef\xbb\xbf".to_vec();
    marked.extend(br#"{"status":"approved","psp_reference":"t1","amount":2599,"currency":"GBP"}"#);
    world.script.push_back(Told::Instead(answered(200, marked)));
    assert_eq!(world.op(id, "authorize", "k2").status, 200);
}

/// Stripe says when sending the same again is no use, and when it is.
#[test]
fn stripe_should_retry_is_obeyed() {
    let with = |status: u16, value: &str, body: &str| CallResult::Answered {
        status,
        headers: vec![("stripe-should-retry".to_owned(), value.to_owned())],
        body: body.as_bytes().to_vec(),
    };
    // A 500 that is kept: the key is of no more use, a look is made.
    let mut world = World::new(Kind::StripeListed);
    let id = world.create();
    world.script.push_back(Told::Lost(with(500, "false", "{}")));
    world.op(id, "authorize", "k2");
    world.settle(id, 1);
    assert_eq!(
        (world.status(id).as_str(), world.money_calls),
        ("AUTHORIZED", 1),
        "{:#?}",
        world.story(id)
    );
    // A 400 that is to be tried again is no outcome.
    let mut world = World::new(Kind::StripeListed);
    let id = world.create();
    let error = r#"{"error":{"type":"card_error","code":"lock_timeout"}}"#;
    world.script.push_back(Told::Instead(with(400, "true", error)));
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    world.settle(id, 1);
    assert_eq!((world.status(id).as_str(), world.money_calls), ("AUTHORIZED", 2));
}

/// What the PSP's support asks for is in the timeline.
#[test]
fn the_request_id_is_on_record() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let call = world.held.remove(0);
    let CallResult::Answered { status, body, .. } = world.ledger.act(&call.http, world.now_ms) else {
        panic!("an answer");
    };
    let headers = vec![("request-id".to_owned(), "req_abc".to_owned())];
    world.outcome(
        call,
        CallResult::Answered {
            status,
            headers,
            body,
        },
    );
    let shown = world.get(id);
    let lines = shown["timeline"].as_array().unwrap();
    assert_eq!(lines.last().unwrap()["details"]["request_id"], "req_abc");
    assert_eq!(world.status(id), "AUTHORIZED");
    assert!(CREATE.contains("2599"));
}
