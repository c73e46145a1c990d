//! Rule 16, continued: what follows after the first look, from a lost key, and for operators.

use serde_json::json;

use crate::restored::{HOUR_MS, Known, Truth, ask_again, back_up, lost, rest, restore};
use crate::support::{CREATE, Kind, Told, World, text, timeout};

/// What has ended is not changed, and a question writes nothing.
#[test]
fn what_has_ended_in_the_backup_stays_as_it_is() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    let backup = back_up(&world);
    restore(&mut world, &backup, HOUR_MS);
    world.settle(id, 5);
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    world.get(id);
    assert_eq!(world.store, backup.records);
}

/// A second restore is another loss, also of what the first one made suspect.
#[test]
fn a_second_loss_makes_suspect_again() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let backup = back_up(&world);
    restore(&mut world, &backup, HOUR_MS);
    world.now_ms += 10 * 60_000;
    let id = world.authorized();
    let second = back_up(&world);
    world.now_ms += 1_000;
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    restore(&mut world, &second, HOUR_MS);
    assert_eq!(world.op(id, "capture", "k3").status, 200);
    assert_eq!(world.ledger.captures(), 1, "{:#?}", world.story(id));
}

/// An operator looks a parked release up, and finds the capture of the lost time: that is said as what it is, and nothing is released.
#[test]
fn an_operator_may_find_a_capture_where_a_release_is_parked() {
    for needs in [1, 2] {
        let (mut world, id, backup) = lost(Kind::Blind, Known::Authorized, Truth::Captured).unwrap();
        world.config.resolve_needs = needs;
        restore(&mut world, &backup, HOUR_MS);
        let sent = world.money_calls;
        assert_eq!(world.op(id, "void", "k4").status, 202);
        assert!(world.is_parked(id));
        let generation = world.get(id)["operation"]["generation"].clone();
        let said = json!({"reason": "the books", "operation": "capture", "generation": generation, "outcome": "happened",
            "psp_reference": "cap_9"});
        let target = format!("/attempts/{id}/resolve");
        for (operator, key) in [("ok_ada", "r1"), ("ok_grace", "r2")]
            .into_iter()
            .take(needs.into())
        {
            let bearer = format!("Bearer {operator}");
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
            let response = world.send("POST", &target, &headers, said.to_string().as_bytes());
            let is_last = needs == 1 || key == "r2";
            assert_eq!(
                response.status,
                if is_last { 200 } else { 202 },
                "{}",
                text(&response)
            );
        }
        assert_eq!((world.status(id).as_str(), world.money_calls), ("CAPTURED", sent));
        // Of a release that was sent since, nothing but the release can be said.
        let mut world = World::new(Kind::Blind);
        let id = world.authorized();
        world.script.push_back(Told::Instead(timeout()));
        world.op(id, "void", "k4");
        world.settle(id, 2);
        let said = world.word(id, json!({"reason": "r", "outcome": "happened"}));
        let said = said.replace("\"void\"", "\"capture\"");
        assert_eq!(
            world.post(&format!("/attempts/{id}/resolve"), "r1", &said).status,
            409
        );
    }
}

/// A PSP whose objects are read by id, and not listed: without the id only a key tells.
#[test]
fn where_objects_are_not_listed_only_a_key_tells_of_a_lost_id() {
    for (kind, prepares) in [
        (Kind::Stripe, false),
        (Kind::Stripe, true),
        (Kind::StripeNoKeys, true),
    ] {
        for known in [Known::Absent, Known::Created, Known::Authorized] {
            let mut world = World::new(kind);
            let capabilities = &mut world.psp_mut().capabilities;
            (capabilities.lookup_lag_ms, capabilities.prepare_first) = (None, prepares);
            let mut backup = back_up(&world);
            let id = world.create();
            if known != Known::Absent {
                backup = back_up(&world);
            }
            assert_eq!(world.op(id, "authorize", "k2").status, 200);
            if known == Known::Authorized {
                backup = back_up(&world);
            }
            world.now_ms += 60_000;
            assert_eq!(world.op(id, "capture", "k3").status, 200);
            restore(&mut world, &backup, HOUR_MS);
            ask_again(&mut world);
            let what = format!("{kind:?} {prepares} {known:?}: {:#?}", world.story(id));
            assert_eq!(
                (world.ledger.authorizations(), world.ledger.captures()),
                (1, 1),
                "{what}"
            );
            let is_found = known == Known::Authorized || kind == Kind::Stripe;
            assert_eq!(
                (world.status(id) == "CAPTURED", world.is_parked(id)),
                (is_found, !is_found),
                "{what}"
            );
        }
    }
}

/// A key that is not known after a restore is told what was done, if that is what it asks for. One that asks for something else is
/// refused as ever.
#[test]
fn a_lost_key_is_told_what_was_done_under_it() {
    let (mut world, id, backup) = lost(Kind::Stripe, Known::Created, Truth::Captured).unwrap();
    restore(&mut world, &backup, HOUR_MS);
    assert_eq!(world.op(id, "authorize", "k2").status, 200);
    assert_eq!(world.status(id), "CAPTURED");
    let part = world.post(&format!("/attempts/{id}/capture"), "k9", r#"{"amount":1000}"#);
    assert_eq!(part.status, 409, "{}", text(&part));
    let first = world.op(id, "capture", "k3");
    assert_eq!(first.status, 200, "{}", text(&first));
    let again = world.op(id, "capture", "k3");
    assert_eq!((again.status, &again.body), (200, &first.body));
    for (operation, key) in [("authorize", "k5"), ("capture", "k6"), ("void", "k7")] {
        assert_eq!(
            world.op(id, operation, key).status,
            409,
            "{operation}: it is known who asked"
        );
    }
    // Without a restore nobody's capture is somebody else's outcome.
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    assert_eq!(world.op(id, "authorize", "k5").status, 409);
    assert_eq!(world.op(id, "void", "k6").status, 200);
    assert_eq!(world.op(id, "void", "k7").status, 409);
}

/// What was made in the time of the loss was written in the newest wire form, whatever form a journal without dispatches has.
#[test]
fn the_amount_of_a_lost_object_is_read_in_the_units_that_it_was_written_in() {
    let mut world = World::new(Kind::StripeListed);
    let backup = back_up(&world);
    // Stripe counts a króna in hundredths.
    let body = CREATE.replace("GBP", "ISK");
    assert_eq!(world.post("/charge", "c1", &body).status, 200);
    let id = *world.store.keys().next().unwrap();
    restore(&mut world, &backup, HOUR_MS);
    assert_eq!(
        world.post("/charge", "c1", &body).status,
        200,
        "{:#?}",
        world.story(id)
    );
    assert_eq!((world.ledger.captures(), world.money_calls), (1, 1));
}

/// A key that is lost may be used for another payment. What was paid under it before is not given back: an operator decides.
#[test]
fn a_lost_payment_of_another_amount_is_an_operators() {
    for kind in [Kind::Stripe, Kind::AcquirerQueryable] {
        let mut world = World::new(kind);
        world.config.installation = "eu".to_owned();
        let backup = back_up(&world);
        assert_eq!(world.post("/charge", "c1", CREATE).status, 200);
        restore(&mut world, &backup, HOUR_MS);
        let other = world.post("/charge", "c1", &CREATE.replace("2599", "100"));
        assert_eq!(other.status, 202);
        let id = *world.store.keys().next().unwrap();
        rest(&mut world, id);
        assert!(world.is_parked(id), "{kind:?}: {:#?}", world.story(id));
        assert_eq!(
            (world.ledger.captures(), world.ledger.taken()),
            (1, 1),
            "{kind:?}"
        );
    }
}
