//! Whether a database is whole: SQLite's own check of every page, the two trees of ids against each other, the index of
//! wake-ups against its table, and, when an operator asks, each record through core.

use std::path::Path;

use pay_once_core::{AttemptId, Record};
use rusqlite::Connection;

use crate::store::files::Place;
use crate::store::mark::{Mark, Position};
use crate::store::reindex::{columns, columns_of};
use crate::store::schema::{FORM, connect_to_read, form, newer, position};

/// Most problems of one kind that are listed.
const LISTED_MAX: usize = 20;
/// Progress is reported after so many records.
const PROGRESS_EVERY: u64 = 10_000;

const COUNT_RECORDS: &str = "SELECT count(*) FROM records NOT INDEXED";
/// Ids that one of the two trees has and the other has not. Ids are unique in each, so that counting is enough one way.
const IDS_THAT_DIFFER: &str = "
SELECT max((SELECT count(*) FROM records NOT INDEXED WHERE id NOT IN (SELECT id FROM ids)),
           abs((SELECT count(*) FROM records NOT INDEXED) - (SELECT count(*) FROM ids)))
";
const ALL_RECORDS: &str = "
SELECT id, version, bytes, merchant, order_id, state, since_ms, indexed_version FROM records NOT INDEXED ORDER BY place
";
const ALL_RECORDS_OF_FORM_1: &str =
    "SELECT id, version, bytes, NULL, NULL, NULL, NULL, NULL FROM records NOT INDEXED ORDER BY place";
/// Rows whose time the table and its index tell differently: the sooner of the two counts.
const WAKES_IN_DOUBT: &str = "
CREATE TEMP TABLE wakes_in_doubt AS
SELECT place, min(at) AS at FROM (
    SELECT place, wake_at_ms AS at FROM records NOT INDEXED WHERE wake_at_ms IS NOT NULL
    UNION ALL
    SELECT place, wake_at_ms FROM records INDEXED BY records_by_wake WHERE wake_at_ms IS NOT NULL
) GROUP BY place HAVING count(*) <> 2 OR min(at) <> max(at)
";
/// The indices that are hints.
const MAKE_ANEW: &str = "
REINDEX records_by_wake;
REINDEX records_by_state;
REINDEX records_by_order;
REINDEX records_not_indexed;
";
const WAKE_SOONER: &str = "
UPDATE records SET wake_at_ms = (SELECT at FROM temp.wakes_in_doubt AS d WHERE d.place = records.place)
WHERE place IN (SELECT place FROM temp.wakes_in_doubt)
";

/// What is wrong with the pages and the trees of a database: nothing, if empty.
///
/// # Errors
/// SQLite cannot read it at all.
pub(crate) fn structure(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let check = format!("PRAGMA integrity_check({LISTED_MAX})");
    let mut statement = connection.prepare(&check)?;
    let mut problems: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    problems.retain(|line| line != "ok");
    if problems.is_empty() {
        let differ: i64 = connection.query_row(IDS_THAT_DIFFER, [], |row| row.get(0))?;
        if differ != 0 {
            problems.push(format!("{differ} ids are in only one of the two trees of ids"));
        }
    }
    Ok(problems)
}

/// Checks the database at a start. An index of wake-ups that differs from its table is made anew: it is a hint, and a wake-up
/// that comes too soon does nothing.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn at_start(connection: &Connection) -> Result<(), String> {
    let found = structure(connection).map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Ok(());
    }
    let mend = || -> rusqlite::Result<Vec<String>> {
        // An index that cannot be read has nothing to tell; the table's times stand then.
        let is_readable = connection.execute_batch(WAKES_IN_DOUBT).is_ok();
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(MAKE_ANEW)?;
        if is_readable {
            transaction.execute_batch(WAKE_SOONER)?;
        }
        let left = structure(&transaction)?;
        if left.is_empty() {
            transaction.commit()?;
            connection.execute_batch("DROP TABLE IF EXISTS temp.wakes_in_doubt")?;
        }
        Ok(left)
    };
    match mend() {
        Ok(left) if left.is_empty() => {
            tracing::warn!(
                found = found.join("; "),
                "an index of hints differed from its table; the indices of wake-ups and of the search were made anew"
            );
            Ok(())
        }
        Ok(_) | Err(_) => Err(found.join("; ")),
    }
}

/// What a check of a whole database found.
#[derive(Debug)]
pub struct Report {
    /// Records that were decoded.
    pub records: u64,
    /// When the newest entry of them was written, in milliseconds since the Unix epoch. 0: there are none.
    pub newest_ms: u64,
    /// Where in its life the store is.
    pub position: Position,
    /// What is wrong, one sentence each, the first ones of each kind.
    pub problems: Vec<String>,
    /// Records that a search does not find as it should. No payment depends on that.
    pub misindexed: u64,
}

