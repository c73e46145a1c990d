//! The adversary: everything that the fault model (`docs/faults.md`) lets happen between clients, servers and a PSP, by choice.

use pay_once_core::journal::invariant;
use pay_once_core::{AttemptId, Call, Input, Millis, Outcome, Record, Routed, Status};

use crate::support::{CREATE, DAY_MS, Kind, Told, World, json, text, timeout};

/// Largest deviation of a server's clock from true time, either way: half the declared skew.
const CLOCK_OFF_MS: u64 = 1_000;

/// A request under way to the PSP, and when it lands at the latest.
struct Flying {
    call: Call,
    lands_by_ms: u64,
}

/// What a run is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) token: &'static str,
    pub(crate) automatic: bool,
    /// Requests may land after `max_in_flight_ms`: an assumption is broken, so effects may double until they are
    /// compensated (rule 8).
    pub(crate) late: bool,
    /// An authorization is tried for a day, not for two minutes.
    pub(crate) patient: bool,
    pub(crate) listing_lag_ms: u64,
}

pub(crate) struct Run {
    case: Case,
    pub(crate) world: World,
    pub(crate) id: AttemptId,
    /// Requests of which the sender knows no more.
    flying: Vec<Flying>,
    /// What was answered but has not arrived yet.
    answers: Vec<Outcome>,
    old: Vec<Record>,
    pub(crate) seen: Status,
    /// True time; every server's own clock is off from it.
    true_ms: u64,
    /// Swaps of a second server that failed.
    pub(crate) conflicts: usize,
}

/// One step of the adversary: what, and two choices.
pub(crate) type Act = (u8, u8, u8);

impl Run {
    pub(crate) fn new(case: Case) -> Self {
        let mut world = World::new(case.kind);
        world.ledger.dials.listing_lag_ms = case.listing_lag_ms;
        if case.patient {
            world.psp_mut().timing.authorize_retry_ms = Millis::new(DAY_MS);
        }
        let mut body = CREATE.replace("pm_card_visa", case.token);
        if case.automatic {
            body = body.replace('}', ",\"capture_method\":\"automatic\"}");
        }
        let id = world.create_with("k1", &body);
        Self {
            case,
            world,
            id,
            flying: Vec::new(),
            answers: Vec::new(),
            old: Vec::new(),
            seen: Status::Created,
            true_ms: crate::support::START_MS,
            conflicts: 0,
        }
    }

    /// Some server's clock.
    fn clock(&mut self, which: u8) {
        let off_ms = [0, CLOCK_OFF_MS, 2 * CLOCK_OFF_MS][usize::from(which) % 3];
        self.world.now_ms = self.true_ms - CLOCK_OFF_MS + off_ms;
    }

    pub(crate) fn act(&mut self, (what, a, b): Act) {
        self.old.push(self.world.record(self.id));
        // Whatever the machine gives out is held; the adversary decides what becomes of it.
        self.world.script = std::iter::repeat_n(Told::Hold, 8).collect();
        self.clock(a ^ b);
        match what % 16 {
            0..=3 => self.request(a, b),
            4..=6 => self.send(a, b),
            7 => self.crash(a),
            8 => self.land(a),
            9 => self.answer(a, b),
            10 => self.webhook(a, b),
            11 => self.world.wake(self.id),
            12 => self.advance(u64::from(a) * 10),
            13 => self.advance(u64::from(a) * 1_500),
            14 => {
                if let Some(at_ms) = self.world.due(self.id) {
                    let pause_ms = at_ms.saturating_sub(self.world.now_ms).min(600_000);
                    self.advance(pause_ms);
                    self.clock(b);
                    self.world.wake(self.id);
                }
            }
            _ => self.world.ledger.finish_action(self.true_ms),
        }
        self.check();
    }

