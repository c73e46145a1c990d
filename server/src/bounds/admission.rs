//! Which requests are taken on. A request is *open* from its admission to its answer, and *in work* while it is not waiting for a PSP:
//! then it waits for the store or the processor, and every other one waits for it.
//!
//! How many may be in work follows from how long requests wait for the loop, and durable writes for the store: as in CoDel, the
//! shortest wait of an interval tells a standing queue from a burst, and the bound is lowered by a share and raised by steps. Each account has an equal share of it, and more where
//! others leave some.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pay_once_core::{Account, Admitted};
use serde::Serialize;
use tokio::time::Instant;

/// How long writes are measured before the bound is adjusted.
const INTERVAL: Duration = Duration::from_millis(100);
/// Lowest value of the bound. 64 requests use the processor for about 20 ms. A slow disk needs many requests at a time, because their
/// writes share a sync: a lower bound would not make it faster.
const WORK_MIN: usize = 64;
/// Initial value of the bound.
const WORK_FIRST: usize = 256;

/// What work waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Requests that were taken on wait for the loop.
    Loop,
    /// Durable writes wait for the store. The wait is counted without the two commits that a write may wait for in any case.
    Store,
}

/// Limits the requests that one process works on.
#[derive(Debug)]
pub struct Admission {
    inner: Mutex<Inner>,
    open_max: usize,
    work_max: usize,
    delay: Duration,
}

#[derive(Debug)]
struct Inner {
    accounts: BTreeMap<Account, Held>,
    all: Held,
    work_bound: usize,
    interval: Interval,
    refused: u64,
}

/// The requests of one account, or of all accounts.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    open: usize,
    in_work: usize,
}

/// Measurements of the current interval.
#[derive(Clone, Copy, Debug)]
struct Interval {
    since: Instant,
    /// The shortest wait in each queue.
    shortest: [Option<Duration>; 2],
    was_full: bool,
}

/// A snapshot of the admission.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AdmissionState {
    /// Requests that were taken on and not answered yet.
    pub open: usize,
    /// Of these: requests that wait for the store or the processor.
    pub in_work: usize,
    /// How many may be in work at present.
    pub work_bound: usize,
    /// Requests refused with `OVERLOADED` since the start.
    pub refused: u64,
}

impl Admission {
    /// At most `open_max` open requests, and `work_max` in work while neither queue is longer than `delay`.
    #[must_use]
    pub fn new(open_max: usize, work_max: usize, delay: Duration) -> Self {
        Self {
            inner: Mutex::new(Inner {
                accounts: BTreeMap::new(),
                all: Held::default(),
                work_bound: work_max.min(WORK_FIRST),
                interval: Interval::since(Instant::now()),
                refused: 0,
            }),
            open_max,
            work_max,
            delay,
        }
    }

