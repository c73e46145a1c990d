//! A limit on concurrent calls for each PSP, and a circuit breaker for each. A PSP that hangs uses up its own places only.
//!
//! A circuit opens after consecutive calls that got no connection or no answer in time. Payments do not matter to it: a decline, a
//! rejection or a server error is an answer. After a pause one call is permitted. The pauses double until a call is answered.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use pay_once_core::CallResult;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Calls in a row without an answer that open a circuit.
const FAILURES_MAX: u32 = 20;
/// First pause before a call may try an open circuit; it doubles.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Pause before the next try if all places are taken.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// Interval between attempts that recovery tries again, so that they do not all come at once.
const SPREAD: Duration = Duration::from_millis(5);

/// The places of every PSP.
#[derive(Debug)]
pub struct PspPlaces {
    calls_max: usize,
    has_circuits: bool,
    psps: RefCell<BTreeMap<String, Rc<Psp>>>,
}

#[derive(Debug)]
struct Psp {
    calls_max: usize,
    has_circuit: bool,
    places: Arc<Semaphore>,
    circuit: Cell<Circuit>,
    under_way: Cell<usize>,
    waiting: Cell<usize>,
    refused: Cell<u64>,
    /// The latest time that was assigned to an attempt of recovery.
    last_again: Cell<Option<Instant>>,
}

#[derive(Clone, Copy, Debug)]
enum Circuit {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    Trying { pause: Duration },
}

/// What the result of a call shows about the connection to its PSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It was answered, whatever the answer.
    Answered,
    /// No connection came about, or no answer came in time.
    Failed,
}

impl Health {
    /// What `result` says, if anything. `was_late`: the call was not sent since its own time had passed. `took_all`: all the time that
    /// it had for an answer.
    #[must_use]
    pub fn of(result: &CallResult, was_late: bool, took_all: bool) -> Option<Self> {
        match result {
            CallResult::Answered { .. } | CallResult::TooLarge { .. } => Some(Self::Answered),
            CallResult::NotSent { .. } => (!was_late).then_some(Self::Failed),
            // One that broke or was cut short came from somebody: it says nothing.
            CallResult::Unknown { .. } => took_all.then_some(Self::Failed),
        }
    }
}

/// A snapshot of the calls to one PSP.
#[derive(Clone, Debug, Serialize)]
pub struct PspState {
    /// Its name in the configuration.
    pub psp: String,
    /// `closed`, `open`, or `trying`: one call is under way to find out.
    pub circuit: &'static str,
    /// Calls under way.
    pub under_way: usize,
    /// Most calls that may be under way.
    pub calls_max: usize,
    /// Calls that wait for a place.
    pub waiting: usize,
    /// Calls that found no place, since the start: clients were refused, and recoveries put off.
    pub refused: u64,
}

/// There is no place now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPlace {
    /// Shortest pause before a client's next try.
    pub pause: Duration,
    /// The same for an attempt of recovery. These pauses are spread.
    pub spread_pause: Duration,
}

