//! The table of cases that every adapter must pass (`suite/`), and proof that it can fail: a proxy in front of the very
//! same server that lies in one way at a time.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pay_once_sandbox::server::{Options as SandboxOptions, serve};
use pay_once_sandbox::{Dials, RangeMs, Settings};
use pay_once_suite::environment::{
    PSP_KEY, PSP_KEY_ENV, Secrets, WEBHOOK_SECRET, WEBHOOK_SECRET_ENV, config,
};
use pay_once_suite::{GOLDEN, Options, Report, run};
use serde_json::json;

use crate::http::{self, Answer};
use crate::refusals::everything;
use crate::server::{Dir, Server};

/// The server in the suite's environment, and its PSP.
struct Place {
    server: Server,
    psp: SocketAddr,
    _config: Dir,
}

fn place() -> Place {
    place_with(&[])
}

/// The same, with arguments more.
fn place_with(more: &[&str]) -> Place {
    // The PSP's port is known to the server before it starts, and the server's to the PSP.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let psp = listener.local_addr().unwrap();
    let dir = Dir::new();
    let file = dir.path().join("suite.toml");
    let document = config(&format!("http://{psp}"), &Secrets::default());
    std::fs::write(&file, pay_once_suite::environment::toml(&document).unwrap()).unwrap();
    let mut arguments = vec!["--config", file.to_str().unwrap(), "--log", "error"];
    arguments.extend(more);
    let environment = [(PSP_KEY_ENV, PSP_KEY), (WEBHOOK_SECRET_ENV, WEBHOOK_SECRET)];
    let server = Server::start_with(&arguments, &environment);
    let options = SandboxOptions {
        settings: Settings {
            dials: Dials {
                latency_ms: RangeMs { min: 0, max: 0 },
                ..Dials::default()
            },
            public_url: String::new(),
            webhook_url: Some(format!("http://{}/webhooks", server.address)),
            webhook_secret: WEBHOOK_SECRET.to_owned(),
        },
        data_dir: None,
        seed: None,
    };
    // It ends with this process.
    thread::spawn(move || block_on(serve(listener, options, std::future::pending())).unwrap());
    Place {
        server,
        psp,
        _config: dir,
    }
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

#[test]
fn the_table_of_every_adapter() {
    let place = place();
    let base_url = format!("http://{}", place.server.address);
    let report = block_on(run(&Options::new(&base_url, &format!("http://{}", place.psp)))).unwrap();
    if let Err(why) = report.check(GOLDEN) {
        panic!("{why}");
    }
}

/// The store is PostgreSQL: the same transcript.
#[cfg(feature = "postgres-tests")]
#[test]
fn the_table_of_every_adapter_on_postgresql() {
    let cluster = crate::postgres::Cluster::migrated();
    let place = place_with(&["--store", &cluster.url]);
    let base_url = format!("http://{}", place.server.address);
    let report = block_on(run(&Options::new(&base_url, &format!("http://{}", place.psp)))).unwrap();
    if let Err(why) = report.check(GOLDEN) {
        panic!("{why}");
    }
}

/// The transcript shows what is answered; this, that nothing is written, called or moved.
#[test]
fn what_the_table_refuses_changes_nothing() {
    let place = place();
    let psp = place.psp.to_string();
    let before = everything(&place.server, &psp);
    for only in ["refused-create", "refused-charge", "refused-for-one"] {
        let mut options = Options::new(
            &format!("http://{}", place.server.address),
            &format!("http://{psp}"),
        );
        options.only = Some(only.to_owned());
        let report = block_on(run(&options)).unwrap();
        assert!(report.check(GOLDEN).is_ok(), "{:?}", report.check(GOLDEN));
    }
    let mut asked = place.server.counters();
    assert!(asked["requests"].take().as_u64() > Some(60), "{asked}");
    assert_eq!(everything(&place.server, &psp), before);
}

/// What a liar does to an answer on its way, or behind its back.
type Lie = fn(&Place, &str, &str, Answer) -> Answer;

/// Runs the cases of this name through a proxy that lies.
fn lied_to(place: &Arc<Place>, only: &str, lie: Lie) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = Options::new(
        &format!("http://{}", listener.local_addr().unwrap()),
        &format!("http://{}", place.psp),
    );
    options.only = Some(only.to_owned());
    block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let place = Arc::clone(place);
        let proxy = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let place = Arc::clone(&place);
                let service = service_fn(move |request| forward(Arc::clone(&place), lie, request));
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        let report = run(&options).await.unwrap();
        proxy.abort();
        report
    })
}