    /// Admits every request.
    #[must_use]
    pub fn unbounded() -> Self {
        let admission = Self::new(usize::MAX, usize::MAX, Duration::MAX);
        admission.inner().work_bound = usize::MAX / 2;
        admission
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Counts that a panic left are still the best that there are.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request would be admitted now. If not, it is counted as refused.
    pub fn has_room(&self, request: &Admitted) -> bool {
        self.inner().has_room_or_counts(request, self.open_max)
    }

    /// Counts a request that was refused because too many large bodies were being read.
    pub fn refused_body(&self) {
        self.inner().refused += 1;
    }

    /// Admits a request if the limits permit it.
    pub fn enter(self: &Arc<Self>, request: Admitted) -> Option<Permit> {
        // One lock: two threads must not both take the last place.
        let mut inner = self.inner();
        if !inner.has_room_or_counts(&request, self.open_max) {
            return None;
        }
        inner.change(&request.account, |held| {
            held.open += 1;
            held.in_work += 1;
        });
        Some(Permit {
            admission: Arc::clone(self),
            account: request.account,
            is_in_work: true,
        })
    }

    /// Records how long something waited in a queue.
    pub fn waited(&self, queue: Queue, waited: Duration) {
        let now = Instant::now();
        let mut inner = self.inner();
        let [of_loop, of_store] = &mut inner.interval.shortest;
        let shortest = match queue {
            Queue::Loop => of_loop,
            Queue::Store => of_store,
        };
        *shortest = Some(shortest.map_or(waited, |before| before.min(waited)));
        if now.saturating_duration_since(inner.interval.since) < INTERVAL {
            return;
        }
        let longer = inner.interval.shortest.into_iter().flatten().max();
        let longer = longer.unwrap_or_default();
        inner.work_bound = self.bound_after(inner.work_bound, longer, inner.interval.was_full);
        inner.interval = Interval::since(now);
    }

    /// The new bound, given the shortest wait of the last interval in the longer queue.
    fn bound_after(&self, bound: usize, shortest: Duration, was_full: bool) -> usize {
        if shortest > self.delay {
            return (bound - bound / 5).max(WORK_MIN).min(self.work_max);
        }
        match was_full {
            true => bound.saturating_add((bound / 16).max(1)).min(self.work_max),
            // What was not used says nothing of what more would do.
            false => bound,
        }
    }

    /// A snapshot.
    #[must_use]
    pub fn state(&self) -> AdmissionState {
        let inner = self.inner();
        AdmissionState {
            open: inner.all.open,
            in_work: inner.all.in_work,
            work_bound: inner.work_bound,
            refused: inner.refused,
        }
    }

    fn change(&self, account: &Account, change: impl Fn(&mut Held)) {
        self.inner().change(account, change);
    }
}

impl Inner {
    fn change(&mut self, account: &Account, change: impl Fn(&mut Held)) {
        change(&mut self.all);
        match self.accounts.get_mut(account) {
            Some(held) => {
                change(held);
                if held.open == 0 {
                    self.accounts.remove(account);
                }
            }
            None => change(self.accounts.entry(account.clone()).or_default()),
        }
    }

    fn has_room_or_counts(&mut self, request: &Admitted, open_max: usize) -> bool {
        let has_room = self.has_room(request, open_max);
        if !has_room {
            self.refused += 1;
            self.interval.was_full = true;
        }
        has_room
    }

    fn has_room(&self, request: &Admitted, open_max: usize) -> bool {
        let mine = self.accounts.get(&request.account).copied().unwrap_or_default();
        // What goes on with a payment comes before what begins one: it has cost work already.
        let work_bound = match request.is_new {
            true => self.work_bound,
            false => self.work_bound.saturating_add(self.work_bound / 2),
        };
        let others = self.accounts.len() - usize::from(self.accounts.contains_key(&request.account));
        let share = |bound: usize| bound.div_ceil(others + 1);
        let has_work = self.all.in_work < work_bound || (others > 0 && mine.in_work < share(work_bound));
        let has_open = self.all.open < open_max || (others > 0 && mine.open < share(open_max));
        has_work && has_open
    }
}

impl Interval {
    fn since(since: Instant) -> Self {
        Self {
            since,
            shortest: [None; 2],
            was_full: false,
        }
    }
}

/// An admitted request. Dropping it ends the admission.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    account: Account,
    is_in_work: bool,
}

impl Permit {
    /// The request waits for a PSP and is not counted as work until [`Permit::resume`].
    pub fn pause(&mut self) {
        if std::mem::replace(&mut self.is_in_work, false) {
            self.admission.change(&self.account, |held| held.in_work -= 1);
        }
    }

