//! Makes what a search finds records by from the records themselves.

use pay_once_core::{AttemptId, Record};
use rusqlite::{Connection, Row, TransactionBehavior, params};

use crate::store::files::{DirLock, NotLocked, Place};
use crate::store::schema::{FORM, connect, form, newer};

/// Records of one transaction.
const PAGE: usize = 1_000;
/// The log is emptied after so many transactions.
const PAGES_IN_LOG: u64 = 20;

const MISSING: &str = "
SELECT place, id, version, bytes, merchant, order_id, state, since_ms FROM records INDEXED BY records_not_indexed
WHERE indexed_version IS NOT version AND place > ?1 ORDER BY place LIMIT ?2
";
const ALL: &str = "
SELECT place, id, version, bytes, merchant, order_id, state, since_ms FROM records NOT INDEXED
WHERE place > ?1 ORDER BY place LIMIT ?2
";
const WRITE: &str = "
UPDATE records SET merchant = ?2, order_id = ?3, state = ?4, since_ms = ?5, indexed_version = version WHERE place = ?1
";

/// Which records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that a build without the columns has written.
    Missing,
    /// All.
    All,
}

/// What the columns of a row say.
pub(crate) type Columns = (Option<String>, Option<String>, Option<String>, Option<i64>);

/// What a reindexing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reindexed {
    /// Records that were looked at.
    pub records: u64,
    /// Of these, the ones whose columns were wrong or missing.
    pub changed: u64,
}

/// Goes through all records of a data directory that no server is running in.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn reindex_directory(place: &Place, progress: impl FnMut(u64)) -> Result<Reindexed, String> {
    let _lock = DirLock::take(place).map_err(|why| match why {
        NotLocked::Held => DirLock::held(place),
        NotLocked::Failed(why) => why,
    })?;
    let failed =
        |error: rusqlite::Error| format!("{} cannot be indexed: {error}", place.database().display());
    if !place.database().exists() {
        return Err(format!("{} does not exist", place.database().display()));
    }
    let mut connection = connect(&place.database()).map_err(failed)?;
    match form(&connection).map_err(failed)? {
        FORM => reindex(&mut connection, Which::All, progress).map_err(failed),
        found if found < FORM => Err(format!(
            "{} is of an older build: start the server once, which brings it up to date and indexes it",
            place.database().display()
        )),
        found => Err(newer(found)),
    }
}

/// What the columns of a record have to say. A record that cannot be used has none, and no search finds it.
pub(crate) fn columns(record: Option<&Record>) -> Columns {
    let Some(entry) = record.map(Record::index_entry) else {
        return Columns::default();
    };
    (
        Some(entry.merchant.to_string()),
        entry.order_id,
        Some(entry.state.as_str().to_owned()),
        Some(i64::try_from(entry.since_ms.get()).unwrap_or(i64::MAX)),
    )
}

/// The columns of a row that has them from `first` on.
///
/// # Errors
/// What SQLite says.
pub(crate) fn columns_of(row: &Row<'_>, first: usize) -> rusqlite::Result<Columns> {
    Ok((
        row.get(first)?,
        row.get(first + 1)?,
        row.get(first + 2)?,
        row.get(first + 3)?,
    ))
}

/// Goes through the records, some in each transaction. `progress` hears how many are done after each.
///
/// # Errors
/// What SQLite says.
pub(crate) fn reindex(
    connection: &mut Connection,
    which: Which,
    mut progress: impl FnMut(u64),
) -> rusqlite::Result<Reindexed> {
    let statement = match which {
        Which::Missing => MISSING,
        Which::All => ALL,
    };
    let (mut done, mut after, mut pages) = (Reindexed::default(), i64::MIN, 0_u64);
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let mut rows = Vec::new();
        {
            let mut statement = transaction.prepare_cached(statement)?;
            let mut found = statement.query(params![after, limit])?;
            while let Some(row) = found.next()? {
                let place: i64 = row.get(0)?;
                let id = AttemptId::from_bytes(row.get(1)?);
                let version: i64 = row.get(2)?;
                let record = Record::decode(id, &row.get::<_, Vec<u8>>(3)?)
                    .inspect_err(|error| tracing::error!(attempt = %id, %error, "a record is refused, and no search finds it"))
                    .ok()
                    .filter(|record| i64::try_from(record.version().get()).ok() == Some(version));
                rows.push((place, columns(record.as_ref()), columns_of(row, 4)?));
            }
        }
        let Some((last, ..)) = rows.last() else {
            return Ok(done);
        };
        after = *last;
        for (place, columns, found) in rows {
            done.records += 1;
            if which == Which::All && columns == found {
                continue;
            }
            let (merchant, order_id, state, since_ms) = columns;
            let values = params![place, merchant, order_id, state, since_ms];
            transaction.prepare_cached(WRITE)?.execute(values)?;
            done.changed += 1;
        }
        transaction.commit()?;
        pages += 1;
        if pages % PAGES_IN_LOG == 0 {
            // Nobody else has the directory open. Otherwise the log would grow to several times the database.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        progress(done.records);
    }
}
