//! One server on PostgreSQL beside the recipe that is usually published: `cargo bench -p pay-once --bench postgres -- URL [SECONDS]`.
//!
//! URL is an empty database that may be written to. A payment is create, authorize, capture and one replay of each, at 1, 16 and 64 in
//! flight, against one PSP of 0 ms. The recipe keeps a row for each key and a row for each payment, and has a transaction for each step:
//! the key is taken, the step is noted, the PSP is called, the result is noted with the key's answer. It has 16 connections; the server
//! has six. Server, recipe, PSP, database and this generator share the machine. The aim is twice the recipe's payments a second.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_postgres::{NoTls, Statement};

mod support;
use support::{CREATE, Client, Server, empty_database, join_all, percentiles};

/// Connections of the recipe to the database, and to the PSP.
const POOL: usize = 16;

fn main() {
    let Some((url, seconds)) = empty_database("postgres") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = Server::on_database(&url);
    runtime.block_on(async {
        let dials = r#"{"webhooks_enabled": false}"#;
        let mut sandbox = Client::connect(&server.sandbox).await;
        assert_eq!(sandbox.call("PUT", "/dials", "-", dials).await.status, 200);
    });
    let recipe = Recipe::start(&url, &server.sandbox);
    for in_flight in [1, 16, 64] {
        let length = Duration::from_secs(seconds);
        let (before, kept_before) = (runtime.block_on(commits(&server)), recipe.commits());
        let ours = runtime.block_on(load("pay-once", &server.address, in_flight, length));
        let after = runtime.block_on(commits(&server));
        let theirs = runtime.block_on(load("recipe  ", &recipe.address, in_flight, length));
        let payments = |per_s: f64| per_s * length.as_secs_f64();
        println!(
            "      {:.2} times the recipe; commits a payment: {:.2} and {:.2}",
            ours / theirs,
            (after - before) / payments(ours),
            (recipe.commits() - kept_before) / payments(theirs),
        );
    }
}

async fn commits(server: &Server) -> f64 {
    let answer = Client::connect(&server.operators)
        .await
        .call("GET", "/status", "-", "")
        .await;
    let status: Value = serde_json::from_slice(&answer.body).unwrap();
    status["counters"]["commits"].as_f64().unwrap()
}

/// Payments a second.
async fn load(name: &str, address: &str, in_flight: usize, length: Duration) -> f64 {
    let begin = Instant::now();
    let workers = (0..in_flight).map(|worker| {
        let (name, address) = (name.trim().to_owned(), address.to_owned());
        async move {
            let mut client = Client::connect(&address).await;
            let mut took = Vec::new();
            for n in 0.. {
                if begin.elapsed() >= length {
                    break;
                }
                pay(
                    &mut client,
                    &format!("{name}-{in_flight}-{worker}-{n}"),
                    &mut took,
                )
                .await;
            }
            took
        }
    });
    let mut took: Vec<f64> = join_all(workers).await.into_iter().flatten().collect();
    let per_s = took.len() as f64 / 6.0 / begin.elapsed().as_secs_f64();
    println!(
        "  {in_flight:>3} in flight, {name}: {per_s:>5.0} payments/s  call {}",
        percentiles(&mut took)
    );
    per_s
}

/// Create, authorize, capture, each with one replay.
async fn pay(client: &mut Client, key: &str, took: &mut Vec<f64>) {
    let mut id = String::new();
    for (step, status) in [("create", 201), ("authorize", 200), ("capture", 200)] {
        let path = match step {
            "create" => "/attempts".to_owned(),
            step => format!("/attempts/{id}/{step}"),
        };
        let body = if step == "create" { CREATE } else { "{}" };
        for is_replay in [false, true] {
            let sent = Instant::now();
            let answer = client.call("POST", &path, &format!("{key}-{step}"), body).await;
            took.push(sent.elapsed().as_secs_f64() * 1e3);
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.replayed, is_replay, "{step}: {text}");
            assert!(
                answer.status == status || (is_replay && answer.status == 200),
                "{step}: {} {text}",
                answer.status
            );
            if step == "create" {
                let created: Value = serde_json::from_slice(&answer.body).unwrap();
                id = created["attempt_id"].as_str().unwrap().to_owned();
            }
        }
    }
}