impl PspPlaces {
    /// Permits `calls_max` concurrent calls to each PSP.
    #[must_use]
    pub fn new(calls_max: usize, has_circuits: bool) -> Self {
        Self {
            calls_max,
            has_circuits,
            psps: RefCell::default(),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// There is none now.
    pub fn take(&self, psp: &str) -> Result<Place, NoPlace> {
        let psp = self.psp(psp);
        let free = Arc::clone(&psp.places).try_acquire_owned();
        let pause = match free {
            Ok(place) => match psp.admit(place) {
                Ok(place) => return Ok(place),
                Err(pause) => pause,
            },
            Err(_) => psp.open_for().unwrap_or(FULL_PAUSE),
        };
        psp.refused.set(psp.refused.get().saturating_add(1));
        Err(NoPlace {
            pause,
            spread_pause: psp.spread(pause),
        })
    }

    /// Waits for a place, in the order of arrival. `None`: the circuit is open.
    pub async fn wait(&self, psp: &str) -> Option<Place> {
        let psp = self.psp(psp);
        if psp.open_for().is_some() {
            return None;
        }
        let waiting = Waiting::new(&psp.waiting);
        let place = Arc::clone(&psp.places).acquire_owned().await.ok()?;
        drop(waiting);
        psp.admit(place).ok()
    }

    /// A snapshot of the calls to each PSP.
    #[must_use]
    pub fn state(&self) -> Vec<PspState> {
        let psps = self.psps.borrow();
        let state = |(name, psp): (&String, &Rc<Psp>)| PspState {
            psp: name.clone(),
            circuit: match psp.circuit.get() {
                Circuit::Closed { .. } => "closed",
                Circuit::Open { .. } => "open",
                Circuit::Trying { .. } => "trying",
            },
            under_way: psp.under_way.get(),
            calls_max: psp.calls_max,
            waiting: psp.waiting.get(),
            refused: psp.refused.get(),
        };
        psps.iter().map(state).collect()
    }

    fn psp(&self, name: &str) -> Rc<Psp> {
        if let Some(psp) = self.psps.borrow().get(name) {
            return Rc::clone(psp);
        }
        let psp = Rc::new(Psp {
            calls_max: self.calls_max,
            has_circuit: self.has_circuits,
            places: Arc::new(Semaphore::new(self.calls_max)),
            circuit: Cell::new(Circuit::Closed { failures: 0 }),
            under_way: Cell::new(0),
            waiting: Cell::new(0),
            refused: Cell::new(0),
            last_again: Cell::new(None),
        });
        // Names are those of the configuration.
        self.psps.borrow_mut().insert(name.to_owned(), Rc::clone(&psp));
        psp
    }
}

impl Psp {
    /// How long the circuit stays open, if it is.
    fn open_for(&self) -> Option<Duration> {
        match self.circuit.get() {
            Circuit::Closed { .. } => None,
            Circuit::Open { until, .. } => {
                let rest = until.saturating_duration_since(Instant::now());
                (!rest.is_zero()).then_some(rest)
            }
            Circuit::Trying { .. } => Some(FULL_PAUSE),
        }
    }

    fn admit(self: &Rc<Self>, permit: OwnedSemaphorePermit) -> Result<Place, Duration> {
        if let Some(pause) = self.open_for() {
            return Err(pause);
        }
        let is_try = match self.circuit.get() {
            Circuit::Open { pause, .. } => {
                self.circuit.set(Circuit::Trying { pause });
                true
            }
            Circuit::Closed { .. } | Circuit::Trying { .. } => false,
        };
        self.under_way.set(self.under_way.get() + 1);
        Ok(Place {
            psp: Rc::clone(self),
            is_try,
            _permit: permit,
        })
    }

    fn told(&self, health: Health, is_try: bool) {
        if !self.has_circuit {
            return;
        }
        let open = |pause: Duration| Circuit::Open {
            until: Instant::now() + pause,
            pause,
        };
        let next = match (health, self.circuit.get()) {
            // Whatever call it was: the PSP answers.
            (Health::Answered, _) => Circuit::Closed { failures: 0 },
            (Health::Failed, Circuit::Closed { failures }) if failures + 1 < FAILURES_MAX => {
                Circuit::Closed {
                    failures: failures + 1,
                }
            }
            (Health::Failed, Circuit::Closed { .. }) => open(PAUSE_FIRST),
            (Health::Failed, Circuit::Trying { pause }) if is_try => {
                open(pause.saturating_mul(2).min(PAUSE_MAX))
            }
            // It was sent before the circuit opened.
            (Health::Failed, circuit) => circuit,
        };
        self.circuit.set(next);
    }

    fn spread(&self, pause: Duration) -> Duration {
        let now = Instant::now();
        let after_last = self.last_again.get().map(|last| last + SPREAD);
        let again = after_last.map_or(now + pause, |after| after.max(now + pause));
        self.last_again.set(Some(again));
        again.saturating_duration_since(now)
    }
}

/// A place for one call. Dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    psp: Rc<Psp>,
    /// The circuit is closed or opened again by what comes of this call.
    is_try: bool,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Records the result of the call, if it shows anything about the connection to the PSP.
    pub fn told(self, health: Option<Health>) {
        if let Some(health) = health {
            self.psp.told(health, self.is_try);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.psp.under_way.set(self.psp.under_way.get() - 1);
        // The call that was to try said nothing: another one may.
        if let (true, Circuit::Trying { pause }) = (self.is_try, self.psp.circuit.get()) {
            let until = Instant::now();
            self.psp.circuit.set(Circuit::Open { until, pause });
        }
    }
}

/// Counts one that waits, until it is dropped.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(places: &PspPlaces, times: u32) {
        for _ in 0..times {
            places.take("a").unwrap().told(Some(Health::Failed));
        }
    }

