//! Which bug is in: none, unless somebody selects one for a thread.
//!
//! A switch is one line, `real_condition || planted(Bug::X)`: the bug comes last, so that `Planted::reached` counts the times when
//! it made a difference to the decision, as far as one line can tell.

use std::cell::Cell;
use std::marker::PhantomData;

use super::Bug;

thread_local! {
    static SELECTED: Cell<Option<Bug>> = const { Cell::new(None) };
    static REACHED: Cell<u64> = const { Cell::new(0) };
}

/// Whether this bug is in, on this thread.
#[must_use]
pub fn planted(bug: Bug) -> bool {
    let is_in = SELECTED.get() == Some(bug);
    if is_in {
        REACHED.set(REACHED.get() + 1);
    }
    is_in
}

/// Puts a bug in on this thread, or none, until the guard is dropped.
pub fn select(bug: Option<Bug>) -> Planted {
    Planted {
        before: (SELECTED.replace(bug), REACHED.replace(0)),
        of_this_thread: PhantomData,
    }
}

/// A bug that is in. Dropped, it brings back what was before.
#[derive(Debug)]
#[must_use = "the bug is in only as long as this lives"]
pub struct Planted {
    before: (Option<Bug>, u64),
    of_this_thread: PhantomData<*const ()>,
}

impl Planted {
    /// How often its switch was reached: a bug that was never reached proves nothing about an oracle.
    #[must_use]
    pub fn reached(&self) -> u64 {
        REACHED.get()
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        SELECTED.set(self.before.0);
        REACHED.set(self.before.1);
    }
}
