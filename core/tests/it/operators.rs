//! `docs/http.md`, “Operators” and “Resolve”: who may read and resolve, and how two operators agree.

use pay_once_core::{AttemptId, Operator, Response, Role, key_digest};
use serde_json::{Value, json};

use crate::support::{ADA, CREATE, Kind, Told, World, closed, code, json as body, text, timeout};

const GRACE: (&str, &str) = ("authorization", "Bearer ok_grace");
const DEMO: (&str, &str) = ("authorization", "Bearer mk_demo");

/// An authorize that is parked, of a merchant with a key.
fn parked(needs: u8) -> (World, AttemptId) {
    let mut world = World::with(closed(Kind::Blind), Kind::Blind);
    world.config.resolve_needs = needs;
    let created = world.send(
        "POST",
        "/attempts",
        &[DEMO, ("idempotency-key", "k1")],
        CREATE.as_bytes(),
    );
    let id = AttemptId::parse(body(&created)["attempt_id"].as_str().unwrap()).unwrap();
    world.script.push_back(Told::Instead(timeout()));
    world.send(
        "POST",
        &format!("/attempts/{id}/authorize"),
        &[DEMO, ("idempotency-key", "k2")],
        b"",
    );
    world.settle(id, 3);
    assert!(world.is_parked(id));
    (world, id)
}

fn said(world: &World, id: AttemptId, outcome: &str) -> Value {
    let record = world.record(id);
    let (operation, generation) = record.state().parking().unwrap();
    json!({"reason": "seen in the books", "operation": operation.as_str(), "generation": generation, "outcome": outcome})
}

fn resolve(world: &mut World, id: AttemptId, who: (&str, &str), key: &str, said: &Value) -> Response {
    let headers = [who, ("idempotency-key", key)];
    world.send(
        "POST",
        &format!("/attempts/{id}/resolve"),
        &headers,
        said.to_string().as_bytes(),
    )
}

fn read(world: &mut World, id: AttemptId, who: (&str, &str)) -> Response {
    world.send("GET", &format!("/attempts/{id}"), &[who], b"")
}

fn refused(answer: &Response) -> (u16, String) {
    (answer.status, code(answer))
}

#[test]
fn a_merchant_cannot_resolve() {
    let (mut world, id) = parked(1);
    let entries = world.record(id).entries().len();
    let said = said(&world, id, "did_not_happen");
    let answer = resolve(&mut world, id, DEMO, "r1", &said);
    assert_eq!(refused(&answer), (403, "FORBIDDEN".to_owned()));
    assert!(
        text(&answer).contains("operator with the role"),
        "{}",
        text(&answer)
    );
    world.config.operators.clear();
    let answer = resolve(&mut world, id, DEMO, "r1", &said);
    assert!(
        text(&answer).contains("No operators are configured"),
        "{}",
        text(&answer)
    );
    // Nor the merchant that is served without a key.
    world.config.open_merchant = Some("demo".to_owned());
    let answer = resolve(&mut world, id, ("authorization", "Bearer nobody"), "r1", &said);
    assert_eq!(refused(&answer), (403, "FORBIDDEN".to_owned()));
    assert_eq!(world.record(id).entries().len(), entries);
}

#[test]
fn an_operator_reads_every_merchants_attempts_and_moves_no_money() {
    let (mut world, id) = parked(1);
    assert_eq!(read(&mut world, id, ADA).status, 200);
    let entries = world.record(id).entries().len();
    for (target, sent) in [
        ("/attempts".to_owned(), CREATE),
        ("/charge".to_owned(), CREATE),
        (format!("/attempts/{id}/authorize"), ""),
        (format!("/attempts/{id}/capture"), ""),
        (format!("/attempts/{id}/void"), ""),
    ] {
        let answer = world.send("POST", &target, &[ADA, ("idempotency-key", "x")], sent.as_bytes());
        assert_eq!(refused(&answer), (403, "FORBIDDEN".to_owned()), "{target}");
    }
    assert_eq!(
        (world.record(id).entries().len(), world.store.len()),
        (entries, 1)
    );
}

#[test]
fn each_role_allows_one_thing() {
    let (mut world, id) = parked(1);
    for (name, role) in [("reader", Role::Read), ("resolver", Role::Resolve)] {
        let operator = Operator {
            key_digests: vec![key_digest(&format!("ok_{name}"))],
            roles: [role].into_iter().collect(),
        };
        world.config.operators.insert(name.to_owned(), operator);
    }
    world.config.check().unwrap();
    let (reader, resolver) = (
        ("authorization", "Bearer ok_reader"),
        ("authorization", "Bearer ok_resolver"),
    );
    let said = said(&world, id, "did_not_happen");
    assert_eq!(read(&mut world, id, reader).status, 200);
    assert_eq!(resolve(&mut world, id, reader, "r1", &said).status, 403);
    assert_eq!(read(&mut world, id, resolver).status, 403);
    assert_eq!(resolve(&mut world, id, resolver, "r1", &said).status, 200);
}

