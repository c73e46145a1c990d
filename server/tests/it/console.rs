//! What the operators' listener does for the operator's page: the page, and operators' requests about attempts
//! (`docs/operating.md`, “The console”). `server/console/` tests the page itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{self, Answer};
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(30);
const OPERATOR: (&str, &str) = ("Authorization", "Bearer sandbox_operator");

/// A charge of which this is known of the operation under way.
fn charged(class: &str, payment_method: &str, state: &str) -> (Server, String) {
    let server = Server::fast(class);
    let body = json!({"amount": 500, "currency": "GBP", "payment_method": payment_method});
    let answer = server.post("/charge", "c1", &body).json();
    let id = answer["attempt_id"].as_str().unwrap().to_owned();
    server.until(&id, LIMIT, |attempt| attempt["operation"]["state"] == state);
    (server, id)
}

/// Asks the operators' listener.
fn ask(server: &Server, method: &str, target: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let bytes = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    http::send(&server.operators, method, target, headers, &bytes).unwrap()
}

#[test]
fn an_operator_reads_looks_and_resolves_on_the_operators_listener() {
    let (server, id) = charged("acquirer-blind", "pm_sandbox_hang_before", "parked");
    let path = format!("/attempts/{id}");
    let read = ask(&server, "GET", &path, &[OPERATOR], &Value::Null);
    assert_eq!(read.status, 200, "{read:?}");
    let look = ask(
        &server,
        "POST",
        &format!("{path}/look"),
        &[OPERATOR],
        &Value::Null,
    );
    assert_eq!((look.status, look.code()), (409, "INVALID_STATE".to_owned()));
    let word = json!({
        "reason": "seen in the books",
        "operation": "authorize",
        "generation": read.json()["operation"]["generation"],
        "outcome": "did_not_happen",
    });
    let headers = [OPERATOR, ("Idempotency-Key", "r1")];
    let resolved = ask(&server, "POST", &format!("{path}/resolve"), &headers, &word);
    assert_eq!(
        (resolved.status, &resolved.json()["status"]),
        (200, &Value::from("DECLINED"))
    );
}

/// The merchant of the quick start has no key. On this listener that makes nobody an operator.
#[test]
fn whoever_is_no_operator_is_refused_on_the_operators_listener() {
    let server = Server::fast("stripe");
    let id = server.create("k1", "pm_card_visa");
    let path = format!("/attempts/{id}");
    for headers in [&[][..], &[("Authorization", "Bearer nobody")]] {
        for (method, target) in [("GET", path.clone()), ("POST", format!("{path}/look"))] {
            let answer = ask(&server, method, &target, headers, &Value::Null);
            let is_refused = matches!(answer.status, 401 | 403);
            assert!(is_refused, "{method} {target}: {answer:?}");
        }
    }
    assert_eq!(ask(&server, "GET", &path, &[], &Value::Null).status, 401);
    // Not even an operator finds anything here that creates an attempt or moves money.
    let headers = [OPERATOR, ("Idempotency-Key", "k2")];
    for target in [
        "/attempts",
        "/charge",
        "/webhooks/stripe",
        &format!("{path}/authorize"),
    ] {
        let answer = ask(
            &server,
            "POST",
            target,
            &headers,
            &json!({"amount": 1, "currency": "GBP"}),
        );
        assert_eq!(answer.status, 404, "{target}: {answer:?}");
    }
    assert_eq!(server.attempt(&id)["status"], "CREATED");
}

/// A look waits for its PSP, and the attempt is not kept from others meanwhile.
#[test]
fn a_look_at_a_slow_psp_keeps_nobody_off_the_attempt() {
    let server = Server::fast("stripe");
    let id = server.create("k1", "pm_card_visa");
    let authorized = server.post_wait(&format!("/attempts/{id}/authorize"), "k2", &Value::Null);
    assert_eq!(authorized.status, 200, "{authorized:?}");
    server.turn(&json!({"latency_ms": {"min": 1_500, "max": 1_500}}));
    // The look is not left out because of a question of recovery's.
    std::thread::sleep(Duration::from_secs(2));
    std::thread::scope(|scope| {
        let look = scope.spawn(|| {
            let target = format!("/attempts/{id}/look");
            ask(&server, "POST", &target, &[OPERATOR], &Value::Null)
        });
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(server.attempt(&id)["status"], "AUTHORIZED");
        assert!(!look.is_finished(), "the PSP has not answered yet");
        let answer = look.join().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["look"]["found"], "authorized");
    });
}

#[test]
fn the_page_and_its_files_have_a_strict_policy() {
    let server = Server::fast("stripe");
    for path in [
        "/console",
        "/console/script.js",
        "/console/picture.js",
        "/console/style.css",
    ] {
        let answer = server.ask_operators(path);
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(server.ask_operators("/console/other.js").status, 404);
}

#[test]
fn a_browser_is_shown_an_attempt_in_the_quick_start() {
    let server = Server::fast("stripe");
    let id = server.create("k1", "pm_card_visa");
    let path = format!("/attempts/{id}");
    let browser = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let page = http::send(&server.address, "GET", &path, &browser, b"").unwrap();
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("vary"), Some("Accept"));
    let json = http::send(&server.address, "GET", &path, &[("Accept", "*/*")], b"").unwrap();
    assert_eq!(json.header("content-type"), Some("application/json"));
}
