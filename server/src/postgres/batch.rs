//! Many swaps as one statement's arguments, and what its result says of each.

use std::collections::BTreeSet;

use pay_once_core::{AttemptId, IndexEntry, Swap, Swapped};
use pay_once_postgres_sql::{signed, text};
use tokio_postgres::types::ToSql;

/// The arguments of [`pay_once_postgres_sql::SWAP`], one element for each swap, in the order of the ids.
///
/// Servers that swap the same records take PostgreSQL's row locks in one order, so that they do not wait for each other in a circle.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) ids: Vec<Vec<u8>>,
    pub(super) expected: Vec<Option<i64>>,
    pub(super) versions: Vec<i64>,
    pub(super) wakes: Vec<Option<i64>>,
    pub(super) bytes: Vec<Vec<u8>>,
    pub(super) entries: Entries,
}

/// By what a search finds records: a column each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    pub(super) merchants: Vec<Option<String>>,
    pub(super) order_ids: Vec<Option<String>>,
    pub(super) states: Vec<Option<&'static str>>,
    pub(super) since: Vec<Option<i64>>,
}

impl Entries {
    /// Those of one record that has none.
    pub(super) fn none() -> Self {
        let mut entries = Self::default();
        entries.push(None);
        entries
    }

    /// One more. A record that cannot be used has none.
    pub(super) fn push(&mut self, entry: Option<&IndexEntry>) {
        self.merchants.push(entry.map(|entry| text(&entry.merchant)));
        let order_id = entry.and_then(|entry| entry.order_id.as_deref());
        self.order_ids.push(order_id.map(text));
        self.states.push(entry.map(|entry| entry.state.as_str()));
        self.since.push(entry.map(|entry| signed(entry.since_ms.get())));
    }
}

impl Batch {
    /// Of swaps of different records.
    pub(super) fn of<'a>(swaps: impl Iterator<Item = &'a Swap>) -> Self {
        let mut swaps: Vec<&Swap> = swaps.collect();
        swaps.sort_by_key(|swap| swap.id.to_bytes());
        let mut batch = Self::default();
        for swap in swaps {
            batch.ids.push(swap.id.to_bytes().to_vec());
            batch
                .expected
                .push(swap.expected_version.map(|version| signed(version.get())));
            batch.versions.push(signed(swap.version.get()));
            batch.wakes.push(swap.wake_at_ms.map(|at_ms| signed(at_ms.get())));
            batch.bytes.push(swap.bytes.clone());
            batch.entries.push(Some(&swap.entry));
        }
        batch
    }

    /// In the order of the statement's parameters.
    pub(super) fn arguments(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.ids,
            &self.expected,
            &self.versions,
            &self.wakes,
            &self.bytes,
            &self.entries.merchants,
            &self.entries.order_ids,
            &self.entries.states,
            &self.entries.since,
        ]
    }
}

/// Of which of these a statement can have one only, the first of each record: PostgreSQL would apply one of two at random. The others
/// are for the next statement.
pub(super) fn split_twice<T>(jobs: Vec<T>, id: impl Fn(&T) -> AttemptId) -> (Vec<T>, Vec<T>) {
    let mut seen = BTreeSet::new();
    jobs.into_iter().partition(|job| seen.insert(id(job)))
}

/// What became of a swap, by the ids that the statement returned.
pub(super) fn outcome(applied: &BTreeSet<[u8; 16]>, id: AttemptId) -> Swapped {
    if applied.contains(&id.to_bytes()) {
        Swapped::Applied
    } else {
        Swapped::Conflict
    }
}

#[cfg(test)]
mod tests {
    use pay_once_core::{RecordVersion, SearchState, UnixMillis};

    use super::*;

    fn swap(id: u8, expected: Option<u64>) -> Swap {
        Swap {
            id: AttemptId::from_bytes([id; 16]),
            expected_version: expected.map(RecordVersion::new),
            version: RecordVersion::new(expected.unwrap_or_default() + 1),
            wake_at_ms: None,
            bytes: vec![id],
            entry: IndexEntry {
                merchant: "shop".into(),
                order_id: Some("ord\0 1".to_owned()),
                state: SearchState::Created,
                since_ms: UnixMillis::new(5),
            },
        }
    }

    #[test]
    fn arguments_are_in_the_order_of_ids() {
        let swaps = [swap(3, None), swap(1, Some(7)), swap(2, None)];
        let batch = Batch::of(swaps.iter());
        assert_eq!(batch.bytes, [[1], [2], [3]]);
        assert_eq!(batch.expected, [Some(7), None, None]);
        assert_eq!(batch.versions, [8, 1, 1]);
        assert_eq!(batch.entries.since, [Some(5); 3]);
        let order_id = batch.entries.order_ids[0].as_deref();
        assert_eq!(order_id, Some("ord\u{fffd} 1"), "PostgreSQL takes no U+0000");
    }

    #[test]
    fn a_statement_has_one_swap_of_each_record() {
        let jobs = vec![swap(1, None), swap(2, None), swap(1, Some(1)), swap(1, Some(2))];
        let (now, later) = split_twice(jobs, |swap| swap.id);
        assert_eq!((now.len(), later.len()), (2, 2));
        assert_eq!(now[0].expected_version, None, "the first of each");
    }

    #[test]
    fn what_was_not_returned_is_a_conflict() {
        let applied = BTreeSet::from([[1; 16]]);
        assert_eq!(
            outcome(&applied, AttemptId::from_bytes([1; 16])),
            Swapped::Applied
        );
        assert_eq!(
            outcome(&applied, AttemptId::from_bytes([2; 16])),
            Swapped::Conflict
        );
    }
}
