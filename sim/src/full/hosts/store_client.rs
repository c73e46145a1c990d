//! The servers' way to the store. What broke, or took too long, is unknown; a connection that saw either is not used
//! again (a stream that lost one segment never heals).

use std::time::Duration;

use pay_once::ports::{Store, Swap, Swapped, Unavailable};
use pay_once_core::{AttemptId, UnixMillis};

use super::server::Gate;
use super::store::{Asked, Said, Swapping, receive, send};
use crate::full::wire::Pool;

/// How long an operation may take, in milliseconds: longer than a slow one.
const TIMEOUT_MS: u64 = 700;

/// The port.
pub(super) struct StoreClient {
    pub(super) gate: Gate,
    pub(super) pool: Pool,
    pub(super) is_exclusive: bool,
}

impl StoreClient {
    async fn ask(&self, asked: &Asked) -> Option<Said> {
        // A process that stands still neither begins an operation nor learns of its end.
        self.gate.pass().await;
        let limit = Duration::from_millis(TIMEOUT_MS);
        let said = tokio::time::timeout(limit, self.exchange(asked)).await;
        self.gate.pass().await;
        said.ok().flatten()
    }

    async fn exchange(&self, asked: &Asked) -> Option<Said> {
        let mut stream = self.pool.connection().await.ok()?;
        send(&mut stream, asked).await.ok()?;
        let said = receive(&mut stream).await.ok()?;
        self.pool.give_back(stream);
        Some(said)
    }
}

impl Store for StoreClient {
    fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    async fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, Unavailable> {
        match self.ask(&Asked::Load(id.to_bytes())).await {
            Some(Said::Record(bytes)) => Ok(bytes),
            _ => Err(Unavailable("no answer".to_owned())),
        }
    }

    async fn swap(&self, swap: Swap) -> Swapped {
        let asked = Asked::Swap(Swapping {
            id: swap.id.to_bytes(),
            expected: swap.expected_version,
            version: swap.version,
            bytes: swap.bytes,
            wake_at_ms: swap.wake_at_ms,
            now_ms: self.gate.clock_ms(),
            writer: self.gate.process(),
        });
        match self.ask(&asked).await {
            Some(Said::Applied) => {
                self.gate.written(swap.id);
                Swapped::Applied
            }
            Some(Said::Conflict) => Swapped::Conflict,
            _ => Swapped::Unknown,
        }
    }

    async fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(AttemptId, UnixMillis)>, Unavailable> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        match self.ask(&Asked::Due { until_ms, limit }).await {
            Some(Said::Due(due)) => Ok(due
                .into_iter()
                .map(|(id, at_ms)| (AttemptId::from_bytes(id), at_ms))
                .collect()),
            _ => Err(Unavailable("no answer".to_owned())),
        }
    }
}
