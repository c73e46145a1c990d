//! When each attempt was last asked about at its PSP ([`Call::skip_within_ms`]), as far as one process knows.

use std::collections::BTreeMap;

use super::call::Call;
use crate::base::id::AttemptId;
use crate::base::limits::QUESTIONS_MAX;
use crate::base::time::{Millis, UnixMillis};

/// The last question of each attempt. One value serves one process; it is not durable, and other processes do not know of it.
/// An entry that is forgotten costs one more read, and nothing else.
#[derive(Debug, Default)]
pub struct Questions {
    asked_at_ms: BTreeMap<AttemptId, UnixMillis>,
}

impl Questions {
    /// Whether a call is to be performed at `now_ms` (milliseconds since the Unix epoch). If it is a question about an attempt, its
    /// time is noted. What moves money is never left out.
    pub fn may_ask(&mut self, call: &Call, now_ms: UnixMillis) -> bool {
        let Some(id) = call.attempt.filter(|_| !call.moves_money) else {
            return true;
        };
        let last_ms = self.asked_at_ms.get(&id).copied();
        let is_too_soon = |within_ms: Millis| last_ms.is_some_and(|at_ms| now_ms < at_ms + within_ms);
        if call.skip_within_ms.is_some_and(is_too_soon) {
            return false;
        }
        if self.asked_at_ms.len() >= QUESTIONS_MAX {
            self.forget_older_half();
        }
        self.asked_at_ms.insert(id, now_ms);
        assert!(
            self.asked_at_ms.len() <= QUESTIONS_MAX,
            "the bound of the questions holds"
        );
        true
    }

    fn forget_older_half(&mut self) {
        let mut times: Vec<UnixMillis> = self.asked_at_ms.values().copied().collect();
        times.sort_unstable();
        let median_ms = times.get(times.len() / 2).copied().unwrap_or_default();
        self.asked_at_ms.retain(|_, at_ms| *at_ms > median_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Secret;
    use crate::psp::call::{HttpCall, Purpose};

    fn call(attempt: Option<u128>, moves_money: bool, skip_within_ms: Option<Millis>) -> Call {
        Call {
            attempt: attempt.map(|number| AttemptId::from_bytes(number.to_be_bytes())),
            psp: "psp".to_owned(),
            http: HttpCall {
                method: "GET",
                url: "http://psp.test/".to_owned(),
                bearer: Secret::new("secret"),
                headers: Vec::new(),
                body: Vec::new(),
            },
            send_by_ms: UnixMillis::EPOCH,
            send_by: None,
            timeout_ms: Millis::ZERO,
            moves_money,
            skip_within_ms,
            purpose: Purpose::Event,
        }
    }

    #[test]
    fn a_question_is_left_out_within_its_pause_only() {
        let mut questions = Questions::default();
        let read = call(Some(1), false, Some(Millis::new(2_000)));
        assert!(questions.may_ask(&read, UnixMillis::new(1_000)));
        assert!(!questions.may_ask(&read, UnixMillis::new(2_999)));
        assert!(questions.may_ask(&read, UnixMillis::new(3_000)));
        assert!(
            !questions.may_ask(&read, UnixMillis::new(3_001)),
            "the second question counts too"
        );
        assert!(
            questions.may_ask(
                &call(Some(2), false, Some(Millis::new(2_000))),
                UnixMillis::new(3_001)
            ),
            "another attempt's"
        );
        assert!(
            questions.may_ask(&call(Some(1), false, None), UnixMillis::new(3_001)),
            "this one is not left out"
        );
        assert!(!questions.may_ask(&read, UnixMillis::new(5_000)), "but counts");
    }

    #[test]
    fn what_moves_money_or_is_about_no_attempt_is_never_left_out() {
        let mut questions = Questions::default();
        for unbounded in [
            call(Some(1), true, Some(Millis::new(2_000))),
            call(None, false, Some(Millis::new(2_000))),
        ] {
            assert!(questions.may_ask(&unbounded, UnixMillis::new(1_000)));
            assert!(questions.may_ask(&unbounded, UnixMillis::new(1_000)));
        }
        assert!(
            questions.may_ask(
                &call(Some(1), false, Some(Millis::new(2_000))),
                UnixMillis::new(1_000)
            ),
            "neither counts as a question"
        );
    }

    #[test]
    fn the_oldest_are_forgotten_first_and_at_one_time_all_of_them() {
        let bound = QUESTIONS_MAX as u64;
        let read = |number: u64| call(Some(u128::from(number)), false, Some(Millis::MAX));
        let mut questions = Questions::default();
        for number in 0..=bound {
            assert!(questions.may_ask(&read(number), UnixMillis::new(number)));
        }
        assert!(
            !questions.may_ask(&read(bound - 1), UnixMillis::new(bound)),
            "a new one is remembered"
        );
        assert!(
            questions.may_ask(&read(0), UnixMillis::new(bound)),
            "the oldest one is not"
        );

        let mut questions = Questions::default();
        for number in 0..=bound {
            assert!(questions.may_ask(&read(number), UnixMillis::new(7)));
        }
        assert_eq!(questions.asked_at_ms.len(), 1);
    }
}
