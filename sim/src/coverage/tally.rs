//! What many runs reached, against what is known to be reachable.

use std::collections::{BTreeMap, BTreeSet};

use super::{KNOWN, Shape, line};

/// How many runs reached each shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that were made.
    pub runs: u64,
    /// By line (see [`line()`]): the runs that reached it.
    pub reached: BTreeMap<String, u64>,
}

/// One PSP class of a tally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The class.
    pub class: String,
    /// Shapes that `explore` reaches.
    pub known: usize,
    /// How many of them the runs reached.
    pub reached: usize,
    /// Shapes that the runs reached and `explore` does not.
    pub beyond: usize,
}

impl Tally {
    /// Counts one run against a PSP of this class.
    pub fn add(&mut self, class: &str, shapes: &BTreeSet<Shape>) {
        self.runs += 1;
        for shape in shapes {
            *self.reached.entry(line(class, shape)).or_default() += 1;
        }
    }

    /// Adds what another thread counted.
    pub fn absorb(&mut self, other: Self) {
        self.runs += other.runs;
        for (line, count) in other.reached {
            *self.reached.entry(line).or_default() += count;
        }
    }

    /// Runs that reached a line.
    #[must_use]
    pub fn count(&self, line: &str) -> u64 {
        self.reached.get(line).copied().unwrap_or(0)
    }

    /// The figures of each class, in order of the classes' names, and of all of them last.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let known: BTreeSet<&str> = KNOWN.lines().collect();
        let all = known
            .iter()
            .copied()
            .chain(self.reached.keys().map(String::as_str));
        let classes: BTreeSet<&str> = all.map(class_of).collect();
        let mut rows: Vec<Row> = classes.into_iter().map(|class| self.row(class, &known)).collect();
        let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum();
        let total = Row {
            class: "all".to_owned(),
            known: sum(|row| row.known),
            reached: sum(|row| row.reached),
            beyond: sum(|row| row.beyond),
        };
        rows.push(total);
        rows
    }

    fn row(&self, class: &str, known: &BTreeSet<&str>) -> Row {
        let is_of = |line: &&str| class_of(line) == class;
        let of_class = known.iter().copied().filter(is_of);
        let is_reached = |line: &&str| self.reached.contains_key(*line);
        let beyond = self.reached.keys().map(String::as_str).filter(is_of);
        Row {
            class: class.to_owned(),
            known: of_class.clone().count(),
            reached: of_class.filter(is_reached).count(),
            beyond: beyond.filter(|line| !known.contains(line)).count(),
        }
    }
}

/// The PSP class of a line.
pub(super) fn class_of(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// Status and the rest of a line.
pub(super) fn parts_of(line: &str) -> (&str, &str) {
    let rest = line.split_once(' ').map_or("", |(_, rest)| rest);
    rest.split_once(" | ").unwrap_or((rest, ""))
}
