//! `spin:key-value` and `wasi:keyvalue`: two interfaces, one store, as in Spin.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::spin::key_value::key_value as spin;
use crate::bindings::wasi::keyvalue::{atomics, batch, store as wasi};
use crate::counters::Counters;
use crate::host::{Host, Whole};
use crate::redis_kv::{RedisCas, RedisKv};
use crate::sqlite_kv::{SqliteCas, SqliteKv};
use crate::streams::FromChannel;

type R<T> = wasmtime::Result<T>;

/// Labels that the component may open.
const LABELS: [&str; 3] = ["default", "attempts", "due"];

/// Where values are kept.
#[derive(Clone)]
pub enum Backend {
    Sqlite(Arc<SqliteKv>),
    Redis(Arc<RedisKv>),
}

impl Backend {
    /// SQLite in a file. `upserts`: with the fault of Spin's.
    pub fn sqlite(path: &Path, upserts: bool) -> R<Self> {
        Ok(Self::Sqlite(Arc::new(SqliteKv::open(path, upserts)?)))
    }

    /// A Redis server on loopback.
    pub fn redis(port: u16) -> Self {
        Self::Redis(Arc::new(RedisKv::new(port, &LABELS)))
    }

    async fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Sqlite(kv) => tokio::task::block_in_place(|| kv.get(label, key)),
            Self::Redis(kv) => kv.get(label, key).await,
        }
    }

    async fn set(&self, label: &str, key: &str, value: &[u8]) -> Result<(), String> {
        match self {
            Self::Sqlite(kv) => tokio::task::block_in_place(|| kv.set(label, key, value)),
            Self::Redis(kv) => kv.set(label, key, value).await,
        }
    }

    async fn delete(&self, label: &str, key: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(kv) => tokio::task::block_in_place(|| kv.delete(label, key)),
            Self::Redis(kv) => kv.delete(label, key).await,
        }
    }

    async fn keys(&self, label: &str) -> Result<Vec<String>, String> {
        match self {
            Self::Sqlite(kv) => tokio::task::block_in_place(|| kv.keys(label)),
            Self::Redis(kv) => kv.keys(label).await,
        }
    }

    async fn cas(&self, label: &str, key: &str) -> Result<Cas, String> {
        Ok(match self {
            Self::Sqlite(kv) => Cas::Sqlite(SqliteCas::new(Arc::clone(kv), label, key)),
            Self::Redis(kv) => Cas::Redis(kv.cas(label, key).await?),
        })
    }
}

/// An open store: its label.
#[derive(Clone)]
pub struct Store(String);

/// A compare-and-swap under way.
#[derive(Clone)]
pub enum Cas {
    Sqlite(SqliteCas),
    Redis(RedisCas),
}

impl Cas {
    async fn current(&self) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Sqlite(cas) => tokio::task::block_in_place(|| cas.current()),
            Self::Redis(cas) => cas.current().await,
        }
    }

    /// What is reported, and whether it was applied.
    async fn swap(&self, value: &[u8]) -> (Result<(), String>, bool) {
        match self {
            Self::Sqlite(cas) => {
                let swapped = tokio::task::block_in_place(|| cas.swap(value));
                let applied = swapped.is_ok();
                (swapped, applied)
            }
            Self::Redis(cas) => cas.swap(value).await,
        }
    }
}

fn wasi_error(why: String) -> wasi::Error {
    wasi::Error::Other(why)
}

impl wasi::Host for Host {
    async fn open(&mut self, label: String) -> R<Result<Resource<Store>, wasi::Error>> {
        if !LABELS.contains(&label.as_str()) {
            return Ok(Err(wasi::Error::AccessDenied));
        }
        Ok(Ok(self.table.push(Store(label))?))
    }
}

