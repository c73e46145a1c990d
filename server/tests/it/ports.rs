//! The same loop over another transport, clock, store and PSP: swaps of unknown outcome, conflicts, outages, pauses
//! (`docs/rules.md`, rules 1–4; `docs/faults.md`).

use serde_json::{Value, json};
use tokio::task::LocalSet;

use crate::http::Answer;
use crate::world::{Does, World};

/// Runs a test on one thread, for a minute at most.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let limit = std::time::Duration::from_secs(60);
        tokio::time::timeout(limit, test).await.unwrap();
    });
}

pub(crate) fn order() -> Value {
    json!({"order_id": "o", "amount": 2599, "currency": "GBP"})
}

/// A manual payment whose client insists; gives the attempt's id and its answers.
async fn pay(world: &World) -> (String, Vec<Answer>) {
    let created = world.insist("/attempts", "create", &order()).await;
    assert!(matches!(created.status, 200 | 201), "{created:?}");
    let id = created.json()["attempt_id"].as_str().unwrap().to_owned();
    let mut answers = vec![created];
    for operation in ["authorize", "capture"] {
        let answer = world
            .insist(&format!("/attempts/{id}/{operation}"), operation, &Value::Null)
            .await;
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        answers.push(answer);
    }
    (id, answers)
}

#[test]
fn the_date_is_the_clocks() {
    run(async {
        let world = World::new(1, true);
        let answer = world.begin(0, "POST", "/attempts", "k", &order()).await.unwrap();
        assert_eq!(answer.header("Date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(answer.json()["created_at"], "1994-11-06T08:49:37Z");
        let health = world
            .begin(0, "GET", "/healthz", "k", &Value::Null)
            .await
            .unwrap();
        assert_eq!(health.header("Date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    });
}

/// Whatever becomes of any one of the five swaps: two calls, no more and no fewer, and five writes.
#[test]
fn each_swap_of_a_payment_goes_wrong_once() {
    for is_exclusive in [true, false] {
        for does in [Does::Conflict, Does::UnknownApplied, Does::UnknownLost] {
            for nth in 0..5 {
                run(async {
                    let world = World::new(1, is_exclusive);
                    let mut script = vec![Does::Well; nth];
                    script.push(does);
                    world.store.script(script);
                    let (id, answers) = pay(&world).await;
                    let case = format!("{does:?} at swap {nth}, exclusive: {is_exclusive}");
                    assert_eq!(
                        (world.psp.calls("authorize"), world.psp.calls("capture")),
                        (1, 1),
                        "{case}"
                    );
                    assert_eq!(world.store.writes(), 5, "{case}");
                    assert_eq!(answers[2].json()["status"], "CAPTURED", "{case}");
                    let again = world
                        .ask(
                            "POST",
                            &format!("/attempts/{id}/capture"),
                            "capture",
                            &Value::Null,
                        )
                        .await;
                    assert_eq!(
                        (again.is_replayed(), &again.body),
                        (true, &answers[2].body),
                        "{case}"
                    );
                });
            }
        }
    }
}

/// A swap that applies after it was read back as absent, or whose read-back fails: its dispatch may be nobody's, and
/// recovery takes it up. One effect each, whatever the number of calls.
#[test]
fn each_swap_of_a_payment_goes_wrong_badly() {
    for is_exclusive in [true, false] {
        for does in [Does::UnknownLate, Does::UnknownAppliedThenDown, Does::Slow(5_000)] {
            for nth in 0..5 {
                run(async {
                    let world = World::new(1, is_exclusive);
                    let mut script = vec![Does::Well; nth];
                    script.push(does);
                    world.store.script(script);
                    let (_, answers) = pay(&world).await;
                    let case = format!("{does:?} at swap {nth}, exclusive: {is_exclusive}");
                    assert_eq!(
                        (world.psp.effects("authorize"), world.psp.effects("capture")),
                        (1, 1),
                        "{case}"
                    );
                    assert_eq!(answers[2].json()["status"], "CAPTURED", "{case}");
                });
            }
        }
    }
}

/// A dispatch that became durable without its owner learning of it is taken up as soon as its time has come, though
/// no client asks again.
#[test]
fn a_dispatch_of_unknown_fate_is_not_forgotten() {
    run(async {
        let world = World::new(1, true);
        let created = world.insist("/attempts", "create", &order()).await;
        let id = created.json()["attempt_id"].as_str().unwrap().to_owned();
        // Past the scan of the start.
        world.pass(100).await;
        world.store.script([Does::UnknownAppliedThenDown]);
        let target = format!("/attempts/{id}/authorize");
        let answer = world.ask("POST", &target, "authorize", &Value::Null).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "STORE_UNAVAILABLE")
        );
        assert_eq!(answer.header("Retry-After"), Some("1"));
        assert_eq!(world.psp.calls("authorize"), 0, "nobody knew that it may be sent");
        for _ in 0..100 {
            world.pass(100).await;
        }
        assert_eq!(world.psp.effects("authorize"), 1, "after 10 s");
    });
}

/// The store is down just when a timer fires: the timer is not lost.
#[test]
fn a_timer_outlives_an_outage() {
    run(async {
        let world = World::new(1, true);
        let created = world.insist("/attempts", "create", &order()).await;
        let id = created.json()["attempt_id"].as_str().unwrap().to_owned();
        world.pass(100).await;
        world.psp.lose_answers(1);
        let target = format!("/attempts/{id}/authorize");
        let answer = world.ask("POST", &target, "authorize", &Value::Null).await;
        assert_eq!(answer.status, 202);
        // The next look, half a second after the loss, is a write that fails, and its read-back as well.
        world.store.script([Does::UnknownLost]);
        world.store.down(1);
        for _ in 0..100 {
            world.pass(100).await;
        }
        assert_eq!(
            (world.psp.calls("authorize"), world.psp.effects("authorize")),
            (2, 1),
            "after 10 s"
        );
    });
}

/// The PSP has answered, and the store is down: the answer is offered until it is taken, and no call is made twice.
#[test]
fn an_outcome_waits_for_the_store() {
    run(async {
        let world = World::new(1, true);
        let created = world.insist("/attempts", "create", &order()).await;
        let id = created.json()["attempt_id"].as_str().unwrap().to_owned();
        // The dispatch is written; its outcome is lost, and so are the next looks.
        world.store.script([Does::Well, Does::UnknownLost]);
        let target = format!("/attempts/{id}/authorize");
        let asked = world.begin(0, "POST", &target, "authorize", &Value::Null);
        world.store.down(0);
        while world.psp.calls("authorize") == 0 {
            tokio::task::yield_now().await;
        }
        world.store.down(4);
        for _ in 0..300 {
            world.pass(10).await;
        }
        assert!(matches!(asked.await.unwrap().status, 202 | 503));
        let answer = world.insist(&target, "authorize", &Value::Null).await;
        assert_eq!(answer.json()["status"], "AUTHORIZED");
        assert_eq!(world.psp.calls("authorize"), 1);
    });
}

/// An owner that was paused past `send_by` does not send; the same key goes out later.
#[test]
fn a_pause_past_the_window_sends_nothing() {
    run(async {
        let world = World::new(1, true);
        let created = world.insist("/attempts", "create", &order()).await;
        let id = created.json()["attempt_id"].as_str().unwrap().to_owned();
        world.store.script([Does::Slow(60_000)]);
        let asked = world.begin(0, "POST", &format!("/attempts/{id}/authorize"), "a", &Value::Null);
        for _ in 0..59 {
            world.pass(1_000).await;
        }
        assert_eq!(world.psp.calls("authorize"), 0);
        for _ in 0..10 {
            world.pass(500).await;
        }
        let answer = asked.await.unwrap();
        assert!(matches!(answer.status, 200 | 202), "{answer:?}");
        let answer = world
            .insist(&format!("/attempts/{id}/authorize"), "a", &Value::Null)
            .await;
        assert_eq!(answer.json()["status"], "AUTHORIZED");
        assert_eq!(
            (world.psp.calls("authorize"), world.psp.effects("authorize")),
            (1, 1)
        );
        let story = world
            .ask("GET", &format!("/attempts/{id}"), "-", &Value::Null)
            .await
            .json();
        let sent = story["timeline"].as_array().unwrap().iter();
        let sent: Vec<&Value> = sent.filter(|line| line["knowing"] == "dispatched").collect();
        assert_eq!(sent.len(), 2, "{story:#}");
        assert_eq!(sent[0]["details"]["psp_key"], sent[1]["details"]["psp_key"]);
    });
}

#[test]
fn a_store_that_is_down_is_a_503_and_no_call() {
    run(async {
        let world = World::new(1, true);
        world.store.down(1);
        let answer = world.ask("POST", "/charge", "c", &order()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "STORE_UNAVAILABLE")
        );
        assert_eq!((world.psp.calls("authorize"), world.store.writes()), (0, 0));
        let charged = world.insist("/charge", "c", &order()).await;
        assert_eq!(charged.json()["status"], "CAPTURED");
    });
}

#[test]
fn an_answer_lost_on_its_way_is_asked_for_under_the_same_key() {
    run(async {
        let world = World::new(1, true);
        world.psp.lose_answers(2);
        let (..) = pay(&world).await;
        assert_eq!(
            (world.psp.calls("authorize"), world.psp.effects("authorize")),
            (3, 1)
        );
        assert_eq!(world.psp.effects("capture"), 1);
    });
}

/// A create whose swap ended unknown is handled again: two servers that made the same record to the byte would both take
/// it for their own, and answer 201 twice (found by the simulator).
#[test]
fn a_create_of_unknown_end_is_no_first_answer() {
    run(async {
        let world = World::new(2, false);
        world.store.script([Does::UnknownApplied]);
        let answer = world.begin(0, "POST", "/attempts", "k", &order()).await.unwrap();
        assert_eq!((answer.status, answer.is_replayed()), (200, true));
        let again = world.begin(1, "POST", "/attempts", "k", &order()).await.unwrap();
        assert_eq!((again.status, again.body), (200, answer.body));
        assert_eq!(world.store.writes(), 1);
    });
}

/// Three servers share a store; every client is served by all of them at once.
#[test]
fn many_servers_make_one_effect() {
    run(async {
        let world = World::new(3, false);
        let created = world.insist("/attempts", "create", &order()).await;
        let id = created.json()["attempt_id"].as_str().unwrap().to_owned();
        for operation in ["authorize", "capture"] {
            let target = format!("/attempts/{id}/{operation}");
            let asked: Vec<_> = (0..12)
                .map(|n| {
                    // Under one key for the most part; every fourth comes with another.
                    let key = if n % 4 == 3 { "other" } else { operation };
                    world.begin(
                        n % 3,
                        "POST",
                        &target,
                        &format!("{key}-{operation}"),
                        &Value::Null,
                    )
                })
                .collect();
            let mut finals = Vec::new();
            for asked in asked {
                while !asked.is_finished() {
                    world.pass(10).await;
                }
                let answer = asked.await.unwrap();
                match answer.status {
                    200 => finals.push(answer.body),
                    202 => {}
                    409 => assert_eq!(answer.code(), "INVALID_STATE"),
                    _ => panic!("{answer:?}"),
                }
            }
            finals.dedup();
            assert!(finals.len() <= 1, "{finals:?}");
            for _ in 0..10 {
                world.pass(100).await;
            }
            assert_eq!(world.psp.calls(operation), 1, "{operation}");
        }
        assert_eq!(world.store.writes(), 5);
    });
}
