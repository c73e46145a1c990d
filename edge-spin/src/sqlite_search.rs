//! Searches the columns beside the records, and makes them where they are missing. The statements are those of the server's embedded
//! store.

use pay_once_core::{Ask, AttemptId, Found, Place, Row, Search, SearchError, Walk};
use spin_sdk::sqlite::{Error, RowResult, Value};

use crate::decoded::{MALFORMED, decoded};
use crate::ports::{Line, World};
use crate::wasi::WasiWorld;

/// The page of one merchant's attempts of an order. They are sorted by id, which never changes.
const OF_ORDER: &str = "SELECT id, since_ms, bytes FROM records
    WHERE order_id = ?1 AND merchant = ?2 AND id > ?3 AND (?4 IS NULL OR state = ?4) AND since_ms <= ?5
    ORDER BY id LIMIT ?6";
/// The page of one merchant's attempts in a state, oldest first.
const IN_STATE: &str = "SELECT id, since_ms, bytes FROM records
    WHERE state = ?1 AND merchant = ?2 AND (since_ms, id) > (?3, ?4) AND since_ms <= ?5
    ORDER BY since_ms, id LIMIT ?6";
const NEXT_MERCHANT_OF_ORDER: &str = "SELECT merchant FROM records
    WHERE order_id = ?1 AND merchant > ?2 ORDER BY merchant LIMIT 1";
const NEXT_MERCHANT_IN_STATE: &str = "SELECT merchant FROM records
    WHERE state = ?1 AND merchant > ?2 ORDER BY merchant LIMIT 1";
const MISSING: &str = "SELECT id, version, bytes FROM records WHERE indexed_version IS NOT version LIMIT ?1";
/// A record that was written meanwhile is left as it is.
const INDEX: &str =
    "UPDATE records SET merchant = ?3, order_id = ?4, state = ?5, since_ms = ?6, indexed_version = ?2
    WHERE id = ?1 AND version = ?2 RETURNING id";

/// The page of a search. `run` runs a statement to its end.
pub(crate) async fn page(
    run: impl AsyncFn(&'static str, Vec<Value>) -> Result<Vec<RowResult>, Error>,
    search: Search,
) -> Result<Found, SearchError> {
    let mut walk = Walk::new(search)?;
    match through(run, &mut walk).await {
        Ok(()) => Ok(walk.page()),
        Err(error) => {
            WasiWorld::default().log(&Line::error(None, &format!("a search failed: {error}")));
            Err(SearchError::Unavailable)
        }
    }
}

async fn through(
    run: impl AsyncFn(&'static str, Vec<Value>) -> Result<Vec<RowResult>, Error>,
    walk: &mut Walk,
) -> Result<(), Error> {
    while let Some(ask) = walk.next().cloned() {
        let search = walk.search();
        let state = search.state.map_or(Value::Null, |state| text(state.as_str()));
        match ask {
            Ask::Merchant { after } => {
                let rows = match &search.order_id {
                    Some(order_id) => run(NEXT_MERCHANT_OF_ORDER, vec![text(order_id), text(&after)]).await?,
                    None => run(NEXT_MERCHANT_IN_STATE, vec![state, text(&after)]).await?,
                };
                let name = rows.first().and_then(|row| row.get::<&str>(0));
                walk.found_merchant(name.map(str::to_owned));
            }
            Ask::Rows { merchant, range } => {
                let (merchant_text, after_id) = (text(&merchant), Value::Blob(range.after_id));
                let (statement, mut values) = match &search.order_id {
                    Some(order_id) => (OF_ORDER, vec![text(order_id), merchant_text, after_id, state]),
                    None => {
                        let after_ms = Value::Integer(range.after_ms);
                        (IN_STATE, vec![state, merchant_text, after_ms, after_id])
                    }
                };
                values.extend([Value::Integer(range.until_ms), Value::Integer(range.limit)]);
                let rows = run(statement, values).await?;
                let read: Option<Vec<Row>> = rows.iter().map(|row| read(row, &merchant)).collect();
                walk.found_rows(read.ok_or_else(|| Error::Io(MALFORMED.to_owned()))?);
            }
        }
    }
    Ok(())
}

fn read(row: &RowResult, merchant: &str) -> Option<Row> {
    let id: [u8; 16] = row.get::<&[u8]>(0)?.try_into().ok()?;
    let place = Place::of_row(merchant, row.get(1)?, id);
    let record = decoded(place.id, row.get(2)?);
    Some((place, record))
}

/// Makes the columns of some records that a build without them has written. Says of how many.
///
/// # Errors
/// What the database says.
pub(crate) async fn index_missing(
    run: impl AsyncFn(&'static str, Vec<Value>) -> Result<Vec<RowResult>, Error>,
    limit: usize,
) -> Result<usize, Error> {
    let rows = run(MISSING, vec![integer(limit as u64)]).await?;
    let mut indexed = 0;
    for row in &rows {
        let (Some(id), Some(version), Some(bytes)) =
            (row.get::<&[u8]>(0), row.get::<i64>(1), row.get::<&[u8]>(2))
        else {
            continue;
        };
        let entry = <[u8; 16]>::try_from(id)
            .ok()
            .and_then(|id| decoded(AttemptId::from_bytes(id), bytes))
            .map(|record| record.index_entry());
        let mut values = vec![Value::Blob(id.to_vec()), Value::Integer(version)];
        values.extend(match entry {
            Some(entry) => [
                text(&entry.merchant),
                entry.order_id.map_or(Value::Null, Value::Text),
                text(entry.state.as_str()),
                integer(entry.since_ms.get()),
            ],
            None => [Value::Null, Value::Null, Value::Null, Value::Null],
        });
        indexed += run(INDEX, values).await?.len();
    }
    Ok(indexed)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
