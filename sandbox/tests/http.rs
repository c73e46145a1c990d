//! The sandbox over loopback HTTP.

// Helpers of a test are tests too, which `clippy.toml` cannot see.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use support::{Served, call, content_length, exchange, options, read_head};

#[test]
fn both_faces_answer_on_one_connection() {
    let served = Served::start(None, None);
    let mut stream = BufReader::new(TcpStream::connect(served.address).unwrap());
    let form = "amount=1000&currency=gbp&confirm=true&capture_method=manual&metadata[attempt_id]=pa_1\
                &payment_method=pm_card_authenticationRequired&return_url=https://shop.example/back";
    let answer = exchange(&mut stream, "POST", "/v1/payment_intents", form).unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"));
    let intent: Value = serde_json::from_slice(&answer.body).unwrap();
    let id = intent["id"].as_str().unwrap();
    let url = intent["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
    assert_eq!(url, format!("http://{}/3ds/{id}", served.address));
    let page = exchange(&mut stream, "GET", &format!("/3ds/{id}"), "").unwrap();
    assert!(page.head.contains("text/html") && page.head.contains("content-security-policy"));
    exchange(&mut stream, "POST", &format!("/3ds/{id}"), "success=true").unwrap();

    let body =
        json!({"reference": "pa_1", "amount": 5, "currency": "GBP", "payment_method": "x"}).to_string();
    assert_eq!(
        exchange(&mut stream, "POST", "/authorize", &body).unwrap().status,
        200
    );
    assert_eq!(served.get("/ledger")["pa_1"]["authorizations"], 2);
    assert_eq!(served.get("/stats")["money_calls"], 2);
    assert_eq!(
        call(served.address, "POST", "/authorize", &"x".repeat(70_000))
            .unwrap()
            .status,
        413
    );
    assert_eq!(call(served.address, "DELETE", "/ledger", "").unwrap().status, 405);
    served.stop().unwrap();
}

#[test]
fn a_hang_keeps_the_connection_open_and_silent() {
    let served = Served::start(None, None);
    let error = served.authorize("pa_1", "pm_sandbox_hang_after").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    assert_eq!(served.get("/ledger")["pa_1"]["authorizations"], 1);
    served.stop().unwrap();
}

#[test]
fn a_truncated_answer_ends_in_the_middle() {
    let served = Served::start(None, None);
    let mut stream = BufReader::new(TcpStream::connect(served.address).unwrap());
    stream
        .get_ref()
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let body = json!({"reference": "pa_1", "amount": 5, "currency": "GBP", "payment_method": "pm_sandbox_truncated"})
        .to_string();
    let head = format!(
        "POST /authorize HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream
        .get_mut()
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    let announced = content_length(&read_head(&mut stream).unwrap());
    let mut sent = Vec::new();
    stream.read_to_end(&mut sent).unwrap();
    assert_eq!(sent.len(), announced / 2);
    assert_eq!(served.get("/ledger")["pa_1"]["authorizations"], 1);
    served.stop().unwrap();
}

#[test]
fn a_late_request_lands_though_its_caller_is_gone() {
    let served = Served::start(None, None);
    call(served.address, "PUT", "/dials", "{\"max_in_flight_ms\": 1200}").unwrap();
    assert!(served.authorize("pa_1", "pm_sandbox_late").is_err());
    assert_eq!(served.get("/ledger")["pa_1"], Value::Null);
    eventually(|| served.get("/ledger")["pa_1"]["authorizations"] == 1);
    served.stop().unwrap();
}

#[test]
fn latency_is_kept() {
    let served = Served::start(None, None);
    call(
        served.address,
        "PUT",
        "/dials",
        "{\"latency_ms\": {\"min\": 150, \"max\": 150}}",
    )
    .unwrap();
    let start = std::time::Instant::now();
    served.authorize("pa_1", "x").unwrap();
    assert!(start.elapsed() >= Duration::from_millis(150));
    served.stop().unwrap();
}

#[test]
fn a_webhook_is_tried_again_until_taken() {
    let hooks = TcpListener::bind("127.0.0.1:0").unwrap();
    let served = Served::start(
        None,
        Some(format!("http://{}/webhooks", hooks.local_addr().unwrap())),
    );
    served.authorize("pa_1", "x").unwrap();
    let mut bodies = Vec::new();
    for status in ["500 No", "200 OK"] {
        let (stream, _) = hooks.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let head = read_head(&mut stream).unwrap();
        assert!(head.starts_with("post /webhooks/acquirer http/1.1"), "{head}");
        assert!(head.contains("acquirer-signature: t="), "{head}");
        let mut body = vec![0; content_length(&head)];
        stream.read_exact(&mut body).unwrap();
        bodies.push(body);
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
    }
    assert_eq!(bodies[0], bodies[1]);
    let body: Value = serde_json::from_slice(&bodies[0]).unwrap();
    assert_eq!(
        (&body["type"], &body["status"]),
        (&json!("authorize"), &json!("approved"))
    );
    served.stop().unwrap();
}

#[test]
fn only_loopback_is_served() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime
        .block_on(pay_once_sandbox::server::serve(
            listener,
            options(None, None),
            async {},
        ))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

fn eventually(mut done: impl FnMut() -> bool) {
    for _ in 0..100 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not within 5 s");
}
