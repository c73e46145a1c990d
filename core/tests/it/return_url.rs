//! `return_url` (`docs/http.md`, “3-D Secure”): where the customer goes afterwards. It is part of what is sent under a PSP key,
//! so it comes from the journal, stays, and is the same in every sending (rule 3).

use pay_once_core::AttemptId;
use pay_once_core::journal::entry::Fact;
use pay_once_core::limits::{PSP_PAGE_BYTES_MAX, RETURN_URL_CHARS_MAX};
use serde_json::{Value, json};

use crate::support::{CREATE, Kind, Told, World, answered, code, json as body, text, timeout};

const BACK: &str = "https://shop.example/back?order=1&step=3ds";
const BACK_IN_A_FORM: &str = "return_url=https%3A%2F%2Fshop.example%2Fback%3Forder%3D1%26step%3D3ds";

fn with_return(sent: &str, url: &str) -> String {
    let mut members: Value = serde_json::from_str(sent).unwrap();
    members["return_url"] = json!(url);
    members.to_string()
}

/// The bodies that were sent to the PSP, in order.
fn sent(world: &World) -> Vec<String> {
    let body = |call: &pay_once_core::Call| String::from_utf8(call.http.body.clone()).unwrap();
    world.calls.iter().map(body).collect()
}

/// The addresses in the journal.
fn kept(world: &World, id: AttemptId) -> Vec<String> {
    let record = world.record(id);
    let urls = record.entries().iter().filter_map(|entry| match &entry.fact {
        Fact::ReturnTo { url } => Some(url.clone()),
        _ => None,
    });
    urls.collect()
}

#[test]
fn stripe_gets_it_with_the_confirmation_and_only_there() {
    let mut world = World::new(Kind::StripeNoKeys);
    let id = world.create_with("k1", &with_return(CREATE, BACK));
    world.op(id, "authorize", "k2");
    let sent = sent(&world);
    assert_eq!(sent.len(), 2, "the object, then its confirmation");
    assert!(!sent[0].contains("return_url"), "{}", sent[0]);
    assert!(sent[1].contains(BACK_IN_A_FORM), "{}", sent[1]);
    assert_eq!(kept(&world, id), [BACK]);
    assert_eq!(world.status(id), "AUTHORIZED");
}

#[test]
fn where_one_call_makes_and_confirms_it_is_in_that_call() {
    for kind in [Kind::Stripe, Kind::StripeListed] {
        let mut world = World::new(kind);
        let id = world.create_with("k1", &with_return(CREATE, BACK));
        world.op(id, "authorize", "k2");
        let sent = sent(&world);
        assert_eq!(sent.len(), 1, "{kind:?}");
        assert!(sent[0].contains(BACK_IN_A_FORM), "{kind:?}: {}", sent[0]);
    }
}

#[test]
fn an_acquirer_gets_it_with_the_authorization() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.create_with("k1", &with_return(CREATE, BACK));
    world.op(id, "authorize", "k2");
    world.op(id, "capture", "k3");
    let sent = sent(&world);
    let authorize: Value = serde_json::from_str(&sent[0]).unwrap();
    assert_eq!(authorize["return_url"], BACK);
    assert!(
        !sent[1].contains("return_url"),
        "a capture has no customer: {}",
        sent[1]
    );
}

#[test]
fn nobody_who_did_not_give_it_sends_it() {
    for kind in [Kind::Stripe, Kind::AcquirerKeyed] {
        let mut world = World::new(kind);
        let id = world.create();
        world.op(id, "authorize", "k2");
        assert!(sent(&world).iter().all(|body| !body.contains("return_url")));
        assert!(kept(&world, id).is_empty());
    }
}

