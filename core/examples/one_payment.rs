//! One manual payment through the core alone: no server, no store, no network.
//!
//! `cargo run -p pay-once-core --example one_payment` tells the story. The same program builds for
//! `wasm32-unknown-unknown`, and a test proves that it then imports nothing: all that core needs are its arguments.

use std::collections::BTreeMap;

use pay_once_core::{
    Action, AttemptId, Call, CallResult, Capabilities, Config, Connector, Entropy, Merchant, Millis, Psp,
    Questions, Record, RecordVersion, Request, Response, Secret, Swap, Swapped, Timing, Turn, UnixMillis,
};

const APPROVED: &[u8] = br#"{"status":"approved","psp_reference":"psp_1"}"#;

/// The least adapter that owes nothing: a map for a store, a list of timers, and a PSP that approves. What it leaves out is I/O.
struct Adapter {
    config: Config,
    questions: Questions,
    store: BTreeMap<AttemptId, (RecordVersion, Vec<u8>)>,
    timers: BTreeMap<AttemptId, UnixMillis>,
    now_ms: UnixMillis,
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
        let turn = Turn::request(&self.config, &request, self.now_ms);
        self.run(turn)
    }

    /// Carries a turn out. Everything that it decides is core's; everything that it does is here.
    fn run(&mut self, mut turn: Turn) -> Option<Response> {
        let mut reply = None;
        let mut calls = Vec::new();
        loop {
            self.now_ms = self.now_ms + Millis::new(1);
            match turn.next(self.now_ms, &mut self.questions) {
                Action::Read(call) => {
                    let result = self.send(&call);
                    turn.read(&self.config, &result, self.now_ms);
                }
                Action::Search(search) => {
                    let records = self
                        .store
                        .iter()
                        .filter_map(|(id, (_, bytes))| Record::decode(*id, bytes).ok());
                    turn.found(&self.config, search.among(records), self.now_ms);
                }
                Action::Load => self.load(&mut turn),
                Action::Swap => {
                    let swapped = self.swap(&turn);
                    turn.swapped(swapped, self.now_ms);
                }
                // The timer of the attempt is now as the write says, whatever it was.
                Action::Committed(write) => {
                    self.timers.remove(&write.record.id());
                    self.timers
                        .extend(write.wake_at_ms.map(|at_ms| (write.record.id(), at_ms)));
                }
                Action::Perform(call) => calls.push(*call),
                Action::Arm { at_ms, is_latest } => self.arm(turn.id(), at_ms, is_latest),
                Action::Note(note) => note.message().iter().for_each(|line| println!("  ! {line}")),
                // Nobody else is there who could change the record: the calls are what the turn waits for.
                Action::Wait { until_ms } => {
                    self.perform(std::mem::take(&mut calls));
                    self.now_ms = self.now_ms.max(until_ms);
                    turn.woken();
                }
                Action::Pause { until_ms } => {
                    self.now_ms = until_ms;
                    turn.woken();
                }
                Action::Reply(response) => reply = Some(response),
                Action::Done => break,
            }
        }
        self.perform(calls);
        reply
    }

    fn load(&self, turn: &mut Turn) {
        let Some(id) = turn.id() else { return };
        let stored = self.store.get(&id).map(|(_, bytes)| Record::decode(id, bytes));
        match stored.transpose() {
            Ok(record) => {
                // Fresh each time. Here the time is; an adapter takes it from the system.
                let entropy = Entropy(u128::from(self.now_ms.get()) << 64);
                turn.loaded(&self.config, record.as_ref(), self.now_ms, entropy);
            }
            // Bytes that are no record are left as they are.
            Err(why) => turn.refused(why, self.now_ms),
        }
    }

    /// Compare and swap: nothing changes unless the version that is expected is there.
    fn swap(&mut self, turn: &Turn) -> Swapped {
        let Some(swap) = turn.write().map(Swap::from) else {
            return Swapped::Conflict;
        };
        let there = self.store.get(&swap.id).map(|(version, _)| *version);
        if there != swap.expected_version {
            return Swapped::Conflict;
        }
        self.store.insert(swap.id, (swap.version, swap.bytes));
        Swapped::Applied
    }

    fn arm(&mut self, id: Option<AttemptId>, at_ms: UnixMillis, is_latest: bool) {
        let Some(id) = id else { return };
        let known_ms = self.timers.get(&id).copied().filter(|_| !is_latest);
        self.timers
            .insert(id, known_ms.map_or(at_ms, |known_ms| known_ms.min(at_ms)));
    }

    fn perform(&mut self, calls: Vec<Call>) {
        for call in calls {
            let result = self.send(&call);
            if let Some(turn) = Turn::outcome(call, result, self.now_ms) {
                self.run(turn);
            }
        }
    }

    /// Sends at most once, and only in time: that is looked at right before the first byte.
    fn send(&self, call: &Call) -> CallResult {
        if !call.may_send(self.now_ms) {
            let reason = "its time to be sent had passed".to_owned();
            return CallResult::NotSent { reason };
        }
        println!("  -> {:?}", call.http);
        CallResult::answered(200, APPROVED.to_vec())
    }

    /// Fires what is due. A long-lived adapter does it all the time, and looks into its store for timers that it does not know of.
    fn fire_timers(&mut self) {
        let due = |at_ms: &UnixMillis| *at_ms <= self.now_ms;
        let ids: Vec<AttemptId> = self
            .timers
            .iter()
            .filter(|(_, at_ms)| due(at_ms))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.timers.remove(&id);
            self.run(Turn::wake(id));
        }
    }
}

fn main() {
    let psp = Psp {
        connector: Connector::Acquirer,
        base_url: "http://psp.test".to_owned(),
        api_key: Secret::new("sk_test"),
        webhook_secrets: Vec::new(),
        capabilities: Capabilities {
            keyed_horizon_ms: Some(Millis::new(86_400_000)),
            ..Capabilities::default()
        },
        timing: Timing::default(),
    };
    let merchant = Merchant {
        psp: "card".to_owned(),
        ..Merchant::default()
    };
    let config = Config {
        installation: String::new(),
        time_budget_ms: Millis::new(150),
        merchants: BTreeMap::from([("demo".to_owned(), merchant)]),
        psps: BTreeMap::from([("card".to_owned(), psp)]),
        open_merchant: Some("demo".to_owned()),
        ..Config::default()
    };
    let mut adapter = Adapter {
        config,
        questions: Questions::default(),
        store: BTreeMap::new(),
        timers: BTreeMap::new(),
        now_ms: UnixMillis::new(1_764_160_496_000),
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
        let answer = adapter.request(method, &target, key, body);
        adapter.fire_timers();
        if let Some(response) = answer {
            println!(
                "  {} {}",
                response.status,
                String::from_utf8_lossy(&response.body)
            );
        }
    }
}
