//! `docs/http.md`, “Errors”: a closed set. Each code is reached over the API at least once, says what it must, and has its
//! RFC 9457 form.

use std::collections::BTreeMap;

use pay_once_core::contract::error::Code;
use pay_once_core::{
    Config, Connector, Input, Millis, RecordError, Request, Response, Routed, SearchError, overloaded,
};
use serde_json::{Value, json};

use crate::support::{
    ADA, CREATE, Kind, SECRET, Told, World, answered, closed, config, json as body, sign, text, timeout,
};

const PROBLEM: (&str, &str) = ("accept", "text/html, application/problem+json;q=0.9");

/// One refusal of every code, as `(application/json, application/problem+json)`.
fn refusals() -> BTreeMap<&'static str, (Response, Response)> {
    let mut found = BTreeMap::new();
    for code in Code::ALL {
        let of = |problem: bool| {
            let answer = refusal(code, problem);
            assert_eq!(answer.status, code.status(), "{code:?}: {}", text(&answer));
            answer
        };
        found.insert(code.as_str(), (of(false), of(true)));
    }
    found
}

fn headers<'a>(problem: bool, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = more.to_vec();
    if problem {
        all.push(PROBLEM);
    }
    all
}

fn refusal(code: Code, problem: bool) -> Response {
    let mut world = World::new(Kind::Stripe);
    let key = headers(problem, &[("idempotency-key", "k2")]);
    let id = world.create();
    let create = |world: &mut World, sent: &str| world.send("POST", "/attempts", &key, sent.as_bytes());
    match code {
        Code::IdempotencyKeyRequired => world.send("POST", "/attempts", &headers(problem, &[]), b""),
        Code::IdempotencyKeyInvalid => world.send(
            "POST",
            "/attempts",
            &headers(problem, &[("idempotency-key", "a b")]),
            b"",
        ),
        Code::IdempotencyKeyReuse => world.send(
            "POST",
            "/attempts",
            &headers(problem, &[("idempotency-key", "k1")]),
            CREATE.replace('9', "8").as_bytes(),
        ),
        Code::Forbidden => world.send(
            "POST",
            "/attempts",
            &headers(problem, &[("idempotency-key", "k2"), ADA]),
            CREATE.as_bytes(),
        ),
        Code::TooManyKeys => parked_for_long(problem),
        Code::RecordFull => full_of_evidence(problem),
        Code::InvalidJson => create(&mut world, "{"),
        Code::UnknownField => create(
            &mut world,
            &CREATE
                .replace("order_id", "order")
                .replace('{', "{\"order_id\":\"o\","),
        ),
        Code::MissingField => create(&mut world, "{}"),
        Code::InvalidField => create(&mut world, &CREATE.replace("\"ord_123\"", "1")),
        Code::InvalidAmount => create(&mut world, &CREATE.replace("2599", "0")),
        Code::InvalidCurrency => create(&mut world, &CREATE.replace("GBP", "XXY")),
        Code::CardNumberRefused => create(&mut world, &CREATE.replace("pm_card_visa", "4111111111111111")),
        Code::BodyTooLarge => create(&mut world, &" ".repeat(16 * 1024 + 1)),
        Code::UnsupportedContentEncoding => {
            let mut headers = key.clone();
            headers.push(("content-encoding", "gzip"));
            world.send("POST", "/attempts", &headers, CREATE.as_bytes())
        }
        Code::Unauthorized => {
            let mut world = World::with(closed(Kind::Stripe), Kind::Stripe);
            world.send("POST", "/attempts", &key, CREATE.as_bytes())
        }
        Code::NotFound => world.send("GET", "/nothing", &headers(problem, &[]), b""),
        Code::AttemptNotFound => world.send(
            "GET",
            "/attempts/pa_00000000000000000000000000",
            &headers(problem, &[]),
            b"",
        ),
        Code::MethodNotAllowed => world.send("GET", "/charge", &headers(problem, &[]), b""),
        Code::InvalidState => world.send("POST", &format!("/attempts/{id}/capture"), &key, b""),
        Code::Declined => {
            let id = world.create_with("k9", &CREATE.replace("visa", "declined"));
            world.send("POST", &format!("/attempts/{id}/authorize"), &key, b"")
        }
        Code::UnknownPsp => world.send("POST", "/webhooks/nobody", &headers(problem, &[]), b""),
        Code::WebhookSignatureInvalid => {
            world.send("POST", "/webhooks/stripe", &headers(problem, &[]), b"{}")
        }
        Code::WebhookInvalid => {
            let signature = sign(SECRET, world.now_ms / 1000, b"{");
            world.send(
                "POST",
                "/webhooks/stripe",
                &headers(problem, &[("stripe-signature", &signature)]),
                b"{",
            )
        }
        Code::RecordRefused => {
            let Routed::Attempt { input, .. } = world.route("POST", "/attempts", &key, CREATE.as_bytes())
            else {
                panic!("routed");
            };
            input.record_refused(&RecordError::ChainBroken).unwrap()
        }
        Code::StoreUnavailable => {
            let Routed::Attempt { input, .. } = world.route("POST", "/attempts", &key, CREATE.as_bytes())
            else {
                panic!("routed");
            };
            input.store_unavailable().unwrap()
        }
        Code::PspRejectedRequest => {
            let rejected = answered(
                401,
                r#"{"error":{"type":"invalid_request_error","message":"No."}}"#,
            );
            world.script.push_back(Told::Instead(rejected));
            world.send("POST", &format!("/attempts/{id}/authorize"), &key, b"")
        }
        Code::PspReadFailed => {
            let event = br#"{"type":"v1.payment_intent.succeeded","related_object":{"type":"payment_intent","id":"pi_1"}}"#;
            let signature = sign(SECRET, world.now_ms / 1000, event);
            world.script.push_back(Told::Instead(timeout()));
            world.send(
                "POST",
                "/webhooks/stripe",
                &headers(problem, &[("stripe-signature", &signature)]),
                event,
            )
        }
        Code::StoreUnsafe => {
            let Routed::Attempt { input, .. } = world.route("POST", "/attempts", &key, CREATE.as_bytes())
            else {
                panic!("routed");
            };
            input.store_unsafe("two writers won").unwrap()
        }
        Code::Overloaded => {
            let sent: Vec<(&str, &[u8])> = key
                .iter()
                .map(|(name, value)| (*name, value.as_bytes()))
                .collect();
            overloaded(&Request {
                method: "POST",
                target: "/attempts",
                headers: &sent,
                body: b"",
            })
        }
        Code::PspUnavailable => {
            let Routed::Attempt { input, .. } = world.route("POST", "/attempts", &key, CREATE.as_bytes())
            else {
                panic!("routed");
            };
            input.psp_unavailable(0).unwrap()
        }
        Code::SearchUnsupported => {
            let Routed::Search(search) = world.route("GET", "/attempts?state=parked", &key, b"") else {
                panic!("routed");
            };
            let why = SearchError::Unsupported("This store has no index.");
            search.answer(&world.config, Err(why), world.now())
        }
        Code::NotConfigured => {
            world.config.merchants.clear();
            world.send("POST", "/attempts", &key, CREATE.as_bytes())
        }
    }
}