impl wasi::HostBucket for Host {
    async fn get(&mut self, bucket: Resource<Store>, key: String) -> R<Result<Option<Vec<u8>>, wasi::Error>> {
        let label = self.table.get(&bucket)?.0.clone();
        Ok(self.shared.backend.get(&label, &key).await.map_err(wasi_error))
    }
    async fn set(
        &mut self,
        bucket: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> R<Result<(), wasi::Error>> {
        let label = self.table.get(&bucket)?.0.clone();
        Counters::add(&self.shared.counters.sets);
        Ok(self
            .shared
            .backend
            .set(&label, &key, &value)
            .await
            .map_err(wasi_error))
    }
    async fn delete(&mut self, bucket: Resource<Store>, key: String) -> R<Result<(), wasi::Error>> {
        let label = self.table.get(&bucket)?.0.clone();
        Counters::add(&self.shared.counters.deletes);
        Ok(self.shared.backend.delete(&label, &key).await.map_err(wasi_error))
    }
    async fn exists(&mut self, bucket: Resource<Store>, key: String) -> R<Result<bool, wasi::Error>> {
        let label = self.table.get(&bucket)?.0.clone();
        let value = self.shared.backend.get(&label, &key).await;
        Ok(value.map(|value| value.is_some()).map_err(wasi_error))
    }
    async fn list_keys(
        &mut self,
        bucket: Resource<Store>,
        _: Option<String>,
    ) -> R<Result<wasi::KeyResponse, wasi::Error>> {
        let label = self.table.get(&bucket)?.0.clone();
        let keys = self.shared.backend.keys(&label).await;
        Ok(keys
            .map(|keys| wasi::KeyResponse { keys, cursor: None })
            .map_err(wasi_error))
    }
    async fn drop(&mut self, bucket: Resource<Store>) -> R<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::HostCas for Host {
    async fn new(&mut self, bucket: Resource<Store>, key: String) -> R<Result<Resource<Cas>, wasi::Error>> {
        let label = self.table.get(&bucket)?.0.clone();
        match self.shared.backend.cas(&label, &key).await {
            Ok(cas) => Ok(Ok(self.table.push(cas)?)),
            Err(why) => Ok(Err(wasi_error(why))),
        }
    }
    async fn current(&mut self, cas: Resource<Cas>) -> R<Result<Option<Vec<u8>>, wasi::Error>> {
        let cas = self.table.get(&cas)?.clone();
        Ok(cas.current().await.map_err(wasi_error))
    }
    async fn drop(&mut self, cas: Resource<Cas>) -> R<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}

impl atomics::Host for Host {
    async fn increment(&mut self, _: Resource<Store>, _: String, _: i64) -> R<Result<i64, wasi::Error>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn swap(&mut self, cas: Resource<Cas>, value: Vec<u8>) -> R<Result<(), atomics::CasError>> {
        let cas = self.table.delete(cas)?;
        let (reported, applied) = cas.swap(&value).await;
        if applied {
            Counters::add(&self.shared.counters.swaps);
        }
        match reported {
            Ok(()) => Ok(Ok(())),
            // Spin gives the handle back for another try.
            Err(_) => Ok(Err(atomics::CasError::CasFailed(self.table.push(cas)?))),
        }
    }
}

/// Not used by the component.
impl batch::Host for Host {
    async fn get_many(
        &mut self,
        _: Resource<Store>,
        _: Vec<String>,
    ) -> R<Result<Vec<(String, Option<Vec<u8>>)>, wasi::Error>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn set_many(
        &mut self,
        _: Resource<Store>,
        _: Vec<(String, Vec<u8>)>,
    ) -> R<Result<(), wasi::Error>> {
        wasmtime::bail!("not offered by this host")
    }
    async fn delete_many(&mut self, _: Resource<Store>, _: Vec<String>) -> R<Result<(), wasi::Error>> {
        wasmtime::bail!("not offered by this host")
    }
}

impl spin::Host for Host {}

impl spin::HostStore for Host {
    async fn drop(&mut self, store: Resource<Store>) -> R<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

/// The label of an open store, the backend, and the counters.
fn parts<T>(host: &Accessor<T, Whole>, store: &Resource<Store>) -> R<(String, Backend, Arc<Counters>)> {
    host.with(|mut host| {
        let host = host.get();
        let label = host.table.get(store)?.0.clone();
        Ok((
            label,
            host.shared.backend.clone(),
            Arc::clone(&host.shared.counters),
        ))
    })
}

impl<T: Send + 'static> spin::HostStoreWithStore<T> for Whole {
    async fn open(host: &Accessor<T, Self>, label: String) -> R<Result<Resource<Store>, spin::Error>> {
        if !LABELS.contains(&label.as_str()) {
            return Ok(Err(spin::Error::AccessDenied));
        }
        host.with(|mut host| Ok(Ok(host.get().table.push(Store(label))?)))
    }
    async fn get(
        host: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> R<Result<Option<Vec<u8>>, spin::Error>> {
        let (label, backend, _) = parts(host, &store)?;
        Ok(backend.get(&label, &key).await.map_err(spin::Error::Other))
    }
    async fn set(
        host: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> R<Result<(), spin::Error>> {
        let (label, backend, counters) = parts(host, &store)?;
        Counters::add(&counters.sets);
        Ok(backend
            .set(&label, &key, &value)
            .await
            .map_err(spin::Error::Other))
    }
    async fn delete(
        host: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> R<Result<(), spin::Error>> {
        let (label, backend, counters) = parts(host, &store)?;
        Counters::add(&counters.deletes);
        Ok(backend.delete(&label, &key).await.map_err(spin::Error::Other))
    }
    async fn exists(
        host: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> R<Result<bool, spin::Error>> {
        let (label, backend, _) = parts(host, &store)?;
        let value = backend.get(&label, &key).await;
        Ok(value.map(|value| value.is_some()).map_err(spin::Error::Other))
    }
    async fn get_keys(
        host: &Accessor<T, Self>,
        store: Resource<Store>,
    ) -> R<(StreamReader<String>, FutureReader<Result<(), spin::Error>>)> {
        let (label, backend, _) = parts(host, &store)?;
        let (keys, keys_out) = mpsc::channel(4);
        let (ended, end) = oneshot::channel();
        tokio::spawn(async move {
            let listed = backend.keys(&label).await;
            let result = listed
                .as_ref()
                .map(|_| ())
                .map_err(|why| spin::Error::Other(why.clone()));
            for key in listed.unwrap_or_default() {
                if keys.send(key).await.is_err() {
                    break;
                }
            }
            let _ = ended.send(result);
        });
        host.with(|mut host| {
            let keys = StreamReader::new(&mut host, FromChannel(keys_out))?;
            let end = FutureReader::new(&mut host, async move {
                let gone = Err(spin::Error::Other("the listing ended".to_owned()));
                wasmtime::error::Ok(end.await.unwrap_or(gone))
            })?;
            Ok((keys, end))
        })
    }
}
