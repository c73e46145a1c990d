//! Searches the columns beside the records, and makes them where they are missing, by the server's statements.

use pay_once_core::{Ask, AttemptId, Place, Row as Found, Walk};
use pay_once_postgres_sql::{
    IN_STATE, INDEX_ONE, MISSING, NEXT_MERCHANT_IN_STATE, NEXT_MERCHANT_OF_ORDER, OF_ORDER, signed, text,
};

use crate::decoded::{MALFORMED, decoded};
use crate::postgres::link::{Failure, Link, Row, Value, or_null};

/// Answers what the page of a search needs.
pub(super) async fn through(link: &Link, walk: &mut Walk) -> Result<(), Failure> {
    while let Some(ask) = walk.next().cloned() {
        let search = walk.search();
        let order_id = search.order_id.as_deref();
        let state = or_null(search.state, |state| Value::Str(state.as_str().to_owned()));
        match ask {
            Ask::Merchant { after } => {
                let (statement, first) = match order_id {
                    Some(order_id) => (NEXT_MERCHANT_OF_ORDER, column(order_id)),
                    None => (NEXT_MERCHANT_IN_STATE, state),
                };
                let rows = link.run(statement, vec![first, Value::Str(after)]).await?;
                let name = rows.first().and_then(|row| row.text(0));
                walk.found_merchant(name.map(str::to_owned));
            }
            Ask::Rows { merchant, range } => {
                let after_id = Value::Binary(range.after_id);
                let (statement, mut values) = match order_id {
                    Some(order_id) => (
                        OF_ORDER,
                        vec![column(order_id), column(&merchant), after_id, state],
                    ),
                    None => {
                        let after_ms = Value::Int64(range.after_ms);
                        (IN_STATE, vec![state, column(&merchant), after_ms, after_id])
                    }
                };
                values.extend([Value::Int64(range.until_ms), Value::Int64(range.limit)]);
                let rows = link.run(statement, values).await?;
                let read: Option<Vec<Found>> = rows.iter().map(|row| read(row, &merchant)).collect();
                walk.found_rows(read.ok_or_else(malformed)?);
            }
        }
    }
    Ok(())
}

fn malformed() -> Failure {
    Failure {
        code: None,
        text: MALFORMED.to_owned(),
    }
}

fn read(row: &Row, merchant: &str) -> Option<Found> {
    let place = Place::of_row(merchant, row.integer(1)?, row.bytes(0)?.try_into().ok()?);
    let record = decoded(place.id, row.bytes(2)?);
    Some((place, record))
}

/// Makes the columns of some records that a build without them has written. Says of how many.
pub(super) async fn index_missing(link: &Link, limit: usize) -> Result<usize, Failure> {
    let first = vec![Value::Binary(Vec::new()), Value::Int64(signed(limit as u64))];
    let mut indexed = 0;
    for row in link.run(MISSING, first).await? {
        let (Some(id), Some(version), Some(bytes)) = (row.bytes(0), row.integer(1), row.bytes(2)) else {
            continue;
        };
        let entry = <[u8; 16]>::try_from(id)
            .ok()
            .and_then(|id| decoded(AttemptId::from_bytes(id), bytes))
            .filter(|record| signed(record.version().get()) == version)
            .map(|record| record.index_entry());
        let mut values = vec![Value::Binary(id.to_vec()), Value::Int64(version)];
        values.extend(match entry {
            Some(entry) => [
                column(&entry.merchant),
                or_null(entry.order_id.as_deref(), column),
                column(entry.state.as_str()),
                Value::Int64(signed(entry.since_ms.get())),
            ],
            None => [Value::DbNull, Value::DbNull, Value::DbNull, Value::DbNull],
        });
        indexed += link.run(INDEX_ONE, values).await?.len();
    }
    Ok(indexed)
}

/// A text as a column has it.
pub(super) fn column(value: &str) -> Value {
    Value::Str(text(value))
}
