//! Makes what a search finds records by from the records themselves.

use pay_once_core::{AttemptId, IndexEntry, Record};
use pay_once_postgres_sql::MISSING;
use tokio_postgres::{Client, Row};

use crate::postgres::batch::Entries;
use crate::postgres::connect::{Database, reason, runtime};
use crate::postgres::link::id_of;
use crate::postgres::trust::has_tables;
use crate::store::reindex::Reindexed;

/// Records of one statement.
const PAGE: i64 = 500;

const ALL: &str = "
SELECT id, version, bytes, merchant, order_id, state, since_ms FROM pay_once.records WHERE id > $1 ORDER BY id LIMIT $2
";
/// A record that was written meanwhile is left as it is, and so is one that somebody is writing: no swap waits for this.
const WRITE: &str = "
WITH free AS MATERIALIZED (
    SELECT id FROM pay_once.records WHERE id = ANY($1) FOR UPDATE SKIP LOCKED
)
UPDATE pay_once.records AS record
SET merchant = found.merchant, order_id = found.order_id, state = found.state, since_ms = found.since_ms,
    indexed_version = found.version
FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    AS found (id, version, merchant, order_id, state, since_ms)
WHERE found.id IN (SELECT id FROM free) AND record.id = found.id AND record.version = found.version
";

/// Goes through all records of a database, beside any number of servers.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn all(database: &Database, mut progress: impl FnMut(u64)) -> Result<Reindexed, String> {
    runtime()?.block_on(async {
        let said = |error: tokio_postgres::Error| format!("{database} cannot be indexed: {}", reason(&error));
        let link = database.connect(None).await.map_err(said)?;
        has_tables(&link.client)
            .await
            .map_err(|failure| failure.to_string())?;
        let (mut done, mut after) = (Reindexed::default(), Vec::new());
        while let Some((last, page)) = page(&link.client, ALL, &after).await.map_err(said)? {
            after = last;
            done.records += page.records;
            done.changed += page.changed;
            progress(done.records);
        }
        Ok(done)
    })
}

/// Does it for some of the records that a server of an older build has written. Returns how many.
pub(super) async fn missing(client: &Client) -> Result<u64, tokio_postgres::Error> {
    let page = page(client, MISSING, &[]).await?;
    Ok(page.map_or(0, |(_, page)| page.changed))
}

/// One page: the id of its last record, and what was done.
async fn page(
    client: &Client,
    statement: &str,
    after: &[u8],
) -> Result<Option<(Vec<u8>, Reindexed)>, tokio_postgres::Error> {
    let rows = client.query(statement, &[&after, &PAGE]).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let last: Vec<u8> = last.try_get(0)?;
    let (mut ids, mut versions, mut entries) = (Vec::new(), Vec::new(), Entries::default());
    for row in &rows {
        let (id, version): (Vec<u8>, i64) = (row.try_get(0)?, row.try_get(1)?);
        let entry = entry(row, &id, version)?;
        let mut wanted = Entries::default();
        wanted.push(entry.as_ref());
        let found = Entries {
            merchants: vec![row.try_get(3)?],
            order_ids: vec![row.try_get(4)?],
            states: vec![row.try_get::<_, Option<String>>(5)?.and_then(known)],
            since: vec![row.try_get(6)?],
        };
        if statement == MISSING || wanted != found {
            ids.push(id);
            versions.push(version);
            entries.push(entry.as_ref());
        }
    }
    let mut changed = 0;
    if !ids.is_empty() {
        let Entries {
            merchants,
            order_ids,
            states,
            since,
        } = &entries;
        changed = client
            .execute(WRITE, &[&ids, &versions, merchants, order_ids, states, since])
            .await?;
    }
    let done = Reindexed {
        records: rows.len() as u64,
        changed,
    };
    Ok(Some((last, done)))
}

/// A name that this build does not know is no name.
fn known(state: String) -> Option<&'static str> {
    pay_once_core::SearchState::parse(&state).map(|state| state.as_str())
}

/// By what the record is found. A record that cannot be used is not found.
fn entry(row: &Row, id: &[u8], version: i64) -> Result<Option<IndexEntry>, tokio_postgres::Error> {
    let bytes: &[u8] = row.try_get(2)?;
    let id = AttemptId::from_bytes(id_of(id).unwrap_or_default());
    let record = Record::decode(id, bytes)
        .inspect_err(
            |error| tracing::error!(attempt = %id, %error, "a record is refused, and no search finds it"),
        )
        .ok()
        .filter(|record| i64::try_from(record.version().get()).ok() == Some(version));
    Ok(record.map(|record| record.index_entry()))
}
