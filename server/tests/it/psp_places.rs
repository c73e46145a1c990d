//! PSPs that hang, cannot be reached, or send without end: what they hold is theirs alone.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pay_once::bounds::names::Resolve;
use pay_once::psp_client::{Connect, TcpConnect};
use pay_once_suite::loopback::free_address;
use serde_json::{Value, json};
use tokio::task::{LocalSet, spawn_local};

use crate::deployment::{KEYS, bearer, two_merchants};
use crate::http::Answer;
use crate::server::{OPEN_FILES, Server};

/// Accepts connections on a port of its own, each on a thread, and counts them.
pub(crate) fn psp(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (address, psp_on(listener, serve))
}

fn psp_on(listener: TcpListener, serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Arc<AtomicUsize> {
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            count.fetch_add(1, Ordering::Relaxed);
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    accepted
}

/// Reads one request; `None` at the end of the connection.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0; 1];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).ok()?.to_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?;
    let mut body = vec![0; length.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some(head)
}

/// Takes a request and never answers.
fn hangs(mut stream: TcpStream) {
    while request(&mut stream).is_some() {}
}

/// Approves everything.
fn approves(stream: TcpStream) {
    approves_and_shows(stream, |_| {});
}

/// Approves everything, and shows the head of each request, in lower case.
pub(crate) fn approves_and_shows(mut stream: TcpStream, show: impl Fn(String)) {
    let mut nth = 0;
    while let Some(head) = request(&mut stream) {
        show(head);
        nth += 1;
        let body = json!({"status": "approved", "psp_reference": format!("{}_{nth}", stream.peer_addr().unwrap().port())});
        let body = body.to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn charge(server: &Server, merchant: usize, key: &str, wait: bool) -> Answer {
    let merchant = bearer(KEYS[merchant]);
    let mut headers = vec![("Authorization", merchant.as_str()), ("Idempotency-Key", key)];
    if wait {
        headers.push(("Prefer", "wait=20"));
    }
    server.post_with("/charge", &headers, &json!({"amount": 500, "currency": "GBP"}))
}

fn state(server: &Server, psp: &str) -> Value {
    let psps = server.ask_operators("/status").json()["bounds"]["psps"].clone();
    let found = psps.as_array().unwrap().iter().find(|state| state["psp"] == psp);
    found.cloned().unwrap_or_default()
}

#[test]
fn a_psp_that_hangs_takes_no_more_than_its_places() {
    let (hung, hung_calls) = psp(hangs);
    let (well, _) = psp(approves);
    let (server, _dir) = two_merchants([&hung, &well], 60_000, &[(OPEN_FILES, "256")]);
    // Eight at a time, each for its budget of 150 ms: some fifty payments a second.
    let answers: Vec<Answer> = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let server = &server;
                scope.spawn(move || {
                    let pay = |nth| charge(server, 0, &format!("a{worker}-{nth}"), false);
                    (0..25).map(pay).collect::<Vec<_>>()
                })
            })
            .collect();
        for nth in 0..50 {
            let answer = charge(&server, 1, &format!("b{nth}"), true);
            assert_eq!(answer.status, 200, "the other merchant: {answer:?}");
        }
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    let mut told: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for answer in &answers {
        *told.entry((answer.status, answer.code())).or_default() += 1;
    }
    let state = state(&server, "psp_a");
    let places = usize::try_from(state["calls_max"].as_u64().unwrap()).unwrap();
    assert_eq!(told[&(202, String::new())], places, "{told:?}");
    assert_eq!(
        told[&(503, "PSP_UNAVAILABLE".to_owned())],
        200 - places,
        "{told:?}"
    );
    assert_eq!(hung_calls.load(Ordering::Relaxed), places);
    assert_eq!(
        (&state["under_way"], &state["refused"]),
        (&places.into(), &(200 - places).into())
    );
    // What was refused wrote nothing, and what was taken wrote once.
    assert_eq!(server.counters()["psp_unknown_outcomes"], 0);
    let refused = answers.iter().find(|answer| answer.status == 503).unwrap();
    assert!(refused.header("Retry-After").is_some());
}

#[test]
fn a_circuit_opens_and_closes_again() {
    let address = free_address().unwrap();
    let (well, _) = psp(approves);
    let (server, _dir) = two_merchants([&address.to_string(), &well], 2_000, &[]);
    let mut nth = 0;
    let until = Instant::now() + Duration::from_secs(60);
    let refused = loop {
        let key = format!("k{nth}");
        let answer = charge(&server, 0, &key, false);
        if answer.code() == "PSP_UNAVAILABLE" {
            break key;
        }
        assert!(Instant::now() < until, "the circuit does not open: {answer:?}");
        nth += 1;
    };
    assert_eq!(state(&server, "psp_a")["circuit"], "open");
    assert!(nth >= 4, "a few failures are no outage: {nth}");
    assert_eq!(charge(&server, 1, "other", true).status, 200);
    // The PSP is back. The client repeats what was refused, under its key.
    psp_on(TcpListener::bind(address).unwrap(), approves);
    loop {
        let answer = charge(&server, 0, &refused, true);
        if answer.status == 200 {
            assert!(!answer.is_replayed());
            break;
        }
        assert_eq!(answer.code(), "PSP_UNAVAILABLE", "{answer:?}");
        assert!(Instant::now() < until, "the circuit does not close");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(state(&server, "psp_a")["circuit"], "closed");
}

/// Bytes that a PSP got rid of before its connection was closed.
static ENDLESS_BYTES: AtomicUsize = AtomicUsize::new(0);
static ENDLESS_ENDS: AtomicUsize = AtomicUsize::new(0);

/// Informational answers without end.
fn goes_on(mut stream: TcpStream) {
    if request(&mut stream).is_none() {
        return;
    }
    let hints = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
    while ENDLESS_BYTES.load(Ordering::Relaxed) < 256 * 1024 * 1024 && stream.write_all(&hints).is_ok() {
        ENDLESS_BYTES.fetch_add(hints.len(), Ordering::Relaxed);
    }
    ENDLESS_ENDS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn informational_answers_without_end_are_not_read_without_end() {
    let (endless, _) = psp(goes_on);
    let (well, _) = psp(approves);
    let (server, _dir) = two_merchants([&endless, &well], 60_000, &[]);
    assert_eq!(charge(&server, 0, "k", false).status, 202);
    let until = Instant::now() + Duration::from_secs(50);
    while ENDLESS_ENDS.load(Ordering::Relaxed) == 0 {
        assert!(Instant::now() < until, "the connection is never closed");
        assert_eq!(server.get("/healthz").status, 200);
        thread::sleep(Duration::from_millis(10));
    }
    let bytes = ENDLESS_BYTES.load(Ordering::Relaxed);
    // What the system's buffers hold was taken besides.
    assert!(bytes < 32 * 1024 * 1024, "{bytes} bytes were taken");
    assert_eq!(server.counters()["psp_unknown_outcomes"], 1, "it was sent");
}

/// One name has an address, and the other is never found.
struct Slow(Arc<AtomicUsize>);

impl Resolve for Slow {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if host == "slow.test" {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

#[test]
fn a_name_that_is_not_found_holds_up_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let connect = std::rc::Rc::new(TcpConnect::resolving(Slow(Arc::clone(&asked))));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        for _ in 0..600 {
            let connect = std::rc::Rc::clone(&connect);
            spawn_local(async move { connect.connect("slow.test", port, false).await.map(drop) });
        }
        for _ in 0..10 {
            let connected = connect.connect("fast.test", port, false);
            let limit = Duration::from_secs(10);
            tokio::time::timeout(limit, connected).await.unwrap().unwrap();
        }
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1, "six hundred calls ask once");
}
