//! Key-value stores in Redis, command by command as `crates/key-value-redis/src/store.rs` of Spin has them: a connection
//! of its own for each swap, and an `UNWATCH` with an argument, which Redis refuses, so that every swap is reported as failed.

use redis::aio::ConnectionManager;
use redis::{AsyncCommands, Client, Value};
use tokio::sync::OnceCell;

/// A server; each label has a database.
pub struct RedisKv {
    labels: Vec<(String, String, OnceCell<ConnectionManager>)>,
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl RedisKv {
    pub fn new(port: u16, labels: &[&str]) -> Self {
        let url = |(number, label): (usize, &&str)| {
            (
                (*label).to_owned(),
                format!("redis://127.0.0.1:{port}/{number}"),
                OnceCell::new(),
            )
        };
        Self {
            labels: labels.iter().enumerate().map(url).collect(),
        }
    }

    fn place(&self, label: &str) -> Result<(&str, &OnceCell<ConnectionManager>), String> {
        let found = self.labels.iter().find(|(name, ..)| name == label);
        found
            .map(|(_, url, open)| (url.as_str(), open))
            .ok_or_else(|| format!("no store {label}"))
    }

    async fn open(&self, label: &str) -> Result<ConnectionManager, String> {
        let (url, open) = self.place(label)?;
        open.get_or_try_init(|| connect(url)).await.cloned()
    }

    pub async fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.open(label).await?.get(key).await.map_err(words)
    }

    pub async fn set(&self, label: &str, key: &str, value: &[u8]) -> Result<(), String> {
        self.open(label).await?.set(key, value).await.map_err(words)
    }

    pub async fn delete(&self, label: &str, key: &str) -> Result<(), String> {
        self.open(label).await?.del(key).await.map_err(words)
    }

    pub async fn keys(&self, label: &str) -> Result<Vec<String>, String> {
        let mut connection = self.open(label).await?;
        let mut scan = connection.scan::<String>().await.map_err(words)?;
        let mut keys = Vec::new();
        while let Some(key) = scan.next_item().await {
            keys.push(key.map_err(words)?);
        }
        Ok(keys)
    }

    pub async fn cas(&self, label: &str, key: &str) -> Result<RedisCas, String> {
        let (url, _) = self.place(label)?;
        Ok(RedisCas {
            connection: connect(url).await?,
            key: key.to_owned(),
        })
    }
}

async fn connect(url: &str) -> Result<ConnectionManager, String> {
    Client::open(url)
        .map_err(words)?
        .get_connection_manager()
        .await
        .map_err(words)
}

/// A swap on a connection of its own.
#[derive(Clone)]
pub struct RedisCas {
    connection: ConnectionManager,
    key: String,
}

impl RedisCas {
    pub async fn current(&self) -> Result<Option<Vec<u8>>, String> {
        let mut connection = self.connection.clone();
        redis::cmd("WATCH")
            .arg(&self.key)
            .exec_async(&mut connection)
            .await
            .map_err(words)?;
        connection.get(&self.key).await.map_err(words)
    }

    /// What Spin reports, and whether Redis applied it.
    pub async fn swap(&self, value: &[u8]) -> (Result<(), String>, bool) {
        let mut connection = self.connection.clone();
        // Asked for as a value, EXEC tells a lost transaction (nil) from one that was carried out.
        let executed: Result<Value, _> = redis::pipe()
            .atomic()
            .set(&self.key, value)
            .query_async(&mut connection)
            .await;
        let applied = matches!(&executed, Ok(value) if *value != Value::Nil);
        let unwatched = redis::cmd("UNWATCH")
            .arg(&self.key)
            .exec_async(&mut connection)
            .await;
        let reported = unwatched.map_err(words).and(executed.map(drop).map_err(words));
        (reported, applied)
    }
}