#[test]
fn it_may_come_with_the_authorization_or_a_charge() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let asked = json!({"return_url": BACK}).to_string();
    let answer = world.post(&format!("/attempts/{id}/authorize"), "k2", &asked);
    assert_eq!(answer.status, 200, "{}", text(&answer));
    assert!(sent(&world)[0].contains(BACK_IN_A_FORM));
    assert_eq!(kept(&world, id), [BACK]);

    let mut world = World::new(Kind::Stripe);
    let charge = r#"{"amount":500,"currency":"GBP","payment_method":"pm_card_visa"}"#;
    let answer = world.post("/charge", "k1", &with_return(charge, BACK));
    assert_eq!(answer.status, 200, "{}", text(&answer));
    assert!(sent(&world)[0].contains(BACK_IN_A_FORM));
}

#[test]
fn the_first_one_stays_and_another_is_refused() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create_with("k1", &with_return(CREATE, BACK));
    let path = format!("/attempts/{id}/authorize");
    let other = world.post(&path, "k2", r#"{"return_url":"https://shop.example/other"}"#);
    assert_eq!((other.status, code(&other)), (400, "INVALID_FIELD".to_owned()));
    assert_eq!(body(&other)["error"]["field"], "return_url");
    assert!(world.calls.is_empty(), "nothing was set going");
    let same = world.post(&path, "k2", &json!({"return_url": BACK}).to_string());
    assert_eq!(same.status, 200, "{}", text(&same));
    assert_eq!(kept(&world, id), [BACK], "once");

    let reused = world.post(
        "/attempts",
        "k1",
        &with_return(CREATE, "https://shop.example/other"),
    );
    assert_eq!(
        (reused.status, code(&reused)),
        (409, "IDEMPOTENCY_KEY_REUSE".to_owned())
    );
}

#[test]
fn rule_03_a_sending_again_says_the_same() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create_with("k1", &with_return(CREATE, BACK));
    world.script.push_back(Told::Lost(timeout()));
    world.op(id, "authorize", "k2");
    world.settle(id, 1);
    let sendings: Vec<_> = world
        .calls
        .iter()
        .filter(|call| call.http.url.ends_with("/payment_intents"))
        .collect();
    assert!(sendings.len() > 1, "it was sent again");
    for again in &sendings[1..] {
        assert_eq!(again.http, sendings[0].http);
    }
    assert_eq!(world.status(id), "AUTHORIZED");
}

#[test]
fn it_is_told_to_nobody_but_the_psp() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create_with("k1", &with_return(CREATE, BACK));
    let answer = world.op(id, "authorize", "k2");
    assert!(!text(&answer).contains("shop.example"));
    let shown = world.get(id).to_string();
    assert!(!shown.contains("shop.example"), "{shown}");
    assert!(world.story(id).contains(&"return address given".to_owned()));
}

#[test]
fn what_is_no_web_address_is_refused() {
    let long = |chars: usize| format!("https://shop.example/{}", "x".repeat(chars - 21));
    for good in [
        "https://shop.example",
        "http://localhost:3000/back#done",
        "https://shop.example:8443/a@b?c=%22",
        "https://[2001:db8::1]/back",
        "http://[::1]:65535",
        "https://xn--bcher-kva.example/caf%C3%A9?a[]=b;c,d(e)*!$'~+",
        &long(RETURN_URL_CHARS_MAX),
    ] {
        let sent = CREATE.replace('}', &format!(",\"return_url\":\"{good}\"}}"));
        let answer = World::new(Kind::Stripe).post("/attempts", "k1", &sent);
        assert_eq!(answer.status, 201, "{good}: {}", text(&answer));
    }
    for bad in [
        "",
        "shop.example/back",
        "/back",
        "//shop.example/back",
        "javascript:alert(1)",
        "ftp://shop.example",
        "https://",
        "https:///back",
        "https://?back",
        "https://#back",
        "https://shop.example/a b",
        "https://shop.example/caf\u{e9}",
        "https://shop.example\\\\@evil.example",
        "https://user:secret@shop.example/",
        "https://shop.example/\\n",
        "HTTPS//shop.example",
        "https://a:65536/",
        "https://a:099999/",
        "https://a:/",
        "https://a:+1/",
        "https://:443/",
        "https://%00/",
        "https://[::1",
        "https://[]/",
        "https://[::1]x/",
        "https://[shop]/",
        "https://ex<script>.example/",
        "https://shop.example/<script>",
        "https://shop.example/`",
        "https://shop.example/{a}|^",
        "https://shop.example\\u0022/",
        &long(RETURN_URL_CHARS_MAX + 1),
    ] {
        let mut world = World::new(Kind::Stripe);
        let sent = CREATE.replace('}', &format!(",\"return_url\":\"{bad}\"}}"));
        let answer = world.post("/attempts", "k1", &sent);
        let error = &body(&answer)["error"];
        assert_eq!(
            (answer.status, &error["code"]),
            (400, &json!("INVALID_FIELD")),
            "{bad}"
        );
        assert_eq!(error["field"], "return_url", "{bad}");
        assert!(world.store.is_empty(), "nothing changed");
        assert!(!text(&answer).contains("secret"), "nothing of it is said again");
    }
}

