//! What adapters say and ask when something else than the machine fails (`docs/http.md`, “Errors”; `docs/store.md`, “Stores”).

use pay_once_core::limits::{PSP_ABSENT_RETRY_MS, SWAP_CONFLICTS_MAX, SWAPS_LOST_MAX};
use pay_once_core::{
    AttemptId, Entropy, Input, Outcome, Record, RecordError, RecordVersion, Reply, Response, RetryBudget,
    Routed, Status, Swap, Swapped, UnixMillis, body_bytes_max, body_did_not_arrive, handle, not_answered,
};

use crate::support::{CREATE, Kind, START_MS, Told, World, code, config, json, sign, timeout};

fn create(world: &World, headers: &[(&str, &str)]) -> (AttemptId, Input) {
    let mut all = vec![("idempotency-key", "k1")];
    all.extend(headers);
    match world.route("POST", "/attempts", &all, CREATE.as_bytes()) {
        Routed::Attempt { id, input } => (id, input),
        other => panic!("{other:?}"),
    }
}

fn webhook(world: &World, id: AttemptId) -> Input {
    let intent = serde_json::json!({"id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 2599,
        "amount_received": 2599, "currency": "gbp", "metadata": {"attempt_id": id.to_string()}});
    let body =
        serde_json::json!({"type": "payment_intent.succeeded", "data": {"object": intent}}).to_string();
    let signature = sign("whsec_test", START_MS / 1000, body.as_bytes());
    let headers = [("stripe-signature", signature.as_str())];
    match world.route("POST", "/webhooks/stripe", &headers, body.as_bytes()) {
        Routed::Attempt { input, .. } => input,
        other => panic!("{other:?}"),
    }
}

/// Status, code, and whether trying again may help.
fn seen(response: Option<Response>) -> (u16, String, bool) {
    let response = response.unwrap();
    let retryable = json(&response)["error"]["retryable"].as_bool().unwrap();
    (response.status, code(&response), retryable)
}

#[test]
fn an_outage_is_told_to_whoever_asked_and_never_as_an_outcome() {
    let world = World::new(Kind::Stripe);
    let (id, asked) = create(&world, &[]);
    for input in [asked, webhook(&world, id)] {
        assert_eq!(
            seen(input.store_unavailable()),
            (503, "STORE_UNAVAILABLE".to_owned(), true)
        );
        let (status, code, _) = seen(input.store_unsafe("it swaps twice"));
        assert_eq!((status, code.as_str()), (503, "STORE_UNSAFE"));
        let (status, code, _) = seen(input.record_refused(&RecordError::ChainBroken));
        assert_eq!((status, code.as_str()), (500, "RECORD_REFUSED"));
        for response in [
            input.store_unavailable(),
            input.store_unsafe("x"),
            input.record_refused(&RecordError::NotARecord),
        ] {
            assert_eq!(json(&response.unwrap())["error"]["safe_new_key"], false);
        }
    }
    // Nobody is waiting for these.
    assert!(Input::Wake.store_unavailable().is_none());
    assert!(Input::Wake.store_unsafe("x").is_none());
    assert!(Input::Wake.record_refused(&RecordError::ChainBroken).is_none());
}

#[test]
fn an_outage_wears_what_was_asked_for() {
    let world = World::new(Kind::Stripe);
    let (_, plain) = create(&world, &[]);
    let (_, problem) = create(&world, &[("accept", "application/problem+json")]);
    let of = |input: &Input, name: &str| {
        let response = input.store_unavailable().unwrap();
        let mut headers = response.headers.into_iter();
        headers.find(|(known, _)| *known == name).map(|(_, value)| value)
    };
    assert_eq!(of(&plain, "Content-Type").as_deref(), Some("application/json"));
    assert_eq!(
        of(&problem, "Content-Type").as_deref(),
        Some("application/problem+json")
    );
    assert_eq!(of(&plain, "Idempotency-Key").as_deref(), Some("k1"));
}

#[test]
fn what_an_adapter_cannot_finish_is_retried_with_the_same_key() {
    for response in [body_did_not_arrive(), not_answered()] {
        let error = &json(&response)["error"];
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("the same Idempotency-Key"),
            "{error}"
        );
        assert_eq!(error["safe_new_key"], false);
    }
    assert_eq!(body_did_not_arrive().status, 400);
    assert_eq!(not_answered().status, 503);
}

#[test]
fn a_webhook_may_be_larger_than_a_request() {
    let most = body_bytes_max("/attempts");
    assert_eq!(body_bytes_max("/charge?x=/webhooks/stripe"), most);
    assert_eq!(body_bytes_max("/nowhere"), most);
    assert!(body_bytes_max("/webhooks/stripe?x=1") > most);
}

#[test]
fn a_write_says_what_it_adds_and_becomes_a_swap() {
    let mut world = World::new(Kind::Stripe);
    let (id, input) = create(&world, &[]);
    let step = world.decide(id, None, &input);
    let write = step.write.as_ref().unwrap();
    assert_eq!(write.events(), ["attempt created"]);
    assert_eq!(
        (write.status(), write.is_final(), write.unwanted_effects()),
        (Status::Created, false, 0)
    );
    let swap = Swap::from(write);
    assert_eq!(
        (swap.id, swap.expected_version, swap.version),
        (id, None, RecordVersion::new(1))
    );
    assert_eq!(
        (swap.bytes, swap.wake_at_ms),
        (write.record.encode(), write.wake_at_ms)
    );
}