/// A PSP that keeps naming the authorization otherwise.
fn full_of_evidence(problem: bool) -> Response {
    let mut world = World::new(Kind::Blind);
    let id = world.authorized();
    for nth in 0..80 {
        let name = format!("{nth}{}", "x".repeat(500));
        let news = json!({"type": "authorize", "reference": id.to_string(), "status": "approved",
            "psp_reference": name, "amount": 2599, "currency": "GBP"});
        assert_eq!(world.webhook(&news).status, 200, "evidence always finds room");
    }
    let headers = headers(problem, &[("idempotency-key", "k3")]);
    world.send("POST", &format!("/attempts/{id}/capture"), &headers, b"")
}

/// A blind PSP, an operator who keeps saying that a void did not happen, and a new key each time.
fn parked_for_long(problem: bool) -> Response {
    let mut world = World::new(Kind::Blind);
    let id = world.authorized();
    world.script = std::iter::repeat_n(Told::Instead(timeout()), 100).collect();
    world.op(id, "void", "v");
    let target = format!("/attempts/{id}/resolve");
    for nth in 0..40 {
        world.settle(id, 4);
        let key = format!("r{nth}");
        let sent = json!({"operator": "ada", "reason": "r", "outcome": "did_not_happen"});
        let sent = world.word(id, sent);
        let headers = headers(problem, &[("idempotency-key", &key)]);
        let answer = world.send("POST", &target, &headers, sent.as_bytes());
        if answer.status >= 400 {
            return answer;
        }
    }
    panic!("room for 40 keys");
}

