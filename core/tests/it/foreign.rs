//! Rule 13: an object that this installation did not make is left alone, whatever reference it carries.

use pay_once_core::journal::entry::Operation;
use pay_once_core::{AttemptId, CallResult, Millis};
use serde_json::{Value, json};

use crate::support::{CREATE, DAY_MS, Kind, START_MS, Told, World, answered, timeout};

/// A PaymentIntent that names the attempt, made at this time.
fn intent(id: AttemptId, object: &str, status: &str, amount: u64, created_ms: u64) -> Value {
    let received = if status == "succeeded" { amount } else { 0 };
    json!({"id": object, "object": "payment_intent", "status": status, "amount": amount, "amount_received": received,
        "currency": "gbp", "created": created_ms / 1000, "metadata": {"attempt_id": id.to_string()}})
}

fn event(object: &Value) -> Value {
    json!({"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {"object": object}})
}

fn list(objects: &[Value]) -> CallResult {
    answered(
        200,
        json!({"object": "list", "data": objects, "has_more": false}).to_string(),
    )
}

fn foreign(world: &mut World, id: AttemptId) -> usize {
    let told = |line: &&String| line.contains("this attempt did not make");
    world.story(id).iter().filter(told).count()
}

/// An attempt that was only created: nothing was sent, so nothing at the PSP is its own.
#[test]
fn evidence_never_changes_what_was_only_created() {
    for (amount, status) in [
        (5000, "succeeded"),
        (2599, "succeeded"),
        (2599, "requires_capture"),
        (5000, "requires_capture"),
    ] {
        let mut world = World::new(Kind::Stripe);
        let id = world.create();
        let object = intent(id, "pi_other", status, amount, world.now_ms);
        for _ in 0..3 {
            assert_eq!(world.webhook(&event(&object)).status, 200);
        }
        assert_eq!(
            (world.status(id).as_str(), world.calls.len()),
            ("CREATED", 0),
            "{amount} {status}"
        );
        assert_eq!(foreign(&mut world, id), 1, "noted once");
        // It stays foreign, also once something was sent.
        assert_eq!(world.op(id, "authorize", "k2").status, 200);
        world.webhook(&event(&object));
        assert_eq!(
            (world.status(id).as_str(), world.money_calls),
            ("AUTHORIZED", 1),
            "{amount} {status}"
        );
    }
}

/// Another installation's payment of the same name was refunded.
#[test]
fn what_was_made_before_the_first_dispatch_is_never_undone() {
    for kind in [Kind::Stripe, Kind::StripeListed, Kind::StripeNoKeys] {
        let mut world = World::new(kind);
        assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
        let id = *world.store.keys().next().unwrap();
        let (calls, before) = (world.calls.len(), world.record(id).state().capture.clone());
        let object = intent(id, "pi_other", "succeeded", 5000, START_MS - 3 * DAY_MS);
        world.webhook(&event(&object));
        assert_eq!(world.calls.len(), calls, "{kind:?}: nothing is undone");
        assert_eq!(world.record(id).state().capture, before);
        assert_eq!(foreign(&mut world, id), 1);
    }
}

/// The boundary: clock skew and one second, the PSP's unit of time, before the first dispatch.
#[test]
fn the_time_of_the_first_dispatch_decides() {
    for (age_ms, is_foreign) in [(3_000, false), (4_000, true)] {
        let mut world = World::new(Kind::Stripe);
        world.config.installation = "shop".to_owned();
        assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
        let id = *world.store.keys().next().unwrap();
        world.script.push_back(Told::Hold);
        let object = intent(id, "pi_other", "succeeded", 2599, START_MS - age_ms);
        world.webhook(&event(&object));
        assert_eq!(foreign(&mut world, id), usize::from(is_foreign), "{age_ms}");
        // What is ours and too many is undone (rule 8).
        assert_eq!(world.held.len(), usize::from(!is_foreign), "{age_ms}");
    }
}

/// A look that shows a foreign object proves no absence, and one that counts and still shows it is an operator's.
#[test]
fn a_look_that_shows_a_foreign_object_proves_nothing_and_is_parked_in_the_end() {
    let mut world = World::new(Kind::StripeListed);
    world.psp_mut().capabilities.keyed_horizon_ms = None;
    world.psp_mut().timing.authorize_retry_ms = Millis::new(DAY_MS);
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    let other = intent(id, "pi_other", "succeeded", 2599, START_MS - DAY_MS);
    for _ in 0..40 {
        if world.is_parked(id) {
            break;
        }
        world
            .script
            .push_back(Told::Instead(list(std::slice::from_ref(&other))));
        world.settle(id, 1);
    }
    assert!(world.is_parked(id), "{:#?}", world.story(id));
    assert_eq!(
        (world.status(id).as_str(), world.money_calls),
        ("AUTHORIZING", 1),
        "never sent again, never taken over"
    );
    assert!(
        world.get(id)["operation"]["reason"]
            .as_str()
            .unwrap()
            .contains("pi_other")
    );
    // Not before the look counts: 2 s to send, 120 s in flight, 5 s of lag, 2 s of skew.
    assert!(world.now_ms >= START_MS + 129_000);
}

/// Of what is done to the attempt's own object another object says nothing: a capture or release that was lost is proven absent and
/// sent again, beside an object that stays in the listing for ever (found by `explore`).
#[test]
fn a_foreign_object_keeps_no_capture_and_no_release_in_doubt() {
    for (operation, ends_as) in [("capture", "CAPTURED"), ("void", "VOIDED")] {
        let mut world = World::new(Kind::AcquirerQueryable);
        let id = world.authorized();
        let own = world.record(id).state().own_reference().unwrap().to_owned();
        world.script.push_back(Told::Instead(timeout()));
        world.op(id, operation, "k3");
        let made_s = |at_ms: u64| at_ms / 1000;
        let listing = json!({"authorize": [
                {"id": own, "amount": 2599, "created": made_s(START_MS)},
                {"id": "auth_other", "amount": 2599, "created": made_s(START_MS - DAY_MS)},
            ], "capture": [], "void": []});
        for _ in 0..40 {
            if world.dispatches(id, Operation::Capture).len() + world.dispatches(id, Operation::Void).len()
                > 1
            {
                break;
            }
            world
                .script
                .push_back(Told::Instead(answered(200, listing.to_string())));
            world.settle(id, 1);
        }
        world.settle(id, 10);
        assert_eq!(world.status(id), ends_as, "{:#?}", world.story(id));
        assert_eq!(foreign(&mut world, id), 1);
    }
}

/// Without a name of its own, an installation cannot tell an authorization of another amount from another one's.
#[test]
fn another_amount_is_released_by_a_named_installation_and_parked_by_one_without() {
    for (installation, parked) in [("shop", false), ("", true)] {
        let mut world = World::new(Kind::StripeListed);
        world.config.installation = installation.to_owned();
        world.psp_mut().capabilities.keyed_horizon_ms = None;
        let id = world.create();
        world.script.push_back(Told::Instead(timeout()));
        world.op(id, "authorize", "k2");
        let other = intent(id, "pi_other", "requires_capture", 99, world.now_ms + 1_000);
        world.script.extend([Told::Instead(timeout()), Told::Hold]);
        world.webhook(&event(&other));
        assert_eq!(
            world.is_parked(id),
            parked,
            "{installation:?} {:#?}",
            world.story(id)
        );
        if !parked {
            assert_eq!(world.status(id), "DECLINED");
            assert!(
                world
                    .calls
                    .iter()
                    .any(|call| call.http.url.ends_with("/pi_other/cancel"))
            );
        }
    }
}

/// What the answer to a dispatch names is ours, whatever its amount: an issuer may approve a part.
#[test]
fn an_answer_to_a_dispatch_is_about_an_object_of_ours() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let partial = json!({"status": "approved", "psp_reference": "t1", "amount": 600, "currency": "GBP"});
    world
        .script
        .extend([Told::Instead(answered(200, partial.to_string())), Told::Hold]);
    assert_eq!(world.post("/charge", "c1", CREATE).status, 402);
    assert_eq!(world.held.len(), 1, "it is released");
    assert!(world.held[0].http.url.ends_with("/void"));
}

/// Done by hand at the PSP, to an object of ours: evidence like any other.
#[test]
fn what_is_done_by_hand_to_an_object_of_ours_counts() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let object = intent(id, "pi_3N00001", "succeeded", 2599, START_MS - DAY_MS);
    world.webhook(&event(&object));
    assert_eq!(world.status(id), "CAPTURED");
}

