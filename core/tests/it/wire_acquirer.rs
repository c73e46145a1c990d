//! The acquirer face on the wire (`docs/psp.md`): the bytes that go out, and what the bytes that come back mean.

use pay_once_core::journal::entry::Fact;
use pay_once_core::journal::evidence::{EffectKind, Evidence, Signal};
use pay_once_core::{AttemptId, Call, Millis};
use serde_json::{Value, json};

use crate::support::{Kind, Told, World, answered, timeout};

fn sent(call: &Call) -> (String, Value) {
    let line = format!("{} {}", call.http.method, call.http.url);
    (
        line,
        serde_json::from_slice(&call.http.body).unwrap_or(Value::Null),
    )
}

/// The evidence that the last entry holds.
pub(crate) fn last_evidence(world: &World, id: AttemptId) -> Evidence {
    let record = world.record(id);
    let found = record.entries().iter().rev().find_map(|entry| match &entry.fact {
        Fact::Observed { evidence, .. } => Some(evidence.clone()),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn what_goes_out() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    world.script.push_back(Told::Lost(timeout()));
    world.post(&format!("/attempts/{id}/capture"), "k3", r#"{"amount":1000}"#);
    world.settle(id, 1);
    let name = id.to_string();
    let [authorize, capture, lookup] = world.calls.as_slice() else {
        panic!("three calls")
    };
    let body =
        json!({"reference": name, "amount": 2599, "currency": "GBP", "payment_method": "pm_card_visa"});
    assert_eq!(
        sent(authorize),
        ("POST http://psp.test/authorize".to_owned(), body)
    );
    let body = json!({"reference": name, "amount": 1000, "currency": "GBP", "psp_reference": "auth_3N00001"});
    assert_eq!(sent(capture), ("POST http://psp.test/capture".to_owned(), body));
    assert_eq!(
        sent(lookup),
        (
            format!("GET http://psp.test/lookup?reference={name}"),
            Value::Null
        )
    );
    for (call, key) in [(authorize, "authorize-1"), (capture, "capture-1")] {
        let wanted = [
            ("content-type", "application/json".to_owned()),
            ("idempotency-key", format!("{name}-{key}")),
        ];
        assert_eq!(call.http.headers, wanted);
        assert_eq!(call.http.bearer.expose(), "sk_test");
        assert!(
            !format!("{call:?}").contains("sk_test"),
            "a secret is never shown"
        );
        assert_eq!((call.timeout_ms, call.moves_money), (Millis::new(30_000), true));
    }
    assert!(lookup.http.headers.is_empty() && lookup.http.body.is_empty() && !lookup.moves_money);

    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    world.op(id, "void", "k3");
    let body = json!({"reference": id.to_string(), "amount": 2599, "currency": "GBP", "psp_reference": "auth_3N00001"});
    assert_eq!(
        sent(&world.calls[1]),
        ("POST http://psp.test/void".to_owned(), body)
    );
}

/// The evidence that an answer to an authorize is.
fn said(status: u16, body: &str) -> Evidence {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world
        .script
        .extend([Told::Instead(answered(status, body)), Told::Hold]);
    world.op(id, "authorize", "k2");
    last_evidence(&world, id)
}

#[test]
fn what_an_answer_means() {
    let approved = said(
        200,
        r#"{"status":"approved","psp_reference":"a1","surprise":[1]}"#,
    );
    let [effect] = approved.effects.as_slice() else {
        panic!("one effect")
    };
    assert_eq!(
        (effect.kind, effect.id.as_str(), effect.amount_minor),
        (EffectKind::Authorize, "a1", 2599)
    );
    assert_eq!(
        (effect.currency.as_deref(), effect.listed, effect.of.as_deref()),
        (None, false, None)
    );

    let refused = Signal::Refused {
        code: "stolen".to_owned(),
        message: "No.".to_owned(),
    };
    assert_eq!(
        said(200, r#"{"status":"declined","code":"stolen","message":"No."}"#).signal,
        refused
    );
    assert_eq!(
        said(402, r#"{"error":{"code":"stolen","message":"No."}}"#).signal,
        refused
    );
    let action = Signal::ActionRequired {
        reference: "a1".to_owned(),
        url: "u".to_owned(),
    };
    assert_eq!(
        said(
            200,
            r#"{"status":"requires_action","psp_reference":"a1","action_url":"u"}"#
        )
        .signal,
        action
    );
}

#[test]
fn what_says_nothing_is_unknown() {
    for (status, body) in [
        (200, ""),
        (200, "{}"),
        (200, "<html>"),
        (200, r#"{"status":"approved"}"#),
        (200, r#"{"status":"pending","psp_reference":"a"}"#),
        (200, r#"{"status":"approved","psp_reference":"a","amount":-1}"#),
        (204, ""),
        (302, r#"{"status":"approved","psp_reference":"a"}"#),
        (404, "<html>Not Found</html>"),
        (409, r#"{"error":{"code":"in_use"}}"#),
        (429, r#"{"error":{"code":"slow_down"}}"#),
        (500, r#"{"status":"declined"}"#),
        (503, r#"{"error":{"code":"x"}}"#),
    ] {
        let evidence = said(status, body);
        assert!(
            matches!(evidence.signal, Signal::Unknown { .. }),
            "{status} {body}: {evidence:?}"
        );
        assert!(evidence.effects.is_empty() && !evidence.is_informative());
    }
}

#[test]
fn an_approval_of_another_amount_is_not_what_was_asked_for() {
    for (body, status) in [
        (
            r#"{"status":"approved","psp_reference":"auth_3N00001","amount":2599}"#,
            "AUTHORIZED",
        ),
        (
            r#"{"status":"approved","psp_reference":"auth_3N00001","amount":2600}"#,
            "DECLINED",
        ),
        (
            r#"{"status":"approved","psp_reference":"auth_3N00001","currency":"USD"}"#,
            "DECLINED",
        ),
    ] {
        let mut world = World::new(Kind::AcquirerQueryable);
        let id = world.create();
        world.script.push_back(Told::Lost(answered(200, body)));
        world.op(id, "authorize", "k2");
        assert_eq!(world.status(id), status, "{body}");
        assert_eq!(
            world.ledger.live(),
            usize::from(status == "AUTHORIZED"),
            "and it is released"
        );
    }
}

#[test]
fn what_a_listing_means() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let listing = json!({
        "authorize": [{"id": "auth_3N00001", "amount": 2599}],
        "capture": [{"id": "c1", "amount": 5, "psp_reference": "auth_3N00001", "surprise": 1}],
        "void": [], "declined": [{"id": "x"}],
    });
    world.script.extend([
        Told::Instead(timeout()),
        Told::Instead(answered(200, listing.to_string())),
    ]);
    world.op(id, "capture", "k3");
    world.settle(id, 1);
    let evidence = last_evidence(&world, id);
    let seen: Vec<_> = evidence
        .effects
        .iter()
        .map(|e| (e.kind, e.id.as_str(), e.of.as_deref(), e.listed))
        .collect();
    assert_eq!(
        seen,
        [
            (EffectKind::Authorize, "auth_3N00001", None, true),
            (EffectKind::Capture, "c1", Some("auth_3N00001"), true),
        ]
    );
    assert!(evidence.complete);
    assert_eq!(
        world.get(id)["capture"]["amount"],
        5,
        "what was taken is shown as it is"
    );
}

#[test]
fn a_listed_lapse_and_a_listed_3ds_are_seen() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let listing = json!({"authorize": [{"id": "auth_3N00001", "amount": 2599}], "capture": [], "void": [],
        "lapsed": [{"id": "l1", "amount": 2599, "psp_reference": "auth_3N00001"}]});
    world.script.extend([
        Told::Instead(timeout()),
        Told::Instead(answered(200, listing.to_string())),
    ]);
    world.op(id, "capture", "k3");
    world.settle(id, 1);
    assert_eq!(world.status(id), "EXPIRED");

    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    let listing = json!({"authorize": [], "capture": [], "void": [], "requires_action": [{"id": "a", "action_url": "u"}]});
    world.script.extend([
        Told::Instead(timeout()),
        Told::Instead(answered(200, listing.to_string())),
    ]);
    world.op(id, "authorize", "k2");
    world.settle(id, 1);
    assert_eq!(
        (world.status(id).as_str(), &world.get(id)["next_action"]["url"]),
        ("REQUIRES_ACTION", &json!("u"))
    );
}

#[test]
fn long_texts_of_a_psp_are_cut_at_a_character() {
    let long = "é".repeat(400);
    let evidence = said(
        200,
        &json!({"status": "declined", "code": long, "message": long}).to_string(),
    );
    let Signal::Refused { code, message } = evidence.signal else {
        panic!("refused")
    };
    assert_eq!((code.len(), message.len()), (512, 512));
}

#[test]
fn an_answer_with_more_effects_than_an_attempt_can_have_is_unknown() {
    for (count, status) in [(32, "CAPTURED"), (33, "CAPTURING")] {
        let mut world = World::new(Kind::AcquirerQueryable);
        let id = world.authorized();
        let captures: Vec<Value> = (1..count)
            .map(|_| json!({"id": "c", "amount": 2599, "psp_reference": "auth_3N00001"}))
            .collect();
        let listing =
            json!({"authorize": [{"id": "auth_3N00001", "amount": 2599}], "capture": captures, "void": []});
        world.script.extend([
            Told::Instead(timeout()),
            Told::Instead(answered(200, listing.to_string())),
        ]);
        world.op(id, "capture", "k3");
        world.settle(id, 1);
        assert_eq!(world.status(id), status, "{count} effects");
    }
}

/// Only an authorization can wait for the customer.
#[test]
fn a_capture_that_requires_action_is_unknown() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.authorized();
    let waits = r#"{"status":"requires_action","psp_reference":"auth_3N00001","action_url":"u"}"#;
    world.script.push_back(Told::Instead(answered(200, waits)));
    assert_eq!(world.op(id, "capture", "k3").status, 202);
    assert!(matches!(last_evidence(&world, id).signal, Signal::Unknown { .. }));
}

/// An authorization cannot find itself expired: that it was refused so is a refusal, whatever else the notice names.
/// A release that finds nothing to release is answered “declined”, and so is its event: both tell of the ledger.
#[test]
fn a_notice_of_a_void_refused_as_expired_shows_the_lapse() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world.op(id, "authorize", "k2");
    let reference = world.get(id)["authorization"]["psp_reference"].clone();
    world.webhook(
        &json!({"type": "void", "reference": id.to_string(), "status": "declined",
        "code": "authorization_expired", "of": reference, "amount": 2599, "currency": "EUR",
        "psp_reference": "void_1"}),
    );
    assert_eq!(world.status(id), "EXPIRED", "{:#?}", world.story(id));
}

#[test]
fn a_notice_of_an_authorization_refused_as_expired_is_a_refusal() {
    let mut world = World::new(Kind::AcquirerQueryable);
    let id = world.create();
    world.script.push_back(Told::Instead(timeout()));
    world.op(id, "authorize", "k2");
    world.webhook(
        &json!({"type": "authorize", "reference": id.to_string(), "status": "declined",
        "code": "authorization_expired", "of": "auth_1"}),
    );
    assert_eq!(world.status(id), "DECLINED", "{:#?}", world.story(id));
}
