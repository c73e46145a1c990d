//! Clients that take what they can get, at the real binary: what they hold is theirs alone, and others are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::deployment::{KEYS, bearer, two_merchants};
use crate::http;
use crate::server::{OPEN_FILES, Server};

/// Requests whose answers, unread, fill the buffers of both ends.
const PIPELINED: usize = 60;

#[test]
fn connections_that_never_read_keep_nobody_out() {
    let server = Server::start_with(
        &["--sandbox-latency-ms", "0..0", "--log", "error"],
        &[(OPEN_FILES, "256")],
    );
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(PIPELINED);
    let mut held = Vec::new();
    for nth in 0..300 {
        let mut stream = http::connect(&server.address).unwrap();
        // It may have been closed for another one already.
        let _ = stream.write_all(&request);
        held.push(stream);
        if nth % 20 == 19 {
            let key = format!("k{nth}");
            let body = json!({"order_id": key, "amount": 2599, "currency": "GBP"});
            assert_eq!(
                server.post("/attempts", &key, &body).status,
                201,
                "{nth} connections"
            );
            assert_eq!(server.get("/healthz").status, 200);
        }
    }
    // Nobody had to wait for a time-out: they made room as others came.
    let connections = server.ask_operators("/status").json()["bounds"]["connections"].clone();
    assert!(
        connections["displaced"].as_u64().unwrap() >= 300 - 256,
        "{connections}"
    );
    assert!(connections["open"].as_u64().unwrap() < 256, "{connections}");
    drop(held);
}

#[test]
fn a_body_without_a_key_is_not_read() {
    let (server, _dir) = two_merchants(["127.0.0.1:1", "127.0.0.1:1"], 800, &[]);
    let body = vec![b' '; 1024 * 1024 - 1];
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..300 {
        let mut stream = http::connect(&server.address).unwrap();
        // One byte more is announced than comes.
        let head = format!(
            "POST /attempts HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: {}\r\n\r\n",
            body.len() + 1
        );
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(&body);
        held.push(stream);
    }
    let peak_kib = peak_kib(server.pid());
    assert!(peak_kib < 150 * 1024, "{peak_kib} KiB");
    for mut stream in held {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
    }
}

/// The most memory that a process has had.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Whether a webhook is signed is not known before it is read.
#[test]
fn large_webhooks_are_read_a_few_at_a_time() {
    let (server, _dir) = two_merchants(["127.0.0.1:1", "127.0.0.1:1"], 800, &[]);
    let mut held = Vec::new();
    for nth in 0..20 {
        let mut stream = http::connect(&server.address).unwrap();
        let head = "POST /webhooks/psp_a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        if nth >= 16 {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 503", "{nth}");
        } else {
            // Its place is taken once it was routed: an answer to another request says that.
            assert_eq!(server.get("/healthz").status, 200);
        }
        held.push(stream);
    }
    let answer = http::send(&server.address, "POST", "/webhooks/psp_a", &[], b"{}").unwrap();
    assert_eq!(answer.code(), "WEBHOOK_SIGNATURE_INVALID", "a small one is read");
    let refused = &server.ask_operators("/status").json()["bounds"]["requests"]["refused"];
    assert_eq!(*refused, Value::from(4));
}

/// An attempt of another merchant takes as long as one that does not exist: both are answered at a time that was set before either
/// was looked for. (Only the lower bound is asserted, so that a slow machine changes nothing.)
#[test]
fn another_merchants_attempt_is_not_told_by_time() {
    let (server, _dir) = two_merchants(["127.0.0.1:1", "127.0.0.1:1"], 800, &[]);
    let (a, b) = (bearer(KEYS[0]), bearer(KEYS[1]));
    let body = json!({"order_id": "o", "amount": 2599, "currency": "GBP"});
    let created = server.post_with(
        "/attempts",
        &[("Authorization", &a), ("Idempotency-Key", "k")],
        &body,
    );
    let id = created.json()["attempt_id"].as_str().unwrap().to_owned();
    for _ in 0..5 {
        for target in [&id, "pa_00000000000000000000000000"] {
            let begun = Instant::now();
            let target = format!("/attempts/{target}");
            let answer = http::send(&server.address, "GET", &target, &[("Authorization", &b)], b"").unwrap();
            let took = begun.elapsed();
            assert_eq!(answer.code(), "ATTEMPT_NOT_FOUND");
            assert!(took >= Duration::from_millis(4), "{target} after {took:?}");
        }
    }
}
