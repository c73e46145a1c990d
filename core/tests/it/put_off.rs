//! What an adapter that bounds its work asks of core: the head of a request alone, and a step whose call has no place.

use pay_once_core::{
    Account, Action, AttemptId, Entropy, Input, Outcome, Questions, Record, Request, Routed, Swapped, Turn,
    UnixMillis, admit, body_bytes_max,
};

use crate::support::{CREATE, Kind, Told, World, closed, code};

const CHARGE: &str = r#"{"amount":500,"currency":"GBP","payment_method":"visa"}"#;
const AGAIN_MS: u64 = 2_500;

/// A turn that has decided on the stored record.
fn decided(world: &World, id: AttemptId, input: Input) -> (Turn, Option<Record>) {
    let mut turn = Turn::of(id, input);
    let record = world.load(id);
    assert!(matches!(
        turn.next(now(world), &mut Questions::default()),
        Action::Load
    ));
    turn.loaded(&world.config, record.as_ref(), now(world), Entropy(7));
    (turn, record)
}

fn now(world: &World) -> UnixMillis {
    UnixMillis::new(world.now_ms)
}

fn input(world: &World, target: &str, body: &str) -> (AttemptId, Input) {
    match world.route("POST", target, &[("idempotency-key", "new")], body.as_bytes()) {
        Routed::Attempt { id, input } => (id, input),
        other => panic!("{other:?}"),
    }
}

fn put_off(world: &World, turn: &mut Turn) -> Action {
    turn.put_off(UnixMillis::new(world.now_ms + AGAIN_MS), now(world));
    turn.next(now(world), &mut Questions::default())
}

#[test]
fn a_request_whose_call_has_no_place_is_refused_and_nothing_is_written() {
    let mut world = World::new(Kind::Stripe);
    let created = world.create();
    let authorized = {
        let id = world.create_with("k8", CREATE);
        assert_eq!(world.op(id, "authorize", "k9").status, 200);
        id
    };
    for (target, body) in [
        ("/charge".to_owned(), CHARGE),
        (format!("/attempts/{created}/authorize"), ""),
        (format!("/attempts/{authorized}/capture"), ""),
        (format!("/attempts/{authorized}/void"), ""),
    ] {
        let (id, input) = input(&world, &target, body);
        let (mut turn, _) = decided(&world, id, input);
        assert_eq!(turn.psp_to_call(), Some("stripe"), "{target}");
        let Action::Reply(response) = put_off(&world, &mut turn) else {
            panic!("{target}: an answer is the first that is done");
        };
        assert_eq!(
            (response.status, code(&response).as_str()),
            (503, "PSP_UNAVAILABLE"),
            "{target}"
        );
        assert_eq!(response.header("Retry-After"), Some("3"), "{target}");
        assert!(matches!(
            turn.next(now(&world), &mut Questions::default()),
            Action::Done
        ));
    }
}

#[test]
fn a_step_without_a_call_needs_no_place() {
    let world = World::new(Kind::Stripe);
    let (id, input) = input(&world, "/attempts", CREATE);
    let (turn, _) = decided(&world, id, input);
    assert_eq!(turn.psp_to_call(), None);
}

#[test]
fn what_the_server_began_by_itself_is_looked_at_again() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    world.script.push_back(Told::Hold);
    assert_eq!(world.op(id, "authorize", "k2").status, 202);
    world.now_ms = world.due(id).unwrap();
    let (mut turn, record) = decided(&world, id, Input::Wake);
    assert_eq!(turn.psp_to_call(), Some("stripe"), "the same key is sent again");
    let Action::Arm { at_ms, is_latest } = put_off(&world, &mut turn) else {
        panic!("a timer is all that is left of it");
    };
    assert_eq!(
        (at_ms, is_latest),
        (UnixMillis::new(world.now_ms + AGAIN_MS), false)
    );
    assert!(matches!(
        turn.next(now(&world), &mut Questions::default()),
        Action::Done
    ));
    assert_eq!(
        world.load(id).map(|now| now.version()),
        record.map(|then| then.version())
    );
}

