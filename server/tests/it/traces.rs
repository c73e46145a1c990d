//! The caller's trace: it is in the log, and with the PSP calls.

use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::json;

use crate::deployment::{KEYS, bearer, two_merchants};
use crate::psp_places::{approves_and_shows, psp};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_ID: &str = "00f067aa0ba902b7";

#[test]
fn the_trace_of_a_request_is_in_its_log_lines_and_with_its_psp_calls() {
    let (heads, seen) = channel();
    let (address, _) = psp(move |stream| {
        approves_and_shows(stream, |head| {
            // The test may be over.
            let _ = heads.send(head);
        });
    });
    let (mut server, _dir) = two_merchants([&address, &address], 5_000, &[]);
    // The value of `--log`.
    server.drop_arguments(1);
    server.add_arguments(&["info"]);
    server.kill();
    server.restart();
    let (merchant, traceparent) = (bearer(KEYS[0]), format!("00-{TRACE_ID}-{PARENT_ID}-01"));
    let headers = [
        ("Authorization", merchant.as_str()),
        ("Idempotency-Key", "k1"),
        ("Prefer", "wait=20"),
        ("traceparent", traceparent.as_str()),
    ];
    let answer = server.post_with("/charge", &headers, &json!({"amount": 500, "currency": "GBP"}));
    assert_eq!(answer.status, 200, "{answer:?}");
    // The authorization, and the capture that follows by itself.
    let sent = [(); 2].map(|()| {
        let head = seen.recv_timeout(Duration::from_secs(10)).unwrap();
        let line = head.lines().find_map(|line| line.strip_prefix("traceparent: "));
        line.unwrap().to_owned()
    });
    for line in &sent {
        assert!(
            line.starts_with(&format!("00-{TRACE_ID}-")) && line.ends_with("-01"),
            "{line}"
        );
        assert!(!line.contains(PARENT_ID), "{line}");
    }
    assert_ne!(sent[0], sent[1], "each call is a span of its own");
    // A request without a trace has none.
    let answer = server.post_with(
        "/charge",
        &[headers[0], ("Idempotency-Key", "k2"), headers[2]],
        &json!({"amount": 500, "currency": "GBP"}),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    let head = seen.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(!head.contains("traceparent"), "{head}");
    server.terminate();
    server.wait(Duration::from_secs(20));
    let output = server.output();
    let lines = output.lines().filter(|line| line.contains(TRACE_ID)).count();
    assert!(
        lines >= 3,
        "the dispatches and their outcomes, of one payment:\n{output}"
    );
}
