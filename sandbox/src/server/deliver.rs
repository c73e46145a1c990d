//! Webhook delivery: at least once, within reason.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::wire::reaction::Webhook;

/// Tries of one webhook; the waits between them are 1, 2, 4, … 64 s.
const MAX_TRIES: u32 = 8;
/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Deliveries at the same time.
const MAX_IN_FLIGHT: usize = 64;
/// Webhooks waiting for their time or for a retry; as many again fit in the channel before them.
const MAX_WAITING: usize = 10_000;

/// Where the host puts webhooks.
pub(super) struct Sender(mpsc::Sender<(Instant, Webhook)>);

/// Where [`run`] gets them.
pub(super) type Receiver = mpsc::Receiver<(Instant, Webhook)>;

type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// A bounded queue of webhooks.
pub(super) fn queue() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Sender(sender), receiver)
}

impl Sender {
    /// Has `webhook` delivered at `at`. A full queue loses it: webhooks get lost, and payers must bear that.
    pub(super) fn send(&self, at: Instant, webhook: Webhook) {
        if self.0.try_send((at, webhook)).is_err() {
            eprintln!("sandbox PSP: the webhook queue is full; one webhook is lost");
        }
    }
}

/// Delivers until dropped.
pub(super) async fn run(mut incoming: Receiver) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: HttpClient = Client::builder(TokioExecutor::new()).build(connector);
    let mut waiting: BTreeMap<(Instant, u64), (Webhook, u32)> = BTreeMap::new();
    let mut in_flight: JoinSet<Option<(Webhook, u32)>> = JoinSet::new();
    let mut serial = 0_u64;
    loop {
        let next = waiting.first_key_value().map(|((at, _), _)| *at);
        let room = in_flight.len() < MAX_IN_FLIGHT;
        tokio::select! {
            received = incoming.recv(), if waiting.len() < MAX_WAITING => {
                let Some((at, webhook)) = received else { return };
                serial += 1;
                waiting.insert((at, serial), (webhook, 0));
            }
            Some(ended) = in_flight.join_next() => {
                if let Ok(Some((webhook, tries))) = ended {
                    serial += 1;
                    let wait = Duration::from_secs(1 << tries.saturating_sub(1).min(MAX_TRIES));
                    waiting.insert((Instant::now() + wait, serial), (webhook, tries));
                }
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if room && next.is_some() => {
                if let Some((_, (webhook, tries))) = waiting.pop_first() {
                    in_flight.spawn(attempt(client.clone(), webhook, tries));
                }
            }
        }
    }
}

/// One try. Gives the webhook back when it wants another.
async fn attempt(client: HttpClient, webhook: Webhook, tries: u32) -> Option<(Webhook, u32)> {
    let delivered = timeout(TRY_TIMEOUT, post(&client, &webhook))
        .await
        .unwrap_or(false);
    let tries = tries + 1;
    if delivered {
        return None;
    }
    if tries >= MAX_TRIES {
        eprintln!(
            "sandbox PSP: no 2xx from {} in {tries} tries; giving the webhook up",
            webhook.url
        );
        return None;
    }
    Some((webhook, tries))
}

async fn post(client: &HttpClient, webhook: &Webhook) -> bool {
    let mut request = hyper::Request::post(&webhook.url);
    for (name, value) in &webhook.headers {
        request = request.header(*name, value);
    }
    let Ok(request) = request.body(Full::new(Bytes::from(webhook.body.clone()))) else {
        return false;
    };
    match client.request(request).await {
        Ok(response) => {
            let delivered = response.status().is_success();
            // Reading to the end lets the connection be used again.
            response.into_body().collect().await.is_ok() && delivered
        }
        Err(_) => false,
    }
}