/// The dispatch of a swap of unknown end was found to be durable: it is sent, whether there is a place for it or not.
#[test]
fn what_is_durable_is_never_put_off() {
    let world = World::new(Kind::Stripe);
    let (id, input) = input(&world, "/charge", CHARGE);
    let (mut turn, _) = decided(&world, id, input);
    assert_eq!(turn.psp_to_call(), Some("stripe"));
    let next = |turn: &mut Turn| turn.next(now(&world), &mut Questions::default());
    assert!(matches!(next(&mut turn), Action::Swap));
    let written = turn.write().unwrap().record.encode();
    turn.swapped(Swapped::Unknown, now(&world));
    while !matches!(next(&mut turn), Action::Load) {}
    let found = Record::decode(id, &written).unwrap();
    turn.loaded(&world.config, Some(&found), now(&world), Entropy(8));
    assert_eq!(turn.psp_to_call(), None);
    assert!(matches!(next(&mut turn), Action::Committed(_)));
    assert_eq!(turn.psp_to_call(), None);
    assert!(matches!(next(&mut turn), Action::Perform(_)));
}

/// The answer of the authorization is money's evidence: it is written though the capture that follows has no place yet.
#[test]
fn what_a_psp_said_is_never_put_off() {
    let mut world = World::new(Kind::Stripe);
    world.script.push_back(Told::Hold);
    assert_eq!(world.post("/charge", "c1", CHARGE).status, 202);
    let call = world.held.remove(0);
    let result = world.ledger.act(&call.http, world.now_ms);
    let id = call.attempt.unwrap();
    let (mut turn, _) = decided(&world, id, Input::Outcome(Box::new(Outcome { call, result })));
    assert_eq!(turn.psp_to_call(), None);
    let mut action = turn.next(now(&world), &mut Questions::default());
    if matches!(action, Action::Note(_)) {
        action = turn.next(now(&world), &mut Questions::default());
    }
    assert!(matches!(action, Action::Swap), "{action:?}");
}

fn head<'a>(method: &'a str, target: &'a str, headers: &'a [(&'a str, &'a [u8])]) -> Request<'a> {
    Request {
        method,
        target,
        headers,
        body: b"",
    }
}

#[test]
fn a_head_names_the_account_and_what_is_read_of_the_body() {
    let world = World::new(Kind::Stripe);
    for (method, target, account, is_new) in [
        ("POST", "/attempts", Account::Merchant("demo".to_owned()), true),
        ("POST", "/charge", Account::Merchant("demo".to_owned()), true),
        (
            "POST",
            "/attempts/pa_1/capture",
            Account::Merchant("demo".to_owned()),
            false,
        ),
        (
            "GET",
            "/attempts/pa_1",
            Account::Merchant("demo".to_owned()),
            false,
        ),
        (
            "POST",
            "/webhooks/stripe",
            Account::Psp("stripe".to_owned()),
            false,
        ),
    ] {
        let admitted = admit(&world.config, &head(method, target, &[])).unwrap();
        assert_eq!((admitted.account, admitted.is_new), (account, is_new), "{target}");
        assert_eq!(admitted.body_bytes_max, body_bytes_max(target));
    }
}

#[test]
fn a_head_that_no_body_makes_good_has_its_answer_at_once() {
    let config = closed(Kind::Stripe);
    for (method, target, status) in [
        ("POST", "/attempts", 401),
        ("GET", "/attempts/pa_1", 401),
        ("GET", "/charge", 405),
        ("POST", "/nothing", 404),
        ("POST", "/webhooks/nobody", 404),
    ] {
        let of_head = admit(&config, &head(method, target, &[])).unwrap_err();
        let Routed::Reply(of_all) =
            pay_once_core::route(&config, &head(method, target, &[]), UnixMillis::EPOCH)
        else {
            panic!("{target}: refused");
        };
        assert_eq!((of_head.status, &of_head), (status, &of_all), "{target}");
    }
}
