//! Key-value stores in SQLite, statement by statement as `crates/key-value-spin/src/store.rs` of Spin has them; and the
//! same with a swap that is right.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OptionalExtension, params};

/// A file of stores.
pub struct SqliteKv {
    connection: Mutex<Connection>,
    /// Spin's fault: where the key was absent when it was looked at, a swap is an upsert.
    upserts: bool,
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl SqliteKv {
    pub fn open(path: &Path, upserts: bool) -> wasmtime::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute(
            "CREATE TABLE IF NOT EXISTS spin_key_value (
                store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))",
            [],
        )?;
        Ok(Self {
            connection: Mutex::new(connection),
            upserts,
        })
    }

    fn with<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, String> {
        ask(&*self.connection.lock().map_err(words)?).map_err(words)
    }

    pub fn get(&self, store: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT value FROM spin_key_value WHERE store=$1 AND key=$2")?
                .query_row([store, key], |row| row.get(0))
                .optional()
        })
    }

    pub fn set(&self, store: &str, key: &str, value: &[u8]) -> Result<(), String> {
        self.with(|connection| {
            let upsert = "INSERT INTO spin_key_value (store, key, value) VALUES ($1, $2, $3)
                ON CONFLICT(store, key) DO UPDATE SET value=$3";
            connection
                .prepare_cached(upsert)?
                .execute(params![store, key, value])
                .map(drop)
        })
    }

    pub fn delete(&self, store: &str, key: &str) -> Result<(), String> {
        self.with(|connection| {
            let delete = "DELETE FROM spin_key_value WHERE store=$1 AND key=$2";
            connection.prepare_cached(delete)?.execute([store, key]).map(drop)
        })
    }

    pub fn keys(&self, store: &str) -> Result<Vec<String>, String> {
        self.with(|connection| {
            let mut select = connection.prepare_cached("SELECT key FROM spin_key_value WHERE store=$1")?;
            select.query_map([store], |row| row.get(0))?.collect()
        })
    }
}

/// A swap that has seen a value, or none, or has not looked (which counts as none).
#[derive(Clone)]
pub struct SqliteCas {
    kv: Arc<SqliteKv>,
    store: String,
    key: String,
    seen: Arc<Mutex<Option<Vec<u8>>>>,
}

impl SqliteCas {
    pub fn new(kv: Arc<SqliteKv>, store: &str, key: &str) -> Self {
        let (store, key) = (store.to_owned(), key.to_owned());
        Self {
            kv,
            store,
            key,
            seen: Arc::default(),
        }
    }

    pub fn current(&self) -> Result<Option<Vec<u8>>, String> {
        let value = self.kv.get(&self.store, &self.key)?;
        self.seen.lock().map_err(words)?.clone_from(&value);
        Ok(value)
    }

    pub fn swap(&self, value: &[u8]) -> Result<(), String> {
        let seen = self.seen.lock().map_err(words)?.clone();
        let changed = self.kv.with(|connection| match seen {
            Some(seen) => connection
                .prepare_cached("UPDATE spin_key_value SET value=$1 WHERE store=$2 AND key=$3 AND value=$4")?
                .execute(params![value, self.store, self.key, seen]),
            None => {
                let insert = if self.kv.upserts {
                    "INSERT INTO spin_key_value (store, key, value) VALUES ($1, $2, $3)
                        ON CONFLICT(store, key) DO UPDATE SET value=$3"
                } else {
                    "INSERT INTO spin_key_value (store, key, value) VALUES ($1, $2, $3)
                        ON CONFLICT(store, key) DO NOTHING"
                };
                connection
                    .prepare_cached(insert)?
                    .execute(params![self.store, self.key, value])
            }
        })?;
        if changed == 1 {
            Ok(())
        } else {
            Err("failed to update 1 row".to_owned())
        }
    }
}