#[test]
fn every_code_is_reached_and_says_what_to_do() {
    let refusals = refusals();
    assert_eq!(refusals.len(), Code::ALL.len());
    for (word, (plain, problem)) in &refusals {
        assert_eq!(plain.header("Content-Type"), Some("application/json"), "{word}");
        let error = &body(plain)["error"];
        assert_eq!(error["code"], *word);
        assert!(error["message"].as_str().unwrap().len() > 10, "{word}");
        assert!(
            error["retryable"].is_boolean() && error["safe_new_key"].is_boolean(),
            "{word}"
        );
        assert_eq!(
            plain.header("Retry-After").is_some(),
            error["retryable"] == true,
            "{word}"
        );

        assert_eq!(
            problem.header("Content-Type"),
            Some("application/problem+json"),
            "{word}"
        );
        let facts = body(problem);
        assert_eq!(facts["type"], format!("urn:pay-once:error:{word}"));
        assert_eq!(facts["status"], problem.status);
        assert_eq!(facts["detail"], error["message"], "{word}");
        assert!(!facts["title"].as_str().unwrap().is_empty());
        for member in ["code", "retryable", "safe_new_key", "field", "decline_code"] {
            assert_eq!(
                facts.get(member),
                error.get(member),
                "{word}.{member}: the same facts"
            );
        }
    }
    assert_eq!(
        refusals["UNAUTHORIZED"].0.header("WWW-Authenticate"),
        Some("Bearer")
    );
    assert_eq!(refusals["METHOD_NOT_ALLOWED"].0.header("Allow"), Some("POST"));
    for (word, (plain, _)) in &refusals {
        let accepted = (*word == "UNSUPPORTED_CONTENT_ENCODING").then_some("identity");
        assert_eq!(plain.header("Accept-Encoding"), accepted, "{word}");
    }
}

#[test]
fn safe_new_key_is_said_only_where_a_new_key_cannot_pay_twice() {
    let said: Vec<&str> = refusals()
        .iter()
        .filter(|(_, (plain, _))| body(plain)["error"]["safe_new_key"] == true)
        .map(|(word, _)| *word)
        .collect();
    assert_eq!(
        said,
        ["DECLINED"],
        "only an attempt that ended without money is known to be safe"
    );
}

/// What failed before: a broken retry of a charge that had taken the money was told that a new key is safe.
#[test]
fn a_broken_retry_of_a_charge_that_went_through_is_not_told_to_use_a_new_key() {
    let mut world = World::new(Kind::Stripe);
    let charge = r#"{"amount":500,"currency":"GBP","payment_method":"visa"}"#;
    assert_eq!(world.post("/charge", "c1", charge).status, 200);
    for broken in [
        &charge[..20],
        r#"{"amount":"500"}"#,
        r#"{"amount":500,"currency":"GBP","more":1}"#,
    ] {
        let answer = world.post("/charge", "c1", broken);
        assert_eq!(
            (answer.status, &body(&answer)["error"]["safe_new_key"]),
            (400, &false.into()),
            "{broken}"
        );
    }
    assert_eq!(world.ledger.captures(), 1);
}

#[test]
fn a_state_without_money_is_safe_and_one_with_money_is_not() {
    for (end, safe) in [("void", true), ("capture", false)] {
        let mut world = World::new(Kind::Stripe);
        let id = world.authorized();
        assert_eq!(world.op(id, end, "k3").status, 200);
        let answer = world.op(id, "capture", "k4");
        assert_eq!(
            (answer.status, &body(&answer)["error"]["safe_new_key"]),
            (409, &safe.into()),
            "{end}"
        );
    }
}

/// While something is under way nobody knows how it will end: a new key could pay twice.
#[test]
fn a_state_in_doubt_is_not_safe() {
    for (operation, status) in [("authorize", "AUTHORIZING"), ("capture", "CAPTURING")] {
        let mut world = World::new(Kind::Stripe);
        let id = if operation == "authorize" {
            world.create()
        } else {
            world.authorized()
        };
        world.script.push_back(Told::Hold);
        assert_eq!(world.op(id, operation, "held").status, 202);
        let answer = world.op(id, operation, "another");
        let error = body(&answer)["error"].clone();
        assert_eq!((answer.status, &error["code"]), (409, &"INVALID_STATE".into()));
        assert_eq!(
            (&error["retryable"], &error["safe_new_key"]),
            (&true.into(), &false.into())
        );
        let words = format!("The attempt is {status}: another operation is under way.");
        assert!(error["message"].as_str().unwrap().starts_with(&words), "{error}");
    }
}

#[test]
fn nobody_is_told_where_nobody_waits() {
    assert!(Input::Wake.store_unavailable().is_none());
    assert!(Input::Wake.record_refused(&RecordError::NotARecord).is_none());
}

