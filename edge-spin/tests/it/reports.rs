//! What core asks of an adapter beside calls: reads of objects that events are about, questions that are not asked again so soon,
//! and a place where people see what a PSP rejects.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pay_once_suite::environment;
use serde_json::{Value, json};

use crate::http::{self, Answer};
use crate::scripted::Scripted;
use crate::world::{Host, Mode, World, ask, body, until};

const INTENTS: &str = "POST /v1/payment_intents";
const INTENT: &str = "GET /v1/payment_intents/pi_1";

fn place() -> (Scripted, World, Host) {
    let psp = Scripted::start();
    let mut world = World::new(Mode::Sqlite);
    world.pay_at(&psp.address);
    world.variables.insert("measures".to_owned(), "log".to_owned());
    let host = world.host();
    (psp, world, host)
}

/// The PSP's words for credentials that lack a permission.
fn lacks_permission() -> String {
    let message = "The provided key 'rk_test_x' does not have the required permissions for this endpoint. Having the 'rak_payment_intent_read' permission would allow this request to continue.";
    json!({"error": {"type": "invalid_request_error", "message": message}}).to_string()
}

fn intent(status: &str, attempt: &Value) -> String {
    json!({
        "id": "pi_1", "object": "payment_intent", "amount": 2599, "currency": "gbp", "status": status,
        "metadata": {"attempt_id": attempt},
        "next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example/3ds"}},
    })
    .to_string()
}

/// An event, signed as the PSP signs.
fn event(host: &Host, event: &Value) -> Answer {
    let sent = event.to_string();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let secret = environment::WEBHOOK_SECRET.as_bytes();
    let signature = pay_once_sandbox::signature(secret, now_s, sent.as_bytes());
    let headers = [("Stripe-Signature", signature.as_str())];
    http::send(
        &host.address,
        "POST",
        "/webhooks/stripe",
        &headers,
        sent.as_bytes(),
    )
    .unwrap()
}

fn problems(host: &Host) -> Value {
    let health = host.get("/healthz");
    assert_eq!(health.status, 200, "{health:?}");
    health.json()["psp_problems"].clone()
}

#[test]
fn what_a_psp_rejects_is_shown_until_it_is_answered() {
    let (psp, _world, host) = place();
    psp.says(INTENT, 403, &lacks_permission());
    let thin = json!({
        "type": "v1.payment_intent.succeeded",
        "related_object": {"id": "pi_1", "type": "payment_intent"},
    });
    let refused = event(&host, &thin);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (502, "PSP_READ_FAILED"),
        "{refused:?}"
    );
    let shown = problems(&host);
    let first = &shown[0];
    assert_eq!(
        (
            &first["psp"],
            &first["call"],
            &first["status"],
            &first["permission"]
        ),
        (
            &json!("stripe"),
            &json!("read"),
            &json!(403),
            &json!("rak_payment_intent_read")
        ),
        "{shown}"
    );
    assert_eq!(host.get("/healthz").json()["rejected_requests"], 1);
    psp.says(INTENT, 200, &intent("succeeded", &Value::Null));
    let taken = event(&host, &thin);
    assert_eq!((taken.status, taken.json()), (200, json!({"received": true})));
    assert_eq!(problems(&host), json!([]));
}

#[test]
fn an_event_is_followed_from_its_refund_to_the_attempt() {
    let (psp, _world, host) = place();
    let created = host.post("/attempts", "k", &body("k", "pm_card_visa")).json();
    let id = &created["attempt_id"];
    psp.says(INTENTS, 200, &intent("requires_capture", id));
    psp.says(INTENT, 200, &intent("requires_capture", id));
    let refund = json!({
        "id": "re_1", "object": "refund", "amount": 2599, "currency": "gbp", "status": "succeeded",
        "payment_intent": "pi_1", "metadata": {},
    });
    psp.says("GET /v1/refunds/re_1", 200, &refund.to_string());
    let target = format!("/attempts/{}/authorize", id.as_str().unwrap());
    assert_eq!(host.post_wait(&target, "a", &Value::Null).status, 200);
    let thin = json!({
        "type": "v1.refund.created", "related_object": {"id": "re_1", "type": "refund"},
    });
    let taken = event(&host, &thin);
    assert_eq!(
        (taken.status, taken.json()),
        (200, json!({"received": true})),
        "{taken:?}"
    );
    assert_eq!(psp.times_asked("GET /v1/refunds/re_1"), 1);
    assert_eq!(psp.times_asked(INTENT), 1);
    let shown = host.get(&format!("/attempts/{}", id.as_str().unwrap()));
    let timeline = shown.json()["timeline"].to_string();
    assert!(timeline.contains("webhook"), "{timeline}");
}