/// The recipe, served on a thread of its own.
struct Recipe {
    address: String,
    commits: Arc<AtomicU64>,
}

const TABLES: &str = "
DROP TABLE IF EXISTS recipe_keys, recipe_payments;
CREATE TABLE recipe_keys (key text PRIMARY KEY, request text NOT NULL, step text NOT NULL, status int, answer text);
CREATE TABLE recipe_payments (id text PRIMARY KEY, amount bigint NOT NULL, currency text NOT NULL, status text NOT NULL, psp_id text);
";

/// A connection with its statements, and one to the PSP.
struct Slot {
    database: tokio_postgres::Client,
    take_key: Statement,
    read_key: Statement,
    step_key: Statement,
    end_key: Statement,
    insert: Statement,
    update: Statement,
    read: Statement,
    psp: Client,
}

impl Recipe {
    fn start(url: &str, psp: &str) -> Self {
        let (url, psp) = (url.to_owned(), psp.to_owned());
        let commits = Arc::new(AtomicU64::new(0));
        let (told, address) = std::sync::mpsc::channel();
        let counted = Arc::clone(&commits);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let mut slots = Vec::new();
                for nth in 0..POOL {
                    slots.push(Slot::open(&url, &psp, nth == 0).await);
                }
                let pool = Rc::new((Semaphore::new(POOL), RefCell::new(slots)));
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap().to_string()).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let (pool, counted) = (Rc::clone(&pool), Arc::clone(&counted));
                    let service = service_fn(move |request| {
                        let (pool, counted) = (Rc::clone(&pool), Arc::clone(&counted));
                        async move {
                            let _one = pool.0.acquire().await.unwrap();
                            let mut slot = pool.1.borrow_mut().pop().unwrap();
                            let answer = slot.answer(request, &counted).await;
                            pool.1.borrow_mut().push(slot);
                            Ok::<_, Infallible>(answer)
                        }
                    });
                    tokio::task::spawn_local(
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                    );
                }
            });
        });
        Self {
            address: address.recv().unwrap(),
            commits,
        }
    }

    fn commits(&self) -> f64 {
        self.commits.load(Ordering::Relaxed) as f64
    }
}

