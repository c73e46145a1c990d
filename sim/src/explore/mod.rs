//! Tier 0, `explore`: a small world around the real core, and every state of it.
//!
//! One attempt, two servers, two clients, one PSP of each class (`docs/psp.md`). The core is the real one: every decision
//! is [`pay_once_core::handle`]'s, every record goes through its bytes, every request through `route`. Around
//! it anything of `docs/faults.md` may happen at any step, within a budget: crashes between any two of load, decide, swap,
//! send and feed back; decisions on old records; late landings; lost answers; swaps whose end is unknown; duplicates;
//! pauses; webhooks at any time. Of every state, the PSP's own ledger is held against what must be true ([`Report`]
//! says what was found), and every state must come to rest once nothing goes wrong any more.
//!
//! Loading and deciding is one step here. A decision on an old record needs no step in between: the swap after it is
//! what meets the newer record.

mod action;
mod apply;
mod carry;
mod cell;
mod digest;
mod heal;
mod lab;
mod mix;
mod operator;
mod oracle;
mod people;
mod report;
mod rest;
mod search;
mod story;
#[cfg(test)]
mod tests;
mod way;
mod world;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

pub use cell::{Cell, Plot, PspClass};
pub use mix::{Budget, Mix};
pub use report::{Counterexample, Covered, Report, ScenarioReport};

/// What is called on every thread that explores, before it does.
pub type OnThread = Arc<dyn Fn() + Send + Sync>;

/// What to explore, and how.
#[derive(Clone)]
pub struct Options {
    /// The worlds; results come in their order.
    pub cells: Vec<Cell>,
    /// Distinct states after which one world is cut short; `None`: its budget alone bounds it.
    pub max_states: Option<u64>,
    /// Threads; each explores whole worlds, so results do not depend on how many there are.
    pub threads: NonZeroUsize,
    /// Called on each of them before it begins.
    pub on_thread: Option<OnThread>,
}

impl Default for Options {
    /// Every class with every plot, in the mixes whose every state can be seen, on two threads.
    fn default() -> Self {
        let of_plot = |class, plot| {
            let worth = Mix::ALL.into_iter().filter(move |mix| mix.is_worth(class, plot));
            worth.map(move |mix| Cell::new(class, plot, mix))
        };
        let of_class = |class| Plot::ALL.into_iter().flat_map(move |plot| of_plot(class, plot));
        Self {
            cells: PspClass::ALL.into_iter().flat_map(of_class).collect(),
            max_states: None,
            threads: const { NonZeroUsize::new(2).unwrap() },
            on_thread: None,
        }
    }
}

impl Options {
    /// Keeps the worlds whose name (`class/plot/mix`) has `part` in it.
    #[must_use]
    pub fn only(mut self, part: &str) -> Self {
        self.cells.retain(|cell| cell.name().contains(part));
        self
    }
}

/// How far an exploration has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// `class/plot/mix`.
    pub name: String,
    /// Layers explored.
    pub depth: u32,
    /// Distinct states so far.
    pub states: u64,
    /// Whether that world is done.
    pub done: bool,
}

/// Explores. `progress` is called on this thread; everything else happens on threads that are made here.
pub fn explore(options: &Options, progress: &dyn Fn(Progress)) -> Report {
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel();
    let mut scenarios: Vec<Option<ScenarioReport>> = vec![None; options.cells.len()];
    std::thread::scope(|scope| {
        for _ in 0..options.threads.get().min(options.cells.len()) {
            let (tell, next) = (tell.clone(), &next);
            scope.spawn(move || work(options, next, &tell));
        }
        drop(tell);
        for news in told {
            match news {
                News::Layer(layer) => progress(layer),
                News::Done(index, report) => {
                    progress(Progress {
                        name: report.name.clone(),
                        depth: report.depth,
                        states: report.states,
                        done: true,
                    });
                    if let Some(place) = scenarios.get_mut(index) {
                        *place = Some(*report);
                    }
                }
            }
        }
    });
    Report {
        scenarios: scenarios.into_iter().flatten().collect(),
    }
}

/// Executes the choices of a [`Counterexample`] again. Returns what they end in, the healed continuation included, and
/// every step in words.
#[must_use]
pub fn replay(cell: &Cell, path: &[u16]) -> (Option<(String, String)>, Vec<String>) {
    let (violation, steps) = search::retrace(&world::Scene::new(cell), path);
    (
        violation.map(|violation| (violation.oracle, violation.message)),
        steps,
    )
}

enum News {
    Layer(Progress),
    Done(usize, Box<ScenarioReport>),
}

/// One thread: takes the next world until there is none.
fn work(options: &Options, next: &AtomicUsize, tell: &mpsc::Sender<News>) {
    if let Some(on_thread) = &options.on_thread {
        on_thread();
    }
    let max_states = options.max_states.unwrap_or(u64::MAX);
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(cell) = options.cells.get(index) else {
            return;
        };
        let mut watch = |layer: search::Layer| {
            // Nobody may be listening any more.
            let _ = tell.send(News::Layer(Progress {
                name: cell.name(),
                depth: layer.depth,
                states: layer.states,
                done: false,
            }));
        };
        let report = search::search(cell, max_states, &mut watch);
        let _ = tell.send(News::Done(index, Box::new(report)));
    }
}
