//! `docs/http.md`, “Webhooks”: the signature over the raw bytes, duplicates, any order, and nobody else's news.

use pay_once_core::limits::PSP_ANSWER_BYTES_MAX;
use pay_once_core::{Routed, Secret};
use serde_json::json;

use crate::support::{Kind, SECRET, START_MS, Told, World, code, sign, text};

fn news(world: &World) -> String {
    world.ledger.notices()[0].to_string()
}

fn unknown(kind: Kind) -> (World, pay_once_core::AttemptId) {
    let mut world = World::new(kind);
    let id = world.create();
    if kind == Kind::StripeNoKeys {
        world.script.push_back(Told::Truth);
    }
    world.script.push_back(Told::Lost(crate::support::timeout()));
    world.op(id, "authorize", "k2");
    (world, id)
}

fn send(world: &mut World, signature: &str, body: &str) -> (u16, String) {
    let name = world.config.psps.keys().next().unwrap().clone();
    let header = format!("{name}-signature");
    let answer = world.send(
        "POST",
        &format!("/webhooks/{name}"),
        &[(&header, signature)],
        body.as_bytes(),
    );
    (answer.status, code(&answer))
}

#[test]
fn a_forged_webhook_changes_nothing() {
    for kind in [Kind::Stripe, Kind::AcquirerQueryable] {
        let (mut world, id) = unknown(kind);
        let body = news(&world);
        let at_s = world.now_ms / 1000;
        let good = sign(SECRET, at_s, body.as_bytes());
        let flipped = if good.ends_with('0') { "1" } else { "0" };
        let bad_hex = format!("{}{flipped}", &good[..good.len() - 1]);
        let other_time = good.replace(&format!("t={at_s}"), &format!("t={}", at_s + 1));
        for bad in [
            sign("whsec_other", at_s, body.as_bytes()),
            sign(SECRET, at_s, format!("{body} ").as_bytes()),
            bad_hex,
            other_time,
            good.replace("v1=", "v0="),
            format!("t={at_s}"),
            good.split_once(',').unwrap().1.to_owned(),
            format!("t={at_s},v1="),
            format!("t=x,{}", good.split_once(',').unwrap().1),
            "é".to_owned(),
            String::new(),
        ] {
            let answer = send(&mut world, &bad, &body);
            assert_eq!(answer, (400, "WEBHOOK_SIGNATURE_INVALID".to_owned()), "{bad}");
        }
        assert_eq!(world.status(id), "AUTHORIZING");
        assert_eq!(send(&mut world, &good, &body).0, 200);
        assert_eq!(world.status(id), "AUTHORIZED");
    }
}

#[test]
fn one_of_several_signatures_is_enough_while_secrets_are_changed() {
    let (mut world, id) = unknown(Kind::Stripe);
    let body = news(&world);
    let at_s = world.now_ms / 1000;
    let good = sign(SECRET, at_s, body.as_bytes());
    let old = sign("whsec_old", at_s, body.as_bytes());
    let both = format!("{old},{}", good.split_once(',').unwrap().1);
    assert_eq!(send(&mut world, &both, &body).0, 200);
    assert_eq!(world.status(id), "AUTHORIZED");
}

#[test]
fn a_stale_timestamp_is_refused_and_one_at_the_tolerance_is_not() {
    for (age_s, status) in [(301_i64, 400), (300, 200), (-300, 200), (-301, 400)] {
        let (mut world, _) = unknown(Kind::Stripe);
        world.now_ms -= world.now_ms % 1000;
        let body = news(&world);
        let at_s = (world.now_ms / 1000).checked_add_signed(-age_s).unwrap();
        let signature = sign(SECRET, at_s, body.as_bytes());
        assert_eq!(send(&mut world, &signature, &body).0, status, "{age_s} s old");
    }
}

#[test]
fn without_a_secret_no_webhook_is_trusted() {
    let (mut world, _) = unknown(Kind::Stripe);
    let body = news(&world);
    let at_s = world.now_ms / 1000;
    world.psp_mut().webhook_secrets.clear();
    for secret in ["", SECRET] {
        assert_eq!(
            send(&mut world, &sign(secret, at_s, body.as_bytes()), &body).0,
            400
        );
    }
    world.psp_mut().webhook_secrets = vec![Secret::new(SECRET)];
    assert_eq!(
        send(&mut world, &sign(SECRET, at_s, body.as_bytes()), &body).0,
        200
    );
}

#[test]
fn a_psp_vouches_for_its_own_payments_only() {
    let (mut world, id) = unknown(Kind::Stripe);
    // A second PSP account with a secret of its own, on the same face.
    let mut other = world.config.psps["stripe"].clone();
    other.webhook_secrets = vec![Secret::new("whsec_two")];
    world.config.psps.insert("two".to_owned(), other);
    let body = news(&world);
    let signature = sign("whsec_two", world.now_ms / 1000, body.as_bytes());
    let writes = world.writes;
    let headers = [("stripe-signature", signature.as_str())];
    let answer = world.send("POST", "/webhooks/two", &headers, body.as_bytes());
    assert_eq!(
        (answer.status, world.writes),
        (200, writes),
        "heard, and believed nothing"
    );
    assert_eq!(world.status(id), "AUTHORIZING");
}

