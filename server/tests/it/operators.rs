//! The operators' listener: what it shows, and that the merchants' listener shows none of it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http;
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(30);

fn metrics(server: &Server) -> String {
    let answer = server.ask_operators("/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text
}

/// The value of a metric; `None` if it has not been measured.
fn value(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

fn until(server: &Server, name: &str, wanted: f64) {
    let end = Instant::now() + LIMIT;
    loop {
        let text = metrics(server);
        if value(&text, name) == Some(wanted) {
            return;
        }
        assert!(Instant::now() < end, "{name} is not {wanted}:\n{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn metrics_follow_a_payment() {
    let server = Server::fast("stripe");
    let id = server.create("k1", "pm_card_visa");
    until(&server, "pay_once_open_attempts{status=\"CREATED\"}", 1.0);
    for operation in ["authorize", "capture"] {
        let answer = server.post_wait(&format!("/attempts/{id}/{operation}"), operation, &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let text = metrics(&server);
    // What did not happen is 0, not absent: an alert on an increase would not see the first one.
    for name in ["rejections", "unknowns", "declines"] {
        let name = format!("pay_once_psp_{name}_total{{psp=\"stripe\"}}");
        assert_eq!(value(&text, &name), Some(0.0), "{name}\n{text}");
    }
    // Webhooks are answered as well.
    assert!(
        value(&text, "pay_once_answers_total{status=\"200\"}") >= Some(2.0),
        "{text}"
    );
    for (name, wanted) in [
        ("pay_once_open_attempts{status=\"CREATED\"}", 0.0),
        ("pay_once_ended_attempts_total{status=\"CAPTURED\"}", 1.0),
        ("pay_once_answers_total{status=\"201\"}", 1.0),
        ("pay_once_psp_calls_total{psp=\"stripe\"}", 2.0),
        ("pay_once_psp_call_seconds_count{psp=\"stripe\"}", 2.0),
        ("pay_once_psp_money_calls_total", 2.0),
        ("pay_once_durable_writes_total", 5.0),
        ("pay_once_waiting_attempts{waits_for=\"psp\"}", 0.0),
        ("pay_once_oldest_waiting_seconds{waits_for=\"operator\"}", 0.0),
        ("pay_once_commit_records_sum", 5.0),
    ] {
        assert_eq!(value(&text, name), Some(wanted), "{name}\n{text}");
    }
}

#[test]
fn declines_and_challenges_are_counted() {
    let server = Server::fast("stripe");
    let declined = server.create("k1", "pm_card_visa_chargeDeclined");
    let answer = server.post_wait(&format!("/attempts/{declined}/authorize"), "a1", &Value::Null);
    assert_eq!(answer.status, 402, "{answer:?}");
    let challenged = server.create("k2", "pm_card_authenticationRequired");
    server.post_wait(&format!("/attempts/{challenged}/authorize"), "a2", &Value::Null);
    let text = metrics(&server);
    assert_eq!(
        value(&text, "pay_once_psp_declines_total{psp=\"stripe\"}"),
        Some(1.0),
        "{text}"
    );
    assert_eq!(
        value(&text, "pay_once_errors_total{code=\"DECLINED\"}"),
        Some(1.0),
        "{text}"
    );
    assert_eq!(
        value(&text, "pay_once_waiting_attempts{waits_for=\"customer\"}"),
        Some(1.0),
        "{text}"
    );
}

#[test]
fn attempts_of_an_earlier_start_are_counted() {
    let mut server = Server::fast("stripe");
    let id = server.create("k1", "pm_card_visa");
    server.post_wait(&format!("/attempts/{id}/authorize"), "a1", &Value::Null);
    server.create("k2", "pm_card_visa");
    server.kill();
    server.restart();
    until(&server, "pay_once_attempts_counted", 1.0);
    let text = metrics(&server);
    assert_eq!(
        value(&text, "pay_once_open_attempts{status=\"AUTHORIZED\"}"),
        Some(1.0),
        "{text}"
    );
    assert_eq!(
        value(&text, "pay_once_open_attempts{status=\"CREATED\"}"),
        Some(1.0),
        "{text}"
    );
}

#[test]
fn a_damaged_record_is_found_at_the_start() {
    let mut server = Server::fast("stripe");
    server.create("k1", "pm_card_visa");
    server.kill();
    let store = rusqlite::Connection::open(server.data().join("pay-once.sqlite3")).unwrap();
    store.execute("UPDATE records SET bytes = x'00'", []).unwrap();
    drop(store);
    server.restart();
    until(&server, "pay_once_refused_records_total", 1.0);
}

#[test]
fn liveness_and_readiness_are_apart_and_nothing_else_is_served() {
    let server = Server::fast("stripe");
    assert_eq!(server.ask_operators("/livez").status, 200);
    let ready = server.ask_operators("/readyz");
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (200, &Value::from("ready"))
    );
    assert_eq!(server.ask_operators("/openapi.json").status, 200);
    assert_eq!(server.ask_operators("/healthz").status, 404);
    let posted = http::send(&server.operators, "POST", "/metrics", &[], b"").unwrap();
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn merchants_see_one_bare_health_answer() {
    let server = Server::fast("stripe");
    let health = server.get("/healthz");
    assert_eq!(
        (health.status, health.body.as_slice()),
        (200, br#"{"status":"ok"}"#.as_slice())
    );
    for path in ["/metrics", "/status", "/livez", "/readyz", "/openapi.json"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

/// Names of metrics in a text, without what the text format adds to them.
fn named(text: &str) -> std::collections::BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let from = |at: usize| {
        text[at..]
            .chars()
            .take_while(|c| is_of_name(*c))
            .collect::<String>()
    };
    let names = text.match_indices("pay_once_").map(|(at, _)| from(at));
    let bare = |name: String| {
        let suffixes = ["_total", "_bucket", "_count", "_sum"];
        let cut = suffixes
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).map(str::to_owned));
        cut.unwrap_or(name)
    };
    names.map(bare).collect()
}

#[test]
fn the_documented_metrics_are_the_exported_ones() {
    let server = Server::fast("stripe");
    let types = metrics(&server)
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .collect::<String>();
    let exported = named(
        &types
            .replace(" counter", " ")
            .replace(" gauge", " ")
            .replace(" histogram", " "),
    );
    assert!(exported.len() > 20, "{exported:?}");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    assert_eq!(named(&read("docs/metrics.md")), exported);
    for path in ["ops/alerts.yml", "ops/grafana.json"] {
        let used = named(&read(path));
        assert!(!used.is_empty() && used.is_subset(&exported), "{path}: {used:?}");
    }
}

/// What the front door refuses from the head of a request is an answer as well.
#[test]
fn refusals_before_the_body_are_counted() {
    let server = Server::fast("stripe");
    assert_eq!(server.get("/nothing").status, 404);
    assert_eq!(server.post("/attempts/pa_x", "k", &Value::Null).status, 405);
    let text = metrics(&server);
    for status in [404, 405] {
        let name = format!("pay_once_answers_total{{status=\"{status}\"}}");
        assert_eq!(value(&text, &name), Some(1.0), "{name}\n{text}");
    }
    assert_eq!(value(&text, "pay_once_requests_total"), Some(2.0), "{text}");
}

#[test]
fn a_server_whose_database_is_gone_is_live_and_not_ready() {
    let server = Server::fast("stripe");
    std::fs::remove_file(server.data().join("pay-once.sqlite3")).unwrap();
    let end = Instant::now() + LIMIT;
    let ready = loop {
        let ready = server.ask_operators("/readyz");
        if ready.status == 503 {
            break ready.json();
        }
        assert!(Instant::now() < end, "{ready:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(ready["checks"]["psps"], "ok");
    let why = ready["checks"]["store"].as_str().unwrap();
    assert!(why.contains("is not there any more"), "{why}");
    assert_eq!(server.ask_operators("/livez").status, 200);
}
