//! The store: one register per attempt with a compare-and-swap, slow, unavailable and ambiguous on request.

use std::collections::BTreeMap;
use std::sync::Arc;

use pay_once_core::{AttemptId, Record, RecordVersion, UnixMillis};

/// One load in this many decodes the stored bytes; the others take the record that they were encoded from.
const DECODE_ONE_IN: u64 = 32;

/// A record as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    record: Arc<Record>,
    bytes: Vec<u8>,
    wake_at_ms: Option<UnixMillis>,
    writes: u64,
}

/// A compare-and-swap on its way.
#[derive(Clone, Debug)]
pub(crate) struct Swap {
    pub(super) expected_version: Option<RecordVersion>,
    pub(super) record: Arc<Record>,
    pub(super) wake_at_ms: Option<UnixMillis>,
}

/// All records.
#[derive(Debug, Default)]
pub(super) struct Store {
    rows: BTreeMap<AttemptId, Row>,
    loads: u64,
    /// What was found wrong with a record.
    pub(super) wrong: Vec<String>,
}

impl Store {
    /// What is durable.
    pub(super) fn load(&mut self, id: AttemptId) -> Option<Arc<Record>> {
        let row = self.rows.get(&id)?;
        self.loads += 1;
        if self.loads.is_multiple_of(DECODE_ONE_IN) {
            match Record::decode(id, &row.bytes) {
                Ok(record) => return Some(Arc::new(record)),
                Err(why) => self
                    .wrong
                    .push(format!("{id}: a stored record is refused: {why}")),
            }
        }
        Some(Arc::clone(&row.record))
    }

    /// What is durable, for those who are no server.
    pub(super) fn peep(&self, id: AttemptId) -> Option<Arc<Record>> {
        self.rows.get(&id).map(|row| Arc::clone(&row.record))
    }

    /// Puts the record in place if the version that it expects is there.
    pub(super) fn swap(&mut self, id: AttemptId, swap: &Swap) -> bool {
        let there = self.rows.get(&id).map(|row| row.record.version());
        if there != swap.expected_version {
            return false;
        }
        let before = self.rows.get(&id);
        if before.is_some_and(|row| !swap.record.grew_from(&row.record)) {
            self.wrong
                .push(format!("{id}: a journal did not grow but change"));
        }
        let row = Row {
            record: Arc::clone(&swap.record),
            bytes: swap.record.encode(),
            wake_at_ms: swap.wake_at_ms,
            writes: before.map_or(0, |row| row.writes) + 1,
        };
        self.rows.insert(id, row);
        crate::coverage::note(&swap.record);
        true
    }

    /// A copy of everything.
    pub(super) fn back_up(&self) -> BTreeMap<AttemptId, Row> {
        self.rows.clone()
    }

    /// The copy becomes the store. Gives the records of which it lacks something.
    pub(super) fn restore(&mut self, copy: BTreeMap<AttemptId, Row>) -> Vec<Arc<Record>> {
        let is_lost = |id: &AttemptId, row: &Row| {
            let kept = copy.get(id).map(|kept| kept.record.version());
            kept != Some(row.record.version())
        };
        let lost = self.rows.iter().filter(|(id, row)| is_lost(id, row));
        let lost = lost.map(|(_, row)| Arc::clone(&row.record)).collect();
        self.rows = copy;
        lost
    }

    /// Every record.
    pub(super) fn all(&self) -> Vec<Arc<Record>> {
        self.rows.values().map(|row| Arc::clone(&row.record)).collect()
    }

    /// What is stored, so that it can be put back.
    pub(super) fn row(&self, id: AttemptId) -> Option<Row> {
        self.rows.get(&id).cloned()
    }

    /// A write that was not synced is lost: what was stored before it is there again. Returns when that wants to be woken.
    pub(super) fn put_back(&mut self, id: AttemptId, row: Option<Row>) -> Option<UnixMillis> {
        match row {
            Some(row) => {
                let wake_at_ms = row.wake_at_ms;
                self.rows.insert(id, row);
                wake_at_ms
            }
            None => {
                self.rows.remove(&id);
                None
            }
        }
    }

    /// When a record wants to be woken.
    pub(super) fn wake_at_ms(&self, id: AttemptId) -> Option<UnixMillis> {
        self.rows.get(&id)?.wake_at_ms
    }

    /// Moves the time at which a record wants to be woken, if it is still `at_ms`.
    pub(super) fn move_wake(
        &mut self,
        id: AttemptId,
        at_ms: Option<UnixMillis>,
        to_ms: Option<UnixMillis>,
    ) -> bool {
        match self.rows.get_mut(&id) {
            Some(row) if row.wake_at_ms == at_ms => {
                row.wake_at_ms = to_ms;
                true
            }
            _ => false,
        }
    }

    /// Records that want to be woken.
    pub(super) fn due(&self) -> Vec<(AttemptId, UnixMillis)> {
        let wakes = self.rows.iter();
        wakes
            .filter_map(|(id, row)| Some((*id, row.wake_at_ms?)))
            .collect()
    }

    pub(super) fn writes(&self) -> BTreeMap<String, u64> {
        self.rows
            .iter()
            .map(|(id, row)| (id.to_string(), row.writes))
            .collect()
    }

    pub(super) fn records(&self) -> BTreeMap<String, Vec<u8>> {
        let rows = self.rows.iter();
        rows.map(|(id, row)| (id.to_string(), row.bytes.clone()))
            .collect()
    }
}
