//! Searches the columns beside the records, on a thread and a connection of its own: no payment waits for a search.

use std::path::Path;
use std::time::{Duration, Instant};

use pay_once_core::{Ask, Found, Place, Range, Row, Search, SearchError, Walk};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use tokio::sync::mpsc;

use crate::search_queue::{Job, found};
use crate::store::schema::connect_to_read;

/// How long a search may take, in milliseconds.
const SEARCH_MS: u64 = 1_000;
/// After how many of SQLite's own steps that is looked at.
const WATCH_EVERY: i32 = 10_000;

/// The page of one merchant's attempts of an order. They are sorted by id, which never changes.
const OF_ORDER: &str = "
SELECT id, since_ms, bytes FROM records INDEXED BY records_by_order
WHERE order_id = ?1 AND merchant = ?2 AND id > ?3 AND (?4 IS NULL OR state = ?4) AND since_ms <= ?5
ORDER BY id LIMIT ?6
";
/// The page of one merchant's attempts in a state, oldest first.
const IN_STATE: &str = "
SELECT id, since_ms, bytes FROM records INDEXED BY records_by_state
WHERE state = ?1 AND merchant = ?2 AND (since_ms, id) > (?3, ?4) AND since_ms <= ?5
ORDER BY since_ms, id LIMIT ?6
";
const NEXT_MERCHANT_OF_ORDER: &str = "
SELECT merchant FROM records INDEXED BY records_by_order
WHERE order_id = ?1 AND merchant > ?2 ORDER BY merchant LIMIT 1
";
const NEXT_MERCHANT_IN_STATE: &str = "
SELECT merchant FROM records INDEXED BY records_by_state
WHERE state = ?1 AND merchant > ?2 ORDER BY merchant LIMIT 1
";

/// Answers searches until nobody can ask any more.
pub(crate) fn serve(jobs: &mut mpsc::Receiver<Job>, path: &Path) {
    let mut connection = None;
    while let Some(Job { search, waiting }) = jobs.blocking_recv() {
        if waiting.is_over() {
            continue;
        }
        let found = match connection.take().map_or_else(|| connect_to_read(path), Ok) {
            Ok(mut open) => {
                let found = in_time(&mut open, search, Duration::from_millis(SEARCH_MS));
                // A connection that has failed is opened anew.
                connection = Some(open).filter(|_| found != Err(SearchError::Unavailable));
                found
            }
            Err(error) => unavailable(&error),
        };
        waiting.told(found);
    }
}

fn unavailable(error: &rusqlite::Error) -> Result<Found, SearchError> {
    tracing::error!(%error, "a search failed");
    Err(SearchError::Unavailable)
}

/// The page of a search, if it does not take too long: what is asked for may be the last of very many.
fn in_time(connection: &mut Connection, search: Search, limit: Duration) -> Result<Found, SearchError> {
    let until = Instant::now() + limit;
    let watching = connection.progress_handler(WATCH_EVERY, Some(move || Instant::now() > until));
    if let Err(error) = watching {
        return unavailable(&error);
    }
    page(connection, search)
}

/// The page of a search.
fn page(connection: &Connection, search: Search) -> Result<Found, SearchError> {
    let mut walk = Walk::new(search)?;
    match through(connection, &mut walk) {
        Ok(()) => Ok(walk.page()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Err(SearchError::TooLong)
        }
        Err(error) => unavailable(&error),
    }
}

fn through(connection: &Connection, walk: &mut Walk) -> rusqlite::Result<()> {
    while let Some(ask) = walk.next().cloned() {
        match ask {
            Ask::Merchant { after } => {
                let name = next_merchant(connection, walk.search(), &after)?;
                walk.found_merchant(name);
            }
            Ask::Rows { merchant, range } => {
                let rows = of_merchant(connection, walk.search(), &merchant, &range)?;
                walk.found_rows(rows);
            }
        }
    }
    Ok(())
}

fn next_merchant(connection: &Connection, search: &Search, after: &str) -> rusqlite::Result<Option<String>> {
    let (statement, sought) = match &search.order_id {
        Some(order_id) => (NEXT_MERCHANT_OF_ORDER, Some(order_id.as_str())),
        None => (NEXT_MERCHANT_IN_STATE, search.state.map(|state| state.as_str())),
    };
    connection
        .prepare_cached(statement)?
        .query_row(params![sought, after], |row| row.get(0))
        .optional()
}

fn of_merchant(
    connection: &Connection,
    search: &Search,
    merchant: &str,
    range: &Range,
) -> rusqlite::Result<Vec<Row>> {
    let Range {
        after_ms,
        after_id,
        until_ms,
        limit,
    } = range;
    let state = search.state.map(|state| state.as_str());
    let read = |row: &rusqlite::Row<'_>| {
        let place = Place::of_row(merchant, row.get(1)?, row.get(0)?);
        let record = found(place.id, &row.get::<_, Vec<u8>>(2)?);
        Ok((place, record))
    };
    if let Some(order_id) = &search.order_id {
        let values = params![order_id, merchant, after_id, state, until_ms, limit];
        let mut statement = connection.prepare_cached(OF_ORDER)?;
        return statement.query_map(values, read)?.collect();
    }
    let values = params![state, merchant, after_ms, after_id, until_ms, limit];
    let mut statement = connection.prepare_cached(IN_STATE)?;
    statement.query_map(values, read)?.collect()
}

#[cfg(test)]
mod tests {
    use pay_once_core::UnixMillis;

    use super::*;
    use crate::store::mark::Position;
    use crate::store::schema::bring_up;

    /// More rows of one order than a search may go through in no time at all, and none of them parked.
    const ROWS: usize = 20_000;

    #[test]
    fn a_search_that_takes_too_long_is_ended_and_the_next_one_is_answered() {
        let mut connection = Connection::open_in_memory().unwrap();
        bring_up(&mut connection, &Position::first().unwrap()).unwrap();
        let rows = format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             INSERT INTO records (id, version, bytes, merchant, order_id, state, since_ms)
             SELECT randomblob(16), 1, x'00', 'shop', 'o', 'created', i FROM n"
        );
        connection.execute_batch(&rows).unwrap();
        let search =
            || Search::read("order_id=o&state=parked", Some("shop".into()), UnixMillis::new(1)).unwrap();
        let ended = in_time(&mut connection, search(), Duration::ZERO);
        assert_eq!(ended, Err(SearchError::TooLong));
        let answered = in_time(&mut connection, search(), Duration::from_secs(60));
        assert_eq!(answered, Ok(Found::default()));
    }
}
