//! The key-value mode: one value per attempt under compare-and-swap, on a backend that passed the [`probe`].
//!
//! A failed swap proves nothing here: Redis reports every one as failed, and most backends map every error to that. So
//! each value carries its writer's token, and is read back. What is due is found by markers in a store of their own,
//! named by time and attempt, so that listing them lists nothing else.

use std::cell::RefCell;
use std::rc::Rc;

use pay_once_core::{AttemptId, Millis, UnixMillis};

use crate::bucket::{Bucket, SwapReport};
use crate::ports::{Store, StoreError, Swap, Swapped, World};
use crate::probe::probe;
use crate::stamped::Stamped;

/// How far the clocks of two instances may be apart, in milliseconds: a marker that is not further ahead than this may
/// have been taken by a sweep already.
const CLOCK_SKEW_MS: Millis = Millis::new(1_000);

/// The markers of what is due (`spin:key-value`).
pub trait Markers: 'static {
    /// Sets one.
    fn set(&self, name: &str) -> impl Future<Output = Result<(), StoreError>>;
    /// Whether it is there.
    fn exists(&self, name: &str) -> impl Future<Output = Result<bool, StoreError>>;
    /// Removes one.
    fn delete(&self, name: &str) -> impl Future<Output = Result<(), StoreError>>;
    /// The markers of `until_ms` and before, soonest first, at most `limit`. All are looked at: others may be many.
    fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(UnixMillis, AttemptId)>, StoreError>>;
}

/// A [`Store`] on a [`Bucket`].
pub struct KeyValueStore<W, B, M> {
    world: Rc<W>,
    bucket: B,
    markers: Rc<M>,
    /// What the probe found, once it has found something.
    verdict: RefCell<Option<Result<(), StoreError>>>,
}

impl<W: World, B: Bucket, M: Markers> KeyValueStore<W, B, M> {
    /// A store that has not been probed yet.
    pub fn new(world: Rc<W>, bucket: B, markers: M) -> Self {
        Self {
            world,
            bucket,
            markers: Rc::new(markers),
            verdict: RefCell::default(),
        }
    }

    /// Nothing is read or written before the backend has passed.
    async fn trusted(&self) -> Result<(), StoreError> {
        let known = self.verdict.borrow().clone();
        if let Some(verdict) = known {
            return verdict;
        }
        let key = format!("probe-{:032x}", self.world.entropy().0);
        let verdict = probe(&self.bucket, &key).await;
        if !matches!(verdict, Err(StoreError::Unavailable(_))) {
            self.verdict.replace(Some(verdict.clone()));
        }
        verdict
    }

    /// Swaps on what `watch` has seen, and finds out what became of it.
    async fn swap_stamped(&self, swap: &Swap) -> Result<Swapped, StoreError> {
        let key = swap.id.to_string();
        let (handle, seen) = self.bucket.watch(&key).await?;
        let before = match seen.as_deref().map(Stamped::read) {
            None => None,
            Some(Some(stamped)) => Some(stamped),
            // Not of our layout: the next load refuses it.
            Some(None) => return Ok(Swapped::Conflict),
        };
        if before.as_ref().map(|before| before.version) != swap.expected_version {
            return Ok(Swapped::Conflict);
        }
        let marked_ms = before.and_then(|before| before.indexed_ms);
        // A marker that comes too early does no harm, so it is moved only if it would come too late. One whose time has
        // come may be gone: sweeps move markers and leave the stamp as it is.
        let ahead_ms = self.world.now_ms() + CLOCK_SKEW_MS;
        let stands_ms = marked_ms.filter(|ms| *ms > ahead_ms);
        let indexed_ms = swap
            .wake_at_ms
            .map(|wake_ms| stands_ms.map_or(wake_ms, |ms| ms.min(wake_ms)));
        let new_marker = indexed_ms.filter(|_| indexed_ms != stands_ms);
        if let Some(at_ms) = new_marker {
            // Before the record, so that no crash leaves one in doubt that nothing points to.
            self.markers.set(&marker(at_ms, swap.id)).await?;
        }
        let token = self.world.entropy().0;
        let value = Stamped {
            token,
            version: swap.version,
            indexed_ms,
            record: &swap.bytes,
        };
        if self.bucket.swap(handle, value.write()).await != SwapReport::Done {
            let now = self.bucket.get(&key).await.ok().flatten();
            let is_ours = now
                .as_deref()
                .and_then(Stamped::read)
                .is_some_and(|now| now.token == token);
            if !is_ours {
                return Ok(Swapped::Unknown);
            }
        }
        if let Some(at_ms) = new_marker.filter(|at_ms| *at_ms <= self.world.now_ms()) {
            // It took so long that a sweep may have taken the marker before the record was there.
            self.markers.set(&marker(at_ms, swap.id)).await?;
        }
        if let Some(old_ms) = marked_ms.filter(|_| indexed_ms != marked_ms) {
            let (markers, name) = (Rc::clone(&self.markers), marker(old_ms, swap.id));
            self.world.spawn(async move {
                // A marker too many costs one look.
                let _ = markers.delete(&name).await;
            });
        }
        Ok(Swapped::Applied)
    }
}

impl<W: World, B: Bucket, M: Markers> Store for KeyValueStore<W, B, M> {
    async fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, StoreError> {
        self.trusted().await?;
        let value = self.bucket.get(&id.to_string()).await?;
        // A value without our stamp is handed on as it is, for the record's own decoder to refuse.
        Ok(value.map(|value| {
            Stamped::read(&value)
                .map(|found| found.record.to_vec())
                .unwrap_or(value)
        }))
    }

    async fn swap(&self, swap: Swap) -> Result<Swapped, StoreError> {
        self.trusted().await?;
        self.swap_stamped(&swap).await
    }

    async fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(AttemptId, UnixMillis)>, StoreError> {
        self.trusted().await?;
        let due = self.markers.due(until_ms, limit).await?;
        Ok(due.into_iter().map(|(at_ms, id)| (id, at_ms)).collect())
    }

    /// Two sweeps may both believe that they moved it, and both wake the record: the swap tells them apart.
    async fn move_wake(
        &self,
        id: AttemptId,
        at_ms: UnixMillis,
        to_ms: Option<UnixMillis>,
    ) -> Result<bool, StoreError> {
        let old = marker(at_ms, id);
        if !self.markers.exists(&old).await? {
            return Ok(false);
        }
        if let Some(to_ms) = to_ms {
            self.markers.set(&marker(to_ms, id)).await?;
        }
        self.markers.delete(&old).await?;
        Ok(true)
    }
}

/// `0001795000000000.pa_…`: time first.
fn marker(at_ms: UnixMillis, id: AttemptId) -> String {
    format!("{:016}.{id}", at_ms.get())
}

/// What a marker's name says.
#[must_use]
pub fn read_marker(name: &str) -> Option<(UnixMillis, AttemptId)> {
    let (at_ms, id) = name.split_once('.')?;
    Some((UnixMillis::new(at_ms.parse().ok()?), AttemptId::parse(id)?))
}
