//! What waits for somebody in the whole database, for metrics: a server that has ended counts nothing any more.

use pay_once_core::{SearchState, UnixMillis, WaitsFor};
use pay_once_postgres_sql::signed;
use tokio_postgres::Client;

use crate::metrics::Waiting;

/// Not more than ten thousand are counted: a metric must not cost a scan.
const WAITING: &str = "
SELECT count(*), min(since_ms) FROM (
    SELECT since_ms FROM pay_once.records WHERE state = $1 AND since_ms <= $2 LIMIT 10000
) AS counted
";

/// Counts. Each is a range of the index of states.
pub(super) async fn waiting(client: &Client, now_ms: u64) -> Result<Vec<Waiting>, tokio_postgres::Error> {
    let mut all = Vec::new();
    for waits_for in WaitsFor::ALL {
        let state = match waits_for {
            WaitsFor::Sending => SearchState::Unsent,
            WaitsFor::Psp => SearchState::InDoubt,
            WaitsFor::Customer => SearchState::RequiresAction,
            WaitsFor::Operator => SearchState::Parked,
        };
        let row = client
            .query_one(WAITING, &[&state.as_str(), &signed(now_ms)])
            .await?;
        let oldest: Option<i64> = row.try_get(1)?;
        all.push(Waiting {
            waits_for,
            count: row.try_get(0)?,
            oldest_ms: oldest.map(|ms| UnixMillis::new(u64::try_from(ms).unwrap_or_default())),
        });
    }
    Ok(all)
}