#[test]
fn a_psp_that_is_no_longer_configured_is_said_so_and_nothing_is_lost() {
    let mut world = World::new(Kind::Stripe);
    let id = world.authorized();
    let psps = std::mem::take(&mut world.config.psps);
    let answer = world.op(id, "capture", "k3");
    assert_eq!(
        (answer.status, &body(&answer)["error"]["code"]),
        (503, &Value::from("NOT_CONFIGURED"))
    );
    assert_eq!(
        world.op(id, "authorize", "k2").status,
        200,
        "a replay needs no PSP"
    );
    world.wake(id);
    world.config.psps = psps;
    assert_eq!(world.op(id, "capture", "k3").status, 200);
}

#[test]
fn a_configuration_on_which_no_promise_can_be_kept_is_refused() {
    let broken = |change: &dyn Fn(&mut pay_once_core::Config)| {
        let mut config = crate::support::config(Kind::Stripe);
        change(&mut config);
        config.check().unwrap_err()
    };
    let psp = |change: fn(&mut pay_once_core::Psp)| {
        broken(&move |config| change(config.psps.get_mut("stripe").unwrap()))
    };
    assert!(
        psp(|psp| psp.capabilities.keyed_horizon_ms = Some(Millis::new(124_000)))
            .contains("keyed_horizon_ms")
    );
    let why = psp(|psp| psp.base_url = "https://ada:secret@psp.example/v1".to_owned());
    assert!(why.contains("base_url") && !why.contains("secret"), "{why}");
    assert!(psp(|psp| psp.timing.send_window_ms = Millis::new(0)).contains("send_window_ms"));
    assert!(psp(|psp| psp.timing.call_timeout_ms = Millis::new(120_001)).contains("max_in_flight_ms"));
    let mut at_the_bound = crate::support::config(Kind::Stripe);
    at_the_bound.psps.values_mut().for_each(|psp| {
        psp.timing.call_timeout_ms = psp.timing.max_in_flight_ms;
        psp.capabilities.keyed_horizon_ms = Some(psp.timing.landed_after_ms() + Millis::new(1));
    });
    assert_eq!(at_the_bound.check(), Ok(()));
    let secret = at_the_bound.psps["stripe"].api_key.clone();
    assert_eq!(format!("{secret:?}"), "Secret(…)");
    assert!(psp(|psp| psp.connector = Connector::Acquirer).contains("no objects to address"));
    assert!(
        psp(|psp| psp.timing.max_in_flight_ms = Millis::MAX).contains("stripe"),
        "and it does not overflow"
    );
    assert!(broken(&|config| config.psps.clear()).contains("no psp named"));
    assert!(broken(&|config| config.open_merchant = Some("x".to_owned())).contains("open_merchant"));
    let same_key = |config: &mut pay_once_core::Config| {
        let demo = config.merchants.get_mut("demo").unwrap();
        demo.key_digests = vec![[7; 32]];
        let twin = demo.clone();
        config.merchants.insert("twin".to_owned(), twin);
    };
    assert!(broken(&same_key).contains("\"demo\" and \"twin\" have the same API key"));
    let mut config = crate::support::config(Kind::Stripe);
    config
        .psps
        .get_mut("stripe")
        .unwrap()
        .capabilities
        .keyed_horizon_ms = Some(Millis::new(124_001));
    assert_eq!(config.check(), Ok(()), "one millisecond more is enough");
}

#[test]
fn an_answer_that_is_too_large_is_unknown() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.create();
    let mut huge = br#"{"status":"declined"}"#.to_vec();
    huge.resize(1024 * 1024 + 1, b' ');
    world.script.push_back(Told::Instead(answered(200, huge.clone())));
    world.op(id, "authorize", "k2");
    assert_eq!(world.status(id), "AUTHORIZING");
    huge.pop();
    let id = world.create_with("again", CREATE);
    world.script.push_back(Told::Instead(answered(200, huge)));
    world.op(id, "authorize", "k2");
    assert_eq!(world.status(id), "DECLINED");
}

#[test]
fn what_may_be_reached_from_outside_is_closed_to_whoever_has_no_key() {
    let mut good = config(Kind::Stripe);
    good.open_merchant = None;
    for merchant in good.merchants.values_mut() {
        merchant.key_digests = vec![[1; 32]];
    }
    assert_eq!(good.check_public(), Ok(()));
    let refused = |change: fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        config.check_public().unwrap_err()
    };
    assert!(refused(|c| c.open_merchant = c.merchants.keys().next().cloned()).contains("open_merchant"));
    assert!(refused(|c| c.merchants.values_mut().for_each(|m| m.key_digests.clear())).contains("has no key"));
    assert!(
        refused(|c| c.psps.values_mut().for_each(|p| p.webhook_secrets.clear())).contains("webhook secret")
    );
    assert!(refused(|c| c.merchants.clear()).contains("no merchants"));
}
