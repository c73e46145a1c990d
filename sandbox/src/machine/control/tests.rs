use serde_json::json;

use crate::Method;
use crate::testing::Bench;

#[test]
fn control_addresses_answer_at_once() {
    let mut bench =
        Bench::new(json!({"latency_ms": {"min": 500, "max": 500}, "error_before_permille": 1000}));
    for path in ["/healthz", "/stats", "/ledger", "/dials"] {
        let got = bench.get(path);
        assert_eq!((got.status, got.after_ms), (200, 0), "{path}");
        assert_eq!(
            bench.send(Method::Post, path, &[], b"").unwrap().status,
            405,
            "{path}"
        );
    }
    assert_eq!(bench.get("/nothing").status, 404);
    assert_eq!(bench.get("/ledger/pa_none").status, 404);
    assert_eq!(
        bench
            .send(Method::Put, "/dials", &[], b"{\"latency\": 1}")
            .unwrap()
            .status,
        400
    );
    assert_eq!(bench.send(Method::Put, "/dials", &[], b"{").unwrap().status, 400);
}

#[test]
fn the_page_asks_answers_and_returns() {
    let mut bench = Bench::new(json!({}));
    let form = "amount=1&currency=gbp&confirm=true&payment_method=pm_card_authenticationRequired\
                &return_url=https://shop.example/back?order%3D1";
    let id = bench.stripe("payment_intents", form, "").unwrap().body["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/3ds/{id}");
    assert_eq!(bench.get(&path).status, 200);
    assert_eq!(
        bench
            .send(Method::Post, &path, &[], b"success=maybe")
            .unwrap()
            .status,
        400
    );
    assert_eq!(
        bench
            .send(Method::Post, &path, &[], b"success=true")
            .unwrap()
            .status,
        303
    );
    assert_eq!(
        bench.stripe_get(&format!("payment_intents/{id}")).body["status"],
        "succeeded"
    );
    assert_eq!(bench.get(&path).status, 404);
}

#[test]
fn an_acquirers_page_returns_as_well() {
    let mut bench = Bench::new(json!({}));
    let body = json!({"reference": "pa_1", "amount": 1, "currency": "GBP",
        "payment_method": "pm_card_authenticationRequired", "return_url": "https://shop.example/back?order=1"});
    let asked = bench.acquirer("/authorize", body, "").unwrap().body;
    let id = asked["psp_reference"].as_str().unwrap();
    let page = format!("/3ds/{id}");
    let answer = bench.send(Method::Post, &page, &[], b"success=true").unwrap();
    assert_eq!(answer.status, 303);
    let back = format!("https://shop.example/back?order=1&psp_reference={id}&redirect_status=succeeded");
    assert_eq!(answer.header("Location"), Some(back.as_str()));

    // What is said goes before a fragment, or the browser would keep it to itself.
    let body = json!({"reference": "pa_2", "amount": 1, "currency": "GBP",
        "payment_method": "pm_card_authenticationRequired", "return_url": "https://shop.example/#/back?x"});
    let asked = bench.acquirer("/authorize", body, "").unwrap().body;
    let id = asked["psp_reference"].as_str().unwrap();
    let answer = bench
        .send(Method::Post, &format!("/3ds/{id}"), &[], b"success=false")
        .unwrap();
    let back = format!("https://shop.example/?psp_reference={id}&redirect_status=failed#/back?x");
    assert_eq!(answer.header("Location"), Some(back.as_str()));
}

#[test]
fn the_story_of_an_attempt_lists_its_events() {
    let mut bench = Bench::new(json!({}));
    bench.pay("pm_card_visa", "k1").unwrap();
    let story = bench.get("/ledger/pa_1").body;
    assert_eq!(story["authorizations"], 1);
    let event = &story["events"][0];
    assert_eq!(
        (&event["operation"], &event["key"], &event["late"]),
        (&json!("authorize"), &json!("k1"), &json!(false))
    );
}
