//! One pass over all records at the start: what is open is counted, and what is damaged is found before somebody asks for it.

use std::path::Path;

use pay_once_core::{AttemptId, Record, RecordVersion, Standing};
use rusqlite::{Connection, OpenFlags, params};
use tokio::sync::mpsc::Sender;

use crate::counters::{Count, Counters};

/// Records read at once.
const PAGE: usize = 500;

const READ: &str = "SELECT id, bytes FROM records WHERE id > ?1 ORDER BY id LIMIT ?2";

/// An attempt, the version of its record, and where it stands.
pub type Found = (AttemptId, RecordVersion, Standing);

/// Reads every record of the store in `dir`, and hands out those that are open. Blocks: it belongs on a thread of its own. It changes
/// nothing, and payments do not wait for it.
pub fn scan(dir: &Path, counters: &Counters, out: &Sender<Vec<Found>>) {
    if let Err(error) = pages(dir, counters, out) {
        tracing::error!(%error, "the scan of all records ended early: open attempts of earlier starts are not all counted");
    }
}

fn pages(dir: &Path, counters: &Counters, out: &Sender<Vec<Found>>) -> rusqlite::Result<()> {
    let path = dir.join("pay-once.sqlite3");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut after: Vec<u8> = Vec::new();
    loop {
        let page = page(&connection, &after)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = last.to_vec();
        let found = page.iter().filter_map(|(id, bytes)| read(*id, bytes, counters));
        // A receiver that is gone: the process ends.
        if out.blocking_send(found.collect()).is_err() {
            return Ok(());
        }
    }
}

fn page(connection: &Connection, after: &[u8]) -> rusqlite::Result<Vec<([u8; 16], Vec<u8>)>> {
    let mut statement = connection.prepare_cached(READ)?;
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn read(id: [u8; 16], bytes: &[u8], counters: &Counters) -> Option<Found> {
    let id = AttemptId::from_bytes(id);
    match Record::decode(id, bytes) {
        Ok(record) => {
            let standing = record.standing();
            standing.is_open().then(|| (id, record.version(), standing))
        }
        Err(error) => {
            counters.add(Count::RefusedRecord);
            tracing::error!(attempt = %id, %error, "a record in the store cannot be read; it is left as it is");
            None
        }
    }
}
