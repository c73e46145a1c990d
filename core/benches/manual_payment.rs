//! How many inputs a second the core handles on one core, over the whole manual payment: routing, decoding the
//! record and checking its chain, fingerprint, journal, state, PSP bytes both ways, answers, encoding.
//!
//! `cargo bench -p pay-once-core`. The bar is 200,000 inputs a second: 5 µs each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use divan::counter::ItemsCount;
use pay_once_core::{
    AttemptId, CallResult, Capabilities, Config, Connector, Entropy, Input, Merchant, Millis, Outcome, Psp,
    Record, Reply, Request, Routed, Secret, Timing, UnixMillis, handle, route,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW_MS: u64 = 1_764_160_496_000;
const CREATE: &[u8] =
    br#"{"order_id":"ord_123","amount":2599,"currency":"GBP","payment_method":"pm_card_visa"}"#;
const AUTHORIZED: &[u8] = br#"{"id":"pi_1","object":"payment_intent","amount":2599,"amount_capturable":2599,"amount_received":0,"currency":"gbp","status":"requires_capture","latest_charge":{"id":"ch_1","payment_method_details":{"card":{"capture_before":1764765296}}},"metadata":{"attempt_id":"pa_1"}}"#;
const CAPTURED: &[u8] = br#"{"id":"pi_1","object":"payment_intent","amount":2599,"amount_received":2599,"currency":"gbp","status":"succeeded","latest_charge":{"id":"ch_1","payment_method_details":{"card":{"capture_before":1764765296}}},"metadata":{"attempt_id":"pa_1"}}"#;

fn main() {
    divan::main();
}

fn config() -> Config {
    let psp = Psp {
        connector: Connector::Stripe,
        base_url: "http://psp.test".to_owned(),
        api_key: Secret::new("sk_test"),
        webhook_secrets: Vec::new(),
        capabilities: Capabilities {
            keyed_horizon_ms: Some(Millis::new(86_400_000)),
            addressable: true,
            ..Capabilities::default()
        },
        timing: Timing::default(),
    };
    let merchant = Merchant {
        psp: "stripe".to_owned(),
        ..Merchant::default()
    };
    Config {
        installation: String::new(),
        time_budget_ms: Millis::new(150),
        merchants: BTreeMap::from([("demo".to_owned(), merchant)]),
        psps: BTreeMap::from([("stripe".to_owned(), psp)]),
        open_merchant: Some("demo".to_owned()),
        ..Config::default()
    }
}

/// Holds one record as bytes, as a store would, and counts what was handled.
struct Adapter<'a> {
    config: &'a Config,
    stored: Option<Vec<u8>>,
    now_ms: UnixMillis,
    inputs: u64,
}

impl Adapter<'_> {
    fn request(&mut self, target: &str, key: &str, body: &[u8], psp_says: &[u8]) {
        let headers = [
            ("idempotency-key", key.as_bytes()),
            ("accept", b"*/*"),
            ("host", b"localhost"),
        ];
        let request = Request {
            method: "POST",
            target,
            headers: &headers,
            body,
        };
        let Routed::Attempt { id, input } = route(self.config, &request, self.now_ms) else {
            panic!("not routed")
        };
        self.drive(id, input, psp_says);
    }

    fn drive(&mut self, id: AttemptId, input: Input, psp_says: &[u8]) {
        self.now_ms = self.now_ms + Millis::new(1);
        self.inputs += 1;
        let record = self
            .stored
            .as_ref()
            .map(|bytes| Record::decode(id, bytes).unwrap());
        let entropy = Entropy(u128::from(self.now_ms.get()) << 64);
        let step = handle(self.config, id, record.as_ref(), &input, self.now_ms, entropy).unwrap();
        if let Some(write) = step.write {
            self.stored = Some(write.record.encode());
        }
        for call in step.calls {
            let result = CallResult::answered(200, psp_says.to_vec());
            self.drive(id, Input::Outcome(Box::new(Outcome { call, result })), psp_says);
        }
        match step.reply {
            Reply::Nothing => {}
            Reply::Now(response) => assert!(response.status < 300),
            Reply::Look { .. } => panic!("nobody looks"),
            Reply::Wait { pending, .. } => self.drive(id, Input::Request(pending), psp_says),
        }
    }
}

fn pay(config: &Config, replays: bool) -> u64 {
    let mut adapter = Adapter {
        config,
        stored: None,
        now_ms: UnixMillis::new(NOW_MS),
        inputs: 0,
    };
    let id = AttemptId::derive("", "demo", "k1");
    let (authorize, capture) = (
        format!("/attempts/{id}/authorize"),
        format!("/attempts/{id}/capture"),
    );
    for (target, key, body, says) in [
        ("/attempts", "k1", CREATE, &b""[..]),
        (&authorize, "k2", b"", AUTHORIZED),
        (&capture, "k3", b"", CAPTURED),
    ] {
        adapter.request(target, key, body, says);
        if replays {
            adapter.request(target, key, body, says);
        }
    }
    adapter.inputs
}

/// Create, authorize, capture: seven inputs (the two waiting tickets are handled twice).
#[divan::bench]
fn manual_payment(bencher: divan::Bencher) {
    let config = config();
    let inputs = pay(&config, false);
    bencher
        .counter(ItemsCount::new(inputs))
        .bench_local(|| pay(divan::black_box(&config), false));
}

/// The same with one replay of each.
#[divan::bench]
fn with_replays(bencher: divan::Bencher) {
    let config = config();
    let inputs = pay(&config, true);
    bencher
        .counter(ItemsCount::new(inputs))
        .bench_local(|| pay(divan::black_box(&config), true));
}
