//! A random walk with rejections in it.

use super::REVOKED;
use super::rejections::one_key_one_request;
use crate::support::{CREATE, DAY_MS, Kind, START_MS, Told, World, answered, json as body, text, timeout};
use pay_once_core::{AttemptId, Call, CallResult, Millis};
use std::collections::BTreeMap;

struct Dice(u64);

impl Dice {
    fn of(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

struct Walk {
    kind: Kind,
    world: World,
    id: AttemptId,
    dice: Dice,
    /// Requests of which the sender knows no more, and when they land at the latest.
    flying: Vec<(Call, u64)>,
    late: Vec<(Call, CallResult)>,
    seen: pay_once_core::Status,
    told: BTreeMap<String, (u16, Vec<u8>)>,
}

impl Walk {
    fn new(kind: Kind, seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            dice.of(2);
        }
        let mut world = World::new(kind);
        if dice.of(3) == 0 {
            world.ledger.dials.listing_lag_ms = 5_000;
        }
        if dice.of(2) == 0 {
            world.psp_mut().timing.authorize_retry_ms = Millis::new(DAY_MS);
        }
        let token = ["visa", "visa", "3ds", "declined"][dice.of(4) as usize];
        let mut create = CREATE.replace("pm_card_visa", &format!("pm_card_{token}"));
        if dice.of(3) == 0 {
            create = create.replace('}', ",\"capture_method\":\"automatic\"}");
        }
        let id = world.create_with("k1", &create);
        Self {
            kind,
            world,
            id,
            dice,
            flying: Vec::new(),
            late: Vec::new(),
            seen: pay_once_core::Status::Created,
            told: BTreeMap::new(),
        }
    }

    fn act(&mut self) {
        self.world.script = std::iter::repeat_n(Told::Hold, 12).collect();
        match self.dice.of(12) {
            0..=2 => self.ask(),
            3..=6 => self.send(),
            7 => {
                if let Some(at_ms) = self.world.due(self.id) {
                    let to_ms = self.world.now_ms.max(at_ms.min(self.world.now_ms + 4_000_000));
                    self.pass(to_ms);
                }
                self.world.wake(self.id);
            }
            8 => {
                let by_ms = [100, 1_000, 20_000, 140_000, 3_700_000][self.dice.of(5) as usize];
                self.pass(self.world.now_ms + by_ms);
            }
            9 => {
                let notices = self.world.ledger.notices();
                if !notices.is_empty() {
                    let at = self.dice.of(notices.len() as u64) as usize;
                    assert_eq!(self.world.webhook(&notices[at]).status, 200);
                }
            }
            10 => {
                if !self.late.is_empty() {
                    let at = self.dice.of(self.late.len() as u64) as usize;
                    let (call, result) = self.late.remove(at);
                    self.world.outcome(call, result);
                }
            }
            _ => self.world.ledger.finish_action(self.world.now_ms),
        }
        self.check();
    }

    fn ask(&mut self) {
        let (path, key, asked) = match self.dice.of(8) {
            0..=1 => ("authorize", "a0", ""),
            2 => ("authorize", "a1", ""),
            3 => ("capture", "c0", ""),
            4 => ("capture", "c1", r#"{"amount":600}"#),
            5 => ("capture", "c2", ""),
            6 => ("void", "v0", ""),
            _ => {
                self.world.get(self.id);
                return;
            }
        };
        let answer = self
            .world
            .post(&format!("/attempts/{}/{path}", self.id), key, asked);
        self.believe(key, &answer);
    }

    fn believe(&mut self, key: &str, answer: &pay_once_core::Response) {
        let shown = body(answer);
        let error = &shown["error"];
        let words = format!("{:?} {} {:?}", self.kind, text(answer), self.world.ledger.holds);
        let is_in_flight = |path: &str| self.flying.iter().any(|(call, _)| call.http.url.contains(path));
        match (answer.status, error["code"].as_str()) {
            (502, Some("PSP_REJECTED_REQUEST")) if error["attempt"]["status"] == "CREATED" => {
                assert!(self.world.ledger.live() == 0, "{words}");
            }
            (502, _) | (400, Some("INVALID_AMOUNT")) => {
                assert!(
                    self.world.ledger.taken() == 0 && !is_in_flight("capture"),
                    "{words}"
                );
            }
            _ => {}
        }
        if error["safe_new_key"] == true {
            assert!(
                self.world.ledger.taken() == 0 && !is_in_flight("capture"),
                "{words}"
            );
        }
        // What is finalized stays byte for byte.
        let is_settled = self
            .world
            .record(self.id)
            .state()
            .bound(key)
            .is_some_and(|bound| bound.finalized_at.is_some());
        if is_settled {
            let now = (answer.status, answer.body.clone());
            let first = self.told.entry(key.to_owned()).or_insert_with(|| now.clone());
            assert_eq!(*first, now, "{words}");
        }
    }

    fn send(&mut self) {
        if self.world.held.is_empty() {
            return;
        }
        let at = self.dice.of(self.world.held.len() as u64) as usize;
        let call = self.world.held.remove(at);
        if !call.may_send(self.world.now()) {
            return self.world.outcome(call, crate::support::not_sent());
        }
        let now_ms = self.world.now_ms;
        let is_stripe = call.http.url.contains("/v1/");
        let is_capture = call.http.url.contains("capture");
        let luck = if call.http.method == "GET" {
            [0, 0, 0, 0, 2, 3, 5][self.dice.of(7) as usize]
        } else {
            self.dice.of(13)
        };
        // A PSP that has carried a request out does not refuse its form when it is sent again.
        let is_fresh = if is_capture {
            self.world.ledger.captures() == 0
        } else {
            self.world.ledger.holds.is_empty()
        };
        let result = match luck {
            1 => {
                self.world.ledger.act(&call.http, now_ms);
                timeout()
            }
            2 => timeout(),
            3 => answered([401, 403][self.dice.of(2) as usize], REVOKED),
            4 => answered(403, "<html>"),
            5 => answered([500, 429, 424, 409][self.dice.of(4) as usize], "{}"),
            6 => {
                self.world.ledger.act(&call.http, now_ms);
                answered([500, 429, 424, 409][self.dice.of(4) as usize], "{}")
            }
            7 if is_fresh => answered(
                400,
                r#"{"error":{"type":"invalid_request_error","code":"parameter_unknown","param":"expand"}}"#,
            ),
            8 if is_fresh && is_capture && is_stripe => answered(
                400,
                r#"{"error":{"type":"invalid_request_error","code":"amount_too_small","param":"amount_to_capture"}}"#,
            ),
            8 if is_fresh && is_capture => {
                answered(422, r#"{"error":{"code":"amount_too_small","field":"amount"}}"#)
            }
            9 => crate::support::not_sent(),
            10 => {
                let by_ms = now_ms + self.world.timing().max_in_flight_ms.get();
                self.flying.push((call.clone(), by_ms));
                timeout()
            }
            11 => {
                let by_ms = now_ms + self.world.timing().max_in_flight_ms.get();
                self.flying.push((call, by_ms));
                return;
            }
            12 => return,
            _ => self.world.ledger.act(&call.http, now_ms),
        };
        if self.dice.of(6) == 0 {
            self.late.push((call, result));
        } else {
            self.world.outcome(call, result);
        }
    }

    fn pass(&mut self, to_ms: u64) {
        let landing: Vec<(Call, u64)> = std::mem::take(&mut self.flying);
        for (call, by_ms) in landing {
            if by_ms <= to_ms {
                let result = self.world.ledger.act(&call.http, by_ms);
                self.late.push((call, result));
            } else {
                self.flying.push((call, by_ms));
            }
        }
        self.world.now_ms = to_ms;
    }

    fn check(&mut self) {
        use pay_once_core::Status as S;
        let record = self.world.record(self.id);
        let state = record.state();
        let status = state.status;
        let words = || {
            let facts: Vec<String> = record
                .entries()
                .iter()
                .map(|entry| {
                    format!("{} {:?}", entry.at_ms.get() - START_MS, entry.fact)
                        .chars()
                        .take(260)
                        .collect()
                })
                .collect();
            format!(
                "{:?} {status:?} {facts:#?} {:?}",
                self.kind, self.world.ledger.holds
            )
        };
        assert!(status.may_follow(self.seen), "{:?}: {}", self.seen, words());
        self.seen = status;
        assert!(self.world.ledger.live() <= 1, "two held: {}", words());
        assert!(self.world.ledger.captures() <= 1, "captured twice: {}", words());
        match status {
            S::Captured => assert_eq!(self.world.ledger.taken(), 1, "{}", words()),
            S::Voided | S::Expired => assert_eq!(self.world.ledger.live(), 0, "{}", words()),
            S::Declined => assert_eq!(self.world.ledger.taken(), 0, "{}", words()),
            _ => {}
        }
        let is_open = state.running.is_some() || matches!(status, S::Authorized);
        assert!(
            !is_open || self.world.is_parked(self.id) || self.world.due(self.id).is_some(),
            "nothing wakes it: {}",
            words()
        );
        assert!(record.entries().len() < 300, "{}", words());
        one_key_one_request(&self.world);
    }

    fn end(&mut self) {
        self.pass(self.world.now_ms + 130_000);
        self.world.held.clear();
        self.world.script.clear();
        for (call, result) in std::mem::take(&mut self.late) {
            if self.dice.of(2) == 0 {
                self.world.outcome(call, result);
            }
        }
        self.world.wake(self.id);
        self.check();
        let id = self.id;
        for _ in 0..400 {
            let Some(_) = self.world.due(id) else { break };
            self.world.settle(id, 1);
            self.check();
        }
        let story = self.world.story(id);
        let said = format!(
            "{:?} {:?} {story:#?} {:?}",
            self.kind, self.seen, self.world.ledger.holds
        );
        assert_eq!(self.world.due(id), None, "not at rest: {said}");
        if self.world.is_parked(id) {
            let is_poor = matches!(self.kind, Kind::Blind | Kind::AcquirerKeyed);
            assert!(is_poor, "parked: {said}");
            return;
        }
        use pay_once_core::Status as S;
        assert!(self.seen.is_final() || self.seen == S::Created, "{said}");
        let wanted = usize::from(self.seen == S::Captured);
        assert_eq!(
            (self.world.ledger.taken(), self.world.ledger.live()),
            (wanted, wanted),
            "{said}"
        );
    }
}

/// Walks of each class. Four hundred of each were taken once.
const SEEDS: u64 = 25;

fn walk(kind: Kind) {
    let mut broken = Vec::new();
    for seed in 1..=SEEDS {
        let run = std::panic::AssertUnwindSafe(|| {
            let mut walk = Walk::new(kind, seed);
            for _ in 0..60 {
                walk.act();
            }
            walk.end();
        });
        if std::panic::catch_unwind(run).is_err() {
            broken.push(seed);
        }
    }
    assert!(broken.is_empty(), "{kind:?}: seeds {broken:?}");
}

#[test]
fn walk_stripe() {
    walk(Kind::Stripe);
}

#[test]
fn walk_stripe_no_keys() {
    walk(Kind::StripeNoKeys);
}

#[test]
fn walk_stripe_listed() {
    walk(Kind::StripeListed);
}

#[test]
fn walk_acquirer_keyed() {
    walk(Kind::AcquirerKeyed);
}

#[test]
fn walk_acquirer_queryable() {
    walk(Kind::AcquirerQueryable);
}

#[test]
fn walk_acquirer_keyed_queryable() {
    walk(Kind::AcquirerKeyedQueryable);
}

#[test]
fn walk_blind() {
    walk(Kind::Blind);
}
