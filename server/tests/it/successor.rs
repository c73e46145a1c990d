//! A stop that does not wait for what cannot be waited for, and a successor that takes over from a server that is still ending.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http;
use crate::server::{Dir, Server, command};

/// Only to stop a test that hangs.
const END: Duration = Duration::from_secs(25);

#[test]
fn a_half_sent_request_holds_no_stop_up() {
    // It would be waited for for 30 s, or to the bound of the stop.
    let mut server = Server::start(&["--drain-timeout-ms", "60000"]);
    let mut bodiless = http::connect(&server.address).unwrap();
    bodiless
        .write_all(b"POST /charge HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: 100\r\n\r\n{")
        .unwrap();
    let mut headless = http::connect(&server.address).unwrap();
    headless.write_all(b"GET /healthz HT").unwrap();
    // Both have been taken once a later connection is answered.
    assert_eq!(server.get("/healthz").status, 200);
    server.terminate();
    assert!(server.wait(END).success());
    for stream in [&mut bodiless, &mut headless] {
        let mut answer = Vec::new();
        // Reset or closed, without an answer that claims anything.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 20"), "{answer:?}");
    }
}

/// A server with a PSP call under way that takes longer than any test.
fn hanging(drain_timeout_ms: &str) -> (Server, String) {
    let server = Server::start(&[
        "--sandbox-latency-ms",
        "90000..90000",
        "--drain-timeout-ms",
        drain_timeout_ms,
    ]);
    let id = server.create("k1", "pm_card_visa");
    let early = server.post(&format!("/attempts/{id}/authorize"), "k2", &Value::Null);
    assert_eq!(early.status, 202, "{early:?}");
    (server, id)
}

#[test]
fn a_psp_call_that_hangs_is_left_to_the_next_start() {
    let (mut server, id) = hanging("300");
    server.terminate();
    assert!(server.wait(END).success());
    assert!(
        server.output().contains("the next start finds out"),
        "{}",
        server.output()
    );
    server.restart();
    let attempt = server.attempt(&id);
    assert_eq!(attempt["status"], "AUTHORIZING");
}

#[test]
fn a_successor_waits_for_the_server_that_is_ending() {
    let (mut server, id) = hanging("3000");
    server.terminate();
    // On the same data and ports, at once.
    server.restart();
    assert_eq!(server.attempt(&id)["status"], "AUTHORIZING");
    let said = server.output();
    assert!(said.contains("waiting for it to end"), "{said}");
}

/// Connections that come while the predecessor ends wait for its successor instead of being refused.
#[test]
fn connections_wait_for_the_successor() {
    let (mut server, id) = hanging("3000");
    let address = server.address.clone();
    server.terminate();
    let answer = thread::scope(|scope| {
        let target = format!("/attempts/{id}");
        let asked = scope.spawn(move || {
            let until = Instant::now() + END;
            // Refused between the two sockets, for a moment.
            let mut first = None;
            loop {
                match http::connect(&address) {
                    Ok(mut stream) => {
                        first.get_or_insert_with(Instant::now);
                        let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                        let mut answer = Vec::new();
                        if stream.write_all(head.as_bytes()).is_ok()
                            && stream.read_to_end(&mut answer).is_ok()
                            && !answer.is_empty()
                        {
                            return http::parse(&answer).unwrap();
                        }
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
                assert!(Instant::now() < until, "nobody answers");
            }
        });
        server.restart();
        asked.join().unwrap()
    });
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_successor_does_not_wait_for_ever() {
    let server = Server::fast("stripe");
    let data = server.data().to_str().unwrap();
    let said = crate::store::start(data, &["--lock-wait-ms", "200"]);
    assert_eq!(said.status.code(), Some(1));
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(
        said.contains("waiting for it to end") && said.contains("another process is serving from"),
        "{said}"
    );
    assert_eq!(server.get("/healthz").status, 200);
}

/// A socket that somebody else keeps open, as systemd does: connections wait in it while no server runs.
#[test]
fn a_socket_that_is_passed_on_is_served() {
    let data = Dir::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = {
        let address = address.clone();
        thread::spawn(move || http::send(&address, "GET", "/healthz", &[], b""))
    };
    let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    let socket = listener.try_clone().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(command().get_program())
        // Taken by nobody: the socket that is passed on counts.
        .args(["--listen", "127.0.0.1:1", "--sandbox-listen", "127.0.0.1:0"])
        .arg("--data")
        .arg(data.path())
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let answer = asked.join().unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(answer.unwrap().status, 200);
}
