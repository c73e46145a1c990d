//! The record of a row that a search or the index reads.

use pay_once_core::{AttemptId, Record};

use crate::ports::{Line, World};
use crate::wasi::WasiWorld;

/// Why a search fails whose rows cannot be read. Without such a row its page would look complete, and hide the rows behind it.
pub(crate) const MALFORMED: &str = "a row lacks a column that a search reads, or has another type there";

/// A record that cannot be used is found by nobody.
pub(crate) fn decoded(id: AttemptId, bytes: &[u8]) -> Option<Record> {
    let log = |why: &pay_once_core::RecordError| {
        let line = format!("a record is refused, and no search finds it: {why}");
        WasiWorld::default().log(&Line::error(Some(id), &line));
    };
    Record::decode(id, bytes).inspect_err(log).ok()
}