async fn forward(
    place: Arc<Place>,
    lie: Lie,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let answer = tokio::task::spawn_blocking(move || {
        let headers: Vec<(&str, &str)> = head
            .headers
            .iter()
            .filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        let (method, path) = (head.method.as_str(), head.uri.path());
        let answer = http::send(&place.server.address, method, path, &headers, &body).unwrap();
        lie(&place, method, path, answer)
    })
    .await
    .unwrap();
    let mut response = hyper::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        if !["content-length", "connection"].contains(&name.to_lowercase().as_str()) {
            response = response.header(name, value);
        }
    }
    Ok(response.body(Full::new(Bytes::from(answer.body))).unwrap())
}

fn replaced(mut answer: Answer, from: &str, to: &str) -> Answer {
    answer.body = String::from_utf8(answer.body)
        .unwrap()
        .replace(from, to)
        .into_bytes();
    answer
}

/// The same server, the same cases: each lie is caught, and only the lie makes them fail.
#[test]
fn a_liar_fails() {
    let place = Arc::new(place());
    let honest: Lie = |_, _, _, answer| answer;
    for only in [
        "stripe-replay-all",
        "stripe-capture",
        "stripe-slow-authorize",
        "paths",
    ] {
        let report = lied_to(&place, only, honest);
        assert!(report.check(GOLDEN).is_ok(), "{:?}", report.check(GOLDEN));
    }
    let lies: [(&str, &str, &str, Lie); 8] = [
        (
            "a replay with another body",
            "stripe-replay-all",
            "the very bytes",
            |_, _, _, answer| match answer.is_replayed() {
                true => replaced(answer, "\"currency\"", " \"currency\""),
                false => answer,
            },
        ),
        (
            "a replay that is not marked",
            "stripe-replay-all",
            "Idempotency-Replayed",
            |_, _, _, mut answer| {
                answer
                    .headers
                    .retain(|(name, _)| !name.eq_ignore_ascii_case("Idempotency-Replayed"));
                answer
            },
        ),
        (
            "a second authorization",
            "stripe-capture",
            "authorizations 2",
            |place, method, path, answer| {
                if let (true, "POST", Some(id)) = (answer.status == 200, method, authorized(path)) {
                    effect(place, id);
                }
                answer
            },
        ),
        (
            "a second authorization that no step looks for",
            "bare-curl",
            "more than once",
            |place, method, path, answer| {
                if let (true, "POST", Some(id)) = (answer.status == 200, method, authorized(path)) {
                    effect(place, id);
                }
                answer
            },
        ),
        (
            "a capture that never was",
            "stripe-void",
            "CAPTURED",
            |_, _, _, answer| replaced(answer, "\"VOIDED\"", "\"CAPTURED\""),
        ),
        (
            "a 202 that is an error",
            "stripe-slow-authorize",
            "status 202",
            |_, _, _, mut answer| {
                if answer.status == 202 {
                    answer.status = 504;
                }
                answer
            },
        ),
        // Nothing in the table asks for these: only the transcript shows them.
        (
            "other words",
            "paths",
            "the transcript differs",
            |_, _, _, answer| replaced(answer, "No such path.", "No such page."),
        ),
        (
            "ids of another form",
            "stripe-capture",
            "the transcript differs",
            |_, _, _, answer| replaced(answer, "\"auth_", "\"aut_"),
        ),
    ];
    for (what, only, words, lie) in lies {
        let why = lied_to(&place, only, lie).check(GOLDEN).unwrap_err();
        assert!(why.contains(words), "{what}: {why}");
    }
}

fn authorized(path: &str) -> Option<&str> {
    path.strip_prefix("/attempts/")?.strip_suffix("/authorize")
}

/// Another authorization of the same attempt, at the PSP, behind the server's back.
fn effect(place: &Place, id: &str) {
    let body = json!({"reference": id, "amount": 2599, "currency": "GBP", "payment_method": "pm_card_visa"});
    let body = body.to_string();
    let answer = http::send(&place.psp.to_string(), "POST", "/authorize", &[], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}