#[test]
fn the_psps_name_of_an_exchange_is_on_record() {
    let (psp, _world, host) = place();
    psp.says(INTENTS, 200, &intent("requires_capture", &Value::Null));
    let created = host.post("/attempts", "k", &body("k", "pm_card_visa")).json();
    let place = format!("/attempts/{}", created["attempt_id"].as_str().unwrap());
    host.post_wait(&format!("{place}/authorize"), "a", &Value::Null);
    let timeline = host.get(&place).json()["timeline"].to_string();
    assert!(timeline.contains("req_scripted"), "{timeline}");
}

#[test]
fn an_answer_that_is_too_large_is_said_to_be_too_large() {
    let (psp, _world, host) = place();
    psp.says(
        INTENTS,
        200,
        &" ".repeat(pay_once_core::limits::PSP_ANSWER_BYTES_MAX + 1),
    );
    let created = host.post("/attempts", "k", &body("k", "pm_card_visa")).json();
    let place = format!("/attempts/{}", created["attempt_id"].as_str().unwrap());
    let asked = host.post_wait(&format!("{place}/authorize"), "a", &Value::Null);
    assert_eq!(asked.status, 202, "{asked:?}");
    let timeline = host.get(&place).json()["timeline"].to_string();
    assert!(
        timeline.contains("the answer is too large to be read"),
        "{timeline}"
    );
}

#[test]
fn a_client_that_asks_again_and_again_does_not_have_the_psp_asked_each_time() {
    let (psp, _world, host) = place();
    let mut sent = body("k", "pm_card_visa");
    sent["return_url"] = json!("https://shop.example/back");
    let created = host.post("/attempts", "k", &sent).json();
    let id = &created["attempt_id"];
    psp.says(INTENTS, 200, &intent("requires_action", id));
    psp.says(INTENT, 200, &intent("requires_action", id));
    let place = format!("/attempts/{}", id.as_str().unwrap());
    let asked = host.post(&format!("{place}/authorize"), "a", &Value::Null);
    assert_eq!(asked.status, 202, "{asked:?}");
    for _ in 0..10 {
        assert_eq!(host.get(&place).json()["status"], "REQUIRES_ACTION");
    }
    let times = psp.times_asked(INTENT);
    assert!((1..=3).contains(&times), "{times}");
}

#[test]
fn a_trace_is_in_the_log_and_with_the_call_and_what_happens_is_counted() {
    const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (psp, world, host) = place();
    let declined = json!({"error": {"type": "card_error", "code": "card_declined", "message": "No."}});
    psp.says(INTENTS, 402, &declined.to_string());
    let traceparent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
    let headers = [
        ("Idempotency-Key", "k"),
        ("Prefer", "wait=20"),
        ("traceparent", &traceparent),
    ];
    let answer = ask(
        &host.address,
        "POST",
        "/charge",
        &headers,
        &body("k", "pm_card_visa"),
    )
    .unwrap();
    assert_eq!(answer.status, 402, "{answer:?}");
    let head = psp.last_head();
    let sent = head
        .lines()
        .find_map(|line| line.strip_prefix("traceparent: "))
        .unwrap();
    assert!(
        sent.starts_with(&format!("00-{TRACE_ID}-")) && sent != traceparent,
        "{sent}"
    );
    let attempt = answer.json()["error"]["attempt"]["attempt_id"].clone();
    let expected = [
        ("written", "AUTHORIZING", &attempt),
        ("waiting", "psp", &attempt),
        ("psp_call", "stripe", &attempt),
        ("written", "DECLINED", &attempt),
        ("waiting", "nothing", &attempt),
        ("psp_decline", "stripe", &attempt),
        ("error", "DECLINED", &Value::Null),
        ("answer", "402", &Value::Null),
    ];
    until("what happened is counted", Duration::from_secs(10), || {
        let lines = world.log().into_iter().filter(|line| line["trace"] == TRACE_ID);
        let told: Vec<_> = lines
            .flat_map(|line| {
                let measures = line["measures"].as_array().cloned().unwrap_or_default();
                measures.into_iter().map(move |m| (m, line["attempt"].clone()))
            })
            .collect();
        let is_told = |(name, label, id): &(&str, &str, &Value)| {
            told.iter().any(|(m, attempt)| {
                m["measure"] == *name && m["label"] == *label && m["count"] == 1 && attempt == *id
            })
        };
        expected.iter().all(is_told).then_some(())
    });
}
