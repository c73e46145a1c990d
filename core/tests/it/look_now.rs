//! `docs/http.md`, “Look”: an operator has the PSP asked now.

use pay_once_core::{Action, AttemptId, CallResult, Entropy, Questions, Request, Response, Swapped, Turn};
use serde_json::Value;

use crate::support::{ADA, Kind, LOOKUP_LAG_MS, Told, World, answered, code, json, not_sent, text, timeout};

const DEMO: (&str, &str) = ("authorization", "Bearer nobody");

fn look(world: &mut World, id: AttemptId) -> Response {
    world.send("POST", &format!("/attempts/{id}/look"), &[], b"")
}

/// An authorization that was carried out and whose answer is lost.
fn in_doubt(kind: Kind) -> (World, AttemptId) {
    let mut world = World::new(kind);
    let id = world.create();
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "authorize", "k2");
    (world, id)
}

#[test]
fn a_look_finds_what_happened_before_recovery_asks() {
    for kind in [Kind::Stripe, Kind::StripeListed, Kind::AcquirerQueryable] {
        let (mut world, id) = in_doubt(kind);
        let now_ms = world.now_ms;
        let answer = look(&mut world, id);
        assert_eq!(answer.status, 200, "{kind:?}: {}", text(&answer));
        let shown = json(&answer);
        assert_eq!(shown["status"], "AUTHORIZED", "{kind:?}: {shown:#}");
        assert_eq!(shown["look"]["state"], "answered");
        assert_eq!(shown["look"]["found"], "authorized");
        assert_eq!(shown["look"]["is_new"], true);
        assert_eq!(shown["look"]["effects"][0]["amount"], 2599);
        assert!(shown["look"]["asked_at"].is_string());
        let last = shown["timeline"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["event"], "a look-up found: authorized", "{kind:?}");
        assert_eq!(world.now_ms, now_ms, "nothing was waited for");
    }
}

#[test]
fn a_look_that_shows_nothing_new_writes_nothing() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    // A read tells when the authorization lapses, which is news once.
    assert_eq!(look(&mut world, id).status, 200);
    let (writes, entries) = (world.writes, world.record(id).entries().len());
    let shown = json(&look(&mut world, id));
    assert_eq!(shown["look"]["is_new"], false, "{shown:#}");
    assert_eq!(shown["look"]["found"], "authorized");
    assert_eq!(
        (world.writes, world.record(id).entries().len()),
        (writes, entries)
    );
    assert_eq!(world.money_calls, 1);
}

/// A PSP that had no way to tell is given one: the parked operation ends by what the look shows.
#[test]
fn a_look_ends_a_parked_operation_if_it_shows_the_effect() {
    let (mut world, id) = in_doubt(Kind::Blind);
    world.settle(id, 3);
    assert!(world.is_parked(id));
    let refused = look(&mut world, id);
    assert_eq!((refused.status, code(&refused).as_str()), (409, "INVALID_STATE"));
    assert!(text(&refused).contains("no way to look"), "{}", text(&refused));
    assert_eq!(json(&refused)["error"]["attempt"]["operation"]["state"], "parked");

    world.psp_mut().capabilities.lookup_lag_ms = Some(pay_once_core::Millis::new(LOOKUP_LAG_MS));
    let shown = json(&look(&mut world, id));
    assert_eq!(shown["status"], "AUTHORIZED", "{shown:#}");
    assert_eq!(shown["operation"], Value::Null);
    assert_eq!(world.money_calls, 1);
}

/// However often it is asked and however late: absence ends nothing that is parked.
#[test]
fn a_look_that_shows_nothing_leaves_a_parked_operation_parked() {
    let mut world = World::new(Kind::Blind);
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    world.settle(id, 3);
    world.psp_mut().capabilities.lookup_lag_ms = Some(pay_once_core::Millis::new(LOOKUP_LAG_MS));
    for _ in 0..3 {
        world.now_ms += 3_600_000;
        let shown = json(&look(&mut world, id));
        assert_eq!(shown["look"]["found"], "nothing there", "{shown:#}");
        assert_eq!(shown["operation"]["state"], "parked");
    }
    assert_eq!(world.money_calls, 1);
}

#[test]
fn a_look_up_goes_on_over_its_pages_and_is_answered_with_the_last() {
    let (mut world, id) = in_doubt(Kind::StripeListed);
    let page = |more: bool| {
        let other = serde_json::json!({"id": "pi_other", "amount": 1, "currency": "gbp", "status": "succeeded", "metadata": {}});
        let page = serde_json::json!({"data": [other], "has_more": more});
        Told::Instead(answered(200, page.to_string()))
    };
    world.script.extend([page(true), Told::Truth]);
    let calls = world.calls.len();
    let answer = look(&mut world, id);
    assert_eq!(json(&answer)["status"], "AUTHORIZED", "{}", text(&answer));
    let urls: Vec<&str> = world.calls[calls..]
        .iter()
        .map(|call| call.http.url.as_str())
        .collect();
    assert!(
        urls.len() >= 2 && urls[1].contains("starting_after=pi_other"),
        "{urls:?}"
    );
}