    fn request(&mut self, a: u8, b: u8) {
        let operation = ["authorize", "capture", "capture", "void"][usize::from(a) % 4];
        let key = format!("{operation}-{}", b % 2);
        let target = format!("/attempts/{}/{operation}", self.id);
        let Routed::Attempt { id, input } =
            self.world
                .route("POST", &target, &[("idempotency-key", &key)], b"")
        else {
            panic!("routed");
        };
        if b.is_multiple_of(5) {
            self.second_server(&input, a);
        }
        if let pay_once_core::Reply::Now(answer) = self.world.drive(id, input) {
            self.believe(answer.status, &json(&answer), &text(&answer));
        }
    }

    /// A server that decides on an old record: its swap fails, and nothing of its step may happen.
    fn second_server(&mut self, input: &Input, a: u8) {
        let base = self.old[usize::from(a) % self.old.len()].clone();
        let step = self.world.decide(self.id, Some(&base), input);
        if let Some(write) = &step.write
            && base.version() != self.world.record(self.id).version()
        {
            assert!(!self.world.commit(self.id, write), "a stale swap conflicts");
            self.conflicts += 1;
        }
    }

    /// What an answer says is true at the PSP (`docs/promise.md`), at once and for ever.
    fn believe(&self, status: u16, shown: &serde_json::Value, words: &str) {
        if self.case.late {
            return;
        }
        let ledger = &self.world.ledger;
        let attempt = if shown["error"].is_null() {
            shown
        } else {
            &shown["error"]["attempt"]
        };
        match attempt["status"].as_str() {
            Some("CAPTURED") => assert_eq!(ledger.taken(), 1, "{words}"),
            Some("VOIDED" | "EXPIRED") => assert_eq!(ledger.live(), 0, "{words}"),
            Some("AUTHORIZED" | "CAPTURING") if status == 200 => {
                assert!(ledger.authorizations() >= 1, "{words}")
            }
            Some("DECLINED") => assert_eq!(ledger.taken(), 0, "{words}"),
            _ => {}
        }
    }

    /// A held request leaves, if it still may. `b` says how well that goes.
    fn send(&mut self, a: u8, b: u8) {
        if self.world.held.is_empty() {
            return;
        }
        let call = self.world.held.remove(usize::from(a) % self.world.held.len());
        if !call.may_send(self.world.now()) {
            return self.world.outcome(call, crate::support::not_sent());
        }
        let now_ms = self.true_ms;
        let lands_by_ms = now_ms + self.world.timing().max_in_flight_ms.get();
        // Questions get through more often than not: what is asked about is what the adversary works on.
        let luck = if call.moves_money || b.is_multiple_of(5) {
            b % 6
        } else {
            0
        };
        match luck {
            5 => {
                // An error that says nothing: with the effect, or without.
                let busy = crate::support::answered([429, 500, 409][usize::from(a) % 3], "busy");
                if b.is_multiple_of(2) {
                    self.world.ledger.act(&call.http, now_ms);
                }
                self.world.outcome(call, busy);
            }
            0 | 4 => {
                let result = self.world.ledger.act(&call.http, now_ms);
                self.world.outcome(call, result);
            }
            1 => {
                let result = self.world.ledger.act(&call.http, now_ms);
                self.answers.push(Outcome { call, result });
            }
            2 => {
                self.flying.push(Flying {
                    call: call.clone(),
                    lands_by_ms,
                });
                self.world.outcome(call, timeout());
            }
            _ => self.flying.push(Flying { call, lands_by_ms }),
        }
    }

    /// The server that held a request is gone; or its connection was refused.
    fn crash(&mut self, a: u8) {
        if !self.world.held.is_empty() {
            let call = self.world.held.remove(usize::from(a) % self.world.held.len());
            if a.is_multiple_of(2) {
                self.world.outcome(call, crate::support::not_sent());
            }
        }
    }

    /// A flying request lands; its answer may arrive much later, or never.
    fn land(&mut self, a: u8) {
        if self.flying.is_empty() {
            return;
        }
        let flying = self.flying.remove(usize::from(a) % self.flying.len());
        let result = self.world.ledger.act(&flying.call.http, self.true_ms);
        self.answers.push(Outcome {
            call: flying.call,
            result,
        });
    }