#[test]
fn duplicates_and_any_order_end_in_the_same_place() {
    let stages = ["requires_action", "requires_capture", "succeeded"];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let (mut world, id) = unknown(Kind::Stripe);
        for stage in order {
            let mut intent = world.ledger.intent("pi_3N00001");
            intent["status"] = stages[stage].into();
            intent["next_action"] = json!({"redirect_to_url": {"url": "http://psp.test/3ds"}});
            intent["amount_received"] = (if stage == 2 { 2599 } else { 0 }).into();
            let body = json!({"type": "payment_intent.x", "data": {"object": intent}});
            let (writes, _) = (world.writes, world.webhook(&body));
            let again = world.writes;
            assert!(again <= writes + 1);
            world.webhook(&body);
            assert_eq!(world.writes, again, "a duplicate writes nothing");
        }
        assert_eq!(world.status(id), "CAPTURED", "{order:?}");
        assert_eq!(world.money_calls, 1);
    }
}

#[test]
fn a_webhook_before_the_response_answers_the_waiting_request() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Hold);
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    let call = world.held.remove(0);
    let result = world.ledger.act(&call.http, world.now_ms);
    let notice = world.ledger.notices()[0].clone();
    world.webhook(&notice);
    let answer = world.op(id, "authorize", "k2");
    assert_eq!(answer.status, 200);
    let writes = world.writes;
    world.outcome(call, result);
    assert_eq!(
        world.op(id, "authorize", "k2").body,
        answer.body,
        "the response changes nothing more"
    );
    assert!(world.writes <= writes + 1);
}

#[test]
fn news_of_somebody_else_is_received_and_ignored() {
    let mut world = World::new(Kind::Stripe);
    let stranger =
        json!({"id": "pi_9", "amount": 1, "currency": "gbp", "status": "succeeded", "metadata": {}});
    let mut ours_but_unknown = stranger.clone();
    ours_but_unknown["metadata"] = json!({"attempt_id": "pa_00000000000000000000000000"});
    for object in [stranger, ours_but_unknown] {
        let answer = world.webhook(&json!({"type": "payment_intent.succeeded", "data": {"object": object}}));
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, br#"{"received":true}"#.as_slice())
        );
    }
    assert_eq!(
        world
            .webhook(&json!({"type": "charge.updated", "data": {"object": {"id": 5}}}))
            .status,
        200
    );
    assert_eq!(world.writes, 0);
    let mut world = World::new(Kind::AcquirerQueryable);
    let finalized = json!({"type": "settlement", "reference": "x", "status": "done"});
    assert_eq!(world.webhook(&finalized).status, 200);
}

#[test]
fn a_signed_webhook_that_cannot_be_read_is_refused() {
    let mut world = World::new(Kind::Stripe);
    let signature = sign(SECRET, world.now_ms / 1000, b"{");
    let headers = [("stripe-signature", signature.as_str())];
    let answer = world.send("POST", "/webhooks/stripe", &headers, b"{");
    assert_eq!((answer.status, code(&answer).as_str()), (400, "WEBHOOK_INVALID"));
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create().to_string();
    let without_amount =
        json!({"type": "capture", "reference": id, "status": "approved", "psp_reference": "c"});
    assert_eq!(
        code(&world.webhook(&without_amount)),
        "WEBHOOK_INVALID",
        "how much was taken must be said"
    );
    // What names no attempt of ours is no concern of ours, whatever its form.
    assert_eq!(world.webhook(&json!({"type": "capture"})).status, 200);
}

#[test]
fn a_decline_by_webhook_counts_for_authorize_only() {
    for (kind, status) in [
        ("authorize", "DECLINED"),
        ("capture", "AUTHORIZING"),
        ("void", "AUTHORIZING"),
    ] {
        let (mut world, id) = unknown(Kind::AcquirerQueryable);
        let body = json!({"type": kind, "reference": id.to_string(), "status": "declined", "code": "no"});
        assert_eq!(world.webhook(&body).status, 200);
        assert_eq!(
            world.status(id),
            status,
            "{kind}: an acquirer does not say of which try"
        );
    }
}

/// A body under thousands of signatures is hashed once: this took hours when it was hashed for each.
#[test]
fn any_number_of_signatures_costs_one_look_at_the_body() {
    let world = World::new(Kind::Stripe);
    let event = json!({"id": "evt_1", "type": "charge.updated", "data": {"object": {"object": "charge", "more": "x".repeat(900_000)}}});
    let body = event.to_string();
    let signature = sign(SECRET, START_MS / 1000, body.as_bytes());
    let (time, genuine) = signature.split_once(',').unwrap();
    let many = format!("{time}{},{genuine}", ",v1=".repeat(90_000));
    for (header, status) in [(many.as_str(), 200), (many.strip_suffix(genuine).unwrap(), 400)] {
        let routed = world.route(
            "POST",
            "/webhooks/stripe",
            &[("stripe-signature", header)],
            body.as_bytes(),
        );
        assert!(matches!(routed, Routed::Reply(answer) if answer.status == status));
    }
}

/// As large as the largest answer of a PSP, and not a byte larger.
#[test]
fn a_webhook_may_be_as_large_as_an_answer() {
    for (bytes, wanted) in [(PSP_ANSWER_BYTES_MAX, 200), (PSP_ANSWER_BYTES_MAX + 1, 413)] {
        let mut world = World::new(Kind::Stripe);
        let told = r#"{"type":"payout.paid","data":{"object":{"object":"payout"}}}"#;
        let body = format!("{told}{}", " ".repeat(bytes - told.len()));
        let signature = sign(SECRET, world.now_ms / 1000, body.as_bytes());
        let headers = [("stripe-signature", signature.as_str())];
        let answer = world.send("POST", "/webhooks/stripe", &headers, body.as_bytes());
        assert_eq!(answer.status, wanted, "{bytes} bytes: {}", text(&answer));
    }
}
