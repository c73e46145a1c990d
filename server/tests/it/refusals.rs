//! Every refusal of the contract, over the wire: precise, and nothing changed (`docs/http.md`, “Errors”).

use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::http::{self, Answer};
use crate::server::{OPERATOR, Server};

/// Everything that a refusal must not change: counters, records, the PSP's ledger.
pub(crate) type Everything = (Value, Vec<(Vec<u8>, Vec<u8>)>, Value);

pub(crate) fn everything(server: &Server, psp: &str) -> Everything {
    let mut counters = server.counters();
    // Asking is counted; nothing else may be.
    counters["requests"] = Value::Null;
    let database = Connection::open(server.data().join("pay-once.sqlite3")).unwrap();
    let mut rows = database
        .prepare("SELECT id, bytes FROM records ORDER BY id")
        .unwrap();
    let records = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let ledger = http::send(psp, "GET", "/ledger", &[], b"").unwrap().json();
    (counters, records, ledger)
}

/// Sends each request and expects its refusal, the field that it names if any, and no change at all.
pub(crate) struct Refusals<'a> {
    server: &'a Server,
    before: Everything,
}

impl<'a> Refusals<'a> {
    pub(crate) fn of(server: &'a Server) -> Self {
        let before = everything(server, &server.sandbox);
        Self { server, before }
    }

    pub(crate) fn expect(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        code: &str,
    ) -> Answer {
        let answer = http::send(&self.server.address, method, target, headers, body).unwrap();
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let case = format!("{method} {target} {headers:?} {shown}: {answer:?}");
        assert!((400..500).contains(&answer.status), "{case}");
        assert_eq!(answer.code(), code, "{case}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"), "{case}");
        let error = &answer.json()["error"];
        assert!(
            error["message"].as_str().is_some_and(|words| words.len() > 10),
            "{case}"
        );
        assert!(
            error["retryable"].is_boolean() && error["safe_new_key"].is_boolean(),
            "{case}"
        );
        answer
    }

    /// A body that is refused; `field` is what the error must name.
    pub(crate) fn body(&self, target: &str, body: &str, code: &str, field: &str) {
        let answer = self.expect(
            "POST",
            target,
            match target.ends_with("/resolve") {
                true => &[("Idempotency-Key", "new"), OPERATOR],
                false => &[("Idempotency-Key", "new")],
            },
            body.as_bytes(),
            code,
        );
        let named = answer.json()["error"]["field"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert_eq!(named, field, "{body}: {answer:?}");
    }
}

impl Drop for Refusals<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let after = everything(self.server, &self.server.sandbox);
            assert_eq!(after, self.before, "something changed");
        }
    }
}

/// A server with an attempt in each interesting state.
pub(crate) fn server() -> (Server, String, String) {
    let server = Server::fast("stripe");
    let created = server.create("created", "pm_card_visa");
    let authorized = server.create("authorized", "pm_card_visa");
    server.post_wait(&format!("/attempts/{authorized}/authorize"), "a", &Value::Null);
    // Two creations, the authorization, and the webhook about it: then nothing is on its way.
    let until = Instant::now() + Duration::from_secs(10);
    while server.counters()["requests"].as_u64() < Some(4) {
        assert!(Instant::now() < until, "no webhook");
        std::thread::sleep(Duration::from_millis(10));
    }
    (server, created, authorized)
}

#[test]
fn paths_and_methods() {
    let (server, id, _) = server();
    let refusals = Refusals::of(&server);
    let none = "pa_00000000000000000000000000";
    for (method, target, code) in [
        ("GET", "/".to_owned(), "NOT_FOUND"),
        ("POST", "/attempt".to_owned(), "NOT_FOUND"),
        ("POST", "/attempts/".to_owned(), "NOT_FOUND"),
        ("POST", format!("/attempts/{id}/refund"), "NOT_FOUND"),
        ("POST", format!("/attempts/{id}/capture/"), "NOT_FOUND"),
        ("POST", "/CHARGE".to_owned(), "NOT_FOUND"),
        ("GET", format!("/attempts/{none}"), "ATTEMPT_NOT_FOUND"),
        ("GET", "/attempts/pa_nonsense".to_owned(), "ATTEMPT_NOT_FOUND"),
        ("GET", "/attempts/%2e%2e".to_owned(), "ATTEMPT_NOT_FOUND"),
        ("POST", format!("/attempts/{none}/authorize"), "ATTEMPT_NOT_FOUND"),
        ("POST", format!("/attempts/{none}/resolve"), "FORBIDDEN"),
        ("PATCH", "/attempts".to_owned(), "METHOD_NOT_ALLOWED"),
        ("GET", "/charge".to_owned(), "METHOD_NOT_ALLOWED"),
        ("PUT", "/charge".to_owned(), "METHOD_NOT_ALLOWED"),
        ("DELETE", format!("/attempts/{id}"), "METHOD_NOT_ALLOWED"),
        ("GET", format!("/attempts/{id}/capture"), "METHOD_NOT_ALLOWED"),
        ("GET", "/webhooks/stripe".to_owned(), "METHOD_NOT_ALLOWED"),
        ("POST", "/webhooks/nobody".to_owned(), "UNKNOWN_PSP"),
    ] {
        let answer = refusals.expect(method, &target, &[("Idempotency-Key", "new")], b"", code);
        assert_eq!(
            answer.header("Allow").is_some(),
            code == "METHOD_NOT_ALLOWED",
            "{answer:?}"
        );
    }
}