#[test]
fn a_look_that_is_not_answered_is_told_and_shows_nothing() {
    for result in [timeout(), not_sent(), answered(500, "{}"), answered(401, "{}")] {
        let (mut world, id) = in_doubt(Kind::Stripe);
        let entries = world.record(id).entries().len();
        world.script.push_back(Told::Instead(result));
        let answer = look(&mut world, id);
        assert_eq!((answer.status, code(&answer).as_str()), (502, "PSP_READ_FAILED"));
        let error = json(&answer)["error"].clone();
        assert_eq!(
            (&error["retryable"], &error["safe_new_key"]),
            (&true.into(), &false.into())
        );
        assert_eq!(error["attempt"]["operation"]["name"], "authorize");
        assert_eq!(world.record(id).entries().len(), entries);
    }
}

#[test]
fn only_an_operator_who_may_read_looks() {
    let (mut world, id) = in_doubt(Kind::Stripe);
    let target = format!("/attempts/{id}/look");
    let calls = world.calls.len();
    let answer = world.send("POST", &target, &[DEMO], b"");
    assert_eq!((answer.status, code(&answer).as_str()), (403, "FORBIDDEN"));
    assert!(text(&answer).contains("role \\\"read\\\""), "{}", text(&answer));
    world
        .config
        .operators
        .get_mut("ada")
        .unwrap()
        .roles
        .remove(&pay_once_core::Role::Read);
    let answer = world.send("POST", &target, &[ADA], b"");
    assert!(
        text(&answer).contains("does not have the role"),
        "{}",
        text(&answer)
    );
    world.config.operators.clear();
    let answer = world.send("POST", &target, &[DEMO], b"");
    assert!(
        text(&answer).contains("No operators are configured"),
        "{}",
        text(&answer)
    );
    assert_eq!(world.calls.len(), calls, "the PSP was asked nothing");
}

#[test]
fn what_cannot_be_looked_at_is_refused_and_the_psp_is_asked_nothing() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let answer = look(&mut world, id);
    assert_eq!((answer.status, code(&answer).as_str()), (409, "INVALID_STATE"));
    assert!(
        text(&answer).contains("Nothing of this attempt was sent"),
        "{}",
        text(&answer)
    );
    let target = format!("/attempts/{id}/look");
    let answer = world.send("POST", &target, &[], br#"{"now": true}"#);
    assert_eq!((answer.status, code(&answer).as_str()), (400, "UNKNOWN_FIELD"));
    let answer = world.send("GET", &target, &[], b"");
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (405, "METHOD_NOT_ALLOWED")
    );
    let answer = world.send("POST", "/attempts/pa_00000000000000000000000000/look", &[], b"");
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (404, "ATTEMPT_NOT_FOUND")
    );
    assert!(world.calls.is_empty());
}

/// Carries a look out as an adapter does. Returns the answer and how often the PSP was asked.
fn turn(world: &mut World, id: AttemptId, questions: &mut Questions) -> (Response, usize) {
    let target = format!("/attempts/{id}/look");
    let headers: [(&str, &[u8]); 1] = [(ADA.0, ADA.1.as_bytes())];
    let request = Request {
        method: "POST",
        target: &target,
        headers: &headers,
        body: b"",
    };
    let mut turn = Turn::request(&world.config, &request, world.now());
    let (mut response, mut asked) = (None, 0);
    loop {
        match turn.next(world.now(), questions) {
            Action::Load => {
                let record = world.load(id);
                turn.loaded(&world.config, record.as_ref(), world.now(), Entropy(7));
            }
            Action::Read(call) => {
                asked += 1;
                let result: CallResult = world.ledger.act(&call.http, world.now_ms);
                turn.read(&world.config, &result, world.now());
            }
            Action::Swap => {
                let write = turn.write().unwrap().clone();
                let swapped = if world.commit(id, &write) {
                    Swapped::Applied
                } else {
                    Swapped::Conflict
                };
                turn.swapped(swapped, world.now());
            }
            Action::Reply(answer) => response = Some(answer),
            Action::Done => return (response.unwrap(), asked),
            // The list does not show when the authorization lapses: a read of recovery follows.
            Action::Committed(_) | Action::Note(_) | Action::Arm { .. } | Action::Perform(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_look_within_the_pause_is_answered_without_asking() {
    let (mut world, id) = in_doubt(Kind::Stripe);
    let mut questions = Questions::default();
    let (first, asked) = turn(&mut world, id, &mut questions);
    assert_eq!((first.status, asked), (200, 1), "{}", text(&first));
    assert_eq!(json(&first)["status"], "AUTHORIZED");
    world.now_ms += 1_999;
    let (second, asked) = turn(&mut world, id, &mut questions);
    assert_eq!((second.status, asked), (200, 0), "{}", text(&second));
    assert_eq!(json(&second)["look"], serde_json::json!({"state": "too_soon"}));
    world.now_ms += 1;
    let (third, asked) = turn(&mut world, id, &mut questions);
    assert_eq!((third.status, asked), (200, 1), "{}", text(&third));
}