    fn circuit(places: &PspPlaces) -> &'static str {
        places.state()[0].circuit
    }

    #[tokio::test(start_paused = true)]
    async fn a_psp_has_its_own_places() {
        let places = PspPlaces::new(2, true);
        let held = [places.take("a").unwrap(), places.take("a").unwrap()];
        let none = places.take("a").unwrap_err();
        assert_eq!(none.pause, FULL_PAUSE);
        assert!(places.take("b").is_ok());
        let state = places.state();
        assert_eq!(
            (state[0].under_way, state[0].refused, state[1].under_way),
            (2, 1, 0)
        );
        drop(held);
        assert!(places.take("a").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_circuit_opens_on_calls_without_an_answer_and_one_call_tries_it() {
        let places = PspPlaces::new(100, true);
        fail(&places, FAILURES_MAX - 1);
        places.take("a").unwrap().told(Some(Health::Answered));
        fail(&places, FAILURES_MAX - 1);
        assert_eq!(circuit(&places), "closed", "not in a row");
        fail(&places, 1);
        assert_eq!(circuit(&places), "open");
        assert_eq!(places.take("a").unwrap_err().pause, PAUSE_FIRST);
        assert!(places.wait("a").await.is_none());
        tokio::time::advance(PAUSE_FIRST).await;
        let tries = places.take("a").unwrap();
        assert_eq!(circuit(&places), "trying");
        assert!(places.take("a").is_err(), "one at a time");
        tries.told(Some(Health::Failed));
        assert_eq!(
            places.take("a").unwrap_err().pause,
            PAUSE_FIRST * 2,
            "the pause doubles"
        );
        tokio::time::advance(PAUSE_FIRST * 2).await;
        places.take("a").unwrap().told(Some(Health::Answered));
        assert_eq!(circuit(&places), "closed");
        assert!(places.take("a").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_says_nothing_leaves_the_next_one_its_turn() {
        let places = PspPlaces::new(100, true);
        fail(&places, FAILURES_MAX);
        tokio::time::advance(PAUSE_FIRST).await;
        drop(places.take("a").unwrap());
        assert!(places.take("a").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_has_its_turn_before_what_comes_later() {
        let places = Rc::new(PspPlaces::new(1, true));
        let held = places.take("a").unwrap();
        let mut waits = Box::pin(places.wait("a"));
        tokio::select! {
            biased;
            _ = &mut waits => panic!("no place is free"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(places.state()[0].waiting, 1);
        drop(held);
        assert!(
            places.take("a").is_err(),
            "the place is taken for the one that waits"
        );
        assert!(waits.await.is_some());
        assert_eq!(places.state()[0].waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_nobody_waits_for_come_again_one_after_the_other() {
        let places = PspPlaces::new(1, true);
        let _held = places.take("a").unwrap();
        let pauses: Vec<Duration> = (0..3)
            .map(|_| places.take("a").unwrap_err().spread_pause)
            .collect();
        assert_eq!(pauses, [FULL_PAUSE, FULL_PAUSE + SPREAD, FULL_PAUSE + SPREAD * 2]);
    }
}