    fn answer(&mut self, a: u8, b: u8) {
        if self.answers.is_empty() {
            return;
        }
        let at = usize::from(a) % self.answers.len();
        let outcome = if b.is_multiple_of(3) {
            self.answers[at].clone()
        } else {
            self.answers.remove(at)
        };
        self.world
            .drive(self.id, Input::Outcome(Box::new(outcome.clone())));
        self.again(&Input::Outcome(Box::new(outcome)));
    }

    fn webhook(&mut self, a: u8, b: u8) {
        let notices = self.world.ledger.notices();
        if let Some(notice) = notices.get(usize::from(a) % notices.len().max(1)).cloned() {
            for _ in 0..=b % 2 {
                assert_eq!(self.world.webhook(&notice).status, 200);
            }
        }
    }

    /// Rule 7: handling an input twice is handling it once.
    fn again(&mut self, input: &Input) {
        let base = self.world.record(self.id);
        let step = self.world.decide(self.id, Some(&base), input);
        assert!(
            step.write.is_none(),
            "a second handling writes nothing: {input:?}"
        );
        assert!(step.calls.iter().all(|call| !call.moves_money));
    }

    /// Time passes; what must have landed by then lands on the way.
    fn advance(&mut self, by_ms: u64) {
        let to_ms = self.true_ms + by_ms;
        while let Some(at) = self
            .flying
            .iter()
            .position(|f| f.lands_by_ms <= to_ms && !self.case.late)
        {
            let flying = self.flying.remove(at);
            let result = self.world.ledger.act(&flying.call.http, flying.lands_by_ms);
            self.answers.push(Outcome {
                call: flying.call,
                result,
            });
        }
        self.true_ms = to_ms;
        self.world.now_ms = to_ms;
    }

    fn check(&mut self) {
        let record = self.world.record(self.id);
        invariant::check(&record).unwrap();
        let status = record.state().status;
        assert!(status.rank() >= self.seen.rank() && (!self.seen.is_final() || status == self.seen));
        self.seen = status;
        if self.case.late {
            return;
        }
        assert!(
            self.world.ledger.live() <= 1,
            "one live authorization: {:?}",
            self.world.ledger.holds
        );
        assert!(
            self.world.ledger.captures() <= 1,
            "one capture: {:?}",
            self.world.ledger.holds
        );
        if status == Status::Captured {
            assert_eq!(self.world.ledger.taken(), 1);
        }
    }

    /// Faults stop: everything lands, the network works, timers fire.
    pub(crate) fn end(&mut self) {
        while !self.flying.is_empty() {
            self.land(0);
        }
        self.advance(self.world.timing().max_in_flight_ms.get());
        self.world.held.clear();
        self.world.script.clear();
        // Half of the late answers are never heard; where an assumption was broken, all are.
        for (nth, outcome) in std::mem::take(&mut self.answers).into_iter().enumerate() {
            if nth % 2 == 0 || self.case.late {
                self.world.drive(self.id, Input::Outcome(Box::new(outcome)));
            }
        }
        if self.case.late {
            for notice in self.world.ledger.notices() {
                self.world.webhook(&notice);
            }
        }
        self.world.wake(self.id);
        self.world.settle(self.id, 200);
        self.check();
        let status = self.seen;
        // What may be left over is a question for an operator only where the PSP offers nothing (class blind; or a
        // refund that PaymentIntents do not show, without keys), and the machine says so.
        let refund_lost = self.case.late && self.case.kind == Kind::StripeNoKeys;
        if (self.case.kind == Kind::Blind || refund_lost) && self.world.is_parked(self.id) {
            return;
        }
        let story = self.world.story(self.id);
        assert_eq!(self.world.due(self.id), None, "at rest: {story:#?}");
        assert!(!self.world.is_parked(self.id), "parked: {story:#?}");
        assert!(
            status.is_final() || status == Status::Created,
            "{status:?}: {story:#?}"
        );
        let ledger = &self.world.ledger;
        let wanted = usize::from(status == Status::Captured);
        assert_eq!(
            (ledger.taken(), ledger.live()),
            (wanted, wanted),
            "{status:?}: {story:#?} {:?}",
            ledger.holds
        );
    }
}
