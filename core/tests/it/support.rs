//! A small deterministic world: records as bytes, a clock, a PSP that keeps a true ledger, and every fault by hand.

use std::collections::{BTreeMap, VecDeque};

use pay_once_core::journal::entry::{Fact, Operation};
use pay_once_core::journal::invariant;
use pay_once_core::{
    AttemptId, Call, CallResult, Config, Entropy, EventRead, Input, Now, Outcome, PendingRequest, Psp,
    Record, Reply, Request, Response, Routed, Step, Timing, UnixMillis, Write, event_read, handle, route,
};
pub(crate) use pay_once_psp_model::sign;
use serde_json::Value;

use crate::model::Ledger;
pub(crate) use crate::setup::*;

/// What the PSP does with a call that reaches it.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// The ledger acts and its answer comes back.
    Truth,
    /// The ledger acts; this comes back instead.
    Lost(CallResult),
    /// Nothing acts; this comes back.
    Instead(CallResult),
    /// Nothing happens yet: the call waits in [`World::held`].
    Hold,
}

pub(crate) fn answered(status: u16, body: impl Into<Vec<u8>>) -> CallResult {
    CallResult::answered(status, body.into())
}

/// Who resolves where a test does not say.
pub(crate) const ADA: (&str, &str) = ("authorization", "Bearer ok_ada");

pub(crate) fn timeout() -> CallResult {
    CallResult::Unknown {
        reason: "timeout".to_owned(),
    }
}

pub(crate) fn not_sent() -> CallResult {
    CallResult::NotSent {
        reason: "refused".to_owned(),
    }
}

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) now_ms: u64,
    /// What a decision takes for the time, where that is not simply [`World::now_ms`].
    pub(crate) seen: Option<Now>,
    pub(crate) store: BTreeMap<AttemptId, Vec<u8>>,
    pub(crate) wakes: BTreeMap<AttemptId, u64>,
    pub(crate) ledger: Ledger,
    /// Consulted first, one a call; the truth when empty.
    pub(crate) script: VecDeque<Told>,
    pub(crate) held: Vec<Call>,
    /// Every call that was given out.
    pub(crate) calls: Vec<Call>,
    /// Compare-and-swaps that applied.
    pub(crate) writes: usize,
    /// Calls given out by which money can move.
    pub(crate) money_calls: usize,
    entropy: u128,
    /// A digest of everything that was written, sent, answered and armed (FNV-1a).
    pub(crate) trace: u64,
}

impl World {
    pub(crate) fn new(kind: Kind) -> Self {
        Self::with(config(kind), kind)
    }

    pub(crate) fn with(config: Config, kind: Kind) -> Self {
        Self {
            config,
            now_ms: START_MS,
            seen: None,
            store: BTreeMap::new(),
            wakes: BTreeMap::new(),
            ledger: Ledger::new(kind.capabilities().keyed_horizon_ms.is_some()),
            script: VecDeque::new(),
            held: Vec::new(),
            calls: Vec::new(),
            writes: 0,
            money_calls: 0,
            entropy: 0,
            trace: 0xcbf2_9ce4_8422_2325,
        }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis::new(self.now_ms)
    }

    pub(crate) fn psp_mut(&mut self) -> &mut Psp {
        self.config.psps.values_mut().next().unwrap()
    }

    pub(crate) fn timing(&self) -> Timing {
        self.config.psps.values().next().unwrap().timing
    }

    /// The record of an attempt, decoded anew.
    pub(crate) fn record(&self, id: AttemptId) -> Record {
        Record::decode(id, &self.store[&id]).unwrap()
    }

    pub(crate) fn load(&self, id: AttemptId) -> Option<Record> {
        self.store
            .get(&id)
            .map(|bytes| Record::decode(id, bytes).unwrap())
    }