/// An acquirer's capture belongs to the authorization that it names, and is as foreign as that.
#[test]
fn a_foreign_authorizations_capture_is_foreign_whenever_it_was_made() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    let old_s = (START_MS - DAY_MS) / 1000;
    let listing = json!({
        "authorize": [{"id": "t1", "amount": 2599, "created": old_s}],
        "capture": [{"id": "t2", "amount": 2599, "psp_reference": "t1", "created": START_MS / 1000 + 1}],
        "void": [],
    });
    world
        .script
        .push_back(Told::Instead(answered(200, listing.to_string())));
    world.settle(id, 1);
    assert_eq!(world.status(id), "AUTHORIZING", "{:#?}", world.story(id));
    assert_eq!(foreign(&mut world, id), 1);
}

/// `idempotency_error` proves nothing: the key may have been used before a loss of the store. A look that counts decides.
#[test]
fn a_key_that_the_psp_knows_with_another_request_is_looked_into_and_not_sent_again() {
    let reused = r#"{"error":{"type":"idempotency_error","message":"Keys for idempotent requests can only be used with the same parameters"}}"#;
    let mut world = World::new(Kind::StripeListed);
    world.psp_mut().timing.authorize_retry_ms = Millis::new(DAY_MS);
    let id = world.create();
    world.script.push_back(Told::Instead(answered(400, reused)));
    world.op(id, "authorize", "k2");
    for _ in 0..30 {
        if world.status(id) == "AUTHORIZED" {
            break;
        }
        world.settle(id, 1);
    }
    assert_eq!(world.status(id), "AUTHORIZED", "{:#?}", world.story(id));
    let numbers: Vec<u16> = world
        .dispatches(id, pay_once_core::journal::entry::Operation::Authorize)
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!(
        numbers,
        [1, 2],
        "the next number, once a look had proven the first without effect"
    );
    // Where no look is possible, it is parked at once.
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.create();
    let reused = r#"{"error":{"code":"idempotency_key_reuse","message":"No."}}"#;
    world.script.push_back(Told::Instead(answered(400, reused)));
    world.op(id, "authorize", "k2");
    world.settle(id, 2);
    assert!(world.is_parked(id));
    assert_eq!(world.money_calls, 1);
}

#[test]
fn installations_have_addresses_of_their_own() {
    let of = |installation: &str| AttemptId::derive(installation, "demo", "k1");
    assert_ne!(of("a"), of("b"));
    assert_ne!(of("a"), of(""));
    // The length keeps (“ab”, “c”) apart from (“a”, “bc”).
    assert_ne!(
        AttemptId::derive("ab", "c", "k"),
        AttemptId::derive("a", "bc", "k")
    );
    // What was there before there were names stays where it was.
    assert_eq!(of("").to_string(), "pa_53ZAG17EAJH38CW3EYFXPB6BGY");
    let mut world = World::new(Kind::Stripe);
    world.config.installation = "shop".to_owned();
    let id = world.create();
    assert_eq!(id, AttemptId::derive("shop", "demo", "k1"));
    assert_eq!(
        &*world.record(id).state().installation,
        "shop",
        "read back from its bytes"
    );
    assert_eq!(world.writes, 1, "no write more");
}
