//! When each attempt was last asked about at its PSP, by this process: some questions are not worth asking again so soon
//! (`Call::skip_within_ms`).

use std::collections::BTreeMap;

use pay_once_core::id::AttemptId;
use pay_once_core::psp::Call;

/// Attempts that are remembered before those of longest ago are let go.
const ATTEMPTS_MAX: usize = 4_096;

/// The last question of each attempt.
#[derive(Debug, Default)]
pub struct Questions {
    asked_at_ms: BTreeMap<AttemptId, u64>,
}

impl Questions {
    /// Whether a call is to be performed at `now_ms`, which is noted if it is a question.
    pub fn may_ask(&mut self, call: &Call, now_ms: u64) -> bool {
        let Some(id) = call.attempt.filter(|_| !call.moves_money) else {
            return true;
        };
        let last_ms = self.asked_at_ms.get(&id).copied();
        let is_too_soon =
            |within_ms: u64| last_ms.is_some_and(|at_ms| now_ms < at_ms.saturating_add(within_ms));
        if call.skip_within_ms.is_some_and(is_too_soon) {
            return false;
        }
        if self.asked_at_ms.len() >= ATTEMPTS_MAX {
            let median_ms = self.median_ms();
            self.asked_at_ms.retain(|_, at_ms| *at_ms > median_ms);
        }
        self.asked_at_ms.insert(id, now_ms);
        true
    }

    fn median_ms(&self) -> u64 {
        let mut times: Vec<u64> = self.asked_at_ms.values().copied().collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    }
}
