//! Finding what is due. Spin has no timer: a bounded sweep runs behind ordinary requests, and by
//! `POST /internal/sweep` for a cron trigger or any scheduler.

use std::rc::Rc;

use pay_once_core::Millis;
use serde::Serialize;

use crate::ports::{Finals, PspTransport, Store, StoreError, World, within};
use crate::server::{STORE_TIMEOUT_MS, Server, too_slow};

/// Most records that a sweep behind an ordinary request wakes.
pub const BEHIND_REQUEST_MAX: usize = 4;
/// Most records that `POST /internal/sweep` wakes.
pub const ASKED_MAX: usize = 100;
/// Most records that `POST /internal/sweep` indexes.
const INDEXED_MAX: usize = 50;
/// An instance sweeps behind its requests this often, in milliseconds.
pub const EVERY_MS: Millis = Millis::new(1_000);
/// Nobody else wakes a record for this long after a sweep took it up, in milliseconds: its owner may have died.
const TAKEN_MS: Millis = Millis::new(10_000);

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Records found due.
    pub due: usize,
    /// Of these, the ones that this sweep woke; others were woken elsewhere.
    pub woken: usize,
    /// Records of a build that had no search, which a search finds now.
    pub indexed: usize,
}

impl<W: World, S: Store, P: PspTransport, F: Finals> Server<W, S, P, F> {
    /// Wakes what is due, at most `limit` records. It returns when what it began is durable; calls go on behind it.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn sweep(self: &Rc<Self>, limit: usize) -> Result<Swept, StoreError> {
        let now_ms = self.world.now_ms();
        let due = within(&*self.world, STORE_TIMEOUT_MS, self.store.due(now_ms, limit)).await;
        let due = due.unwrap_or_else(|| Err(too_slow()))?;
        let mut swept = Swept {
            due: due.len(),
            woken: 0,
            indexed: 0,
        };
        for (id, at_ms) in due {
            let taken_ms = self.world.now_ms() + TAKEN_MS;
            let taken = within(
                &*self.world,
                STORE_TIMEOUT_MS,
                self.store.move_wake(id, at_ms, Some(taken_ms)),
            )
            .await;
            if !taken.unwrap_or_else(|| Err(too_slow()))? {
                continue;
            }
            swept.woken += 1;
            let ran = self.wake(id).await;
            if let Some(error) = ran.store_error {
                return Err(error);
            }
            // A write has told the store.
            if ran.wrote {
                continue;
            }
            let moved = self.store.move_wake(id, taken_ms, ran.wake_at_ms);
            within(&*self.world, STORE_TIMEOUT_MS, moved)
                .await
                .unwrap_or_else(|| Err(too_slow()))?;
        }
        if limit == ASKED_MAX {
            // Behind no request: whoever asked for this sweep can wait.
            let missing = self.store.index_missing(INDEXED_MAX);
            let indexed = within(&*self.world, STORE_TIMEOUT_MS, missing).await;
            swept.indexed = indexed.unwrap_or_else(|| Err(too_slow()))?;
        }
        Ok(swept)
    }
}