/// Of the server's own paths as of the contract's: what follows the headers of a HEAD is the next answer.
#[test]
fn head_is_answered_without_a_body() {
    let (server, id, _) = server();
    for (target, status) in [
        ("/healthz".to_owned(), 200),
        ("/openapi.json".to_owned(), 404),
        (format!("/attempts/{id}"), 200),
        ("/attempts/pa_x".to_owned(), 404),
        ("/charge".to_owned(), 405),
    ] {
        let got = http::send(&server.address, "GET", &target, &[], b"").unwrap();
        let head = http::send(&server.address, "HEAD", &target, &[], b"").unwrap();
        assert_eq!((head.status, got.status), (status, status), "{target}");
        assert!(head.body.is_empty(), "{head:?}");
        let headers = |answer: &http::Answer| {
            let mut headers = answer.headers.clone();
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Date"));
            headers
        };
        assert_eq!(headers(&head), headers(&got), "{target}");
    }
    let two = format!(
        "HEAD /attempts/{id} HTTP/1.1\r\nHost: pay\r\n\r\nGET /nothing HTTP/1.1\r\nHost: pay\r\nConnection: close\r\n\r\n"
    );
    let came = http::exchanged(&server.address, two.as_bytes()).unwrap();
    let end = came.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(came.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_eq!(http::parse(&came[end..]).unwrap().status, 404);
}

#[test]
fn keys() {
    let (server, id, _) = server();
    let refusals = Refusals::of(&server);
    let body = br#"{"order_id": "o", "amount": 1, "currency": "GBP"}"#;
    let authorize = format!("/attempts/{id}/authorize");
    for target in ["/attempts", "/charge", &authorize] {
        refusals.expect("POST", target, &[], body, "IDEMPOTENCY_KEY_REQUIRED");
    }
    let long = "k".repeat(256);
    for key in [
        "",
        "a, b",
        "\"a\", \"b\"",
        "a b",
        "\"open",
        &long,
        "k\u{e9}",
        "\"\"",
    ] {
        let headers = [("Idempotency-Key", key)];
        let answer = http::send(&server.address, "POST", "/attempts", &headers, body).unwrap();
        assert_eq!(answer.status, 400, "{key:?}: {answer:?}");
        assert!(
            answer.code().starts_with("IDEMPOTENCY_KEY_"),
            "{key:?}: {answer:?}"
        );
    }
    let twice = [("Idempotency-Key", "a"), ("idempotency-key", "a")];
    refusals.expect("POST", "/attempts", &twice, body, "IDEMPOTENCY_KEY_INVALID");
    // The key of something else: another operation, another body.
    refusals.expect(
        "POST",
        &authorize,
        &[("Idempotency-Key", "created")],
        b"",
        "IDEMPOTENCY_KEY_REUSE",
    );
    refusals.expect(
        "POST",
        "/charge",
        &[("Idempotency-Key", "created")],
        body,
        "IDEMPOTENCY_KEY_REUSE",
    );
    refusals.expect(
        "POST",
        "/attempts",
        &[("Idempotency-Key", "created")],
        body,
        "IDEMPOTENCY_KEY_REUSE",
    );
}

#[test]
fn a_body_that_never_arrives_whole_does_nothing() {
    use std::io::Write;
    let (server, id, _) = server();
    let refusals = Refusals::of(&server);
    for body in ["", "{", "{\"payment_method\": \"pm_card_visa\"}"] {
        let mut stream = http::connect(&server.address).unwrap();
        write!(
            stream,
            "POST /attempts/{id}/authorize HTTP/1.1\r\nHost: x\r\nIdempotency-Key: new\r\nContent-Length: 99\r\n\r\n{body}"
        )
        .unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
    // They were taken in before this.
    assert_eq!(server.attempt(&id)["status"], "CREATED");
    drop(refusals);
}

#[test]
fn webhooks_that_are_not_the_psps() {
    let (server, id, _) = server();
    let refusals = Refusals::of(&server);
    let body = json!({
        "id": "evt_1", "object": "event", "type": "payment_intent.succeeded",
        "data": {"object": {
            "id": "pi_1", "object": "payment_intent", "amount": 2599, "amount_received": 2599, "currency": "gbp",
            "status": "succeeded", "metadata": {"attempt_id": id},
        }},
    })
    .to_string();
    let now_s = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let forged = pay_once_sandbox::signature(b"whsec_guess", now_s, body.as_bytes());
    let empty = pay_once_sandbox::signature(b"", now_s, body.as_bytes());
    for signature in [
        forged.as_str(),
        &empty,
        "",
        "t=1",
        "v1=00",
        "t=1,v1=",
        "t=x,v1=00",
    ] {
        let headers = [("Stripe-Signature", signature)];
        refusals.expect(
            "POST",
            "/webhooks/stripe",
            &headers,
            body.as_bytes(),
            "WEBHOOK_SIGNATURE_INVALID",
        );
    }
    refusals.expect(
        "POST",
        "/webhooks/stripe",
        &[],
        body.as_bytes(),
        "WEBHOOK_SIGNATURE_INVALID",
    );
    refusals.expect("POST", "/webhooks/acquirer", &[], body.as_bytes(), "UNKNOWN_PSP");
    assert_eq!(server.attempt(&id)["status"], "CREATED");
}

#[test]
fn problem_json_says_the_same() {
    let (server, ..) = server();
    let headers = [
        ("Idempotency-Key", "new"),
        ("Accept", "application/problem+json, */*"),
    ];
    let answer = http::send(&server.address, "POST", "/charge", &headers, b"{").unwrap();
    assert_eq!(answer.header("Content-Type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["status"], 400);
    assert_eq!(problem["code"], "INVALID_JSON");
    assert!(problem["type"].is_string() && problem["title"].is_string() && problem["detail"].is_string());
}