    /// The request is counted as work again. It is not refused, because it was admitted before.
    pub fn resume(&mut self) {
        if !std::mem::replace(&mut self.is_in_work, true) {
            self.admission.change(&self.account, |held| held.in_work += 1);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pause();
        self.admission.change(&self.account, |held| held.open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(20);

    fn request(merchant: &str, is_new: bool) -> Admitted {
        Admitted {
            account: Account::Merchant(merchant.to_owned()),
            body_bytes_max: 0,
            is_new,
        }
    }

    #[test]
    fn what_is_one_too_many_is_refused_and_counted() {
        let admission = Arc::new(Admission::new(100, 4, DELAY));
        let mut held: Vec<Permit> = (0..4)
            .filter_map(|_| admission.enter(request("a", true)))
            .collect();
        assert_eq!(held.len(), 4);
        assert!(admission.enter(request("a", true)).is_none());
        assert!(!admission.has_room(&request("a", true)));
        assert_eq!(admission.state().refused, 2);
        // What goes on with a payment has half as much again.
        held.extend(admission.enter(request("a", false)));
        held.extend(admission.enter(request("a", false)));
        assert_eq!(held.len(), 6);
        assert!(admission.enter(request("a", false)).is_none());
        held.iter_mut().for_each(Permit::pause);
        assert!(
            admission.enter(request("a", true)).is_some(),
            "a wait for a PSP is no work"
        );
        held.clear();
        let state = admission.state();
        assert_eq!((state.open, state.in_work), (0, 0));
    }

    #[test]
    fn a_merchant_that_fills_the_bound_leaves_others_their_share() {
        let admission = Arc::new(Admission::new(100, 8, DELAY));
        let mut a: Vec<Permit> = std::iter::from_fn(|| admission.enter(request("a", true))).collect();
        assert_eq!(a.len(), 8, "alone it has all");
        let b: Vec<Permit> = std::iter::from_fn(|| admission.enter(request("b", true))).collect();
        assert_eq!(b.len(), 4, "half of it");
        a.truncate(4);
        assert!(admission.enter(request("a", true)).is_none(), "it has its share");
        a.truncate(3);
        assert!(admission.enter(request("a", true)).is_some());
    }

    #[test]
    fn open_requests_are_shared_as_well() {
        let admission = Arc::new(Admission::new(4, 100, DELAY));
        let paused = |merchant: &str| {
            let mut permit = admission.enter(request(merchant, true))?;
            permit.pause();
            Some(permit)
        };
        let a: Vec<Permit> = std::iter::from_fn(|| paused("a")).collect();
        let b: Vec<Permit> = std::iter::from_fn(|| paused("b")).collect();
        assert_eq!((a.len(), b.len()), (4, 2));
    }

    #[test]
    fn a_standing_queue_lowers_the_bound_and_only_a_full_one_is_raised() {
        let admission = Admission::new(100, 1_000, DELAY);
        let slow = Duration::from_millis(21);
        assert_eq!(admission.bound_after(100, slow, true), 80);
        assert_eq!(admission.bound_after(WORK_MIN, slow, true), WORK_MIN);
        assert_eq!(admission.bound_after(100, DELAY, true), 106);
        assert_eq!(admission.bound_after(100, DELAY, false), 100);
        assert_eq!(admission.bound_after(1_000, DELAY, true), 1_000);
        assert_eq!(Admission::new(100, 4, DELAY).bound_after(4, slow, true), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn one_short_write_in_an_interval_is_no_standing_queue() {
        let admission = Admission::new(100, 1_000, DELAY);
        let first = admission.state().work_bound;
        admission.waited(Queue::Store, Duration::from_millis(1));
        tokio::time::advance(INTERVAL).await;
        admission.waited(Queue::Store, Duration::from_millis(500));
        assert_eq!(admission.state().work_bound, first);
        tokio::time::advance(INTERVAL).await;
        // One queue that stands is enough.
        admission.waited(Queue::Store, Duration::from_millis(1));
        admission.waited(Queue::Loop, Duration::from_millis(30));
        tokio::time::advance(INTERVAL).await;
        admission.waited(Queue::Loop, Duration::from_millis(40));
        assert!(admission.state().work_bound < first);
    }
}
