//! When each attempt was last asked about at its PSP, by this instance: some questions are not worth asking again so soon
//! (`Call::skip_within_ms`). Other instances do not know of it, and an instance may serve one request only: then nothing is
//! left out, and a question more is asked.

use std::collections::BTreeMap;

use pay_once_core::id::AttemptId;
use pay_once_core::psp::Call;

/// Attempts that are remembered before all of them are forgotten: an instance serves few.
const ATTEMPTS_MAX: usize = 1_000;

/// The last question of each attempt.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    asked_at_ms: BTreeMap<AttemptId, u64>,
}

impl Questions {
    /// Whether a call of this attempt is to be performed at `now_ms`, which is noted if it is a question.
    pub(crate) fn may_ask(&mut self, id: AttemptId, call: &Call, now_ms: u64) -> bool {
        if call.moves_money {
            return true;
        }
        let last_ms = self.asked_at_ms.get(&id).copied();
        let is_too_soon =
            |within_ms: u64| last_ms.is_some_and(|at_ms| now_ms < at_ms.saturating_add(within_ms));
        if call.skip_within_ms.is_some_and(is_too_soon) {
            return false;
        }
        if self.asked_at_ms.len() >= ATTEMPTS_MAX {
            self.asked_at_ms.clear();
        }
        self.asked_at_ms.insert(id, now_ms);
        true
    }
}
