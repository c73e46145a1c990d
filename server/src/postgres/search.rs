//! Searches the columns beside the records, on a thread and a connection of its own: no payment waits for a search.

use std::sync::Arc;
use std::time::Duration;

use pay_once_core::{Ask, Place, Range, Row, Search, SearchError, Walk};
use pay_once_postgres_sql::{IN_STATE, NEXT_MERCHANT_IN_STATE, NEXT_MERCHANT_OF_ORDER, OF_ORDER, text};
use tokio::sync::mpsc;

use crate::ports::Unavailable;
use crate::postgres::connect::Link;
use crate::postgres::link::{Shared, bounded, connect, id_of};
use crate::postgres::reindex::missing;
use crate::postgres::waiting::waiting;
use crate::search_queue::{Job, found};
use crate::store::health::now_ms;

/// How often it is counted what waits, and records are looked for whose columns a server of an older build has not written, in
/// milliseconds.
const BESIDE_EVERY_MS: u64 = 10_000;

/// How long a statement may take, in milliseconds.
const STATEMENT_MS: u64 = 2_000;
/// PostgreSQL's words for one that took longer.
const CANCELED: &str = "canceling statement due to statement timeout";

/// Answers searches until nobody can ask any more, and mends in between what they go by.
pub(super) async fn serve(shared: Arc<Shared>, mut jobs: mpsc::Receiver<Job>) {
    let mut link = None;
    let mut beat = tokio::time::interval(Duration::from_millis(BESIDE_EVERY_MS));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let job = tokio::select! {
            biased;
            // First, so that no flood of searches holds it up.
            _ = beat.tick() => None,
            job = jobs.recv() => match job {
                Some(job) if job.waiting.is_over() => continue,
                Some(job) => Some(job),
                None => return,
            },
        };
        if link.as_ref().is_none_or(|link: &Link| link.client.is_closed()) {
            link = opened(&shared)
                .await
                .inspect_err(|error| tracing::warn!(%error, "searches are not answered"))
                .ok();
        }
        let Some(open) = &link else {
            if let Some(job) = job {
                job.waiting.told(Err(SearchError::Unavailable));
            }
            continue;
        };
        let said = match job {
            Some(job) => {
                let (page, said) = match Walk::new(job.search) {
                    Ok(mut walk) => match bounded(through(open, &mut walk)).await {
                        Ok(()) => (Ok(walk.page()), Ok(())),
                        // PostgreSQL ended a statement; the connection is sound.
                        Err(error) if error.contains(CANCELED) => (Err(SearchError::TooLong), Ok(())),
                        Err(error) => (Err(SearchError::Unavailable), Err(error)),
                    },
                    Err(why) => (Err(why), Ok(())),
                };
                job.waiting.told(page);
                said
            }
            None => bounded(beside(open, &shared)).await,
        };
        if let Err(error) = said {
            tracing::warn!(error, "a search failed; its connection is opened again");
            link = None;
        }
    }
}

/// A connection for searches. Nothing that it writes has to be known to have ended, so that its statements have a limit.
async fn opened(shared: &Shared) -> Result<Link, Unavailable> {
    let link = connect(shared, None).await?;
    let limit = format!("SET statement_timeout = {STATEMENT_MS}");
    let limited = bounded(link.client.batch_execute(&limit)).await;
    limited.map_err(Unavailable).map(|()| link)
}

/// What is done every ten seconds.
async fn beside(link: &Link, shared: &Shared) -> Result<(), tokio_postgres::Error> {
    missing(&link.client).await?;
    let waiting = waiting(&link.client, now_ms()).await?;
    shared.counters.metrics.whole_store.put(waiting);
    Ok(())
}

async fn through(link: &Link, walk: &mut Walk) -> Result<(), tokio_postgres::Error> {
    while let Some(ask) = walk.next().cloned() {
        match ask {
            Ask::Merchant { after } => {
                let name = next_merchant(link, walk.search(), &after).await?;
                walk.found_merchant(name);
            }
            Ask::Rows { merchant, range } => {
                let rows = of_merchant(link, walk.search(), &text(&merchant), &range).await?;
                walk.found_rows(rows);
            }
        }
    }
    Ok(())
}

async fn next_merchant(
    link: &Link,
    search: &Search,
    after: &str,
) -> Result<Option<String>, tokio_postgres::Error> {
    let row = match &search.order_id {
        Some(order_id) => {
            link.client
                .query_opt(NEXT_MERCHANT_OF_ORDER, &[&text(order_id), &after])
                .await?
        }
        None => {
            let state = search.state.map(|state| state.as_str());
            link.client
                .query_opt(NEXT_MERCHANT_IN_STATE, &[&state, &after])
                .await?
        }
    };
    row.map(|row| row.try_get(0)).transpose()
}

async fn of_merchant(
    link: &Link,
    search: &Search,
    merchant: &str,
    range: &Range,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let Range {
        after_ms,
        after_id,
        until_ms,
        limit,
    } = range;
    let state = search.state.map(|state| state.as_str());
    let found = match &search.order_id {
        Some(order_id) => {
            let order_id = text(order_id);
            link.client
                .query(
                    OF_ORDER,
                    &[&order_id, &merchant, after_id, &state, until_ms, limit],
                )
                .await?
        }
        None => {
            link.client
                .query(
                    IN_STATE,
                    &[&state, &merchant, after_ms, after_id, until_ms, limit],
                )
                .await?
        }
    };
    found.iter().map(|row| read(row, merchant)).collect()
}

fn read(row: &tokio_postgres::Row, merchant: &str) -> Result<Row, tokio_postgres::Error> {
    let (id, bytes): (&[u8], &[u8]) = (row.try_get(0)?, row.try_get(2)?);
    let place = Place::of_row(merchant, row.try_get(1)?, id_of(id).unwrap_or_default());
    let record = found(place.id, bytes);
    Ok((place, record))
}
