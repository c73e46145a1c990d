//! One manual payment through the core alone: no server, no store, no network.
//!
//! `cargo run -p pay-once-core --example one_payment` tells the story. The same program builds for
//! `wasm32-unknown-unknown`, and a test proves that it then imports nothing: all that core needs are its arguments.

use std::collections::BTreeMap;

use pay_once_core::config::{Class, Config, Face, Merchant, Psp, Secret, Timing};
use pay_once_core::http::{Request, Response};
use pay_once_core::id::{AttemptId, Entropy};
use pay_once_core::machine::{Input, Outcome, Reply, handle};
use pay_once_core::psp::CallResult;
use pay_once_core::record::Record;
use pay_once_core::request::{Routed, route};

const APPROVED: &[u8] = br#"{"status":"approved","psp_reference":"psp_1"}"#;

/// The least adapter there can be: a slot for one record, and a PSP that approves.
struct Adapter {
    config: Config,
    stored: Option<(AttemptId, Vec<u8>)>,
    now_ms: u64,
}

impl Adapter {
    fn request(&mut self, method: &str, target: &str, key: &str, body: &str) -> Option<Response> {
        let headers = [("idempotency-key", key.as_bytes())];
        let request = Request {
            method,
            target,
            headers: &headers,
            body: body.as_bytes(),
        };
        match route(&self.config, &request, self.now_ms) {
            Routed::Reply(response) => Some(response),
            Routed::Attempt { id, input } => self.drive(id, input),
            // Only some webhooks of Stripe's have to be read first.
            Routed::Read(_) => None,
        }
    }

    fn drive(&mut self, id: AttemptId, input: Input) -> Option<Response> {
        self.now_ms += 1;
        let record = self
            .stored
            .as_ref()
            .and_then(|(at, bytes)| Record::decode(*at, bytes).ok());
        let entropy = Entropy(u128::from(self.now_ms) << 64);
        let step = handle(&self.config, id, record.as_ref(), &input, self.now_ms, entropy).ok()?;
        if let Some(write) = step.write {
            self.stored = Some((id, write.record.encode()));
        }
        for call in step.calls {
            println!("  → {:?}", call.http);
            let result = CallResult::answered(200, APPROVED.to_vec());
            self.drive(id, Input::Outcome(Box::new(Outcome { call, result })));
        }
        match step.reply {
            Reply::Nothing => None,
            Reply::Now(response) => Some(response),
            Reply::Wait { ticket, .. } => self.drive(id, Input::Request(ticket)),
        }
    }
}

fn main() {
    let psp = Psp {
        face: Face::Acquirer,
        base_url: "http://psp.test".to_owned(),
        api_key: Secret::new("sk_test"),
        webhook_secrets: Vec::new(),
        class: Class {
            keyed_horizon_ms: Some(86_400_000),
            ..Class::default()
        },
        timing: Timing::default(),
    };
    let merchant = Merchant {
        psp: "card".to_owned(),
        ..Merchant::default()
    };
    let config = Config {
        installation: String::new(),
        time_budget_ms: 150,
        merchants: BTreeMap::from([("demo".to_owned(), merchant)]),
        psps: BTreeMap::from([("card".to_owned(), psp)]),
        open_merchant: Some("demo".to_owned()),
    };
    let mut adapter = Adapter {
        config,
        stored: None,
        now_ms: 1_764_160_496_000,
    };
    let id = AttemptId::derive("", "demo", "k1");
    let create = r#"{"order_id":"ord_123","amount":2599,"currency":"GBP","payment_method":"pm_card_visa"}"#;
    let calls = [
        ("POST", "/attempts".to_owned(), "k1", create),
        ("POST", format!("/attempts/{id}/authorize"), "k2", ""),
        ("POST", format!("/attempts/{id}/capture"), "k3", ""),
        ("POST", format!("/attempts/{id}/capture"), "k3", ""),
        ("GET", format!("/attempts/{id}"), "", ""),
    ];
    for (method, target, key, body) in calls {
        println!("{method} {target}");
        if let Some(response) = adapter.request(method, &target, key, body) {
            println!(
                "  {} {}",
                response.status,
                String::from_utf8_lossy(&response.body)
            );
        }
    }
}
