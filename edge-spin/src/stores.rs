//! The store that the deployment chose, and Spin's key-value interfaces as the ports that they serve.

use std::rc::Rc;

use pay_once_core::{AttemptId, Found, Search, SearchError, UnixMillis};
use spin_sdk::experimental::wasi::keyvalue::{atomics, store};
use spin_sdk::key_value;

use crate::bucket::{Bucket, SwapReport};
use crate::key_value::{KeyValueStore, Markers, read_marker};
use crate::ports::{Store, StoreError, Swap, Swapped};
use crate::sqlite::SqliteStore;
use crate::wasi::WasiWorld;

/// The label of the database, and of the key-value store of copies.
pub const DEFAULT_LABEL: &str = "default";
/// The label of the key-value store that is the authority in key-value mode.
pub const ATTEMPTS_LABEL: &str = "attempts";
/// The label of the key-value store that has the markers of what is due.
pub const DUE_LABEL: &str = "due";

/// Markers held in memory while listing: more than a sweep ever asks for.
const KEPT_WHILE_LISTING_MAX: usize = 1_000;

/// Which store is the authority.
pub enum AnyStore {
    /// `spin:sqlite`.
    Sqlite(SqliteStore),
    /// `wasi:keyvalue`, once it has passed the probe.
    KeyValue(KeyValueStore<WasiWorld, WasiBucket, SpinMarkers>),
}

impl AnyStore {
    /// The default, of this installation.
    #[must_use]
    pub fn sqlite(installation: &str) -> Self {
        Self::Sqlite(SqliteStore::new(DEFAULT_LABEL, installation))
    }

    /// The key-value mode.
    #[must_use]
    pub fn key_value(world: Rc<WasiWorld>) -> Self {
        Self::KeyValue(KeyValueStore::new(world, WasiBucket, SpinMarkers))
    }
}

impl Store for AnyStore {
    async fn load(&self, id: AttemptId) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Sqlite(store) => store.load(id).await,
            Self::KeyValue(store) => store.load(id).await,
        }
    }

    async fn swap(&self, swap: Swap) -> Result<Swapped, StoreError> {
        match self {
            Self::Sqlite(store) => store.swap(swap).await,
            Self::KeyValue(store) => store.swap(swap).await,
        }
    }

    async fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(AttemptId, UnixMillis)>, StoreError> {
        match self {
            Self::Sqlite(store) => store.due(until_ms, limit).await,
            Self::KeyValue(store) => store.due(until_ms, limit).await,
        }
    }

    async fn search(&self, search: Search) -> Result<Found, SearchError> {
        match self {
            Self::Sqlite(store) => store.search(search).await,
            Self::KeyValue(store) => store.search(search).await,
        }
    }

    async fn index_missing(&self, limit: usize) -> Result<usize, StoreError> {
        match self {
            Self::Sqlite(store) => store.index_missing(limit).await,
            Self::KeyValue(store) => store.index_missing(limit).await,
        }
    }

    async fn move_wake(
        &self,
        id: AttemptId,
        at_ms: UnixMillis,
        to_ms: Option<UnixMillis>,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(store) => store.move_wake(id, at_ms, to_ms).await,
            Self::KeyValue(store) => store.move_wake(id, at_ms, to_ms).await,
        }
    }
}

/// `wasi:keyvalue`: the only interface of Spin's that has a compare-and-swap. Its calls block the instance.
#[derive(Clone, Copy, Debug)]
pub struct WasiBucket;

impl WasiBucket {
    fn open(self) -> Result<store::Bucket, StoreError> {
        store::open(ATTEMPTS_LABEL).map_err(wasi_unavailable)
    }
}

impl Bucket for WasiBucket {
    type Handle = atomics::Cas;

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.open()?.get(key).map_err(wasi_unavailable)
    }

    async fn watch(&self, key: &str) -> Result<(atomics::Cas, Option<Vec<u8>>), StoreError> {
        let bucket = self.open()?;
        let handle = atomics::Cas::new(&bucket, key).map_err(wasi_unavailable)?;
        let seen = handle.current().map_err(wasi_unavailable)?;
        Ok((handle, seen))
    }

    async fn swap(&self, handle: atomics::Cas, value: Vec<u8>) -> SwapReport {
        match atomics::swap(handle, &value) {
            Ok(()) => SwapReport::Done,
            Err(atomics::CasError::CasFailed(_)) => SwapReport::Failed,
            Err(atomics::CasError::StoreError(error)) => SwapReport::Broken(error.to_string()),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.open()?.delete(key).map_err(wasi_unavailable)
    }
}

/// `spin:key-value`, for the markers.
#[derive(Clone, Copy, Debug)]
pub struct SpinMarkers;

impl SpinMarkers {
    async fn open(self) -> Result<key_value::Store, StoreError> {
        key_value::Store::open(DUE_LABEL).await.map_err(spin_unavailable)
    }
}

impl Markers for SpinMarkers {
    async fn set(&self, name: &str) -> Result<(), StoreError> {
        self.open().await?.set(name, b"").await.map_err(spin_unavailable)
    }

    async fn exists(&self, name: &str) -> Result<bool, StoreError> {
        self.open().await?.exists(name).await.map_err(spin_unavailable)
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.open().await?.delete(name).await.map_err(spin_unavailable)
    }

    async fn due(
        &self,
        until_ms: UnixMillis,
        limit: usize,
    ) -> Result<Vec<(UnixMillis, AttemptId)>, StoreError> {
        let mut keys = self.open().await?.get_keys().await;
        let mut due = Vec::new();
        while let Some(name) = keys.next().await {
            due.extend(read_marker(&name).filter(|(at_ms, _)| *at_ms <= until_ms));
            if due.len() >= KEPT_WHILE_LISTING_MAX {
                due.sort_unstable();
                due.truncate(limit);
            }
        }
        keys.result().await.map_err(spin_unavailable)?;
        due.sort_unstable();
        due.truncate(limit);
        Ok(due)
    }
}

fn wasi_unavailable(error: store::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn spin_unavailable(error: key_value::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
