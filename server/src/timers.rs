//! Timers: when the machine wants to be woken. Far ones stay in the store, near ones come into memory; both are only
//! hints, since what is due is a function of the record and the time (rule 11: safety never rests on timers firing).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use pay_once_core::{AttemptId, Millis, UnixMillis};
use tokio::sync::Notify;

use crate::ports::Scan;

/// Timers further away than this stay in the store until a scan finds them, in milliseconds.
pub const HORIZON_MS: Millis = Scan::OWN.ahead_ms;

/// Timers in memory: at most one per attempt.
#[derive(Debug, Default)]
pub struct Timers {
    inner: RefCell<Inner>,
    earlier: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    by_time: BTreeSet<(UnixMillis, AttemptId)>,
    by_id: BTreeMap<AttemptId, UnixMillis>,
}

impl Timers {
    /// Sets, moves or removes the timer of an attempt.
    pub fn set(&self, id: AttemptId, at_ms: Option<UnixMillis>) {
        let mut inner = self.inner.borrow_mut();
        let first = inner.by_time.first().map(|(at, _)| *at);
        if let Some(old) = inner.by_id.remove(&id) {
            inner.by_time.remove(&(old, id));
        }
        if let Some(at_ms) = at_ms {
            inner.by_id.insert(id, at_ms);
            inner.by_time.insert((at_ms, id));
            if first.is_none_or(|first| at_ms < first) {
                self.earlier.notify_one();
            }
        }
    }

    /// Sets the timer of an attempt unless it has one that comes before.
    pub fn sooner(&self, id: AttemptId, at_ms: UnixMillis) {
        let known = self.inner.borrow().by_id.get(&id).copied();
        if known.is_none_or(|known_ms| at_ms < known_ms) {
            self.set(id, Some(at_ms));
        }
    }

    /// Brings in what a scan of the store found; a timer that memory already has is newer than the store's.
    pub fn found(&self, due: &[(AttemptId, UnixMillis)]) {
        for (id, at_ms) in due {
            let known = self.inner.borrow().by_id.contains_key(id);
            if !known {
                self.set(*id, Some(*at_ms));
            }
        }
    }

    /// Takes out every timer that is due.
    pub fn take_due(&self, now_ms: UnixMillis) -> Vec<AttemptId> {
        let mut inner = self.inner.borrow_mut();
        let mut due = Vec::new();
        while let Some((at_ms, id)) = inner
            .by_time
            .first()
            .copied()
            .filter(|(at_ms, _)| *at_ms <= now_ms)
        {
            inner.by_time.remove(&(at_ms, id));
            inner.by_id.remove(&id);
            due.push(id);
        }
        due
    }

    /// The time of the next timer.
    pub fn next_ms(&self) -> Option<UnixMillis> {
        self.inner.borrow().by_time.first().map(|(at_ms, _)| *at_ms)
    }

    /// Has whoever waits in [`Timers::earlier`] look at the time again.
    pub fn look_again(&self) {
        self.earlier.notify_one();
    }

    /// Waits for a timer that comes before all others.
    pub async fn earlier(&self) {
        self.earlier.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> UnixMillis {
        UnixMillis::new(ms)
    }

    #[test]
    fn one_timer_an_attempt_and_memory_beats_the_store() {
        let (a, b) = (AttemptId::derive("", "m", "a"), AttemptId::derive("", "m", "b"));
        let timers = Timers::default();
        timers.set(a, Some(at(100)));
        timers.set(a, Some(at(50)));
        timers.found(&[(a, at(10)), (b, at(60))]);
        assert_eq!(timers.next_ms(), Some(at(50)));
        assert_eq!(timers.take_due(at(49)), Vec::new());
        assert_eq!(timers.take_due(at(60)), vec![a, b]);
        timers.set(a, Some(at(70)));
        timers.set(a, None);
        assert_eq!(timers.next_ms(), None);
    }
}