#[test]
fn rule_07_whoever_names_the_page_is_heard_in_any_order() {
    let page = "https://bank.example/3ds";
    for order in [["", page], [page, ""]] {
        let mut world = World::new(Kind::Stripe);
        let id = world.create_with("k1", &with_return(CREATE, BACK).replace("visa", "3ds"));
        world.script.push_back(Told::Lost(timeout()));
        world.op(id, "authorize", "k2");
        for url in order {
            let mut intent = world.ledger.intent("pi_3N00001");
            intent["next_action"] = json!({"redirect_to_url": {"url": url}});
            world.webhook(&json!({"type": "payment_intent.requires_action", "data": {"object": intent}}));
        }
        let shown = world.get(id);
        assert_eq!(shown["status"], "REQUIRES_ACTION");
        assert_eq!(shown["next_action"]["url"], page, "{order:?}");
    }
}

#[test]
fn a_page_is_named_whole_or_not_at_all() {
    for (bytes, is_named) in [
        (PSP_PAGE_BYTES_MAX, true),
        (PSP_PAGE_BYTES_MAX + 1, false),
        (0, false),
    ] {
        let url = "u".repeat(bytes);
        let listing = json!({"authorize": [], "capture": [], "void": [], "requires_action": [{"id": "a", "action_url": url}]});
        let mut world = World::new(Kind::AcquirerQueryable);
        let id = world.create();
        world.script.extend([
            Told::Instead(timeout()),
            Told::Instead(answered(200, listing.to_string())),
        ]);
        world.op(id, "authorize", "k2");
        world.settle(id, 1);
        let shown = world.get(id);
        assert_eq!(shown["status"], "REQUIRES_ACTION");
        assert_eq!(shown.get("next_action").is_some(), is_named, "{bytes}");
        let refused = world.op(id, "capture", "k3");
        assert_eq!(code(&refused), "INVALID_STATE");
        let word = if is_named { "next_action.url" } else { "return_url" };
        assert!(text(&refused).contains(word), "{}", text(&refused));
        if is_named {
            assert_eq!(shown["next_action"]["url"], url);
        }
    }
}

#[test]
fn the_news_of_a_finished_3d_secure_are_two_minutes_late_at_most() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create_with("k1", &with_return(CREATE, BACK).replace("visa", "3ds"));
    let began_ms = world.now_ms;
    world.op(id, "authorize", "k2");
    let mut looks = 0;
    while world.status(id) == "REQUIRES_ACTION" {
        let due_ms = world.due(id).unwrap();
        let passed_ms = world.now_ms - began_ms;
        let pause_ms = due_ms - world.now_ms;
        assert!(
            pause_ms <= (passed_ms / 2).clamp(2_000, 120_000),
            "{pause_ms} after {passed_ms}"
        );
        world.wake_at(id, due_ms);
        looks += 1;
    }
    assert_eq!(world.status(id), "EXPIRED");
    assert!((10..50).contains(&looks), "{looks} looks in all");
}
