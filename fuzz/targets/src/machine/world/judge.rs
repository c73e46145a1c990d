//! What must hold after every act, and in the end.

use pay_once_core::journal::invariant;
use pay_once_core::{Input, Status};

use super::{WAKES_MAX, World};
use crate::setup::Kind;

impl World {
    /// After every act: the promise (`docs/promise.md`).
    ///
    /// # Panics
    /// If it is broken: a finding.
    pub fn check(&mut self) {
        let (live, captures) = (self.ledger.live(), self.ledger.captures());
        assert!(live <= 1, "one live authorization: {:?}", self.ledger.holds);
        assert!(captures <= 1, "one capture: {:?}", self.ledger.holds);
        assert!(
            !self.ledger.took_too_much(),
            "of at most the authorized amount: {:?}",
            self.ledger.holds
        );
        let Some(record) = &self.record else { return };
        let status = record.state().status;
        assert!(
            status.rank() >= self.seen.rank() && (!self.seen.is_final() || status == self.seen),
            "rule 10: {:?} became {status:?}",
            self.seen
        );
        self.seen = status;
        if status == Status::Captured {
            assert_eq!(self.ledger.taken(), 1, "captured means captured");
        }
    }

    /// At the end: core's own invariants, whether or not this build asserts them at every step.
    pub(in crate::machine) fn check_record(&self) {
        if let Some(record) = &self.record {
            assert_eq!(invariant::check(record), Ok(()), "core's own invariants");
        }
    }

    /// Faults stop: everything lands, the network works, timers fire. It ends, and agrees with the ledger.
    pub(in crate::machine) fn end(&mut self) {
        while !self.flying.is_empty() {
            self.land(0);
        }
        self.advance(self.lands_by_ms() - self.true_ms);
        self.held.clear();
        // Half of the late answers are never heard.
        for outcome in std::mem::take(&mut self.answers).into_iter().step_by(2) {
            self.input(&Input::Outcome(Box::new(outcome)));
            self.perform_all();
        }
        self.input(&Input::Wake);
        self.perform_all();
        for _ in 0..WAKES_MAX {
            let Some(at_ms) = self.due_ms.take() else { break };
            self.true_ms = self.true_ms.max(at_ms);
            self.now_ms = self.true_ms;
            self.input(&Input::Wake);
            self.perform_all();
        }
        self.check();
        self.check_end();
    }

    pub(in crate::machine) fn check_end(&self) {
        let Some(record) = &self.record else { return };
        let state = record.state();
        let is_parked = state
            .running
            .as_ref()
            .is_some_and(|running| running.parked.is_some());
        if self.kind == Kind::Blind && is_parked {
            return;
        }
        let story = || {
            record
                .entries()
                .iter()
                .map(|entry| format!("{entry:?}\n"))
                .collect::<String>()
        };
        assert_eq!(self.due_ms, None, "at rest: {}", story());
        assert!(!is_parked, "parked: {}", story());
        assert!(
            self.seen.is_final() || self.seen == Status::Created,
            "{:?}: {}",
            self.seen,
            story()
        );
        let wanted = usize::from(self.seen == Status::Captured);
        assert_eq!(
            (self.ledger.taken(), self.ledger.live()),
            (wanted, wanted),
            "{:?}: {} {:?}",
            self.seen,
            story(),
            self.ledger.holds
        );
    }

    pub(in crate::machine) fn perform_all(&mut self) {
        while !self.held.is_empty() {
            let call = self.held.remove(0);
            assert!(call.may_send(self.moment()), "rule 1: past send_by");
            let result = self.arrives(&call);
            self.outcome(call, result);
        }
    }
}
