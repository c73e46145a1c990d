//! Coverage with a denominator: which of the states that an exhaustive exploration can reach did runs reach.
//!
//! A record's state is reduced to a [`Shape`], a small value that people can read. `explore` collects the shapes of every record that
//! a swap made durable; their sorted list is [`KNOWN`], a file under version control. Runs of other tiers note the shapes that they
//! reach in the same places, and are measured against that list. The list is no bound: a tier with more servers, clients and faults
//! also reaches shapes that no small world has, and they are counted apart.

mod page;
mod shape;
mod tally;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeSet;

use pay_once_core::{AttemptId, Record};

pub use page::page;
pub use shape::Shape;
pub use tally::{Row, Tally};

/// The shapes that `explore` reaches, one a line as [`line()`] writes them, sorted.
pub const KNOWN: &str = include_str!("../../coverage/explore.txt");

thread_local! {
    /// What the run on this thread has reached; `None` while nobody wants to know.
    static REACHED: RefCell<Option<BTreeSet<Shape>>> = const { RefCell::new(None) };
}

/// Calls `run` and returns, beside what it returns, the shapes that it noted on this thread.
pub fn collect<T>(run: impl FnOnce() -> T) -> (T, BTreeSet<Shape>) {
    REACHED.with_borrow_mut(|reached| *reached = Some(BTreeSet::new()));
    let out = run();
    let reached = REACHED.with_borrow_mut(Option::take);
    (out, reached.unwrap_or_default())
}

/// Notes a record that a swap has just made durable. Does nothing outside [`collect`].
pub fn note(record: &Record) {
    REACHED.with_borrow_mut(|reached| {
        if let Some(reached) = reached {
            reached.insert(Shape::of(record));
        }
    });
}

/// The same, of a record in bytes. Bytes that are no record are left to the oracles.
pub fn note_bytes(id: AttemptId, bytes: &[u8]) {
    if REACHED.with_borrow(Option::is_none) {
        return;
    }
    if let Ok(record) = Record::decode(id, bytes) {
        note(&record);
    }
}

/// A shape of a PSP class as the list has it: `class STATUS | the rest`.
#[must_use]
pub fn line(class: &str, shape: &Shape) -> String {
    format!("{class} {shape}")
}

/// The list as a file: sorted, one shape a line.
#[must_use]
pub fn text(lines: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// How a freshly made list differs from [`KNOWN`]: what is new, and what is gone. Both are empty if the file is current.
#[must_use]
pub fn differences(now: &BTreeSet<String>) -> (Vec<String>, Vec<String>) {
    let known: BTreeSet<String> = KNOWN.lines().map(str::to_owned).collect();
    let only = |of: &BTreeSet<String>, not: &BTreeSet<String>| of.difference(not).cloned().collect();
    (only(now, &known), only(&known, now))
}