/// Checks the database at `path`, read-only and from one moment, and decodes each record. `progress` hears of
/// (done, all) records.
///
/// # Errors
/// The database cannot be read, or is of another build.
pub fn database(path: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Report, String> {
    let failed = |error: rusqlite::Error| format!("{} is damaged: {error}", path.display());
    if !path.exists() {
        return Err(format!("{} does not exist", path.display()));
    }
    let connection = connect_to_read(path).map_err(failed)?;
    let snapshot = connection.unchecked_transaction().map_err(failed)?;
    let statement = match form(&snapshot).map_err(failed)? {
        1 => ALL_RECORDS_OF_FORM_1,
        FORM => ALL_RECORDS,
        0 => {
            return Err(format!(
                "{} is empty or of an older build: start the server once, which brings it up to date",
                path.display()
            ));
        }
        other => return Err(newer(other)),
    };
    let position = position(&snapshot).map_err(failed)?;
    let all = snapshot
        .query_row(COUNT_RECORDS, [], |row| row.get::<_, i64>(0))
        .map_err(failed)?;
    let all = u64::try_from(all).unwrap_or_default();
    progress(0, all);
    let mut problems = structure(&snapshot).map_err(failed)?;
    let (mut records, mut refused, mut newest_ms, mut misindexed) = (0, 0, 0, 0);
    {
        let mut statement = snapshot.prepare(statement).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            match record(row).map_err(failed)? {
                Ok(sound) => {
                    newest_ms = newest_ms.max(sound.newest_ms);
                    misindexed += u64::from(sound.is_misindexed);
                }
                Err(why) => {
                    refused += 1;
                    if refused <= LISTED_MAX {
                        problems.push(why);
                    }
                }
            }
            records += 1;
            if records % PROGRESS_EVERY == 0 {
                progress(records, all);
            }
        }
    }
    progress(records, all);
    if refused > LISTED_MAX {
        problems.push(format!("{} more records are refused", refused - LISTED_MAX));
    }
    Ok(Report {
        records,
        newest_ms,
        position,
        problems,
        misindexed,
    })
}

/// Checks a data directory: the database, and the high-water mark against it.
///
/// # Errors
/// As [`database`]; or the mark cannot be read.
pub fn directory(place: &Place, progress: impl FnMut(u64, u64)) -> Result<Report, String> {
    // The mark first: a server may commit between the two.
    let mark = Mark::read(&place.mark())?;
    let mut report = database(&place.database(), progress)?;
    match mark {
        None => report
            .problems
            .push(format!("{} is missing", place.mark().display())),
        Some(mark) => report.problems.extend(lost(&mark, &report.position)),
    }
    Ok(report)
}

/// What a mark says against a database, if anything.
#[must_use]
pub fn lost(mark: &Position, database: &Position) -> Option<String> {
    if mark.store != database.store {
        return Some(format!(
            "the database is of another store ({}) than its high-water mark ({})",
            database.store, mark.store
        ));
    }
    if mark.epoch != database.epoch {
        return Some(format!(
            "the database is of epoch {}, and its high-water mark of epoch {}: it is not the database that was last served here",
            database.epoch, mark.epoch
        ));
    }
    (database.commits < mark.commits).then(|| {
        format!(
            "the database has {} commits, and {} were acknowledged: at least {} are lost",
            database.commits,
            mark.commits,
            mark.commits - database.commits
        )
    })
}

/// A record that can be used.
struct Sound {
    /// When its newest entry was written, in milliseconds since the Unix epoch.
    newest_ms: u64,
    is_misindexed: bool,
}

/// A record that can be used, or what is wrong with it.
fn record(row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<Sound, String>> {
    let id = AttemptId::from_bytes(row.get(0)?);
    let version = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
    let bytes: Vec<u8> = row.get(2)?;
    Ok(match Record::decode(id, &bytes) {
        Ok(record) if record.version().get() == version => {
            // A row that was not indexed is indexed at the next start.
            let is_indexed = row.get::<_, Option<i64>>(7)? == Some(row.get(1)?);
            Ok(Sound {
                newest_ms: record.entries().last().map_or(0, |entry| entry.at_ms.get()),
                is_misindexed: is_indexed && columns_of(row, 3)? != columns(Some(&record)),
            })
        }
        Ok(record) => Err(format!(
            "record {id} is of version {}, and its row says {version}",
            record.version()
        )),
        Err(why) => Err(format!("record {id} is refused: {why}")),
    })
}