#[test]
fn a_write_that_ends_an_attempt_says_so_and_one_that_must_be_undone_is_counted() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    let call = world.held.remove(0);
    // The network authorized twice, and a look-up shows both.
    world.ledger.act(&call.http, world.now_ms);
    world.ledger.act(&call.http, world.now_ms);
    world.outcome(call, timeout());
    world.now_ms = world.due(id).unwrap();
    let (lookups, _) = world.step(id, &Input::Wake);
    let result = world.ledger.act(&lookups[0].http, world.now_ms);
    let outcome = Outcome {
        call: lookups[0].clone(),
        result,
    };
    let base = world.load(id);
    let step = world.decide(id, base.as_ref(), &Input::Outcome(Box::new(outcome)));
    let write = step.write.as_ref().unwrap();
    assert_eq!(
        (write.status(), write.is_final(), write.unwanted_effects()),
        (Status::Authorized, false, 1),
        "{:?}",
        write.events()
    );
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.script.push_back(Told::Hold);
    world.op(id, "capture", "k3");
    let call = world.held.remove(0);
    let result = world.ledger.act(&call.http, world.now_ms);
    let base = world.load(id);
    let step = world.decide(
        id,
        base.as_ref(),
        &Input::Outcome(Box::new(Outcome { call, result })),
    );
    let write = step.write.as_ref().unwrap();
    assert_eq!((write.status(), write.is_final()), (Status::Captured, true));
}

#[test]
fn what_was_never_dispatched_is_not_carried_on() {
    let config = config(Kind::Stripe);
    let id = AttemptId::from_bytes([1; 16]);
    assert_eq!(id.to_bytes(), [1; 16]);
    let step = handle(
        &config,
        id,
        None,
        &Input::Wake,
        UnixMillis::new(START_MS),
        Entropy(1),
    )
    .unwrap();
    assert!(step.write.is_none() && step.calls.is_empty() && step.wake_at_ms.is_none());
    assert!(matches!(step.reply, Reply::Nothing));
}

#[test]
fn a_swap_of_unknown_end_is_read_back_and_proved_by_its_dispatch_alone() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let created = world.record(id);
    world.op(id, "authorize", "k2");
    let authorized = world.record(id);
    // The dispatch has a name that nobody else could have given.
    let onto_created = Some(created.version());
    let read_back = |now: &Record, written, onto| Swapped::read_back(Some(now), written, onto);
    assert_eq!(
        read_back(&authorized, &authorized, onto_created),
        Swapped::Applied
    );
    // A creation has not: two servers may have written the same bytes.
    assert_eq!(read_back(&created, &created, None), Swapped::Conflict);
    assert_eq!(read_back(&authorized, &created, None), Swapped::Conflict);
    // What it was to replace is still there: lost, or yet to come.
    assert_eq!(read_back(&created, &authorized, onto_created), Swapped::Unknown);
    assert_eq!(Swapped::read_back(None, &created, None), Swapped::Unknown);
    // A record that is gone is nobody's to write over.
    assert_eq!(
        Swapped::read_back(None, &authorized, onto_created),
        Swapped::Conflict
    );
    let mut other = World::new(Kind::Stripe);
    let strange = other.create_with("k9", CREATE);
    assert!(!other.record(strange).grew_from(&created));
}

#[test]
fn a_step_is_tried_again_a_bounded_number_of_times() {
    let tries = |swapped| {
        let mut patience = RetryBudget::default();
        (1..).find_map(|tries| patience.record(swapped).map(|why| (tries, why)))
    };
    let others = "too many others wrote to this attempt at once";
    assert_eq!(tries(Swapped::Conflict), Some((SWAP_CONFLICTS_MAX, others)));
    assert_eq!(
        tries(Swapped::Unknown),
        Some((SWAPS_LOST_MAX, "it takes no writes"))
    );
}

/// Whatever is left to do of an attempt, its timer comes again until its PSP does.
#[test]
fn a_psp_that_is_gone_from_the_configuration_is_waited_for() {
    for under_way in [false, true] {
        let mut world = World::new(Kind::Stripe);
        let id = world.authorized();
        if under_way {
            world.script.push_back(Told::Hold);
            world.op(id, "capture", "k3");
        }
        let psps = std::mem::take(&mut world.config.psps);
        let due_ms = world.due(id).unwrap();
        world.wake_at(id, due_ms);
        assert_eq!(
            world.due(id),
            Some(due_ms + PSP_ABSENT_RETRY_MS.get()),
            "{under_way}"
        );
        world.config.psps = psps;
        world.settle(id, 3);
        assert_eq!(world.status(id), if under_way { "CAPTURED" } else { "EXPIRED" });
    }
    // The negative: of what has ended nothing is waited for.
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    world.op(id, "void", "k3");
    world.config.psps.clear();
    world.wake(id);
    assert_eq!(world.due(id), None);
}