#[test]
fn the_journal_has_the_credentials_name_and_not_the_bodys() {
    let (mut world, id) = parked(1);
    let mut said = said(&world, id, "did_not_happen");
    said["operator"] = "the chief".into();
    assert_eq!(resolve(&mut world, id, ADA, "r1", &said).status, 200);
    let story = text(&read(&mut world, id, ADA));
    assert!(
        story.contains(r#""operator":"ada""#) && !story.contains("chief"),
        "{story}"
    );
}

#[test]
fn two_operators_agree_and_one_does_not_suffice() {
    let (mut world, id) = parked(2);
    let said = said(&world, id, "did_not_happen");
    let first = resolve(&mut world, id, ADA, "r1", &said);
    assert_eq!(first.status, 202, "{}", text(&first));
    let proposal = &body(&first)["operation"]["proposal"];
    assert_eq!(*proposal, json!({"operator": "ada", "outcome": "did_not_happen"}));
    assert!(world.is_parked(id), "nothing is decided yet");
    // The same operator again, under its key and under another one.
    assert_eq!(resolve(&mut world, id, ADA, "r1", &said).status, 202);
    assert_eq!(
        refused(&resolve(&mut world, id, ADA, "r2", &said)),
        (409, "INVALID_STATE".to_owned())
    );
    // Under the first one's key the second operator would only get its answer.
    let reused = resolve(&mut world, id, GRACE, "r1", &said);
    assert_eq!(refused(&reused), (409, "IDEMPOTENCY_KEY_REUSE".to_owned()));
    assert!(world.is_parked(id));
    let second = resolve(&mut world, id, GRACE, "r3", &said);
    assert_eq!(second.status, 200, "{}", text(&second));
    assert_eq!(world.status(id), "DECLINED");
    let again = resolve(&mut world, id, ADA, "r1", &said);
    assert_eq!((again.status, &body(&again)["status"]), (200, &json!("DECLINED")));
}

#[test]
fn who_says_something_else_proposes_it_anew() {
    let (mut world, id) = parked(2);
    let not = said(&world, id, "did_not_happen");
    let mut happened = said(&world, id, "happened");
    happened["psp_reference"] = "auth_1".into();
    assert_eq!(resolve(&mut world, id, ADA, "r1", &not).status, 202);
    let other = resolve(&mut world, id, GRACE, "r2", &happened);
    assert_eq!(other.status, 202);
    assert_eq!(body(&other)["operation"]["proposal"]["operator"], "grace");
    // The reference is a part of what is agreed on.
    let mut elsewhere = happened.clone();
    elsewhere["psp_reference"] = "auth_2".into();
    assert_eq!(resolve(&mut world, id, ADA, "r3", &elsewhere).status, 202);
    assert!(world.is_parked(id));
    assert_eq!(resolve(&mut world, id, GRACE, "r4", &elsewhere).status, 200);
    assert_eq!(world.status(id), "AUTHORIZED");
}

#[test]
fn a_proposal_ends_with_its_parking() {
    let (mut world, id) = parked(2);
    let said = said(&world, id, "did_not_happen");
    assert_eq!(resolve(&mut world, id, ADA, "r1", &said).status, 202);
    let event = json!({"type": "authorize", "reference": id.to_string(), "status": "approved", "psp_reference": "auth_9",
        "amount": 2599, "currency": "GBP"});
    world.webhook(&event);
    assert_eq!(world.status(id), "AUTHORIZED");
    assert_eq!(
        refused(&resolve(&mut world, id, GRACE, "r2", &said)),
        (409, "INVALID_STATE".to_owned())
    );
    let again = resolve(&mut world, id, ADA, "r1", &said);
    assert_eq!(
        (again.status, &body(&again)["status"]),
        (200, &json!("AUTHORIZED"))
    );
}

#[test]
fn a_configuration_of_operators_is_checked() {
    let broken = |change: &dyn Fn(&mut pay_once_core::Config)| {
        let mut config = closed(Kind::Stripe);
        change(&mut config);
        config.check().unwrap_err()
    };
    let ada = || Operator {
        key_digests: vec![key_digest("mk_demo")],
        roles: [Role::Read].into_iter().collect(),
    };
    assert!(broken(&|c| drop(c.operators.insert("ada".to_owned(), ada()))).contains("have the same API key"));
    let twin = || Operator {
        key_digests: vec![key_digest("ok_ada")],
        ..ada()
    };
    assert!(
        broken(&|c| drop(c.operators.insert("twin".to_owned(), twin()))).contains("must name one operator")
    );
    let bare = Operator::default;
    assert!(broken(&|c| drop(c.operators.insert("bare".to_owned(), bare()))).contains("needs a key"));
    assert!(broken(&|c| c.resolve_needs = 3).contains("resolve_needs is 3"));
    let alone = broken(&|c| {
        c.operators.remove("grace");
        c.resolve_needs = 2;
    });
    assert!(alone.contains("only one operator"), "{alone}");
}