impl Slot {
    async fn open(url: &str, psp: &str, is_first: bool) -> Self {
        let (database, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        if is_first {
            database.batch_execute(TABLES).await.unwrap();
        }
        let prepare = async |text: &str| database.prepare(text).await.unwrap();
        Self {
            take_key: prepare("INSERT INTO recipe_keys (key, request, step) VALUES ($1, $2, 'started') ON CONFLICT (key) DO NOTHING").await,
            read_key: prepare("SELECT request, status, answer FROM recipe_keys WHERE key = $1 FOR UPDATE").await,
            step_key: prepare("UPDATE recipe_keys SET step = $2 WHERE key = $1").await,
            end_key: prepare("UPDATE recipe_keys SET step = 'finished', status = $2, answer = $3 WHERE key = $1").await,
            insert: prepare("INSERT INTO recipe_payments VALUES ($1, 2599, 'gbp', 'CREATED')").await,
            update: prepare("UPDATE recipe_payments SET status = $2, psp_id = coalesce($3, psp_id) WHERE id = $1").await,
            read: prepare("SELECT status, psp_id FROM recipe_payments WHERE id = $1 FOR UPDATE").await,
            database,
            psp: Client::connect(psp).await,
        }
    }

    async fn answer(
        &mut self,
        request: hyper::Request<Incoming>,
        commits: &AtomicU64,
    ) -> hyper::Response<Full<Bytes>> {
        let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let _: Value = serde_json::from_str(&text).unwrap();
        let count = || commits.fetch_add(1, Ordering::Relaxed);
        // The key is taken, or its answer is given again.
        let transaction = self.database.transaction().await.unwrap();
        let is_new = transaction
            .execute(&self.take_key, &[&key, &format!("{path} {text}")])
            .await
            .unwrap()
            == 1;
        if !is_new {
            let row = transaction.query_one(&self.read_key, &[&key]).await.unwrap();
            transaction.commit().await.unwrap();
            let (status, answer): (i32, String) = (row.get(1), row.get(2));
            return said(status, answer, true);
        }
        transaction.commit().await.unwrap();
        count();
        let parts: Vec<&str> = path.split('/').collect();
        let (id, step) = match parts.as_slice() {
            ["", "attempts"] => (key.clone(), "create"),
            ["", "attempts", id, step] => ((*id).to_owned(), *step),
            _ => panic!("{path}"),
        };
        // The step is noted before the PSP is called.
        let transaction = self.database.transaction().await.unwrap();
        let (mut status, mut psp_id) = (201, None::<String>);
        if step == "create" {
            transaction.execute(&self.insert, &[&id]).await.unwrap();
        } else {
            let row = transaction.query_one(&self.read, &[&id]).await.unwrap();
            psp_id = row.get(1);
            let doing = if step == "authorize" {
                "AUTHORIZING"
            } else {
                "CAPTURING"
            };
            transaction
                .execute(&self.update, &[&id, &doing, &None::<String>])
                .await
                .unwrap();
            transaction
                .execute(&self.step_key, &[&key, &doing])
                .await
                .unwrap();
            transaction.commit().await.unwrap();
            count();
            let (path, form) = match &psp_id {
                None => (
                    "/v1/payment_intents".to_owned(),
                    "amount=2599&currency=gbp&payment_method=pm_card_visa&confirm=true&capture_method=manual",
                ),
                Some(id) => (format!("/v1/payment_intents/{id}/capture"), ""),
            };
            let headers =
                "Authorization: Bearer sk_sandbox\r\nContent-Type: application/x-www-form-urlencoded\r\n";
            let answer = self.psp.call_with("POST", &path, &key, headers, form).await;
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            let intent: Value = serde_json::from_slice(&answer.body).unwrap();
            psp_id = Some(intent["id"].as_str().unwrap().to_owned());
            status = 200;
            return self.finish(&key, &id, step, status, psp_id, count).await;
        }
        let answer =
            json!({"attempt_id": id, "status": "CREATED", "amount": 2599, "currency": "GBP"}).to_string();
        transaction
            .execute(&self.end_key, &[&key, &status, &answer])
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        count();
        drop(psp_id);
        said(status, answer, false)
    }

    /// The result is noted, with the key's answer.
    async fn finish(
        &mut self,
        key: &str,
        id: &str,
        step: &str,
        status: i32,
        psp_id: Option<String>,
        count: impl Fn() -> u64,
    ) -> hyper::Response<Full<Bytes>> {
        let done = if step == "authorize" {
            "AUTHORIZED"
        } else {
            "CAPTURED"
        };
        let answer = json!({"attempt_id": id, "status": done, "amount": 2599, "currency": "GBP"}).to_string();
        let transaction = self.database.transaction().await.unwrap();
        transaction
            .execute(&self.update, &[&id, &done, &psp_id])
            .await
            .unwrap();
        transaction
            .execute(&self.end_key, &[&key, &status, &answer])
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        count();
        said(status, answer, false)
    }
}

fn said(status: i32, answer: String, is_replay: bool) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from(answer)));
    *response.status_mut() = hyper::StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap();
    if is_replay {
        response
            .headers_mut()
            .insert("idempotency-replayed", "true".parse().unwrap());
    }
    response
}
