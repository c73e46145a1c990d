//! What is read of rows: the record of one that a search or the index reads, and the due ones that a sweep reads.

use pay_once_core::{AttemptId, Record};

use crate::ports::{Line, World};
use crate::wasi::WasiWorld;

/// Why a search fails whose rows cannot be read. Without such a row its page would look complete, and hide the rows behind it.
pub(crate) const MALFORMED: &str = "a row lacks a column that a search reads, or has another type there";

/// The rows that can be read. A sweep goes on without the others, and says so.
pub(crate) fn readable<T>(rows: impl Iterator<Item = Option<T>>) -> Vec<T> {
    let (mut read, mut unreadable) = (Vec::new(), 0_usize);
    for row in rows {
        match row {
            Some(row) => read.push(row),
            None => unreadable += 1,
        }
    }
    if unreadable > 0 {
        let line = format!(
            "{unreadable} rows that are due have no readable id, so that nothing is done for their attempts: restore the database, or mend it"
        );
        WasiWorld::default().log(&Line::error(None, &line));
    }
    read
}

/// A record that cannot be used is found by nobody.
pub(crate) fn decoded(id: AttemptId, bytes: &[u8]) -> Option<Record> {
    let log = |why: &pay_once_core::RecordError| {
        let line = format!("a record is refused, and no search finds it: {why}");
        WasiWorld::default().log(&Line::error(Some(id), &line));
    };
    Record::decode(id, bytes).inspect_err(log).ok()
}