    /// One decision on what some server believes the record to be. Twice, to show that it is a function.
    pub(crate) fn decide(&mut self, id: AttemptId, base: Option<&Record>, input: &Input) -> Step {
        self.entropy += 1;
        let entropy = Entropy(
            self.entropy
                .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835),
        );
        let now = self.seen.unwrap_or_else(|| self.now().into());
        let step = handle(&self.config, id, base, input, now, entropy).unwrap();
        let again = handle(&self.config, id, base, input, now, entropy).unwrap();
        let bytes = |step: &Step| {
            step.write
                .as_ref()
                .map(|write| (write.record.encode(), write.wake_at_ms))
        };
        assert!(
            bytes(&step) == bytes(&again) && step.calls == again.calls && step.wake_at_ms == again.wake_at_ms,
            "handle is a function"
        );
        step
    }

    /// Compare-and-swap. `false` on conflict.
    pub(crate) fn commit(&mut self, id: AttemptId, write: &Write) -> bool {
        let there = self.load(id).map(|record| record.version());
        if there != write.expected_version {
            return false;
        }
        invariant::check(&write.record).unwrap();
        if let Some(before) = self.load(id) {
            assert!(write.record.grew_from(&before), "a journal only grows");
        }
        self.store.insert(id, write.record.encode());
        self.writes += 1;
        true
    }

    /// Load, decide, commit; calls are given out and not performed.
    pub(crate) fn step(&mut self, id: AttemptId, input: &Input) -> (Vec<Call>, Reply) {
        let base = self.load(id);
        let step = self.decide(id, base.as_ref(), input);
        self.carry_out(id, step)
    }

    fn note(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn trace(&mut self, step: &Step) {
        if let Some(write) = &step.write {
            self.note(write.record.links().last().unwrap());
            self.note(&write.wake_at_ms.unwrap_or_default().get().to_le_bytes());
        }
        self.note(&step.wake_at_ms.unwrap_or_default().get().to_le_bytes());
        for call in &step.calls {
            self.note(call.http.url.as_bytes());
            self.note(&call.http.body);
        }
        match &step.reply {
            Reply::Now(response) => {
                self.note(&response.status.to_le_bytes());
                self.note(&response.body);
            }
            Reply::Wait { until_ms, .. } => self.note(&until_ms.get().to_le_bytes()),
            Reply::Look { call, .. } => self.note(call.http.url.as_bytes()),
            Reply::Nothing => {}
        }
    }

    /// Carries a step out whose swap must succeed.
    pub(crate) fn carry_out(&mut self, id: AttemptId, step: Step) -> (Vec<Call>, Reply) {
        self.trace(&step);
        if let Some(write) = &step.write {
            assert!(self.commit(id, write), "conflict");
        }
        if let Some(at_ms) = step.wake_at_ms {
            self.wakes.insert(id, at_ms.get());
        } else if step.write.is_some() {
            self.wakes.remove(&id);
        }
        self.money_calls += step.calls.iter().filter(|call| call.moves_money).count();
        self.calls.extend(step.calls.iter().cloned());
        (step.calls, step.reply)
    }

    /// Steps, and performs what follows until it rests.
    pub(crate) fn drive(&mut self, id: AttemptId, input: Input) -> Reply {
        let (calls, reply) = self.step(id, &input);
        for call in calls {
            self.perform(call);
        }
        reply
    }

    pub(crate) fn perform(&mut self, call: Call) {
        assert!(call.may_send(self.now()), "rule 1: past send_by");
        let result = match self.script.pop_front().unwrap_or(Told::Truth) {
            Told::Hold => return self.held.push(call),
            Told::Truth => self.ledger.act(&call.http, self.now_ms),
            Told::Lost(instead) => {
                self.ledger.act(&call.http, self.now_ms);
                instead
            }
            Told::Instead(result) => result,
        };
        self.outcome(call, result);
    }

    pub(crate) fn outcome(&mut self, call: Call, result: CallResult) {
        let id = call.attempt.expect("a call of an attempt");
        self.drive(id, Input::Outcome(Box::new(Outcome { call, result })));
    }

    /// Performs the first held call by the ledger's truth.
    pub(crate) fn release(&mut self) {
        let call = self.held.remove(0);
        let result = self.ledger.act(&call.http, self.now_ms);
        self.outcome(call, result);
    }

    pub(crate) fn route(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Routed {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let request = Request {
            method,
            target,
            headers: &headers,
            body,
        };
        route(&self.config, &request, self.now())
    }

    /// A whole request; if nothing comes in time, the clock goes on to the budget's end.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut headers = headers.to_vec();
        let is_of_operators = target.ends_with("/resolve") || target.ends_with("/look");
        if is_of_operators && !headers.iter().any(|(name, _)| *name == "authorization") {
            headers.push(ADA);
        }
        let mut routed = self.route(method, target, &headers, body);
        let (id, mut input) = loop {
            routed = match routed {
                Routed::Reply(response) => return response,
                Routed::Attempt { id, input } => break (id, input),
                Routed::Read(read) => self.read_of_event(*read),
                Routed::Search(search) => {
                    let records: Vec<Record> = self.store.keys().map(|id| self.record(*id)).collect();
                    let found = search.search.among(records);
                    return search.answer(&self.config, found, UnixMillis::new(self.now_ms));
                }
            };
        };
        for _ in 0..5 {
            match self.drive(id, input) {
                Reply::Now(response) => return response,
                Reply::Nothing => panic!("a request is answered"),
                Reply::Wait { until_ms, pending } => {
                    let finalized = self.record(id).state().running.is_none();
                    if !finalized {
                        self.now_ms = self.now_ms.max(until_ms.get());
                    }
                    input = Input::Request(pending);
                }
                Reply::Look { call, pending } => input = self.look(*call, *pending),
            }
        }
        panic!("no answer when it was due")
    }

    /// Performs the call of an operator's look.
    fn look(&mut self, call: Call, pending: PendingRequest) -> Input {
        self.calls.push(call.clone());
        let result = match self.script.pop_front().unwrap_or(Told::Truth) {
            Told::Instead(result) | Told::Lost(result) => result,
            Told::Truth | Told::Hold => self.ledger.act(&call.http, self.now_ms),
        };
        Input::Request(Box::new(pending.told(call, result)))
    }

    /// What follows from the read of an event's object.
    fn read_of_event(&mut self, read: EventRead) -> Routed {
        self.calls.push(read.call.clone());
        let result = match self.script.pop_front().unwrap_or(Told::Truth) {
            Told::Instead(result) | Told::Lost(result) => result,
            Told::Truth | Told::Hold => self.ledger.act(&read.call.http, self.now_ms),
        };
        event_read(&self.config, read, &result, self.now()).0
    }

    pub(crate) fn post(&mut self, target: &str, key: &str, body: &str) -> Response {
        self.send("POST", target, &[("idempotency-key", key)], body.as_bytes())
    }

    pub(crate) fn get(&mut self, id: AttemptId) -> Value {
        let response = self.send("GET", &format!("/attempts/{id}"), &[], b"");
        assert_eq!(response.status, 200);
        json(&response)
    }

    /// `POST /attempts` under `k1`.
    pub(crate) fn create(&mut self) -> AttemptId {
        self.create_with("k1", CREATE)
    }

    pub(crate) fn create_with(&mut self, key: &str, body: &str) -> AttemptId {
        let response = self.post("/attempts", key, body);
        assert_eq!(response.status, 201, "{}", text(&response));
        AttemptId::parse(json(&response)["attempt_id"].as_str().unwrap()).unwrap()
    }

    pub(crate) fn authorized(&mut self) -> AttemptId {
        let id = self.create();
        let response = self.op(id, "authorize", "k2");
        assert_eq!(response.status, 200, "{}", text(&response));
        id
    }

    /// The assumption breaks: an authorization whose answer is lost, and that the network carried out twice.
    pub(crate) fn authorized_twice(&mut self) -> AttemptId {
        let id = self.create();
        self.twice(id, "authorize", "k2");
        id
    }

    /// The same of the capture of an authorization.
    pub(crate) fn captured_twice(&mut self) -> AttemptId {
        let id = self.authorized();
        self.twice(id, "capture", "k3");
        id
    }

    fn twice(&mut self, id: AttemptId, operation: &str, key: &str) {
        self.script.push_back(Told::Lost(timeout()));
        self.op(id, operation, key);
        let http = self.calls.last().unwrap().http.clone();
        self.ledger.act(&http, self.now_ms);
    }

    pub(crate) fn op(&mut self, id: AttemptId, operation: &str, key: &str) -> Response {
        self.post(&format!("/attempts/{id}/{operation}"), key, "")
    }

    /// A signed webhook.
    pub(crate) fn webhook(&mut self, body: &Value) -> Response {
        let body = body.to_string();
        let name = self.config.psps.keys().next().unwrap().clone();
        let signature = sign(SECRET, self.now_ms / 1000, body.as_bytes());
        let header = format!("{name}-signature");
        self.send(
            "POST",
            &format!("/webhooks/{name}"),
            &[(&header, &signature)],
            body.as_bytes(),
        )
    }

    pub(crate) fn wake(&mut self, id: AttemptId) {
        self.drive(id, Input::Wake);
    }

    pub(crate) fn wake_at(&mut self, id: AttemptId, at_ms: u64) {
        self.now_ms = at_ms;
        self.wake(id);
    }

    /// The next wake-up of an attempt, if it wants one.
    pub(crate) fn due(&self, id: AttemptId) -> Option<u64> {
        self.wakes.get(&id).copied()
    }

    /// Lets timers fire, in their order, until nothing wants to be woken or `limit` wakes have passed.
    pub(crate) fn settle(&mut self, id: AttemptId, limit: usize) {
        for _ in 0..limit {
            let Some(at_ms) = self.wakes.remove(&id) else {
                return;
            };
            self.now_ms = self.now_ms.max(at_ms);
            self.wake(id);
        }
    }

    pub(crate) fn status(&self, id: AttemptId) -> String {
        word(self.record(id).state().status)
    }

    /// An operator's word as a request's body: `said`, and what it is about. That is what the attempt shows as parked; of one that
    /// shows nothing, an authorization.
    pub(crate) fn word(&mut self, id: AttemptId, mut said: serde_json::Value) -> String {
        let shown = self.get(id)["operation"].clone();
        let generation = shown["generation"].as_u64();
        let name = shown["name"].as_str().filter(|_| generation.is_some());
        said["operation"] = name.unwrap_or("authorize").into();
        said["generation"] = generation.unwrap_or(1).into();
        said.to_string()
    }

    pub(crate) fn is_parked(&self, id: AttemptId) -> bool {
        let record = self.record(id);
        record
            .state()
            .running
            .as_ref()
            .is_some_and(|r| r.parked.is_some())
    }

    /// Effect numbers and PSP keys of the dispatches of one operation.
    pub(crate) fn dispatches(&self, id: AttemptId, wanted: Operation) -> Vec<(u16, String)> {
        let record = self.record(id);
        let found = record.entries().iter().filter_map(|entry| match &entry.fact {
            Fact::Dispatched {
                operation,
                generation,
                psp_key,
                ..
            } if *operation == wanted => Some((*generation, psp_key.clone())),
            _ => None,
        });
        found.collect()
    }

    /// The timeline's events.
    pub(crate) fn story(&mut self, id: AttemptId) -> Vec<String> {
        let shown = self.get(id);
        let lines = shown["timeline"].as_array().unwrap();
        lines
            .iter()
            .map(|line| line["event"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub(crate) fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

pub(crate) fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}", text(response)))
}

pub(crate) fn text(response: &Response) -> String {
    format!("{} {}", response.status, String::from_utf8_lossy(&response.body))
}

/// The error code of a refusal.
pub(crate) fn code(response: &Response) -> String {
    json(response)["error"]["code"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}
